#include "mech/options/identity.h"

#include <stdio.h>

#include "mech/options/ccname.h"
#include "mech/options/expand.h"
#include "mech/options/ktname.h"
#include "mech/options/text.h"
#include "mech/options/user.h"

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

/* --- what keytab and cache hold --- */

/* A name that could not be expanded is told where it is used; but without memory nobody knows. */
static bool is_expanded(struct kb_identity_choice *choice, enum kb_status st,
                        const struct kb_error *err)
{
    choice->no_memory = choice->no_memory || err->code == KB_E_NO_MEMORY;
    return st == KB_OK;
}

static bool keytab_has(struct kb_identity_choice *choice, const struct kb_principal *user)
{
    struct kb_arena arena;
    struct kb_error err = {0};
    const char *path = choice->keytab != NULL ? choice->keytab->text : NULL;
    bool has = false;

    if (path == NULL || choice->hooks == NULL || choice->hooks->keytab_has == NULL) {
        return false;
    }
    kb_arena_init(&arena, NULL, 0, 65536);
    if (is_expanded(choice, kb_expand(kb_ktname_path(path), choice->euid, &arena, &path, &err),
                    &err)) {
        has = choice->hooks->keytab_has(path, user);
        choice->missed_in_keytab = choice->missed_in_keytab || !has;
    }
    kb_arena_wipe(&arena);
    return has;
}

/* Who is in it changes without any file of options changing. */
static bool cache_has(struct kb_identity_choice *choice, const struct kb_principal *user)
{
    struct kb_principal *principal = NULL;
    struct kb_error err = {0};
    struct kb_arena arena;
    const char *name;
    bool has;

    if (choice->cache == NULL || choice->hooks == NULL || choice->hooks->ccache_principal == NULL) {
        return false;
    }
    choice->looked_into_cache = true;
    kb_arena_init(&arena, NULL, 0, 65536);
    if (is_expanded(choice,
                    kb_ccname_expand(choice->cache->text, choice->euid, &arena, &name, &err),
                    &err)) {
        choice->hooks->ccache_principal(name, kb_options_kcm_socket(choice->krb5conf), &principal);
    }
    kb_arena_wipe(&arena);
    has = principal != NULL && kb_principal_equal(principal, user);
    kb_principal_free(principal);
    return has;
}

static bool is_held(void *context, const struct kb_principal *user)
{
    struct kb_identity_choice *choice = context;

    return keytab_has(choice, user) || cache_has(choice, user);
}

/* --- User --- */

static enum kb_status read_user(struct kb_identity_choice *choice, const struct kb_setting *setting,
                                struct kb_arena *arena, struct kb_principal **out,
                                const char **note, struct kb_error *err)
{
    struct kb_user_reader reader = {
        .krb5conf = choice->krb5conf,
        .enterprise = choice->enterprise,
        .has = is_held,
        .context = choice,
    };
    enum kb_status st;
    const char *text;
    char buf[256];

    *out = NULL;
    st = kb_expand(setting->text, choice->euid, arena, &text, err);
    if (st == KB_OK) {
        st = kb_user_parse(&reader, kb_str(text), arena, out, note, err);
    }
    if (st != KB_OK) {
        kb_principal_free(*out);
        *out = NULL;
        kb_error_context(err, "%s", kb_origin_text(&setting->from, buf, sizeof(buf)));
    }
    return st;
}

enum kb_status kb_identity_user(struct kb_identity_choice *choice, const struct kb_setting *setting,
                                struct kb_principal **out, struct kb_error *err)
{
    struct kb_arena arena;
    enum kb_status st;

    kb_arena_init(&arena, NULL, 0, 65536);
    st = read_user(choice, setting, &arena, out, NULL, err);
    kb_arena_wipe(&arena);
    return st;
}

/* --- one identity --- */

/* The user of a setting where only its name matters; NULL: it is none, which is told elsewhere. */
static struct kb_principal *user_of(struct kb_identity_choice *choice,
                                    const struct kb_setting *setting)
{
    struct kb_principal *user = NULL;
    struct kb_error err = {0};

    if (kb_identity_user(choice, setting, &user, &err) != KB_OK && err.code == KB_E_NO_MEMORY) {
        choice->no_memory = true;
    }
    return user;
}

