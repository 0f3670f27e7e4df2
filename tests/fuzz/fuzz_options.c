/* The first byte chooses: the input is a mechanism configuration whose line is read, an option
 * file, a krb5.conf, words of KDCHost and a User, or settings of a process or credential, with the
 * snapshot that is made of them. Nothing is read from disk but krb5.conf's empty place. */
#include <stdlib.h>

#include "mech/options/check.h"
#include "mech/options/checking.h"
#include "mech/options/kdc.h"
#include "mech/options/krb5conf.h"
#include "mech/options/match.h"
#include "mech/options/mechd.h"
#include "mech/options/reading.h"
#include "mech/options/process.h"
#include "mech/options/settings.h"
#include "mech/options/show.h"
#include "mech/options/text.h"
#include "mech/options/user.h"
#include "mech/options/value.h"
#include "tests/fuzz/fuzz.h"

/* Every unit that came out is whole, and its patterns end in time. */
static void use_units(const struct kb_reading *reading)
{
    for (const struct kb_unit *unit = reading->first; unit != NULL; unit = unit->next) {
        for (const struct kb_setting *s = unit->settings; s != NULL; s = s->next) {
            FUZZ_MUST(s->row != NULL && s->text != NULL);
        }
        kb_call_conditions_hold(unit, KB_LIT("HTTP@www.example.org"), KB_LIT("alice@EXAMPLE.ORG"),
                                NULL);
        FUZZ_MUST(kb_unit_compare(unit, unit) == 0);
    }
}

/* --- lines --- */

static void read_lines(kb_bytes text, struct kb_arena *arena, bool is_line)
{
    struct kb_setting like = {.from = {.layer = KB_LAYER_MECHD, .file = "mech", .line = 1}};
    struct kb_mechd_line line = {0};
    struct kb_reading reading;
    struct kb_error err = {0};
    enum kb_status st;

    kb_reading_init(&reading, arena, NULL, 0);
    if (is_line) {
        kb_mechd_scan(text, KB_NONE, &line);
        FUZZ_MUST(line.options.len <= text.len);
        st = kb_read_items(&reading, KB_LAYER_MECHD, line.options, &like, &err);
    } else {
        st = kb_read_config_text(&reading, KB_LAYER_CONFIG, text, "config", false, &err);
    }
    FUZZ_MUST((st == KB_OK) == (err.code == KB_E_NONE));
    FUZZ_MUST(strpbrk(err.text, "\n\r\x1b") == NULL);
    use_units(&reading);
}

static void read_krb5conf(kb_bytes text)
{
    const struct kb_krb5conf *conf;
    struct kb_error err = {0};

    if (kb_krb5conf_parse(text, &conf, &err) == KB_OK) {
        kb_bytes realm = kb_krb5conf_default_realm(conf);

        kb_krb5conf_kdcs(conf, realm);
        kb_krb5conf_realm_of_host(conf, KB_LIT("www.example.org"));
        kb_krb5conf_primary_kdcs(conf, realm);
        kb_krb5conf_seconds(conf, realm, "ticket_lifetime", 0);
        kb_krb5conf_bool(conf, realm, "forwardable", true);
        FUZZ_MUST(realm.len == 0 || kb_krb5conf_knows_realm(conf, realm));
    }
    kb_krb5conf_put(conf);
}

/* --- words --- */

static void read_words(kb_bytes text, struct kb_arena *arena)
{
    kb_bytes rest = text, word;

    while (kb_take_word(&rest, &word)) {
        struct kb_error err = {0};
        struct kb_kdc_word kdc;
        enum kb_status st = kb_kdc_word_parse(word, &kdc, &err);

        FUZZ_MUST((st == KB_OK) == (err.code == KB_E_NONE));
        FUZZ_MUST(st != KB_OK || (kdc.host.len > 0 && kdc.host.ptr >= word.ptr &&
                                  kdc.host.ptr + kdc.host.len <= word.ptr + word.len));
    }
    for (int enterprise = 0; enterprise < 2; enterprise++) {
        struct kb_user_reader reader = {.enterprise = enterprise != 0};
        struct kb_principal *user;
        struct kb_error err = {0};
        const char *note;
        enum kb_status st = kb_user_parse(&reader, text, arena, &user, &note, &err);

        FUZZ_MUST((st == KB_OK) == (user != NULL) && (st == KB_OK) == (err.code == KB_E_NONE));
        FUZZ_MUST(note == NULL || strpbrk(note, "\n\r\x1b") == NULL);
        kb_principal_free(user);
    }
}

