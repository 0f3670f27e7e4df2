/* What keys hold: payloads, records, a whole cache, and the stamp. */
#include <errno.h>
#include <stdlib.h>

#include "mech/store/cc_keyring.h"

#define FIRST_ROOM 4096 /* of a payload; most tickets are smaller */
#define FEW 256         /* keys in a cache whose stamp needs no heap */
#define MAX_TRIES 5     /* to read a cache in which others write meanwhile */

/* --- payloads --- */

void kb_key_payload_wipe(struct kb_key_payload *payload)
{
    kb_free_secret(payload->bytes, payload->room);
    *payload = (struct kb_key_payload){0};
}

static enum kb_status grow(struct kb_key_payload *payload, size_t room)
{
    kb_key_payload_wipe(payload);
    if (room > KB_CC_MAX) {
        return KB_TOO_BIG;
    }
    payload->bytes = malloc(room);
    payload->room = payload->bytes != NULL ? room : 0;
    return payload->bytes != NULL ? KB_OK : KB_NO_MEMORY;
}

enum kb_status kb_key_payload_read(kb_key_serial key, struct kb_key_payload *out)
{
    enum kb_status st = out->room > 0 ? KB_OK : grow(out, FIRST_ROOM);

    out->len = 0;
    while (st == KB_OK) {
        ssize_t len = kb_key_read(key, out->bytes, out->room);

        if (len < 0) {
            return KB_NOT_FOUND;
        }
        if ((size_t)len <= out->room) {
            out->len = (size_t)len;
            return KB_OK;
        }
        st = grow(out, (size_t)len + FIRST_ROOM);
    }
    return st;
}

/* A keyring's payload. */
static size_t count(const struct kb_key_payload *list)
{
    return list->len / sizeof(kb_key_serial);
}

kb_key_serial kb_key_payload_serial(const struct kb_key_payload *list, size_t i)
{
    kb_key_serial serial = 0;

    if (i < count(list)) {
        memcpy(&serial, list->bytes + i * sizeof(serial), sizeof(serial));
    }
    return serial;
}

/* --- the stamp --- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdu; /* of MurmurHash3 */
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

uint64_t kb_keyring_hash(kb_bytes bytes)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < bytes.len; i++) {
        hash = (hash ^ bytes.ptr[i]) * 1099511628211u; /* FNV-1a */
    }
    return hash;
}

static void add_serial(struct kb_cc_stamp *stamp, kb_key_serial serial, bool there)
{
    uint64_t one = mix((uint32_t)serial), other = mix(one ^ 0x6b657972696e67u);

    stamp->words[2] += there ? 1 : UINT64_MAX;
    stamp->words[3] += there ? one : -one;
    stamp->words[4] += there ? other : -other;
}

struct kb_cc_stamp kb_keyring_stamp_with(const struct kb_cc_stamp *before, kb_key_serial old,
                                         kb_key_serial key)
{
    struct kb_cc_stamp stamp = *before;

    if (old > 0) {
        add_serial(&stamp, old, false);
    }
    add_serial(&stamp, key, true);
    return stamp;
}

static void stamp_list(const struct kb_keyring *at, const struct kb_key_payload *list,
                       struct kb_cc_stamp *out)
{
    *out = (struct kb_cc_stamp){{1, (uint32_t)at->ring}};
    for (size_t i = 0; i < count(list); i++) {
        add_serial(out, kb_key_payload_serial(list, i), true);
    }
}

/* Has another cache become the primary one? */
static bool stamp_index(const struct kb_keyring *at, struct kb_cc_stamp *out)
{
    uint8_t bytes[512];
    ssize_t len;

    if (!at->by_index || at->index == 0) {
        return true;
    }
    len = kb_key_read(at->index, bytes, sizeof(bytes));
    if (len < 0 || (size_t)len > sizeof(bytes)) {
        return false;
    }
    out->words[5] = kb_keyring_hash(kb_bytes_of(bytes, (size_t)len));
    return true;
}

