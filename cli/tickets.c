/* kerbside list and forget: the tickets that the configured identity holds in its cache. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/recognise.h"
#include "mech/login/auto.h"
#include "mech/login/beside.h"
#include "mech/names/target.h"
#include "mech/options/show.h"
#include "mech/store/ccache.h"

const struct kb_cli_option kb_cli_tickets_options[] = {
    KB_CLI_WHOSE,
    {0},
};

/* The cache that is meant, and what it held. */
struct place {
    const struct kb_options *options;
    struct kb_ccache *cache;         /* NULL: tickets live in each process alone */
    struct kb_cc_contents *contents; /* NULL: there are none */
    struct kb_identity *identity;    /* whose `auto` it is; NULL: it is not `auto` */
    const char *lost;                /* why that cannot be had; NULL: it can */
};

static void place_wipe(struct place *place)
{
    kb_cc_contents_put(place->contents);
    kb_ccache_put(place->cache);
    kb_identity_put(place->identity);
    kb_options_put(place->options);
}

static bool is_users(const struct place *place, const struct kb_principal *owner)
{
    return place->options->user == NULL || kb_principal_equal(place->options->user, owner);
}

/* In a collection. */
static enum kb_status users_own(struct place *place)
{
    struct kb_ccache *collection = place->cache;

    if (!kb_ccache_set_kcm_socket(collection, kb_options_kcm_socket(place->options->krb5conf))) {
        return KB_NO_MEMORY;
    }
    if (place->options->user != NULL) {
        place->cache = kb_ccache_for(collection, place->options->user);
        kb_ccache_put(collection);
    }
    return place->cache != NULL ? KB_OK : KB_NO_MEMORY;
}

/* A User without a secret has the platform's default cache, while it is his (kerbside(8)). */
static enum kb_status open_default(struct place *place, struct kb_wait *wait)
{
    struct kb_error ignored = {0};
    struct kb_buf name;
    enum kb_status status;

    kb_buf_init(&name, 1 << 14);
    status = kb_options_default_ccache(place->options, &name, &ignored);
    if (status == KB_OK) {
        status = kb_ccache_new(kb_buf_str(&name), &place->cache, &ignored);
    }
    if (status == KB_OK) {
        status = users_own(place);
    }
    if (status == KB_OK) {
        status = kb_ccache_load(place->cache, wait, &place->contents, &ignored);
    }
    kb_buf_wipe(&name);
    if (status != KB_OK || !is_users(place, kb_cc_owner(place->contents))) {
        kb_cc_contents_put(place->contents);
        kb_ccache_put(place->cache);
        place->contents = NULL;
        place->cache = NULL;
    }
    return status == KB_NO_MEMORY ? KB_NO_MEMORY : KB_OK;
}

static enum kb_status load(struct place *place, struct kb_wait *wait, struct kb_error *err)
{
    enum kb_status status = kb_ccache_load(place->cache, wait, &place->contents, err);

    return status == KB_NOT_FOUND ? KB_OK : status;
}

/* `auto` is found with the identity, whose keytab may tell who it is. */
static enum kb_status open_auto(struct place *place, struct kb_wait *wait, struct kb_error *err)
{
    enum kb_status status = kb_identity_get(place->options, &place->identity, err);

    if (status != KB_OK) {
        return status;
    }
    place->cache = kb_auto_cache(place->identity, &place->lost);
    return place->cache != NULL ? load(place, wait, err) : KB_OK;
}

static enum kb_status open_named(struct place *place, const char *name, struct kb_wait *wait,
                                 struct kb_error *err)
{
    enum kb_status status = kb_ccache_new(name, &place->cache, err);

    if (status == KB_OK) {
        status = users_own(place);
    }
    return status == KB_OK ? load(place, wait, err) : status;
}

/* `auto` is a place for what the platform's client keytab obtains, too. */
static bool has_client_keytab(const struct kb_options *options)
{
    struct kb_identity *identity = NULL;
    struct kb_error ignored = {0};
    bool has = options->has_identity && kb_auto_is(options) &&
               kb_identity_get(options, &identity, &ignored) == KB_OK &&
               kb_identity_has_secret(identity);

    kb_identity_put(identity);
    return has;
}

static int open_place(struct kb_cli *cli, const struct kb_options_query *query,
                      struct kb_wait *wait, struct place *out)
{
    struct kb_error err = {0};
    enum kb_status status = kb_options_get(query, &out->options, &err);
    const struct kb_options *options = out->options;
    bool secret;

    if (status != KB_OK) {
        return kb_cli_status(cli, status, &err);
    }
    secret =
        options->password != NULL || options->keytab_file != NULL || has_client_keytab(options);
    if (!options->has_identity) {
        return kb_cli_fail(cli, KB_EXIT_CONFIG,
                           "no identity is configured: set User and Password, KeytabFile or "
                           "CredentialsCacheFile, see kerbside(8)");
    }
    if (kb_auto_is(options) && secret) {
        status = open_auto(out, wait, &err);
    } else if (options->ccache != NULL && !kb_auto_is(options)) {
        status = open_named(out, options->ccache, wait, &err);
    } else if (!secret) {
        status = open_default(out, wait);
    }
    return status == KB_OK ? KB_EXIT_OK : kb_cli_status(cli, status, &err);
}

