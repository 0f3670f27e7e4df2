/* credstate.h - what can change of a credential of ours after it was acquired: its options, whose
 * it is by them, who listens, how its calls are interrupted.
 *
 * Several threads may use and change one credential at once. A context takes what holds when it
 * begins: a view. One lock guards all credentials; it is held for pointers only, comes before
 * options' in the lock order, and is taken around fork(2). */
#ifndef KB_CREDSTATE_H
#define KB_CREDSTATE_H

#include "mech/spi/handle.h"

/* What holds of a credential at one time. References; kb_cred_view_wipe. */
struct kb_cred_view {
    struct kb_gss_cred *cred;
    unsigned generation;
    bool bound;      /* it is settled who it is; else each context decides by its target */
    bool own_secret; /* the program brought it along */
    const struct kb_options *options; /* a bound one's resolution; NULL: kb_cred_view_resolve */
    struct kb_identity *identity;     /* the last one of an own secret; NULL: none yet */
    bool identity_holds;              /* it was made of these options */
    struct kb_listener *listener;     /* NULL: none */
    struct kb_interrupt *interrupt;   /* NULL: none */
};

void kb_cred_look(struct kb_gss_cred *cred, struct kb_cred_view *out);
void kb_cred_view_wipe(struct kb_cred_view *view);

/* kb_cred_view_holds: was the credential not changed since? */
bool kb_cred_view_holds(const struct kb_cred_view *view);

/* kb_cred_view_begins notes that a context begins with this; kb_cred_view_begun tells whether one
 * did: then its login tells how options turned out. */
void kb_cred_view_begins(const struct kb_cred_view *view);
bool kb_cred_view_begun(const struct kb_cred_view *view);

/* kb_cred_view_resolve fills in a bound one's options: its resolution without a target. */
KB_MUST_USE enum kb_status kb_cred_view_resolve(struct kb_cred_view *view, struct kb_error *err);

/* kb_cred_view_identity is who a bound one logs in as (kb_identity_put). One that has a secret of
 * its own keeps its identity, and the tickets with it, until its options mean another. */
KB_MUST_USE enum kb_status kb_cred_view_identity(struct kb_cred_view *view,
                                                 struct kb_identity **out, struct kb_error *err);

/* kb_cred_keep_identity gives a new credential the identity that was logged in for it; takes over
 * the reference. */
void kb_cred_keep_identity(struct kb_gss_cred *cred, struct kb_identity *identity);

/* kb_cred_configure sets "NAME=VALUE" in it, kb_cred_reset forgets all that was set. */
KB_MUST_USE enum kb_status kb_cred_configure(struct kb_gss_cred *cred, kb_bytes text,
                                             struct kb_error *err);
void kb_cred_reset(struct kb_gss_cred *cred);

/* kb_cred_allow restricts the enctypes of its tickets and contexts (kb_settings_allow). */
KB_MUST_USE enum kb_status kb_cred_allow(struct kb_gss_cred *cred, const int32_t *etypes,
                                         size_t num, struct kb_error *err);

/* kb_cred_listen takes over a reference (NULL: nobody listens). */
void kb_cred_listen(struct kb_gss_cred *cred, struct kb_listener *listener);

/* libgssapi sends one call of a program to each of the credentials of ours in its own (krb5, krb5
 * below SPNEGO), which then have one listener and one interrupt together. `shared` is what the call
 * before has left: an address that is only compared, NULL for the first.
 * kb_cred_same_listener is a reference to the listener there, NULL if no credential has it.
 * kb_cred_make_interrupt lends the credential's interrupt, made at the first call; NULL: no memory
 * or no descriptor. */
struct kb_listener *kb_cred_same_listener(const void *shared);
struct kb_interrupt *kb_cred_make_interrupt(struct kb_gss_cred *cred, const void *shared);

/* kb_cred_wipe releases what stands here of a credential that goes away. */
void kb_cred_wipe(struct kb_gss_cred *cred);

#endif
