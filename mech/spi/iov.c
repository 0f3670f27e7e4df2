/* Messages as lists of buffers: gss_wrap_iov, gss_get_mic_iov and their kin, on contexts of our
 * engine.
 *
 * What programs rely on is MIT's behaviour: a header, trailer or padding that is there twice counts
 * as not there, what a mechanism does not know is skipped, and gss_wrap_iov_length forgets the
 * addresses of what it measures. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mech/protocol/token.h"
#include "mech/spi/fail.h"
#include "mech/spi/initiate.h"
#include "mech/spi/ours.h"
#include "mech/spi/room.h"

#define FEW 16 /* pieces of a list that needs no heap */

enum use { TO_WRAP, TO_UNWRAP, TO_SIGN };

struct list {
    enum use use;
    struct kb_iov iov;
    gss_iov_buffer_desc *buffers;
    int num;
    /* NULL: not there, or more than once. */
    gss_iov_buffer_t header, trailer, padding, stream, mic, data;
    size_t num_data;
    struct kb_piece *data_piece; /* the last DATA's */
    struct kb_piece few[FEW + KB_SPARE_PIECES];
};

/* The list is at fault, not the message. */
KB_PRINTF(3, 4)
static OM_uint32 bad_list(OM_uint32 *minor, const struct kb_gss_ctx *ctx, const char *format, ...)
{
    struct kb_error err = {0};
    char sentence[128];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    (void)kb_error_set(&err, KB_E_BUFFERS, "%s", sentence);
    return kb_fail_call(minor, kb_ctx_listener(ctx), &err);
}

/* --- the caller's list --- */

static gss_iov_buffer_t only(const struct list *list, OM_uint32 type)
{
    gss_iov_buffer_t found = NULL;

    for (int i = 0; i < list->num; i++) {
        if (GSS_IOV_BUFFER_TYPE(list->buffers[i].type) == type) {
            if (found != NULL) {
                return NULL;
            }
            found = &list->buffers[i];
        }
    }
    return found;
}

static struct kb_room room_of(const gss_iov_buffer_desc *buffer)
{
    struct kb_room room = {NULL, 0};

    if (buffer != NULL && buffer->buffer.value != NULL) {
        room = (struct kb_room){buffer->buffer.value, buffer->buffer.length};
    }
    return room;
}

/* A whole token is unwrapped, whose message has no address yet. */
static bool is_whole(const struct list *list)
{
    return list->use == TO_UNWRAP && list->stream != NULL;
}

/* Which buffers become pieces, in the same order. */
static bool is_piece(const struct list *list, const gss_iov_buffer_desc *buffer)
{
    OM_uint32 type = GSS_IOV_BUFFER_TYPE(buffer->type);

    return type == GSS_IOV_BUFFER_TYPE_DATA || type == GSS_IOV_BUFFER_TYPE_SIGN_ONLY ||
           (buffer == list->padding && list->use != TO_SIGN && !is_whole(list));
}

static bool add_piece(struct list *list, gss_iov_buffer_desc *buffer)
{
    bool sign = GSS_IOV_BUFFER_TYPE(buffer->type) == GSS_IOV_BUFFER_TYPE_SIGN_ONLY;
    struct kb_piece *piece = &list->iov.pieces[list->iov.num++];

    *piece = (struct kb_piece){.kind = sign ? KB_PIECE_SIGN : KB_PIECE_DATA,
                               .ptr = buffer->buffer.value,
                               .len = buffer->buffer.length};
    if (buffer == list->padding) {
        list->iov.padding = piece;
        piece->len = room_of(buffer).len;
    } else if (!sign) {
        list->data_piece = piece;
        list->num_data++;
    }
    return piece->ptr != NULL || piece->len == 0 ||
           (piece->kind == KB_PIECE_DATA && is_whole(list));
}

static void list_end(struct list *list)
{
    if (list->iov.pieces != list->few) {
        free(list->iov.pieces);
    }
}

