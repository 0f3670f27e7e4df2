#include "mech/options/krb5defaults.h"

#include "crypto/enctype.h"
#include "mech/options/etypes.h"
#include "mech/options/layers.h"
#include "mech/options/text.h"
#include "mech/options/value.h"

/* The names in [libdefaults] for which there is an option. */
static const struct relation {
    char name[28];
    enum kb_option_id id;
} relations[] = {
    {"canonicalize", KB_OPT_Canonicalize},
    {"clockskew", KB_OPT_ClockSkew},
    {"dns_canonicalize_hostname", KB_OPT_DNSCanonicalize},
    {"forwardable", KB_OPT_Forwardable},
    {"noaddresses", KB_OPT_NoAddresses},
    {"proxiable", KB_OPT_Proxiable},
    {"renew_lifetime", KB_OPT_RenewLife},
    {"ticket_lifetime", KB_OPT_TicketLife},
    {"udp_preference_limit", KB_OPT_UDPLimit},
};

static struct kb_origin *origin_of(struct kb_options *options, const struct kb_option_row *row)
{
    return (void *)((char *)options + row->from);
}

static void set_number(const struct kb_option_row *row, const char *text, int64_t *member,
                       struct kb_origin *from, const struct kb_origin *origin)
{
    int64_t value;
    bool is_value = row->type == KB_OPTION_WORD
                        ? kb_word_value(kb_option_id(row), kb_trim(kb_str(text)), &value)
                        : kb_krb5conf_parse_seconds(kb_str(text), &value);
    bool truth;

    /* dns_canonicalize_hostname is a word, or one of MIT's many for yes and no. */
    if (!is_value && row->type == KB_OPTION_WORD && kb_krb5conf_parse_bool(kb_str(text), &truth)) {
        is_value = kb_word_value(kb_option_id(row), kb_str(truth ? "True" : "False"), &value);
    }
    if (!is_value) {
        return;
    }
    if (row->type != KB_OPTION_WORD) {
        value = value < row->min ? row->min : value > row->max ? row->max : value;
    }
    *member = value;
    *from = *origin;
}

static void apply(struct kb_options *options, const struct kb_krb5conf *conf, kb_bytes realm,
                  const struct relation *relation)
{
    const struct kb_option_row *row = &kb_option_rows[relation->id];
    struct kb_origin *from = origin_of(options, row), origin;
    const char *text = kb_krb5conf_default(conf, realm, relation->name, &origin);
    void *member = (char *)options + row->member;

    if (text == NULL || from->layer != KB_LAYER_DEFAULT) {
        return;
    }
    if (row->type != KB_OPTION_BOOL) {
        set_number(row, text, member, from, &origin);
    } else if (kb_krb5conf_parse_bool(kb_str(text), member)) {
        *from = origin;
    }
}

/* --- encryption types --- */

/* What takes types out of krb5.conf's lists, and out of the default one. */
struct sieve {
    const struct kb_krb5conf *conf;
    kb_bytes realm;
    bool fips;
    const char *why; /* of the last one that was taken out; NULL: none was */
};

static bool is_allowed(const struct sieve *sieve, const char *name, bool otherwise)
{
    return kb_krb5conf_bool(sieve->conf, sieve->realm, name, otherwise);
}

static bool is_single_des(int32_t etype)
{
    return etype >= KB_ENCTYPE_DES_CBC_CRC && etype <= KB_ENCTYPE_DES_CBC_MD5;
}

/* allow_weak_crypto is false where it is not written, and then single DES is filtered out of the
 * lists (krb5.conf(5)). MIT's clients do not look at allow_rc4 and allow_des3 up to 1.22, whose
 * manual announces that they will: what is written there is meant. */
static bool passes(void *ctx, int32_t etype)
{
    struct sieve *sieve = ctx;
    const char *why = NULL;

    if (sieve->fips && !kb_etype_is_approved(etype)) {
        why = "UseFIPSCompliantAPI is True";
    } else if (is_single_des(etype) && !is_allowed(sieve, "allow_weak_crypto", false)) {
        why = "allow_weak_crypto is not true";
    } else if (etype == KB_ENCTYPE_RC4_HMAC && !is_allowed(sieve, "allow_rc4", true)) {
        why = "allow_rc4 is false";
    } else if (etype == KB_ENCTYPE_DES3_CBC_SHA1 && !is_allowed(sieve, "allow_des3", true)) {
        why = "allow_des3 is false";
    }
    sieve->why = why != NULL ? why : sieve->why;
    return why == NULL;
}

/* One of krb5.conf's lists, and where it stands. */
struct conf_list {
    const char *name, *text; /* text NULL: it is not set */
    struct kb_origin origin;
};

static struct conf_list look_up(const struct sieve *sieve, const char *name)
{
    struct conf_list list = {.name = name};

    list.text = kb_krb5conf_default(sieve->conf, sieve->realm, name, &list.origin);
    return list;
}

