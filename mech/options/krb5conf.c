#include "mech/options/krb5conf_own.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>

#include "mech/options/layers.h"
#include "mech/options/text.h"

#define MAX_ARENA (8 * 1048576)

/* The KDCs of one realm, made ready when the files have been read. */
enum kdc_list { KDCS, PRIMARY_KDCS, MASTER_KDCS, NUM_KDC_LISTS };

struct kb_krb5conf_realm {
    const char *name;
    kb_opt_LIST lists[NUM_KDC_LISTS];
    struct kb_krb5conf_realm *next;
};

static struct kb_krb5conf *counted(const struct kb_krb5conf *conf)
{
    return (struct kb_krb5conf *)(uintptr_t)conf;
}

const struct kb_krb5conf *kb_krb5conf_ref(const struct kb_krb5conf *conf)
{
    if (conf != NULL) {
        atomic_fetch_add_explicit(&counted(conf)->refs, 1, memory_order_relaxed);
    }
    return conf;
}

void kb_krb5conf_put(const struct kb_krb5conf *conf)
{
    if (conf != NULL &&
        atomic_fetch_sub_explicit(&counted(conf)->refs, 1, memory_order_acq_rel) == 1) {
        kb_arena_wipe(&counted(conf)->arena);
        free(counted(conf));
    }
}

/* --- making ready --- */

/* Which list a relation adds to; NUM_KDC_LISTS: none. */
static enum kdc_list list_of(const struct kb_relation *r)
{
    static const char names[NUM_KDC_LISTS][12] = {
        [KDCS] = "kdc", [PRIMARY_KDCS] = "primary_kdc", [MASTER_KDCS] = "master_kdc"};
    unsigned list = 0;

    if (strcmp(r->section, "realms") != 0 || r->sub == NULL ||
        kb_starts_nocase(r->value, "http://")) {
        return NUM_KDC_LISTS;
    }
    while (list < NUM_KDC_LISTS && strcmp(r->name, names[list]) != 0) {
        list++;
    }
    return (enum kdc_list)list;
}

static struct kb_krb5conf_realm *find_realm(struct kb_krb5conf_realm *realm, kb_bytes name)
{
    while (realm != NULL && !kb_equal(kb_str(realm->name), name)) {
        realm = realm->next;
    }
    return realm;
}

static struct kb_krb5conf_realm *make_realm(struct kb_krb5conf *conf, const char *name)
{
    struct kb_krb5conf_realm *realm = find_realm(conf->realms, kb_str(name));

    if (realm == NULL && (realm = kb_arena_alloc(&conf->arena, sizeof(*realm))) != NULL) {
        realm->name = name;
        realm->next = conf->realms;
        conf->realms = realm;
    }
    return realm;
}

static bool add_kdc(struct kb_krb5conf *conf, const struct kb_relation *relation,
                    enum kdc_list which)
{
    struct kb_krb5conf_realm *realm = make_realm(conf, relation->sub);
    kb_bytes rest = kb_str(relation->value), word;
    const char **items;
    kb_opt_LIST *list;

    if (realm == NULL) {
        return false;
    }
    if (!kb_take_word(&rest, &word)) { /* MIT takes what stands before a blank */
        return true;
    }
    list = &realm->lists[which];
    items = kb_arena_alloc(&conf->arena, (list->num + 1) * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    if (list->num > 0) {
        memcpy(items, list->items, list->num * sizeof(*items));
    }
    items[list->num] = kb_arena_text(&conf->arena, word);
    *list = (kb_opt_LIST){items, list->num + 1};
    return items[list->num - 1] != NULL;
}

static bool is_mark(const struct kb_relation *relation)
{
    return strcmp(relation->name, KB_PROFILE_MARK) == 0;
}

static bool is_final(const struct kb_relation *relation)
{
    return is_mark(relation) && strcmp(relation->value, KB_PROFILE_FINAL) == 0;
}

/* Does it stand behind a file that calls its section or subsection final? */
static bool is_hidden(const struct kb_krb5conf *conf, const struct kb_relation *relation)
{
    for (const struct kb_relation *r = conf->profile.first;
         r != NULL && r->number < relation->number; r = r->next) {
        if (is_final(r) && strcmp(r->section, relation->section) == 0 &&
            (r->sub == NULL || (relation->sub != NULL && strcmp(r->sub, relation->sub) == 0))) {
            return true;
        }
    }
    return false;
}

static enum kb_status make_ready(struct kb_krb5conf *conf, struct kb_error *err)
{
    for (const struct kb_relation *r = conf->profile.first; r != NULL; r = r->next) {
        enum kdc_list list = list_of(r);

        if (list != NUM_KDC_LISTS && !is_hidden(conf, r) && !add_kdc(conf, r, list)) {
            return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
        }
    }
    return KB_OK;
}

struct kb_krb5conf *kb_krb5conf_new(struct kb_error *err)
{
    struct kb_krb5conf *conf = calloc(1, sizeof(*conf));

