#include "asn1/table.h"
#include "asn1/types.h"

/* Writes from the end towards the front, so the length of a value is known when its header is due.
 * What does not fit is only counted: then the length is known, and a second time is enough. */
struct writer {
    uint8_t *end;
    size_t room; /* in front of `end` */
    size_t len;  /* written so far, or counted where it is more than `room` */
    enum kb_status status;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    w->len += len;
    if (w->len <= w->room && len > 0) {
        memcpy(w->end - w->len, bytes, len);
    }
}

static void put_u8(struct writer *w, uint8_t byte)
{
    w->len++;
    if (w->len <= w->room) {
        *(w->end - w->len) = byte;
    }
}

/* A length of more than one octet, and the tag. */
static void put_long_header(struct writer *w, uint8_t tag, size_t len)
{
    uint8_t octets = 0;

    for (; len > 0; len >>= 8) {
        put_u8(w, (uint8_t)len);
        octets++;
    }
    put_u8(w, 0x80 | octets);
    put_u8(w, tag);
}

/* The header of all that was written since `start`. Nearly all are short: two in three of the bytes
 * that a message has around its values, so they are written at once. */
static inline void put_header(struct writer *w, uint8_t tag, size_t start)
{
    size_t len = w->len - start;
    uint8_t *p;

    if (len >= 0x80) {
        put_long_header(w, tag, len);
        return;
    }
    w->len += 2;
    if (w->len <= w->room) {
        p = w->end - w->len;
        p[0] = tag;
        p[1] = (uint8_t)len;
    }
}

static void put_integer(struct writer *w, int64_t value)
{
    bool negative = value < 0;
    uint8_t octet;

    do {
        octet = (uint8_t)value;
        put_u8(w, octet);
        value >>= 8;
    } while (value != (negative ? -1 : 0) || octet >> 7 != negative);
}

static void put_flags(struct writer *w, uint32_t flags)
{
    const uint8_t bytes[5] = {0, (uint8_t)(flags >> 24), (uint8_t)(flags >> 16),
                              (uint8_t)(flags >> 8), (uint8_t)flags};

    put(w, bytes, sizeof(bytes));
}

static void put_digits(uint8_t *p, int num, int value)
{
    while (num > 0) {
        p[--num] = (uint8_t)('0' + value % 10);
        value /= 10;
    }
}

static void put_time(struct writer *w, int64_t time)
{
    struct kb_date date;
    uint8_t text[15];

    if (time < KB_TIME_MIN || time > KB_TIME_MAX) {
        w->status = KB_OUT_OF_RANGE;
        return;
    }
    date = kb_date_of(time);
    put_digits(text, 4, date.year);
    put_digits(text + 4, 2, date.month);
    put_digits(text + 6, 2, date.day);
    put_digits(text + 8, 2, date.hour);
    put_digits(text + 10, 2, date.minute);
    put_digits(text + 12, 2, date.second);
    text[14] = 'Z';
    put(w, text, sizeof(text));
}

static void put_value(struct writer *w, const struct kb_type *type, const void *value);

static void put_sequence(struct writer *w, const struct kb_type *type, const uint8_t *value)
{
    for (size_t i = type->num_fields; i > 0; i--) {
        const struct kb_field *field = &type->fields[i - 1];
        size_t start = w->len;

        if (field->has_offset == KB_ALWAYS || *(const bool *)(value + field->has_offset)) {
            put_value(w, field->type, value + field->offset);
            put_header(w, field->tag, start);
        }
    }
}

static void put_list(struct writer *w, const struct kb_type *type, const void *value)
{
    struct kb_any_list list;

    memcpy(&list, value, sizeof(list));
    for (size_t i = list.num; i > 0; i--) {
        put_value(w, type->of, (const uint8_t *)list.items + (i - 1) * type->of->size);
    }
}

static void put_value(struct writer *w, const struct kb_type *type, const void *value)
{
    size_t start = w->len;
    const kb_bytes *bytes = value;

    switch (type->kind) {
    case KB_KIND_USEC:
        if (*(const int32_t *)value < 0 || *(const int32_t *)value > 999999) {
            w->status = KB_OUT_OF_RANGE;
        }
        put_integer(w, *(const int32_t *)value);
        break;
    case KB_KIND_INT32:
    case KB_KIND_ENUMERATED:
        put_integer(w, *(const int32_t *)value);
        break;
    case KB_KIND_UINT32:
        put_integer(w, *(const uint32_t *)value);
        break;
    case KB_KIND_KVNO:
        put_integer(w, (int32_t) * (const uint32_t *)value);
        break;
    case KB_KIND_FLAGS:
        put_flags(w, *(const kb_flags *)value);
        break;
    case KB_KIND_TIME:
        put_time(w, *(const kb_time *)value);
        break;
    case KB_KIND_OCTETS:
    case KB_KIND_STRING:
    case KB_KIND_OID:
        put(w, bytes->ptr, bytes->len);
        break;
    case KB_KIND_SEQUENCE:
        put_sequence(w, type, value);
        break;
    case KB_KIND_LIST:
        put_list(w, type, value);
        break;
    case KB_KIND_APPLICATION:
        put_value(w, type->of, value);
        break;
    case KB_KIND_RAW: /* a whole TLV already */
        if (bytes->len == 0) {
            w->status = KB_OUT_OF_RANGE;
        }
        put(w, bytes->ptr, bytes->len);
        return;
    }
    put_header(w, type->tag, start);
}

/* Into what is free in the arena's block: the length need not be known, and most messages fit. The
 * result moves to the front, and nothing of it (it may be a key) stays behind. */
static void encode_in_room(struct writer *w, const struct kb_type *type, struct kb_arena *arena,
                           const void *value, kb_bytes *out)
{
    uint8_t *room = kb_arena_room(arena, &w->room), *from;

    if (room == NULL) {
        put_value(w, type, value);
        return;
    }
    w->end = room + w->room;
    put_value(w, type, value);
    from = w->len <= w->room ? w->end - w->len : room;
    if (w->status == KB_OK && w->len <= w->room) {
        memmove(room, from, w->len);
        kb_arena_take(arena, w->len);
        *out = kb_bytes_of(room, w->len);
        from = from < room + w->len ? room + w->len : from;
    }
    kb_wipe(from, (size_t)(w->end - from));
}

static enum kb_status encode_again(const struct kb_type *type, struct kb_arena *arena,
                                   const void *value, size_t len, kb_bytes *out)
{
    struct writer w = {.room = len, .status = KB_OK};
    uint8_t *bytes = kb_arena_alloc(arena, len);

    if (bytes == NULL) {
        return kb_arena_status(arena, len);
    }
    w.end = bytes + len;
    put_value(&w, type, value);
    *out = kb_bytes_of(bytes, len);
    return KB_OK;
}

enum kb_status kb_encode(const struct kb_type *type, struct kb_arena *arena, const void *value,
                         kb_bytes *out)
{
    struct writer w = {.status = KB_OK};

    *out = KB_NONE;
    encode_in_room(&w, type, arena, value, out);
    if (w.status != KB_OK || out->ptr != NULL) {
        return w.status;
    }
    return encode_again(type, arena, value, w.len, out);
}
