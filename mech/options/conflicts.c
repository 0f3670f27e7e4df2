#include "mech/options/conflicts.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "crypto/enctype.h"
#include "mech/options/etypes.h"
#include "mech/options/kdc.h"
#include "mech/options/layers.h"
#include "mech/options/show.h"
#include "mech/options/text.h"

#define UNSUPPORTED_ENCRYPTION_TYPE 954 /* component-reference.txt */

/* "Name=value", with its place behind it where that is another than `than`'s. */
static void add_option(const struct kb_options *options, enum kb_option_id id,
                       const struct kb_origin *than, struct kb_buf *out)
{
    const struct kb_origin *origin = kb_options_origin(options, id);
    struct kb_buf value;
    char buf[256];

    kb_buf_init(&value, 65536);
    kb_options_show(options, id, &value);
    kb_buf_printf(out, "%s=%s", kb_option_rows[id].name, kb_show(kb_buf_bytes(&value)).text);
    if (than != NULL && (origin->layer != than->layer || origin->line != than->line)) {
        kb_buf_printf(out, " (%s)", kb_origin_text(origin, buf, sizeof(buf)));
    }
    kb_buf_wipe(&value);
}

/* A conflict, and the one whose place it is told at. */
struct finding {
    const struct kb_options *options;
    struct kb_origin *place;
    struct kb_error *err;
};

/* "A=1 <how> B=2 (ITS PLACE)<what>"; `other` KB_OPT_NUM: none. */
static enum kb_status conflict(const struct finding *finding, enum kb_option_id id, const char *how,
                               enum kb_option_id other, const char *what)
{
    const struct kb_options *options = finding->options;
    struct kb_buf text;

    *finding->place = *kb_options_origin(options, id);
    kb_buf_init(&text, 2048);
    add_option(options, id, NULL, &text);
    kb_buf_printf(&text, " %s", how);
    if (other != KB_OPT_NUM) {
        kb_buf_add_str(&text, " ");
        add_option(options, other, finding->place, &text);
    }
    kb_buf_add_str(&text, what);
    kb_error_set(finding->err, text.status == KB_OK ? KB_E_OPTION : KB_E_NO_MEMORY, "%s",
                 text.status == KB_OK ? kb_buf_str(&text) : "out of memory");
    kb_buf_wipe(&text);
    return KB_ERROR;
}

static bool has_proxy(const kb_opt_LIST *list)
{
    for (size_t i = 0; i < list->num; i++) {
        struct kb_error ignored = {0};
        struct kb_kdc_word word;

        if (kb_kdc_word_parse(kb_str(list->items[i]), &word, &ignored) == KB_OK &&
            word.kind == KB_KDC_HTTPS) {
            return true;
        }
    }
    return false;
}

/* FirewallData goes to KDC proxies where there is no FirewallHost. */
static enum kb_status check_firewall(const struct finding *finding)
{
    const struct kb_options *options = finding->options;
    static const char nothing[] = "does nothing without FirewallHost";

    if (options->firewall_host != NULL) {
        return KB_OK;
    }
    if (options->firewall_port != 0) {
        return conflict(finding, KB_OPT_FirewallPort, nothing, KB_OPT_NUM, "");
    }
    return options->firewall_data != NULL && !has_proxy(&options->kdc_host) &&
                   !has_proxy(&options->primary_kdc)
               ? conflict(finding, KB_OPT_FirewallData, nothing, KB_OPT_NUM, "")
               : KB_OK;
}

static bool allows(const struct kb_options *options, int family)
{
    return family == 0 || options->use_ipv6 == KB_IPV6_AUTO ||
           (options->use_ipv6 == KB_IPV6_ONLY) == (family == AF_INET6);
}

static enum kb_status check_local_host(const struct finding *finding)
{
    const struct kb_options *options = finding->options;
    int family = kb_host_family(kb_str(options->local_host));

    return allows(options, family) ? KB_OK
                                   : conflict(finding, KB_OPT_LocalHost,
                                              family == AF_INET6 ? "is an IPv6 address, against"
                                                                 : "is an IPv4 address, against",
                                              KB_OPT_UseIPv6, "");
}

