/* krb5defaults.h - layer 2: what krb5.conf says of options of ours that nothing above it sets.
 * Private to options. */
#ifndef KB_KRB5DEFAULTS_H
#define KB_KRB5DEFAULTS_H

#include "asn1/arena.h"
#include "mech/options/krb5conf.h"

/* kb_krb5conf_apply gives options->krb5conf, and the values of [libdefaults] for the realm of
 * options->user (the default realm where there is none) to what is at its default. A value of
 * another type is as none, and one out of range the nearest in range: the file was not written for
 * us. Fails for a list of encryption types of which we have none. */
KB_MUST_USE enum kb_status kb_krb5conf_apply(struct kb_options *options, struct kb_arena *arena,
                                             const struct kb_krb5conf *conf, struct kb_error *err);

#endif
