#include "mech/options/ktname.h"

#include <limits.h>
#include <stdlib.h>

#include "config.h"
#include "mech/options/expand.h"
#include "mech/options/krb5conf.h"
#include "mech/options/options.h"
#include "mech/options/text.h"

/* The type in front of a name ("FILE:"), with its colon; 0: none, as in a path. */
static size_t type_len(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");

    return len > 1 && text[len] == ':' ? len + 1 : 0;
}

const char *kb_ktname_path(const char *text)
{
    return kb_starts_nocase(text, "FILE:")     ? text + 5
           : kb_starts_nocase(text, "WRFILE:") ? text + 7
                                               : text;
}

enum kb_status kb_ktname_check(const char *text, struct kb_error *err)
{
    const char *path = kb_ktname_path(text);
    size_t len = path == text ? type_len(text) : 0;

    if (kb_starts_nocase(text, "MEMORY:")) {
        return kb_error_set(err, KB_E_KEYTAB,
                            "MEMORY: keytabs belong to libkrb5 and cannot be seen from here");
    }
    if (len > 0) {
        return kb_error_set(err, KB_E_KEYTAB,
                            "keytabs of type %s are not read; use FILE: or a path",
                            kb_show(kb_bytes_of(text, len)).text);
    }
    return path[0] != '\0' || path == text
               ? kb_expand_check(path, err)
               : kb_error_set(err, KB_E_KEYTAB, "no path behind the keytab's type");
}

/* --- the platform's client keytab --- */

static enum kb_status add_expanded(const char *name, uid_t euid, struct kb_buf *out,
                                   struct kb_error *err)
{
    struct kb_arena arena;
    const char *path;
    enum kb_status st;

    kb_arena_init(&arena, NULL, 0, 65536);
    st = kb_expand_platforms(name, euid, &arena, &path, err);
    if (st == KB_OK) {
        kb_buf_add_str(out, path);
    }
    kb_arena_wipe(&arena);
    return st;
}

enum kb_status kb_options_client_keytab(const struct kb_options *options, struct kb_buf *out,
                                        struct kb_error *err)
{
    const char *name = secure_getenv("KRB5_CLIENT_KTNAME"), *from = "KRB5_CLIENT_KTNAME";

    if (name == NULL || name[0] == '\0') {
        name =
            kb_krb5conf_text(options->krb5conf, "libdefaults", NULL, "default_client_keytab_name");
        from = "krb5.conf: default_client_keytab_name";
    }
    if (name == NULL) {
        name = KB_CLIENT_KEYTAB;
        from = "the platform's client keytab";
    }
    if (kb_ktname_path(name) == name && type_len(name) > 0) {
        return KB_NOT_FOUND;
    }
    if (add_expanded(kb_ktname_path(name), options->euid, out, err) != KB_OK) {
        kb_error_context(err, "%s", from);
        return KB_ERROR;
    }
    return out->status;
}
