/* kerbside config: what the options are, and where they come from. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "mech/options/layers.h"
#include "mech/options/match.h"
#include "mech/options/process.h"
#include "mech/options/show.h"

enum { ID_ALL = 0x100, ID_CHANGED, ID_CHECK };

const struct kb_cli_option kb_cli_config_options[] = {
    KB_CLI_WHOSE,
    {ID_ALL, "all", NULL, "list every option (the default)"},
    {ID_CHANGED, "changed", NULL, "list only what is not as it is by default"},
    {ID_CHECK, "check", "FILE", "judge a file of options or a mech.d file, before it is used"},
    {0},
};

struct request {
    struct kb_options_query query;
    bool changed;
};

/* Where a value comes from, for a person. */
static const char *place(const struct kb_options *options, enum kb_option_id id, char *buf,
                         size_t len)
{
    const struct kb_origin *origin = kb_options_origin(options, id);

    return origin->layer <= KB_LAYER_DEFAULT ? "default" : kb_origin_text(origin, buf, len);
}

static void print_row(struct kb_cli *cli, const struct kb_options *options, enum kb_option_id id,
                      const struct kb_buf *value)
{
    struct kb_buf shown;
    char buf[300];

    kb_buf_init(&shown, 1 << 18);
    kb_buf_add_escaped(&shown, kb_buf_bytes(value));
    kb_cli_print(cli, "%-22s %-30s  %s\n", kb_option_rows[id].name,
                 value->len > 0 ? kb_buf_str(&shown) : "-", place(options, id, buf, sizeof(buf)));
    kb_buf_wipe(&shown);
}

static const char *layer_name(unsigned layer)
{
    static const char *const names[] = {
        [KB_LAYER_DEFAULT] = "default",
        [KB_LAYER_KRB5CONF] = "krb5.conf",
        [KB_LAYER_MECHD] = "mech.d",
        [KB_LAYER_CONFIG] = "config",
        [KB_LAYER_ENVIRONMENT] = "environment",
        [KB_LAYER_PROCESS] = "process",
        [KB_LAYER_CREDENTIAL] = "credential",
        [KB_LAYER_CONTEXT] = "context",
    };

    return layer < sizeof(names) / sizeof(names[0]) && names[layer] != NULL ? names[layer]
                                                                            : "default";
}

static void json_row(struct kb_cli *cli, const struct kb_options *options, enum kb_option_id id,
                     const struct kb_buf *value)
{
    const struct kb_origin *origin = kb_options_origin(options, id);

    kb_show_open(&cli->show, NULL, KB_SHOW_FIELDS);
    kb_show_word(&cli->show, "name", kb_option_rows[id].name);
    if (value->len > 0) {
        kb_show_text(&cli->show, "value", kb_buf_bytes(value));
    } else {
        kb_show_null(&cli->show, "value");
    }
    kb_show_bool(&cli->show, "default", kb_options_is_default(options, id));
    kb_show_word(&cli->show, "layer", layer_name(origin->layer));
    if (origin->file != NULL) {
        kb_show_text(&cli->show, "file", kb_str(origin->file));
        kb_show_number(&cli->show, "line", origin->line, NULL);
    }
    kb_show_word(&cli->show, "help", kb_option_rows[id].help);
    kb_show_close(&cli->show);
}

static void show_row(struct kb_cli *cli, const struct kb_options *options, enum kb_option_id id)
{
    struct kb_buf value;

    kb_buf_init(&value, 1 << 16);
    kb_options_show(options, id, &value);
    if (cli->json) {
        json_row(cli, options, id, &value);
    } else {
        print_row(cli, options, id, &value);
    }
    kb_buf_wipe(&value);
}

static void list(struct kb_cli *cli, const struct kb_options *options,
                 const struct request *request)
{
    if (cli->json) {
        kb_show_open(&cli->show, NULL, KB_SHOW_FIELDS);
        kb_show_bool(&cli->show, "identity", options->has_identity);
        kb_show_open(&cli->show, "options", KB_SHOW_ITEMS);
    }
    for (size_t i = 0; i < KB_OPT_NUM; i++) {
        if (!request->changed || !kb_options_is_default(options, (enum kb_option_id)i)) {
            show_row(cli, options, (enum kb_option_id)i);
        }
    }
    if (cli->json) {
        kb_show_close(&cli->show);
        kb_show_close(&cli->show);
    }
}