    if (conf == NULL) {
        kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
        return NULL;
    }
    atomic_init(&conf->refs, 1);
    kb_arena_init(&conf->arena, NULL, 0, MAX_ARENA);
    kb_profile_init(&conf->profile, &conf->arena);
    return conf;
}

enum kb_status kb_krb5conf_finish(struct kb_krb5conf *conf, enum kb_status st,
                                  const struct kb_krb5conf **out, struct kb_error *err)
{
    conf->profile.include = NULL;
    if (st == KB_OK) {
        st = make_ready(conf, err);
    }
    if (st != KB_OK) {
        kb_krb5conf_put(conf);
        conf = NULL;
    }
    *out = conf;
    return st;
}

enum kb_status kb_krb5conf_parse(kb_bytes text, const struct kb_krb5conf **out,
                                 struct kb_error *err)
{
    struct kb_krb5conf *conf = kb_krb5conf_new(err);

    *out = NULL;
    if (conf == NULL) {
        return KB_ERROR;
    }
    return kb_krb5conf_finish(conf, kb_profile_parse(&conf->profile, text, "krb5.conf", err), out,
                              err);
}

/* --- asking --- */

static bool same_text(const char *a, kb_bytes b)
{
    return a != NULL ? kb_equal(kb_str(a), b) : b.ptr == NULL;
}

/* What goes on behind `after` (NULL: from the beginning) with that name. A section or subsection
 * that a file calls final ends with that file. */
static const struct kb_relation *next_relation(const struct kb_krb5conf *conf, const char *section,
                                               kb_bytes sub, kb_bytes name,
                                               const struct kb_relation *after)
{
    const struct kb_relation *r = conf != NULL ? conf->profile.first : NULL;
    bool behind = after == NULL;
    unsigned last = UINT_MAX;

    for (; r != NULL && r->number <= last; r = r->next) {
        if (strcmp(r->section, section) == 0) {
            bool same_sub = same_text(r->sub, sub);

            if ((same_sub || r->sub == NULL) && is_final(r)) {
                last = r->number;
            } else if (behind && same_sub && !is_mark(r) && same_text(r->name, name)) {
                return r;
            }
        }
        behind = behind || r == after;
    }
    return NULL;
}

static const struct kb_relation *find_relation(const struct kb_krb5conf *conf, const char *section,
                                               kb_bytes sub, kb_bytes name)
{
    return next_relation(conf, section, sub, name, NULL);
}

static const char *find_value(const struct kb_krb5conf *conf, const char *section, kb_bytes sub,
                              kb_bytes name)
{
    const struct kb_relation *relation = find_relation(conf, section, sub, name);

    return relation != NULL ? relation->value : NULL;
}

const char *kb_krb5conf_text(const struct kb_krb5conf *conf, const char *section, const char *sub,
                             const char *name)
{
    return find_value(conf, section, kb_str(sub), kb_str(name));
}

const char *kb_krb5conf_value(const struct kb_krb5conf *conf, const char *section, kb_bytes sub,
                              kb_bytes name, size_t number)
{
    const struct kb_relation *found = next_relation(conf, section, sub, name, NULL);

    while (found != NULL && number-- > 0) {
        found = next_relation(conf, section, sub, name, found);
    }
    return found != NULL ? found->value : NULL;
}

const char *kb_krb5conf_http_anchor(const struct kb_krb5conf *conf, kb_bytes realm, size_t number)
{
    return kb_krb5conf_value(conf, "realms", realm, KB_LIT("http_anchors"), number);
}

enum kb_status kb_krb5conf_capath(const struct kb_krb5conf *conf, kb_bytes client_realm,
                                  kb_bytes server_realm, kb_bytes *out, size_t max, size_t *out_num)
{
    const char *realm = kb_krb5conf_value(conf, "capaths", client_realm, server_realm, 0);

    *out_num = 0;
    if (realm == NULL) {
        return KB_NOT_FOUND;
    }
    if (strcmp(realm, ".") == 0) {
        return KB_OK;
    }
    while (realm != NULL) {
        if (*out_num == max) {
            return KB_TOO_BIG;
        }
        out[(*out_num)++] = kb_str(realm);
        realm = kb_krb5conf_value(conf, "capaths", client_realm, server_realm, *out_num);
    }
    return KB_OK;
}

const char *kb_krb5conf_module(const struct kb_krb5conf *conf)
{
    return conf != NULL ? conf->profile.module : NULL;
}

bool kb_krb5conf_dns(const struct kb_krb5conf *conf, const char *name, bool otherwise)
{
    const char *text = kb_krb5conf_text(conf, "libdefaults", NULL, name);
    bool value;

    if (text == NULL) {
        text = kb_krb5conf_text(conf, "libdefaults", NULL, "dns_fallback");
    }
    return text == NULL ? otherwise : kb_krb5conf_parse_bool(kb_str(text), &value) && value;
}

bool kb_krb5conf_realm_bool(const struct kb_krb5conf *conf, kb_bytes realm, const char *name,
                            bool otherwise)
{
    const char *text = kb_krb5conf_value(conf, "realms", realm, kb_str(name), 0);
    bool value;

    return text != NULL && kb_krb5conf_parse_bool(kb_str(text), &value) ? value : otherwise;
}

kb_bytes kb_krb5conf_default_realm(const struct kb_krb5conf *conf)
{
    return kb_str(kb_krb5conf_text(conf, "libdefaults", NULL, "default_realm"));
}

kb_opt_LIST kb_krb5conf_kdcs(const struct kb_krb5conf *conf, kb_bytes realm)
{
    const struct kb_krb5conf_realm *found = conf != NULL ? find_realm(conf->realms, realm) : NULL;

    return found != NULL ? found->lists[KDCS] : (kb_opt_LIST){NULL, 0};
}

kb_opt_LIST kb_krb5conf_primary_kdcs(const struct kb_krb5conf *conf, kb_bytes realm)
{
    const struct kb_krb5conf_realm *found = conf != NULL ? find_realm(conf->realms, realm) : NULL;

    return found == NULL                        ? (kb_opt_LIST){NULL, 0}
           : found->lists[PRIMARY_KDCS].num > 0 ? found->lists[PRIMARY_KDCS]
                                                : found->lists[MASTER_KDCS];
}

bool kb_krb5conf_knows_realm(const struct kb_krb5conf *conf, kb_bytes realm)
{
    if (realm.len == 0 || conf == NULL) {
        return false;
    }
    for (const struct kb_relation *r = conf->profile.first; r != NULL; r = r->next) {
        if (strcmp(r->section, "realms") == 0 && r->sub != NULL && same_text(r->sub, realm)) {
            return true;
        }
    }
    return kb_equal(kb_krb5conf_default_realm(conf), realm);
}

static bool is_address(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 || strchr(host, ':') != NULL;
}

kb_bytes kb_krb5conf_realm_of_host(const struct kb_krb5conf *conf, kb_bytes host)
{
    char name[256];

    if (host.len > 0 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    if (conf == NULL || host.len == 0 || host.len >= sizeof(name)) {
        return KB_NONE;
    }
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];

        name[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    name[host.len] = '\0';
    for (const char *at = is_address(name) ? NULL : name; at != NULL;
         at = *at == '.' ? at + 1 : strchr(at, '.')) {
        const char *realm = find_value(conf, "domain_realm", KB_NONE, kb_str(at));

        if (realm != NULL) {
            return kb_str(realm);
        }
    }
    return KB_NONE;
}

const char *kb_krb5conf_default(const struct kb_krb5conf *conf, kb_bytes realm, const char *name,
                                struct kb_origin *from)
{
    const struct kb_relation *found = NULL;

    if (realm.len > 0) {
        found = find_relation(conf, "libdefaults", realm, kb_str(name));
    }
    if (found == NULL) {
        found = find_relation(conf, "libdefaults", KB_NONE, kb_str(name));
    }
    if (found != NULL && from != NULL) {
        *from = (struct kb_origin){KB_LAYER_KRB5CONF, found->file, found->line};
    }
    return found != NULL ? found->value : NULL;
}
