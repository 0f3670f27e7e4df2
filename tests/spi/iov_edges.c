#include "tests/spi/iov.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE(name) GSS_IOV_BUFFER_TYPE_##name
#define MAKE(name) (GSS_IOV_BUFFER_TYPE_##name | GSS_IOV_BUFFER_FLAG_ALLOCATE)
#define MAX 8

static char payload[] = "payload!", signed_only[] = "signed only", header[200], trailer[200],
            mic[200];

struct list {
    gss_iov_buffer_desc iov[MAX];
    int num;
};

static void list_of(struct list *list, const gss_iov_buffer_desc *items, int num)
{
    memcpy(list->iov, items, (size_t)num * sizeof(*items));
    list->num = num;
    strcpy(payload, "payload!");
    memset(header, 'h', sizeof(header));
    memset(trailer, 't', sizeof(trailer));
}

/* clang-format off */
#define LIST(list, ...)                                                                            \
    list_of(list, (const gss_iov_buffer_desc[]){__VA_ARGS__},                                      \
            (int)(sizeof((const gss_iov_buffer_desc[]){__VA_ARGS__}) / sizeof(gss_iov_buffer_desc)))
#define ROOM(name, bytes, len) {TYPE(name), {len, bytes}}
#define MADE(name) {MAKE(name), {0, NULL}}
#define PAYLOAD ROOM(DATA, payload, 8)
#define SIGNED ROOM(SIGN_ONLY, signed_only, 11)
/* clang-format on */

static void show(const struct list *list)
{
    for (int i = 0; i < list->num; i++) {
        printf("  %x: %zu bytes%s\n", list->iov[i].type, list->iov[i].buffer.length,
               list->iov[i].buffer.value == NULL ? ", no address" : "");
    }
}

static void release(struct list *list)
{
    gss_release_iov_buffer(&ignored, list->iov, list->num);
}

static const char *what_payload(void)
{
    return memcmp(payload, "payload!", 8) == 0 ? "the payload" : "another payload";
}

static int wrap(const char *what, gss_ctx_id_t ctx, struct list *list)
{
    int conf = 7, good;

    good = tell(what, gss_wrap_iov(&minor, ctx, 1, 0, &conf, list->iov, list->num));
    printf("  conf %d\n", conf);
    show(list);
    return good;
}

static int unwrap(const char *what, gss_ctx_id_t ctx, struct list *list)
{
    gss_qop_t qop = 7;
    int conf = 7, good;

    good = tell(what, gss_unwrap_iov(&minor, ctx, &conf, &qop, list->iov, list->num));
    if (good) {
        printf("  conf %d, qop %u, %s\n", conf, qop, what_payload());
        show(list);
    }
    return good;
}

static void lengths(gss_ctx_id_t ctx)
{
    struct list list;

    for (int conf = 0; conf <= 1; conf++) {
        int state = 7;

        LIST(&list, ROOM(HEADER, header, 3), PAYLOAD, SIGNED, ROOM(PADDING, header, 3),
             ROOM(TRAILER, trailer, 3));
        tell("wrap_iov_length",
             gss_wrap_iov_length(&minor, ctx, conf, 0, &state, list.iov, list.num));
        printf("  conf %d\n", state);
        show(&list);
        LIST(&list, MADE(HEADER), PAYLOAD, PAYLOAD, MADE(PADDING));
        tell("wrap_iov_length, no trailer",
             gss_wrap_iov_length(&minor, ctx, conf, 0, &state, list.iov, list.num));
        show(&list);
        LIST(&list, MADE(HEADER), SIGNED, MADE(PADDING));
        tell("wrap_iov_length, no data",
             gss_wrap_iov_length(&minor, ctx, conf, 0, &state, list.iov, list.num));
        printf("  conf %d\n", state);
        show(&list);
    }
    LIST(&list, PAYLOAD);
    tell("wrap_iov_length, no header",
         gss_wrap_iov_length(&minor, ctx, 1, 0, NULL, list.iov, list.num));
    LIST(&list, MADE(HEADER), PAYLOAD, MADE(PADDING));
    tell("wrap_iov_length, quality",
         gss_wrap_iov_length(&minor, ctx, 1, 9, NULL, list.iov, list.num));
    LIST(&list, ROOM(MIC_TOKEN, mic, 3), PAYLOAD, ROOM(PADDING, header, 3),
         ROOM(TRAILER, trailer, 3));
    tell("get_mic_iov_length", gss_get_mic_iov_length(&minor, ctx, 0, list.iov, 2));
    /* MIT counts a confounder into an old token's that has none. */
    printf("(%zu bytes)\n", list.iov[0].buffer.length);
    list.iov[0].type = TYPE(EMPTY);
    list.iov[0].buffer.length = 0;
    show(&list);
    LIST(&list, PAYLOAD);
    tell("get_mic_iov_length, no MIC", gss_get_mic_iov_length(&minor, ctx, 0, list.iov, list.num));
    tell("get_mic_iov_length, quality", gss_get_mic_iov_length(&minor, ctx, 9, list.iov, list.num));
}

