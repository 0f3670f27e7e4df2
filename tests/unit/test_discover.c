/* mech/login/discover: which questions are asked, what is made of the answers, and a server that
 * answers some of them only. A real server answers in tests/consumers/test_dns.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/login/discover.h"
#include "mech/net/resolve.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))

/* --- a server in the place of the system's resolver --- */

struct row {
    const char *name;
    int type;
    const char *data; /* of one record; NULL: nobody ever answers */
    size_t len;
};

static const struct row *rows;
static size_t num_rows;
static _Atomic unsigned num_asked;
static _Atomic bool let_go;

static int answer(const char *name, int type, uint8_t *reply, int max, int *out_error)
{
    size_t len = 12;
    uint8_t num = 0;

    (void)max;
    num_asked++;
    memset(reply, 0, len);
    for (size_t i = 0; i < num_rows; i++) {
        if (strcmp(rows[i].name, name) != 0 || rows[i].type != type) {
            continue;
        }
        while (rows[i].data == NULL && !let_go) {
            usleep(1000);
        }
        if (rows[i].data != NULL) {
            uint8_t head[11] = {0, (uint8_t)(type >> 8), (uint8_t)type, 0, 1, 0, 0, 1, 0,
                                0, (uint8_t)rows[i].len};

            memcpy(reply + len, head, sizeof(head));
            memcpy(reply + len + sizeof(head), rows[i].data, rows[i].len);
            len += sizeof(head) + rows[i].len;
            reply[7] = ++num;
        }
    }
    *out_error = HOST_NOT_FOUND;
    return num > 0 ? (int)len : -1;
}

static const struct kb_resolver server = {.query = answer};

static void serve(const struct row *records, size_t num)
{
    rows = records;
    num_rows = num;
    num_asked = 0;
    let_go = false;
    kb_resolve_use(&server);
}

static int tear_down(void **state)
{
    (void)state;
    let_go = true;
    while (kb_resolve_helpers() > 0) {
        usleep(1000);
    }
    kb_resolve_use(NULL);
    return 0;
}

#define DATA(bytes) bytes, sizeof(bytes) - 1
#define SRV(priority, port, labels) DATA("\0" priority "\0\0" port labels "\0")
#define URI(priority, text) DATA("\0" priority "\0\0" text)

/* Looks, and compares with words that end in NULL. */
static enum kb_status look(struct kb_discovery what, const char *realm, int64_t timeout_ms,
                           const char *const *wanted, const char *told)
{
    struct kb_error err = {0};
    struct kb_arena arena;
    struct kb_wait wait;
    struct kb_discovered found[8];
    const char *how;
    size_t num, i;
    enum kb_status st;

    kb_arena_init(&arena, NULL, 0, 65536);
    kb_wait_start(&wait, timeout_ms, true);
    what.realm = kb_str(realm);
    what.wait = &wait;
    st = kb_discover_kdcs(&what, &arena, found, NUM(found), &num, &how, &err);
    for (i = 0; i < num && wanted[i] != NULL; i++) {
        assert_string_equal(found[i].word, wanted[i]);
    }
    assert_int_equal(i, num);
    assert_null(wanted[i]);
    if (told != NULL) {
        assert_string_equal(st == KB_ERROR ? err.text : how, told);
    }
    kb_arena_wipe(&arena);
    return st;
}

static void a_host_is_one_place(void **state)
{
    static const struct row records[] = {
        {"_kerberos._udp.A.TEST.", KB_DNS_SRV, SRV("\2", "\0\x58", "\2k1\1a")},
        {"_kerberos._udp.A.TEST.", KB_DNS_SRV, SRV("\1", "\0\x58", "\2k2\1a")},
        {"_kerberos._tcp.A.TEST.", KB_DNS_SRV, SRV("\3", "\2\xee", "\2k2\1a")},
        {"_kerberos._tcp.A.TEST.", KB_DNS_SRV, SRV("\1", "\0\x58", "\2K2\1A")},
        {"_kerberos._tcp.A.TEST.", KB_DNS_SRV, SRV("\1", "\0\0", "\2k9\1a")},
        {"_kerberos-master._tcp.A.TEST.", KB_DNS_SRV, SRV("\1", "\0\x58", "\1m\1a")},
    };
    static const char *const all[] = {"k2.a:88", "udp/k1.a:88", "tcp/k2.a:750", NULL};
    static const char *const by_tcp[] = {"tcp/K2.A:88", "tcp/k2.a:750", NULL};
    static const char *const primary[] = {"tcp/m.a:88", NULL};
    static const char *const none[] = {NULL};

    (void)state;
    serve(records, NUM(records));
    assert_int_equal(look((struct kb_discovery){.uri = true}, "A.TEST", 5000, all,
                          "URI _kerberos.A.TEST: no such name; SRV _kerberos._udp.A.TEST: found; "
                          "SRV _kerberos._tcp.A.TEST: found"),
                     KB_OK);
    assert_int_equal(num_asked, 3);
    assert_int_equal(look((struct kb_discovery){.tcp_only = true}, "A.TEST", 5000, by_tcp,
                          "SRV _kerberos._tcp.A.TEST: found"),
                     KB_OK);
    assert_int_equal(num_asked, 3); /* remembered */
    assert_int_equal(look((struct kb_discovery){.primary = true}, "A.TEST", 5000, primary, NULL),
                     KB_OK);
    assert_int_equal(look((struct kb_discovery){.uri = true}, "B.TEST", 5000, none, NULL),
                     KB_NOT_FOUND);
    assert_true(kb_discover_forget(KB_LIT("A.TEST")));
    assert_int_equal(look((struct kb_discovery){0}, "A.TEST", 5000, all, NULL), KB_OK);
}

