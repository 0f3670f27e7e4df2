/* options.h - one resolved set of options: immutable, counted, made from the table options.def.
 *
 * Where they come from and which wins is told in kerbside(8).
 * `options` reads files and the environment; whoever acts on an option reads its field here.
 * A snapshot may be read by any thread for as long as it holds a reference. */
#ifndef KB_OPTIONS_H
#define KB_OPTIONS_H

#include <sys/types.h>

#include "mech/names/principal.h"
#include "mech/report/error.h"

/* Where a value was written, for messages and for `kerbside config`. */
struct kb_origin {
    unsigned layer;   /* enum kb_layer of layers.h */
    const char *file; /* NULL: not a file. Lives as long as the snapshot */
    unsigned line;
};

/* kb_origin_text says it: "/etc/kerbside.conf:3", "KERBSIDE_OPTIONS". `buf` (some 256 bytes) may
 * back what is returned. */
const char *kb_origin_text(const struct kb_origin *origin, char *buf, size_t len);

/* The values of WORD options; words.def has their words. */
enum { KB_NAME_PRINCIPAL, KB_NAME_ENTERPRISE };
enum { KB_CANONICALIZE_NEVER, KB_CANONICALIZE_ALWAYS, KB_CANONICALIZE_FALLBACK };
enum { KB_DELEGATE_ASKED, KB_DELEGATE_NEVER, KB_DELEGATE_OK_AS_DELEGATE };
enum { KB_IPV6_AUTO, KB_IPV6_NEVER, KB_IPV6_ONLY };
enum {
    KB_TRAFFIC_BEST_EFFORT,
    KB_TRAFFIC_BACKGROUND,
    KB_TRAFFIC_EXCELLENT_EFFORT,
    KB_TRAFFIC_AUDIO_VIDEO,
    KB_TRAFFIC_VOICE,
    KB_TRAFFIC_CONTROL,
};

/* How OPTION rows become members: the C type of each option type. */
typedef bool kb_opt_BOOL;
typedef int64_t kb_opt_INTEGER;
typedef int64_t kb_opt_DURATION;   /* seconds */
typedef int64_t kb_opt_WORD;       /* one of the enums below */
typedef const char *kb_opt_STRING; /* NULL: not set. Secrets' sources too: never the secret */
typedef const char *kb_opt_PATH;   /* expanded */

typedef struct kb_opt_LIST { /* blank- or comma-separated words */
    const char *const *items;
    size_t num;
} kb_opt_LIST;

typedef struct kb_opt_ETYPES { /* parsed EncryptionTypes, best first */
    const int32_t *items;
    size_t num;
} kb_opt_ETYPES;

/* A secret: for Password the way to it, read by kb_options_password when it is needed. */
typedef const struct kb_secret_source *kb_opt_SECRET;

struct kb_options {
#define KB_OPTION(name, member, type, def, min, max, scope, flags, help)                           \
    kb_opt_##type member;                                                                          \
    struct kb_origin member##_from;
#include "mech/options/options.def"
#undef KB_OPTION
    /* Derived. */
    kb_opt_ETYPES ticket_types; /* encryption_types, or where that comes from krb5.conf (or is the
                                   default) what default_tgs_enctypes says: for service tickets and
                                   contexts; encryption_types is then for the AS exchange */
    const struct kb_principal *user; /* parsed User, or the caller's name where a secret for it is
                                        configured; NULL with a keytab_file: its first principal;
                                        NULL with a ccache alone: the cache's principal */
    const char *lost_secret; /* NULL, or for the error of a user without secret: which one was
                                left out, since it belongs to another user */
    const char *user_note;   /* NULL, or a sentence for the log: how `X/y` of User was read */
    bool has_identity;       /* a User, Password, KeytabFile or cache is set in layers 3-6 */
    bool own_clock;          /* krb5.conf's kdc_timesync is 0: the KDC's time corrects nothing */
    bool no_enc_timestamp;   /* disable_encrypted_timestamp of the user's realm */
    bool client_aware;       /* client_aware_channel_bindings */
    const char *qualify;     /* qualify_shortname: the domain of a host without one; NULL: none */
    const struct kb_krb5conf *krb5conf; /* realms and domains, mech/options/krb5conf.h */
    uid_t euid;                         /* for whom it was resolved */
    /* private */
    struct kb_options_private *priv;
};

/* What the options are resolved for. Text members may be KB_NONE: not known. */
struct kb_options_query {
    kb_bytes target; /* "service@host", "service/host@REALM": matched by [target …] */
    kb_bytes client; /* the name that the caller gave, text form of kb_options_client: matched by
                        [client …], and stands in for User where its secret is configured */
    struct kb_settings *own; /* layer 6, of a credential; NULL: none (mech/options/settings.h) */
    bool with_krb5conf;      /* also where no identity is configured, which else needs none: for
                                `kerbside config` */
};