static void wraps(gss_ctx_id_t ctx)
{
    struct list list;

    LIST(&list, MADE(HEADER), SIGNED, PAYLOAD, MADE(PADDING), MADE(TRAILER));
    wrap("wrap_iov, all made", ctx, &list);
    release(&list);
    show(&list);
    LIST(&list, MADE(HEADER), PAYLOAD, MADE(PADDING));
    wrap("wrap_iov, no trailer", ctx, &list);
    release(&list);
    LIST(&list, ROOM(HEADER, header, 200), PAYLOAD, ROOM(PADDING, header + 100, 50),
         ROOM(TRAILER, trailer, 200));
    wrap("wrap_iov, much room", ctx, &list);
    LIST(&list, MADE(HEADER), SIGNED, MADE(PADDING));
    wrap("wrap_iov, no data", ctx, &list);
    release(&list);
    LIST(&list, MADE(HEADER), ROOM(DATA, NULL, 0), MADE(PADDING), MADE(TRAILER));
    wrap("wrap_iov, no bytes of data", ctx, &list);
    release(&list);
    LIST(&list, MADE(HEADER), PAYLOAD, ROOM(MECH_PARAMS, header, 7), ROOM(STREAM, header, 7),
         ROOM(EMPTY, NULL, 9), {99, {3, NULL}}, MADE(PADDING), MADE(TRAILER));
    wrap("wrap_iov, with more", ctx, &list);
    release(&list);

    LIST(&list, PAYLOAD, MADE(PADDING), MADE(TRAILER));
    wrap("wrap_iov, no header", ctx, &list);
    LIST(&list, MADE(HEADER), PAYLOAD, MADE(HEADER), MADE(PADDING));
    wrap("wrap_iov, two headers", ctx, &list);
    LIST(&list, MADE(HEADER), PAYLOAD, MADE(PADDING), MADE(TRAILER), MADE(TRAILER));
    wrap("wrap_iov, two trailers", ctx, &list);
    release(&list);
    LIST(&list, ROOM(HEADER, header, 15), PAYLOAD, MADE(PADDING), MADE(TRAILER));
    wrap("wrap_iov, short header", ctx, &list);
    printf("  %s\n", what_payload());
    LIST(&list, MADE(HEADER), PAYLOAD, MADE(PADDING), ROOM(TRAILER, trailer, 11));
    wrap("wrap_iov, short trailer", ctx, &list);
    printf("  %s\n", what_payload());
    list.num = 0;
    wrap("wrap_iov of nothing", ctx, &list);
    tell("wrap_iov, NULL", gss_wrap_iov(&minor, ctx, 1, 0, NULL, NULL, 0));
    tell("wrap_iov, quality", gss_wrap_iov(&minor, ctx, 1, 9, NULL, list.iov, 1));
}

/* One list that was wrapped, to be unwrapped again and again: a failure may leave its buffers in
 * any state. */
struct wrapped {
    struct list list;
    char header[200], payload[9], trailer[200];
};

static struct list *fresh(const struct wrapped *w)
{
    static struct list list;

    list = w->list;
    memcpy(header, w->header, sizeof(header));
    memcpy(payload, w->payload, sizeof(payload));
    memcpy(trailer, w->trailer, sizeof(trailer));
    return &list;
}