static void uris(void **state)
{
    static const struct row records[] = {
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\5", "krb5srv::udp:k1.a")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\4", "KRB5SRV:xM:TCP:[2001:db8::1]:750")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\3", "krb5srv::tcp:k1.a:88")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\1", "krb5srv:udp:k2.a")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\1", "krb5srv::udp:k2.a:0")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\1", "krb5srv::udp:tcp/k2.a")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\1", "krb5srv::kkdcp:k2.a")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\2", "krb5srv::kkdcp:https://p.a/KdcProxy")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\1", "krb5srv::udp:")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\1", "krb5srv:")},
        {"_kerberos.A.TEST.", KB_DNS_URI, URI("\1", "")},
        {"_kerberos._udp.A.TEST.", KB_DNS_SRV, SRV("\0", "\0\x58", "\2k9\1a")},
    };
    static const char *const all[] = {"https://p.a/KdcProxy", "k1.a:88", "tcp/[2001:db8::1]:750",
                                      NULL};
    static const char *const primary[] = {"tcp/[2001:db8::1]:750", NULL};
    static const char *const none[] = {NULL};
    struct kb_discovery what = {.uri = true};

    (void)state;
    serve(records, NUM(records));
    assert_int_equal(look(what, "A.TEST", 5000, all, NULL), KB_OK);
    what.primary = true;
    assert_int_equal(look(what, "A.TEST", 5000, primary, NULL), KB_OK);
    what.tcp_only = true;
    assert_int_equal(look(what, "A.TEST", 5000, primary, NULL), KB_OK);
    what.uri = false;
    assert_int_equal(look(what, "A.TEST", 5000, none, NULL), KB_NOT_FOUND);
}

/* Some servers drop what they do not know: SRV records are not waited for in vain. */
static void silent_uri_questions(void **state)
{
    static const struct row records[] = {
        {"_kerberos.A.TEST.", KB_DNS_URI, NULL, 0},
        {"_kerberos._udp.A.TEST.", KB_DNS_SRV, SRV("\0", "\0\x58", "\2k9\1a")},
    };
    static const char *const found[] = {"udp/k9.a:88", NULL};
    int64_t start_ms = kb_now_ms();

    (void)state;
    serve(records, NUM(records));
    assert_int_equal(look((struct kb_discovery){.uri = true}, "A.TEST", 30000, found, NULL), KB_OK);
    assert_true(kb_now_ms() - start_ms < 15000);
}

static void silence(void **state)
{
    static const struct row records[] = {
        {"_kerberos.A.TEST.", KB_DNS_URI, NULL, 0},
        {"_kerberos._udp.A.TEST.", KB_DNS_SRV, NULL, 0},
    };
    static const char *const none[] = {NULL};
    struct kb_wait wait;
    char realm[256];

    (void)state;
    serve(records, NUM(records));
    assert_int_equal(
        look((struct kb_discovery){.uri = true}, "A.TEST", 100, none,
             "Timed out while DNS was asked for the KDCs of A.TEST (URI _kerberos.A.TEST: no "
             "answer yet; SRV _kerberos._udp.A.TEST: no answer yet; SRV _kerberos._tcp.A.TEST: no "
             "such name)"),
        KB_ERROR);
    kb_wait_start(&wait, 5000, true);
    assert_int_equal(kb_discover_realm(KB_LIT("h.a.test"), &wait, realm), KB_NOT_FOUND);
}

static void what_is_not_asked(void **state)
{
    static const char *const realms[] = {"TEST",      "",         "A.",       ".A", "A..TEST",
                                         "192.0.2.1", "A/B.TEST", "A TEST.X", "1.2"};
    static const char *const none[] = {NULL};

    (void)state;
    serve(NULL, 0);
    for (size_t i = 0; i + 1 < NUM(realms); i++) {
        assert_int_equal(look((struct kb_discovery){.uri = true}, realms[i], 5000, none,
                              "it is no domain of two labels or more"),
                         KB_NOT_FOUND);
    }
    assert_int_equal(num_asked, 0);
}

static void realms_of_hosts(void **state)
{
    static const struct row records[] = {
        {"_kerberos.h.a.test.", KB_DNS_TXT, DATA("\6H.TEST")},
        {"_kerberos.a.test.", KB_DNS_TXT, DATA("\7A.TEST.")},
        {"_kerberos.test.", KB_DNS_TXT, DATA("\4TEST")},
    };
    static const struct {
        const char *host, *realm;
    } wanted[] = {{"h.a.test", "H.TEST"}, {"x.y.a.test", "A.TEST"}, {"b.test", NULL}, {"a", NULL}};
    struct kb_wait wait;
    char realm[256];

    (void)state;
    serve(records, NUM(records));
    kb_wait_start(&wait, 5000, true);
    for (size_t i = 0; i < NUM(wanted); i++) {
        enum kb_status st = kb_discover_realm(kb_str(wanted[i].host), &wait, realm);

        assert_int_equal(st, wanted[i].realm != NULL ? KB_OK : KB_NOT_FOUND);
        if (st == KB_OK) {
            assert_string_equal(realm, wanted[i].realm);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_host_is_one_place, tear_down),
        cmocka_unit_test_teardown(uris, tear_down),
        cmocka_unit_test_teardown(silent_uri_questions, tear_down),
        cmocka_unit_test_teardown(silence, tear_down),
        cmocka_unit_test_teardown(what_is_not_asked, tear_down),
        cmocka_unit_test_teardown(realms_of_hosts, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
