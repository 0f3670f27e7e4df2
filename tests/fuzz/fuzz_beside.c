/* The input is read as the file beside a credentials cache; each record is read as what it could
 * be, and a change is made to what was there. */
#include "mech/login/beside_pause.h"
#include "mech/login/learned.h"
#include "mech/net/exchange.h"
#include "mech/store/beside_file.h"
#include "tests/fuzz/fuzz.h"

static void read_value(kb_bytes value)
{
    struct kb_beside_pause pause;
    struct kb_key_hint hint;
    kb_bytes text;
    int64_t at;

    if (kb_beside_get_pause(value, &pause)) {
        FUZZ_MUST(pause.error.code != KB_E_NONE && strlen(pause.error.text) < 960);
    }
    if (kb_learned_get_hint(value, &hint)) {
        FUZZ_MUST(hint.salt.len + hint.s2kparams.len <= value.len);
    }
    if (kb_learned_get_kdcs(value, &text, &at)) {
        struct kb_buf again;

        kb_net_learned_import(KB_LIT("TEST"), text, false);
        kb_buf_init(&again, KB_NET_LEARNED);
        kb_net_learned_export(KB_LIT("TEST"), &again);
        FUZZ_MUST(again.status == KB_OK);
        kb_buf_wipe(&again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t slot[KB_BESIDE_SLOT];
    const struct kb_beside_record change = {
        .type = KB_BESIDE_HINT, .key = KB_LIT("alice@TEST"), .value = KB_LIT("new")};
    struct kb_beside_table table, after;
    struct kb_beside_record record, found;
    size_t position = 0, written, first = len < KB_BESIDE_SLOT ? len : KB_BESIDE_SLOT;
    const kb_bytes slots[2] = {kb_bytes_of(data, first), kb_bytes_of(data + first, len - first)};
    kb_bytes made[2] = {KB_NONE, KB_NONE};

    if (kb_beside_pick(slots, &table) == KB_OK) {
        while (kb_beside_next(&table, &position, &record)) {
            read_value(record.value);
            FUZZ_MUST(kb_beside_find(&table, record.type, record.key, &found));
        }
        (void)kb_beside_pauses(&table, 0);
    } else {
        read_value(kb_bytes_of(data, len));
    }
    (void)kb_beside_key(&table);
    written = kb_beside_make(&table, &change, 1, 0, slot);
    made[0] = kb_bytes_of(slot, written);
    FUZZ_MUST(kb_beside_slot_len(made[0]) == written);
    FUZZ_MUST(kb_beside_pick(made, &after) == KB_OK);
    FUZZ_MUST(after.sequence == table.sequence + 1);
    return 0;
}