static void unwraps(gss_ctx_id_t from, gss_ctx_id_t to)
{
    struct wrapped w;
    struct list *list;

    LIST(&w.list, ROOM(HEADER, header, 200), SIGNED, PAYLOAD, ROOM(PADDING, header + 150, 50),
         ROOM(TRAILER, trailer, 200));
    if (wrap("wrap_iov", from, &w.list)) {
        memcpy(w.header, header, sizeof(header));
        memcpy(w.payload, payload, sizeof(payload));
        memcpy(w.trailer, trailer, sizeof(trailer));
        list = fresh(&w);
        list->num = 1;
        unwrap("unwrap_iov, header only", to, list);
        list = fresh(&w);
        list->iov[0].buffer.length = 15;
        unwrap("unwrap_iov, cut header", to, list);
        list = fresh(&w);
        list->iov[0].type = TYPE(EMPTY);
        unwrap("unwrap_iov, no header", to, list);
        list = fresh(&w);
        list->iov[1].type = TYPE(EMPTY);
        unwrap("unwrap_iov, less signed", to, list);
        list = fresh(&w);
        payload[3] ^= 1;
        unwrap("unwrap_iov, altered", to, list);
        unwrap("unwrap_iov", to, fresh(&w));
        unwrap("unwrap_iov again", to, fresh(&w));
    }
    tell("unwrap_iov, NULL", gss_unwrap_iov(&minor, to, NULL, NULL, NULL, 0));
    LIST(&w.list, PAYLOAD);
    w.list.num = 0;
    unwrap("unwrap_iov of nothing", to, &w.list);
    LIST(&w.list, ROOM(HEADER, header, 60), PAYLOAD, ROOM(TRAILER, trailer, 28));
    unwrap("unwrap_iov of junk", to, &w.list);
}

static void streams(gss_ctx_id_t from, gss_ctx_id_t to)
{
    gss_buffer_desc data = {8, payload}, token = GSS_C_EMPTY_BUFFER;
    struct list list;
    char bytes[200];

    strcpy(payload, "payload!");
    /* After a gap, or twice, MIT gives no message out of a stream. */
    if (tell("get_mic", gss_get_mic(&minor, from, 0, &data, &token))) {
        tell("verify_mic", gss_verify_mic(&minor, to, &data, &token, NULL));
    }
    gss_release_buffer(&ignored, &token);
    if (!tell("wrap", gss_wrap(&minor, from, 1, 0, &data, NULL, &token))) {
        return;
    }
    memcpy(bytes, token.value, token.length);
    LIST(&list, ROOM(STREAM, bytes, token.length), ROOM(DATA, NULL, 0));
    if (unwrap("unwrap_iov of a stream", to, &list)) {
        printf("  %.*s, %s\n", 8, (char *)list.iov[1].buffer.value,
               (char *)list.iov[1].buffer.value > bytes ? "in it" : "elsewhere");
    }
    gss_release_buffer(&ignored, &token);
    strcpy(payload, "payload!");
    tell("wrap", gss_wrap(&minor, from, 1, 0, &data, NULL, &token));
    memcpy(bytes, token.value, token.length);
    LIST(&list, ROOM(STREAM, bytes, token.length), MADE(DATA));
    if (unwrap("unwrap_iov of a stream, data made", to, &list)) {
        printf("  %.*s\n", 8, (char *)list.iov[1].buffer.value);
    }
    release(&list);
    memcpy(bytes, token.value, token.length);
    LIST(&list, ROOM(STREAM, bytes, token.length));
    unwrap("unwrap_iov of a stream, no data", to, &list);
    LIST(&list, ROOM(STREAM, bytes, token.length), ROOM(DATA, NULL, 0), ROOM(DATA, NULL, 0));
    unwrap("unwrap_iov of a stream, twice data", to, &list);
    LIST(&list, ROOM(STREAM, bytes, token.length), ROOM(STREAM, bytes, token.length),
         ROOM(DATA, NULL, 0));
    unwrap("unwrap_iov of two streams", to, &list);
    memcpy(bytes, token.value, token.length);
    bytes[token.length - 1] ^= 1;
    LIST(&list, ROOM(STREAM, bytes, token.length), MADE(DATA));
    unwrap("unwrap_iov of an altered stream", to, &list);
    show(&list);
    LIST(&list, ROOM(STREAM, bytes, 9), MADE(DATA));
    unwrap("unwrap_iov of a cut stream", to, &list);
    show(&list);
    gss_release_buffer(&ignored, &token);
    data.length = 0;
    if (tell("wrap nothing", gss_wrap(&minor, from, 1, 0, &data, NULL, &token))) {
        LIST(&list, ROOM(STREAM, token.value, token.length), MADE(DATA));
        tell("unwrap_iov of an empty stream",
             gss_unwrap_iov(&minor, to, NULL, NULL, list.iov, list.num));
        printf("  %zu bytes\n", list.iov[1].buffer.length);
        free(list.iov[1].buffer.value); /* MIT's has an address, which nobody else releases */
    }
    gss_release_buffer(&ignored, &token);
}