static OM_uint32 add_pieces(OM_uint32 *minor, struct list *list)
{
    size_t num_pieces = 0;
    bool there = true;

    for (int i = 0; i < list->num; i++) {
        num_pieces += is_piece(list, &list->buffers[i]);
    }
    if (num_pieces > FEW) {
        list->iov.pieces = calloc(num_pieces + KB_SPARE_PIECES, sizeof(*list->iov.pieces));
        if (list->iov.pieces == NULL) {
            return kb_no_memory(minor);
        }
    }
    for (int i = 0; i < list->num; i++) {
        if (is_piece(list, &list->buffers[i])) {
            there = add_piece(list, &list->buffers[i]) && there;
        }
    }
    if (!there) {
        list_end(list);
        return GSS_S_CALL_INACCESSIBLE_READ;
    }
    return GSS_S_COMPLETE;
}

/* After GSS_S_COMPLETE list_end is due. Fields are set one by one: `few` is large. */
static OM_uint32 list_begin(OM_uint32 *minor, const struct kb_gss_ctx *ctx, gss_qop_t qop,
                            enum use use, struct list *list, gss_iov_buffer_desc *buffers, int num)
{
    OM_uint32 major = kb_ours_check(minor, ctx, qop);

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    if (buffers == GSS_C_NO_IOV_BUFFER) {
        return GSS_S_CALL_INACCESSIBLE_READ;
    }
    list->use = use;
    list->buffers = buffers;
    list->num = num;
    list->header = only(list, GSS_IOV_BUFFER_TYPE_HEADER);
    list->trailer = only(list, GSS_IOV_BUFFER_TYPE_TRAILER);
    list->padding = only(list, GSS_IOV_BUFFER_TYPE_PADDING);
    list->stream = only(list, GSS_IOV_BUFFER_TYPE_STREAM);
    list->mic = only(list, GSS_IOV_BUFFER_TYPE_MIC_TOKEN);
    list->data = only(list, GSS_IOV_BUFFER_TYPE_DATA);
    list->num_data = 0;
    list->data_piece = NULL;
    list->iov = (struct kb_iov){
        .header = room_of(list->header),
        .trailer = room_of(list->trailer),
        .has_trailer = list->trailer != NULL,
        .pieces = list->few,
    };
    return add_pieces(minor, list);
}

/* What the format made of the lengths of DATA and padding. Padding that is gone goes whole: nobody
 * else would release it, since gss_release_iov_buffer leaves an empty buffer alone. */
static void write_lengths(struct list *list)
{
    const struct kb_piece *piece = list->iov.pieces;

    for (int i = 0; i < list->num; i++) {
        gss_iov_buffer_t buffer = &list->buffers[i];

        if (!is_piece(list, buffer)) {
            continue;
        }
        if (buffer == list->padding && piece->len == 0 && buffer->buffer.length > 0) {
            if ((buffer->type & GSS_IOV_BUFFER_FLAG_ALLOCATED) != 0) {
                free(buffer->buffer.value);
                buffer->type &= ~(OM_uint32)GSS_IOV_BUFFER_FLAG_ALLOCATED;
            }
            buffer->buffer.value = NULL;
        }
        buffer->buffer.length = piece->len;
        piece++;
    }
}

/* --- wrapping --- */

/* A buffer that we write: the caller's, or one that we make for him. */
struct output {
    const char *name;
    gss_iov_buffer_t buffer; /* NULL: not there */
    uint8_t **ptr;
    size_t *len;
    uint8_t *made;
};

#define NUM_OUTPUTS 3

static void outputs_of(struct list *list, struct output out[NUM_OUTPUTS])
{
    struct kb_iov *iov = &list->iov;

    out[0] = (struct output){"HEADER", list->header, &iov->header.ptr, &iov->header.len, NULL};
    out[1] = (struct output){"TRAILER", list->trailer, &iov->trailer.ptr, &iov->trailer.len, NULL};
    out[2] =
        (struct output){"PADDING", iov->padding != NULL ? list->padding : NULL, NULL, NULL, NULL};
    if (iov->padding != NULL) {
        out[2].ptr = &iov->padding->ptr;
        out[2].len = &iov->padding->len;
    }
}