static enum kb_status no_etype(const struct conf_list *list, const struct sieve *sieve,
                               struct kb_error *err)
{
    char buf[256];

    (void)kb_error_set(err, KB_E_NO_ENCTYPE,
                       "%s: %s (%s) has no encryption type that is %s here%s%s; set "
                       "EncryptionTypes to override it",
                       kb_origin_text(&list->origin, buf, sizeof(buf)), list->name,
                       kb_show(kb_str(list->text)).text,
                       sieve->why != NULL ? "allowed" : "supported",
                       sieve->why != NULL ? ", since " : "", sieve->why != NULL ? sieve->why : "");
    return KB_ERROR;
}

static enum kb_status take_list(const struct conf_list *list, struct sieve *sieve,
                                struct kb_arena *arena, kb_opt_ETYPES *out, struct kb_error *err)
{
    struct kb_etype_list etypes;

    if (kb_etypes_parse(kb_str(list->text), &etypes, NULL) != KB_OK) {
        return KB_ERROR; /* cannot be: what is wrong is skipped */
    }
    kb_etypes_keep(&etypes, passes, sieve);
    if (etypes.num == 0) {
        return no_etype(list, sieve, err);
    }
    return kb_value_etypes(arena, etypes.items, etypes.num, out)
               ? KB_OK
               : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

/* The default list, without what a FIPS provider does not have. */
static enum kb_status take_default(struct sieve *sieve, struct kb_arena *arena, kb_opt_ETYPES *out,
                                   struct kb_error *err)
{
    struct kb_etype_list etypes;

    kb_etypes_default(&etypes);
    kb_etypes_keep(&etypes, passes, sieve);
    return kb_value_etypes(arena, etypes.items, etypes.num, out)
               ? KB_OK
               : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

/* As MIT since 1.18: default_tkt_enctypes is for the AS exchange and default_tgs_enctypes for what
 * follows; permitted_enctypes stands for the one that is not set. */
static enum kb_status apply_etypes(struct kb_options *options, struct kb_arena *arena,
                                   const struct kb_krb5conf *conf, kb_bytes realm,
                                   struct kb_error *err)
{
    struct sieve sieve = {.conf = conf, .realm = realm, .fips = options->use_fips_compliant_api};
    struct conf_list permitted = look_up(&sieve, "permitted_enctypes");
    struct conf_list tkt = look_up(&sieve, "default_tkt_enctypes");
    struct conf_list tgs = look_up(&sieve, "default_tgs_enctypes");
    enum kb_status st = KB_OK;

    options->ticket_types = options->encryption_types;
    if (options->encryption_types_from.layer != KB_LAYER_DEFAULT) {
        return KB_OK;
    }
    tkt = tkt.text != NULL ? tkt : permitted;
    tgs = tgs.text != NULL ? tgs : permitted;
    if (tkt.text == NULL || tgs.text == NULL) {
        st = take_default(&sieve, arena, &options->encryption_types, err);
        options->ticket_types = options->encryption_types;
    }
    if (st == KB_OK && tkt.text != NULL) {
        options->encryption_types_from = tkt.origin;
        st = take_list(&tkt, &sieve, arena, &options->encryption_types, err);
    }
    return st == KB_OK && tgs.text != NULL
               ? take_list(&tgs, &sieve, arena, &options->ticket_types, err)
               : st;
}

/* What is no option of ours, since it is for all programs or says little. */
static void apply_others(struct kb_options *options, const struct kb_krb5conf *conf, kb_bytes realm)
{
    struct kb_origin origin;

    options->own_clock = !kb_krb5conf_bool(conf, realm, "kdc_timesync", true);
    options->client_aware = kb_krb5conf_bool(conf, realm, "client_aware_channel_bindings", false);
    options->no_enc_timestamp =
        kb_krb5conf_realm_bool(conf, realm, "disable_encrypted_timestamp", false);
    options->qualify = kb_krb5conf_default(conf, realm, "qualify_shortname", NULL);
    if (options->qualify != NULL && options->qualify[0] == '\0') {
        options->qualify = NULL;
    }
    if (options->delegate_from.layer == KB_LAYER_DEFAULT &&
        kb_krb5conf_default(conf, realm, "enforce_ok_as_delegate", &origin) != NULL &&
        kb_krb5conf_bool(conf, realm, "enforce_ok_as_delegate", false)) {
        options->delegate = KB_DELEGATE_OK_AS_DELEGATE;
        options->delegate_from = origin;
    }
}

enum kb_status kb_krb5conf_apply(struct kb_options *options, struct kb_arena *arena,
                                 const struct kb_krb5conf *conf, struct kb_error *err)
{
    kb_bytes realm = options->user != NULL ? options->user->realm : kb_krb5conf_default_realm(conf);

    options->krb5conf = conf;
    for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++) {
        apply(options, conf, realm, &relations[i]);
    }
    apply_others(options, conf, realm);
    return apply_etypes(options, arena, conf, realm, err);
}
