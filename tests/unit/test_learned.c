/* mech/net/memory and learned: what a process knows of KDCs, and that as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/net/memory.h"
#include "mech/net/wait.h"

#define REALM KB_LIT("EXAMPLE.COM")
#define MINUTE ((int64_t)60000)

static const struct kb_kdc a = {.host = "kdc1.example.com", .port = 88};
static const struct kb_kdc b = {.host = "kdc2.example.com", .port = 88, .transport = KB_TCP};
static const struct kb_kdc proxy = {
    .host = "proxy.example.com", .port = 443, .transport = KB_HTTPS, .path = "/KdcProxy"};

static struct kb_address address(void)
{
    struct kb_address out;

    assert_true(kb_address_numeric(&out, "192.0.2.7"));
    kb_address_set_port(&out, 88);
    return out;
}

static struct kb_known get(const struct kb_kdc *kdc)
{
    struct kb_known known;

    kb_memory_get(REALM, kdc, &known);
    return known;
}

static void answer(const struct kb_kdc *kdc, int64_t took_ms)
{
    struct kb_address from = address();

    kb_memory_answered(REALM, kdc, &from, KB_UDP, took_ms);
}

static int clear(void **state)
{
    (void)state;
    kb_memory_clear();
    return 0;
}

static void kdcs_are_told_apart(void **state)
{
    struct kb_kdc same = a, other = a, path = proxy;

    (void)state;
    same.host = "KDC1.Example.COM";
    other.port = 750;
    path.path = "/kdcproxy";
    answer(&a, 3);
    answer(&proxy, 30);
    assert_true(get(&a).alive);
    assert_true(get(&same).alive);
    assert_false(get(&other).alive);
    assert_false(get(&b).alive);
    assert_true(get(&proxy).alive);
    assert_false(get(&path).alive);
}

/* RFC 6298 2.2, 2.3, by hand. */
static void times_are_smoothed(void **state)
{
    (void)state;
    answer(&a, -1);
    assert_int_equal(get(&a).srtt_us, 0);
    answer(&a, 16);
    assert_in_range(get(&a).srtt_us, 16000, 16001);
    assert_in_range(get(&a).rttvar_us, 8000, 8001);
    answer(&a, 32);
    assert_in_range(get(&a).srtt_us, 17990, 18001);
    assert_in_range(get(&a).rttvar_us, 9990, 10001);
}

static void who_failed_comes_last_for_a_while(void **state)
{
    static const int64_t minutes[] = {5, 10, 20, 40, 60, 60};
    int64_t now_ms = 1000;

    (void)state;
    answer(&a, 1);
    for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
        kb_memory_failed(REALM, &a, now_ms);
        assert_false(get(&a).alive);
        assert_int_equal(get(&a).late_until_ms, now_ms + minutes[i] * MINUTE);
        /* Asked before that time, it is not the worse for it. */
        kb_memory_failed(REALM, &a, now_ms + 1);
        assert_int_equal(get(&a).late_until_ms, now_ms + minutes[i] * MINUTE);
        now_ms = get(&a).late_until_ms + 1;
    }
    answer(&a, 1);
    assert_true(get(&a).alive);
    assert_int_equal(get(&a).late_until_ms, 0);
    kb_memory_overtaken(REALM, &a, 300, now_ms);
    assert_true(get(&a).alive);
    assert_int_equal(get(&a).late_until_ms, now_ms + 5 * MINUTE);
    assert_true(get(&a).srtt_us > 20000);
    kb_memory_forgive(REALM);
    assert_int_equal(get(&a).late_until_ms, 0);
}

static void it_is_bounded(void **state)
{
    char names[40][20];

    (void)state;
    answer(&a, 1);
    for (size_t i = 0; i < 40; i++) {
        struct kb_kdc kdc = {.host = names[i], .port = 88};

        snprintf(names[i], sizeof(names[i]), "kdc%zu.test", i);
        answer(&kdc, 1);
        assert_true(get(&kdc).alive);
    }
    assert_false(get(&a).alive);
    for (size_t i = 0; i < 40; i++) {
        struct kb_address from = address();

        kb_memory_answered(kb_str(names[i]), &a, &from, KB_UDP, 1);
    }
    assert_false(get(&(struct kb_kdc){.host = names[39], .port = 88}).alive);
}

/* --- as text --- */

static void it_comes_back(void **state)
{
    struct kb_known before[3], after;
    const struct kb_kdc *kdcs[] = {&a, &b, &proxy};
    struct kb_buf text;

    (void)state;
    answer(&a, 16);
    answer(&proxy, 40);
    kb_memory_failed(REALM, &b, kb_now_ms());
    kb_memory_set_tcp(REALM, true);
    kb_buf_init(&text, KB_NET_LEARNED);
    kb_net_learned_export(REALM, &text);
    assert_int_equal(text.status, KB_OK);
    for (size_t i = 0; i < 3; i++) {
        before[i] = get(kdcs[i]);
    }
    kb_memory_clear();
    kb_net_learned_import(REALM, kb_buf_bytes(&text), false);
    assert_true(kb_memory_wants_tcp(REALM));
    for (size_t i = 0; i < 3; i++) {
        int64_t off_ms;

        after = get(kdcs[i]);
        off_ms = after.late_until_ms - before[i].late_until_ms;
        assert_int_equal(after.alive, before[i].alive);
        assert_int_equal(after.transport, before[i].transport);
        assert_in_range(after.srtt_us, before[i].srtt_us, 2 * before[i].srtt_us);
        assert_in_range(after.rttvar_us, before[i].rttvar_us, 2 * before[i].rttvar_us);
        assert_int_equal(after.failures, before[i].failures);
        assert_true(off_ms > -3000 && off_ms < 3000);
    }
    kb_buf_wipe(&text);
}

