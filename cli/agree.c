#include "cli/agree.h"

#include "mech/options/show.h"

/* The options as this command reads them; NULL where they cannot be resolved, or hand the work to
 * the platform. */
static const struct kb_options *own_reading(const char *spn)
{
    const struct kb_options_query query = {.target = kb_str(spn), .with_krb5conf = spn == NULL};
    const struct kb_options *options = NULL;
    struct kb_error err = {0};

    return kb_options_get(&query, &options, &err) == KB_OK ? options : NULL;
}

static void compare_client(struct kb_cli *cli, const struct kb_cli_context *context,
                           const struct kb_options *options)
{
    struct kb_buf user;

    if (options->user == NULL || context->client == NULL) {
        return;
    }
    kb_buf_init(&user, 4096);
    kb_principal_unparse(options->user, &user);
    /* A canonical name may be another one. */
    if (!options->canonicalize && !kb_equal(kb_buf_bytes(&user), kb_str(context->client))) {
        kb_cli_warn(cli, "warning: the options say that %s logs in; libgssapi logged in %s",
                    kb_buf_str(&user), context->client);
    }
    kb_buf_wipe(&user);
}

int kb_cli_agree_failed(struct kb_cli *cli, const char *spn, int code)
{
    const struct kb_options *options = own_reading(spn);
    bool none = options != NULL && !options->has_identity;

    kb_options_put(options);
    if (!none) {
        return code;
    }
    kb_cli_warn(cli,
                "no identity is configured for %s: set User and Password or KeytabFile in the "
                "plugin's line, a Config file or KERBSIDE_OPTIONS; see kerbside(8)",
                spn);
    return KB_EXIT_CONFIG;
}

void kb_cli_agree(struct kb_cli *cli, const struct kb_cli_context *context, const char *spn)
{
    const struct kb_options *options = own_reading(spn);
    bool wanted = options != NULL && options->has_identity && !options->use_platform_kerberos_api;

    if (!context->ours && wanted) {
        kb_cli_warn(cli,
                    "warning: an identity is configured for %s, but libgssapi used the "
                    "platform's own Kerberos (%s)",
                    spn, context->client != NULL ? context->client : "unknown");
    } else if (!context->ours) {
        kb_cli_warn(cli,
                    "note: no identity of Kerbside's is configured for %s; this is the "
                    "platform's own (%s)",
                    spn, context->client != NULL ? context->client : "unknown");
    } else if (options != NULL) {
        compare_client(cli, context, options);
    }
    kb_options_put(options);
}

static void compare_option(struct kb_cli *cli, const struct kb_options *options,
                           enum kb_option_id id)
{
    struct kb_buf here, there;

    kb_buf_init(&here, 1 << 16);
    kb_buf_init(&there, 1 << 16);
    kb_options_show(options, id, &here);
    if (kb_cli_gss_ask(kb_option_rows[id].name, &there) &&
        !kb_equal(kb_buf_bytes(&here), kb_buf_bytes(&there))) {
        kb_cli_warn(cli,
                    "warning: %s is \"%s\" in programs, and \"%s\" by this command's reading: "
                    "another plugin or another configuration is loaded",
                    kb_option_rows[id].name, kb_buf_str(&there), kb_buf_str(&here));
    }
    kb_buf_wipe(&here);
    kb_buf_wipe(&there);
}

void kb_cli_agree_options(struct kb_cli *cli)
{
    const struct kb_options *options = own_reading(NULL);

    for (size_t i = 0; options != NULL && i < KB_OPT_NUM; i++) {
        if ((kb_option_rows[i].flags & KB_OPT_READ_ONLY) == 0 || i == KB_OPT_BuildInfo) {
            compare_option(cli, options, (enum kb_option_id)i);
        }
    }
    kb_options_put(options);
}
