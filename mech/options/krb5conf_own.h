/* krb5conf_own.h - the inside of kb_krb5conf, between krb5conf_load.c (files and what they include)
 * and krb5conf.c (what is asked of it). */
#ifndef KB_KRB5CONF_OWN_H
#define KB_KRB5CONF_OWN_H

#include "mech/options/krb5conf.h"

#include <stdatomic.h>

#include "mech/options/profile.h"

struct kb_krb5conf {
    _Atomic unsigned refs;
    struct kb_arena arena;
    struct kb_profile profile;
    struct kb_krb5conf_realm *realms; /* krb5conf.c: what is made ready */
};

/* kb_krb5conf_new makes an empty one; NULL with *err set. kb_krb5conf_finish makes it ready to be
 * asked once its profile has been read, which ended with `st`: *out takes it over, or is NULL. */
struct kb_krb5conf *kb_krb5conf_new(struct kb_error *err);
KB_MUST_USE enum kb_status kb_krb5conf_finish(struct kb_krb5conf *conf, enum kb_status st,
                                              const struct kb_krb5conf **out, struct kb_error *err);

#endif
