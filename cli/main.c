/* kerbside: the command. Its first word says which; each is a row of the table and a file. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config.h"
#include "mech/options/table.h"
#include "mech/process.h"

const struct kb_cli_command kb_cli_commands[] = {
    {.name = "token",
     .operands = "SPN",
     .summary = "make an AP-REQ, for any tool that takes one",
     .about =
         "SPN is service@host, service/host or service/host@REALM. The AP-REQ is written as it "
         "is\n(EncodeAuthToken=True: in Base64); for HTTP:\n"
         "  curl -H \"$(kerbside token --header HTTP@www.example.com)\" "
         "http://www.example.com/\n",
     .run = kb_cli_token,
     .options = kb_cli_token_options,
     .takes_set = true},
    {.name = "login",
     .operands = "[SPN]",
     .summary = "log in as programs do, and show the ticket",
     .about = "Without SPN, the TGT is shown. Nothing is sent to the service itself.\n",
     .run = kb_cli_login,
     .options = kb_cli_login_options,
     .takes_set = true},
    {.name = "config",
     .operands = "[NAME]",
     .summary = "show the options, and where each comes from",
     .about = "With NAME, the bare value of that option and nothing else.\n",
     .run = kb_cli_config,
     .options = kb_cli_config_options,
     .takes_set = true},
    {.name = "list",
     .operands = "",
     .summary = "list the tickets in the identity's cache",
     .about = "Without a CredentialsCacheFile, each process has tickets of its own.\n",
     .run = kb_cli_list,
     .options = kb_cli_tickets_options,
     .takes_set = true},
    {.name = "forget",
     .operands = "[TARGET]",
     .summary = "remove tickets from the identity's cache",
     .about = "Without TARGET (service@host, service/host@REALM), all of them.\n",
     .run = kb_cli_forget,
     .options = kb_cli_tickets_options,
     .takes_set = true},
    {.name = "decode",
     .operands = "[FILE]",
     .summary = "show a Kerberos message or GSS token readably",
     .about = "Reads FILE, or the standard input (-): bytes, hexadecimal or Base64.\n",
     .run = kb_cli_decode,
     .options = kb_cli_decode_options},
    {.name = "doctor",
     .operands = "",
     .summary = "walk the way of a login, and say what is wrong with it",
     .about = "The first line is the verdict. One login is tried; a wrong password counts once.\n",
     .run = kb_cli_doctor,
     .options = kb_cli_doctor_options,
     .takes_set = true},
};
const size_t kb_cli_num_commands = sizeof(kb_cli_commands) / sizeof(kb_cli_commands[0]);

static const struct kb_cli_command *find(const char *name)
{
    for (size_t i = 0; i < kb_cli_num_commands; i++) {
        if (strcmp(kb_cli_commands[i].name, name) == 0) {
            return &kb_cli_commands[i];
        }
    }
    return NULL;
}

static int unknown(struct kb_cli *cli, const char *name)
{
    const char *names[sizeof(kb_cli_commands) / sizeof(kb_cli_commands[0])];
    const char *nearest;

    for (size_t i = 0; i < kb_cli_num_commands; i++) {
        names[i] = kb_cli_commands[i].name;
    }
    nearest = kb_nearest(kb_str(name), names, kb_cli_num_commands);
    if (nearest == NULL) {
        return kb_cli_usage(cli, "there is no command \"%s\"", name);
    }
    return kb_cli_usage(cli, "there is no command \"%s\"; did you mean \"%s\"?", name, nearest);
}

static int help(struct kb_cli *cli)
{
    kb_buf_add_str(&cli->out,
                   "Usage: kerbside COMMAND [OPTION]... [OPERAND]...\n"
                   "Shows what Kerbside, the Kerberos client of GSS-API programs, is configured to "
                   "do and does.\n\nCommands:\n");
    for (size_t i = 0; i < kb_cli_num_commands; i++) {
        kb_buf_printf(&cli->out, "  %-8s %s\n", kb_cli_commands[i].name,
                      kb_cli_commands[i].summary);
    }
    kb_buf_add_str(&cli->out, "\nOptions:\n"
                              "  -h, --help     this help; behind a command, the command's\n"
                              "  -V, --version  the version\n"
                              "      --json     write for programs, in JSON (RFC 8259)\n"
                              "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong "
                              "configuration, 4 plugin not loaded, 5 system.\n"
                              "More in kerbside(1); the options of the plugin are in "
                              "kerbside(8).\n");
    return KB_EXIT_OK;
}

static int run(struct kb_cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};

    for (int c; (c = getopt_long(argc, argv, "+hV", options, NULL)) != -1;) {
        switch (c) {
        case 'h':
            return help(cli);
        case 'V':
            kb_buf_add_str(&cli->out, "kerbside " PACKAGE_VERSION "\n");
            return KB_EXIT_OK;
        case 'j':
            cli->json = cli->show.json = true;
            break;
        default:
            return kb_cli_usage(cli, NULL);
        }
    }
    if (optind >= argc) {
        return kb_cli_usage(cli, "which command?");
    }
    cli->command = find(argv[optind]);
    if (cli->command == NULL) {
        return unknown(cli, argv[optind]);
    }
    cli->argc = argc - optind;
    cli->argv = argv + optind;
    cli->argv[0] = argv[0];
    optind = 0; /* glibc: getopt begins anew */
    return cli->command->run(cli);
}

/* A closed standard descriptor would else be the next file or socket that is opened. */
static void hold_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) {
            _exit(KB_EXIT_SYSTEM);
        }
    }
}

int main(int argc, char **argv)
{
    static char name[] = "kerbside";
    static struct kb_cli cli;
    int code;

    hold_descriptors();
    if (argc > 0) {
        argv[0] = name; /* in getopt's messages */
    }
    kb_cli_init(&cli);
    kb_process_start();
    code = run(&cli, argc, argv);
    return kb_cli_end(&cli, code);
}
