/* kcm_call.h - a conversation with a KCM daemon about one cache. Private to KCM: caches.
 *
 * One connection for one operation on a cache, made with its first request. Everything waits
 * through the call's kb_wait. A daemon that is silent for KB_KCM_SILENT_MS is not asked again, by
 * anybody in the process, for KB_KCM_PAUSE_MS: who has no need of it must not wait for it each
 * time.
 *
 * The daemon is given session keys, so it has to be the system's or the user's own: who listens
 * (SO_PEERCRED) is root or the process's effective user, or the socket is in a directory in which
 * nobody but root can put one. One thread at a time. */
#ifndef KB_KCM_CALL_H
#define KB_KCM_CALL_H

#include "mech/net/local.h"
#include "mech/store/kcm_format.h"

#define KB_KCM_SILENT_MS 5000
#define KB_KCM_PAUSE_MS 30000

struct kb_kcm {
    const struct kb_ccache *cache;
    struct kb_wait *wait;
    struct kb_error *err;
    struct kb_local local;
    enum kb_kcm_op op;
    struct kb_buf request; /* kb_kcm_ask begins it, what it wants is appended */
    struct kb_kcm_answer answer;
    uint8_t *rest; /* of the answer */
    size_t rest_len;
    int64_t until_ms;
};

void kb_kcm_begin(struct kb_kcm *kcm, const struct kb_ccache *cache, struct kb_wait *wait,
                  struct kb_error *err);
void kb_kcm_end(struct kb_kcm *kcm);

void kb_kcm_ask(struct kb_kcm *kcm, enum kb_kcm_op op, const char *name);

/* kb_kcm_call sends the request and reads the answer, which is good until the next. KB_OK: its code
 * is 0. KB_NOT_FOUND: it is not, and *err is untouched. KB_ERROR with *err: there is no daemon, it
 * is not to be trusted, does not answer, or what it answers is no answer. */
KB_MUST_USE enum kb_status kb_kcm_call(struct kb_kcm *kcm);

/* kb_kcm_refused makes an error of the code that an answer had; `what` was asked ("keep the
 * ticket"). */
enum kb_status kb_kcm_refused(struct kb_kcm *kcm, const char *what);

/* kb_kcm_broken makes one of an answer whose body cannot be read, or of KB_NO_MEMORY. */
enum kb_status kb_kcm_broken(struct kb_kcm *kcm, enum kb_status st, const char *what);

/* For kb_ccache_fork_prepare. */
void kb_kcm_fork_prepare(void);
void kb_kcm_fork_done(void);

#endif
