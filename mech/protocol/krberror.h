/* krberror.h - what a KDC's KRB-ERROR says, and the sentence that a person reads. RFC 4120 5.9.1.
 *
 * Nothing in a KRB-ERROR is protected, and its realm and sname may be nonsense (Samba, Heimdal):
 * they are neither required nor trusted. Slices of a decoded one point into the message and its
 * arena. */
#ifndef KB_KRBERROR_H
#define KB_KRBERROR_H

#include "mech/names/principal.h"
#include "mech/protocol/env.h"
#include "mech/report/error.h"

/* RFC 4120 7.5.9: the codes that a machine acts on. */
enum {
    KB_KDC_C_PRINCIPAL_UNKNOWN = 6,
    KB_KDC_S_PRINCIPAL_UNKNOWN = 7,
    KB_KDC_NEVER_VALID = 11,
    KB_KDC_ETYPE_NOSUPP = 14,
    KB_KDC_PADATA_TYPE_NOSUPP = 16,
    KB_KDC_TGT_REVOKED = 20,
    KB_KDC_PREAUTH_FAILED = 24,
    KB_KDC_PREAUTH_REQUIRED = 25,
    KB_KDC_SVC_UNAVAILABLE = 29,
    KB_KDC_BAD_INTEGRITY = 31,
    KB_KDC_TKT_EXPIRED = 32,
    KB_KDC_NYV = 33,
    KB_KDC_REPEAT = 34,
    KB_KDC_SKEW = 37,
    KB_KDC_MODIFIED = 41,
    KB_KDC_BADKEYVER = 44,
    KB_KDC_NOKEY = 45,
    KB_KDC_RESPONSE_TOO_BIG = 52,
    KB_KDC_GENERIC = 60,
    KB_KDC_WRONG_REALM = 68,
};

struct kb_krberror {
    int32_t code;
    struct kb_timestamp stime; /* the KDC's clock, by its own word */
    kb_bytes e_text;           /* empty: none */
    kb_method_data padata;     /* of e-data, be it METHOD-DATA, TYPED-DATA or one bare PA-DATA */
    uint32_t ntstatus;         /* that AD put into the e-data; taken out of padata. 0: none */
    kb_bytes crealm;           /* empty: none. With WRONG_REALM, where the client is to ask */
};

/* kb_krberror_decode reads a whole KRB-ERROR. e-data that is none of its forms counts as absent. */
KB_MUST_USE enum kb_status kb_krberror_decode(kb_bytes message, struct kb_arena *arena,
                                              struct kb_krberror *out);

/* kb_krberror_tell puts it into log and trail. */
void kb_krberror_tell(struct kb_events *events, const struct kb_krberror *error, const char *peer);

/* kb_krberror_offset is the KDC's clock minus `now` in microseconds, by the error's word; false if
 * it is off by so many years that no retry could go by it. */
bool kb_krberror_offset(const struct kb_krberror *error, struct kb_timestamp now, int64_t *out);

/* Who asked whom for what, when a KRB-ERROR came. */
struct kb_krberror_about {
    const struct kb_principal *client;
    const struct kb_principal *service; /* of the TGS exchange; NULL: it was the AS exchange */
    const char *peer;                   /* NULL or "": not known */
    const char *secret;      /* what a proof in the request was made with; NULL: it had none */
    bool keytab;             /* that secret is a keytab */
    struct kb_timestamp now; /* our clock */
    const int32_t *etypes;   /* that were asked for */
    size_t num_etypes;
};

/* kb_krberror_explain makes the error object: what failed, with whom, what the KDC said by name,
 * number and text, and AD's NTSTATUS. */
void kb_krberror_explain(struct kb_error *err, const struct kb_krberror *error,
                         const struct kb_krberror_about *about);

#endif
