/* ccache_format.h - the file format of credential caches: read in versions 1 to 4, written in 4.
 * MIT doc/formats/ccache_file_format. Private to the caches.
 *
 * KCM and KEYRING hold the same records one by one. Nothing here touches a file. What follows the
 * last whole record (a writer that died) is no error: `whole` says up to where it is good. */
#ifndef KB_CCACHE_FORMAT_H
#define KB_CCACHE_FORMAT_H

#include "asn1/arena.h"
#include "asn1/buf.h"
#include "mech/store/ccache.h"

#define KB_CC_MAX (64u << 20) /* bytes of one cache */

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
    uint32_t next; /* in its bucket of the index, plus 1; 0: the last */
    kb_bytes raw;
    struct kb_cc_name client, server;
    int32_t etype;
    kb_bytes key;
    uint32_t authtime, starttime, endtime, renew_till;
    uint8_t is_skey; /* not 0: user-to-user */
    uint32_t flags;
    kb_bytes addresses, authdata; /* with their counts */
    kb_bytes ticket, second_ticket;
};

struct kb_cc_contents {
    uint8_t *image; /* pages of its own */
    size_t len;
    size_t whole; /* bytes up to the end of the last whole record */
    int version;
    kb_bytes header; /* version 4: the tagged fields */
    bool has_offset;
    int64_t offset; /* microseconds */
    struct kb_principal *owner;
    struct kb_cc_record *records;
    size_t num;
    uint32_t *buckets; /* by the server's components; a record's number plus 1 */
    size_t num_buckets;
    struct kb_cc_stamp stamp;
    _Atomic unsigned refs;
};

/* kb_cc_contents_new gives contents whose `image` has room for `len` bytes, to be filled and then
 * read by kb_cc_parse. NULL: no memory. */
struct kb_cc_contents *kb_cc_contents_new(size_t len);

/* kb_cc_parse: KB_NOT_FOUND (nothing in it, or no principal yet), KB_WRONG_TYPE (no cache),
 * KB_MALFORMED, KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_cc_parse(struct kb_cc_contents *contents);

/* kb_cc_name_is compares with a principal, without the realm. */
bool kb_cc_name_is(const struct kb_cc_contents *contents, const struct kb_cc_name *name,
                   const struct kb_principal *principal);
KB_MUST_USE enum kb_status kb_cc_name_principal(const struct kb_cc_contents *contents,
                                                const struct kb_cc_name *name,
                                                struct kb_principal **out);

/* kb_cc_first and kb_cc_next_of walk the records whose server may have these components, in the
 * file's order. NULL: no more. */
const struct kb_cc_record *kb_cc_first(const struct kb_cc_contents *contents,
                                       const struct kb_principal *server);
const struct kb_cc_record *kb_cc_next_of(const struct kb_cc_contents *contents,
                                         const struct kb_cc_record *record);

/* kb_cc_addresses makes HostAddresses (DER) of a record's; empty: bound to none. */
KB_MUST_USE enum kb_status kb_cc_addresses(const struct kb_cc_contents *contents,
                                           const struct kb_cc_record *record,
                                           struct kb_arena *arena, kb_bytes *out);

/* kb_cc_put_entry appends the record of a new ticket, version 4. */
void kb_cc_put_entry(struct kb_buf *out, const struct kb_cc_store *what);

/* kb_cc_put_all appends a whole cache: what is still good of `old` (NULL: nothing) but tickets for
 * `without` (NULL: none), and `what` (NULL: nothing new), whose earlier tickets it replaces. One of
 * both gives the owner. *out_num (may be NULL) counts the tickets for `without`. */
KB_MUST_USE enum kb_status kb_cc_put_all(struct kb_buf *out, const struct kb_cc_contents *old,
                                         const struct kb_cc_store *what,
                                         const struct kb_principal *without, size_t *out_num);

#endif