/* What a list of KDCs says against other options: every word of it, or one. */
static enum kb_status check_kdcs(const struct finding *finding, enum kb_option_id id,
                                 const kb_opt_LIST *list)
{
    const struct kb_options *options = finding->options;
    int local = kb_host_family(kb_str(options->local_host));
    size_t refused = 0, strange = 0;

    for (size_t i = 0; i < list->num; i++) {
        struct kb_kdc_word word;
        int family;

        if (kb_kdc_word_parse(kb_str(list->items[i]), &word, finding->err) != KB_OK) {
            return KB_ERROR; /* cannot be: it was checked */
        }
        if (word.kind == KB_KDC_UDP && options->use_tcp) {
            return conflict(finding, id, "asks over UDP, against", KB_OPT_UseTCP, "");
        }
        if (word.kind == KB_KDC_UDP && options->firewall_host != NULL) {
            return conflict(finding, id, "asks over UDP, which does not go through",
                            KB_OPT_FirewallHost, "");
        }
        family = word.kind != KB_KDC_UNIX ? kb_host_family(word.host) : 0;
        refused += !allows(options, family);
        strange += family != 0 && local != 0 && family != local && options->firewall_host == NULL;
    }
    if (refused == list->num && refused > 0 && options->firewall_host == NULL) {
        return conflict(finding, id, "has no address that is allowed by", KB_OPT_UseIPv6, "");
    }
    return strange == list->num && strange > 0
               ? conflict(finding, id, "cannot be reached from", KB_OPT_LocalHost, "")
               : KB_OK;
}

/* The place to look at is that of an option which somebody set. */
static enum kb_status bounds(const struct finding *finding, enum kb_option_id less,
                             enum kb_option_id more, const char *what)
{
    return kb_options_is_default(finding->options, less)
               ? conflict(finding, more, "is too little for", less, what)
               : conflict(finding, less, "is too much for", more, what);
}

static enum kb_status check_bounds(const struct finding *finding)
{
    const struct kb_options *options = finding->options;

    if (options->min_iterations_sha1 > options->max_iterations) {
        return bounds(finding, KB_OPT_MinIterationsSHA1, KB_OPT_MaxIterations, "");
    }
    /* Its default is eight times that of aes-sha1, whose users need not know of it. */
    if (options->min_iterations_sha2 > options->max_iterations &&
        !kb_options_is_default(options, KB_OPT_MinIterationsSHA2)) {
        return bounds(finding, KB_OPT_MinIterationsSHA2, KB_OPT_MaxIterations, "");
    }
    return options->min_lifetime >= options->ticket_life &&
                   options->ticket_life_from.layer != KB_LAYER_KRB5CONF /* not written for us */
               ? bounds(finding, KB_OPT_MinLifetime, KB_OPT_TicketLife,
                        ": every ticket would be replaced before it is used")
               : KB_OK;
}

/* A capture is no text: mixed with one, both are lost. */
static enum kb_status check_files(const struct finding *finding)
{
    const struct kb_options *options = finding->options;
    const char *capture = options->packet_capture;

    if (capture != NULL && options->log_file != NULL && strcmp(capture, options->log_file) == 0) {
        return conflict(finding, KB_OPT_PacketCapture, "is the file of", KB_OPT_LogFile, "");
    }
    return capture != NULL && options->trace_file != NULL &&
                   strcmp(capture, options->trace_file) == 0
               ? conflict(finding, KB_OPT_PacketCapture, "is the file of", KB_OPT_TraceFile, "")
               : KB_OK;
}

/* Refused where it is named, and not passed over: who names it would wonder. Lists that were not
 * written for us (krb5.conf's, the default) do without. */
static enum kb_status check_fips(const struct finding *finding)
{
    const struct kb_options *options = finding->options;
    const kb_opt_ETYPES *types = &options->encryption_types;
    char what[128], buf[24];

    if (!options->use_fips_compliant_api ||
        options->encryption_types_from.layer <= KB_LAYER_KRB5CONF) {
        return KB_OK;
    }
    for (size_t i = 0; i < types->num; i++) {
        if (!kb_etype_is_approved(types->items[i])) {
            snprintf(what, sizeof(what), ": %s is not of FIPS 140's algorithms; the aes types are",
                     kb_enctype_name(types->items[i], buf));
            (void)conflict(finding, KB_OPT_EncryptionTypes, "is refused by",
                           KB_OPT_UseFIPSCompliantAPI, what);
            finding->err->number = UNSUPPORTED_ENCRYPTION_TYPE;
            return KB_ERROR;
        }
    }
    return KB_OK;
}

enum kb_status kb_conflicts_find(const struct kb_options *options, struct kb_origin *place,
                                 struct kb_error *err)
{
    struct finding finding = {options, place, err};

    if (!options->enabled || options->use_platform_kerberos_api) {
        return KB_OK; /* they do not act then */
    }
    if (check_firewall(&finding) != KB_OK || check_local_host(&finding) != KB_OK ||
        check_kdcs(&finding, KB_OPT_KDCHost, &options->kdc_host) != KB_OK ||
        check_kdcs(&finding, KB_OPT_PrimaryKDC, &options->primary_kdc) != KB_OK ||
        check_bounds(&finding) != KB_OK || check_fips(&finding) != KB_OK) {
        return KB_ERROR;
    }
    return check_files(&finding);
}
