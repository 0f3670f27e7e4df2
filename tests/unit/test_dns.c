/* mech/net/dns and mech/net/remember: answers of DNS, their order, and how long they hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "asn1/buf.h"
#include "mech/net/remember.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

/* --- answers, made by hand as RFC 1035 4.1 has them --- */

struct maker {
    uint8_t bytes[65536];
    size_t len, num;
};

static void put(struct maker *maker, const void *bytes, size_t len)
{
    memcpy(maker->bytes + maker->len, bytes, len);
    maker->len += len;
}

static void put16(struct maker *maker, unsigned value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

    put(maker, bytes, 2);
}

/* "\3kdc\1x\0": labels as they are. */
#define NAME(labels) labels, sizeof(labels)

static void begin(struct maker *maker)
{
    static const uint8_t header[12] = {0x12, 0x34, 0x81, 0x80, 0, 1};

    maker->len = maker->num = 0;
    put(maker, header, sizeof(header));
    put(maker, NAME("\x09_kerberos\x04_udp\x01"
                    "a\x04test"));
    put16(maker, 33);
    put16(maker, 1);
}

static void put_record(struct maker *maker, unsigned type, uint32_t ttl, const void *data,
                       size_t len)
{
    put(maker, "\xc0\x0c", 2); /* the question's name */
    put16(maker, type);
    put16(maker, 1);
    put16(maker, ttl >> 16);
    put16(maker, ttl & 0xffff);
    put16(maker, (unsigned)len);
    put(maker, data, len);
    maker->bytes[7] = (uint8_t)++maker->num;
}

static void put_srv(struct maker *maker, uint32_t ttl, const char *numbers, const void *target,
                    size_t target_len)
{
    uint8_t data[300];

    memcpy(data, numbers, 6);
    memcpy(data + 6, target, target_len);
    put_record(maker, KB_DNS_SRV, ttl, data, 6 + target_len);
}

static kb_bytes made(const struct maker *maker)
{
    return kb_bytes_of(maker->bytes, maker->len);
}

static struct kb_dns_records *parse(const struct maker *maker, enum kb_dns_type type)
{
    struct kb_dns_records *records;

    assert_int_equal(kb_dns_parse(made(maker), type, &records), KB_OK);
    return records;
}

static void services(void **state)
{
    struct maker *maker = *state;
    struct kb_dns_records *records;

    begin(maker);
    put_srv(maker, 300, "\0\1\0\2\0\x58", NAME("\4kdc1\1a\4test"));
    put_record(maker, 5, 60, NAME("\1b\4test")); /* the CNAME that led here counts too */
    put_srv(maker, 600, "\xff\xff\0\0\x02\xee", "\4kdc2\xc0\x1b", 7);
    put_srv(maker, 600, "\0\0\0\0\0\0", NAME(""));
    records = parse(maker, KB_DNS_SRV);
    assert_int_equal(records->num, 3);
    assert_int_equal(records->ttl, 60);
    assert_string_equal(records->list[0].text, "kdc1.a.test");
    assert_int_equal(records->list[0].priority, 1);
    assert_int_equal(records->list[0].weight, 2);
    assert_int_equal(records->list[0].port, 88);
    assert_string_equal(records->list[1].text, "kdc2.a.test"); /* compressed */
    assert_int_equal(records->list[1].priority, 65535);
    assert_int_equal(records->list[1].port, 750);
    assert_string_equal(records->list[2].text, "");
    kb_dns_put(records);
    records = parse(maker, KB_DNS_TXT);
    assert_int_equal(records->num, 0);
    kb_dns_put(records);
}