static bool is_to_be_made(const struct output *out)
{
    return out->buffer != NULL && (out->buffer->type & GSS_IOV_BUFFER_FLAG_ALLOCATE) != 0;
}

/* Makes those that the caller wants made, in the lengths that are needed; what the others have room
 * for stays. */
static enum kb_status make_outputs(const struct kb_gss_ctx *ctx, bool conf, struct list *list,
                                   struct output out[NUM_OUTPUTS])
{
    enum kb_status st = KB_OK;
    bool any = false;

    for (int i = 0; i < NUM_OUTPUTS; i++) {
        any = any || is_to_be_made(&out[i]);
    }
    if (any) {
        st = kb_wrap_iov_len(ctx->ap, conf, &list->iov);
    }
    for (int i = 0; i < NUM_OUTPUTS && any && st == KB_OK; i++) {
        if (is_to_be_made(&out[i])) {
            out[i].made = *out[i].len > 0 ? malloc(*out[i].len) : NULL;
            *out[i].ptr = out[i].made;
            st = out[i].made == NULL && *out[i].len > 0 ? KB_NO_MEMORY : KB_OK;
        } else if (out[i].buffer != NULL) {
            *out[i].len = room_of(out[i].buffer).len;
        }
    }
    return st;
}

/* Says which buffer it is. */
static OM_uint32 too_short(OM_uint32 *minor, const struct kb_gss_ctx *ctx, bool conf,
                           struct list *list)
{
    struct output out[NUM_OUTPUTS];

    outputs_of(list, out);
    if (kb_wrap_iov_len(ctx->ap, conf, &list->iov) == KB_OK) {
        for (int i = 0; i < NUM_OUTPUTS; i++) {
            if (out[i].buffer != NULL && !is_to_be_made(&out[i]) &&
                room_of(out[i].buffer).len < *out[i].len) {
                return bad_list(minor, ctx, "The %s buffer has %zu bytes, %zu are needed",
                                out[i].name, room_of(out[i].buffer).len, *out[i].len);
            }
        }
    }
    return kb_ours_fail(minor, ctx, KB_TOO_BIG);
}

static OM_uint32 wrap_failed(OM_uint32 *minor, const struct kb_gss_ctx *ctx, bool conf,
                             struct list *list, enum kb_status st)
{
    if (st == KB_TOO_BIG) {
        return too_short(minor, ctx, conf, list);
    }
    if (st == KB_WRONG_TYPE) {
        return bad_list(minor, ctx,
                        ctx->dce_style ? "The DATA are no whole blocks of the cipher"
                                       : "The list has not one PADDING buffer");
    }
    return kb_ours_fail(minor, ctx, st);
}

static OM_uint32 wrap_list(OM_uint32 *minor, struct kb_gss_ctx *ctx, bool conf, struct list *list)
{
    struct output out[NUM_OUTPUTS];
    enum kb_status st;

    outputs_of(list, out);
    st = make_outputs(ctx, conf, list, out);
    if (st == KB_OK) {
        st = kb_wrap_iov(ctx->ap, &kb_rng_system, conf, &list->iov);
    }
    for (int i = 0; i < NUM_OUTPUTS; i++) {
        if (st != KB_OK) {
            free(out[i].made);
        } else if (out[i].buffer != NULL) {
            out[i].buffer->buffer.length = *out[i].len;
        }
        if (st == KB_OK && out[i].made != NULL) {
            out[i].buffer->buffer.value = out[i].made;
            out[i].buffer->type |= GSS_IOV_BUFFER_FLAG_ALLOCATED;
        }
    }
    return st == KB_OK ? GSS_S_COMPLETE : wrap_failed(minor, ctx, conf, list, st);
}

OM_uint32 kb_ours_wrap_iov(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req, gss_qop_t qop,
                           int *conf, gss_iov_buffer_desc *iov, int iov_count)
{
    struct list list;
    OM_uint32 major = list_begin(minor, ctx, qop, TO_WRAP, &list, iov, iov_count);
    bool seal;

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    seal = conf_req != 0 && list.num_data > 0;
    major = list.header != NULL ? wrap_list(minor, ctx, seal, &list)
                                : bad_list(minor, ctx, "The list has not one HEADER buffer");
    if (major == GSS_S_COMPLETE) {
        kb_ours_give_int(conf, seal);
    }
    list_end(&list);
    return major;
}

