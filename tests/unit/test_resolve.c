/* mech/net/resolve: names, and a resolver that hangs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/support/mockkdc.h"

/* --- resolvers in the place of the system's --- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static unsigned inside, at_most;

static void set_gate(bool open)
{
    pthread_mutex_lock(&gate);
    gate_open = open;
    pthread_cond_broadcast(&gate_opens);
    pthread_mutex_unlock(&gate);
}

/* A list of ::1 and 127.0.0.1, as the system gives it for localhost. */
static int both_loopbacks(const char *host, const char *service, const struct addrinfo *hints,
                          struct addrinfo **out)
{
    struct all {
        struct addrinfo first, second;
        struct sockaddr_in6 six;
        struct sockaddr_in four;
        char name[32];
    } *all = calloc(1, sizeof(*all));

    (void)host;
    (void)service;
    if (all == NULL) {
        return EAI_MEMORY;
    }
    all->six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    all->four =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    strcpy(all->name, "canonical.example.com");
    all->first = (struct addrinfo){.ai_family = AF_INET6,
                                   .ai_addr = (struct sockaddr *)&all->six,
                                   .ai_addrlen = sizeof(all->six),
                                   .ai_next = &all->second};
    all->second = (struct addrinfo){.ai_family = AF_INET,
                                    .ai_addr = (struct sockaddr *)&all->four,
                                    .ai_addrlen = sizeof(all->four)};
    if (hints->ai_flags & AI_CANONNAME) {
        all->first.ai_canonname = all->name;
    }
    *out = &all->first;
    return 0;
}

static void free_loopbacks(struct addrinfo *list)
{
    free(list);
}

static int hang(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    pthread_mutex_lock(&gate);
    inside++;
    at_most = inside > at_most ? inside : at_most;
    while (!gate_open) {
        pthread_cond_wait(&gate_opens, &gate);
    }
    inside--;
    pthread_mutex_unlock(&gate);
    return both_loopbacks(host, service, hints, out);
}

static int name_of(const struct sockaddr *address, socklen_t len, char *host, socklen_t host_len,
                   char *service, socklen_t service_len, int flags)
{
    (void)address;
    (void)len;
    (void)service;
    (void)service_len;
    snprintf(host, host_len, "reverse.example.com");
    return flags & NI_NAMEREQD ? 0 : EAI_NONAME;
}

static const struct kb_resolver two_addresses = {both_loopbacks, free_loopbacks, name_of, false,
                                                 NULL};
static const struct kb_resolver no_threads = {both_loopbacks, free_loopbacks, name_of, true, NULL};
static const struct kb_resolver hanging = {hang, free_loopbacks, name_of, false, NULL};

static void let_helpers_go(void)
{
    set_gate(true);
    for (int i = 0; i < 5000 && kb_resolve_helpers() > 0; i++) {
        mock_pause(1);
    }
    assert_int_equal(kb_resolve_helpers(), 0);
    kb_resolve_use(NULL);
    set_gate(false);
}

/* Asks and waits for the answer, which is valid until kb_resolve_free. */
static const struct kb_resolved *ask(const char *host, unsigned flags, struct kb_resolve **question)
{
    struct kb_wait wait;
    const struct kb_resolved *resolved;

    kb_wait_start(&wait, 5000, true);
    assert_int_equal(kb_resolve_start(host, flags, question), KB_OK);
    while ((resolved = kb_resolve_result(*question)) == NULL) {
        struct pollfd fds[1 + KB_WAIT_FDS] = {{.fd = kb_resolve_fd(*question), .events = POLLIN}};
        int ready;

        assert_int_equal(kb_wait_poll(&wait, fds, 1, INT64_MAX, &ready), KB_OK);
    }
    return resolved;
}

/* --- tests --- */

static void numeric_names_need_no_help(void **state)
{
    static const struct {
        const char *host, *text;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1:88"},
        {"2001:db8::1", "[2001:db8::1]:88"},
        {"::ffff:192.0.2.1", "[::ffff:192.0.2.1]:88"},
        {"fe80::1%1", "[fe80::1%1]:88"},
        {"fe80::1%lo", "[fe80::1%1]:88"},
    };

    (void)state;
    kb_resolve_use(&hanging);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kb_resolve *question;
        const struct kb_resolved *resolved;
        struct kb_address address;
        char text[KB_ADDRESS_TEXT];

        assert_int_equal(kb_resolve_start(rows[i].host, KB_RESOLVE_CANONICAL, &question), KB_OK);
        assert_int_equal(kb_resolve_fd(question), -1);
        resolved = kb_resolve_result(question);
        assert_non_null(resolved);
        assert_int_equal(resolved->num, 1);
        address = resolved->addresses[0];
        kb_address_set_port(&address, 88);
        kb_address_text(&address, true, text);
        assert_string_equal(text, rows[i].text);
        kb_resolve_free(question);
    }
    kb_resolve_use(NULL);
}

