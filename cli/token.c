/* kerbside token: an AP-REQ for any tool that takes one. */
#include <getopt.h>
#include <unistd.h>

#include "cli/agree.h"
#include "cli/gss.h"
#include "cli/input.h"
#include "cli/ticket.h"

enum form {
    FORM_AP_REQ, /* the bare message */
    FORM_GSS,    /* framed, as gss_init_sec_context returns it */
    FORM_SPNEGO, /* a NegTokenInit around that */
};

struct request {
    enum form form;
    bool raw, base64, header, mutual, delegate;
};

enum { ID_GSS = 0x100, ID_SPNEGO, ID_HEADER };

const struct kb_cli_option kb_cli_token_options[] = {
    {'b', "base64", NULL, "write Base64 and a newline"},
    {'r', "raw", NULL, "write bytes, also with --spnego or EncodeAuthToken=True"},
    {ID_GSS, "gss", NULL, "the AP-REQ in the frame of GSS-API"},
    {ID_SPNEGO, "spnego", NULL, "as a NegTokenInit, in Base64: for HTTP Negotiate"},
    {ID_HEADER, "header", NULL, "the whole HTTP line: Authorization: Negotiate ..."},
    {'m', "mutual", NULL, "ask the service to prove itself too"},
    {'d', "delegate", NULL, "forward a TGT to the service"},
    {0},
};

/* The bytes asked for. The AP-REQ is what AuthToken says, in Base64 if EncodeAuthToken is set. */
static bool take_token(const struct kb_cli_context *context, const struct request *request,
                       struct kb_buf *out, bool *encoded)
{
    struct kb_buf encode;
    kb_bytes ap_req;

    *encoded = false;
    if (request->form != FORM_AP_REQ) {
        kb_buf_add(out, kb_bytes_of(context->token.value, context->token.length));
        return out->status == KB_OK;
    }
    kb_buf_init(&encode, 64);
    if (kb_cli_context_option(context, "EncodeAuthToken", &encode)) {
        *encoded = kb_equal_nocase(kb_buf_bytes(&encode), KB_LIT("True"));
    }
    kb_buf_wipe(&encode);
    if (kb_cli_context_option(context, "AuthToken", out)) {
        return out->status == KB_OK;
    }
    *encoded = false;
    if (kb_cli_context_ap_req(context, &ap_req) != KB_OK) {
        return false;
    }
    kb_buf_add(out, ap_req);
    return out->status == KB_OK;
}

static void show_json(struct kb_cli *cli, const struct kb_cli_context *context,
                      const struct request *request, kb_bytes base64)
{
    static const char *const names[] = {"ap-req", "gss", "spnego"};

    kb_show_open(&cli->show, NULL, KB_SHOW_FIELDS);
    kb_show_word(&cli->show, "form", names[request->form]);
    kb_show_text(&cli->show, "token", base64);
    kb_cli_show_context(cli, context);
    kb_show_close(&cli->show);
}

/* The bytes themselves: of AuthToken in Base64, what that says. */
static bool take_bytes(kb_bytes token, bool encoded, struct kb_buf *out)
{
    enum kb_input_form form;

    if (encoded) {
        return kb_input_bytes(token, KB_INPUT_BASE64, out, &form) == KB_OK;
    }
    kb_buf_add(out, token);
    return out->status == KB_OK;
}

static int write_bytes(struct kb_cli *cli, kb_bytes bytes)
{
    if (isatty(STDOUT_FILENO)) {
        return kb_cli_usage(cli, "a terminal cannot show a token's bytes: add --base64, or write "
                                 "them to a file or a pipe");
    }
    kb_buf_add(&cli->out, bytes);
    return KB_EXIT_OK;
}

static int write_token(struct kb_cli *cli, const struct kb_cli_context *context,
                       const struct request *request, kb_bytes bytes, bool encoded)
{
    bool as_text = request->base64 || request->header ||
                   (!request->raw && (encoded || request->form == FORM_SPNEGO));
    struct kb_buf base64;

    if (!as_text && !cli->json) {
        return write_bytes(cli, bytes);
    }
    kb_buf_init(&base64, 1 << 20);
    kb_base64(bytes, &base64);
    if (cli->json) {
        show_json(cli, context, request, kb_buf_bytes(&base64));
    } else {
        kb_buf_printf(&cli->out, "%s%s\n", request->header ? "Authorization: Negotiate " : "",
                      kb_buf_str(&base64));
    }
    kb_buf_wipe(&base64);
    return KB_EXIT_OK;
}

static int make_token(struct kb_cli *cli, const char *spn, const struct request *request)
{
    OM_uint32 flags = GSS_C_INTEG_FLAG | (request->mutual ? GSS_C_MUTUAL_FLAG : 0) |
                      (request->delegate ? GSS_C_DELEG_FLAG : 0);
    struct kb_cli_context context;
    struct kb_buf token, bytes;
    bool encoded = false;
    int code = kb_cli_gss_init(
        cli, spn, request->form == FORM_SPNEGO ? &kb_cli_spnego : &kb_cli_krb5, flags, &context);

    kb_buf_init(&token, 1 << 20);
    kb_buf_init(&bytes, 1 << 20);
    if (code == KB_EXIT_OK && (!take_token(&context, request, &token, &encoded) ||
                               !take_bytes(kb_buf_bytes(&token), encoded, &bytes))) {
        code = kb_cli_fail(cli, KB_EXIT_FAILED, "the token that libgssapi made has no AP-REQ");
    }
    if (code == KB_EXIT_OK) {
        kb_cli_agree(cli, &context, spn);
        code = write_token(cli, &context, request, kb_buf_bytes(&bytes), encoded);
    }
    kb_buf_wipe(&token);
    kb_buf_wipe(&bytes);
    kb_cli_context_wipe(&context);
    return code;
}

static int read_options(struct kb_cli *cli, struct request *request)
{
    for (int id; (id = kb_cli_option(cli)) != -1;) {
        switch (id) {
        case 'b':
            request->base64 = true;
            break;
        case 'r':
            request->raw = true;
            break;
        case ID_GSS:
            request->form = FORM_GSS;
            break;
        case ID_HEADER:
            request->header = true;
            request->form = FORM_SPNEGO;
            break;
        case ID_SPNEGO:
            request->form = FORM_SPNEGO;
            break;
        case 'm':
            request->mutual = true;
            break;
        case 'd':
            request->delegate = true;
            break;
        default:
            return cli->code;
        }
    }
    return -1;
}

int kb_cli_token(struct kb_cli *cli)
{
    struct request request = {.form = FORM_AP_REQ};
    int code = read_options(cli, &request);

    if (code >= 0) {
        return code;
    }
    if (!kb_cli_operands(cli, 1, 1)) {
        return KB_EXIT_USAGE;
    }
    if (request.raw && (request.base64 || request.header || cli->json)) {
        return kb_cli_usage(cli, "--raw cannot go with --base64, --header or --json");
    }
    code = kb_cli_gss_start(cli);
    return code == KB_EXIT_OK ? make_token(cli, cli->argv[optind], &request) : code;
}
