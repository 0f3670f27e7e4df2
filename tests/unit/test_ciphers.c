/* crypto/ciphers: who gets which context, and when one is made. */
#include "tests/support/crypto.h"

#include "crypto/ciphers.h"

#define KEY KB_LIT("chicken teriyaki")

static int load(void **state)
{
    (void)state;
    return kb_provider_load() == KB_OK ? 0 : -1;
}

static struct kb_cipher *take(struct kb_ciphers *ciphers)
{
    struct kb_cipher *cipher = kb_ciphers_take(ciphers, KB_AES, KEY, true);

    assert_non_null(cipher);
    return cipher;
}

/* The same one again, and not one more than are in use at once. */
static void one_at_a_time(void **state)
{
    struct kb_ciphers ciphers = {.places = {NULL}};
    struct kb_cipher *first = take(&ciphers);
    size_t filled = 0;

    (void)state;
    kb_ciphers_give_back(first, KEY, KB_OK);
    for (int i = 0; i < 3; i++) {
        struct kb_cipher *again = take(&ciphers);

        assert_ptr_equal(again, first);
        kb_ciphers_give_back(again, KEY, KB_OK);
    }
    for (size_t i = 0; i < KB_MAX_CIPHERS; i++) {
        filled += atomic_load(&ciphers.places[i]) != NULL;
    }
    assert_int_equal(filled, 1);
    kb_ciphers_wipe(&ciphers);
    kb_ciphers_give_back(NULL, KEY, KB_OK);
}

/* More users than places: each has one of its own; what has no place is freed (by who leaks,
 * valgrind and the sanitizers tell). */
static void many_at_once(void **state)
{
    struct kb_cipher *taken[KB_MAX_CIPHERS + 2];
    struct kb_ciphers ciphers = {.places = {NULL}};

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < NUM(taken); i++) {
            taken[i] = take(&ciphers);
            for (size_t j = 0; j < i; j++) {
                assert_ptr_not_equal(taken[i], taken[j]);
            }
        }
        for (size_t i = 0; i < NUM(taken); i++) {
            kb_ciphers_give_back(taken[i], KEY, KB_OK);
        }
    }
    kb_ciphers_wipe(&ciphers);
}

/* After a failure its chain and its state are not known: it is as new. */
static void failed(void **state)
{
    struct kb_ciphers ciphers = {.places = {NULL}};
    struct kb_cipher *cipher = take(&ciphers);
    uint8_t fresh[KB_BLOCK], again[KB_BLOCK];

    (void)state;
    assert_int_equal(kb_cipher_block(cipher, KEY.ptr, fresh), KB_OK);
    memset(cipher->chain, 0x55, sizeof(cipher->chain)); /* as if something had stopped half way */
    kb_ciphers_give_back(cipher, KEY, KB_NO_CRYPTO);
    assert_ptr_equal(take(&ciphers), cipher);
    assert_int_equal(kb_cipher_block(cipher, KEY.ptr, again), KB_OK);
    assert_memory_equal(again, fresh, KB_BLOCK);
    kb_ciphers_give_back(cipher, KEY, KB_OK);
    kb_ciphers_wipe(&ciphers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(failed),
    };

    return cmocka_run_group_tests(tests, load, NULL);
}
