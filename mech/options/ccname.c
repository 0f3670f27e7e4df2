#include "mech/options/ccname.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/types.h>

#include "mech/names/keyring_name.h"
#include "mech/options/expand.h"
#include "mech/options/file.h"
#include "mech/options/krb5conf.h"
#include "mech/options/options.h"
#include "mech/options/text.h"

/* Types that other systems have. */
static const char others[][12] = {"API:", "MSLSA:"};

#define THERE_ARE                                                                                  \
    "there are FILE:PATH, DIR:DIRECTORY, KEYRING:ANCHOR:NAME, KCM:NAME, MEMORY:NAME and auto"

/* The type in front of a name ("FILE:"), with its colon; 0: none, as in a path. */
static size_t type_len(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-");

    return len > 0 && text[len] == ':' ? len + 1 : 0;
}

static bool is_auto(const char *text)
{
    return kb_equal_nocase(kb_str(text), KB_LIT("auto"));
}

/* What %{...} stands for is not known yet. */
static enum kb_status check_keyring(const char *text, struct kb_error *err)
{
    struct kb_keyring_name name;
    const char *why;

    if (strstr(text, "%{") != NULL) {
        return kb_expand_check(text, err);
    }
    return kb_keyring_name_parse(text, &name, &why) == KB_OK
               ? KB_OK
               : kb_error_set(err, KB_E_OPTION, "%s", why);
}

enum kb_status kb_ccname_check(const char *text, struct kb_error *err)
{
    size_t len = type_len(text);

    if (is_auto(text)) {
        return KB_OK;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (kb_starts_nocase(text, others[i])) {
            return kb_error_set(err, KB_E_OPTION,
                                "caches of type %s are another system's; " THERE_ARE, others[i]);
        }
    }
    if (kb_starts_nocase(text, "KEYRING:")) {
        return check_keyring(text + len, err);
    }
    if (kb_starts_nocase(text, "KCM:")) { /* without a name: all of the user's */
        return kb_expand_check(text + len, err);
    }
    if (len > 0 && text[len] == '\0') {
        return kb_error_set(err, KB_E_OPTION, "no name behind the cache's type");
    }
    if (kb_starts_nocase(text, "MEMORY:")) {
        return KB_OK;
    }
    if (kb_starts_nocase(text, "DIR::") &&
        (strrchr(text, '/') == NULL || strncmp(strrchr(text, '/'), "/tkt", 4) != 0)) {
        return kb_error_set(err, KB_E_OPTION,
                            "a cache in a directory is named DIR::/directory/tkt...; the whole of "
                            "it is DIR:/directory");
    }
    if (kb_starts_nocase(text, "DIR:")) {
        return kb_expand_check(text + len, err);
    }
    if (len > 0 && !kb_starts_nocase(text, "FILE:")) {
        return kb_error_set(err, KB_E_OPTION, "there is no type of caches `%s`; " THERE_ARE,
                            kb_show(kb_bytes_of(text, len)).text);
    }
    return text[strlen(text) - 1] != '/'
               ? kb_expand_check(text + len, err)
               : kb_error_set(err, KB_E_OPTION, "a directory's name; a cache is a file");
}

bool kb_ccname_is_place(const char *text)
{
    return kb_starts_nocase(text, "MEMORY:") || is_auto(text);
}

enum kb_status kb_ccname_expand(const char *text, uid_t euid, struct kb_arena *arena,
                                const char **out, struct kb_error *err)
{
    const char *type = kb_starts_nocase(text, "MEMORY:")    ? "MEMORY:"
                       : kb_starts_nocase(text, "KEYRING:") ? "KEYRING:"
                       : kb_starts_nocase(text, "KCM:")     ? "KCM:"
                       : kb_starts_nocase(text, "DIR::")    ? "DIR::"
                       : kb_starts_nocase(text, "DIR:")     ? "DIR:"
                                                            : "FILE:";
    struct kb_keyring_name keyring;
    const char *path, *why;
    struct kb_buf name;

    *out = NULL;
    if (is_auto(text)) {
        *out = "auto"; /* its path is found with the identity: login/auto.h */
        return KB_OK;
    }
    text += type_len(text);
    if (kb_expand(strcmp(type, "DIR::") == 0 ? text + 1 : text, euid, arena, &path, err) != KB_OK) {
        return KB_ERROR;
    }
    if (strcmp(type, "KEYRING:") == 0 && kb_keyring_name_parse(path, &keyring, &why) != KB_OK) {
        return kb_error_set(err, KB_E_OPTION, "KEYRING:%s: %s", path, why);
    }
    kb_buf_init(&name, PATH_MAX + 16);
    kb_buf_printf(&name, "%s%s", type, path);
    if (name.status == KB_OK) {
        *out = kb_arena_text(arena, kb_buf_bytes(&name));
    }
    kb_buf_wipe(&name);
    return *out != NULL ? KB_OK : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

/* --- the platform's default cache --- */

static enum kb_status add_expanded(const char *text, uid_t euid, struct kb_buf *out,
                                   struct kb_error *err)
{
    struct kb_arena arena;
    const char *name;
    enum kb_status st;

    kb_arena_init(&arena, NULL, 0, 65536);
    st = kb_expand_platforms(text, euid, &arena, &name, err);
    if (st == KB_OK) {
        kb_buf_printf(out, "%s%s", type_len(name) == 0 ? "FILE:" : "", name);
    }
    kb_arena_wipe(&arena);
    return st;
}

enum kb_status kb_options_default_ccache(const struct kb_options *options, struct kb_buf *out,
                                         struct kb_error *err)
{
    const char *name = secure_getenv("KRB5CCNAME");

    if (name != NULL && name[0] != '\0') {
        kb_buf_printf(out, "%s%s", type_len(name) == 0 ? "FILE:" : "", name);
        return KB_OK;
    }
    name = kb_krb5conf_text(options->krb5conf, "libdefaults", NULL, "default_ccache_name");
    if (name == NULL) {
        /* MIT's built-in name has the real user's number. */
        name = "/tmp/krb5cc_%{uid}";
    }
    if (add_expanded(name, options->euid, out, err) != KB_OK) {
        kb_error_context(err, "krb5.conf: default_ccache_name");
        return KB_ERROR;
    }
    return KB_OK;
}

const char *kb_options_kcm_socket(const struct kb_krb5conf *conf)
{
    return kb_krb5conf_text(conf, "libdefaults", NULL, "kcm_socket");
}
