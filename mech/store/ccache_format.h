/* ccache_format.h - the file format of credential caches: read in versions 1 to 4, written in 4.
 * MIT doc/formats/ccache_file_format. Private to the caches.
 *
 * KCM and KEYRING hold the same records one by one. Nothing here touches a file. What follows the
 * last whole record (a writer that died) is no error: `whole` says up to where it is good.
 * ccache_format.c reads records, ccache_write.c writes them, cc_contents.c keeps those of a cache.
 *
 * Contents are immutable, and so are those that hold more than others: they share the old ones'
 * bytes and index and add their own. The bytes lie in chunks, where a later reader may use the room
 * behind what an earlier one has, but only one of them (it is claimed by compare and swap; who
 * loses takes a new chunk). The records lie in layers, each with its index; the newest are put
 * together while they are not half as large as the one below, as in a log-structured merge tree: a
 * ticket costs O(log n) to add, and a look-up asks O(log n) layers. */
#ifndef KB_CCACHE_FORMAT_H
#define KB_CCACHE_FORMAT_H

#include "asn1/arena.h"
#include "asn1/buf.h"
#include "asn1/reader.h"
#include "mech/store/ccache.h"

#define KB_CC_MAX (64u << 20) /* bytes of one cache */

#define KB_CC_VERSION_BASE 0x0500
#define KB_CC_TAG_OFFSET 1 /* of the header: the KDC's clock minus ours */

/* A principal as it stands in a record. */
struct kb_cc_name {
    int32_t name_type;
    kb_bytes realm;
    uint32_t num;   /* components */
    kb_bytes parts; /* each with its length before it */
};

enum kb_cc_kind { KB_CC_TICKET, KB_CC_CONFIG, KB_CC_REMOVED };

struct kb_cc_record {
    enum kb_cc_kind kind;
    uint32_t hash; /* of the server's components */
    uint32_t next; /* in its bucket of the layer's index, plus 1; 0: the last */
    int32_t etype;
    kb_bytes raw;
    struct kb_cc_name client, server;
    kb_bytes key;
    uint32_t authtime, starttime, endtime, renew_till;
    uint8_t is_skey; /* not 0: user-to-user */
    uint32_t flags;
    kb_bytes addresses, authdata; /* with their counts */
    kb_bytes ticket, second_ticket;
};

#define KB_CC_LAYERS 28 /* each at least twice as large as the next */
#define KB_CC_CHUNKS 28 /* each with as much room as was read before it */

struct kb_cc_chunk;
struct kb_cc_layer;

struct kb_cc_contents {
    uint8_t *image; /* where the bytes from `at` on go, before kb_cc_parse */
    size_t at;      /* 0, or where the older contents end whose successor this is */
    size_t len;     /* bytes of the cache */
    size_t whole;   /* bytes up to the end of the last whole record */
    int version;
    kb_bytes header; /* version 4: the tagged fields */
    bool has_offset;
    int64_t offset; /* microseconds */
    struct kb_principal *owner;
    size_t num;         /* of records */
    kb_bytes beginning; /* the bytes up to the end of the first one */
    kb_bytes last;      /* the last one's bytes */
    bool read_on;       /* what it has of old has not been read again */
    size_t read_len;    /* bytes when all of it was read, */
    int64_t read_ms;    /* and when that was */
    struct kb_cc_stamp stamp;
    /* private to cc_contents.c */
    struct kb_cc_chunk *chunks[KB_CC_CHUNKS];
    size_t num_chunks;
    size_t image_end;                         /* in the last chunk */
    struct kb_cc_layer *layers[KB_CC_LAYERS]; /* the oldest first */
    size_t num_layers;
    _Atomic unsigned refs;
};

/* --- what a cache held (cc_contents.c) --- */

/* kb_cc_contents_new gives contents whose `image` has room for `len` bytes, to be filled and then
 * read by kb_cc_parse. NULL: no memory, or more than KB_CC_MAX. */
