/* kcm_format.h - the messages of KCM, the protocol of a daemon that keeps credentials caches: MIT
 * src/include/kcm.h, Heimdal kcm/protocol.c, SSSD src/responder/kcm. Private to KCM: caches.
 *
 * A request is a frame of a length (4 bytes, as all numbers in network order), version 2.0, an
 * opcode and what it wants; names end with a NUL, principals and tickets are as in version 4 of a
 * cache's file. An answer is its length, a code of the daemon's transport (not 0: the request was
 * not understood, and sssd sends no more), then as many bytes as its length says: a code of the
 * operation and what it gives. Codes are libkrb5's.
 *
 * Bytes in, bytes out: no socket here (kcm_call.h). What is read points into the answer. Any
 * thread. */
#ifndef KB_KCM_FORMAT_H
#define KB_KCM_FORMAT_H

#include "mech/store/ccache_format.h"

enum kb_kcm_op {
    KB_KCM_GEN_NEW = 3,              /*                     () -> name */
    KB_KCM_INITIALIZE = 4,           /*      (name, principal) -> () */
    KB_KCM_DESTROY = 5,              /*                 (name) -> () */
    KB_KCM_STORE = 6,                /*         (name, ticket) -> () */
    KB_KCM_GET_PRINCIPAL = 8,        /*                 (name) -> principal */
    KB_KCM_GET_CRED_UUID_LIST = 9,   /*                 (name) -> UUIDs */
    KB_KCM_GET_CRED_BY_UUID = 10,    /*           (name, UUID) -> ticket */
    KB_KCM_REMOVE_CRED = 11,         /*   (name, flags, match) -> () */
    KB_KCM_GET_CACHE_UUID_LIST = 18, /*                    () -> UUIDs */
    KB_KCM_GET_CACHE_BY_UUID = 19,   /*                 (UUID) -> name */
    KB_KCM_GET_DEFAULT_CACHE = 20,   /*                     () -> name */
    KB_KCM_GET_KDC_OFFSET = 22,      /*                 (name) -> seconds */
    KB_KCM_SET_KDC_OFFSET = 23,      /*        (name, seconds) -> () */
    /* MIT's own, which not every daemon has. */
    KB_KCM_GET_CRED_LIST = 13001, /*                   (name) -> count, each length and ticket */
    KB_KCM_REPLACE = 13002, /* (name, seconds, principal, count, each length and ticket) -> () */
};

/* Codes, of krb5_err.et */
enum {
    KB_KCM_BADNAME = -1765328245,
    KB_KCM_NOTFOUND = -1765328243,
    KB_KCM_END = -1765328242,
    KB_KCM_IO = -1765328191,
    KB_KCM_PERM = -1765328190,
    KB_KCM_NOFILE = -1765328189,
    KB_KCM_INTERNAL = -1765328188,
    KB_KCM_WRITE = -1765328187,
    KB_KCM_NOMEM = -1765328186,
    KB_KCM_BAD_FORMAT = -1765328185,
    KB_KCM_NOSUPP = -1765328137,
};

#define KB_KCM_HEAD ((size_t)8)        /* bytes of an answer before what its length counts */
#define KB_KCM_ANSWER_MAX (10u << 20)  /* bytes, as MIT's */
#define KB_KCM_NAME_MAX ((size_t)1024) /* bytes of a cache's name */
#define KB_KCM_UUID ((size_t)16)

/* --- requests --- */

/* kb_kcm_start begins a request in an empty buffer, with `name` (NULL: none); what it wants is
 * appended, then kb_kcm_finish fills in the length. */
void kb_kcm_start(struct kb_buf *request, enum kb_kcm_op op, const char *name);
void kb_kcm_finish(struct kb_buf *request);

void kb_kcm_put(struct kb_buf *request, uint32_t value);
void kb_kcm_put_seconds(struct kb_buf *request, int64_t offset); /* of microseconds, rounded */

/* kb_kcm_put_match appends the flags and the match that mean exactly this ticket: its client, its
 * server and its times. */
void kb_kcm_put_match(struct kb_buf *request, const struct kb_cc_record *record);

/* --- answers --- */

struct kb_kcm_answer {
    int32_t code; /* 0: `body` is what the operation gives */
    kb_bytes body;
};

/* kb_kcm_length reads the head: how many bytes follow. KB_TOO_BIG. */
KB_MUST_USE enum kb_status kb_kcm_length(const uint8_t head[KB_KCM_HEAD], size_t *out);

/* kb_kcm_answer puts head and rest together. KB_CUT_SHORT: there is no code in it. */
KB_MUST_USE enum kb_status kb_kcm_answer(const uint8_t head[KB_KCM_HEAD], kb_bytes rest,
                                         struct kb_kcm_answer *out);

/* kb_kcm_is_unknown: the code may mean that the daemon does not have the operation. Heimdal's and
 * newer sssd say "internal", older sssd "not supported", or "I/O" for opcodes it never heard of. */
bool kb_kcm_is_unknown(int32_t code);
bool kb_kcm_is_absent(int32_t code); /* there is no such cache, or nothing (any more) in it */

/* kb_kcm_code_text is a phrase such as "no such cache"; for a number it does not know, the
 * number, in buf. */
const char *kb_kcm_code_text(int32_t code, char buf[40]);

/* What the bodies hold. KB_MALFORMED, KB_NO_MEMORY; of a principal also KB_NOT_FOUND: none yet, as
 * Heimdal's and sshd's caches can be. Bytes behind a principal or a ticket are passed over: MIT's
 * test server has some. kb_kcm_get_name copies. */
KB_MUST_USE enum kb_status kb_kcm_get_name(kb_bytes body, char out[KB_KCM_NAME_MAX]);
KB_MUST_USE enum kb_status kb_kcm_get_uuids(kb_bytes body, size_t *out_num);
KB_MUST_USE enum kb_status kb_kcm_get_principal(kb_bytes body, struct kb_principal **out);
KB_MUST_USE enum kb_status kb_kcm_get_seconds(kb_bytes body, int32_t *out);

/* --- the tickets of a cache --- */

/* A pile of records, as they come in. */
struct kb_kcm_pile {
    struct kb_buf bytes;
    struct kb_kcm_piled {
        uint32_t start; /* when it begins to be good */
        uint32_t number;
        size_t at, len; /* in `bytes` */
    } * items;
    size_t num, room;
};

void kb_kcm_pile_init(struct kb_kcm_pile *pile);
void kb_kcm_pile_wipe(struct kb_kcm_pile *pile);

/* kb_kcm_pile_add adds the ticket that an answer of GET_CRED_BY_UUID is; kb_kcm_pile_list those of
 * GET_CRED_LIST. Also KB_TOO_BIG. */
KB_MUST_USE enum kb_status kb_kcm_pile_add(struct kb_kcm_pile *pile, kb_bytes body);
KB_MUST_USE enum kb_status kb_kcm_pile_list(struct kb_kcm_pile *pile, kb_bytes body);

/* kb_kcm_contents makes contents of a pile, as if it were a file: the oldest ticket first, for
 * Heimdal's daemon appends and sssd's puts the newest in front. kb_kcm_contents_more puts the pile
 * behind what was there. */
KB_MUST_USE enum kb_status kb_kcm_contents(struct kb_kcm_pile *pile,
                                           const struct kb_principal *owner, const int32_t *offset,
                                           struct kb_cc_contents **out);
KB_MUST_USE enum kb_status kb_kcm_contents_more(struct kb_kcm_pile *pile,
                                                const struct kb_cc_contents *known,
                                                struct kb_cc_contents **out);

#endif
