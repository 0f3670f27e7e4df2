/* crypto/secret: blocks for keys. */
#include "tests/support/crypto.h"

#include <pthread.h>

#include "crypto/secret.h"

static const size_t lens[] = {[KB_SECRET_64] = 64, [KB_SECRET_256] = 256, [KB_SECRET_512] = 512};

static bool all_zero(const uint8_t *block, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (block[i] != 0) {
            return false;
        }
    }
    return true;
}

/* More than a region holds: none overlaps another, and what was used comes back zeroed. */
static void many(void **state)
{
    static uint8_t *blocks[3000];

    (void)state;
    for (int size = KB_SECRET_64; size <= KB_SECRET_512; size++) {
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < NUM(blocks); i++) {
                blocks[i] = kb_secret_new((enum kb_secret_size)size);
                assert_non_null(blocks[i]);
                assert_int_equal((uintptr_t)blocks[i] % 16, 0);
                assert_true(all_zero(blocks[i], lens[size]));
                memset(blocks[i], (int)(1 + i % 255), lens[size]);
            }
            for (size_t i = 0; i < NUM(blocks); i++) {
                assert_int_equal(blocks[i][0], 1 + i % 255);
                assert_int_equal(blocks[i][lens[size] - 1], 1 + i % 255);
                kb_secret_free((enum kb_secret_size)size, blocks[i]);
            }
        }
    }
    kb_secret_free(KB_SECRET_64, NULL);
}

static void *take_and_free(void *arg)
{
    uint8_t *mine[40] = {NULL};

    (void)arg;
    for (size_t i = 0; i < 20000; i++) {
        size_t at = i * 7 % NUM(mine);
        uint8_t *block = mine[at];

        if (block == NULL) {
            mine[at] = block = kb_secret_new(KB_SECRET_256);
            if (block == NULL || !all_zero(block, 256)) {
                return (void *)(uintptr_t) "not zeroed";
            }
            memset(block, (int)(1 + at), 256);
        } else {
            for (size_t j = 0; j < 256; j++) {
                if (block[j] != 1 + at) {
                    return (void *)(uintptr_t) "another thread's bytes";
                }
            }
            kb_secret_free(KB_SECRET_256, block);
            mine[at] = NULL;
        }
    }
    for (size_t at = 0; at < NUM(mine); at++) {
        kb_secret_free(KB_SECRET_256, mine[at]);
    }
    return NULL;
}

static void threads(void **state)
{
    pthread_t ids[4];

    (void)state;
    for (size_t i = 0; i < NUM(ids); i++) {
        assert_int_equal(pthread_create(&ids[i], NULL, take_and_free, NULL), 0);
    }
    for (size_t i = 0; i < NUM(ids); i++) {
        void *bad;

        assert_int_equal(pthread_join(ids[i], &bad), 0);
        if (bad != NULL) {
            fail_msg("%s", (char *)bad);
        }
    }
}

/* "dd" in the flags of a mapping: not dumped (proc(5)). */
static void kept_out_of_core_dumps(void **state)
{
    void *block = kb_secret_new(KB_SECRET_64);
    FILE *smaps = fopen("/proc/self/smaps", "re");
    bool inside = false, dumped = true;
    char line[1000];

    (void)state;
    assert_non_null(smaps);
    while (fgets(line, sizeof(line), smaps) != NULL) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            inside = from <= (uintptr_t)block && (uintptr_t)block < to;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            dumped = strstr(line, " dd") == NULL;
        }
    }
    fclose(smaps);
    kb_secret_free(KB_SECRET_64, block);
#ifdef __SANITIZE_ADDRESS__
    dumped = false; /* there it is the heap */
#endif
#ifdef __has_feature
#if __has_feature(address_sanitizer)
    dumped = false;
#endif
#endif
    assert_false(dumped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many),
        cmocka_unit_test(threads),
        cmocka_unit_test(kept_out_of_core_dumps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
