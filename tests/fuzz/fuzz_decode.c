/* The input is what somebody gives to `kerbside decode`: in any form, and shown both ways. Its
 * first byte says how; half of the time the rest is the bytes themselves. */
#include <stdlib.h>

#include "cli/input.h"
#include "cli/recognise.h"
#include "tests/fuzz/fuzz.h"

static void show(kb_bytes bytes, bool json)
{
    struct kb_recogniser r = {.keytab = NULL};
    struct kb_show shown;
    struct kb_why why;
    struct kb_buf out;
    enum kb_status status;

    kb_buf_init(&out, 1 << 26);
    kb_show_init(&shown, &out, json);
    r.show = &shown;
    kb_show_open(&shown, NULL, KB_SHOW_FIELDS);
    status = kb_recognise(&r, bytes, &why);
    kb_show_close(&shown);
    FUZZ_MUST(shown.depth == 0 && shown.skipped == 0);
    FUZZ_MUST(status == KB_OK || status == KB_WRONG_TYPE || why.text[0] != '\0');
    (void)kb_looks_like(bytes);
    kb_buf_wipe(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    enum kb_input_form form;
    struct kb_buf bytes;
    kb_bytes text;

    if (len == 0) {
        return 0;
    }
    text = kb_bytes_of(data + 1, len - 1);
    kb_buf_init(&bytes, 1 << 20);
    if (kb_input_bytes(text, (data[0] & 2) != 0 ? KB_INPUT_RAW : KB_INPUT_AUTO, &bytes, &form) ==
        KB_OK) {
        show(kb_buf_bytes(&bytes), (data[0] & 1) != 0);
    }
    kb_buf_wipe(&bytes);
    return 0;
}
