/* resolve.h - names to addresses by the system's resolver (nsswitch), and records of DNS by its
 * stub resolver (resolv.conf), without being held up by either.
 *
 * getaddrinfo and res_nquery cannot be cancelled, so they run in a detached helper thread, which
 * owns the question; whoever asked polls a descriptor and may walk away at any time: a late answer
 * is dropped. At most four helpers run in a process, with all signals blocked and 256 KiB of stack;
 * further questions wait for one of them. Who asks what is being asked already gets that answer.
 * Numeric names are answered at once, and what remember.h keeps. Where no thread can be started the
 * question is asked in line, in kb_resolve_start.
 * A question belongs to one thread. */
#ifndef KB_NET_RESOLVE_H
#define KB_NET_RESOLVE_H

#include <netdb.h>

#include "asn1/status.h"
#include "mech/net/address.h"
#include "mech/net/dns.h"
#include "mech/net/wait.h"

#define KB_RESOLVE_LIFE_MS 30000 /* of a question where no deadline ends it */
#define KB_RESOLVE_MAX 8         /* addresses of one name that are tried */

enum kb_resolve_flags {
    KB_RESOLVE_CANONICAL = 1, /* the canonical name too */
    KB_RESOLVE_REVERSE = 2,   /* and the name of the first address in place of it */
    KB_RESOLVE_IPV4 = 4,      /* addresses of this family only; at most one of the two */
    KB_RESOLVE_IPV6 = 8,
    KB_RESOLVE_UNIX = 16,     /* `host` is the path of a UNIX socket */
    KB_RESOLVE_ABSOLUTE = 32, /* the name is whole: no search domain is tried */
};

struct kb_resolved {
    int error;     /* EAI_*, of records h_errno's (HOST_NOT_FOUND ...); 0: none */
    int sys_errno; /* for EAI_SYSTEM */
    unsigned num;
    struct kb_address addresses[KB_RESOLVE_MAX]; /* ports are 0 */
    char canonical[256];                         /* "": not asked for, or not known */
    bool other_family; /* the error is that it is a literal address of the other family */
    bool in_line;      /* no helper could be started: the caller's deadline was not looked at */
    struct kb_dns_records *records; /* NULL: none, or addresses were asked for */
};

/* kb_resolved_copy copies an answer; kb_resolved_wipe releases such a copy. */
void kb_resolved_copy(struct kb_resolved *out, const struct kb_resolved *from);
void kb_resolved_wipe(struct kb_resolved *resolved);

struct kb_resolve;

/* kb_resolve_start asks. `host` is copied. KB_OK or KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_resolve_start(const char *host, unsigned flags,
                                            struct kb_resolve **out);

/* kb_resolve_records asks DNS for the records at `name`, which is absolute. */
KB_MUST_USE enum kb_status kb_resolve_records(const char *name, enum kb_dns_type type,
                                              struct kb_resolve **out);

/* kb_resolve_fd is readable when the answer is there; -1 when it was there from the start. */
int kb_resolve_fd(const struct kb_resolve *question);

/* kb_resolve_result lends the answer, NULL while there is none. */
const struct kb_resolved *kb_resolve_result(struct kb_resolve *question);

/* kb_resolve_wait waits for the answer, as long as `wait` allows, or KB_RESOLVE_LIFE_MS. KB_OK:
 * *out is lent; KB_TIMED_OUT, KB_INTERRUPTED. */
KB_MUST_USE enum kb_status kb_resolve_wait(struct kb_resolve *question, struct kb_wait *wait,
                                           const struct kb_resolved **out);

/* kb_resolve_free forgets a question, answered or not; NULL is accepted. */
void kb_resolve_free(struct kb_resolve *question);

/* kb_resolve_text is a person's phrase for an error: "Name or service not known";
 * kb_resolve_records_text for what came of a question for records: "no such name". */
const char *kb_resolve_text(const struct kb_resolved *resolved);
const char *kb_resolve_records_text(const struct kb_resolved *resolved);

/* What a question is answered with; tests put a resolver in place that hangs. */
struct kb_resolver {
    int (*getaddrinfo)(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
    void (*freeaddrinfo)(struct addrinfo *list);
    int (*getnameinfo)(const struct sockaddr *address, socklen_t len, char *host,
                       socklen_t host_len, char *service, socklen_t service_len, int flags);
    bool no_threads; /* as if none could be started */
    /* Puts an answer of DNS into `reply` and returns its length, or -1 with h_errno's value. NULL:
     * as if nobody answered. */
    int (*query)(const char *name, int type, uint8_t *reply, int max, int *out_error);
};
void kb_resolve_use(const struct kb_resolver *resolver); /* NULL: the system's */
unsigned kb_resolve_helpers(void);                       /* how many there are now */

/* Around fork(2): the child has no helpers. */
void kb_resolve_fork_prepare(void);
void kb_resolve_fork_parent(void);
void kb_resolve_fork_child(void);

#endif
