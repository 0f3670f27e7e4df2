/* The realm of a host where nobody names it: realms.h. */
#include "mech/login/discover.h"
#include "mech/login/hostname.h"
#include "mech/login/learned.h"
#include "mech/login/realms.h"
#include "mech/options/value.h"

/* The ticket that we had tells, until it makes room for another; then the file beside the cache. */
kb_bytes kb_realms_learned(struct kb_work *work, const struct kb_target *target, char buf[256])
{
    struct kb_work_key key;
    struct kb_credential *last;
    kb_bytes realm = KB_NONE;
    char canonical[256];

    kb_hostname_recall(work->login, target, canonical);
    last = kb_shared_find(kb_identity_shared(work->identity), kb_work_key(target, canonical, &key),
                          0, INT64_MIN / 2);
    if (last != NULL && last->server->realm.len < 256 &&
        !kb_equal(last->server->realm, last->client->realm)) {
        memcpy(buf, last->server->realm.ptr, last->server->realm.len);
        realm = kb_bytes_of(buf, last->server->realm.len);
    } else if (last == NULL) {
        realm = kb_bytes_of(buf, kb_learned_realm(work, target->asked, buf));
    }
    kb_credential_free(last);
    return realm;
}

void kb_realms_learn(struct kb_work *work, const struct kb_target *target,
                     const struct kb_credential *ticket, bool was_elsewhere)
{
    bool home = kb_equal(ticket->server->realm, ticket->client->realm);

    if (!home || was_elsewhere) {
        kb_learned_set_realm(work, target->asked, home ? KB_NONE : ticket->server->realm);
    }
}

static bool has_kdcs(struct kb_work *work, kb_bytes realm)
{
    struct kb_error ignored = {0};
    struct kb_kdc kdc;

    return kb_locate_kdcs(&work->locate, realm, false, &kdc, 1, &ignored) > 0;
}

/* MIT's src/lib/krb5/os/hostrealm_domain.c: as many domains as realm_try_domains says, -1 for none;
 * not the last label. */
kb_bytes kb_realms_suggested(struct kb_work *work, kb_bytes host, char buf[256])
{
    const struct kb_krb5conf *conf = work->login->options->krb5conf;
    const char *text = kb_krb5conf_text(conf, "libdefaults", NULL, "realm_try_domains");
    kb_bytes domain = kb_path_of_host(host, buf), realm;
    int64_t tries = -1;
    char said[256];

    if (kb_krb5conf_dns(conf, "dns_lookup_realm", false) &&
        kb_discover_realm(host, work->wait, said) == KB_OK) {
        memcpy(buf, said, sizeof(said));
        return kb_str(buf);
    }
    if (domain.len == 0) {
        return kb_krb5conf_default_realm(conf);
    }
    if (text != NULL && !kb_parse_integer(kb_str(text), &tries)) {
        tries = -1;
    }
    realm = kb_str(buf);
    while (tries-- >= 0 && memchr(realm.ptr, '.', realm.len) != NULL) {
        if (has_kdcs(work, realm)) {
            return realm;
        }
        realm = kb_str(strchr((const char *)realm.ptr, '.') + 1);
    }
    return domain;
}
