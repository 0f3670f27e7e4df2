/* remember.h - what the resolver answered, for as long as that holds.
 *
 * Records of DNS for their time to live, but 5 seconds at least and an hour at most; that there are
 * none, ten seconds; canonical names, for which getaddrinfo tells no time, KB_NAME_LIFE_MS; that
 * nobody answered, a second, so that a login asks a silent server once. Addresses are not kept: the
 * system's cache is for that. At most KB_REMEMBERED answers are kept, the least recently used go.
 * All is forgotten when /etc/resolv.conf, /etc/hosts or /etc/nsswitch.conf change, which is looked
 * at when something is asked, at most once a second.
 * Any thread; the lock is held for a copy. Milliseconds of the monotonic clock. */
#ifndef KB_REMEMBER_H
#define KB_REMEMBER_H

#include "mech/net/resolve.h"

#define KB_REMEMBERED 128
#define KB_NAME_LIFE_MS 30000
#define KB_DNS_MIN_LIFE_MS 5000
#define KB_DNS_MAX_LIFE_MS 3600000
#define KB_NEGATIVE_LIFE_MS 10000
#define KB_FAILED_LIFE_MS 1000

/* What was asked: a name, with kb_resolve_flags; or with a type, records of DNS. */
struct kb_asked {
    const char *host;
    unsigned flags;
    int type; /* 0: none */
};

/* kb_remember_worth: is the answer to this kept at all? */
bool kb_remember_worth(const struct kb_asked *asked);

/* kb_remember_find copies an answer (kb_resolved_wipe it). False: none is kept. */
bool kb_remember_find(const struct kb_asked *asked, int64_t now_ms, struct kb_resolved *out);

/* kb_remember_keep keeps a copy, unless everything was forgotten since `generation`, which
 * kb_remember_generation gave before the question was asked. */
unsigned kb_remember_generation(void);
void kb_remember_keep(const struct kb_asked *asked, const struct kb_resolved *answer,
                      unsigned generation, int64_t now_ms);

/* kb_remember_drop forgets the records of DNS whose name ends in `domain` (NULL: everything). True:
 * there were some. */
bool kb_remember_drop(const char *domain);

/* kb_remember_files names other files to look at; for tests. NULL: the system's. */
#define KB_REMEMBER_FILES 3
void kb_remember_files(const char *const paths[KB_REMEMBER_FILES]);

/* Around fork(2): what is remembered stays. */
void kb_remember_fork_prepare(void);
void kb_remember_fork_done(void);

#endif