static bool same_user(struct kb_identity_choice *choice, const struct kb_setting *a,
                      const struct kb_setting *b)
{
    struct kb_principal *x, *y;
    bool same = strcmp(a->text, b->text) == 0;

    if (same) {
        return true;
    }
    x = user_of(choice, a);
    y = user_of(choice, b);
    same = x != NULL && y != NULL && kb_principal_equal(x, y);
    kb_principal_free(x);
    kb_principal_free(y);
    return same;
}

/* What a unit's User finds from below is kept if it is his. */
static void keep_if_held(struct kb_identity_choice *choice, const struct kb_setting *user)
{
    struct kb_principal *principal = NULL;
    bool has_any = choice->keytab != NULL || choice->cache != NULL;

    if (user != NULL && has_any) {
        principal = user_of(choice, user);
    }
    if (principal == NULL || !keytab_has(choice, principal)) {
        choice->keytab = NULL;
    }
    if (principal == NULL || !cache_has(choice, principal)) {
        choice->cache = NULL;
    }
    kb_principal_free(principal);
}

/* Leaves of the identity from below what goes with a unit's User. */
static void unset_others(struct kb_identity_choice *choice, const struct kb_setting *user)
{
    const struct kb_setting *keytab = choice->keytab, *cache = choice->cache;

    if (user != NULL && choice->user != NULL && same_user(choice, user, choice->user)) {
        return;
    }
    keep_if_held(choice, user);
    if (choice->user != NULL) {
        choice->lost_user = choice->user;
    }
    if (choice->password != NULL || keytab != choice->keytab || cache != choice->cache) {
        choice->lost_secret = choice->password != NULL   ? choice->password
                              : keytab != choice->keytab ? keytab
                                                         : cache;
    }
    choice->user = NULL;
    choice->password = NULL;
}

/* `auto` and MEMORY: are no identity; a named cache from above takes their place. */
static const struct kb_setting *take_cache(struct kb_identity_choice *choice,
                                           const struct kb_unit *unit)
{
    const struct kb_setting *cache = kb_unit_find(unit, KB_OPT_CredentialsCacheFile);

    if (cache == NULL || !kb_ccname_is_place(cache->text)) {
        return cache;
    }
    choice->place = cache;
    return NULL;
}

void kb_identity_apply(struct kb_identity_choice *choice, const struct kb_unit *unit)
{
    const struct kb_setting *user = kb_unit_find(unit, KB_OPT_User);
    const struct kb_setting *password = kb_unit_find(unit, KB_OPT_Password);
    const struct kb_setting *keytab = kb_unit_find(unit, KB_OPT_KeytabFile);
    const struct kb_setting *cache = take_cache(choice, unit);
    bool of_client = kb_unit_has(unit, KB_IF_CLIENT);

    if ((user == NULL && password == NULL && keytab == NULL && cache == NULL) ||
        (of_client && !choice->client_is_named)) {
        return;
    }
    unset_others(choice, user);
    /* A secret in a higher place is the one that is meant, also for the same user. */
    if (password != NULL || keytab != NULL) {
        choice->password = password;
        choice->keytab = keytab;
    }
    if (cache != NULL) {
        choice->cache = cache;
        choice->place = NULL;
    }
    if (password != NULL || keytab != NULL || cache != NULL) {
        choice->named_by_caller = of_client || unit->layer >= KB_LAYER_CREDENTIAL;
    }
    choice->user = user != NULL ? user : choice->user;
}

const struct kb_setting *kb_identity_cache(const struct kb_identity_choice *choice)
{
    bool has_secret = choice->password != NULL || choice->keytab != NULL;

    /* Without a secret the named cache is all that makes the identity: a place does not unset it.
     */
    return choice->place != NULL && (choice->cache == NULL || has_secret) ? choice->place
                                                                          : choice->cache;
}

