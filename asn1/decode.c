#include "asn1/table.h"
#include "asn1/types.h"

#include <stdio.h>

/* One decoding. The path is written from its end towards its front while a failure passes up. */
struct decoder {
    struct kb_arena *arena;
    const char *phrase; /* what is wrong */
    size_t path_at;     /* path[path_at..] is where */
    char path[80];
};

static enum kb_status fail(struct decoder *d, enum kb_status status, const char *phrase)
{
    d->phrase = phrase != NULL ? phrase : kb_status_text(status);
    return status;
}

/* Puts ".name", with hyphens, or "[index]" in front of the path. */
static void prepend(struct decoder *d, const char *text)
{
    size_t len = strlen(text);

    if (len > d->path_at) {
        d->path_at = 0; /* too deep for the room there is: no more of it */
        return;
    }
    d->path_at -= len;
    for (size_t i = 0; i < len; i++) {
        d->path[d->path_at + i] = text[i] == '_' ? '-' : text[i];
    }
}

static void prepend_field(struct decoder *d, const char *name)
{
    prepend(d, name);
    prepend(d, ".");
}

static void prepend_index(struct decoder *d, size_t index)
{
    char text[24];

    snprintf(text, sizeof(text), "[%zu]", index);
    prepend(d, text);
}

/* Reads the TLV at the front of *in and moves behind it. DER: definite, minimal length. */
static enum kb_status take(struct decoder *d, kb_bytes *in, kb_bytes *out_contents)
{
    size_t header = 2, len;

    if (in->len < 2) {
        return fail(d, KB_CUT_SHORT, NULL);
    }
    len = in->ptr[1];
    if (len > 0x80) {
        size_t octets = len - 0x80;

        if (octets > in->len - 2) {
            return fail(d, KB_CUT_SHORT, NULL);
        }
        header += octets;
        len = 0;
        for (size_t i = 0; i < octets; i++) {
            if (len > SIZE_MAX >> 8) {
                return fail(d, KB_CUT_SHORT, NULL);
            }
            len = len << 8 | in->ptr[2 + i];
        }
        if (len < 0x80 || in->ptr[2] == 0) {
            return fail(d, KB_MALFORMED, "length is not minimal");
        }
    } else if (len == 0x80) {
        return fail(d, KB_MALFORMED, "indefinite length");
    }
    if (len > in->len - header) {
        return fail(d, KB_CUT_SHORT, NULL);
    }
    *out_contents = kb_bytes_of(in->ptr + header, len);
    in->ptr += header + len;
    in->len -= header + len;
    return KB_OK;
}

static bool takes_tag(const struct kb_type *type, uint8_t tag)
{
    if (type->kind == KB_KIND_RAW) {
        type = type->of;
    }
    return tag == type->tag || tag == type->other_tag;
}

static enum kb_status get_integer(struct decoder *d, kb_bytes in, int64_t min, int64_t max,
                                  int64_t *out)
{
    int64_t value;

    if (in.len == 0) {
        return fail(d, KB_MALFORMED, "empty integer");
    }
    if (in.len > 1 && (in.ptr[0] == 0 || in.ptr[0] == 0xff) && in.ptr[0] >> 7 == in.ptr[1] >> 7) {
        return fail(d, KB_MALFORMED, "integer is not minimal");
    }
    if (in.len > sizeof(value)) {
        return fail(d, KB_OUT_OF_RANGE, NULL);
    }
    value = in.ptr[0] & 0x80 ? -1 : 0;
    for (size_t i = 0; i < in.len; i++) {
        value = (int64_t)((uint64_t)value << 8 | in.ptr[i]);
    }
    if (value < min || value > max) {
        return fail(d, KB_OUT_OF_RANGE, NULL);
    }
    *out = value;
    return KB_OK;
}

static enum kb_status get_int32(struct decoder *d, kb_bytes in, int64_t min, int64_t max, void *out)
{
    int64_t value = 0;
    enum kb_status status = get_integer(d, in, min, max, &value);

    if (status == KB_OK) {
        *(int32_t *)out = (int32_t)value;
    }
    return status;
}

/* Heimdal sends negative nonces, read-only domain controllers kvnos over 2^31. */
static enum kb_status get_uint32(struct decoder *d, kb_bytes in, void *out)
{
    int64_t value = 0;
    enum kb_status status = get_integer(d, in, INT32_MIN, UINT32_MAX, &value);

    if (status == KB_OK) {
        *(uint32_t *)out = (uint32_t)value;
    }
    return status;
}

