/* crypto/random: no bytes twice, in threads and in children. */
#include "tests/support/crypto.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUM_THREADS 4
#define NUM_BLOCKS 2000

typedef uint8_t block[16];

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(block));
}

static void assert_distinct(block *blocks, size_t num)
{
    static const block zeros;

    qsort(blocks, num, sizeof(block), compare);
    assert_memory_not_equal(blocks[0], zeros, sizeof(block));
    for (size_t i = 1; i < num; i++) {
        assert_memory_not_equal(blocks[i - 1], blocks[i], sizeof(block));
    }
}

static void every_length(void **state)
{
    uint8_t out[600];

    (void)state;
    for (size_t n = 0; n <= 599; n++) {
        memset(out, 0, sizeof(out));
        assert_int_equal(kb_random(&kb_rng_system, out, n), KB_OK);
        assert_int_equal(out[n], 0);
        if (n >= 16) { /* the last 16 of n bytes were written */
            static const block zeros;

            assert_memory_not_equal(out + n - 16, zeros, 16);
        }
    }
}

static void *draw_many(void *arg)
{
    block *out = arg;

    for (size_t i = 0; i < NUM_BLOCKS; i++) {
        if (kb_random(&kb_rng_system, out[i], sizeof(block)) != KB_OK) {
            return arg;
        }
    }
    return NULL;
}

static void threads(void **state)
{
    static block blocks[NUM_THREADS * NUM_BLOCKS];
    pthread_t ids[NUM_THREADS];
    void *failed;

    (void)state;
    for (size_t i = 0; i < NUM_THREADS; i++) {
        assert_int_equal(pthread_create(&ids[i], NULL, draw_many, blocks + i * NUM_BLOCKS), 0);
    }
    for (size_t i = 0; i < NUM_THREADS; i++) {
        assert_int_equal(pthread_join(ids[i], &failed), 0);
        assert_null(failed);
    }
    assert_distinct(blocks, NUM(blocks));
}

/* Parent and children go on from the same pool: none of them may draw what another draws. */
static void children(void **state)
{
    static block blocks[5 * 100];
    int ends[2];

    (void)state;
    assert_int_equal(kb_random(&kb_rng_system, blocks[0], sizeof(block)), KB_OK);
    assert_int_equal(pipe(ends), 0);
    for (int child = 0; child < 4; child++) {
        pid_t pid = fork();

        if (pid == 0) {
            block mine[100];
            bool ok = true;

            for (size_t i = 0; i < NUM(mine); i++) {
                ok = ok && kb_random(&kb_rng_system, mine[i], sizeof(block)) == KB_OK;
            }
            ok = ok && write(ends[1], mine, sizeof(mine)) == (ssize_t)sizeof(mine);
            _exit(ok ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(read(ends[0], blocks + child * 100, sizeof(block) * 100),
                         sizeof(block) * 100);
    }
    for (size_t i = 400; i < 500; i++) {
        assert_int_equal(kb_random(&kb_rng_system, blocks[i], sizeof(block)), KB_OK);
    }
    close(ends[0]);
    close(ends[1]);
    assert_distinct(blocks, NUM(blocks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length),
        cmocka_unit_test(threads),
        cmocka_unit_test(children),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
