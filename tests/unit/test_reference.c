/* mech/report/reference: every number of the component reference, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netdb.h>

#include "mech/net/resolve.h"
#include "mech/report/reference.h"
#include "tests/support/mockkdc.h"

/* "Trappable Errors" of the reference: all that it lists. */
static const int numbers[] = {
    950,   951,   952,   953,   954,   104,   106,   107,   109,   112,   113,   114,
    115,   116,   117,   118,   119,   434,   10004, 10009, 10013, 10014, 10022, 10024,
    10035, 10036, 10037, 10038, 10039, 10040, 10041, 10042, 10043, 10044, 10045, 10046,
    10047, 10048, 10049, 10050, 10051, 10052, 10053, 10054, 10055, 10056, 10057, 10058,
    10059, 10060, 10061, 10062, 10063, 10064, 10065, 10066, 10067, 10068, 10069, 10070,
    10071, 10091, 10092, 10093, 11001, 11002, 11003, 11004,
};

#define NUM_NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static bool is_of_an_option(int number)
{
    static const char *const options[] = {"LocalPort",      "localhost", "MaxPacketSize",
                                          "ShareLocalPort", "KDCHost",   "KDCPort",
                                          "UseConnection"};

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (kb_reference_of_option(options[i]) == number) {
            return true;
        }
    }
    return number == kb_reference_of_zero("KDCPort");
}

static bool leads_back(int number, const struct kb_reference *here)
{
    struct kb_error err = {.code = KB_E_INTERNAL};
    bool any = false;

    if (here->sys_errno != 0) {
        err.sys_errno = here->sys_errno;
        assert_int_equal(kb_error_number(&err), number);
        any = true;
    }
    if (here->gai_error != 0) {
        err.gai_error = here->gai_error;
        assert_int_equal(kb_error_number(&err), number);
        any = true;
    }
    if (here->code != KB_E_NONE) {
        err = (struct kb_error){.code = here->code, .kdc_code = 1};
        assert_int_equal(kb_error_number(&err), number);
        any = true;
    }
    return any;
}

static void every_number_leads_both_ways(void **state)
{
    struct kb_reference here;

    (void)state;
    for (size_t i = 0; i < NUM_NUMBERS; i++) {
        const char *text = kb_reference_text(numbers[i]);

        assert_non_null(text);
        assert_true(strlen(text) > 10);
        assert_true(kb_reference_find(numbers[i], &here));
        /* 119 is of a status: see error.c and below. */
        assert_true(leads_back(numbers[i], &here) || is_of_an_option(numbers[i]) ||
                    numbers[i] == 119 || !here.can_occur);
    }
    assert_false(kb_reference_find(10001, &here));
    assert_null(kb_reference_text(0));
    assert_string_equal(kb_reference_text(953), "Message integrity check error.");
    assert_string_equal(kb_reference_text(10054), "Connection reset by peer.");
}

static bool is_listed(int number)
{
    for (size_t i = 0; i < NUM_NUMBERS; i++) {
        if (numbers[i] == number) {
            return true;
        }
    }
    return false;
}

/* What is told is one of the reference's numbers, of those that can occur: for each row of
 * error.def alone, and with each errno and each code of the resolver. */
static void only_numbers_that_can_occur_are_told(void **state)
{
    struct kb_reference here;

    (void)state;
    for (int code = KB_E_NONE; code < KB_E_NUM; code++) {
        struct kb_error err = {.code = (enum kb_error_code)code};
        int number = kb_error_number(&err);

        assert_true(is_listed(number) && kb_reference_find(number, &here) && here.can_occur);
        for (err.sys_errno = 1; err.sys_errno < 140; err.sys_errno++) {
            assert_true(is_listed(kb_error_number(&err)));
        }
        err.sys_errno = 0;
        for (err.gai_error = -1; err.gai_error > -110; err.gai_error--) {
            assert_true(is_listed(kb_error_number(&err)));
        }
    }
}

