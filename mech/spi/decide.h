/* decide.h - whose a call is: ours or the platform's. DESIGN.md, "Who handles a call".
 *
 * Asked where a credential is acquired and where a context begins, and nowhere else: the answer is
 * stored in the handle, and every later call follows it. Any thread. */
#ifndef KB_DECIDE_H
#define KB_DECIDE_H

#include "mech/options/options.h"
#include "mech/spi/handle.h"

enum kb_whose {
    KB_PLATFORMS,   /* untouched */
    KB_OURS,        /* our engine */
    KB_HANDED_OVER, /* UsePlatformKerberosAPI=True, with a configured identity */
    KB_REFUSED,     /* the error says why */
};

/* kb_standing_now is what the configuration says of this process as a whole. The first call reads
 * it; later ones are cheap. Without memory to read it the process counts as ours, and broken: never
 * is somebody else's ticket used instead. */
struct kb_standing kb_standing_now(void);

/* Who asks for an initiator's credential, and with what. */
struct kb_applicant {
    const struct kb_principal *principal; /* that the caller named; NULL: none */
    kb_bytes client;                      /* the same as text; KB_NONE */
    struct kb_settings *own;              /* what the caller brought along; NULL: nothing */
    bool own_secret;                      /* a user, password or keytab is in `own` */
};

/* kb_decide_acquire: with KB_OURS, *out_kind says whether each context decides by its target or the
 * credential is bound, then to *out_options (NULL: they do not parse, which its first context will
 * say). With KB_HANDED_OVER *out_options holds the identity. kb_options_put. */
enum kb_whose kb_decide_acquire(const struct kb_applicant *applicant, enum kb_cred_kind *out_kind,
                                const struct kb_options **out_options, struct kb_error *err);

/* kb_decide_init: a context to `target` with a credential that is not the platform's (NULL: the
 * default one). With KB_OURS and KB_HANDED_OVER *out is the snapshot to use (kb_options_put). */
enum kb_whose kb_decide_init(const struct kb_gss_cred *cred, kb_bytes target,
                             const struct kb_options **out, struct kb_error *err);

/* kb_decide_identity returns the identity to log in with (kb_identity_put). A credential with a
 * secret of its own has one identity for as long as it lives. */
KB_MUST_USE enum kb_status kb_decide_identity(struct kb_gss_cred *cred,
                                              const struct kb_options *options,
                                              struct kb_identity **out, struct kb_error *err);

#endif
