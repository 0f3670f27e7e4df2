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

/* kb_decide_start makes ready for the first call of any kind; cheap afterwards. */
void kb_decide_start(void);

/* kb_standing_now is what the configuration says of this process as a whole. The first call reads
 * it; later ones are cheap. Without memory to read it the process counts as ours, and broken: never
 * is somebody else's ticket used instead. */
struct kb_standing kb_standing_now(void);

/* kb_standing_lately is the same of a hundredth of a second (kb_options_standing_lately). */
struct kb_standing kb_standing_lately(void);

/* Who asks for an initiator's credential, and with what. */
struct kb_applicant {
    const struct kb_principal *principal; /* that the caller named; NULL: none */
    kb_bytes client;                      /* the same as text; KB_NONE */
    struct kb_settings *own;              /* what the caller brought along; NULL: nothing */
    bool own_identity;                    /* a user, password, keytab or cache is in `own` */
};

/* kb_decide_acquire: with KB_OURS, *out_kind says whether each context decides by its target or the
 * credential is bound, then to *out_options (NULL: they do not parse, which its first context will
 * say). With KB_HANDED_OVER *out_options holds the identity. kb_options_put. */
enum kb_whose kb_decide_acquire(const struct kb_applicant *applicant, enum kb_cred_kind *out_kind,
                                const struct kb_options **out_options, struct kb_error *err);

/* kb_decide_init: a context to `target` (KB_NONE: none in particular) with a credential that is not
 * the platform's (NULL: the default one). With KB_OURS and KB_HANDED_OVER *out is the snapshot to
 * use (kb_options_put). */
enum kb_whose kb_decide_init(struct kb_gss_cred *cred, kb_bytes target,
                             const struct kb_options **out, struct kb_error *err);

/* What a context of ours begins with; references. */
struct kb_beginning {
    const struct kb_options *options; /* with KB_HANDED_OVER too; after KB_REFUSED maybe NULL */
    struct kb_identity *identity;
    struct kb_listener *listener;   /* the credential's; NULL: none */
    struct kb_interrupt *interrupt; /* the credential's; NULL: none */
};

/* kb_decide_begin is kb_decide_init with all that follows from it, of one moment: another thread
 * may be changing the credential. KB_REFUSED as well where there is no identity to be had.
 * kb_beginning_wipe in any case. */
enum kb_whose kb_decide_begin(struct kb_gss_cred *cred, kb_bytes target, struct kb_beginning *out,
                              struct kb_error *err);
void kb_beginning_wipe(struct kb_beginning *beginning);

/* kb_decide_identity returns the identity that a credential logs in with (kb_identity_put);
 * `options` are kb_decide_init's. */
KB_MUST_USE enum kb_status kb_decide_identity(struct kb_gss_cred *cred,
                                              const struct kb_options *options,
                                              struct kb_identity **out, struct kb_error *err);

#endif