struct kb_cc_contents *kb_cc_contents_new(size_t len);

/* kb_cc_contents_grown gives contents that go on where `old` (parsed) is good: `image` has room for
 * the bytes from old->whole on to `len`, to be filled and parsed. */
struct kb_cc_contents *kb_cc_contents_grown(const struct kb_cc_contents *old, size_t len);

/* kb_cc_parse: KB_NOT_FOUND (nothing in it, or no principal yet), KB_WRONG_TYPE (no cache),
 * KB_MALFORMED, KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_cc_parse(struct kb_cc_contents *contents);

/* kb_cc_record_at is the record `i` of `num`, in the cache's order. */
const struct kb_cc_record *kb_cc_record_at(const struct kb_cc_contents *contents, size_t i);

/* A walk over the records whose server may have the components of a principal, in the cache's
 * order. kb_cc_walk_on: NULL: no more. */
struct kb_cc_walk {
    const struct kb_cc_contents *contents;
    uint32_t hash, next;
    size_t layer;
};
struct kb_cc_walk kb_cc_walk_to(const struct kb_cc_contents *contents,
                                const struct kb_principal *server);
const struct kb_cc_record *kb_cc_walk_on(struct kb_cc_walk *walk);

/* --- reading (ccache_format.c) --- */

/* kb_cc_get_start reads what is before the first record: version, header, owner. As kb_cc_parse. */
KB_MUST_USE enum kb_status kb_cc_get_start(struct kb_cc_contents *contents, struct kb_reader *r);
struct kb_cc_record kb_cc_get_record(struct kb_reader *r, int version);

/* Of the fields: numbers are in the version's byte order. */
uint32_t kb_cc_get(struct kb_reader *r, int version, size_t len);
kb_bytes kb_cc_get_data(struct kb_reader *r, int version);

/* kb_cc_name_is compares with a principal, without the realm. */
bool kb_cc_name_is(const struct kb_cc_contents *contents, const struct kb_cc_name *name,
                   const struct kb_principal *principal);
KB_MUST_USE enum kb_status kb_cc_name_principal(const struct kb_cc_contents *contents,
                                                const struct kb_cc_name *name,
                                                struct kb_principal **out);

/* kb_cc_addresses makes HostAddresses (DER) of a record's; empty: bound to none. */
KB_MUST_USE enum kb_status kb_cc_addresses(const struct kb_cc_contents *contents,
                                           const struct kb_cc_record *record,
                                           struct kb_arena *arena, kb_bytes *out);

/* kb_cc_is_for: a ticket for `server`, in its realm, or in none where it was found by referral, or
 * in any where `server` has none. */
bool kb_cc_is_for(const struct kb_cc_contents *contents, const struct kb_cc_record *record,
                  const struct kb_principal *server);

/* --- writing (ccache_write.c) --- */

/* kb_cc_put_entry appends the record of a new ticket, version 4. */
void kb_cc_put_entry(struct kb_buf *out, const struct kb_cc_store *what);
void kb_cc_put_principal(struct kb_buf *out, const struct kb_principal *principal);

/* kb_cc_is_kept: does a record stay where a cache is written anew with `what` (NULL: without a new
 * ticket)? What was removed, has expired or is replaced does not. */
bool kb_cc_is_kept(const struct kb_cc_contents *old, const struct kb_cc_record *record,
                   const struct kb_cc_store *what);

/* kb_cc_put_all appends a whole cache: what is still good of `old` (NULL: nothing) but tickets for
 * `without` (NULL: none), and `what` (NULL: nothing new), whose earlier tickets it replaces. One of
 * both gives the owner. *out_num (may be NULL) counts the tickets for `without`. */
KB_MUST_USE enum kb_status kb_cc_put_all(struct kb_buf *out, const struct kb_cc_contents *old,
                                         const struct kb_cc_store *what,
                                         const struct kb_principal *without, size_t *out_num);

#endif