/* The bare value: nothing at all where there is none. */
static void show_value(struct kb_cli *cli, const struct kb_options *options, enum kb_option_id id)
{
    struct kb_buf value;

    if (cli->json) {
        show_row(cli, options, id);
        return;
    }
    kb_buf_init(&value, 1 << 16);
    kb_options_show(options, id, &value);
    if (value.len > 0) {
        kb_buf_add(&cli->out, kb_buf_bytes(&value));
        kb_buf_add_str(&cli->out, "\n");
    }
    kb_buf_wipe(&value);
}

static int unknown_option(struct kb_cli *cli, const char *name)
{
    const char *nearest = kb_option_nearest(kb_str(name));

    if (strchr(name, '=') != NULL) {
        return kb_cli_usage(cli,
                            "options are not set here: write \"%s\" into a file or "
                            "KERBSIDE_OPTIONS (kerbside(8)), or give it to -o",
                            name);
    }
    if (nearest == NULL) {
        return kb_cli_usage(cli, "there is no option \"%s\"", name);
    }
    return kb_cli_usage(cli, "there is no option \"%s\"; did you mean %s?", name, nearest);
}

/* A program as the kernel names it: found by PATH if need be, links followed. It stays for good. */
static const char *find_program(const char *name)
{
    const char *rest = strchr(name, '/') == NULL ? getenv("PATH") : NULL;
    char path[PATH_MAX], *real = NULL;

    while (real == NULL && rest != NULL && *rest != '\0') {
        int len = (int)strcspn(rest, ":");

        snprintf(path, sizeof(path), "%.*s/%s", len, rest, name);
        real = access(path, X_OK) == 0 ? realpath(path, NULL) : NULL;
        rest += len + (rest[len] == ':');
    }
    if (real == NULL) {
        real = realpath(name, NULL);
    }
    return real != NULL ? real : name;
}

bool kb_cli_whose(struct kb_options_query *query, int id, const char *value)
{
    switch (id) {
    case 't':
        query->target = kb_str(value);
        return true;
    case 'c':
        query->client = kb_str(value);
        return true;
    case 'p':
        kb_match_pretend_program(find_program(value));
        return true;
    default:
        return false;
    }
}

/* The sentence names the place: for a person, that is -o. */
static int bad_option(struct kb_cli *cli, enum kb_status status, struct kb_error *err)
{
    static const char place[] = "the process's settings: ";
    size_t len = sizeof(place) - 1;

    if (status == KB_ERROR && strncmp(err->text, place, len) == 0) {
        memmove(err->text, err->text + len, strlen(err->text + len) + 1);
        kb_error_context(err, "-o");
    }
    (void)kb_cli_status(cli, status, err);
    return KB_EXIT_USAGE;
}

int kb_cli_set_options(struct kb_cli *cli)
{
    for (size_t i = 0; i < cli->num_set; i++) {
        struct kb_error err = {0};
        enum kb_status status = kb_options_process_set(kb_str(cli->set[i]), &err);

        if (status != KB_OK) {
            return bad_option(cli, status, &err);
        }
    }
    return KB_EXIT_OK;
}

static int show(struct kb_cli *cli, const struct request *request, const struct kb_option_row *row)
{
    const struct kb_options *options = NULL;
    struct kb_error err = {0};
    enum kb_status status = kb_options_get(&request->query, &options, &err);

    if (status != KB_OK) {
        return kb_cli_status(cli, status, &err);
    }
    if (row != NULL) {
        show_value(cli, options, kb_option_id(row));
    } else {
        list(cli, options, request);
    }
    kb_options_put(options);
    return KB_EXIT_OK;
}

int kb_cli_config(struct kb_cli *cli)
{
    struct request request = {.query = {.with_krb5conf = true}};
    const struct kb_option_row *row = NULL;
    const char *name, *file = NULL;
    int code;

    for (int id; (id = kb_cli_option(cli)) != -1;) {
        switch (id) {
        case ID_ALL:
            request.changed = false;
            break;
        case ID_CHANGED:
            request.changed = true;
            break;
        case ID_CHECK:
            file = optarg;
            break;
        default:
            if (!kb_cli_whose(&request.query, id, optarg)) {
                return cli->code;
            }
        }
    }
    if (!kb_cli_operands(cli, 0, file != NULL ? 0 : 1)) {
        return KB_EXIT_USAGE;
    }
    if (file != NULL) {
        return kb_cli_check(cli, file);
    }
    name = cli->argv[optind];
    if (name != NULL && (row = kb_option_find(kb_str(name))) == NULL) {
        return unknown_option(cli, name);
    }
    code = kb_cli_set_options(cli);
    return code == KB_EXIT_OK ? show(cli, &request, row) : code;
}
