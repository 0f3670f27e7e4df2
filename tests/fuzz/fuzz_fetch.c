/* A login whose KDC is the input: a byte of choices, then answers, each behind its length in two
 * bytes. So that the fuzzer gets past the encryption, an answer that is an encoding of
 * EncKDCRepPart is sealed with the right key and nonce. Randomness and clock are fixed. */
#include "asn1/reader.h"
#include "mech/protocol/as_machine.h"
#include "mech/protocol/fetch.h"
#include "tests/fuzz/fuzz.h"

#define MAX_ANSWERS 12

enum { FIRST_PROOF = 1, KEYTAB = 2, CANONICALIZE = 4, SILENT = 8, CHECKSUM = 16 };

/* --- what comes from outside --- */

static struct kb_timestamp still(void *ctx)
{
    (void)ctx;
    return (struct kb_timestamp){1795435200, 0};
}

/* Nonces and confounders of ones: an answer can be made to fit. */
static enum kb_status ones(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    memset(out, 1, len);
    return KB_OK;
}

static const uint8_t raw_key[32] = "0123456789abcdef0123456789abcdef";

static size_t len_of(int32_t etype)
{
    const struct kb_enctype *enctype = kb_enctype_find(etype);

    return enctype != NULL && enctype->key_len <= sizeof(raw_key) ? enctype->key_len : 0;
}

/* No string-to-key: its cost is not what is looked for. */
static enum kb_status get_key(void *ctx, int32_t etype, kb_bytes salt, kb_bytes s2kparams,
                              unsigned nth, struct kb_key **out)
{
    (void)ctx;
    (void)salt;
    (void)s2kparams;
    *out = NULL;
    return nth > 1 ? KB_NOT_FOUND : kb_key_new(etype, kb_bytes_of(raw_key, len_of(etype)), out);
}

/* --- sealing --- */

static kb_bytes encrypt(kb_bytes plain, int32_t etype, uint32_t usage, struct kb_arena *arena)
{
    const struct kb_rng rng = {ones, NULL};
    struct kb_key *key = NULL;
    uint8_t raw[32];
    uint8_t *out = NULL;
    size_t len = 0;

    /* The subkey of a TGS-REQ is drawn, so it is ones too. */
    memset(raw, 1, sizeof(raw));
    if (usage == KB_USAGE_AS_REP) {
        memcpy(raw, raw_key, sizeof(raw));
    }
    if (kb_key_new(etype, kb_bytes_of(raw, len_of(etype)), &key) == KB_OK) {
        len = kb_encrypted_len(key, plain.len);
        out = kb_arena_alloc(arena, len);
        if (out == NULL || kb_encrypt(key, usage, &rng, plain, out) != KB_OK) {
            len = 0;
        }
    }
    kb_key_free(key);
    return kb_bytes_of(out, out != NULL ? len : 0);
}

/* A KDC-REP whose cipher is clear text is sealed; anything else stays as it is. PA-REQ-ENC-PA-REP
 * is promised by choice only: no checksum over our request can be among the seeds. */
static kb_bytes seal(kb_bytes answer, bool checksum, struct kb_arena *arena)
{
    bool as = answer.len > 0 && answer.ptr[0] == 0x6b;
    kb_enc_kdc_rep_part part;
    kb_kdc_rep rep;
    kb_bytes out;

    if ((as ? kb_decode_as_rep(answer, arena, &rep, NULL)
            : kb_decode_tgs_rep(answer, arena, &rep, NULL)) != KB_OK ||
        kb_decode_enc_kdc_rep_part(rep.enc_part.cipher, arena, &part, NULL) != KB_OK) {
        return answer;
    }
    part.flags &= checksum ? UINT32_MAX : ~KB_TKT_ENC_PA_REP;
    if (kb_encode_enc_kdc_rep_part(arena, &part, &rep.enc_part.cipher) != KB_OK) {
        return answer;
    }
    rep.enc_part.cipher = encrypt(rep.enc_part.cipher, rep.enc_part.etype,
                                  as ? KB_USAGE_AS_REP : KB_USAGE_TGS_REP_SUBKEY, arena);
    return (as ? kb_encode_as_rep(arena, &rep, &out) : kb_encode_tgs_rep(arena, &rep, &out)) ==
                   KB_OK
               ? out
               : answer;
}

