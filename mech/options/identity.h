/* identity.h - which User, Password, KeytabFile and CredentialsCacheFile hold: "One identity".
 * Private to options.
 *
 * The highest layer or section that sets one of them unsets the others from below, so that one
 * user's secret never meets another's name. */
#ifndef KB_IDENTITY_CHOICE_H
#define KB_IDENTITY_CHOICE_H

#include "mech/options/layers.h"

struct kb_options_hooks;

struct kb_identity_choice {
    const struct kb_setting *user, *password, *keytab; /* NULL: not set */
    const struct kb_setting *cache;                    /* a named one: FILE: */
    const struct kb_setting *place;       /* one that is no identity, set above `cache`: MEMORY: */
    const struct kb_setting *lost_user;   /* which a higher secret or cache unset */
    const struct kb_setting *lost_secret; /* which a higher User unset */
    bool enterprise;                      /* NameType, which holds for every User */
    bool looked_into_cache;               /* the choice depends on who is in a cache just now */
    bool missed_in_keytab;                /* or on who is not in a keytab */
    bool named_by_caller; /* the secret comes from a [client] section or the credential itself */
    bool client_is_named; /* else [client] sections may not change the identity */
    bool no_memory;       /* a comparison could not be made; kb_identity_finish says so */
    uid_t euid;
    const struct kb_krb5conf *krb5conf;
    const struct kb_options_hooks *hooks;
};

/* kb_identity_apply takes the next unit in. */
void kb_identity_apply(struct kb_identity_choice *choice, const struct kb_unit *unit);

/* kb_identity_user reads a User setting: expanded, default realm added. */
KB_MUST_USE enum kb_status kb_identity_user(struct kb_identity_choice *choice,
                                            const struct kb_setting *setting,
                                            struct kb_principal **out, struct kb_error *err);

/* kb_identity_is_momentary: may what it came to be another the next moment, without any file of
 * options changing? */
bool kb_identity_is_momentary(struct kb_identity_choice *choice, const struct kb_principal *user);

/* kb_identity_cache is the CredentialsCacheFile that holds; NULL: none. */
const struct kb_setting *kb_identity_cache(const struct kb_identity_choice *choice);

/* kb_identity_finish finds options->user, from `client` (the caller's name) where no User is set.
 */
KB_MUST_USE enum kb_status kb_identity_finish(struct kb_identity_choice *choice,
                                              struct kb_options *options, struct kb_arena *arena,
                                              kb_bytes client, struct kb_error *err);

#endif
