/* preauth.h - what a KDC's padata say about the client's key, and the methods that answer. RFC 4120
 * 5.2.7, 3.1.3; RFC 6113 5.2 (cookie).
 *
 * A method is one file pa_NAME.c and one row of the table in preauth.c, which stands in our order
 * of preference: the KDC's METHOD-DATA has none. Slices point into the padata. */
#ifndef KB_PREAUTH_H
#define KB_PREAUTH_H

#include "asn1/types.h"
#include "crypto/key.h"
#include "mech/protocol/env.h"

enum {
    KB_PA_TGS_REQ = 1,
    KB_PA_ENC_TIMESTAMP = 2,
    KB_PA_PW_SALT = 3,
    KB_PA_ETYPE_INFO = 11,
    KB_PA_ETYPE_INFO2 = 19,
    KB_PA_FX_COOKIE = 133,
    KB_PA_FX_FAST = 136,
    KB_PA_REQ_ENC_PA_REP = 149,
    KB_PA_AS_FRESHNESS = 150,
};

/* One key that the KDC has for the client. */
struct kb_pa_key {
    int32_t etype; /* KB_PA_ANY_ETYPE: it did not say (PA-PW-SALT) */
    bool has_salt; /* false: the default salt */
    kb_bytes salt, s2kparams;
};
#define KB_PA_ANY_ETYPE INT32_MIN

/* What padata say. Of ETYPE-INFO2, ETYPE-INFO and PW-SALT the first that is there counts. */
struct kb_pa_said {
    const struct kb_pa_key *keys; /* in the KDC's order */
    size_t num_keys;
    bool has_cookie;
    kb_bytes cookie;
};

/* kb_preauth_read reads them. KB_MALFORMED and the like: an ETYPE-INFO that cannot be read. */
KB_MUST_USE enum kb_status kb_preauth_read(const kb_method_data *padata, struct kb_arena *arena,
                                           struct kb_pa_said *out);

/* kb_preauth_find returns the first padata of a type, NULL if there is none. */
const kb_pa_data *kb_preauth_find(const kb_method_data *padata, int32_t type);

struct kb_pa_input {
    const struct kb_env *env;
    struct kb_key *key;       /* the client's long-term key */
    struct kb_timestamp time; /* now, by the KDC's clock as far as we know it */
};

struct kb_pa_method {
    int32_t type; /* what the KDC offers and we answer with */
    const char *name;
    /* Makes the padata-value, in the arena. */
    enum kb_status (*make)(const struct kb_pa_input *input, struct kb_arena *arena, kb_bytes *out);
};

extern const struct kb_pa_method kb_pa_enc_timestamp; /* pa_enc_timestamp.c */

/* kb_preauth_choose returns our best method among those offered and allowed, NULL if we have none
 * of them. */
const struct kb_pa_method *kb_preauth_choose(const kb_method_data *offered,
                                             const struct kb_policy *policy);

/* kb_preauth_default is the method for a first request, before anything was offered; NULL where it
 * is not allowed. */
const struct kb_pa_method *kb_preauth_default(const struct kb_policy *policy);

/* kb_preauth_describe appends what was offered, for messages: "PA-ETYPE-INFO2, PA-SPAKE". */
void kb_preauth_describe(const kb_method_data *offered, struct kb_buf *out);

#endif
