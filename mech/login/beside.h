/* beside.h - what the processes that use one credentials cache tell each other, in the small file
 * beside it (store/beside_file.h): CACHE.kerbside, in a DIR: collection the file `kerbside` for all
 * its users.
 *
 * One ticket is fetched by one process at a time. Who leads a flight among the threads of its own
 * process (store/shared.h), for what the cache does not hold, takes a lock of the flight's own
 * before it asks anybody, and then looks into the cache again: mostly another has brought the
 * ticket meanwhile. The kernel drops the locks of who is killed, so the next goes on at once. Who
 * stands still with one (stopped, in a callback) is passed by: those behind it queue at the next of
 * KB_BESIDE_LANES locks of the same flight, and when all are taken so, they go on alone. Each time
 * that takes an eighth of Timeout, at most 15 s; less, at most a second, where the holder is seen
 * to be stopped. That a lock goes from hand to hand is no standing still.
 *
 * The file also holds secrets that were refused (pause.c), what was learned (learned.h) and, beside
 * `auto`, with which secret the cache was begun (auto.h). A file that cannot be had (a directory
 * that may not be written to, one that is not ours) is a warning, and the process goes on alone.
 *
 * There is none where tickets stay in memory, for a secret that the program handed over, and beside
 * the platform's default cache. Any thread; no lock of the process is held over any of this. */
#ifndef KB_BESIDE_H
#define KB_BESIDE_H

#include "mech/login/identity.h"
#include "mech/store/beside_file.h"
#include "mech/store/ccache.h"

#define KB_BESIDE_LANES 4
#define KB_BESIDE_HELD 4 /* flights that one call may lead at once */

struct kb_work;

/* What a call holds; all zero at first, kb_beside_end at last. */
struct kb_beside_held {
    bool open;
    struct kb_beside_file file;
    uint32_t locks[KB_BESIDE_HELD];
    size_t num;
    bool seen; /* what the file held when this call first looked, for learned.c */
    struct kb_beside_contents contents;
};

/* kb_beside_lead is called by who leads the flight `key` in this process: it waits for the other
 * processes, and sees to it that the cache is known as it is then. KB_ERROR: the deadline,
 * interrupted, what kb_cache_refresh fails with. */
KB_MUST_USE enum kb_status kb_beside_lead(struct kb_work *work, kb_bytes key, struct kb_error *err);

/* kb_beside_leave lets the next process go on, once the ticket is in the cache. */
void kb_beside_leave(struct kb_work *work, kb_bytes key);

/* kb_beside_end lets go of all, and keeps what was learned. */
void kb_beside_end(struct kb_work *work);

/* kb_beside_read reads the table of an identity's file. KB_NOT_FOUND: no such file, or no table in
 * it; KB_ERROR with *err: it is not to be used. What it gives is wiped in any case
 * (kb_beside_contents_wipe). kb_beside_write changes it, and makes the file. */
KB_MUST_USE enum kb_status kb_beside_read(const struct kb_identity *identity,
                                          struct kb_beside_contents *out, struct kb_error *err);
KB_MUST_USE enum kb_status kb_beside_write(const struct kb_identity *identity,
                                           const struct kb_beside_record *changes, size_t num,
                                           struct kb_error *err);

/* kb_beside_forget removes the file beside `cache`, for `kerbside forget`; *out_pauses counts the
 * pauses in it that had not ended. One that is not there is no error. */
KB_MUST_USE enum kb_status kb_beside_forget(const struct kb_ccache *cache, size_t *out_pauses,
                                            struct kb_error *err);

#endif