static void names_are_not_numeric(void **state)
{
    static const char *const names[] = {"",           "kdc",      "1.2.3",
                                        "1.2.3.4.5",  "fe80::1%", "fe80::1%no-such",
                                        "1.2.3.4%lo", "::1::",    "[::1]"};
    struct kb_address address;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_false(kb_address_numeric(&address, names[i]));
        assert_int_equal(address.len, 0);
    }
}

static void the_system_knows_localhost(void **state)
{
    struct kb_resolve *question;
    const struct kb_resolved *resolved = ask("localhost", 0, &question);

    (void)state;
    assert_int_equal(resolved->error, 0);
    assert_true(resolved->num > 0);
    assert_false(resolved->in_line);
    kb_resolve_free(question);
}

static void unknown_names_are_said(void **state)
{
    struct asker asker;

    (void)state;
    asker_start(&asker, 5000);
    asker_add(&asker, "no-such-name.invalid", 88, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    assert_int_equal(asker.err.code, KB_E_KDC_UNREACHABLE);
    assert_non_null(strstr(asker.err.text, ": no-such-name.invalid: "));
    asker_stop(&asker);
}

/* KDCs by name: ::1 refuses, 127.0.0.1 answers. */
static void every_address_is_tried(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    kb_resolve_use(&two_addresses);
    mock_start(&kdc, mock_udp_final, NULL);
    asker_start(&asker, 5000);
    asker_calm(&asker);
    asker_add(&asker, "kdc.example.com", kdc.port, KB_ANY_TRANSPORT);
    /* A proof too: the refused port cannot have judged it. */
    assert_int_equal(asker_ask(&asker, "hello", true), KB_OK);
    assert_quick(&asker);
    /* The next one begins with the address that answered. */
    assert_int_equal(asker_ask(&asker, "hello", true), KB_OK);
    asker_stop(&asker);
    mock_stop(&kdc);
    kb_resolve_use(NULL);
}

static void errors_name_the_host(void **state)
{
    struct asker asker;
    char text[100];
    uint16_t port = mock_free_port();

    (void)state;
    kb_resolve_use(&two_addresses);
    asker_start(&asker, 5000);
    asker_add(&asker, "kdc.example.com", port, KB_TCP);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
    snprintf(text, sizeof(text), "; kdc.example.com:%u (127.0.0.1) tcp: Connection refused",
             (unsigned)port);
    assert_non_null(strstr(asker.err.text, text));
    asker_stop(&asker);
    kb_resolve_use(NULL);
}

static void a_hanging_resolver_does_not_hold_up_the_deadline(void **state)
{
    struct asker asker;
    int64_t start_ms = kb_now_ms();

    (void)state;
    kb_resolve_use(&hanging);
    for (int i = 0; i < 6; i++) {
        char host[32], text[80];

        snprintf(host, sizeof(host), "hangs%d.example.com", i);
        snprintf(text, sizeof(text), ": %s: its name was not resolved in ", host);
        asker_start(&asker, 50);
        asker_add(&asker, host, 88, KB_ANY_TRANSPORT);
        assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
        assert_int_equal(asker.err.code, KB_E_TIMEOUT);
        assert_non_null(strstr(asker.err.text, text));
        asker_stop(&asker);
    }
    assert_true(kb_now_ms() - start_ms < 3000);
    assert_int_equal(kb_resolve_helpers(), 4);
    let_helpers_go();
    assert_int_equal(at_most, 4);
}

static void a_hanging_name_is_hedged(void **state)
{
    struct mock kdc;
    struct asker asker;

    (void)state;
    kb_resolve_use(&hanging);
    mock_start(&kdc, mock_udp_final, NULL);
    asker_start(&asker, 5000);
    asker_add(&asker, "hangs.example.com", 88, KB_ANY_TRANSPORT);
    asker_add(&asker, "127.0.0.1", kdc.port, KB_ANY_TRANSPORT);
    assert_int_equal(asker_ask(&asker, "hello", false), KB_OK);
    assert_true(asker.took_ms >= 49);
    assert_quick(&asker);
    asker_stop(&asker);
    mock_stop(&kdc);
    let_helpers_go();
}

static void *open_soon(void *unused)
{
    mock_pause(30);
    set_gate(true);
    return unused;
}

static void questions_wait_for_a_helper(void **state)
{
    struct kb_resolve *questions[6], *last;
    pthread_t thread;

    (void)state;
    kb_resolve_use(&hanging);
    for (int i = 0; i < 6; i++) {
        char host[32];

        snprintf(host, sizeof(host), "hangs%d.example.com", i);
        assert_int_equal(kb_resolve_start(host, 0, &questions[i]), KB_OK);
        assert_null(kb_resolve_result(questions[i]));
    }
    kb_resolve_free(questions[0]); /* in a helper's hands */
    kb_resolve_free(questions[5]); /* still in the queue */
    assert_int_equal(pthread_create(&thread, NULL, open_soon, NULL), 0);
    assert_int_equal(ask("hangs.example.com", 0, &last)->num, 2);
    pthread_join(thread, NULL);
    for (int i = 1; i < 5; i++) {
        kb_resolve_free(questions[i]);
    }
    kb_resolve_free(last);
    let_helpers_go();
}

/* Eight ask the same while one helper asks; whoever leaves, also the first, keeps it from nobody.
 */
static void the_same_question_is_asked_once(void **state)
{
    struct kb_resolve *questions[8];
    struct kb_wait wait;

    (void)state;
    kb_resolve_use(&hanging);
    inside = at_most = 0;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(kb_resolve_start("same.example.com", 0, &questions[i]), KB_OK);
    }
    assert_int_equal(kb_resolve_helpers(), 1);
    kb_resolve_free(questions[0]); /* who asks */
    kb_resolve_free(questions[3]); /* who follows */
    set_gate(true);
    for (int i = 1; i < 8; i++) {
        const struct kb_resolved *answer;

        if (i == 3) {
            continue;
        }
        kb_wait_start(&wait, 5000, true);
        assert_int_equal(kb_resolve_wait(questions[i], &wait, &answer), KB_OK);
        assert_int_equal(answer->num, 2);
        kb_resolve_free(questions[i]);
    }
    let_helpers_go();
    assert_int_equal(at_most, 1);
}

