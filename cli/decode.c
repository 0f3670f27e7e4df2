/* kerbside decode: what a Kerberos message or token says. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/input.h"
#include "cli/recognise.h"

#define MAX_INPUT (16u << 20)

struct request {
    enum kb_input_form form;
    struct kb_keytab *keytab; /* NULL: none */
};

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
            return kb_cli_fail(cli, KB_EXIT_SYSTEM, "%s: %s", name,
                               out->status == KB_TOO_BIG ? "longer than 16 MiB"
                                                         : kb_status_text(out->status));
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

static const char *form_name(enum kb_input_form form)
{
    return form == KB_INPUT_HEX ? "hexadecimal" : form == KB_INPUT_BASE64 ? "Base64" : "raw";
}

/* What it is not, and what it begins with. */
static int unknown(struct kb_cli *cli, kb_bytes bytes, enum kb_input_form form)
{
    const char *like = kb_looks_like(bytes);
    struct kb_buf first;

    kb_buf_init(&first, 256);
    for (size_t i = 0; i < bytes.len && i < 16; i++) {
        kb_buf_printf(&first, " %02x", bytes.ptr[i]);
    }
    kb_cli_fail(cli, KB_EXIT_FAILED,
                "no Kerberos message or token that is known here%s%s (%zu bytes, read as %s%s%s)",
                like != NULL ? ": it looks like " : "", like != NULL ? like : "", bytes.len,
                form_name(form), bytes.len > 0 ? ", beginning" : "", kb_buf_str(&first));
    kb_buf_wipe(&first);
    return KB_EXIT_FAILED;
}

static int show(struct kb_cli *cli, kb_bytes bytes, const struct request *request)
{
    struct kb_recogniser r = {.show = &cli->show, .keytab = request->keytab};
    struct kb_why why;
    enum kb_status status;
    int code = KB_EXIT_OK;

    kb_show_open(&cli->show, NULL, KB_SHOW_FIELDS);
    if (cli->json) {
        kb_show_word(&cli->show, "input", form_name(request->form));
    }
    status = kb_recognise(&r, bytes, &why);
    if (status == KB_WRONG_TYPE) {
        code = unknown(cli, bytes, request->form);
    } else if (status == KB_NO_MEMORY) {
        code = kb_cli_status(cli, status, NULL);
    } else if (status != KB_OK) {
        code = kb_cli_fail(cli, KB_EXIT_FAILED, "%s", why.text);
    }
    kb_cli_show_failure(cli);
    kb_show_close(&cli->show);
    return code;
}

static int decode(struct kb_cli *cli, const char *path, struct request *request)
{
    struct kb_buf text, bytes;
    int code;

    kb_buf_init(&text, MAX_INPUT);
    kb_buf_init(&bytes, MAX_INPUT);
    code = read_input(cli, path, &text);
    if (code == KB_EXIT_OK) {
        enum kb_input_form form = request->form;

        if (kb_input_bytes(kb_buf_bytes(&text), form, &bytes, &request->form) == KB_OK) {
            code = show(cli, kb_buf_bytes(&bytes), request);
        } else {
            code = kb_cli_fail(cli, KB_EXIT_FAILED, "the input is not %s", form_name(form));
        }
    }
    kb_buf_wipe(&text);
    kb_buf_wipe(&bytes);
    return code;
}

static int decode_with(struct kb_cli *cli, const char *path, const char *keytab,
                       struct request *request)
{
    struct kb_error err = {0};
    enum kb_status status;
    int code;

    if (keytab != NULL) {
        status = kb_keytab_read(keytab, &request->keytab, &err);
        if (status != KB_OK) {
            (void)kb_cli_status(cli, status, &err);
            return KB_EXIT_SYSTEM;
        }
    }
    code = decode(cli, path, request);
    kb_keytab_free(request->keytab);
    return code;
}

const struct kb_cli_option kb_cli_decode_options[] = {
    {'x', "hex", NULL, "the input is hexadecimal"},
    {'b', "base64", NULL, "the input is Base64"},
    {'r', "raw", NULL, "the input is the bytes themselves"},
    {'k', "keytab", "FILE", "open what the keys in FILE fit (no key is shown)"},
    {0},
};

int kb_cli_decode(struct kb_cli *cli)
{
    struct request request = {.form = KB_INPUT_AUTO};
    const char *keytab = NULL;

    for (int id; (id = kb_cli_option(cli)) != -1;) {
        switch (id) {
        case 'x':
            request.form = KB_INPUT_HEX;
            break;
        case 'b':
            request.form = KB_INPUT_BASE64;
            break;
        case 'r':
            request.form = KB_INPUT_RAW;
            break;
        case 'k':
            keytab = optarg;
            break;
        default:
            return cli->code;
        }
    }
    if (!kb_cli_operands(cli, 0, 1)) {
        return KB_EXIT_USAGE;
    }
    return decode_with(cli, cli->argv[optind], keytab, &request);
}