/* Whose key was not in a keytab, but has another secret, waits for nothing. */
bool kb_identity_is_momentary(struct kb_identity_choice *choice, const struct kb_principal *user)
{
    bool has_secret = choice->password != NULL || choice->cache != NULL;

    if (!has_secret && choice->missed_in_keytab && choice->keytab != NULL) {
        has_secret = user == NULL || keytab_has(choice, user);
    }
    return choice->looked_into_cache || (choice->missed_in_keytab && !has_secret);
}

/* --- the end of it --- */

static enum kb_status password_alone(const struct kb_identity_choice *choice, struct kb_error *err)
{
    char at[256], lost[256];
    const char *where = kb_origin_text(&choice->password->from, at, sizeof(at));

    if (choice->lost_user == NULL) {
        return kb_error_set(err, KB_E_USER, "%s: Password is set, but no User", where);
    }
    return kb_error_set(
        err, KB_E_USER,
        "%s: Password is set without User; it does not go with User=%s of %s, which is "
        "another layer's",
        kb_origin_text(&choice->password->from, at, sizeof(at)),
        kb_show(kb_str(choice->lost_user->text)).text,
        kb_origin_text(&choice->lost_user->from, lost, sizeof(lost)));
}

static enum kb_status take_client(const struct kb_identity_choice *choice, kb_bytes client,
                                  struct kb_principal **out, struct kb_error *err)
{
    struct kb_user_reader reader = {.krb5conf = choice->krb5conf};
    struct kb_arena arena;
    enum kb_status st;

    if (client.len == 0) {
        return KB_OK;
    }
    kb_arena_init(&arena, NULL, 0, 65536);
    st = kb_user_parse(&reader, client, &arena, out, NULL, err);
    kb_arena_wipe(&arena);
    return st;
}

/* The snapshot's own copy of the principal: it goes with the snapshot. */
static enum kb_status find_user(struct kb_identity_choice *choice, kb_bytes client,
                                struct kb_arena *arena, struct kb_principal **out,
                                const char **note, struct kb_error *err)
{
    *out = NULL;
    if (choice->user != NULL) {
        return read_user(choice, choice->user, arena, out, note, err);
    }
    if (choice->keytab == NULL && choice->password == NULL && choice->cache == NULL) {
        return KB_OK;
    }
    if (take_client(choice, client, out, err) != KB_OK) {
        return KB_ERROR;
    }
    if (*out != NULL && !choice->named_by_caller && !is_held(choice, *out)) {
        kb_principal_free(*out);
        *out = NULL;
    }
    return *out == NULL && choice->password != NULL ? password_alone(choice, err) : KB_OK;
}

/* What to say beside "no password, keytab or cache for bob". */
static const char *lost_secret_text(const struct kb_identity_choice *choice, struct kb_arena *arena)
{
    char text[400], at[256];

    if (choice->lost_secret == NULL || choice->password != NULL || choice->keytab != NULL ||
        choice->cache != NULL) {
        return NULL;
    }
    snprintf(text, sizeof(text), "the %s of %s belongs to another user",
             choice->lost_secret->row->name,
             kb_origin_text(&choice->lost_secret->from, at, sizeof(at)));
    return kb_arena_text(arena, kb_str(text));
}

enum kb_status kb_identity_finish(struct kb_identity_choice *choice, struct kb_options *options,
                                  struct kb_arena *arena, kb_bytes client, struct kb_error *err)
{
    struct kb_principal *user;
    struct kb_buf text;

    if (find_user(choice, client, arena, &user, &options->user_note, err) != KB_OK) {
        return KB_ERROR;
    }
    options->user = user; /* goes with the snapshot, also where this fails */
    if (choice->no_memory) {
        return no_memory(err);
    }
    options->lost_secret = lost_secret_text(choice, arena);
    if (user != NULL && choice->user == NULL) {
        kb_buf_init(&text, 65536);
        kb_principal_unparse(user, &text);
        options->user_name = kb_arena_text(arena, kb_buf_bytes(&text));
        options->user_name_from = (struct kb_origin){.layer = KB_LAYER_CREDENTIAL};
        kb_buf_wipe(&text);
    }
    return user == NULL || options->user_name != NULL ? KB_OK : no_memory(err);
}