bool kb_keyring_stamp(const struct kb_keyring *at, struct kb_cc_stamp *out)
{
    kb_key_serial few[FEW];
    ssize_t len = kb_key_read(at->ring, few, sizeof(few));
    struct kb_key_payload many = {0};
    bool read = len >= 0;

    if (read && (size_t)len <= sizeof(few)) {
        stamp_list(at, &(struct kb_key_payload){(uint8_t *)few, (size_t)len, 0}, out);
    } else if (read) {
        read = kb_key_payload_read(at->ring, &many) == KB_OK;
        stamp_list(at, &many, out);
    }
    kb_key_payload_wipe(&many);
    return read && stamp_index(at, out);
}

/* --- a cache --- */

/* As a file of version 4 begins, so that it can be read as one. */
static void put_start(struct kb_buf *out, kb_bytes offsets, kb_bytes owner)
{
    uint8_t head[8];
    bool has_offsets = offsets.len >= 8;

    kb_put_u16be(head, KB_CC_VERSION_BASE + 4);
    kb_put_u16be(head + 2, has_offsets ? 12 : 0);
    kb_put_u16be(head + 4, KB_CC_TAG_OFFSET);
    kb_put_u16be(head + 6, 8);
    kb_buf_add(out, kb_bytes_of(head, has_offsets ? 8 : 4));
    kb_buf_add(out, has_offsets ? kb_bytes_of(offsets.ptr, 8) : KB_NONE);
    kb_buf_add(out, owner);
}

/* Takes what `buf` holds over into contents, which are read. */
static enum kb_status parse(const struct kb_buf *buf, struct kb_cc_contents **out)
{
    struct kb_cc_contents *made = buf->status == KB_OK ? kb_cc_contents_new(buf->len) : NULL;
    enum kb_status st = buf->status == KB_OK ? KB_NO_MEMORY : buf->status;

    if (made != NULL) {
        memcpy(made->image, buf->data, buf->len);
        st = kb_cc_parse(made);
    }
    if (st != KB_OK) {
        kb_cc_contents_put(made);
        made = NULL;
    }
    *out = made;
    return st;
}

/* With nothing behind the name, or the records would not be found. */
static enum kb_status read_start(kb_bytes offsets, kb_bytes owner, struct kb_buf *out,
                                 struct kb_principal **out_owner)
{
    struct kb_cc_contents start = {.version = 4}; /* of which no more is filled than the owner */
    struct kb_reader r;
    enum kb_status st;

    put_start(out, offsets, owner);
    r = kb_reader(kb_buf_bytes(out));
    st = out->status == KB_OK ? kb_cc_get_start(&start, &r) : out->status;
    if (st == KB_OK && r.rest.len > 0) {
        st = KB_MALFORMED;
    }
    *out_owner = st == KB_OK ? start.owner : NULL;
    if (st != KB_OK) {
        kb_principal_free(start.owner);
    }
    return st;
}

/* A key of the keyring that is no record. KB_NOT_FOUND: there is none. */
static enum kb_status read_named(kb_key_serial ring, const char *name, kb_key_serial *out_key,
                                 struct kb_key_payload *out)
{
    *out_key = kb_key_search(ring, "user", name, 0);
    return *out_key > 0 ? kb_key_payload_read(*out_key, out) : KB_NOT_FOUND;
}

enum kb_status kb_keyring_owner(kb_key_serial ring, struct kb_principal **out)
{
    struct kb_key_payload payload = {0};
    kb_key_serial key;
    struct kb_buf buf;
    enum kb_status st;

    *out = NULL;
    kb_buf_init(&buf, KB_CC_MAX);
    st = read_named(ring, KB_KEYRING_OWNER, &key, &payload);
    if (st == KB_OK) {
        st = read_start(KB_NONE, kb_bytes_of(payload.bytes, payload.len), &buf, out);
    }
    kb_buf_wipe(&buf);
    kb_key_payload_wipe(&payload);
    return st;
}

