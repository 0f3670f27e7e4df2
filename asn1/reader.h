/* reader.h - reads binary formats that are not ASN.1 (keytabs, caches, tokens) straight down.
 *
 * Keeps the first error and then yields zero and empty, so a format is read field by field and
 * `bad` is checked once, before a value is acted on. Never reads outside its slice; what it yields
 * points into it. One thread at a time. */
#ifndef KB_READER_H
#define KB_READER_H

#include "asn1/bytes.h"

struct kb_reader {
    kb_bytes rest;
    bool bad;
};

static inline struct kb_reader kb_reader(kb_bytes bytes)
{
    return (struct kb_reader){.rest = bytes};
}

static inline kb_bytes kb_get_bytes(struct kb_reader *r, size_t len)
{
    kb_bytes got = kb_bytes_of(r->rest.ptr, len);

    if (r->bad || len > r->rest.len) {
        r->bad = true;
        return KB_NONE;
    }
    if (len > 0) {
        r->rest.ptr += len;
        r->rest.len -= len;
    }
    return got;
}

static inline uint64_t kb_get_be(struct kb_reader *r, size_t len)
{
    kb_bytes got = kb_get_bytes(r, len);
    uint64_t value = 0;

    for (size_t i = 0; i < got.len; i++) {
        value = value << 8 | got.ptr[i];
    }
    return value;
}

static inline uint64_t kb_get_le(struct kb_reader *r, size_t len)
{
    kb_bytes got = kb_get_bytes(r, len);
    uint64_t value = 0;

    for (size_t i = got.len; i > 0; i--) {
        value = value << 8 | got.ptr[i - 1];
    }
    return value;
}

static inline uint8_t kb_get_u8(struct kb_reader *r)
{
    return (uint8_t)kb_get_be(r, 1);
}
static inline uint16_t kb_get_u16be(struct kb_reader *r)
{
    return (uint16_t)kb_get_be(r, 2);
}
static inline uint32_t kb_get_u32be(struct kb_reader *r)
{
    return (uint32_t)kb_get_be(r, 4);
}
static inline uint64_t kb_get_u64be(struct kb_reader *r)
{
    return kb_get_be(r, 8);
}
static inline uint32_t kb_get_u32le(struct kb_reader *r)
{
    return (uint32_t)kb_get_le(r, 4);
}

/* The writing side: fixed-size integers into memory that the caller has measured. */
static inline void kb_put_be(uint8_t *p, size_t len, uint64_t value)
{
    while (len > 0) {
        p[--len] = (uint8_t)value;
        value >>= 8;
    }
}
static inline void kb_put_u16be(uint8_t *p, uint16_t value)
{
    kb_put_be(p, 2, value);
}
static inline void kb_put_u32be(uint8_t *p, uint32_t value)
{
    kb_put_be(p, 4, value);
}
static inline void kb_put_u64be(uint8_t *p, uint64_t value)
{
    kb_put_be(p, 8, value);
}
static inline void kb_put_u16le(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void kb_put_u32le(uint8_t *p, uint32_t value)
{
    for (size_t i = 0; i < 4; i++) {
        p[i] = (uint8_t)(value >> 8 * i);
    }
}

#endif
