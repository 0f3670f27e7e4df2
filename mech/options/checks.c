#include "mech/options/checks.h"

#include "mech/names/target.h"
#include "mech/options/ccname.h"
#include "mech/options/etypes.h"
#include "mech/options/expand.h"
#include "mech/options/kdc.h"
#include "mech/options/ktname.h"
#include "mech/options/password.h"
#include "mech/options/text.h"

/* --- the identity --- */

/* "CORP\alice" is Windows' spelling; in Kerberos' text form the backslash would vanish in silence.
 */
static enum kb_status check_user(const char *text, struct kb_error *err)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '\\') {
            continue;
        }
        at++;
        if (*at == '\0' || strchr("/@\\ntb0", *at) == NULL) {
            return kb_error_set(err, KB_E_USER, "DOMAIN\\user is not understood; write user@REALM");
        }
    }
    return kb_expand_check(text, err);
}

static enum kb_status check_password(const char *text, enum kb_layer layer, struct kb_error *err)
{
    const char *where;

    switch (kb_secret_parse(text, &where)) {
    case KB_SECRET_FILE:
        return where[0] != '\0' ? kb_expand_check(where, err)
                                : kb_error_set(err, KB_E_OPTION, "no path behind file:");
    case KB_SECRET_ENV:
        return where[0] != '\0' && strchr(where, '=') == NULL
                   ? KB_OK
                   : kb_error_set(err, KB_E_OPTION, "no variable's name behind env:");
    case KB_SECRET_FD:
        if (layer < KB_LAYER_ENVIRONMENT) {
            return kb_error_set(err, KB_E_OPTION,
                                "fd: works only in KERBSIDE_OPTIONS and on a credential");
        }
        return kb_secret_is_descriptor(where)
                   ? KB_OK
                   : kb_error_set(err, KB_E_OPTION, "no descriptor's number behind fd:");
    case KB_SECRET_INLINE:
        break;
    }
    return KB_OK;
}

/* --- names of hosts and services --- */

static enum kb_status check_kdcs(const char *text, struct kb_error *err)
{
    kb_bytes rest = kb_str(text), word;
    struct kb_kdc_word parsed;

    while (kb_take_word(&rest, &word)) {
        if (kb_kdc_word_parse(word, &parsed, err) != KB_OK) {
            return KB_ERROR;
        }
    }
    return KB_OK;
}

/* `%{hostname}` may stand in it; what it becomes is checked when it is used. */
static enum kb_status check_host(const char *text, struct kb_error *err)
{
    return strstr(text, "%{") != NULL ? kb_expand_check(text, err)
                                      : kb_host_check(kb_str(text), err);
}

static enum kb_status check_local(const char *text, struct kb_error *err)
{
    const char *colon = strchr(text, ':');

    return colon != NULL && strchr(colon + 1, ':') == NULL
               ? kb_error_set(err, KB_E_OPTION, "it is an address alone; its port is LocalPort")
               : check_host(text, err);
}

static enum kb_status check_firewall(const char *text, struct kb_error *err)
{
    if (strstr(text, "://") != NULL) {
        return kb_error_set(err, KB_E_OPTION, "it is a host, no URL; its port is FirewallPort");
    }
    if (kb_host_family(kb_str(text)) == 0 && strchr(text, ':') != NULL) {
        return kb_error_set(err, KB_E_OPTION, "it is a host alone; its port is FirewallPort");
    }
    return check_host(text, err);
}

static enum kb_status check_spn(const char *text, struct kb_error *err)
{
    struct kb_principal *principal = NULL;
    struct kb_target target;
    enum kb_status st = kb_target_of_spn(&target, text);