static void texts(void **state)
{
    static const char uri[] = "krb5srv:m:tcp:kdc.a.test";
    uint8_t data[600];
    struct maker *maker = *state;
    struct kb_dns_records *records;

    begin(maker);
    memcpy(data, "\0\5\0\7", 4);
    memcpy(data + 4, uri, sizeof(uri) - 1);
    put_record(maker, KB_DNS_URI, 0x80000000, data, 4 + sizeof(uri) - 1);
    memset(data + 4, 'x', sizeof(data) - 4);
    put_record(maker, KB_DNS_URI, 10, data, 4 + KB_DNS_MAX_TEXT);
    put_record(maker, KB_DNS_URI, 10, data, 5 + KB_DNS_MAX_TEXT); /* too long */
    put_record(maker, KB_DNS_URI, 10, "\0\0\0", 3);
    put_record(maker, KB_DNS_URI, 10, "\0\0\0\0a\0b", 7);
    put_record(maker, KB_DNS_TXT, 10, "\6A.TEST\3abc", 11);
    put_record(maker, KB_DNS_TXT, 10, "\7A.TEST", 7);
    records = parse(maker, KB_DNS_URI);
    assert_int_equal(records->num, 2);
    assert_int_equal(records->ttl, 0);
    assert_string_equal(records->list[0].text, uri);
    assert_int_equal(records->list[0].priority, 5);
    assert_int_equal(records->list[0].weight, 7);
    assert_int_equal(strlen(records->list[1].text), KB_DNS_MAX_TEXT);
    kb_dns_put(records);
    records = parse(maker, KB_DNS_TXT);
    assert_int_equal(records->num, 1);
    assert_string_equal(records->list[0].text, "A.TEST");
    kb_dns_put(records);
}