static void what_says_most_goes_first(void **state)
{
    static const struct {
        struct kb_error err;
        int number;
    } cases[] = {
        {{.code = KB_E_KDC_UNREACHABLE}, 10060},
        {{.code = KB_E_KDC_UNREACHABLE, .sys_errno = ECONNREFUSED}, 10061},
        {{.code = KB_E_OPTION, .sys_errno = EADDRINUSE}, 10048},
        {{.code = KB_E_KEYTAB, .sys_errno = ENOENT}, 10022}, /* has no number: the row's */
        {{.code = KB_E_KEYTAB, .sys_errno = EPERM}, 10013},
        {{.code = KB_E_KDC_UNREACHABLE, .gai_error = EAI_NONAME}, 11001},
        {{.code = KB_E_KDC_UNREACHABLE, .gai_error = EAI_SYSTEM, .sys_errno = EMFILE}, 10024},
        {{.code = KB_E_KDC_UNREACHABLE, .gai_error = EAI_ADDRFAMILY}, 11004},
        {{.code = KB_E_KDC_UNREACHABLE, .gai_error = EAI_MEMORY}, 10055},
        {{.code = KB_E_KDC_UNREACHABLE, .gai_error = EAI_FAMILY}, 11003},
        {{.code = KB_E_WRONG_PASSWORD, .kdc_code = 24}, 952},
        {{.code = KB_E_WRONG_PASSWORD}, 953}, /* the reply did not decrypt */
        {{.code = KB_E_OPTION, .number = 116}, 116},
        {{.code = KB_E_PACKET_SIZE, .sys_errno = EMSGSIZE}, 118},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(kb_error_number(&cases[i].err), cases[i].number);
    }
}

static void what_is_cut_short_is_119(void **state)
{
    struct kb_error token = {0}, keytab = {0}, malformed = {0};

    (void)state;
    (void)kb_error_status(&token, KB_E_TOKEN, KB_CUT_SHORT, "The message");
    assert_int_equal(kb_error_number(&token), 119);
    (void)kb_error_status(&malformed, KB_E_TOKEN, KB_MALFORMED, "The message");
    assert_int_equal(kb_error_number(&malformed), 953);
    (void)kb_error_status(&keytab, KB_E_KEYTAB, KB_CUT_SHORT, "The keytab");
    assert_int_equal(kb_error_number(&keytab), 10022);
}

static void options_of_a_context_have_numbers(void **state)
{
    (void)state;
    assert_int_equal(kb_reference_of_option("LocalPort"), 106);
    assert_int_equal(kb_reference_of_option("LOCALHOST"), 107);
    assert_int_equal(kb_reference_of_option("KDCPort"), 115);
    assert_int_equal(kb_reference_of_option("UseConnection"), 117);
    assert_int_equal(kb_reference_of_option("Timeout"), 950);
}

/* --- the resolver --- */

static int resolver_says, resolver_errno;

static int say(const char *host, const char *service, const struct addrinfo *hints,
               struct addrinfo **out)
{
    (void)host;
    (void)service;
    (void)hints;
    *out = NULL;
    errno = resolver_errno;
    return resolver_says;
}

static const struct kb_resolver saying = {.getaddrinfo = say, .freeaddrinfo = freeaddrinfo};

/* A KDC's name that leads nowhere: what the resolver says comes up with the login's error. */
static void the_resolvers_codes_have_numbers(void **state)
{
    static const struct {
        int says, sys_errno, number;
    } cases[] = {
        {EAI_NONAME, 0, 11001}, {EAI_AGAIN, 0, 11002},  {EAI_FAIL, 0, 11003},
        {EAI_NODATA, 0, 11004}, {EAI_MEMORY, 0, 10055}, {EAI_SYSTEM, EMFILE, 10024},
    };

    (void)state;
    kb_resolve_use(&saying);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct asker asker;

        resolver_says = cases[i].says;
        resolver_errno = cases[i].sys_errno;
        asker_start(&asker, 5000);
        asker_add(&asker, "kdc.example.com", 88, KB_UDP);
        assert_int_equal(asker_ask(&asker, "hello", false), KB_ERROR);
        assert_int_equal(kb_error_number(&asker.err), cases[i].number);
        asker_stop(&asker);
    }
    kb_resolve_use(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_leads_both_ways),
        cmocka_unit_test(only_numbers_that_can_occur_are_told),
        cmocka_unit_test(what_says_most_goes_first),
        cmocka_unit_test(what_is_cut_short_is_119),
        cmocka_unit_test(options_of_a_context_have_numbers),
        cmocka_unit_test(the_resolvers_codes_have_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