    if (st == KB_OK && !target.host_based) {
        const char *slash = strchr(text, '/');

        st = slash != NULL && slash[1] != '\0' && slash[1] != '@'
                 ? kb_principal_parse(kb_str(text), KB_NT_PRINCIPAL, KB_LIT("R"), &principal)
                 : KB_MALFORMED;
        kb_principal_free(principal);
    }
    if (st == KB_NO_MEMORY) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    return st == KB_OK ? kb_expand_check(text, err)
                       : kb_error_set(err, KB_E_OPTION,
                                      "a service is written service/host, service/host@REALM or "
                                      "service@host");
}

/* The header lines of FirewallData go out as they are: one that is none would break the request,
 * and an empty one would end its head. */
static enum kb_status check_headers(const char *text, struct kb_error *err)
{
    kb_bytes rest = kb_str(text), line;

    while (kb_take_line(&rest, &line)) {
        size_t len = 0;

        while (len < line.len && line.ptr[len] > ' ' && line.ptr[len] < 0x7f &&
               line.ptr[len] != ':') {
            len++;
        }
        if (len == 0 || len == line.len || line.ptr[len] != ':') {
            return kb_error_set(err, KB_E_OPTION,
                                "a line that is no `Name: value`; lines are parted by \\n in a "
                                "quoted value");
        }
        if (memchr(line.ptr, '\r', line.len) != NULL) {
            return kb_error_set(err, KB_E_OPTION, "a \\r that ends no line");
        }
    }
    return KB_OK;
}

/* --- files --- */

static enum kb_status wrong_sink(const char *what, struct kb_error *err)
{
    return kb_error_set(err, KB_E_OPTION, "%s", what);
}

/* Where LogFile, TraceFile and PacketCapture lead, beside files: mech/report/sink.h. */
static enum kb_status check_sink(enum kb_option_id id, const char *text, struct kb_error *err)
{
    bool is_log = id == KB_OPT_LogFile;

    if (kb_equal_nocase(kb_str(text), KB_LIT("stdout"))) {
        return wrong_sink("stdout is the program's own; there is stderr", err);
    }
    if (kb_equal_nocase(kb_str(text), KB_LIT("stderr"))) {
        return id == KB_OPT_PacketCapture ? wrong_sink("a capture is no text; it needs a file", err)
               : strcmp(text, "stderr") == 0 ? KB_OK
                                             : wrong_sink("it is written stderr", err);
    }
    if (kb_starts_nocase(text, "syslog")) {
        return !is_log ? wrong_sink("only LogFile goes to the system's log", err)
               : strncmp(text, "syslog:", 7) == 0 && (text[7] == '\0' || text[7] == '/')
                   ? KB_OK
                   : wrong_sink("the system's log is written syslog:", err);
    }
    return text[strlen(text) - 1] != '/' ? kb_expand_check(text, err)
                                         : wrong_sink("a directory's name; it must be a file", err);
}

/* --- */

enum kb_status kb_check_text(const struct kb_option_row *row, const char *text, enum kb_layer layer,
                             struct kb_error *err)
{
    enum kb_option_id id = kb_option_id(row);
    struct kb_etype_list etypes;

    switch (id) {
    case KB_OPT_User:
        return check_user(text, err);
    case KB_OPT_Password:
        return check_password(text, layer, err);
    case KB_OPT_KeytabFile:
        return kb_ktname_check(text, err);
    case KB_OPT_CredentialsCacheFile:
        return kb_ccname_check(text, err);
    case KB_OPT_KDCHost:
    case KB_OPT_PrimaryKDC:
        return check_kdcs(text, err);
    case KB_OPT_LocalHost:
        return check_local(text, err);
    case KB_OPT_FirewallHost:
        return check_firewall(text, err);
    case KB_OPT_FirewallData:
        return check_headers(text, err);
    case KB_OPT_SPN:
        return check_spn(text, err);
    case KB_OPT_LogFile:
    case KB_OPT_TraceFile:
    case KB_OPT_PacketCapture:
        return check_sink(id, text, err);
    default:
        return row->type == KB_OPTION_ETYPES ? kb_etypes_parse(kb_str(text), &etypes, err)
                                             : kb_expand_check(text, err);
    }
}
