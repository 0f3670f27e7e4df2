/* krb5conf.h - what krb5.conf says to clients: realms, KDCs, domains, defaults.
 *
 * It never configures an identity. A kb_krb5conf is immutable and counted; any thread. Lookups lend
 * text that lives as long as it. */
#ifndef KB_KRB5CONF_H
#define KB_KRB5CONF_H

#include "mech/options/file.h"
#include "mech/options/options.h"

struct kb_krb5conf;

/* kb_krb5conf_load reads the files of `paths` (colon-separated, `~/` is the user's home; NULL:
 * /etc/krb5.conf). May ask nsswitch. One that is not there is fine; the first file that sets a
 * value wins. What it read is watched from `watch`'s lives in `arena`. On KB_ERROR *err names file
 * and line. */
KB_MUST_USE enum kb_status kb_krb5conf_load(const char *paths, struct kb_arena *arena,
                                            struct kb_watch **watched,
                                            const struct kb_krb5conf **out, struct kb_error *err);

/* kb_krb5conf_parse reads one text without following its includes. */
KB_MUST_USE enum kb_status kb_krb5conf_parse(kb_bytes text, const struct kb_krb5conf **out,
                                             struct kb_error *err);

const struct kb_krb5conf *kb_krb5conf_ref(const struct kb_krb5conf *conf);
void kb_krb5conf_put(const struct kb_krb5conf *conf); /* NULL is accepted */

/* In all of these, a NULL conf says nothing. */

/* kb_krb5conf_default_realm is [libdefaults] default_realm; KB_NONE if it is not set. */
kb_bytes kb_krb5conf_default_realm(const struct kb_krb5conf *conf);

/* kb_krb5conf_kdcs lists the `kdc` lines of a realm, in order and as KDCHost takes them. */
kb_opt_LIST kb_krb5conf_kdcs(const struct kb_krb5conf *conf, kb_bytes realm);

/* kb_krb5conf_knows_realm: is it the default realm, or one of [realms]? */
bool kb_krb5conf_knows_realm(const struct kb_krb5conf *conf, kb_bytes realm);

/* kb_krb5conf_realm_of_host asks [domain_realm]: for a.b.c the names a.b.c, .b.c, b.c, .c and c,
 * the first that is there. KB_NONE: none, or an IP address. */
kb_bytes kb_krb5conf_realm_of_host(const struct kb_krb5conf *conf, kb_bytes host);

/* kb_krb5conf_text is the first value of [section] name (sub NULL) or [section] sub = { name };
 * NULL: not set. */
const char *kb_krb5conf_text(const struct kb_krb5conf *conf, const char *section, const char *sub,
                             const char *name);

/* kb_krb5conf_value is the value number `number` (the first is 0) of [section] sub = { name }, or
 * with KB_NONE for sub of [section] name; NULL: there are not so many. */
const char *kb_krb5conf_value(const struct kb_krb5conf *conf, const char *section, kb_bytes sub,
                              kb_bytes name, size_t number);

/* kb_krb5conf_capath lists the realms that [capaths] puts between a client's realm and a server's,
 * the one next to the client first; none (`.`) where these two share a key. They are lent. KB_OK;
 * KB_NOT_FOUND: it says nothing, so the hierarchy of their names holds; KB_TOO_BIG: they are more
 * than `max`. */
KB_MUST_USE enum kb_status kb_krb5conf_capath(const struct kb_krb5conf *conf, kb_bytes client_realm,
                                              kb_bytes server_realm, kb_bytes *out, size_t max,
                                              size_t *out_num);

/* kb_krb5conf_http_anchor is a realm's http_anchors number `number`, as it is written ("FILE:PATH",
 * "DIR:PATH", "ENV:NAME"); NULL: there are not so many. */
const char *kb_krb5conf_http_anchor(const struct kb_krb5conf *conf, kb_bytes realm, size_t number);

/* kb_krb5conf_module is the argument of a `module` directive, which is not followed; NULL: none. */
const char *kb_krb5conf_module(const struct kb_krb5conf *conf);

/* kb_krb5conf_default is the value of [libdefaults] NAME, for which a subsection named as `realm`
 * (may be KB_NONE) comes first, and where it stands; NULL: not set. */
const char *kb_krb5conf_default(const struct kb_krb5conf *conf, kb_bytes realm, const char *name,
                                struct kb_origin *from);

/* kb_krb5conf_primary_kdcs lists the `primary_kdc` lines of a realm, else its `master_kdc` lines
 * (their name before MIT 1.18), as kb_krb5conf_kdcs does. */
kb_opt_LIST kb_krb5conf_primary_kdcs(const struct kb_krb5conf *conf, kb_bytes realm);

/* Values as MIT's library reads them: booleans (y, yes, true, t, 1, on, ...), and times
 * (krb5_string_to_deltat: seconds, 1d2h3m4s with or without blanks, h:m[:s], d-h:m:s). */
bool kb_krb5conf_parse_bool(kb_bytes text, bool *out);
bool kb_krb5conf_parse_seconds(kb_bytes text, int64_t *out);

/* kb_krb5conf_dns: dns_lookup_kdc and dns_lookup_realm as MIT's library reads them: the old name
 * dns_fallback stands for one that is not set, and what is no word for yes is no. */
bool kb_krb5conf_dns(const struct kb_krb5conf *conf, const char *name, bool otherwise);

/* kb_krb5conf_realm_bool is a truth value of [realms] realm = { }. */
bool kb_krb5conf_realm_bool(const struct kb_krb5conf *conf, kb_bytes realm, const char *name,
                            bool otherwise);

/* Typed values of [libdefaults], for which a subsection named as `realm` (may be KB_NONE) comes
 * first; `otherwise` where there is none or one of another type. */
bool kb_krb5conf_bool(const struct kb_krb5conf *conf, kb_bytes realm, const char *name,
                      bool otherwise);
int64_t kb_krb5conf_seconds(const struct kb_krb5conf *conf, kb_bytes realm, const char *name,
                            int64_t otherwise);

#endif