/* RFC 4120 5.2.8: "a lenient implementation MAY choose to accept fewer than 32 bits and to treat
 * the missing bits as set to zero." MIT and Heimdal do. */
static enum kb_status get_flags(struct decoder *d, kb_bytes in, void *out)
{
    uint32_t flags = 0;

    if (in.len == 0 || in.ptr[0] > 7 || (in.len == 1 && in.ptr[0] != 0)) {
        return fail(d, KB_MALFORMED, "not a bit string");
    }
    if ((in.ptr[in.len - 1] & ((1u << in.ptr[0]) - 1)) != 0 && in.len > 1) {
        return fail(d, KB_MALFORMED, "unused bits are set");
    }
    for (size_t i = 1; i < 5; i++) {
        flags = flags << 8 | (i < in.len ? in.ptr[i] : 0);
    }
    *(kb_flags *)out = flags;
    return KB_OK;
}

/* RFC 4120 5.2.3: "shall not include any fractional portions of the seconds", and is in UTC. */
static enum kb_status get_time(struct decoder *d, kb_bytes in, void *out)
{
    int n[15];
    struct kb_date date, again;
    int64_t time;

    if (in.len != 15 || in.ptr[14] != 'Z') {
        return fail(d, KB_MALFORMED, "not a KerberosTime");
    }
    for (size_t i = 0; i < 14; i++) {
        if (in.ptr[i] < '0' || in.ptr[i] > '9') {
            return fail(d, KB_MALFORMED, "not a KerberosTime");
        }
        n[i] = in.ptr[i] - '0';
    }
    date = (struct kb_date){.year = n[0] * 1000 + n[1] * 100 + n[2] * 10 + n[3],
                            .month = n[4] * 10 + n[5],
                            .day = n[6] * 10 + n[7],
                            .hour = n[8] * 10 + n[9],
                            .minute = n[10] * 10 + n[11],
                            .second = n[12] * 10 + n[13]};
    if (date.month < 1 || date.month > 12 || date.hour > 23 || date.minute > 59 ||
        date.second > 59) {
        return fail(d, KB_OUT_OF_RANGE, NULL);
    }
    time = kb_time_of(&date);
    again = kb_date_of(time); /* differs where the month has no such day */
    if (again.day != date.day || again.month != date.month) {
        return fail(d, KB_OUT_OF_RANGE, NULL);
    }
    *(kb_time *)out = time;
    return KB_OK;
}

/* X.690 8.19: arcs of seven bits an octet, none with an octet too many in front. */
static enum kb_status get_oid(struct decoder *d, kb_bytes in, void *out)
{
    bool first = true;

    for (size_t i = 0; i < in.len; i++) {
        if (first && in.ptr[i] == 0x80) {
            return fail(d, KB_MALFORMED, "not an object identifier");
        }
        first = (in.ptr[i] & 0x80) == 0;
    }
    if (in.len == 0 || !first) {
        return fail(d, KB_MALFORMED, "not an object identifier");
    }
    *(kb_bytes *)out = in;
    return KB_OK;
}

static enum kb_status get_value(struct decoder *d, const struct kb_type *type, kb_bytes *in,
                                void *out);

/* One value of `type` is all that `in` may hold. */
static enum kb_status get_whole(struct decoder *d, const struct kb_type *type, kb_bytes in,
                                void *out)
{
    enum kb_status status = get_value(d, type, &in, out);

    if (status == KB_OK && in.len > 0) {
        return fail(d, KB_MALFORMED, "bytes behind its end");
    }
    return status;
}

static enum kb_status get_field(struct decoder *d, const struct kb_field *field, kb_bytes *in,
                                uint8_t *out)
{
    kb_bytes contents;
    enum kb_status status;

    if (in->len == 0 || in->ptr[0] != field->tag) {
        return field->has_offset != KB_ALWAYS ? KB_OK : fail(d, KB_MALFORMED, "missing");
    }
    status = take(d, in, &contents);
    if (status == KB_OK) {
        status = get_whole(d, field->type, contents, out + field->offset);
    }
    if (status == KB_OK && field->has_offset != KB_ALWAYS) {
        *(bool *)(out + field->has_offset) = true;
    }
    return status;
}

/* None of RFC 4120's SEQUENCEs has an extension marker: a field that is not in the table is
 * refused, as Heimdal does (MIT skips what stands behind the last one it knows). */
