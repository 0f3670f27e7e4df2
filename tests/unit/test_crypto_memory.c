/* crypto without memory: each allocation fails once, and all that comes of it is the status that
 * says so, and nothing of the message. What would leak is seen by the sanitizers and valgrind. */
#include "tests/support/crypto.h"

#include "crypto/checksum.h"
#include "crypto/s2k.h"
#include "tests/support/oom.h"

#define PLAIN_LEN 50

struct work {
    const struct kb_enctype *enctype;
    struct kb_key *key; /* the one that seals; another, of the same bytes, is made each time */
    uint8_t cipher[128];
    size_t cipher_len;
};

static uint8_t plain[PLAIN_LEN], zeros[128];

/* Memory that is short is the only thing that may go wrong. */
static bool is_ok(enum kb_status st)
{
    assert_true(st == KB_OK || st == KB_NO_MEMORY);
    return st == KB_OK;
}

static bool seals(const struct work *work, struct kb_key *key)
{
    uint8_t out[128];
    size_t out_len;

    if (!is_ok(kb_encrypt(key, 5, &kb_rng_system, kb_bytes_of(plain, PLAIN_LEN), out))) {
        return false;
    }
    assert_int_equal(kb_decrypt(work->key, 5, kb_bytes_of(out, work->cipher_len), out, &out_len),
                     KB_OK);
    assert_memory_equal(out, plain, PLAIN_LEN);
    return true;
}

static bool opens(const struct work *work, struct kb_key *key)
{
    uint8_t out[128] = {1};
    size_t out_len = 1;

    if (!is_ok(kb_decrypt(key, 5, kb_bytes_of(work->cipher, work->cipher_len), out, &out_len))) {
        assert_int_equal(out_len, 0);
        assert_memory_equal(out, zeros, work->cipher_len);
        return false;
    }
    assert_memory_equal(out, plain, PLAIN_LEN);
    return true;
}

static bool sums(const struct work *work, struct kb_key *key)
{
    kb_bytes data = kb_bytes_of(plain, PLAIN_LEN);
    int32_t type = work->enctype->cksumtype;
    uint8_t sum[KB_MAX_CHECKSUM_LEN];

    return is_ok(kb_checksum_make(key, 5, data, sum)) &&
           is_ok(kb_checksum_verify(key, 5, type, data, kb_bytes_of(sum, kb_checksum_len(type))));
}

static bool other_sums(const struct work *work, struct kb_key *key)
{
    static const int32_t types[] = {KB_CKSUM_CRC32, KB_CKSUM_RSA_MD4, KB_CKSUM_RSA_MD5,
                                    KB_CKSUM_SHA1, KB_CKSUM_HMAC_MD5};
    uint8_t sum[KB_MAX_CHECKSUM_LEN];
    bool whole = true;

    (void)work;
    for (size_t i = 0; i < NUM(types) && whole; i++) {
        whole = is_ok(kb_checksum_by_type(types[i], key, 5, kb_bytes_of(plain, PLAIN_LEN), sum));
    }
    return whole;
}

static bool prfs(const struct work *work, struct kb_key *key)
{
    uint8_t out[100];

    (void)work;
    if (!is_ok(kb_prf_plus(key, KB_PRF_PLUS, KB_LIT("in"), out, sizeof(out)))) {
        assert_memory_equal(out, zeros, sizeof(out));
        return false;
    }
    return true;
}

static bool of_a_password(const struct work *work, struct kb_key *key)
{
    kb_bytes params = work->enctype->default_iterations > 0 ? unhex("00000001") : KB_NONE;
    struct kb_key *made;
    bool whole = is_ok(
        kb_string_to_key(work->enctype->etype, KB_LIT("password"), KB_LIT("salt"), params, &made));

    (void)key;
    assert_true(whole == (made != NULL));
    kb_key_free(made);
    return whole;
}

/* Runs it with a new key, whose every allocation fails in turn until there is none left to fail. */
static void starve(struct work *work, bool (*run)(const struct work *work, struct kb_key *key))
{
    for (long num = 0; num < 50; num++) {
        unsigned long before = oom_count();
        struct kb_key *key;
        bool whole;

        assert_int_equal(kb_key_new(work->enctype->etype, kb_key_bytes(work->key), &key), KB_OK);
        oom_fail_after(num);
        whole = run(work, key);
        oom_fail_after(-1);
        assert_true(run(work, key)); /* what failed left nothing half-done in the key */
        kb_key_free(key);
        if (whole) {
            return;
        }
        assert_true(oom_count() - before > (unsigned long)num);
    }
    fail_msg("%s: it never has enough", work->enctype->name);
}

static void every_enctype(void **state)
{
    (void)state;
    memset(plain, 'x', sizeof(plain));
    for (size_t e = 0; kb_enctype_at(e) != NULL; e++) {
        struct work work = {.enctype = kb_enctype_at(e)};

        assert_int_equal(kb_key_random(work.enctype->etype, &kb_rng_system, &work.key), KB_OK);
        work.cipher_len = kb_encrypted_len(work.key, PLAIN_LEN);
        assert_int_equal(
            kb_encrypt(work.key, 5, &kb_rng_system, kb_bytes_of(plain, PLAIN_LEN), work.cipher),
            KB_OK);
        starve(&work, seals);
        starve(&work, opens);
        starve(&work, sums);
        starve(&work, other_sums);
        starve(&work, prfs);
        starve(&work, of_a_password);
        kb_key_free(work.key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_enctype)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