#define ENDS_SOON 3600 /* seconds */

/* "19 min", "9 h 59 min", "6 d 23 h" */
static const char *duration(int64_t seconds, char out[48])
{
    long long minutes = seconds / 60;

    if (minutes < 60) {
        snprintf(out, 48, "%lld min", minutes);
    } else if (minutes < 48 * 60) {
        snprintf(out, 48, "%lld h %lld min", minutes / 60, minutes % 60);
    } else {
        snprintf(out, 48, "%lld d %lld h", minutes / (24 * 60), minutes / 60 % 24);
    }
    return out;
}

/* By the KDC's clock, as tickets have their times. */
static int64_t now_of(const struct place *place)
{
    int64_t ahead_us = 0;

    (void)kb_cc_clock_offset(place->contents, &ahead_us);
    return time(NULL) + ahead_us / 1000000;
}

static bool has_secret(const struct place *place)
{
    return place->options->password != NULL || place->options->keytab_file != NULL ||
           (place->identity != NULL && kb_identity_has_secret(place->identity));
}

/* When the last login with what is there ends: that of the TGT, or what it can be renewed to while
 * it lives. 0: there is none. */
static int64_t end_of_logins(const struct place *place, int64_t now)
{
    const struct kb_principal *owner = kb_cc_owner(place->contents);
    struct kb_cc_ticket ticket;
    size_t position = 0;
    int64_t end = 0;
    kb_bytes realm;

    while (kb_cc_next(place->contents, &position, &ticket) == KB_OK) {
        bool is_tgt = kb_name_is_tgs(&ticket.server->name, &realm) && kb_equal(realm, owner->realm);
        bool renews = (ticket.flags & KB_TKT_RENEWABLE) != 0 && ticket.renew_till > ticket.endtime;
        int64_t last = renews ? ticket.renew_till : ticket.endtime;

        if (is_tgt && ticket.endtime > now && last > end) {
            end = last;
        }
        kb_cc_ticket_wipe(&ticket);
    }
    return end;
}

/* A first line where logins end, or did: the cache has all that there is. */
static void say_end(struct kb_cli *cli, const struct place *place)
{
    int64_t now = now_of(place), left = end_of_logins(place, now) - now;
    char text[48];

    if (left < 0) {
        kb_cli_print(cli,
                     "The TGT has expired or is not there, and there is no password or keytab to "
                     "obtain another: fill the cache anew (kinit), or set one of these.\n");
    } else if (left < ENDS_SOON) {
        kb_cli_print(cli,
                     "The TGT ends in %s, and there is no password or keytab to obtain another.\n",
                     duration(left, text));
    }
}

static void show_ticket(struct kb_cli *cli, const struct kb_cc_ticket *ticket, int64_t now)
{
    int64_t left = ticket->endtime - now;
    char text[48];

    kb_show_open(&cli->show, NULL, KB_SHOW_FIELDS);
    kb_show_cc_ticket(&cli->show, ticket);
    kb_show_bool(&cli->show, "expired", left <= 0);
    if (left > 0) {
        kb_show_number(&cli->show, "seconds-left", left, cli->json ? NULL : duration(left, text));
    }
    kb_show_close(&cli->show);
}

static enum kb_status show_tickets(struct kb_cli *cli, const struct place *place)
{
    enum kb_status status = KB_OK;
    size_t position = 0;
    int64_t now = place->contents != NULL ? now_of(place) : 0;

    kb_show_open(&cli->show, "tickets", KB_SHOW_ITEMS);
    while (place->contents != NULL && status == KB_OK) {
        struct kb_cc_ticket ticket;

        status = kb_cc_next(place->contents, &position, &ticket);
        if (status == KB_OK) {
            show_ticket(cli, &ticket, now);
            kb_cc_ticket_wipe(&ticket);
        }
    }
    kb_show_close(&cli->show);
    return status == KB_NOT_FOUND ? KB_OK : status;
}

static bool is_of_a_process(const char *name)
{
    static const char *const own[] = {"MEMORY:", "KEYRING:process:", "KEYRING:thread:"};
    bool is = false;

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        is = is || strncmp(name, own[i], strlen(own[i])) == 0;
    }
    return is;
}

static void show_place(struct kb_cli *cli, const struct place *place)
{
    const char *name = place->cache != NULL ? kb_ccache_name(place->cache) : NULL;

    if (name != NULL && is_of_a_process(name)) {
        kb_cli_print(cli, "%s is each process's own: its tickets are seen in it alone.\n", name);
    }
    if (name != NULL) {
        kb_show_name(&cli->show, "cache", kb_str(name));
        return;
    }
    if (place->lost != NULL) {
        kb_cli_print(cli, "CredentialsCacheFile=auto: %s. Tickets live in each process alone.\n",
                     place->lost);
    } else {
        kb_cli_print(cli,
                     "There is no CredentialsCacheFile: tickets live in each process alone.\n");
    }
    kb_show_null(&cli->show, "cache");
}

