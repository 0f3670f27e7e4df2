#include "mech/options/identity.h"

#include <stdio.h>

#include "mech/options/expand.h"
#include "mech/options/krb5conf.h"
#include "mech/options/text.h"

/* --- User --- */

static enum kb_status no_realm(kb_bytes name, struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_REALM, "no realm is known for user %s", kb_show(name).text);
}

/* Where the realm of a text without one comes from. */
static bool has_realm(kb_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            i++;
        } else if (text.ptr[i] == '@') {
            return true;
        }
    }
    return false;
}

static enum kb_status check_realm(const struct kb_principal *user, kb_bytes text,
                                  struct kb_error *err)
{
    for (size_t i = 0; i < user->realm.len; i++) {
        uint8_t c = user->realm.ptr[i];

        if (kb_is_space(c) || c == ',' || c == ';') {
            return kb_error_set(err, KB_E_USER, "User=%s: `%s` is no realm", kb_show(text).text,
                                kb_show(user->realm).text);
        }
    }
    return KB_OK;
}

static enum kb_status parse_plain(kb_bytes text, kb_bytes default_realm, struct kb_principal **out,
                                  struct kb_error *err)
{
    enum kb_status st = kb_principal_parse(text, KB_NT_PRINCIPAL, default_realm, out);

    if (st == KB_NO_MEMORY) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    if (st != KB_OK) {
        return kb_error_set(err, KB_E_USER, "User=%s is no principal's name", kb_show(text).text);
    }
    st = (*out)->realm.len > 0 ? check_realm(*out, text, err) : no_realm(text, err);
    if (st != KB_OK) {
        kb_principal_free(*out);
        *out = NULL;
    }
    return st;
}

static bool keytab_has(const struct kb_identity_choice *choice, const struct kb_setting *keytab,
                       const struct kb_principal *user)
{
    struct kb_arena arena;
    const char *path = keytab != NULL ? keytab->text : NULL;
    bool has = false;

    if (path == NULL || choice->hooks == NULL || choice->hooks->keytab_has == NULL) {
        return false;
    }
    kb_arena_init(&arena, NULL, 0, 65536);
    if (kb_starts_nocase(path, "FILE:")) {
        path += 5;
    }
    if (kb_expand(path, choice->euid, &arena, &path, NULL) == KB_OK) {
        has = choice->hooks->keytab_has(path, user);
    }
    kb_arena_wipe(&arena);
    return has;
}

/* The reference's `domain/user`. As a principal, X/y without a realm is a service-like name of the
 * default realm; if the keytab has that it is meant, else domain and user if X is a known realm. */
static enum kb_status parse_slashed(const struct kb_identity_choice *choice, kb_bytes text,
                                    kb_bytes realm, kb_bytes name, struct kb_principal **out,
                                    struct kb_error *err)
{
    kb_bytes default_realm = kb_krb5conf_default_realm(choice->krb5conf);

    if (default_realm.len > 0) {
        enum kb_status st = parse_plain(text, default_realm, out, err);

        if (st != KB_OK || keytab_has(choice, choice->keytab, *out) ||
            !kb_krb5conf_knows_realm(choice->krb5conf, realm)) {
            return st;
        }
        kb_principal_free(*out);
    } else if (!kb_krb5conf_knows_realm(choice->krb5conf, realm)) {
        return no_realm(text, err);
    }
    return parse_plain(name, realm, out, err);
}

static enum kb_status parse_user(const struct kb_identity_choice *choice, kb_bytes text,
                                 struct kb_principal **out, struct kb_error *err)
{
    const uint8_t *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    size_t at = slash != NULL ? (size_t)(slash - text.ptr) : 0;

    if (slash == NULL || has_realm(text) || at + 1 == text.len ||
        memchr(slash + 1, '/', text.len - at - 1) != NULL) {
        return parse_plain(text, kb_krb5conf_default_realm(choice->krb5conf), out, err);
    }
    return parse_slashed(choice, text, kb_bytes_of(text.ptr, at),
                         kb_bytes_of(slash + 1, text.len - at - 1), out, err);
}

enum kb_status kb_identity_user(const struct kb_identity_choice *choice,
                                const struct kb_setting *setting, struct kb_principal **out,
                                struct kb_error *err)
{
    struct kb_arena arena;
    enum kb_status st;
    const char *text;
    char buf[256];