/* kb_options_get returns the snapshot for a query: a counted one that is kept and shared until a
 * file or the environment changes, so a repeated call is cheap. On KB_ERROR the process is "ours"
 * (OPTIONS.md) and `err` says which line of which file is wrong. */
KB_MUST_USE enum kb_status kb_options_get(const struct kb_options_query *query,
                                          const struct kb_options **out, struct kb_error *err);
const struct kb_options *kb_options_ref(const struct kb_options *options);
void kb_options_put(const struct kb_options *options); /* NULL is accepted */

/* What the layers say about a process as a whole, without a target; see "Who handles a call". */
struct kb_standing {
    bool ours;         /* an identity is configured in any section whose program and user hold, or a
                          line or file of ours does not parse */
    bool broken;       /* the latter: acquire succeeds, the first init fails with the error */
    bool disabled;     /* Enabled=False without a target */
    bool platform;     /* UsePlatformKerberosAPI=True without a target */
    bool any_identity; /* the resolution without a target, or any [target] section, has one */
};
KB_MUST_USE enum kb_status kb_options_standing(struct kb_standing *out);

/* kb_options_standing_lately is the same for the user that the process had in this hundredth of a
 * second, which saves a system call: for what nobody's identity depends on. */
KB_MUST_USE enum kb_status kb_options_standing_lately(struct kb_standing *out);

/* kb_options_client makes a principal of a name that a caller gave: KB_NT_SRV_HST stands for
 * service@host, other types for the text form; the default realm (User's, else krb5.conf's) is
 * added, and is empty where none is known. KB_MALFORMED, KB_NO_MEMORY. */
KB_MUST_USE enum kb_status kb_options_client(kb_bytes client, int32_t name_type,
                                             struct kb_principal **out);

/* kb_options_covers: may an initiator that names `client` be ours? DESIGN.md, Covered, but for the
 * secret that the caller itself brings. True as well where the options cannot be resolved: then the
 * login fails with that error, and with nobody else's ticket. */
bool kb_options_covers(const struct kb_principal *client);

/* kb_options_password reads the password behind Password= (inline, file:, env:, fd:), checks the
 * file's owner and type, cuts one newline. The bytes are the caller's (kb_free_secret). */
KB_MUST_USE enum kb_status kb_options_password(const struct kb_options *options, kb_bytes *out,
                                               struct kb_error *err);

/* kb_options_password_exposed: is it a file that everybody can read? Worth a warning. */
bool kb_options_password_exposed(const struct kb_options *options);

/* kb_options_set_oid tells by which OID libgssapi loaded us (DER contents; reads nothing). Until
 * then our line is found by the default OID or the label `kerbside`. */
void kb_options_set_oid(kb_bytes oid);

/* kb_options_default_ccache appends the name of the platform's default cache, with its type: that
 * of KRB5CCNAME (not under AT_SECURE), krb5.conf's default_ccache_name, else FILE:/tmp/krb5cc_UID.
 * A `User` without secret and CredentialsCacheFile reads it, if its principal is he. */
KB_MUST_USE enum kb_status kb_options_default_ccache(const struct kb_options *options,
                                                     struct kb_buf *out, struct kb_error *err);

/* kb_options_client_keytab appends the path of the platform's client keytab: that of
 * KRB5_CLIENT_KTNAME (not under AT_SECURE), krb5.conf's default_client_keytab_name, else the one
 * that the platform's library was built with. A `User` without secret, and without a cache of his,
 * logs in with it if it has his key. KB_NOT_FOUND: it is of a type that only that library reads. */
KB_MUST_USE enum kb_status kb_options_client_keytab(const struct kb_options *options,
                                                    struct kb_buf *out, struct kb_error *err);

/* kb_options_kcm_socket is krb5.conf's kcm_socket: where the daemon of KCM: caches listens, "-" for
 * nowhere. NULL: it does not say. */
const char *kb_options_kcm_socket(const struct kb_krb5conf *conf);

/* What the layers above lend: options reads no keytab and no cache. Called with no lock held. */
struct kb_options_hooks {
    bool (*keytab_has)(const char *path, const struct kb_principal *principal);
    /* ccache_principal reads whose tickets the cache holds that `name` means (FILE:/path, as
     * options->ccache has it). NULL in *out: there is no cache, it cannot be read, or memory is
     * short; who uses it gets the error. */
    void (*ccache_principal)(const char *name, const char *kcm_socket, struct kb_principal **out);
};
void kb_options_set_hooks(const struct kb_options_hooks *hooks);

/* For mech/process around fork(2). The lock of options is before those of login and store. */
void kb_options_fork_prepare(void);
void kb_options_fork_parent(void);
void kb_options_fork_child(void);

#endif
