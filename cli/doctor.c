/* kerbside doctor: walks the way of a login, says what it sees, and what to do about the first
 * thing that is wrong. */
#include "cli/doctor.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>

#include "mech/process.h"

enum { ID_HTTP = 0x100 };

const struct kb_cli_option kb_cli_doctor_options[] = {
    {'t', "target", "SPN", "go on to a ticket for this service: HTTP@www.example.com"},
    {'c', "client", "NAME", "as a program that asks for this client"},
    {ID_HTTP, "http", "URL", "go on to this page, with curl"},
    {0},
};

/* --- what was seen --- */

static const struct {
    const char *word, *mark;
} findings[] = {
    [KB_SEEN_OK] = {"ok", "ok"},
    [KB_SEEN_NOTE] = {"note", "note"},
    [KB_SEEN_WARNING] = {"warning", "warning"},
    [KB_SEEN_FAILURE] = {"failed", "FAILED"},
    [KB_NOT_TRIED] = {"not tried", "-"},
};

static struct kb_step_seen *add(struct kb_doctor *doctor, enum kb_finding finding, const char *step,
                                const char *advice, const char *format, va_list args)
    KB_PRINTF(5, 0);

static struct kb_step_seen *add(struct kb_doctor *doctor, enum kb_finding finding, const char *step,
                                const char *advice, const char *format, va_list args)
{
    struct kb_step_seen *seen;
    struct kb_buf text;

    if (doctor->num_seen == KB_MAX_SEEN) {
        return &doctor->seen[KB_MAX_SEEN - 1];
    }
    seen = &doctor->seen[doctor->num_seen++];
    kb_buf_init(&text, 8192);
    kb_buf_vprintf(&text, format, args);
    *seen = (struct kb_step_seen){.finding = finding,
                                  .step = step,
                                  .saw = kb_strdup(kb_buf_bytes(&text)),
                                  .advice = advice != NULL ? kb_strdup(kb_str(advice)) : NULL};
    kb_buf_wipe(&text);
    return seen;
}

void kb_doctor_saw(struct kb_doctor *doctor, enum kb_finding finding, const char *step,
                   const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(doctor, finding, step, NULL, format, args);
    va_end(args);
}

void kb_doctor_failed(struct kb_doctor *doctor, int exit_code, const char *step, const char *advice,
                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(doctor, KB_SEEN_FAILURE, step, advice, format, args)->exit_code = exit_code;
    va_end(args);
}

void kb_doctor_warned(struct kb_doctor *doctor, const char *step, const char *advice,
                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(doctor, KB_SEEN_WARNING, step, advice, format, args);
    va_end(args);
}

void kb_doctor_error(struct kb_doctor *doctor, int exit_code, const char *step,
                     const struct kb_error *err)
{
    kb_doctor_failed(doctor, exit_code, step, err->no_hint ? NULL : kb_error_hint(err->code), "%s",
                     err->text);
}

static const struct kb_step_seen *first_failure(const struct kb_doctor *doctor)
{
    for (size_t i = 0; i < doctor->num_seen; i++) {
        if (doctor->seen[i].finding == KB_SEEN_FAILURE) {
            return &doctor->seen[i];
        }
    }
    return NULL;
}

bool kb_doctor_failing(const struct kb_doctor *doctor)
{
    return first_failure(doctor) != NULL;
}

/* --- the output: the verdict, then every step --- */

static const char *sentence(const char *text)
{
    return text != NULL ? text : "(out of memory)";
}

/* What will be wrong before long stands in the first line too. */
static const char *first_warning(const struct kb_doctor *doctor)
{
    for (size_t i = 0; i < doctor->num_seen; i++) {
        if (doctor->seen[i].finding == KB_SEEN_WARNING) {
            return sentence(doctor->seen[i].saw);
        }
    }
    return NULL;
}

static void print_verdict(struct kb_doctor *doctor, const struct kb_step_seen *failure)
{
    const char *warning;

    if (failure != NULL) {
        kb_cli_print(doctor->cli, "%s: %s.%s%s\n", failure->step, sentence(failure->saw),
                     failure->advice != NULL ? " " : "",
                     failure->advice != NULL ? failure->advice : "");
    } else if (doctor->has_ticket || doctor->has_tgt) {
        warning = first_warning(doctor);
        kb_cli_print(doctor->cli, "All is well: the login works%s.%s%s%s\n",
                     doctor->http != NULL ? ", to the page"
                     : doctor->has_ticket ? ", to a ticket for the service"
                                          : "; with --target or --http it is followed further",
                     warning != NULL ? " But: " : "", warning != NULL ? warning : "",
                     warning != NULL ? "." : "");
    } else {
        kb_cli_print(doctor->cli, "Nothing is wrong, but Kerbside logs nobody in here.\n");
    }
}