static enum kb_status get_sequence(struct decoder *d, const struct kb_type *type, kb_bytes in,
                                   void *out)
{
    for (size_t i = 0; i < type->num_fields; i++) {
        enum kb_status status = get_field(d, &type->fields[i], &in, out);

        if (status != KB_OK) {
            prepend_field(d, type->fields[i].name);
            return status;
        }
    }
    return in.len == 0 ? KB_OK : fail(d, KB_MALFORMED, "an unknown or misplaced field");
}

/* Counts the items first: their array is allocated once, and only when all have the right tag. */
static enum kb_status count_items(struct decoder *d, const struct kb_type *type, kb_bytes in,
                                  size_t *out_num)
{
    kb_bytes contents;

    for (*out_num = 0; in.len > 0; ++*out_num) {
        enum kb_status status = takes_tag(type->of, in.ptr[0])
                                    ? take(d, &in, &contents)
                                    : fail(d, KB_MALFORMED, "another tag");

        if (status != KB_OK) {
            prepend_index(d, *out_num);
            return status;
        }
    }
    return KB_OK;
}

static enum kb_status get_list(struct decoder *d, const struct kb_type *type, kb_bytes in,
                               void *out)
{
    size_t num, size = type->of->size;
    struct kb_any_list list;
    uint8_t *items;
    enum kb_status status = count_items(d, type, in, &num);

    if (status != KB_OK || num == 0) {
        return status;
    }
    items = kb_arena_alloc(d->arena, num * size);
    if (items == NULL) {
        return fail(d, kb_arena_status(d->arena, num * size), NULL);
    }
    for (size_t i = 0; i < num; i++) {
        status = get_value(d, type->of, &in, items + i * size);
        if (status != KB_OK) {
            prepend_index(d, i);
            return status;
        }
    }
    list = (struct kb_any_list){items, num};
    memcpy(out, &list, sizeof(list));
    return KB_OK;
}

static enum kb_status get_contents(struct decoder *d, const struct kb_type *type, kb_bytes in,
                                   void *out)
{
    switch (type->kind) {
    case KB_KIND_INT32:
    case KB_KIND_ENUMERATED:
        return get_int32(d, in, INT32_MIN, INT32_MAX, out);
    case KB_KIND_USEC:
        return get_int32(d, in, 0, 999999, out);
    case KB_KIND_UINT32:
    case KB_KIND_KVNO:
        return get_uint32(d, in, out);
    case KB_KIND_FLAGS:
        return get_flags(d, in, out);
    case KB_KIND_TIME:
        return get_time(d, in, out);
    case KB_KIND_SEQUENCE:
        return get_sequence(d, type, in, out);
    case KB_KIND_LIST:
        return get_list(d, type, in, out);
    case KB_KIND_APPLICATION:
        return get_whole(d, type->of, in, out);
    case KB_KIND_OID:
        return get_oid(d, in, out);
    case KB_KIND_OCTETS:
    case KB_KIND_STRING:
    case KB_KIND_RAW:
        break;
    }
    *(kb_bytes *)out = in;
    return KB_OK;
}

static enum kb_status get_value(struct decoder *d, const struct kb_type *type, kb_bytes *in,
                                void *out)
{
    const uint8_t *start = in->ptr;
    kb_bytes contents;
    enum kb_status status;

    if (in->len == 0) {
        return fail(d, KB_CUT_SHORT, NULL);
    }
    if (!takes_tag(type, in->ptr[0])) {
        return fail(d, KB_MALFORMED, "another tag");
    }
    status = take(d, in, &contents);
    if (status != KB_OK) {
        return status;
    }
    if (type->kind == KB_KIND_RAW) {
        contents = kb_bytes_of(start, (size_t)(in->ptr - start));
    }
    return get_contents(d, type, contents, out);
}

enum kb_status kb_decode(const struct kb_type *type, kb_bytes in, struct kb_arena *arena, void *out,
                         struct kb_why *why)
{
    struct decoder d = {.arena = arena, .path_at = sizeof(d.path)};
    enum kb_status status;

    memset(out, 0, type->size);
    if (in.len > 0 && !takes_tag(type, in.ptr[0])) {
        status = fail(&d, KB_WRONG_TYPE, NULL);
    } else {
        status = get_whole(&d, type, in, out);
    }
    if (status != KB_OK) {
        memset(out, 0, type->size);
        if (why != NULL) {
            snprintf(why->text, sizeof(why->text), "%s%.*s: %s", type->name,
                     (int)(sizeof(d.path) - d.path_at), d.path + d.path_at, d.phrase);
        }
    }
    return status;
}
