#include "mech/login/hostname.h"

#include <stdlib.h>

#include "mech/login/work.h"
#include "mech/options/krb5conf.h"

void kb_hostname_known(const struct kb_target *target, bool reverse, char out[256])
{
    char host[256];

    out[0] = '\0';
    if (target->host_based && target->host.len > 0 && target->host.len < sizeof(host)) {
        memcpy(host, target->host.ptr, target->host.len);
        host[target->host.len] = '\0';
        kb_net_known_name(host, reverse, out);
    }
}

static enum kb_status ask(const struct kb_login *login, const struct kb_target *target,
                          bool reverse, char out[256], struct kb_error *err)
{
    char *given = kb_strdup(target->host);
    int64_t start_ms = kb_now_ms();
    enum kb_status st = KB_NO_MEMORY;
    struct kb_wait wait;

    kb_login_start_waiting(login, &wait);
    if (given != NULL) {
        st = kb_net_canonical_name(&wait, given, reverse, out);
    }
    if (st != KB_OK && st != KB_NOT_FOUND) {
        st = kb_work_gave_up(&wait, st, start_ms,
                             "for the resolver to find the target's canonical name", err);
    }
    kb_wait_stop(&wait);
    free(given);
    return st;
}

static bool counts(const struct kb_login *login, const struct kb_target *target)
{
    return login->options->dns_canonicalize == KB_CANONICALIZE_ALWAYS && target->host_based &&
           target->host.len > 0;
}

static bool is_reverse(const struct kb_login *login)
{
    return kb_krb5conf_bool(login->options->krb5conf, KB_NONE, "rdns", false);
}

void kb_hostname_recall(const struct kb_login *login, const struct kb_target *target, char out[256])
{
    out[0] = '\0';
    if (counts(login, target)) {
        kb_hostname_known(target, is_reverse(login), out);
    }
}

enum kb_status kb_hostname_now(const struct kb_login *login, const struct kb_target *target,
                               char out[256], struct kb_error *err)
{
    enum kb_status st = KB_OK;

    kb_hostname_recall(login, target, out);
    if (out[0] == '\0' && counts(login, target)) {
        st = ask(login, target, is_reverse(login), out, err);
    }
    return st == KB_NOT_FOUND ? KB_OK : st;
}
