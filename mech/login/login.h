/* login.h - one login: identity and target to a service ticket. The one place where the store, the
 * protocol machines and the network meet.
 *
 * kb_login_ticket asks the store first: a hit costs no I/O, but for the one call that finds the
 * ticket due and refreshes it (refresh.h). A miss is fetched once for all threads
 * that want it (store/shared.h); the TGT has a flight of its own, so threads with different
 * targets share its AS exchange too. One deadline (Timeout) holds over all of it.
 * Any thread. Errors are whole sentences for the person who runs the program. */
#ifndef KB_LOGIN_H
#define KB_LOGIN_H

#include "mech/login/identity.h"
#include "mech/names/target.h"
#include "mech/net/exchange.h"
#include "mech/net/wait.h"
#include "mech/report/listener.h"

/* What a call has done already: it logs in once, whatever it logs in for. */
struct kb_login_call {
    bool log_in_tried;
    struct kb_credential *tgt; /* that this brought, counted; NULL: none */
};

struct kb_login {
    const struct kb_options *options;
    struct kb_identity *identity;
    struct kb_listener *listener;   /* the credential's callbacks, borrowed; NULL: none */
    struct kb_interrupt *interrupt; /* the credential's, borrowed; NULL: none */
    int64_t
        wanted_life; /* seconds that the ticket should have left, if the KDC gives them; 0: any */
    struct kb_login_call *call; /* borrowed, one thread's; NULL: it asks for one thing only */
};

/* kb_login_start_waiting begins the waiting of a call, with all that may disturb it: Timeout, the
 * interrupts and the wait callbacks. kb_wait_stop ends it. */
void kb_login_start_waiting(const struct kb_login *login, struct kb_wait *wait);

/* kb_login_start_waiting_for is the same with an end of its own: after `ms`. */
void kb_login_start_waiting_for(const struct kb_login *login, int64_t ms, struct kb_wait *wait);

/* kb_login_socket_options is what the options say of sockets. */
struct kb_socket_options kb_login_socket_options(const struct kb_options *options);

/* kb_login_ticket returns a counted ticket for `target`, with more than MinLifetime left. One with
 * less than wanted_life is refreshed already when half of its life has gone. */
KB_MUST_USE enum kb_status kb_login_ticket(const struct kb_login *login,
                                           const struct kb_target *target,
                                           struct kb_credential **out, struct kb_error *err);

/* kb_login_tgt returns the TGT, obtaining it where there is none: what
 * gss_acquire_cred_with_password does to check a password. */
KB_MUST_USE enum kb_status kb_login_tgt(const struct kb_login *login, struct kb_credential **out,
                                        struct kb_error *err);

/* kb_login_forwarded gives a TGT to hand on to the service of `ticket` (Delegate), one for each
 * service, kept and refreshed as tickets are, but in memory alone. KB_OK with NULL, and a line in
 * the log, where there is none to be had; that is then not tried again for ten seconds. KB_ERROR:
 * interrupted, or no memory. `since_ms`: when the call began (kb_now_ms). */
KB_MUST_USE enum kb_status kb_login_forwarded(const struct kb_login *login,
                                              const struct kb_credential *ticket, int64_t since_ms,
                                              struct kb_credential **out, struct kb_error *err);

/* kb_login_lifetime is what the TGT has left, in seconds; -1 before the first login, unless all
 * there is are the tickets of a cache: then theirs. */
int64_t kb_login_lifetime(struct kb_identity *identity);

/* kb_login_client is who has logged in, as the KDC writes it (Canonicalize, NameType=enterprise);
 * NULL before the first login. Released with kb_principal_free. */
const struct kb_principal *kb_login_client(const struct kb_identity *identity);

/* kb_login_drop forgets a ticket that its service called expired, so that the next context gets a
 * new one, be it another process's with the same cache. Once a minute for each target: such an
 * error can be forged. */
void kb_login_drop(const struct kb_login *login, const struct kb_target *target,
                   struct kb_credential *credential);

/* kb_login_clock_differs: a service says that our time is wrong, or that the ticket's begins later.
 * How far our clock is from the KDC's is then found out anew, by a login, as clock.h bounds it:
 * now, since a program that makes one context has no other time for it. */
void kb_login_clock_differs(const struct kb_login *login);

#endif
