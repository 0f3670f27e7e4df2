/* The input is read as the name of a KEYRING: cache, and as the index of a collection. */
#include <stdlib.h>

#include "mech/names/keyring_name.h"
#include "tests/fuzz/fuzz.h"

static void name_of(const char *text)
{
    size_t len = strlen(text);
    struct kb_keyring_name name;
    const char *why;

    if (kb_keyring_name_parse(text, &name, &why) != KB_OK) {
        FUZZ_MUST(why != NULL);
        return;
    }
    FUZZ_MUST(name.collection.len + name.subsidiary.len <= len);
    FUZZ_MUST(name.is_one == (name.subsidiary.len > 0));
    FUZZ_MUST(kb_keyring_name_first(&name).len > 0);
    FUZZ_MUST(name.anchor != KB_KEYRING_PERSISTENT || kb_keyring_name_uid(&name) != (uid_t)-1);
}

static void index_of(kb_bytes payload)
{
    struct kb_buf buf;
    kb_bytes name;

    if (kb_keyring_index_get(payload, &name) == KB_OK) {
        kb_buf_init(&buf, payload.len);
        kb_keyring_index_put(&buf, name);
        FUZZ_MUST(buf.status == KB_OK && memcmp(buf.data, payload.ptr, buf.len) == 0);
        kb_buf_wipe(&buf);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);

    FUZZ_MUST(text != NULL);
    if (len > 0) {
        memcpy(text, data, len);
    }
    text[len] = '\0';
    name_of(text);
    index_of(kb_bytes_of(data, len));
    free(text);
    return 0;
}