/* Times to answer that differ a little are written alike; what is old says little. */
static void it_changes_seldom(void **state)
{
    struct kb_buf first, second;

    (void)state;
    answer(&a, 17);
    kb_memory_set_tcp(REALM, true);
    kb_buf_init(&first, KB_NET_LEARNED);
    kb_net_learned_export(REALM, &first);
    answer(&a, 19);
    kb_buf_init(&second, KB_NET_LEARNED);
    kb_net_learned_export(REALM, &second);
    assert_string_equal(kb_buf_str(&first), kb_buf_str(&second));
    kb_memory_clear();
    kb_net_learned_import(REALM, kb_buf_bytes(&first), true);
    assert_true(kb_memory_wants_tcp(REALM));
    assert_false(get(&a).alive);
    kb_buf_wipe(&first);
    kb_buf_wipe(&second);
    /* Half a line is nothing. */
    answer(&a, 1);
    kb_buf_init(&first, 20);
    kb_net_learned_export(REALM, &first);
    assert_int_equal(first.status, KB_OK);
    assert_string_equal(kb_buf_str(&first), "tcp\n");
    kb_buf_wipe(&first);
}

static void what_was_found_out_here_stays(void **state)
{
    (void)state;
    answer(&a, 16);
    kb_net_learned_import(REALM,
                          KB_LIT("kdc any kdc1.example.com 88\t0\tudp\t\t5\t5\t3\t0\n"
                                 "kdc tcp kdc2.example.com 88\t1\ttcp\t\t7\t5\t0\t0\n"),
                          false);
    assert_in_range(get(&a).srtt_us, 16000, 16001);
    assert_true(get(&a).alive);
    assert_int_equal(get(&b).srtt_us, 7);
}

static void foreign_text_does_nothing(void **state)
{
    static const char *const lines[] = {
        "kdc any kdc1.example.com 88\t2\tudp\t\t5\t5\t3\t0\n",
        "kdc any kdc1.example.com 88\t1\tsmtp\t\t5\t5\t3\t0\n",
        "kdc any kdc1.example.com 88\t1\tudp\tkdc1\t5\t5\t3\t0\n",
        "kdc any kdc1.example.com 88\t1\tudp\t\t-5\t5\t3\t0\n",
        "kdc any kdc1.example.com 88\t1\tudp\t\t99999999\t5\t3\t0\n",
        "kdc any kdc1.example.com 88\t1\tudp\t\t99999999999999999999999\t5\t3\t0\n",
        "kdc any kdc1.example.com 88\t1\tudp\t\t5\t5\t3\t0\tx\n",
        "kdc any kdc1.example.com 88\t1\tudp\t\t5\t5\t3\n",
        "kdc any kdc1.example.com 88\t1\tudp\t\t5\t5\t3\t0",
        "kdc any kdc1.example.com 88\t1\n\tudp\t\t5\t5\t3\t0\n",
        "kdc\n",
        "\n",
        "tcpx\n",
    };
    char *longest = malloc(100001);

    (void)state;
    assert_non_null(longest);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        kb_net_learned_import(REALM, kb_str(lines[i]), false);
        assert_false(get(&a).alive);
        assert_int_equal(get(&a).failures, 0);
    }
    memset(longest, 'k', 100000);
    memcpy(longest, "kdc ", 4);
    longest[99999] = '\n';
    kb_net_learned_import(REALM, kb_bytes_of(longest, 100000), false);
    assert_false(kb_memory_wants_tcp(REALM));
    free(longest);
    /* No time is so far away that it would be for ever. */
    kb_net_learned_import(
        REALM, KB_LIT("kdc any kdc1.example.com 88\t0\tudp\t\t5\t5\t9\t99999999999\n"), false);
    assert_true(get(&a).late_until_ms <= kb_now_ms() + 60 * MINUTE);
}

/* Of those that are alive the quickest, with a margin for what varies. */
static void a_round_trip(void **state)
{
    (void)state;
    kb_memory_clear();
    assert_int_equal(kb_net_round_trip_ms(REALM), 0);
    answer(&a, 900);
    assert_in_range(kb_net_round_trip_ms(REALM), 2700, 2704); /* RFC 6298 2.2: 900 + 4 * 450 */
    answer(&b, 100);
    assert_in_range(kb_net_round_trip_ms(REALM), 300, 304);
    kb_memory_failed(REALM, &b, kb_now_ms());
    assert_in_range(kb_net_round_trip_ms(REALM), 2700, 2704);
    kb_memory_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(kdcs_are_told_apart, clear),
        cmocka_unit_test_setup(times_are_smoothed, clear),
        cmocka_unit_test_setup(who_failed_comes_last_for_a_while, clear),
        cmocka_unit_test_setup(it_is_bounded, clear),
        cmocka_unit_test_setup(it_comes_back, clear),
        cmocka_unit_test_setup(it_changes_seldom, clear),
        cmocka_unit_test_setup(what_was_found_out_here_stays, clear),
        cmocka_unit_test_setup(foreign_text_does_nothing, clear),
        cmocka_unit_test(a_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
