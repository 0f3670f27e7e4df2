/* cli.h - what the commands of kerbside(1) share: their table, options, output and exit codes.
 *
 * A command is a row of kb_cli_commands (main.c) and a function that returns an exit code. It reads
 * its options with kb_cli_option, checks its operands with kb_cli_operands, and writes to cli->show
 * (as text or as JSON) or, as text only, with kb_cli_print. Standard output is written when the
 * command has ended, or at kb_cli_flush; what went wrong goes to the standard error as "kerbside:
 * …". The command is one thread; nothing here depends on the locale. */
#ifndef KB_CLI_H
#define KB_CLI_H

#include "asn1/show.h"
#include "mech/report/error.h"

/* Exit codes, documented in kerbside(1). */
enum {
    KB_EXIT_OK = 0,
    KB_EXIT_FAILED = 1, /* what was asked for failed: a login, a step of the doctor, a decoding */
    KB_EXIT_USAGE = 2,  /* the command line is wrong */
    KB_EXIT_CONFIG = 3, /* the configuration is wrong, or configures no identity */
    KB_EXIT_NO_PLUGIN = 4, /* libgssapi does not load kerbside.so, so programs do not either */
    KB_EXIT_SYSTEM = 5,    /* a file cannot be read or written; no memory */
};

/* An option of a command. The last row of a table has no name. */
struct kb_cli_option {
    int id;               /* its letter; over 255 where it has none */
    const char *name;     /* long form, without the dashes */
    const char *argument; /* what help calls it; NULL: takes none */
    const char *help;
};

struct kb_cli;

struct kb_cli_command {
    const char *name;
    const char *operands; /* for help */
    const char *summary;  /* one line */
    const char *about;    /* the lines of its help under the summary */
    int (*run)(struct kb_cli *cli);
    const struct kb_cli_option *options;
    bool takes_set; /* -o NAME=VALUE */
};

extern const struct kb_cli_command kb_cli_commands[];
extern const size_t kb_cli_num_commands;

#define KB_CLI_MAX_SET 64

struct kb_cli {
    const struct kb_cli_command *command;
    int argc;
    char **argv; /* of the command; argv[0] is "kerbside". Operands are at argv[optind] and up */
    bool json;
    int code;                        /* why kb_cli_option stopped */
    const char *set[KB_CLI_MAX_SET]; /* the values of -o */
    size_t num_set;
    struct kb_buf failure; /* the last that was told, and its exit code */
    int failure_code;
    struct kb_buf out;
    struct kb_show show; /* writes to `out`; begins with nothing open */
};

/* kb_cli_option is the id of the next option, with its argument in optarg; -1 behind the last one.
 * --help, --json and -o are taken here. KB_CLI_STOP: the command returns cli->code at once. */
#define KB_CLI_STOP (-2)
int kb_cli_option(struct kb_cli *cli);

/* kb_cli_operands checks how many there are, none of them empty, and tells what is wrong; false:
 * return KB_EXIT_USAGE.
 */
bool kb_cli_operands(struct kb_cli *cli, int min, int max);

/* kb_cli_usage tells what is wrong with the command line, and returns KB_EXIT_USAGE. */
int kb_cli_usage(struct kb_cli *cli, const char *format, ...) KB_PRINTF(2, 3);

/* kb_cli_fail tells what went wrong (control characters escaped) and returns `code`. With --json
 * the standard output says it too: where the command wrote nothing, as {"error": …, "exit": …};
 * else by kb_cli_show_failure, which adds these fields to the open group. */
int kb_cli_fail(struct kb_cli *cli, int code, const char *format, ...) KB_PRINTF(3, 4);

void kb_cli_show_failure(struct kb_cli *cli);

/* kb_cli_error is kb_cli_fail for an error object; the code is KB_EXIT_CONFIG for what the options
 * say, else KB_EXIT_FAILED. kb_cli_status is it for a plain status. */
int kb_cli_error(struct kb_cli *cli, const struct kb_error *err);
int kb_cli_status(struct kb_cli *cli, enum kb_status status, const struct kb_error *err);
int kb_cli_exit_code(enum kb_error_code code);

/* kb_cli_warn tells a person more; it is no failure. */
void kb_cli_warn(struct kb_cli *cli, const char *format, ...) KB_PRINTF(2, 3);

/* kb_cli_print adds text for a person: nothing with --json. */
void kb_cli_print(struct kb_cli *cli, const char *format, ...) KB_PRINTF(2, 3);

/* kb_cli_init and kb_cli_end begin and end the run of a command: kb_cli_end writes what there is,
 * and gives the exit code that `code` becomes. */
void kb_cli_init(struct kb_cli *cli);
int kb_cli_end(struct kb_cli *cli, int code);

/* kb_cli_flush writes what there is to the standard output. False: it cannot be written (told). */
bool kb_cli_flush(struct kb_cli *cli);

/* kb_cli_set_options sets the options of -o for the core library of this command. Returns an exit
 * code, having told what is wrong. */
int kb_cli_set_options(struct kb_cli *cli);

/* What the options are asked for: -t, -c and -p of the commands that read them themselves. The
 * letters stand in the command's table by KB_CLI_WHOSE; kb_cli_whose takes one of them (false: it
 * is another option). */
#define KB_CLI_WHOSE                                                                               \
    {'t', "target", "TARGET", "for logins to this service: HTTP@www.example.com"},                 \
        {'c', "client", "NAME", "for a program that asks to log in as NAME"},                      \
    {                                                                                              \
        'p', "program", "PATH", "for this program, not for kerbside itself"                        \
    }
struct kb_options_query;
bool kb_cli_whose(struct kb_options_query *query, int id, const char *value);

/* kb_cli_check judges a file of options, a line for each problem: `config --check`. */
int kb_cli_check(struct kb_cli *cli, const char *path);

/* The commands, and their options. */
int kb_cli_config(struct kb_cli *cli);
int kb_cli_decode(struct kb_cli *cli);
int kb_cli_doctor(struct kb_cli *cli);
int kb_cli_forget(struct kb_cli *cli);
int kb_cli_list(struct kb_cli *cli);
int kb_cli_login(struct kb_cli *cli);
int kb_cli_token(struct kb_cli *cli);
extern const struct kb_cli_option kb_cli_config_options[], kb_cli_decode_options[],
    kb_cli_doctor_options[], kb_cli_login_options[], kb_cli_tickets_options[],
    kb_cli_token_options[];

#endif