enum kb_status kb_keyring_record(kb_key_serial key, struct kb_key_payload *payload,
                                 struct kb_cc_record *out)
{
    enum kb_status st = kb_key_payload_read(key, payload);
    struct kb_reader r = kb_reader(kb_bytes_of(payload->bytes, payload->len));

    if (st != KB_OK) {
        return st;
    }
    *out = kb_cc_get_record(&r, 4);
    return r.bad ? KB_NOT_FOUND : KB_OK;
}

static enum kb_status add_records(const struct kb_key_payload *list, const kb_key_serial others[2],
                                  struct kb_buf *out)
{
    struct kb_key_payload payload = {0};
    enum kb_status st = KB_OK;

    for (size_t i = 0; i < count(list) && st == KB_OK; i++) {
        kb_key_serial key = kb_key_payload_serial(list, i);
        struct kb_cc_record record;

        if (key == others[0] || key == others[1]) {
            continue;
        }
        st = kb_keyring_record(key, &payload, &record);
        if (st == KB_OK) {
            kb_buf_add(out, record.raw);
        }
        st = st == KB_NOT_FOUND ? out->status : st;
    }
    kb_key_payload_wipe(&payload);
    return st;
}

/* *out_stamp is that of before. */
static enum kb_status read_once(const struct kb_keyring *at, struct kb_buf *out,
                                struct kb_cc_stamp *out_stamp)
{
    struct kb_key_payload list = {0}, owner = {0}, offsets = {0};
    struct kb_principal *principal = NULL;
    kb_key_serial others[2];
    enum kb_status st = kb_key_payload_read(at->ring, &list);

    if (st == KB_OK) {
        stamp_list(at, &list, out_stamp);
        st = stamp_index(at, out_stamp) ? KB_OK : KB_NOT_FOUND;
    }
    if (st == KB_OK) {
        st = read_named(at->ring, KB_KEYRING_OWNER, &others[0], &owner);
    }
    if (st == KB_OK) {
        st = read_named(at->ring, KB_KEYRING_OFFSETS, &others[1], &offsets);
        st = st == KB_NOT_FOUND ? KB_OK : st;
    }
    if (st == KB_OK) {
        st = read_start(kb_bytes_of(offsets.bytes, offsets.len),
                        kb_bytes_of(owner.bytes, owner.len), out, &principal);
    }
    if (st == KB_OK) {
        st = add_records(&list, others, out);
    }
    kb_principal_free(principal);
    kb_key_payload_wipe(&list);
    kb_key_payload_wipe(&owner);
    kb_key_payload_wipe(&offsets);
    return st;
}

/* Again, if somebody wrote meanwhile: else a cache that is begun anew could be read half. */
enum kb_status kb_keyring_contents(const struct kb_keyring *at, struct kb_cc_contents **out,
                                   struct kb_error *err)
{
    struct kb_cc_stamp before, after = {{0}};
    enum kb_status st = KB_NOT_FOUND;
    struct kb_buf buf;

    *out = NULL;
    for (unsigned i = 0; i < MAX_TRIES; i++) {
        kb_buf_init(&buf, KB_CC_MAX);
        st = read_once(at, &buf, &before);
        if (st == KB_OK) {
            st = parse(&buf, out);
        }
        kb_buf_wipe(&buf);
        if (st != KB_OK || !kb_keyring_stamp(at, &after) || kb_cc_same_stamp(&before, &after) ||
            i + 1 == MAX_TRIES) {
            break;
        }
        kb_cc_contents_put(*out);
        *out = NULL;
    }
    if (st == KB_OK) {
        (*out)->stamp = before;
    }
    return st == KB_OK || st == KB_NOT_FOUND ? st : kb_cc_explain(at->cache, st, err);
}
