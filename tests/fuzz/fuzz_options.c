/* The first byte chooses: the input is a mechanism configuration whose line is read, an option
 * file, a krb5.conf, or a credential's settings. Nothing is read from disk. */
#include "mech/options/krb5conf.h"
#include "mech/options/match.h"
#include "mech/options/mechd.h"
#include "mech/options/reading.h"
#include "mech/options/settings.h"
#include "mech/options/text.h"
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
        FUZZ_MUST(realm.len == 0 || kb_krb5conf_knows_realm(conf, realm));
    }
    kb_krb5conf_put(conf);
}

static void set_one(kb_bytes text)
{
    struct kb_settings *own = kb_settings_new();
    struct kb_error err = {0};

    /* Never a descriptor of the fuzzer's own. */
    if (own != NULL && memmem(text.ptr, text.len, "fd:", 3) == NULL) {
        enum kb_status st = kb_settings_set_text(own, text, &err);

        FUZZ_MUST((st == KB_OK) == (err.code == KB_E_NONE));
    }
    kb_settings_free(own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kb_arena arena;
    kb_bytes text;

    if (len == 0) {
        return 0;
    }
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
    default:
        set_one(text);
        break;
    }
    kb_arena_wipe(&arena);
    return 0;
}
