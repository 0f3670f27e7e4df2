#include "mech/protocol/frame.h"

#include "asn1/reader.h"

#define TAG_TOKEN 0x60 /* [APPLICATION 0], constructed */
#define TAG_OID 0x06
#define TOKEN_ID_LEN 2

/* Octets of the DER length of `len`. */
static size_t length_len(size_t len)
{
    size_t octets = 1;

    for (size_t rest = len; len >= 0x80 && rest > 0; rest >>= 8) {
        octets++;
    }
    return octets;
}

static uint8_t *put_length(uint8_t *p, size_t len)
{
    size_t octets = length_len(len);

    if (octets == 1) {
        *p = (uint8_t)len;
    } else {
        *p = (uint8_t)(0x80 | (octets - 1));
        kb_put_be(p + 1, octets - 1, len);
    }
    return p + octets;
}

/* An OID is short: its length has one octet. */
static size_t framed_len(kb_bytes mech, size_t message_len)
{
    return 2 + mech.len + TOKEN_ID_LEN + message_len;
}

size_t kb_frame_len(kb_bytes mech, size_t message_len)
{
    size_t len = framed_len(mech, message_len);

    return 1 + length_len(len) + len;
}

uint8_t *kb_frame_begin(kb_bytes mech, uint16_t token_id, size_t message_len, uint8_t *out)
{
    *out++ = TAG_TOKEN;
    out = put_length(out, framed_len(mech, message_len));
    *out++ = TAG_OID;
    *out++ = (uint8_t)mech.len;
    memcpy(out, mech.ptr, mech.len);
    out += mech.len;
    kb_put_u16be(out, token_id);
    return out + TOKEN_ID_LEN;
}

void kb_frame(kb_bytes mech, uint16_t token_id, kb_bytes message, uint8_t *out)
{
    out = kb_frame_begin(mech, token_id, message.len, out);
    if (message.len > 0) {
        memcpy(out, message.ptr, message.len);
    }
}

/* A definite length, minimal or not. */
static size_t get_any_length(struct kb_reader *r, size_t *out_octets)
{
    size_t first = kb_get_u8(r);
    size_t octets = first & 0x7f;

    *out_octets = 1;
    if (first < 0x80) {
        return first;
    }
    if (octets == 0 || octets > sizeof(size_t)) {
        r->bad = true;
        return 0;
    }
    *out_octets = 1 + octets;
    return (size_t)kb_get_be(r, octets);
}

/* A definite, minimal length: as DER has it. */
static size_t get_length(struct kb_reader *r)
{
    size_t octets;
    size_t len = get_any_length(r, &octets);

    if (length_len(len) != octets) {
        r->bad = true;
    }
    return len;
}

enum kb_status kb_unframe(kb_bytes token, kb_bytes *out_mech, uint16_t *out_token_id,
                          kb_bytes *out_message)
{
    struct kb_reader r = kb_reader(token);
    size_t len, oid_len;

    *out_mech = *out_message = KB_NONE;
    *out_token_id = 0;
    if (token.len == 0) {
        return KB_CUT_SHORT;
    }
    if (kb_get_u8(&r) != TAG_TOKEN) {
        return KB_MALFORMED;
    }
    len = get_length(&r);
    if (r.bad || len < r.rest.len) {
        return KB_MALFORMED;
    }
    if (len > r.rest.len) {
        return KB_CUT_SHORT;
    }
    if (kb_get_u8(&r) != TAG_OID) {
        return KB_MALFORMED;
    }
    oid_len = get_length(&r);
    *out_mech = kb_get_bytes(&r, oid_len);
    *out_token_id = kb_get_u16be(&r);
    if (r.bad || oid_len == 0) {
        *out_mech = KB_NONE;
        *out_token_id = 0;
        return KB_MALFORMED;
    }
    *out_message = r.rest;
    return KB_OK;
}

enum kb_status kb_unframe_old(kb_bytes token, size_t elsewhere, kb_bytes mech, kb_bytes *out_rest)
{
    struct kb_reader r = kb_reader(token);
    size_t octets, len;

    *out_rest = token;
    if (token.len == 0) {
        return KB_CUT_SHORT;
    }
    if (kb_get_u8(&r) != TAG_TOKEN) {
        return KB_OK;
    }
    len = get_any_length(&r, &octets);
    if (r.bad || len < elsewhere || len - elsewhere < r.rest.len) {
        return KB_MALFORMED;
    }
    if (len - elsewhere > r.rest.len) {
        return KB_CUT_SHORT;
    }
    if (kb_get_u8(&r) != TAG_OID || !kb_equal(kb_get_bytes(&r, get_length(&r)), mech) || r.bad) {
        return KB_MALFORMED;
    }
    *out_rest = r.rest;
    return KB_OK;
}