static void measure(gss_iov_buffer_t buffer, size_t len)
{
    if (buffer != NULL) {
        buffer->buffer.value = NULL;
        buffer->buffer.length = len;
    }
}

OM_uint32 kb_ours_wrap_iov_length(OM_uint32 *minor, struct kb_gss_ctx *ctx, int conf_req,
                                  gss_qop_t qop, int *conf, gss_iov_buffer_desc *iov, int iov_count)
{
    struct list list;
    OM_uint32 major = list_begin(minor, ctx, qop, TO_WRAP, &list, iov, iov_count);
    enum kb_status st;
    bool seal;

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    seal = conf_req != 0 && list.num_data > 0;
    if (list.header == NULL) {
        major = bad_list(minor, ctx, "The list has not one HEADER buffer");
    } else {
        st = kb_wrap_iov_len(ctx->ap, seal, &list.iov);
        major = st == KB_OK ? GSS_S_COMPLETE : wrap_failed(minor, ctx, seal, &list, st);
    }
    if (major == GSS_S_COMPLETE) {
        measure(list.header, list.iov.header.len);
        measure(list.trailer, list.iov.trailer.len);
        measure(list.padding, list.iov.padding != NULL ? list.iov.padding->len : 0);
        kb_ours_give_int(conf, seal);
    }
    list_end(&list);
    return major;
}

/* --- unwrapping --- */

/* HEADER, DATA, PADDING and TRAILER where they lie. */
static OM_uint32 unwrap_list(OM_uint32 *minor, struct kb_gss_ctx *ctx, struct list *list,
                             bool *conf)
{
    uint32_t suppl = 0;
    enum kb_status st;

    if (list->header == NULL) {
        return bad_list(minor, ctx, "The list has neither one HEADER nor one STREAM buffer");
    }
    st = kb_unwrap_iov(ctx->ap, &list->iov, conf, &suppl);
    if (st != KB_OK) {
        return kb_ours_fail(minor, ctx, st);
    }
    write_lengths(list);
    return suppl; /* KB_SUPPL_* are GSS-API's own bits */
}

/* A whole token. The message stays in it, or goes where it is to be made: then the token is left as
 * it is. */
static OM_uint32 unwrap_token(OM_uint32 *minor, struct kb_gss_ctx *ctx, struct list *list,
                              bool *conf)
{
    struct kb_room token = room_of(list->stream);
    struct kb_piece *piece = list->data_piece;
    uint8_t *made = NULL;
    uint32_t suppl = 0;
    enum kb_status st;

    if (list->data == NULL) {
        return bad_list(minor, ctx, "The list has not one DATA buffer for its STREAM buffer");
    }
    if ((list->data->type & GSS_IOV_BUFFER_FLAG_ALLOCATE) != 0) {
        made = kb_room(token.len);
        if (made == NULL) {
            return kb_no_memory(minor);
        }
    }
    piece->ptr = made;
    st = kb_unwrap_stream(ctx->ap, token.ptr, token.len, &list->iov, piece, conf, &suppl);
    if (st != KB_OK) {
        free(made);
        return st == KB_WRONG_TYPE
                   ? bad_list(minor, ctx, "In DCE style these tokens have no STREAM")
                   : kb_ours_fail(minor, ctx, st);
    }
    list->data->buffer.length = piece->len;
    list->data->buffer.value = piece->ptr;
    if (made != NULL && piece->len > 0) {
        list->data->type |= GSS_IOV_BUFFER_FLAG_ALLOCATED;
    } else if (made != NULL) { /* gss_release_iov_buffer leaves an empty buffer alone */
        free(made);
        list->data->buffer.value = NULL;
    }
    return suppl;
}

