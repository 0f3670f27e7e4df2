/* old.h - what is told of old encryption types: RFC 6649 (single DES), RFC 8429 (triple DES, RC4).
 *
 * They are used only where somebody names them, and a log then says so twice: once in a process for
 * each one that is named, and at every login that really uses one, which key that is and what to do
 * so that it need not be. Any thread. */
#ifndef KB_OLD_H
#define KB_OLD_H

#include "crypto/enctype.h"
#include "mech/report/events.h"

/* kb_old_is: may this enctype only be used where it is named? */
bool kb_old_is(int32_t etype);

/* kb_old_rfc is the RFC that says so: "RFC 8429". */
const char *kb_old_rfc(int32_t etype);

/* kb_old_named tells of the old ones in a list that `where` ("/etc/kerbside.conf:3") names, each
 * once in a process. */
void kb_old_named(struct kb_events *events, const char *where, const int32_t *etypes, size_t num);

/* Whose key it is. */
enum kb_old_key {
    KB_OLD_CLIENT,  /* the user's long-term key */
    KB_OLD_TGT,     /* the session key of a TGT */
    KB_OLD_TICKET,  /* the session key of a service ticket */
    KB_OLD_MESSAGES /* the key that a context's messages are under */
};

/* kb_old_used tells that such a key is used, if its enctype is old. `whose` is the principal that
 * it belongs to, escaped. */
void kb_old_used(struct kb_events *events, enum kb_old_key which, const char *whose, int32_t etype);

#endif