/* A record that leads nowhere is left out; the others stay. */
static void wrong_targets(void **state)
{
    static const struct {
        const char *target;
        size_t len;
    } rows[] = {
        {"\xc0\x0b", 2}, /* into the header: its last byte is the root, which is then a name */
        {"\xff\xff", 2},
        {"\xc0", 1},
        {"\3kd", 3},
        {"\3kdc", 4},
        {NAME("\3k c\1a")},
        {NAME("\3k\0c\1a")},
        {NAME("\x40"
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")},
    };
    struct maker *maker = *state;

    for (size_t i = 1; i < NUM(rows); i++) {
        struct kb_dns_records *records;

        begin(maker);
        put_srv(maker, 300, "\0\1\0\2\0\x58", rows[i].target, rows[i].len);
        put_srv(maker, 300, "\0\1\0\2\0\x58", NAME("\1k"));
        records = parse(maker, KB_DNS_SRV);
        assert_int_equal(records->num, 1);
        assert_string_equal(records->list[0].text, "k");
        kb_dns_put(records);
    }
}

static void names_that_lead_in_circles(void **state)
{
    struct maker *maker = *state;
    struct kb_dns_records *records;
    uint8_t pointer[2], label[66] = {63};

    begin(maker);
    pointer[0] = 0xc0;
    pointer[1] = (uint8_t)(maker->len + 12 + 6); /* itself */
    put_srv(maker, 300, "\0\1\0\2\0\x58", pointer, 2);
    memset(label + 1, 'a', 63);
    label[64] = 0xc0;
    label[65] = (uint8_t)(maker->len + 12 + 6); /* a name without end */
    put_srv(maker, 300, "\0\1\0\2\0\x58", label, sizeof(label));
    records = parse(maker, KB_DNS_SRV);
    assert_int_equal(records->num, 0);
    kb_dns_put(records);
}

static void many_records(void **state)
{
    struct maker *maker = *state;
    struct kb_dns_records *records;

    begin(maker);
    for (int i = 0; i < 100; i++) {
        put_srv(maker, 300, "\0\1\0\2\0\x58", NAME("\1k"));
    }
    records = parse(maker, KB_DNS_SRV);
    assert_int_equal(records->num, KB_DNS_MAX_RECORDS);
    kb_dns_put(records);
}

static void cut_answers(void **state)
{
    struct maker *maker = *state;
    struct kb_dns_records *records;

    begin(maker);
    put_srv(maker, 300, "\0\1\0\2\0\x58", NAME("\4kdc1\1a\4test"));
    put_srv(maker, 300, "\0\1\0\2\0\x58", NAME("\4kdc2\1a\4test"));
    for (size_t len = 0; len < maker->len; len++) {
        uint8_t *copy = malloc(len + 1); /* valgrind and ASan see its end */

        memcpy(copy, maker->bytes, len);
        assert_int_equal(kb_dns_parse(kb_bytes_of(copy, len), KB_DNS_SRV, &records), KB_MALFORMED);
        assert_null(records);
        free(copy);
    }
}

/* --- the order, RFC 2782 --- */

static uint32_t drawn[8], asked_for[8];
static size_t draws;

static uint32_t draw(uint32_t most)
{
    asked_for[draws] = most;
    return drawn[draws++];
}

static void the_order(void **state)
{
    struct kb_dns_rank ranks[] = {{20, 5, 0}, {10, 10, 1}, {10, 30, 2}, {0, 0, 3}, {10, 0, 4}};
    static const size_t wanted[] = {3, 2, 4, 1, 0};

    (void)state;
    draws = 0;
    drawn[0] = 11; /* of 0..40: 4 has 0, 1 up to 10, 2 up to 40 */
    drawn[1] = 0;  /* of 0..10: 4 */
    kb_dns_order(ranks, NUM(ranks), draw);
    for (size_t i = 0; i < NUM(ranks); i++) {
        assert_int_equal(ranks[i].index, wanted[i]);
    }
    assert_int_equal(draws, 2);
    assert_int_equal(asked_for[0], 40);
    assert_int_equal(asked_for[1], 10);
    kb_dns_order(ranks, 0, draw);
}

/* With weights 1 and 3 a quarter of the draws and three: so many that chance has no say. */
static void weights_are_kept(void **state)
{
    unsigned first[2] = {0};

    (void)state;
    for (int i = 0; i < 4000; i++) {
        struct kb_dns_rank ranks[] = {{0, 1, 0}, {0, 3, 1}};

        kb_dns_order(ranks, 2, kb_dns_random);
        first[ranks[0].index]++;
    }
    /* RFC 2782's 0..sum gives the first one two of five numbers. */
    assert_in_range(first[0], 1200, 2000);
    assert_int_equal(first[0] + first[1], 4000);
    for (int i = 0; i < 100; i++) {
        assert_in_range(kb_dns_random(3), 0, 3);
    }
}

/* --- how long it holds --- */

static bool known(const struct kb_asked *asked, int64_t now_ms)
{
    struct kb_resolved answer;
    bool found = kb_remember_find(asked, now_ms, &answer);

    if (found) {
        kb_resolved_wipe(&answer);
    }
    return found;
}

static void records_live_as_long_as_they_say(void **state)
{
    static const struct {
        uint32_t ttl;
        int64_t life_ms;
    } rows[] = {{0, 5000}, {4, 5000}, {60, 60000}, {3600, 3600000}, {86400, 3600000}};
    struct kb_asked asked = {"_kerberos._udp.A.TEST.", KB_RESOLVE_ABSOLUTE, KB_DNS_SRV};
    struct kb_asked other = {"_kerberos._udp.A.TEST.", KB_RESOLVE_ABSOLUTE, KB_DNS_URI};
    struct maker *maker = *state;

    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_resolved answer = {0};

        begin(maker);
        put_srv(maker, rows[i].ttl, "\0\1\0\2\0\x58", NAME("\1k"));
        answer.records = parse(maker, KB_DNS_SRV);
        kb_remember_keep(&asked, &answer, kb_remember_generation(), 1000);
        kb_resolved_wipe(&answer);
        assert_true(known(&asked, 1000 + rows[i].life_ms - 1));
        assert_false(known(&asked, 1000 + rows[i].life_ms));
        assert_false(known(&other, 1000));
    }
    assert_false(kb_remember_drop("B.TEST"));
    assert_false(kb_remember_drop("EST"));
    assert_true(kb_remember_drop("a.test"));
    assert_false(kb_remember_drop("A.TEST"));
}

static void failures_live_shortly(void **state)
{
    static const struct {
        int type, error;
        int64_t life_ms;
    } rows[] = {
        {KB_DNS_SRV, HOST_NOT_FOUND, 10000},
        {KB_DNS_SRV, NO_DATA, 10000},
        {KB_DNS_SRV, TRY_AGAIN, 1000},
        {KB_DNS_SRV, NO_RECOVERY, 1000},
        {0, EAI_NONAME, 10000},
        {0, EAI_AGAIN, 1000},
        {0, 0, 30000},
    };

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_asked asked = {"x.a.test", KB_RESOLVE_CANONICAL, rows[i].type};
        struct kb_resolved answer = {.error = rows[i].error, .canonical = "y.a.test"};

        kb_remember_keep(&asked, &answer, kb_remember_generation(), 0);
        assert_true(known(&asked, rows[i].life_ms - 1));
        assert_false(known(&asked, rows[i].life_ms));
    }
    (void)kb_remember_drop(NULL);
}

