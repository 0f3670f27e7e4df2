/* identity.h - who options say that we are, for tests in a place of their own (place.h). */
#ifndef KB_TEST_IDENTITY_H
#define KB_TEST_IDENTITY_H

#include "mech/login/identity.h"

/* identity_of is `user` of realm TEST with this password, whose KDC is 127.0.0.1: out of
 * KERBSIDE_OPTIONS, which it sets. more: further options, or "". Put it with kb_identity_put. */
struct kb_identity *identity_of(const char *user, const char *password, const char *more);

#endif
