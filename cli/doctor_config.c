/* kerbside doctor: the options as they hold for this target, who logs in, and with what. */
#include "cli/doctor.h"
#include "mech/login/security.h"
#include "mech/report/old.h"
#include "mech/store/keytab.h"

static const char *place(const struct kb_origin *origin, char *buf, size_t len)
{
    return kb_origin_text(origin, buf, len);
}

static void see_options(struct kb_doctor *doctor)
{
    struct kb_error err = {0};

    if (kb_options_get(&doctor->query, &doctor->options, &err) != KB_OK) {
        doctor->options = NULL;
        kb_doctor_error(doctor, KB_EXIT_CONFIG, "configuration", &err);
    }
}

/* Whether the options make Kerbside log anybody in at all. */
static bool see_whose(struct kb_doctor *doctor)
{
    const struct kb_options *options = doctor->options;
    char buf[300];

    if (!options->enabled) {
        kb_doctor_failed(doctor, KB_EXIT_CONFIG, "configuration", "Remove Enabled=False to use it.",
                         "%s: Kerberos is switched off here (Enabled=False)",
                         place(&options->enabled_from, buf, sizeof(buf)));
        return false;
    }
    if (!options->has_identity) {
        kb_doctor_failed(doctor, KB_EXIT_CONFIG, "configuration",
                         "Set User with Password=file:PATH, or KeytabFile, in Kerbside's line in "
                         "/etc/gss/mech.d, in the file that Config names, or in KERBSIDE_OPTIONS.",
                         "no identity is configured%s, so programs get the platform's own Kerberos",
                         doctor->query.target.len > 0 ? " for this target" : "");
        return false;
    }
    if (options->use_platform_kerberos_api) {
        kb_doctor_warned(doctor, "configuration", "Remove it to log in with Kerbside.",
                         "%s: UsePlatformKerberosAPI=True leaves the login to the platform's own "
                         "Kerberos; what follows is how Kerbside would do it",
                         place(&options->use_platform_kerberos_api_from, buf, sizeof(buf)));
    }
    return true;
}

/* --- the secret --- */

static void say_user(const struct kb_doctor *doctor, struct kb_buf *out)
{
    kb_principal_unparse(doctor->identity != NULL ? kb_identity_principal(doctor->identity)
                                                  : doctor->options->user,
                         out);
}

static void see_keytab(struct kb_doctor *doctor, const char *path)
{
    struct kb_keytab *keytab;
    struct kb_error err = {0};
    struct kb_buf holds;

    if (kb_keytab_read(path, &keytab, &err) != KB_OK) {
        return; /* the identity says it */
    }
    kb_buf_init(&holds, 4096);
    kb_keytab_describe(keytab, &holds);
    kb_doctor_saw(doctor, KB_SEEN_OK, "keytab", "%s holds %s", path, kb_buf_str(&holds));
    kb_buf_wipe(&holds);
    kb_keytab_free(keytab);
}

static void see_identity(struct kb_doctor *doctor)
{
    const struct kb_options *options = doctor->options;
    struct kb_error err = {0};
    struct kb_buf user;
    char buf[300];

    if (kb_identity_get(options, &doctor->identity, &err) != KB_OK) {
        doctor->identity = NULL;
        kb_doctor_error(doctor, KB_EXIT_CONFIG, "secret", &err);
        return;
    }
    kb_buf_init(&user, 2048);
    say_user(doctor, &user);
    kb_doctor_saw(doctor, KB_SEEN_OK, "configuration", "%s logs in (%s)", kb_buf_str(&user),
                  place(options->password != NULL      ? &options->password_from
                        : options->keytab_file != NULL ? &options->keytab_file_from
                                                       : &options->user_name_from,
                        buf, sizeof(buf)));
    kb_buf_wipe(&user);
    if (kb_identity_keytab(doctor->identity) != NULL) {
        see_keytab(doctor, kb_identity_keytab(doctor->identity));
    } else if (kb_options_password_exposed(options)) {
        kb_doctor_warned(doctor, "secret", "Make it readable by its owner only (chmod 600).",
                         "the file behind Password can be read by others");
    } else if (options->password != NULL) {
        kb_doctor_saw(doctor, KB_SEEN_OK, "secret", "%s can be read",
                      kb_identity_keys(doctor->identity).what);
    }
}

/* Old ones are named on purpose, or were forgotten; and OpenSSL may lack what they need. */
static void see_old_etypes(struct kb_doctor *doctor)
{
    const struct kb_options *options = doctor->options;
    const kb_opt_ETYPES *types = &options->encryption_types;
    struct kb_error err = {0};
    bool chosen = kb_security_choose(options, &err) == KB_OK; /* else the login says it */
    char buf[300], name[24];

    for (size_t i = 0; i < types->num; i++) {
        err = (struct kb_error){0};

        if (kb_old_is(types->items[i])) {
            kb_doctor_warned(doctor, "enctypes",
                             "Take it out once the KDC has AES keys for the user and the services.",
                             "%s allows %s, an old and weak encryption type (%s)",
                             place(&options->encryption_types_from, buf, sizeof(buf)),
                             kb_enctype_name(types->items[i], name), kb_old_rfc(types->items[i]));
        }
        if (chosen && kb_security_has(types->items[i], &err) != KB_OK) {
            kb_doctor_warned(doctor, "enctypes", kb_error_hint(err.code), "%s", err.text);
        }
    }
}

/* A keytab whose keys are all of enctypes that may not be used fails before anything is sent. */
static void see_etypes(struct kb_doctor *doctor)
{
    const struct kb_options *options = doctor->options;
    size_t num = options->encryption_types.num;
    int32_t usable[64];
    struct kb_error err = {0};

    if (kb_identity_etypes(doctor->identity, options->encryption_types.items, num < 64 ? num : 64,
                           usable, &num, &err) != KB_OK) {
        kb_doctor_error(doctor, KB_EXIT_CONFIG, "enctypes", &err);
    }
}

void kb_doctor_configuration(struct kb_doctor *doctor)
{
    see_options(doctor);
    if (doctor->options == NULL || !see_whose(doctor)) {
        return;
    }
    see_identity(doctor);
    if (doctor->identity != NULL) {
        see_etypes(doctor);
        see_old_etypes(doctor);
    }
}