/* --- the login --- */

static void must_be_sound(const struct kb_fetch *fetch, enum kb_step step)
{
    const struct kb_credential *ticket = kb_fetch_ticket(fetch);

    FUZZ_MUST((step == KB_DONE) == (ticket != NULL));
    FUZZ_MUST(step != KB_STEP_ERROR || kb_fetch_error(fetch)->code != KB_E_NONE);
    if (ticket != NULL) {
        FUZZ_MUST(ticket->endtime > ticket->starttime);
        FUZZ_MUST(ticket->ticket.len > 0 && ticket->session_key != NULL);
    }
}

static void log_in(struct kb_fetch *fetch, uint8_t choices, struct kb_reader *r)
{
    struct kb_send send;
    enum kb_step step = kb_fetch_step(fetch, KB_NONE, "", &send);
    unsigned proofs = send.proof ? 1 : 0;

    for (int i = 0; i < MAX_ANSWERS && step == KB_SEND && r->rest.len > 0; i++) {
        kb_bytes answer = kb_get_bytes(r, kb_get_u16be(r));
        struct kb_arena arena;

        kb_arena_init(&arena, NULL, 0, 1 << 22);
        answer = seal(answer, (choices & CHECKSUM) != 0, &arena);
        (void)kb_fetch_verdict(fetch, answer);
        step = send.proof && answer.len == 0 && (choices & SILENT) != 0
                   ? kb_fetch_silent(fetch, true, &send)
                   : kb_fetch_step(fetch, answer, "kdc", &send);
        proofs += step == KB_SEND && send.proof ? 1 : 0;
        kb_arena_wipe(&arena);
    }
    FUZZ_MUST(proofs <= KB_AS_MAX_PROOFS);
    must_be_sound(fetch, step);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const int32_t etypes[] = {18, 17, 20, 19};
    struct kb_reader r = kb_reader(kb_bytes_of(data, len));
    uint8_t choices = kb_get_u8(&r);
    struct kb_env env = {.rng = {ones, NULL}, .now = still};
    struct kb_policy policy = {.etypes = etypes,
                               .num_etypes = 4,
                               .min_iterations_sha1 = 4096,
                               .min_iterations_sha2 = 32768,
                               .max_iterations = 1000000,
                               .clock_skew = 300,
                               .ticket_life = 86400,
                               .renew_life = 604800,
                               .canonicalize = (choices & CANONICALIZE) != 0};
    struct kb_principal *client = NULL, *service = NULL;
    struct kb_fetch_request request = {
        .keys = {.get = get_key, .salted = (choices & KEYTAB) == 0, .what = "the key"},
        .policy = &policy,
        .hint = {18, KB_LIT("MIT.TESTu18"), KB_NONE, KB_NONE},
        .first_proof = (choices & FIRST_PROOF) != 0};
    struct kb_fetch *fetch = NULL;

    if (kb_principal_parse(KB_LIT("u18@MIT.TEST"), KB_NT_PRINCIPAL, KB_NONE, &client) == KB_OK &&
        kb_principal_parse(KB_LIT("s18/srv.mit.test@MIT.TEST"), KB_NT_PRINCIPAL, KB_NONE,
                           &service) == KB_OK) {
        request.client = client;
        request.service = service;
        fetch = kb_fetch_new(&env, &request);
    }
    if (fetch != NULL) {
        log_in(fetch, choices, &r);
    }
    kb_fetch_free(fetch);
    kb_principal_free(client);
    kb_principal_free(service);
    return 0;
}
