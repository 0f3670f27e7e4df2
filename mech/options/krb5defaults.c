#include "mech/options/krb5defaults.h"

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

static enum kb_status no_etype(const char *text, const struct kb_origin *origin,
                               struct kb_error *err)
{
    char buf[256];

    return kb_error_set(err, KB_E_NO_ENCTYPE,
                        "%s: permitted_enctypes (%s) has no encryption type that is supported "
                        "here; set EncryptionTypes to override it",
                        kb_origin_text(origin, buf, sizeof(buf)), kb_show(kb_str(text)).text);
}

static enum kb_status apply_etypes(struct kb_options *options, struct kb_arena *arena,
                                   const struct kb_krb5conf *conf, kb_bytes realm,
                                   struct kb_error *err)
{
    struct kb_origin origin;
    const char *text = kb_krb5conf_default(conf, realm, "permitted_enctypes", &origin);
    struct kb_etype_list list;

    if (text == NULL) {
        text = kb_krb5conf_default(conf, realm, "default_tkt_enctypes", &origin);
    }
    if (text == NULL || options->encryption_types_from.layer != KB_LAYER_DEFAULT) {
        return KB_OK;
    }
    if (kb_etypes_parse(kb_str(text), &list, NULL) != KB_OK || list.num == 0) {
        return no_etype(text, &origin, err);
    }
    options->encryption_types_from = origin;
    return kb_value_etypes(arena, list.items, list.num, &options->encryption_types)
               ? KB_OK
               : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

enum kb_status kb_krb5conf_apply(struct kb_options *options, struct kb_arena *arena,
                                 const struct kb_krb5conf *conf, struct kb_error *err)
{
    kb_bytes realm = options->user != NULL ? options->user->realm : kb_krb5conf_default_realm(conf);

    options->krb5conf = conf;
    for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++) {
        apply(options, conf, realm, &relations[i]);
    }
    return apply_etypes(options, arena, conf, realm, err);
}