/* --- settings, and what they come to --- */

/* Every value that was taken can be shown, and a masked one shows nothing of itself. */
static void show_all(const struct kb_options *options)
{
    for (unsigned id = 0; id < KB_OPT_NUM; id++) {
        struct kb_buf text;

        kb_buf_init(&text, 1 << 20);
        kb_options_show(options, (enum kb_option_id)id, &text);
        FUZZ_MUST(text.status == KB_OK);
        FUZZ_MUST(id != KB_OPT_FirewallData || text.len == 0 || text.len == 8);
        kb_buf_wipe(&text);
    }
}

/* Lines, each NAME=VALUE: of the process with a `+` in front, else of the credential. */
static void set_all(kb_bytes text)
{
    struct kb_settings *own = kb_settings_new();
    struct kb_options_query query = {.target = KB_LIT("HTTP@www"), .own = own};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};
    kb_bytes line;

    /* Never a descriptor, file or user of the fuzzer's own. */
    if (own == NULL || memmem(text.ptr, text.len, "fd:", 3) != NULL ||
        memmem(text.ptr, text.len, "onfig", 5) != NULL) {
        kb_settings_free(own);
        return;
    }
    while (kb_take_line(&text, &line)) {
        bool of_process = line.len > 0 && line.ptr[0] == '+';
        struct kb_error wrong = {0};
        enum kb_status st =
            of_process ? kb_options_process_set(kb_bytes_of(line.ptr + 1, line.len - 1), &wrong)
                       : kb_settings_set_text(own, line, &wrong);

        FUZZ_MUST((st == KB_OK) == (wrong.code == KB_E_NONE));
        FUZZ_MUST(strpbrk(wrong.text, "\n\r\x1b") == NULL);
    }
    if (kb_options_get(&query, &options, &err) == KB_OK) {
        show_all(options);
    }
    FUZZ_MUST((options != NULL) == (err.code == KB_E_NONE));
    FUZZ_MUST(strpbrk(err.text, "\n\r\x1b") == NULL);
    kb_options_put(options);
    kb_options_process_reset();
    kb_settings_free(own);
}

/* --- judging --- */

static void is_one_line(void *context, const struct kb_origin *place, struct kb_error *err)
{
    (void)context;
    FUZZ_MUST(place->line > 0 && err->code != KB_E_NONE);
    FUZZ_MUST(strpbrk(err->text, "\n\r\x1b") == NULL);
}

static void found_one(void *context, const struct kb_problem *problem)
{
    (void)context;
    FUZZ_MUST(strpbrk(problem->text, "\n\r\x1b") == NULL);
}

/* Reading that goes on behind each mistake ends with the text. */
static void judge(kb_bytes text, bool is_line)
{
    struct kb_checking checking = {.found = found_one};
    struct kb_findings findings = {.found = is_one_line};
    struct kb_setting like = {.from = {.layer = KB_LAYER_MECHD, .file = "mech"}};
    struct kb_error err = {0};
    enum kb_status st;

    kb_arena_init(&checking.arena, NULL, 0, 8 << 20);
    kb_reading_init(&checking.reading, &checking.arena, NULL, 0);
    checking.reading.findings = &findings;
    st = is_line
             ? kb_check_mechd(&checking, text, &like, &err)
             : kb_read_config_text(&checking.reading, KB_LAYER_CONFIG, text, "config", false, &err);
    FUZZ_MUST(st == KB_OK || err.code != KB_E_NONE);
    use_units(&checking.reading);
    kb_arena_wipe(&checking.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kb_arena arena;
    kb_bytes text;

    if (len == 0) {
        return 0;
    }
    setenv("KRB5_CONFIG", "/dev/null", 1);
    setenv("GSS_MECH_CONFIG", "/dev/null", 1);
    text = kb_bytes_of(data + 1, len - 1);
    kb_arena_init(&arena, NULL, 0, 8 << 20);
    switch (data[0]) {
    case 'm':
        read_lines(text, &arena, true);
        break;
    case 'c':
        read_lines(text, &arena, false);
        break;
    case 'k':
        read_krb5conf(text);
        break;
    case 'w':
        read_words(text, &arena);
        break;
    case 'M':
        judge(text, true);
        break;
    case 'C':
        judge(text, false);
        break;
    default:
        set_all(text);
        break;
    }
    kb_arena_wipe(&arena);
    return 0;
}