static void print_steps(struct kb_doctor *doctor)
{
    for (size_t i = 0; i < doctor->num_seen; i++) {
        const struct kb_step_seen *seen = &doctor->seen[i];

        kb_cli_print(doctor->cli, "  %-9s %-13s %s\n", findings[seen->finding].mark, seen->step,
                     sentence(seen->saw));
        if (seen->advice != NULL) {
            kb_cli_print(doctor->cli, "  %-9s %-13s -> %s\n", "", "", seen->advice);
        }
    }
}

static void show_step(struct kb_show *show, const char *name, const struct kb_step_seen *seen)
{
    kb_show_open(show, name, KB_SHOW_FIELDS);
    kb_show_word(show, "step", seen->step);
    kb_show_word(show, "finding", findings[seen->finding].word);
    kb_show_text(show, "saw", kb_str(sentence(seen->saw)));
    if (seen->advice != NULL) {
        kb_show_text(show, "advice", kb_str(seen->advice));
    }
    kb_show_close(show);
}

static void show_json(struct kb_doctor *doctor, const struct kb_step_seen *failure, int code)
{
    struct kb_show *show = &doctor->cli->show;

    kb_show_open(show, NULL, KB_SHOW_FIELDS);
    kb_show_bool(show, "well", failure == NULL);
    kb_show_number(show, "exit", code, NULL);
    if (failure != NULL) {
        show_step(show, "first", failure);
    }
    kb_show_open(show, "steps", KB_SHOW_ITEMS);
    for (size_t i = 0; i < doctor->num_seen; i++) {
        show_step(show, NULL, &doctor->seen[i]);
    }
    kb_show_close(show);
    kb_show_close(show);
}

static int report(struct kb_doctor *doctor)
{
    const struct kb_step_seen *failure = first_failure(doctor);
    int code = failure != NULL ? failure->exit_code : KB_EXIT_OK;

    if (doctor->cli->json) {
        show_json(doctor, failure, code);
    } else {
        print_verdict(doctor, failure);
        print_steps(doctor);
    }
    return code;
}

/* --- the walk --- */

static int walk(struct kb_doctor *doctor)
{
    int code;

    kb_doctor_plugin(doctor);
    kb_doctor_configuration(doctor);
    if (doctor->options != NULL && doctor->options->has_identity) {
        kb_doctor_kdcs(doctor);
        kb_doctor_login(doctor);
    }
    if (doctor->http != NULL) {
        kb_doctor_http(doctor);
    }
    code = report(doctor);
    for (size_t i = 0; i < doctor->num_seen; i++) {
        free(doctor->seen[i].saw);
        free(doctor->seen[i].advice);
    }
    kb_identity_put(doctor->identity);
    kb_options_put(doctor->options);
    return code;
}

/* The service of a page is HTTP@ and its host. */
static bool target_of_http(struct kb_doctor *doctor, struct kb_buf *out)
{
    kb_buf_add_str(out, "HTTP@");
    return kb_doctor_host_of(doctor->http, out) && out->status == KB_OK;
}

static int start(struct kb_doctor *doctor, const char *target)
{
    struct kb_buf text;
    int code;

    kb_buf_init(&text, KB_TARGET_MAX);
    if (target != NULL) {
        kb_buf_add_str(&text, target);
    } else if (doctor->http != NULL && !target_of_http(doctor, &text)) {
        kb_buf_wipe(&text);
        return kb_cli_usage(doctor->cli,
                            "--http takes a URL, as http://www.example.com/, not "
                            "\"%s\"",
                            doctor->http);
    }
    if ((text.len > 0 || target != NULL) &&
        kb_target_of_spn(&doctor->target, kb_buf_str(&text)) != KB_OK) {
        code = kb_cli_usage(doctor->cli, "\"%s\" is not the name of a service (service@host)",
                            kb_buf_str(&text));
    } else {
        doctor->query.target = kb_buf_bytes(&text);
        code = kb_cli_set_options(doctor->cli);
        code = code == KB_EXIT_OK ? walk(doctor) : code;
    }
    kb_buf_wipe(&text);
    return code;
}

int kb_cli_doctor(struct kb_cli *cli)
{
    struct kb_doctor *doctor = calloc(1, sizeof(*doctor));
    const char *target = NULL;
    int code;

    if (doctor == NULL) {
        return kb_cli_fail(cli, KB_EXIT_SYSTEM, "out of memory");
    }
    doctor->cli = cli;
    for (int id; (id = kb_cli_option(cli)) != -1;) {
        switch (id) {
        case 't':
            target = optarg;
            break;
        case 'c':
            doctor->query.client = kb_str(optarg);
            break;
        case ID_HTTP:
            doctor->http = optarg;
            break;
        default:
            free(doctor);
            return cli->code;
        }
    }
    code = kb_cli_operands(cli, 0, 0) ? start(doctor, target) : KB_EXIT_USAGE;
    free(doctor);
    return code;
}
