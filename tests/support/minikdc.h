/* minikdc.h - a KDC for tests: answers of our own codec, right ones, in which a test then makes one
 * thing wrong before it is sealed.
 *
 * It has no sockets and believes what it is asked. What it returns lives until minikdc_wipe. */
#ifndef TEST_MINIKDC_H
#define TEST_MINIKDC_H

#include "asn1/types.h"
#include "crypto/key.h"

#define MINIKDC_SALT "TESTalice"

struct minikdc {
    struct kb_arena arena;
    uint64_t seed;
    struct kb_rng rng;
    int64_t now;                /* its clock */
    struct kb_key *client_key;  /* alice's */
    struct kb_key *session_key; /* of the TGT that it gave last */
    kb_bytes cookie;            /* sent with METHOD-DATA, if not empty */
};

/* minikdc_init: realm TEST, alice's key of `etype` made of "secret", MINIKDC_SALT and `iterations`.
 */
void minikdc_init(struct minikdc *kdc, int64_t now, int32_t etype, uint32_t iterations);
void minikdc_wipe(struct minikdc *kdc);

/* A reply before it is sealed. */
struct minikdc_reply {
    int32_t msg_type;
    kb_kdc_rep msg; /* without ticket and enc_part */
    kb_ticket_fields ticket;
    kb_enc_kdc_rep_part part;
    struct kb_key *key; /* borrowed; what the encrypted part is sealed with */
    uint32_t usage;
    kb_bytes request; /* for PA-REQ-ENC-PA-REP, of which there is none if this is empty */
    uint8_t tail[8];  /* of tail_len: appended to the encrypted part's plaintext */
    size_t tail_len;
};

/* The right answers to a request of ours. minikdc_tgs takes the TGT's session key and keeps the
 * subkey that it finds. */
void minikdc_as(struct minikdc *kdc, kb_bytes request, struct minikdc_reply *out);
void minikdc_tgs(struct minikdc *kdc, struct kb_key *session_key, kb_bytes request,
                 struct minikdc_reply *out);
kb_bytes minikdc_seal(struct minikdc *kdc, const struct minikdc_reply *reply);

/* minikdc_name makes a principal's name of at most two components (NULL: no second). */
kb_principal_name minikdc_name(struct minikdc *kdc, int32_t type, const char *one, const char *two);

/* A KRB-ERROR; e_data may be empty. */
kb_bytes minikdc_error(struct minikdc *kdc, int32_t code, kb_bytes e_data);
kb_bytes minikdc_error_text(struct minikdc *kdc, int32_t code, const char *e_text);

/* METHOD-DATA: ETYPE-INFO2 with one entry, PA-ENC-TIMESTAMP, the cookie. salt NULL: none. */
kb_bytes minikdc_method_data(struct minikdc *kdc, int32_t etype, const char *salt,
                             uint32_t iterations);

/* minikdc_body decodes the body of a request, minikdc_padata one padata (empty: not there). */
kb_kdc_req_body minikdc_body(struct minikdc *kdc, kb_bytes request);
kb_bytes minikdc_padata(struct minikdc *kdc, kb_bytes request, int32_t type);

/* minikdc_timestamp decrypts the proof of an AS-REQ; false: there is none, or not with the key. */
bool minikdc_timestamp(struct minikdc *kdc, kb_bytes request, kb_pa_enc_ts_enc *out);

#endif
