/* mech/options: which place wins. Every layer, and in files every kind of section, in ascending
 * order; each pair of them, and all of them together, with the order in the file against it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "mech/options/context.h"
#include "mech/options/layers.h"
#include "mech/options/options.h"
#include "mech/options/process.h"
#include "mech/options/settings.h"
#include "tests/support/place.h"

/* The sections of a file, in ascending order: kerbside(8), "Option files". `@` is our user's
 * number. */
static const char *const sections[] = {
    "",
    "[program *]",
    "[user @]",
    "[program */test_prec*]",
    "[user *, program *]",
    "[user @, program */test_prec*]",
    "[target *]",
    "[target HTTP@*]",
    "[target HTTP@www.*]",
    "[target *, user @]",
    "[target *, user @, program *]",
    "[client *]",
    "[client *@R]",
    "[client alice@R]",
    "[client *, target *]",
    "[client *, target HTTP@*]",
    "[client *, target *, program *, user @]",
};
enum { NUM_SECTIONS = sizeof(sections) / sizeof(sections[0]) };

/* The places, in ascending order. */
enum {
    PLACE_LINE,
    PLACE_CONFIG,
    PLACE_OPTIONS = PLACE_CONFIG + NUM_SECTIONS,
    PLACE_ENV_CONFIG,
    PLACE_PROCESS = PLACE_ENV_CONFIG + NUM_SECTIONS,
    PLACE_CREDENTIAL,
    PLACE_CONTEXT,
    NUM_PLACES
};

/* The last sections first, so that nothing wins by standing later. What stands outside of sections
 * must be in front. */
static void write_file(const char *name, const bool *is_set, int first)
{
    char text[4000], *to = text;

    *to = '\0';
    for (int n = 0; n < NUM_SECTIONS; n++) {
        int section = n == 0 ? 0 : NUM_SECTIONS - n;

        if (!is_set[first + section]) {
            continue;
        }
        for (const char *at = sections[section]; *at != '\0'; at++) {
            to += *at == '@' && (at[1] == ']' || at[1] == ',')
                      ? sprintf(to, "%lu", (unsigned long)geteuid())
                      : sprintf(to, "%c", *at);
        }
        to += sprintf(to, "\nLogFile = /%d\n", first + section);
    }
    place_file(name, text);
}

static void set_process(int place)
{
    struct kb_error err = {0};
    char text[32];

    snprintf(text, sizeof(text), "LogFile=/%d", place);
    assert_int_equal(kb_options_process_set(kb_str(text), &err), KB_OK);
}

static void set_own(struct kb_settings *own, int place)
{
    struct kb_error err = {0};
    char text[32];

    snprintf(text, sizeof(text), "/%d", place);
    assert_int_equal(kb_settings_set(own, KB_LIT("LogFile"), kb_str(text), &err), KB_OK);
}

static void write_places(const bool *is_set)
{
    char text[200];

    write_file("config", is_set, PLACE_CONFIG);
    write_file("env-config", is_set, PLACE_ENV_CONFIG);
    snprintf(text, sizeof(text),
             is_set[PLACE_LINE] ? "Config=~/config LogFile=/%d" : "Config=~/config", PLACE_LINE);
    place_line(text);
    snprintf(text, sizeof(text), "LogFile=/%d", PLACE_OPTIONS);
    place_env("KERBSIDE_OPTIONS", is_set[PLACE_OPTIONS] ? text : NULL);
    place_renew();
}

/* Makes the snapshot of a context, as spi does. */
static const struct kb_options *snapshot(const bool *is_set)
{
    struct kb_settings *own = kb_settings_new(), *late = kb_settings_for_context();
    struct kb_options_query query = {
        .target = KB_LIT("HTTP@www.example.org"), .client = KB_LIT("alice@R"), .own = own};
    const struct kb_options *options = NULL, *changed = NULL;
    struct kb_error err = {0};

    if (is_set[PLACE_PROCESS]) {
        set_process(PLACE_PROCESS);
    }
    if (is_set[PLACE_CREDENTIAL]) {
        set_own(own, PLACE_CREDENTIAL);
    }
    if (kb_options_get(&query, &options, &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
    if (is_set[PLACE_CONTEXT]) {
        set_own(late, PLACE_CONTEXT);
        assert_int_equal(kb_options_for_context(options, late, &changed, &err), KB_OK);
        kb_options_put(options);
        options = changed;
    }
    kb_settings_free(own);
    kb_settings_free(late);
    kb_options_process_reset();
    return options;
}

static unsigned layer_of(int place)
{
    return place == PLACE_LINE         ? KB_LAYER_MECHD
           : place < PLACE_OPTIONS     ? KB_LAYER_CONFIG
           : place < PLACE_PROCESS     ? KB_LAYER_ENVIRONMENT
           : place == PLACE_PROCESS    ? KB_LAYER_PROCESS
           : place == PLACE_CREDENTIAL ? KB_LAYER_CREDENTIAL
                                       : KB_LAYER_CONTEXT;
}

static void assert_wins(const bool *is_set, int winner, int other)
{
    const struct kb_options *options;
    char expected[16];

    write_places(is_set);
    options = snapshot(is_set);
    snprintf(expected, sizeof(expected), "/%d", winner);
    if (strcmp(options->log_file, expected) != 0 ||
        options->log_file_from.layer != layer_of(winner)) {
        fail_msg("%s (layer %u), not %s, beside place %d", options->log_file,
                 options->log_file_from.layer, expected, other);
    }
    kb_options_put(options);
}

static int open_place(void **state)
{
    (void)state;
    place_open();
    place_env("KERBSIDE_CONFIG", place_path("env-config"));
    return 0;
}

static int close_place(void **state)
{
    (void)state;
    place_env("KERBSIDE_CONFIG", NULL);
    place_env("KERBSIDE_OPTIONS", NULL);
    place_close();
    return 0;
}

static void each_place_wins_over_each_below(void **state)
{
    (void)state;
    for (int high = 0; high < NUM_PLACES; high++) {
        for (int low = 0; low <= high; low++) {
            bool is_set[NUM_PLACES] = {0};

            is_set[low] = is_set[high] = true;
            assert_wins(is_set, high, low);
        }
    }
}

static void the_highest_of_many_wins(void **state)
{
    bool is_set[NUM_PLACES] = {0};

    (void)state;
    for (int place = 0; place < NUM_PLACES; place++) {
        is_set[place] = true;
        assert_wins(is_set, place, -1);
    }
}

/* Of sections that are as specific, the later one. */
static void later_in_the_file_wins(void **state)
{
    bool is_set[NUM_PLACES] = {0};
    const struct kb_options *options;

    (void)state;
    write_places(is_set);
    place_file("config", "[target HTTP@*]\nLogFile = /a\n[target *@www]\nLogFile = /b\n");
    place_renew();
    options = snapshot(is_set);
    assert_string_equal(options->log_file, "/a"); /* the other one does not hold */
    kb_options_put(options);
    place_file("config", "[target HTTP*g]\nLogFile = /a\n[target H*e.org]\nLogFile = /b\n"
                         "[target H*.org]\nLogFile = /c\n[target *e.org]\nLogFile = /d\n");
    place_renew();
    options = snapshot(is_set);
    assert_string_equal(options->log_file, "/b");
    kb_options_put(options);
}

int main(void)
{
#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, open_place, close_place)
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(each_place_wins_over_each_below),
        IN_A_PLACE(the_highest_of_many_wins),
        IN_A_PLACE(later_in_the_file_wins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