static void mics(gss_ctx_id_t from, gss_ctx_id_t to)
{
    struct list list;

    LIST(&list, SIGNED, PAYLOAD, MADE(MIC_TOKEN));
    if (tell("get_mic_iov", gss_get_mic_iov(&minor, from, 0, list.iov, list.num))) {
        gss_qop_t qop = 7;

        show(&list);
        payload[3] ^= 1;
        tell("verify_mic_iov, altered", gss_verify_mic_iov(&minor, to, NULL, list.iov, list.num));
        payload[3] ^= 1;
        tell("verify_mic_iov", gss_verify_mic_iov(&minor, to, &qop, list.iov, list.num));
        printf("  qop %u\n", qop);
        tell("verify_mic_iov again", gss_verify_mic_iov(&minor, to, &qop, list.iov, list.num));
        tell("verify_mic_iov, less", gss_verify_mic_iov(&minor, to, NULL, list.iov + 1, 2));
        tell("verify_mic_iov, no MIC", gss_verify_mic_iov(&minor, to, NULL, list.iov, 2));
    }
    release(&list);
    LIST(&list, PAYLOAD, ROOM(MIC_TOKEN, mic, 200));
    tell("get_mic_iov, room", gss_get_mic_iov(&minor, from, 0, list.iov, list.num));
    show(&list);
    tell("verify_mic_iov", gss_verify_mic_iov(&minor, to, NULL, list.iov, list.num));
    LIST(&list, PAYLOAD, ROOM(MIC_TOKEN, mic, 27));
    tell("get_mic_iov, short", gss_get_mic_iov(&minor, from, 0, list.iov, list.num));
    show(&list);
    LIST(&list, MADE(MIC_TOKEN), PAYLOAD, MADE(MIC_TOKEN));
    tell("get_mic_iov, two MICs", gss_get_mic_iov(&minor, from, 0, list.iov, list.num));
    LIST(&list, PAYLOAD);
    tell("get_mic_iov, no MIC", gss_get_mic_iov(&minor, from, 0, list.iov, list.num));
    tell("get_mic_iov, quality", gss_get_mic_iov(&minor, from, 9, list.iov, list.num));
    tell("get_mic_iov, NULL", gss_get_mic_iov(&minor, from, 0, NULL, 0));
    LIST(&list, MADE(MIC_TOKEN));
    if (tell("get_mic_iov of nothing", gss_get_mic_iov(&minor, from, 0, list.iov, list.num))) {
        tell("verify_mic_iov", gss_verify_mic_iov(&minor, to, NULL, list.iov, list.num));
    }
    release(&list);
}

static void aead(gss_ctx_id_t from, gss_ctx_id_t to)
{
    gss_buffer_desc assoc = {11, signed_only}, data = {8, payload}, none = {0, NULL};
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, plain = GSS_C_EMPTY_BUFFER;
    gss_qop_t qop = 7;
    int conf = 7;

    strcpy(payload, "payload!");
    for (int i = 0; i < 8; i++) {
        gss_buffer_t with = i < 2 ? &assoc : i < 4 ? &none : NULL;

        data.length = i < 6 ? 8 : 0;
        if (tell("wrap_aead", gss_wrap_aead(&minor, from, i % 2, 0, with, &data, &conf, &token))) {
            printf("  conf %d, %zu bytes\n", conf, token.length);
            if (tell("unwrap_aead",
                     gss_unwrap_aead(&minor, to, &token, with, &plain, &conf, &qop))) {
                printf("  conf %d, qop %u, %.*s\n", conf, qop, (int)plain.length,
                       plain.length > 0 ? (char *)plain.value : "");
            }
        }
        gss_release_buffer(&ignored, &token);
        free(plain.value);
        plain.value = NULL;
    }
    data.length = 8;
    if (tell("wrap_aead", gss_wrap_aead(&minor, from, 1, 0, &assoc, &data, NULL, &token))) {
        tell("unwrap_aead without", gss_unwrap_aead(&minor, to, &token, NULL, &plain, &conf, &qop));
        printf("  %zu bytes\n", plain.length);
        token.length--;
        tell("unwrap_aead, cut", gss_unwrap_aead(&minor, to, &token, &assoc, &plain, NULL, NULL));
        token.length++;
    }
    gss_release_buffer(&ignored, &token);
    tell("wrap_aead, quality", gss_wrap_aead(&minor, from, 1, 9, &assoc, &data, NULL, &token));
    tell("unwrap_aead of nothing", gss_unwrap_aead(&minor, to, &none, &assoc, &plain, NULL, NULL));
}

void edges(gss_ctx_id_t from, gss_ctx_id_t to, int dce)
{
    lengths(from);
    wraps(from);
    unwraps(from, to);
    if (!dce) { /* MIT has none in this style */
        streams(from, to);
        aead(from, to);
    }
    mics(from, to);
}