static int list(struct kb_cli *cli, const struct place *place)
{
    struct kb_show *show = &cli->show;
    enum kb_status status;

    if (place->contents != NULL && !has_secret(place)) {
        say_end(cli, place);
    }
    kb_show_open(show, NULL, KB_SHOW_FIELDS);
    show_place(cli, place);
    if (place->contents != NULL) {
        kb_show_principal(show, "principal", kb_cc_owner(place->contents));
    }
    status = show_tickets(cli, place);
    kb_show_close(show);
    return status == KB_OK ? KB_EXIT_OK : kb_cli_status(cli, status, NULL);
}

/* The ticket's name as the cache has it; without a realm, the identity's is meant. */
static enum kb_status server_of(const struct place *place, const char *text,
                                const struct kb_principal **out)
{
    struct kb_target target;
    enum kb_status status = kb_target_of_spn(&target, text);

    return status != KB_OK
               ? status
               : kb_target_principal(&target, KB_NONE, kb_cc_owner(place->contents)->realm, out);
}

static int not_his(struct kb_cli *cli, const struct place *place)
{
    struct kb_buf owner;

    kb_buf_init(&owner, 1 << 16);
    kb_principal_unparse(kb_cc_owner(place->contents), &owner);
    kb_cli_fail(cli, KB_EXIT_CONFIG,
                "%s holds tickets of %s, who is not the configured User: they "
                "are left alone",
                kb_ccache_name(place->cache), kb_buf_str(&owner));
    kb_buf_wipe(&owner);
    return KB_EXIT_CONFIG;
}

static void show_forgotten(struct kb_cli *cli, const struct place *place, size_t num,
                           size_t num_pauses)
{
    kb_show_open(&cli->show, NULL, KB_SHOW_FIELDS);
    show_place(cli, place);
    kb_show_number(&cli->show, "forgotten", (int64_t)num, NULL);
    if (num_pauses > 0) {
        kb_show_number(&cli->show, "pauses-ended", (int64_t)num_pauses, NULL);
    }
    kb_show_close(&cli->show);
}

/* All goes: with it, what was refused (BadSecretPause) and learned. */
static int forget_beside(struct kb_cli *cli, const struct place *place, size_t num)
{
    struct kb_error err = {0};
    size_t num_pauses = 0;

    if (place->cache != NULL && kb_beside_forget(place->cache, &num_pauses, &err) != KB_OK) {
        return kb_cli_status(cli, KB_ERROR, &err);
    }
    show_forgotten(cli, place, num, num_pauses);
    return KB_EXIT_OK;
}

static int forget(struct kb_cli *cli, const struct place *place, const char *target,
                  struct kb_wait *wait)
{
    const struct kb_principal *server = NULL;
    struct kb_error err = {0};
    enum kb_status status;
    size_t num = 0;

    if (place->contents == NULL && target == NULL) {
        return forget_beside(cli, place, 0);
    }
    if (place->contents == NULL) {
        show_forgotten(cli, place, 0, 0);
        return KB_EXIT_OK;
    }
    if (!is_users(place, kb_cc_owner(place->contents))) {
        return not_his(cli, place);
    }
    if (target != NULL && server_of(place, target, &server) != KB_OK) {
        return kb_cli_usage(cli, "\"%s\" cannot be the name of a service", target);
    }
    status = kb_ccache_remove(place->cache, kb_cc_owner(place->contents), server, wait, &num, &err);
    kb_principal_free(server);
    if (status != KB_OK) {
        return kb_cli_status(cli, status, &err);
    }
    if (target == NULL) {
        return forget_beside(cli, place, num);
    }
    show_forgotten(cli, place, num, 0);
    return KB_EXIT_OK;
}

static int read_options(struct kb_cli *cli, struct kb_options_query *query)
{
    for (int id; (id = kb_cli_option(cli)) != -1;) {
        if (!kb_cli_whose(query, id, optarg)) {
            return cli->code;
        }
    }
    return -1;
}

static int with_place(struct kb_cli *cli, bool removing)
{
    struct kb_options_query query = {0};
    struct place place = {0};
    struct kb_wait wait = {0};
    int code = read_options(cli, &query);

    if (code >= 0) {
        return code;
    }
    if (!kb_cli_operands(cli, 0, removing ? 1 : 0)) {
        return KB_EXIT_USAGE;
    }
    code = kb_cli_set_options(cli);
    if (code != KB_EXIT_OK) {
        return code;
    }
    kb_wait_start(&wait, 10000, true);
    code = open_place(cli, &query, &wait, &place);
    if (code == KB_EXIT_OK) {
        code = removing ? forget(cli, &place, cli->argv[optind], &wait) : list(cli, &place);
    }
    kb_wait_stop(&wait);
    place_wipe(&place);
    return code;
}

int kb_cli_list(struct kb_cli *cli)
{
    return with_place(cli, false);
}

int kb_cli_forget(struct kb_cli *cli)
{
    return with_place(cli, true);
}
