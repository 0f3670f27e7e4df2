/* settings.h - layer 6: what was set for one credential. A list of NAME=VALUE, secrets wiped.
 *
 * Belongs to its credential; may be changed and asked by several threads at once. Resolved together
 * with the other layers by kb_options_get (query.own), which keeps the last snapshot here, so that
 * repeated calls with one credential are cheap. A secret that is set here lives here, in snapshots
 * made of it, and nowhere else. */
#ifndef KB_SETTINGS_H
#define KB_SETTINGS_H

#include "mech/options/options.h"

struct kb_settings;

struct kb_settings *kb_settings_new(void); /* NULL: no memory */

/* kb_settings_copy makes a credential's duplicate; NULL: no memory. */
struct kb_settings *kb_settings_copy(struct kb_settings *settings);
void kb_settings_free(struct kb_settings *settings); /* wiped; NULL is accepted */

/* kb_settings_set gives an option a value, as the option files write it (Password: file:, env:,
 * fd: or the password). *err says what is wrong with name or value. */
KB_MUST_USE enum kb_status kb_settings_set(struct kb_settings *settings, kb_bytes name,
                                           kb_bytes value, struct kb_error *err);

/* kb_settings_set_text is kb_settings_set of "NAME=VALUE". */
KB_MUST_USE enum kb_status kb_settings_set_text(struct kb_settings *settings, kb_bytes text,
                                                struct kb_error *err);

/* kb_settings_set_password takes a password as it is, whatever it begins with:
 * gss_acquire_cred_with_password and the cred-store key `password`. */
KB_MUST_USE enum kb_status kb_settings_set_password(struct kb_settings *settings, kb_bytes password,
                                                    struct kb_error *err);

/* kb_settings_allow restricts the enctypes of service tickets and of contexts to those in a list,
 * in its order, as far as EncryptionTypes (or krb5.conf) allows them: a program cannot bring in
 * what nobody named (gss_krb5_set_allowable_enctypes). num 0: no longer. KB_ERROR: we have none of
 * them. */
KB_MUST_USE enum kb_status kb_settings_allow(struct kb_settings *settings, const int32_t *etypes,
                                             size_t num, struct kb_error *err);

/* kb_settings_reset forgets them all. */
void kb_settings_reset(struct kb_settings *settings);

/* What is set, for the questions of spi. */
bool kb_settings_has_identity(
    struct kb_settings *settings);                         /* User, Password, KeytabFile, a cache */
bool kb_settings_has_secret(struct kb_settings *settings); /* Password, KeytabFile */

/* For cred-store keys: kb_option_is_name, and the option that a key was probably meant to be (NULL:
 * none is near, or it is one). */
bool kb_option_is_name(kb_bytes name);
const char *kb_option_near_miss(kb_bytes name);

#endif
