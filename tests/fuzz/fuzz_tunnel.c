/* The input is what a proxy answers to CONNECT, whole and cut short; or, behind a NUL, FirewallData
 * and the name of a KDC, of which a request is made. */
#include <string.h>

#include "mech/net/connect.h"
#include "tests/fuzz/fuzz.h"

/* Every part of the answer says "more" until its end is known, and then the same for ever. */
static void try_answer(kb_bytes in)
{
    struct kb_connect_answer whole, part;
    enum kb_connect_result result = kb_connect_read(in, &whole), cut_result;
    size_t step = in.len / 64 + 1;

    FUZZ_MUST(whole.len <= in.len && memchr(whole.reason, '\0', sizeof(whole.reason)) != NULL);
    FUZZ_MUST(result != KB_CONNECT_OPEN || (whole.code >= 200 && whole.code < 300));
    for (const char *c = whole.reason; *c != '\0'; c++) {
        FUZZ_MUST(*c >= ' ' && *c <= '~');
    }
    for (size_t cut = 0; cut < in.len; cut += step) {
        cut_result = kb_connect_read(kb_bytes_of(in.ptr, cut), &part);
        FUZZ_MUST(cut_result == KB_CONNECT_MORE || cut_result == result);
        FUZZ_MUST(cut_result != KB_CONNECT_OPEN || (part.len == whole.len && part.len <= cut));
    }
}

/* Whatever a person configures, the request is one line, then fields, then one empty line. */
static void check_request(kb_bytes request)
{
    unsigned lines = 0, hosts = 0;
    kb_bytes rest = request;

    while (rest.len > 0) {
        const uint8_t *end = memmem(rest.ptr, rest.len, "\r\n", 2);
        size_t len;

        FUZZ_MUST(end != NULL);
        len = (size_t)(end - rest.ptr);
        FUZZ_MUST(memchr(rest.ptr, '\r', len) == NULL && memchr(rest.ptr, '\n', len) == NULL);
        FUZZ_MUST(len > 0 || rest.len == 2);
        FUZZ_MUST(len == 0 || lines == 0 || memchr(rest.ptr, ':', len) != NULL);
        hosts += len > 5 && strncasecmp((const char *)rest.ptr, "host:", 5) == 0;
        lines++;
        rest = kb_bytes_of(end + 2, rest.len - len - 2);
    }
    FUZZ_MUST(lines >= 3 && hosts == 1);
    FUZZ_MUST(memcmp(request.ptr, "CONNECT ", 8) == 0);
}

static void try_request(kb_bytes in)
{
    char fault[KB_CONNECT_FAULT], *text = malloc(in.len + 1);
    const char *host;
    struct kb_buf request;

    FUZZ_MUST(text != NULL);
    memcpy(text, in.ptr, in.len);
    text[in.len] = '\0';
    host = text + strlen(text);
    host = host < text + in.len ? host + 1 : "kdc";
    if (kb_connect_check(text, fault)) {
        if (kb_connect_request(host, 88, text, &request) == KB_OK) {
            check_request(kb_buf_bytes(&request));
        }
        kb_buf_wipe(&request);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > 0 && data[0] == 0) {
        try_request(kb_bytes_of(data + 1, len - 1));
    } else {
        try_answer(kb_bytes_of(data, len));
    }
    return 0;
}