OM_uint32 kb_ours_unwrap_iov(OM_uint32 *minor, struct kb_gss_ctx *ctx, int *conf, gss_qop_t *qop,
                             gss_iov_buffer_desc *iov, int iov_count)
{
    struct list list;
    OM_uint32 major = list_begin(minor, ctx, GSS_C_QOP_DEFAULT, TO_UNWRAP, &list, iov, iov_count);
    bool sealed = false;

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    major = (list.stream != NULL ? unwrap_token : unwrap_list)(minor, ctx, &list, &sealed);
    if (!GSS_ERROR(major)) {
        kb_ours_give_int(conf, sealed);
        kb_ours_give_qop(qop);
    }
    list_end(&list);
    return major;
}

/* --- MIC --- */

static OM_uint32 mic_list_begin(OM_uint32 *minor, const struct kb_gss_ctx *ctx, gss_qop_t qop,
                                struct list *list, gss_iov_buffer_desc *iov, int iov_count)
{
    OM_uint32 major = list_begin(minor, ctx, qop, TO_SIGN, list, iov, iov_count);

    if (major == GSS_S_COMPLETE && list->mic == NULL) {
        list_end(list);
        major = bad_list(minor, ctx, "The list has not one MIC_TOKEN buffer");
    }
    return major;
}

static OM_uint32 get_mic_list(OM_uint32 *minor, struct kb_gss_ctx *ctx, struct list *list)
{
    struct kb_room room = room_of(list->mic);
    size_t len = kb_mic_len(ctx->ap);
    uint8_t *made = NULL;
    enum kb_status st;

    if ((list->mic->type & GSS_IOV_BUFFER_FLAG_ALLOCATE) != 0) {
        made = malloc(len);
        if (made == NULL) {
            return kb_no_memory(minor);
        }
    } else if (room.len < len) {
        return bad_list(minor, ctx, "The MIC_TOKEN buffer has %zu bytes, %zu are needed", room.len,
                        len);
    }
    st = kb_get_mic_iov(ctx->ap, list->iov.pieces, list->iov.num, made != NULL ? made : room.ptr);
    if (st != KB_OK) {
        free(made);
        return kb_ours_fail(minor, ctx, st);
    }
    list->mic->buffer.length = len;
    if (made != NULL) {
        list->mic->buffer.value = made;
        list->mic->type |= GSS_IOV_BUFFER_FLAG_ALLOCATED;
    }
    return GSS_S_COMPLETE;
}

OM_uint32 kb_ours_get_mic_iov(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_qop_t qop,
                              gss_iov_buffer_desc *iov, int iov_count)
{
    struct list list;
    OM_uint32 major = mic_list_begin(minor, ctx, qop, &list, iov, iov_count);

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    major = get_mic_list(minor, ctx, &list);
    list_end(&list);
    return major;
}

OM_uint32 kb_ours_get_mic_iov_length(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_qop_t qop,
                                     gss_iov_buffer_desc *iov, int iov_count)
{
    struct list list;
    OM_uint32 major = mic_list_begin(minor, ctx, qop, &list, iov, iov_count);

    if (major == GSS_S_COMPLETE) {
        measure(list.mic, kb_mic_len(ctx->ap));
        measure(list.trailer, 0);
        measure(list.padding, 0);
        list_end(&list);
    }
    return major;
}

OM_uint32 kb_ours_verify_mic_iov(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_qop_t *qop,
                                 gss_iov_buffer_desc *iov, int iov_count)
{
    struct list list;
    OM_uint32 major = mic_list_begin(minor, ctx, GSS_C_QOP_DEFAULT, &list, iov, iov_count);
    struct kb_room token;
    uint32_t suppl = 0;
    enum kb_status st;

    if (major != GSS_S_COMPLETE) {
        return major;
    }
    token = room_of(list.mic);
    st = kb_verify_mic_iov(ctx->ap, list.iov.pieces, list.iov.num,
                           kb_bytes_of(token.ptr, token.len), &suppl);
    list_end(&list);
    if (st != KB_OK) {
        return kb_ours_fail(minor, ctx, st);
    }
    kb_ours_give_qop(qop);
    return suppl;
}
