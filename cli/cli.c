#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_OPTIONS 24 /* of one command */
#define ID_HELP 'h'
#define ID_SET 'o'
#define ID_JSON 0x1000

static const struct kb_cli_option common[] = {
    {ID_SET, "option", "NAME=VALUE", "set an option of kerbside(8) for this run"},
    {ID_JSON, "json", NULL, "write for programs, in JSON"},
    {ID_HELP, "help", NULL, "this help"},
    {0},
};

static bool is_taken(const struct kb_cli *cli, const struct kb_cli_option *option)
{
    return option->id != ID_SET || cli->command->takes_set;
}

static void help_option(struct kb_cli *cli, const struct kb_cli_option *option)
{
    struct kb_buf left;

    kb_buf_init(&left, 200);
    if (option->id < 0x100) {
        kb_buf_printf(&left, "  -%c, --%s", option->id, option->name);
    } else {
        kb_buf_printf(&left, "      --%s", option->name);
    }
    if (option->argument != NULL) {
        kb_buf_printf(&left, "=%s", option->argument);
    }
    kb_buf_printf(&cli->out, "%-27s %s\n", kb_buf_str(&left), option->help);
    kb_buf_wipe(&left);
}

static int help(struct kb_cli *cli)
{
    const struct kb_cli_command *command = cli->command;

    kb_buf_printf(&cli->out, "Usage: kerbside %s [OPTION]... %s\n", command->name,
                  command->operands);
    kb_buf_printf(&cli->out, "%c%s.\n%s\nOptions:\n", command->summary[0] - 'a' + 'A',
                  command->summary + 1, command->about);
    for (size_t i = 0; command->options[i].name != NULL; i++) {
        help_option(cli, &command->options[i]);
    }
    for (size_t i = 0; common[i].name != NULL; i++) {
        if (is_taken(cli, &common[i])) {
            help_option(cli, &common[i]);
        }
    }
    return KB_EXIT_OK;
}

/* What getopt_long is told of the command's options and the common ones. */
struct options {
    struct option longs[MAX_OPTIONS + 1];
    char letters[2 * MAX_OPTIONS + 1];
    size_t num, num_letters;
};

static void add_option(struct options *options, const struct kb_cli_option *option)
{
    if (options->num == MAX_OPTIONS) {
        return;
    }
    options->longs[options->num++] = (struct option){
        option->name, option->argument != NULL ? required_argument : no_argument, NULL, option->id};
    if (option->id < 0x100) {
        options->letters[options->num_letters++] = (char)option->id;
        if (option->argument != NULL) {
            options->letters[options->num_letters++] = ':';
        }
    }
}

static int stop(struct kb_cli *cli, int code)
{
    cli->code = code;
    return KB_CLI_STOP;
}

int kb_cli_option(struct kb_cli *cli)
{
    struct options options = {.num = 0};

    for (size_t i = 0; cli->command->options[i].name != NULL; i++) {
        add_option(&options, &cli->command->options[i]);
    }
    for (size_t i = 0; common[i].name != NULL; i++) {
        if (is_taken(cli, &common[i])) {
            add_option(&options, &common[i]);
        }
    }
    for (;;) {
        int id = getopt_long(cli->argc, cli->argv, options.letters, options.longs, NULL);

        switch (id) {
        case ID_HELP:
            return stop(cli, help(cli));
        case ID_JSON:
            cli->json = cli->show.json = true;
            break;
        case '?':
            return stop(cli, kb_cli_usage(cli, NULL));
        case ID_SET:
            if (cli->num_set == KB_CLI_MAX_SET) {
                return stop(cli, kb_cli_usage(cli, "more than %d options -o", KB_CLI_MAX_SET));
            }
            cli->set[cli->num_set++] = optarg;
            break;
        default:
            return id;
        }
    }
}

bool kb_cli_operands(struct kb_cli *cli, int min, int max)
{
    int num = cli->argc - optind;

    for (int i = optind; i < cli->argc; i++) {
        if (cli->argv[i][0] == '\0') {
            kb_cli_usage(cli, "%s: an empty word stands where %s belongs", cli->command->name,
                         cli->command->operands);
            return false;
        }
    }
    if (num >= min && num <= max) {
        return true;
    }
    if (num < min) {
        kb_cli_usage(cli, "%s needs %s", cli->command->name, cli->command->operands);
    } else {
        kb_cli_usage(cli, "%s takes no \"%s\"", cli->command->name, cli->argv[optind + max]);
    }
    return false;
}

/* One line to the standard error, without the control characters that foreign text may hold. */
static void complain(kb_bytes line)
{
    fputs("kerbside: ", stderr);
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] < 0x20 || line.ptr[i] == 0x7f) {
            fprintf(stderr, "\\x%02x", line.ptr[i]);
        } else {
            putc(line.ptr[i], stderr);
        }
    }
    putc('\n', stderr);
}

static void vcomplain(struct kb_cli *cli, int code, const char *format, va_list args)
    KB_PRINTF(3, 0);

