/* kerbside config --check: judges a file before it is used. */
#include <stdio.h>

#include "cli/cli.h"
#include "mech/options/check.h"

struct check {
    struct kb_cli *cli;
    size_t num; /* of problems that are no warnings */
};

static void on_problem(void *arg, const struct kb_problem *problem)
{
    struct check *check = arg;
    struct kb_show *show = &check->cli->show;

    check->num += !problem->warning;
    if (!check->cli->json) {
        char line[16] = "";

        if (problem->line > 0) {
            snprintf(line, sizeof(line), ":%u", problem->line);
        }
        kb_cli_print(check->cli, "%s%s: %s%s\n", problem->file, line,
                     problem->warning ? "warning: " : "", problem->text);
        return;
    }
    kb_show_open(show, NULL, KB_SHOW_FIELDS);
    kb_show_text(show, "file", kb_str(problem->file));
    kb_show_number(show, "line", problem->line, NULL);
    kb_show_bool(show, "warning", problem->warning);
    kb_show_text(show, "problem", kb_str(problem->text));
    kb_show_close(show);
}

int kb_cli_check(struct kb_cli *cli, const char *path)
{
    struct check check = {.cli = cli};
    struct kb_error err = {0};
    enum kb_status status;

    if (cli->json) {
        kb_show_open(&cli->show, NULL, KB_SHOW_FIELDS);
        kb_show_text(&cli->show, "file", kb_str(path));
        kb_show_open(&cli->show, "problems", KB_SHOW_ITEMS);
    }
    status = kb_options_check(path, on_problem, &check, &err);
    if (cli->json) {
        kb_show_close(&cli->show);
    }
    if (status != KB_OK) {
        (void)kb_cli_status(cli, status, &err);
    }
    kb_cli_show_failure(cli);
    if (cli->json) {
        kb_show_close(&cli->show);
    }
    return status != KB_OK ? KB_EXIT_SYSTEM : check.num > 0 ? KB_EXIT_CONFIG : KB_EXIT_OK;
}
