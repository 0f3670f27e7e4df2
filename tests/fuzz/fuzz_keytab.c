/* The input is read as a keytab; what it holds is described, and each entry looked up. */
#include "mech/store/keytab.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kb_keytab *keytab;
    struct kb_buf text;

    if (kb_keytab_parse(kb_bytes_of(data, len), &keytab) != KB_OK) {
        FUZZ_MUST(keytab == NULL);
        return 0;
    }
    kb_buf_init(&text, 1 << 20);
    kb_keytab_describe(keytab, &text);
    for (size_t i = 0; i < keytab->num && i < 50; i++) {
        const struct kb_keytab_entry *entry = &keytab->entries[i];

        if (entry->key != NULL) {
            FUZZ_MUST(kb_keytab_find(keytab, entry->principal, entry->etype, 0) != NULL);
            /* They are in one order, which has an end. */
            for (unsigned nth = 0; keytab->num <= 64 && kb_keytab_find(keytab, entry->principal,
                                                                       entry->etype, nth) != NULL;
                 nth++) {
                FUZZ_MUST(nth < keytab->num);
            }
        }
        FUZZ_MUST(kb_keytab_has(keytab, entry->principal));
        FUZZ_MUST(kb_keytab_same(keytab, keytab, entry->principal, false));
        kb_keytab_describe_keys(keytab, entry->principal, &text);
        kb_keytab_describe_others(keytab, entry->principal, &text);
    }
    kb_buf_wipe(&text);
    kb_keytab_free(keytab);
    return 0;
}