/* code 0: only a warning. */
static void vcomplain(struct kb_cli *cli, int code, const char *format, va_list args)
{
    struct kb_buf line;

    kb_buf_init(&line, 1 << 16);
    kb_buf_vprintf(&line, format, args);
    complain(line.status == KB_OK ? kb_buf_bytes(&line) : kb_str(kb_status_text(line.status)));
    if (code != 0) {
        kb_buf_wipe(&cli->failure);
        kb_buf_add(&cli->failure, kb_buf_bytes(&line));
        cli->failure_code = code;
    }
    kb_buf_wipe(&line);
}

void kb_cli_show_failure(struct kb_cli *cli)
{
    if (cli->json && cli->failure_code != 0) {
        kb_show_text(&cli->show, "error", kb_buf_bytes(&cli->failure));
        kb_show_number(&cli->show, "exit", cli->failure_code, NULL);
    }
}

int kb_cli_usage(struct kb_cli *cli, const char *format, ...)
{
    va_list args;

    if (format != NULL) {
        va_start(args, format);
        vcomplain(cli, KB_EXIT_USAGE, format, args);
        va_end(args);
    }
    fprintf(stderr, "Try \"kerbside %s%s--help\".\n",
            cli->command != NULL ? cli->command->name : "", cli->command != NULL ? " " : "");
    return KB_EXIT_USAGE;
}

int kb_cli_fail(struct kb_cli *cli, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vcomplain(cli, code, format, args);
    va_end(args);
    return code;
}

void kb_cli_warn(struct kb_cli *cli, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vcomplain(cli, 0, format, args);
    va_end(args);
}

int kb_cli_exit_code(enum kb_error_code code)
{
    switch (code) {
    case KB_E_OPTION:
    case KB_E_USER:
    case KB_E_NO_REALM:
    case KB_E_NO_SECRET:
    case KB_E_PASSWORD_SOURCE:
    case KB_E_PASSWORD_EXPOSED:
    case KB_E_KEYTAB:
    case KB_E_KEYTAB_NO_KEY:
    case KB_E_NO_KDC:
    case KB_E_DISABLED:
    case KB_E_CCACHE:
    case KB_E_CCACHE_OWNER:
        return KB_EXIT_CONFIG;
    case KB_E_NO_MEMORY:
        return KB_EXIT_SYSTEM;
    default:
        return KB_EXIT_FAILED;
    }
}

int kb_cli_error(struct kb_cli *cli, const struct kb_error *err)
{
    struct kb_buf line;
    int code = kb_cli_exit_code(err->code);

    kb_buf_init(&line, 4096);
    kb_error_line(err, &line);
    kb_cli_fail(cli, code, "%s", kb_buf_str(&line));
    kb_buf_wipe(&line);
    return code;
}

int kb_cli_status(struct kb_cli *cli, enum kb_status status, const struct kb_error *err)
{
    if (status == KB_ERROR && err != NULL) {
        return kb_cli_error(cli, err);
    }
    return kb_cli_fail(cli, status == KB_NO_MEMORY ? KB_EXIT_SYSTEM : KB_EXIT_FAILED, "%s",
                       kb_status_text(status));
}

void kb_cli_print(struct kb_cli *cli, const char *format, ...)
{
    va_list args;

    if (cli->json) {
        return;
    }
    va_start(args, format);
    kb_buf_vprintf(&cli->out, format, args);
    va_end(args);
}

bool kb_cli_flush(struct kb_cli *cli)
{
    kb_bytes rest = kb_buf_bytes(&cli->out);

    if (cli->out.status != KB_OK) {
        kb_cli_warn(cli, "standard output: %s", kb_status_text(cli->out.status));
        return false;
    }
    while (rest.len > 0) {
        ssize_t n = write(STDOUT_FILENO, rest.ptr, rest.len);

        if (n < 0 && errno != EINTR) {
            kb_cli_warn(cli, "standard output: %s", strerror(errno));
            return false;
        }
        if (n > 0) {
            rest.ptr += n;
            rest.len -= (size_t)n;
        }
    }
    kb_buf_wipe(&cli->out);
    return true;
}

void kb_cli_init(struct kb_cli *cli)
{
    *cli = (struct kb_cli){.argc = 0};
    kb_buf_init(&cli->out, (size_t)1 << 28);
    kb_buf_init(&cli->failure, 1 << 16);
    kb_show_init(&cli->show, &cli->out, false);
}

int kb_cli_end(struct kb_cli *cli, int code)
{
    if (cli->json && cli->failure_code != 0 && cli->out.len == 0) {
        kb_show_open(&cli->show, NULL, KB_SHOW_FIELDS);
        kb_cli_show_failure(cli);
        kb_show_close(&cli->show);
    }
    if (!kb_cli_flush(cli) && code == KB_EXIT_OK) {
        code = KB_EXIT_SYSTEM;
    }
    kb_buf_wipe(&cli->out);
    kb_buf_wipe(&cli->failure);
    return code;
}