static void there_is_an_end_to_it(void **state)
{
    struct kb_resolved answer = {0};
    char host[32];
    struct kb_asked asked = {host, KB_RESOLVE_CANONICAL, 0};
    unsigned num = 0, before = kb_remember_generation();

    (void)state;
    for (int i = 0; i < 3 * KB_REMEMBERED; i++) {
        snprintf(host, sizeof(host), "h%d", i);
        kb_remember_keep(&asked, &answer, before, 0);
        snprintf(host, sizeof(host), "h0");
        assert_true(known(&asked, 0)); /* used again and again, so it stays */
    }
    for (int i = 0; i < 3 * KB_REMEMBERED; i++) {
        snprintf(host, sizeof(host), "h%d", i);
        num += known(&asked, 0);
    }
    assert_int_equal(num, KB_REMEMBERED);
    assert_true(kb_remember_drop(NULL));
    assert_false(known(&asked, 0));
    kb_remember_keep(&asked, &answer, before, 0); /* asked before, answered after */
    assert_false(known(&asked, 0));
}

static void a_changed_file_forgets_all(void **state)
{
    char path[256];
    const char *paths[KB_REMEMBER_FILES] = {path, "/nonexistent/hosts", "/nonexistent/nsswitch"};
    struct kb_asked asked = {"www", KB_RESOLVE_CANONICAL, 0};
    struct kb_resolved answer = {0};

    (void)state;
    snprintf(path, sizeof(path), "%s", place_path("resolv.conf"));
    place_file("resolv.conf", "nameserver 192.0.2.1\n");
    kb_remember_files(paths);
    assert_false(known(&asked, 100000));
    kb_remember_keep(&asked, &answer, kb_remember_generation(), 100000);
    assert_true(known(&asked, 101000));
    place_file("resolv.conf", "nameserver 192.0.2.2 \n");
    assert_true(known(&asked, 101999)); /* looked at once a second */
    assert_false(known(&asked, 102000));
    kb_remember_keep(&asked, &answer, kb_remember_generation(), 102000);
    place_remove("resolv.conf");
    assert_false(known(&asked, 103000));
    kb_remember_files(NULL);
}

static int set_up(void **state)
{
    place_open();
    *state = malloc(sizeof(struct maker));
    return *state == NULL;
}

static int tear_down(void **state)
{
    free(*state);
    place_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services),
        cmocka_unit_test(texts),
        cmocka_unit_test(wrong_targets),
        cmocka_unit_test(names_that_lead_in_circles),
        cmocka_unit_test(many_records),
        cmocka_unit_test(cut_answers),
        cmocka_unit_test(the_order),
        cmocka_unit_test(weights_are_kept),
        cmocka_unit_test(records_live_as_long_as_they_say),
        cmocka_unit_test(failures_live_shortly),
        cmocka_unit_test(there_is_an_end_to_it),
        cmocka_unit_test(a_changed_file_forgets_all),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