    *out = NULL;
    kb_arena_init(&arena, NULL, 0, 65536);
    st = kb_expand(setting->text, choice->euid, &arena, &text, err);
    if (st == KB_OK) {
        st = parse_user(choice, kb_str(text), out, err);
    }
    if (st != KB_OK) {
        kb_error_context(err, "%s", kb_origin_text(&setting->from, buf, sizeof(buf)));
    }
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

static bool user_in_keytab(struct kb_identity_choice *choice, const struct kb_setting *user)
{
    struct kb_principal *principal = choice->keytab != NULL ? user_of(choice, user) : NULL;
    bool has = principal != NULL && keytab_has(choice, choice->keytab, principal);

    kb_principal_free(principal);
    return has;
}

/* What a unit's User leaves standing of the identity from below. */
static void unset_others(struct kb_identity_choice *choice, const struct kb_setting *user)
{
    bool same = user != NULL && choice->user != NULL && same_user(choice, user, choice->user);
    bool keeps_keytab = same || (user != NULL && user_in_keytab(choice, user));

    if (same) {
        return;
    }
    if (choice->user != NULL) {
        choice->lost_user = choice->user;
    }
    choice->user = NULL;
    if (choice->password != NULL || (choice->keytab != NULL && !keeps_keytab)) {
        choice->lost_secret = choice->password != NULL ? choice->password : choice->keytab;
    }
    choice->password = NULL;
    choice->keytab = keeps_keytab ? choice->keytab : NULL;
}

void kb_identity_apply(struct kb_identity_choice *choice, const struct kb_unit *unit)
{
    const struct kb_setting *user = kb_unit_find(unit, KB_OPT_User);
    const struct kb_setting *password = kb_unit_find(unit, KB_OPT_Password);
    const struct kb_setting *keytab = kb_unit_find(unit, KB_OPT_KeytabFile);
    bool of_client = kb_unit_has(unit, KB_IF_CLIENT);

    if ((user == NULL && password == NULL && keytab == NULL) ||
        (of_client && !choice->client_is_named)) {
        return;
    }
    unset_others(choice, user);
    /* A secret in a higher place is the one that is meant, also for the same user. */
    if (password != NULL || keytab != NULL) {
        choice->password = password;
        choice->keytab = keytab;
        choice->named_by_caller = of_client || unit->layer >= KB_LAYER_CREDENTIAL;
    }
    choice->user = user != NULL ? user : choice->user;
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
    return client.len > 0
               ? parse_plain(client, kb_krb5conf_default_realm(choice->krb5conf), out, err)
               : KB_OK;
}

/* The snapshot's own copy of the principal: it goes with the snapshot. */
static enum kb_status find_user(const struct kb_identity_choice *choice, kb_bytes client,
                                struct kb_principal **out, struct kb_error *err)
{
    *out = NULL;
    if (choice->user != NULL) {
        return kb_identity_user(choice, choice->user, out, err);
    }
    if (choice->keytab == NULL && choice->password == NULL) {
        return KB_OK;
    }
    if (take_client(choice, client, out, err) != KB_OK) {
        return KB_ERROR;
    }
    if (*out != NULL && !choice->named_by_caller && !keytab_has(choice, choice->keytab, *out)) {
        kb_principal_free(*out);
        *out = NULL;
    }
    return *out == NULL && choice->password != NULL ? password_alone(choice, err) : KB_OK;
}

/* What to say beside "no password, keytab or cache for bob". */
static const char *lost_secret_text(const struct kb_identity_choice *choice, struct kb_arena *arena)
{
    char text[400], at[256];

    if (choice->lost_secret == NULL || choice->password != NULL || choice->keytab != NULL) {
        return NULL;
    }
    snprintf(text, sizeof(text), "the %s of %s belongs to another user",
             choice->lost_secret->row->name,
             kb_origin_text(&choice->lost_secret->from, at, sizeof(at)));
    return kb_arena_text(arena, kb_str(text));
}

enum kb_status kb_identity_finish(const struct kb_identity_choice *choice,
                                  struct kb_options *options, struct kb_arena *arena,
                                  kb_bytes client, struct kb_error *err)
{
    struct kb_principal *user;
    struct kb_buf text;

    if (choice->no_memory) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    if (find_user(choice, client, &user, err) != KB_OK) {
        return KB_ERROR;
    }
    options->user = user;
    options->lost_secret = lost_secret_text(choice, arena);
    if (user != NULL && choice->user == NULL) {
        kb_buf_init(&text, 65536);
        kb_principal_unparse(user, &text);
        options->user_name = kb_arena_text(arena, kb_buf_bytes(&text));
        options->user_name_from = (struct kb_origin){.layer = KB_LAYER_CREDENTIAL};
        kb_buf_wipe(&text);
    }
    return user == NULL || options->user_name != NULL
               ? KB_OK
               : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}