static void without_threads_it_is_asked_in_line(void **state)
{
    struct kb_resolve *question;
    const struct kb_resolved *resolved;

    (void)state;
    kb_resolve_use(&no_threads);
    assert_int_equal(kb_resolve_start("kdc.example.com", 0, &question), KB_OK);
    assert_int_equal(kb_resolve_fd(question), -1);
    resolved = kb_resolve_result(question);
    assert_non_null(resolved);
    assert_true(resolved->in_line);
    assert_int_equal(resolved->num, 2);
    kb_resolve_free(question);
    kb_resolve_use(NULL);
}

static bool all_blocked;
static size_t stack_size;

static int look_around(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    pthread_attr_t attr;
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    all_blocked =
        sigismember(&mask, SIGTERM) && sigismember(&mask, SIGPROF) && sigismember(&mask, SIGRTMIN);
    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstacksize(&attr, &stack_size);
    pthread_attr_destroy(&attr);
    return both_loopbacks(host, service, hints, out);
}

static void helpers_block_signals(void **state)
{
    static const struct kb_resolver looking = {look_around, free_loopbacks, name_of, false, NULL};
    struct kb_resolve *question;
    sigset_t mask;

    (void)state;
    kb_resolve_use(&looking);
    assert_int_equal(ask("kdc.example.com", 0, &question)->num, 2);
    kb_resolve_free(question);
    assert_true(all_blocked);
    assert_in_range(stack_size, 256 * 1024, 2048 * 1024); /* sanitizers add to it */
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_false(sigismember(&mask, SIGTERM));
    let_helpers_go();
}

static void canonical_names(void **state)
{
    struct kb_wait wait;
    char name[256];

    (void)state;
    kb_resolve_use(&two_addresses);
    kb_wait_start(&wait, 5000, false);
    assert_int_equal(kb_net_canonical_name(&wait, "www", false, name), KB_OK);
    assert_string_equal(name, "canonical.example.com");
    assert_int_equal(kb_net_canonical_name(&wait, "www", true, name), KB_OK);
    assert_string_equal(name, "reverse.example.com");
    let_helpers_go();
    assert_int_equal(kb_net_canonical_name(&wait, "no-such-name.invalid", false, name),
                     KB_NOT_FOUND);
    kb_resolve_use(&hanging); /* which forgets what is remembered */
    kb_wait_start(&wait, 50, false);
    assert_int_equal(kb_net_canonical_name(&wait, "www", false, name), KB_TIMED_OUT);
    assert_string_equal(name, "");
    let_helpers_go();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_names_need_no_help),
        cmocka_unit_test(names_are_not_numeric),
        cmocka_unit_test(the_system_knows_localhost),
        cmocka_unit_test(unknown_names_are_said),
        cmocka_unit_test(every_address_is_tried),
        cmocka_unit_test(errors_name_the_host),
        cmocka_unit_test(a_hanging_resolver_does_not_hold_up_the_deadline),
        cmocka_unit_test(a_hanging_name_is_hedged),
        cmocka_unit_test(questions_wait_for_a_helper),
        cmocka_unit_test(the_same_question_is_asked_once),
        cmocka_unit_test(without_threads_it_is_asked_in_line),
        cmocka_unit_test(helpers_block_signals),
        cmocka_unit_test(canonical_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
