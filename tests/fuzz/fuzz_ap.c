/* The input is an acceptor's answer: as it is, and encrypted with the ticket's key as the part of
 * an AP-REP that only the acceptor can make. */
#include "asn1/types.h"
#include "mech/protocol/ap.h"
#include "tests/fuzz/fuzz.h"

#define CEILING (1u << 20)

static struct kb_credential credential;

static struct kb_timestamp fixed_now(void *ctx)
{
    (void)ctx;
    return (struct kb_timestamp){1795462331, 288}; /* a recorded ctime, so that seeds get far */
}

static void make_credential(void)
{
    static const uint8_t key[32] = "an example of a key, 32 bytes..";
    static const uint8_t ticket[] = {0x61, 0x03, 0x02, 0x01, 0x05};
    struct kb_principal *client, *server;

    FUZZ_MUST(kb_principal_parse(KB_LIT("alice@R"), KB_NT_PRINCIPAL, KB_NONE, &client) == KB_OK);
    FUZZ_MUST(kb_principal_parse(KB_LIT("HTTP/www@R"), KB_NT_SRV_HST, KB_NONE, &server) == KB_OK);
    credential.client = client;
    credential.server = server;
    credential.ticket = kb_bytes_of(ticket, sizeof(ticket));
    FUZZ_MUST(kb_key_new(KB_ENCTYPE_AES256_SHA1, kb_bytes_of(key, 32), &credential.session_key) ==
              KB_OK);
}

/* The AP-REP whose encrypted part is `plain`. */
static kb_bytes seal(kb_bytes plain, struct kb_arena *arena)
{
    kb_ap_rep rep = {.pvno = 5, .msg_type = 15, .enc_part = {.etype = KB_ENCTYPE_AES256_SHA1}};
    size_t len = kb_encrypted_len(credential.session_key, plain.len);
    uint8_t *cipher = kb_arena_alloc(arena, len);
    kb_bytes out;

    FUZZ_MUST(cipher != NULL);
    FUZZ_MUST(kb_encrypt(credential.session_key, KB_USAGE_AP_REP, &kb_rng_system, plain, cipher) ==
              KB_OK);
    rep.enc_part.cipher = kb_bytes_of(cipher, len);
    FUZZ_MUST(kb_encode_ap_rep(arena, &rep, &out) == KB_OK);
    return out;
}

static void answer(kb_bytes in, bool sealed, uint32_t flags)
{
    static const int32_t etypes[] = {KB_ENCTYPE_AES256_SHA384, KB_ENCTYPE_AES256_SHA1,
                                     KB_ENCTYPE_AES128_SHA1};
    const struct kb_env env = {.rng = kb_rng_system, .now = fixed_now};
    struct kb_ap_request request = {
        .credential = &credential, .flags = flags, .etypes = etypes, .num_etypes = 3};
    struct kb_error err = {0};
    struct kb_arena arena;
    struct kb_ap *ap;
    kb_bytes out;
    enum kb_status st;

    kb_arena_init(&arena, NULL, 0, CEILING);
    FUZZ_MUST(kb_ap_new(&env, &request, &arena, &ap, &out) == KB_OK);
    st = kb_ap_reply(ap, &env, sealed ? seal(in, &arena) : in, &arena, &out, &err);
    FUZZ_MUST((st == KB_OK) == kb_ap_established(ap));
    FUZZ_MUST((st == KB_OK) == (err.code == KB_E_NONE));
    FUZZ_MUST(st == KB_OK ? sealed : err.text[0] != '\0'); /* who has no key is nobody */
    kb_ap_free(ap);
    kb_arena_wipe(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    kb_bytes in = {data, len < 4096 ? len : 4096};

    if (credential.session_key == NULL) {
        make_credential();
    }
    for (int dce = 0; dce <= 1; dce++) {
        uint32_t flags = KB_GSS_MUTUAL | (dce ? KB_GSS_DCE_STYLE : 0);

        answer(in, false, flags);
        answer(in, true, flags);
    }
    return 0;
}
