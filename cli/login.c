/* kerbside login: obtains a ticket as a program would, and shows it. */
#include <getopt.h>
#include <gssapi/gssapi_kerbside.h>
#include <stdlib.h>

#include "cli/agree.h"
#include "cli/gss.h"
#include "cli/ticket.h"

const struct kb_cli_option kb_cli_login_options[] = {
    {'t', "trail", NULL, "show every message on the way"},
    {'l', "log", "LEVEL", "show the log: 1 info, 2 verbose, 3 debug"},
    {0},
};

/* --- what the plugin tells while it works --- */

/* One sentence of the log or message of the trail, in the order in which they came. */
struct said {
    struct said *next;
    const char *kind;   /* "log" or "trail" */
    const char *detail; /* log: the level's word; trail: the direction's */
    char *text;
};

struct witness {
    struct kb_cli *cli;
    bool trail, log;
    struct said *first, **last;
    char kdc[80]; /* who answered last */
};

/* A person reads it at once, a program at the end. */
static void note(struct witness *witness, const char *kind, const char *detail, const char *text)
{
    size_t len = strlen(text);
    struct said *said;

    if (!witness->cli->json) {
        kb_cli_print(witness->cli, "%s%s", text, len > 0 && text[len - 1] == '\n' ? "" : "\n");
        (void)kb_cli_flush(witness->cli);
        return;
    }
    said = calloc(1, sizeof(*said));
    if (said == NULL) {
        return;
    }
    *said = (struct said){.kind = kind, .detail = detail, .text = kb_strdup(kb_str(text))};
    *witness->last = said;
    witness->last = &said->next;
}

static void on_log(void *arg, int level, const char *message, const char *type)
{
    static const char *const words[] = {"none", "info", "verbose", "debug"};
    struct witness *witness = arg;

    (void)type;
    if (witness->log) {
        note(witness, "log", words[level & 3], message);
    }
}

/* A message begins "received from HOST:PORT, 755 bytes: TGS-REP:". */
static void learn_kdc(struct witness *witness, const char *message)
{
    static const char from[] = "received from ";
    const char *peer = message + sizeof(from) - 1;
    size_t len;

    if (strncmp(message, from, sizeof(from) - 1) == 0) {
        len = strcspn(peer, ",");
        if (len < sizeof(witness->kdc)) {
            memcpy(witness->kdc, peer, len);
            witness->kdc[len] = '\0';
        }
    }
}

static void on_trail(void *arg, int direction, const char *message)
{
    static const char *const words[] = {"client", "server", "info"};
    struct witness *witness = arg;

    learn_kdc(witness, message);
    if (witness->trail) {
        note(witness, "trail", direction >= 0 && direction <= 2 ? words[direction] : "info",
             message);
    }
}

static void listen_as(struct witness *witness)
{
    OM_uint32 minor;
    struct kerbside_callbacks callbacks = {
        .size = sizeof(callbacks), .argument = witness, .log = on_log, .pitrail = on_trail};

    (void)kerbside_callbacks(&minor, witness != NULL ? &callbacks : NULL);
}

static void forget_said(struct witness *witness)
{
    while (witness->first != NULL) {
        struct said *said = witness->first;

        witness->first = said->next;
        free(said->text);
        free(said);
    }
}

static void show_said(struct witness *witness)
{
    struct kb_show *show = &witness->cli->show;

    kb_show_open(show, "events", KB_SHOW_ITEMS);
    for (struct said *said = witness->first; said != NULL; said = said->next) {
        kb_show_open(show, NULL, KB_SHOW_FIELDS);
        kb_show_word(show, "kind", said->kind);
        kb_show_word(show, said->kind[0] == 'l' ? "level" : "direction", said->detail);
        kb_show_text(show, "message", kb_str(said->text));
        kb_show_close(show);
    }
    kb_show_close(show);
}

/* --- one login --- */

struct request {
    const char *spn; /* NULL: a TGT will do */
    struct witness witness;
};

/* Without a service, the ticket of the KDC's own is asked for: the TGT itself. */
static int tgt_target(struct kb_cli *cli, struct kb_buf *out)
{
    struct kb_buf client;
    const char *realm;
    int code;

    kb_buf_init(&client, 4096);
    code = kb_cli_gss_client(cli, &client);
    if (code == KB_EXIT_OK) {
        realm = strrchr(kb_buf_str(&client), '@');
        if (realm == NULL) {
            code = kb_cli_fail(cli, KB_EXIT_CONFIG, "%s has no realm", kb_buf_str(&client));
        } else {
            kb_buf_printf(out, "krbtgt/%s@%s", realm + 1, realm + 1);
        }
    }
    kb_buf_wipe(&client);
    return code;
}

static int login_to(struct kb_cli *cli, const char *spn, struct witness *witness)
{
    struct kb_cli_context context;
    int code = kb_cli_gss_init(cli, spn, &kb_cli_krb5, GSS_C_INTEG_FLAG, &context);

    kb_show_open(&cli->show, NULL, KB_SHOW_FIELDS);
    if (cli->json && (witness->trail || witness->log)) {
        show_said(witness);
    }
    if (code == KB_EXIT_OK) {
        kb_cli_agree(cli, &context, spn);
        kb_cli_show_context(cli, &context);
        if (witness->kdc[0] != '\0') {
            kb_show_name(&cli->show, "kdc", kb_str(witness->kdc));
        }
    } else {
        kb_cli_show_failure(cli);
    }
    kb_show_close(&cli->show);
    kb_cli_context_wipe(&context);
    return code;
}

static int login(struct kb_cli *cli, struct request *request)
{
    struct kb_buf target;
    int code = kb_cli_gss_start(cli);

    if (code != KB_EXIT_OK) {
        return code;
    }
    kb_cli_agree_options(cli);
    listen_as(&request->witness);
    kb_buf_init(&target, 4096);
    if (request->spn == NULL) {
        code = tgt_target(cli, &target);
    } else {
        kb_buf_add_str(&target, request->spn);
    }
    if (code == KB_EXIT_OK) {
        code = login_to(cli, kb_buf_str(&target), &request->witness);
    }
    listen_as(NULL);
    forget_said(&request->witness);
    kb_buf_wipe(&target);
    return code;
}

/* The log is told up to LogLevel. */
static int set_level(struct kb_cli *cli, struct request *request, const char *level)
{
    static const char *const settings[] = {"LogLevel=1", "LogLevel=2", "LogLevel=3"};

    if (level[0] < '1' || level[0] > '3' || level[1] != '\0') {
        return kb_cli_usage(cli, "--log takes 1, 2 or 3, not \"%s\"", level);
    }
    if (cli->num_set < KB_CLI_MAX_SET) {
        cli->set[cli->num_set++] = settings[level[0] - '1'];
    }
    request->witness.log = true;
    return KB_EXIT_OK;
}

int kb_cli_login(struct kb_cli *cli)
{
    struct request request = {.witness = {.cli = cli}};

    request.witness.last = &request.witness.first;
    for (int id; (id = kb_cli_option(cli)) != -1;) {
        switch (id) {
        case 't':
            request.witness.trail = true;
            break;
        case 'l':
            if (set_level(cli, &request, optarg) != KB_EXIT_OK) {
                return KB_EXIT_USAGE;
            }
            break;
        default:
            return cli->code;
        }
    }
    if (!kb_cli_operands(cli, 0, 1)) {
        return KB_EXIT_USAGE;
    }
    request.spn = cli->argv[optind];
    return login(cli, &request);
}
