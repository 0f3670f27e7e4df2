#include "mech/options/user.h"

#include <stdarg.h>

#include "mech/options/krb5conf.h"
#include "mech/options/text.h"

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

static enum kb_status no_realm(kb_bytes name, struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_REALM, "no realm is known for user %s", kb_show(name).text);
}

/* Is there an `@` that parts name and realm? */
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

static enum kb_status parse_as(kb_bytes text, int32_t type, kb_bytes default_realm,
                               struct kb_principal **out, struct kb_error *err)
{
    enum kb_status st = kb_principal_parse(text, type, default_realm, out);

    if (st == KB_NO_MEMORY) {
        return no_memory(err);
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

/* "User=X/y is read as …" */
static enum kb_status tell(kb_bytes text, const struct kb_principal *user, const char *why,
                           struct kb_arena *arena, const char **note, struct kb_error *err)
{
    struct kb_buf line;

    if (note == NULL) {
        return KB_OK;
    }
    kb_buf_init(&line, 65536);
    kb_buf_printf(&line, "User=%s is read as ", kb_show(text).text);
    kb_name_print(&user->name, user->realm, &line);
    kb_buf_printf(&line, ": %s", why);
    *note = line.status == KB_OK ? kb_arena_text(arena, kb_buf_bytes(&line)) : NULL;
    kb_buf_wipe(&line);
    return *note != NULL ? KB_OK : no_memory(err);
}

/* --- X/y --- */

static bool has_dot(kb_bytes text)
{
    return text.len > 0 && memchr(text.ptr, '.', text.len) != NULL;
}

/* Where no default realm is known, the principal X/y has none, so what looks like a realm's name is
 * one; no service's name has a dot. */
static bool is_realm(const struct kb_user_reader *reader, kb_bytes realm, bool has_default)
{
    return kb_krb5conf_knows_realm(reader->krb5conf, realm) || (!has_default && has_dot(realm));
}

/* The reference's `domain/user`. As a principal, X/y without a realm is a service-like name of the
 * default realm; if keytab or cache have that it is meant, else domain and user if X is a realm. */
static enum kb_status parse_slashed(const struct kb_user_reader *reader, kb_bytes text,
                                    kb_bytes realm, kb_bytes name, struct kb_arena *arena,
                                    struct kb_principal **out, const char **note,
                                    struct kb_error *err)
{
    kb_bytes default_realm = kb_krb5conf_default_realm(reader->krb5conf);
    const char *why = "no realm of that name is known";

    if (default_realm.len > 0) {
        if (parse_as(text, KB_NT_PRINCIPAL, default_realm, out, err) != KB_OK) {
            return KB_ERROR;
        }
        if (reader->has != NULL && reader->has(reader->context, *out)) {
            return tell(text, *out, "the keytab or cache holds that", arena, note, err);
        }
    }
    if (is_realm(reader, realm, default_realm.len > 0)) {
        kb_principal_free(*out);
        why = "the part before the slash is a realm";
        if (parse_as(name, KB_NT_PRINCIPAL, realm, out, err) != KB_OK) {
            return KB_ERROR;
        }
    }
    return *out != NULL ? tell(text, *out, why, arena, note, err) : no_realm(text, err);
}

/* --- enterprise names, RFC 6806 5 --- */

/* The realm to ask first: the default one; where none is known, the suffix, which in Active
 * Directory mostly is one. */
static enum kb_status parse_enterprise(const struct kb_user_reader *reader, kb_bytes text,
                                       struct kb_arena *arena, struct kb_principal **out,
                                       const char **note, struct kb_error *err)
{
    kb_bytes realm = kb_krb5conf_default_realm(reader->krb5conf);
    const uint8_t *at = memrchr(text.ptr, '@', text.len);
    bool by_suffix = realm.len == 0 && at != NULL && memchr(text.ptr, '@', text.len) == at;
    enum kb_status st;

    if (by_suffix) {
        char *upper =
            kb_arena_text(arena, kb_bytes_of(at + 1, text.len - (size_t)(at + 1 - text.ptr)));

        if (upper == NULL) {
            return no_memory(err);
        }
        for (char *c = upper; *c != '\0'; c++) {
            *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
        }
        realm = kb_str(upper);
    }
    st = parse_as(text, KB_NT_ENTERPRISE, realm, out, err);
    return st == KB_OK && by_suffix
               ? tell(text, *out, "no default realm is known, so its suffix is asked", arena, note,
                      err)
               : st;
}

enum kb_status kb_user_parse(const struct kb_user_reader *reader, kb_bytes text,
                             struct kb_arena *arena, struct kb_principal **out, const char **note,
                             struct kb_error *err)
{
    const uint8_t *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    size_t at = slash != NULL ? (size_t)(slash - text.ptr) : 0;

    *out = NULL;
    if (note != NULL) {
        *note = NULL;
    }
    if (reader->enterprise && text.len > 0) {
        return parse_enterprise(reader, text, arena, out, note, err);
    }
    if (slash == NULL || has_realm(text) || at == 0 || at + 1 == text.len ||
        memchr(slash + 1, '/', text.len - at - 1) != NULL) {
        return parse_as(text, KB_NT_PRINCIPAL, kb_krb5conf_default_realm(reader->krb5conf), out,
                        err);
    }
    return parse_slashed(reader, text, kb_bytes_of(text.ptr, at),
                         kb_bytes_of(slash + 1, text.len - at - 1), arena, out, note, err);
}
