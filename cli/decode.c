/* kerbside decode: what a Kerberos message or token says. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include "asn1/print.h"
#include "asn1/table.h"
#include "cli/cli.h"
#include "cli/input.h"

#define MAX_INPUT (16u << 20)

static int read_all(struct kb_cli *cli, const char *name, int fd, struct kb_buf *out)
{
    uint8_t piece[4096];

    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return kb_cli_fail(cli, KB_EXIT_SYSTEM, "%s: %s", name, strerror(errno));
        }
        if (n == 0) {
            return KB_EXIT_OK;
        }
        kb_buf_add(out, kb_bytes_of(piece, (size_t)n));
        if (out->status != KB_OK) {
            return kb_cli_fail(cli, KB_EXIT_SYSTEM, "%s: %s", name, kb_status_text(out->status));
        }
    }
}

static int read_input(struct kb_cli *cli, const char *path, struct kb_buf *out)
{
    int fd, code;

    if (path == NULL || strcmp(path, "-") == 0) {
        return read_all(cli, "standard input", STDIN_FILENO, out);
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return kb_cli_fail(cli, KB_EXIT_SYSTEM, "%s: %s", path, strerror(errno));
    }
    code = read_all(cli, path, fd, out);
    close(fd);
    return code;
}

static int show(struct kb_cli *cli, kb_bytes message)
{
    const struct kb_type *type = kb_message_type(message);
    const struct kb_print_how how = {.show_secrets = false};
    struct kb_why why = {""};
    struct kb_arena arena;
    enum kb_status status;
    void *value;

    if (type == NULL) {
        return kb_cli_fail(cli, KB_EXIT_FAILED, "this is no Kerberos message");
    }
    kb_arena_init(&arena, NULL, 0, 4 * MAX_INPUT);
    value = kb_arena_alloc(&arena, type->size);
    status = value != NULL ? kb_decode(type, message, &arena, value, &why) : KB_NO_MEMORY;
    if (status == KB_OK) {
        kb_print_value(&cli->show, type->name, type, value, &how);
    } else {
        kb_cli_fail(cli, KB_EXIT_FAILED, "%s", why.text);
    }
    kb_arena_wipe(&arena);
    return status == KB_OK ? KB_EXIT_OK : KB_EXIT_FAILED;
}

static int decode(struct kb_cli *cli, const char *path, enum kb_input_form form)
{
    struct kb_buf text, bytes;
    int code;

    kb_buf_init(&text, MAX_INPUT);
    kb_buf_init(&bytes, MAX_INPUT);
    code = read_input(cli, path, &text);
    if (code == KB_EXIT_OK) {
        if (kb_input_bytes(kb_buf_bytes(&text), form, &bytes, &form) != KB_OK) {
            code = kb_cli_fail(cli, KB_EXIT_FAILED, "the input is not %s",
                               form == KB_INPUT_HEX ? "hexadecimal" : "Base64");
        } else {
            code = show(cli, kb_buf_bytes(&bytes));
        }
    }
    kb_buf_wipe(&text);
    kb_buf_wipe(&bytes);
    return code;
}

const struct kb_cli_option kb_cli_decode_options[] = {
    {'x', "hex", NULL, "the input is hexadecimal"},
    {'b', "base64", NULL, "the input is Base64"},
    {'r', "raw", NULL, "the input is the bytes themselves"},
    {0},
};

int kb_cli_decode(struct kb_cli *cli)
{
    enum kb_input_form form = KB_INPUT_AUTO;

    for (int id; (id = kb_cli_option(cli)) != -1;) {
        switch (id) {
        case 'x':
            form = KB_INPUT_HEX;
            break;
        case 'b':
            form = KB_INPUT_BASE64;
            break;
        case 'r':
            form = KB_INPUT_RAW;
            break;
        default:
            return cli->code;
        }
    }
    if (!kb_cli_operands(cli, 0, 1)) {
        return KB_EXIT_USAGE;
    }
    return decode(cli, cli->argv[optind], form);
}
