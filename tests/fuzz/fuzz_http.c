/* The input is what a KDC proxy answers: read whole, and in pieces whose sizes its first byte says;
 * what comes of both must be the same. A body is unwrapped. */
#include <string.h>

#include "mech/net/http.h"
#include "mech/net/kkdcp.h"
#include "tests/fuzz/fuzz.h"

#define MAX_BODY ((size_t)4096)

static enum kb_http_result push(struct kb_http *http, kb_bytes in, size_t step, size_t *out_used)
{
    enum kb_http_result result = KB_HTTP_MORE;

    *out_used = 0;
    while (*out_used < in.len && result == KB_HTTP_MORE) {
        size_t part = in.len - *out_used < step ? in.len - *out_used : step, used;

        result = kb_http_push(http, kb_bytes_of(in.ptr + *out_used, part), &used);
        FUZZ_MUST(used <= part && (used == part || result != KB_HTTP_MORE));
        *out_used += used;
    }
    return result;
}

static void check_text(const char *text, size_t size)
{
    FUZZ_MUST(memchr(text, '\0', size) != NULL);
    for (; *text != '\0'; text++) {
        FUZZ_MUST(*text >= ' ' && *text <= '~');
    }
}

static void unwrap(kb_bytes body)
{
    struct kb_arena arena;
    kb_bytes out;

    kb_arena_init(&arena, NULL, 0, 65536);
    if (kb_kkdcp_unwrap(body, &arena, &out) == KB_OK) {
        FUZZ_MUST(out.len > 0 && out.ptr >= body.ptr && out.ptr + out.len <= body.ptr + body.len);
    }
    kb_arena_wipe(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kb_http whole, parts;
    enum kb_http_result result, again;
    size_t used, used_again;
    kb_bytes in = kb_bytes_of(data + (len > 0), len - (len > 0));

    if (in.len == 0) {
        return 0;
    }
    kb_http_init(&whole, MAX_BODY);
    kb_http_init(&parts, MAX_BODY);
    result = push(&whole, in, in.len, &used);
    again = push(&parts, in, (size_t)data[0] + 1, &used_again);
    FUZZ_MUST(result == again && whole.code == parts.code);
    FUZZ_MUST(result != KB_HTTP_DONE || used == used_again);
    FUZZ_MUST(whole.body.len <= MAX_BODY &&
              kb_equal(kb_buf_bytes(&whole.body), kb_buf_bytes(&parts.body)));
    FUZZ_MUST(result != KB_HTTP_BROKEN || whole.fault != NULL);
    check_text(whole.reason, sizeof(whole.reason));
    check_text(whole.location, sizeof(whole.location));
    check_text(whole.type, sizeof(whole.type));
    if (result == KB_HTTP_MORE) {
        result = kb_http_end(&whole);
        FUZZ_MUST(result == KB_HTTP_DONE || result == KB_HTTP_BROKEN);
    }
    if (result == KB_HTTP_DONE && whole.code == 200) {
        unwrap(kb_buf_bytes(&whole.body));
    }
    kb_http_wipe(&whole);
    kb_http_wipe(&parts);
    return 0;
}
