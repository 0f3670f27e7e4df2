/* security.h - which OpenSSL a login uses: UseInternalSecurityAPI, UseFIPSCompliantAPI.
 *
 * They hold for the whole process, from its first key on (crypto/provider.h). A login whose options
 * ask for another kind than is in use fails; it never goes on with what is there. Any thread. */
#ifndef KB_SECURITY_H
#define KB_SECURITY_H

#include "mech/options/options.h"

/* kb_security_choose costs a load and a comparison once it is settled. What is not the built-in
 * kind is loaded at once: that it is missing is said before anything is sent. KB_E_SECURITY_FIXED,
 * KB_E_NO_CRYPTO. */
KB_MUST_USE enum kb_status kb_security_choose(const struct kb_options *options,
                                              struct kb_error *err);

/* kb_security_has tells whether OpenSSL, as kb_security_choose has settled it, has all that an
 * enctype needs. KB_E_NO_PRIMITIVE: *err says what is missing and why. */
KB_MUST_USE enum kb_status kb_security_has(int32_t etype, struct kb_error *err);

/* kb_security_explain puts the reason of OpenSSL's absence in front of an error that says no more
 * than that. */
void kb_security_explain(struct kb_error *err);

#endif
