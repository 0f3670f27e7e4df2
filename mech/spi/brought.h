/* brought.h - what a program brings along when it acquires a credential: a password, a cred store.
 *
 * Our own option names count for us always; MIT's keys (password, client_keytab, ccache, verify)
 * where the configuration makes the process ours. The rest is the acceptor's or another
 * mechanism's: the glue hands one store to all of them. One thread. */
#ifndef KB_BROUGHT_H
#define KB_BROUGHT_H

#include "mech/options/settings.h"
#include "mech/spi/handle.h"

struct kb_brought {
    struct kb_settings *own; /* NULL: nothing for us */
    bool own_identity;       /* a user, password, keytab or cache is in it */
    bool log_in_now;         /* a password was handed over, maybe to have it checked */
    bool verify;             /* the TGT is to be proved against a keytab */
    OM_uint32 life;          /* the lifetime asked for, in seconds; 0: any */
    bool only_life;          /* and nothing else is in `own` */
    bool platforms;          /* it names a cache or keytab that only the platform can read */
    struct kb_buf key;       /* all of it with the client's name: equal requests have equal keys */
    gss_key_value_set_desc rest; /* the store without our option names: what the platform is told */
    gss_key_value_element_desc *rest_elements;
};

/* kb_brought_init reads `password` (NULL: none) and `store` (NULL: none). `ours`: the process is;
 * `client`: the principal that the caller named, whose secret it then is.
 * On KB_ERROR *err says which key is wrong. kb_brought_wipe follows in any case. */
KB_MUST_USE enum kb_status kb_brought_init(struct kb_brought *brought, bool ours, kb_bytes client,
                                           const gss_buffer_desc *password,
                                           gss_const_key_value_set_t store, struct kb_error *err);

/* kb_brought_life takes the lifetime that a credential is asked for with (0 and GSS_C_INDEFINITE:
 * any): it is the TicketLife of its logins, unless the store says that. */
KB_MUST_USE enum kb_status kb_brought_life(struct kb_brought *brought, bool ours,
                                           OM_uint32 time_req, gss_const_key_value_set_t store,
                                           struct kb_error *err);
void kb_brought_wipe(struct kb_brought *brought);

#endif
