/* identity_own.h - the inside of kb_identity, shared by identity.c (making one of options),
 * identity_find.c (the list of those that are there, and its lock), identity_keys.c (keys and what
 * was learned), identity_keytab.c (keytabs as files) and identity_digest.c (what the secret is
 * known by). */
#ifndef KB_IDENTITY_OWN_H
#define KB_IDENTITY_OWN_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "mech/login/clock.h"
#include "mech/login/identity.h"
#include "mech/net/facts.h"
#include "mech/store/ccache.h"
#include "mech/store/keytab.h"

/* A key that string-to-key made: slow to make again. */
struct kb_derived {
    struct kb_derived *next;
    int32_t etype;
    struct kb_key *key;
    size_t salt_len, params_len;
    uint8_t bytes[]; /* salt, parameters */
};

#define KB_CACHE_REFUSED 4

/* How often at most a secret's source and a cache are looked at: a stat(2) is half a warm call. */
#define KB_LOOK_US 100

struct kb_identity {
    /* Immutable. */
    uid_t euid;
    const struct kb_principal *client;
    kb_bytes password;        /* in pages of its own; KB_NONE with a keytab */
    struct kb_keytab *keytab; /* NULL with a password, and without a secret */
    struct kb_ccache *cache;  /* NULL: tickets stay in the process */
    bool cache_is_default;    /* the platform's, while it is the user's: never begun by us */
    bool cache_write_only;    /* the program itself handed over the secret */
    bool cache_is_auto;       /* ours alone, and bound to the secret: auto.h */
    bool own_clock;           /* krb5.conf's kdc_timesync is 0 */
    char *auto_lost;          /* why there is no such cache; NULL: there is, or none is wanted */
    char *beside;             /* the path of the file beside it, beside.h; NULL: none */
    char *where;              /* "keytab /etc/…", "the password": for messages */
    char *source_path;        /* the file that the secret is in; NULL: none */
    struct kb_shared *shared;
    atomic_uint refs;
    struct kb_realm_clock *clock; /* of the client's realm */

    /* Guarded by kb_identity_lock. */
    struct kb_identity *next;
    const struct kb_options *options; /* the snapshot that was last found to mean this identity */
    struct stat source; /* the keytab's or the password's file then; all zero for neither */
    int64_t checked_ms; /* when the secret was last read from its source */
    int64_t looked_us;  /* when that was last looked at */
    struct kb_derived *derived;
    struct kb_key_hint hint; /* slices over hint_bytes */
    struct kb_hint_buf hint_bytes;
    bool has_digest;
    uint8_t digest[KB_IDENTITY_DIGEST_LEN];
    struct kb_net_facts *facts;     /* NULL: none yet */
    struct kb_cc_contents *cached;  /* when it was last read; NULL: nothing there */
    struct kb_cc_stamp cache_stamp; /* then, or after we wrote to it */
    bool cache_known;               /* both hold */
    int64_t cache_reading_ms;       /* when a thread began to read it again; 0: none does */
    int64_t cache_looked_us;
    unsigned cache_changes;                          /* counts readings and writings */
    struct kb_credential *refused[KB_CACHE_REFUSED]; /* not to be taken from it again */
    unsigned next_refused;
    bool unwritable;    /* the last ticket could not be written to it, which was told */
    bool beside_told;   /* that the file beside it cannot be used */
    bool beside_loaded; /* what was learned, learned.h */
};

/* --- identity.c --- */

/* kb_identity_new reads the secret that `options` name. KB_NOT_FOUND: there is neither a secret nor
 * a cache; *err may say what is wrong with the platform's default cache. */
KB_MUST_USE enum kb_status kb_identity_new(const struct kb_options *options,
                                           struct kb_identity **out, struct kb_error *err);

/* kb_identity_source_now is what the secret's file looks like: all zero for no file, and for one
 * that is not there. */
struct stat kb_identity_source_now(const struct kb_identity *identity);

/* --- identity_keytab.c --- */

/* kb_identity_read_keytab reads KeytabFile, and finds the client where there is no User. What is
 * wrong with a file that was written a moment ago may be right in another: it is waited for, for a
 * second at most. */
KB_MUST_USE enum kb_status kb_identity_read_keytab(struct kb_identity *identity,
                                                   const struct kb_options *options,
                                                   struct kb_error *err);

/* kb_identity_client_keytab reads the platform's. KB_NOT_FOUND: there is none, it has no key of the
 * client, or his tickets in the platform's cache still last; KB_ERROR: it cannot be read. */
KB_MUST_USE enum kb_status kb_identity_client_keytab(struct kb_identity *identity,
                                                     const struct kb_options *options,
                                                     struct kb_error *err);

/* --- identity_find.c --- */

/* kb_identity_distrust has the secret of `options` read again by the next kb_identity_get, however
 * its file looks. */
void kb_identity_distrust(const struct kb_options *options);

/* The lock guards the list and what is marked so above; it is not held over file access or
 * string-to-key. It comes before store/shared's in the lock order. */
void kb_identity_lock(void);
void kb_identity_unlock(void);

/* --- identity_keys.c --- */

void kb_identity_derived_free(struct kb_derived *derived);

#endif
