/* mech/net without memory: each allocation fails once; the call says so, keeps no socket and leaks
 * nothing (which sanitizers and valgrind see). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "tests/support/mockkdc.h"
#include "tests/support/oom.h"

static int lowest(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static struct kb_socket_options options; /* of the next exchanges */

/* One exchange in which the nth allocation fails; true when there was no nth one. */
static bool exchange(const struct kb_kdc *kdcs, size_t num_kdcs, long nth, enum kb_status want)
{
    struct asker asker;
    unsigned long before;
    enum kb_status status;
    int fd = lowest();
    bool enough;

    asker_start(&asker, 5000);
    asker_calm(&asker);
    for (size_t i = 0; i < num_kdcs; i++) {
        asker_add(&asker, kdcs[i].host, kdcs[i].port, kdcs[i].transport);
    }
    asker.net->sockets.options = options;
    before = oom_count();
    oom_fail_after(nth);
    status = asker_ask(&asker, "proof", true);
    oom_fail_after(-1);
    enough = oom_count() - before <= (unsigned long)nth;
    if (enough) {
        assert_int_equal(status, want);
    } else if (status == KB_ERROR) {
        /* The realm's name may be missing in a sentence that is true all the same. */
        assert_true(asker.err.code == KB_E_NO_MEMORY || want == KB_ERROR);
    } else {
        assert_int_equal(status, KB_OK);
    }
    asker_stop(&asker);
    assert_int_equal(lowest(), fd);
    return enough;
}

static void starve(const struct kb_kdc *kdcs, size_t num_kdcs, enum kb_status want)
{
    long nth = 0;

    while (!exchange(kdcs, num_kdcs, nth, want)) {
        nth++;
    }
    assert_in_range(nth, 3, 100);
}

static void udp_then_tcp(void **state)
{
    struct mock kdc;
    struct kb_kdc kdcs[1];

    (void)state;
    mock_start(&kdc, mock_udp_too_big, mock_tcp_final);
    kdcs[0] = (struct kb_kdc){.host = "127.0.0.1", .port = kdc.port};
    starve(kdcs, 1, KB_OK);
    mock_stop(&kdc);
}

static void nobody(void **state)
{
    struct kb_kdc kdcs[1];

    (void)state;
    kdcs[0] = (struct kb_kdc){.host = "127.0.0.1", .port = mock_free_port()};
    starve(kdcs, 1, KB_ERROR);
}

/* A proxy that lets everything through. */
static void proxy(struct mock *mock, unsigned nth, int fd, kb_bytes unused)
{
    static const char yes[] = "HTTP/1.1 200 OK\r\n\r\n";
    char byte, last[4] = "";

    (void)mock;
    (void)nth;
    (void)unused;
    while (memcmp(last, "\r\n\r\n", 4) != 0 && read(fd, &byte, 1) == 1) {
        memmove(last, last + 1, 3);
        last[3] = byte;
    }
    (void)send(fd, yes, strlen(yes), MSG_NOSIGNAL);
    for (int i = 0; i < 4 + 5 && read(fd, &byte, 1) == 1; i++) {
    }
    mock_frame(fd, "Final by tcp");
}

static void through_a_proxy(void **state)
{
    struct mock mock;
    struct kb_kdc kdcs[1] = {{.host = "kdc.example.com", .port = 88}};

    (void)state;
    mock_start(&mock, NULL, proxy);
    mock.refuse_reading = true;
    options = (struct kb_socket_options){.firewall_host = "127.0.0.1",
                                         .firewall_port = mock.port,
                                         .firewall_data = "X: y",
                                         .local_host = "127.0.0.1"};
    starve(kdcs, 1, KB_OK);
    options = (struct kb_socket_options){0};
    mock_stop(&mock);
}

static void with_options_that_fail(void **state)
{
    struct kb_kdc kdcs[1] = {{.host = "127.0.0.1", .port = 88}};

    (void)state;
    options = (struct kb_socket_options){.local_host = "192.0.2.77", .dont_fragment = true};
    starve(kdcs, 1, KB_ERROR);
    options = (struct kb_socket_options){0};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(through_a_proxy),
        cmocka_unit_test(with_options_that_fail),
        cmocka_unit_test(udp_then_tcp),
        cmocka_unit_test(nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
