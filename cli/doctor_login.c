/* kerbside doctor: the login itself, with one proof: a TGT, then a ticket for the target. */
#include <time.h>

#include "cli/doctor.h"
#include "mech/login/login.h"
#include "mech/report/listener.h"

#define ENDS_SOON 3600 /* seconds */

/* "until 2026-11-25 08:00:00Z" */
static void add_until(struct kb_buf *out, int64_t endtime)
{
    time_t t = (time_t)endtime;
    struct tm tm;
    char text[40];

    if (gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &tm) > 0) {
        kb_buf_printf(out, "until %s", text);
    }
}

static void say_ticket(struct kb_doctor *doctor, const char *step,
                       const struct kb_credential *ticket)
{
    struct kb_buf text;
    char buf[24];

    kb_buf_init(&text, 4096);
    kb_buf_add_str(&text, "a ticket for ");
    kb_principal_unparse(ticket->server, &text);
    kb_buf_add_str(&text, ", ");
    add_until(&text, ticket->endtime);
    kb_buf_printf(&text, ", session key %s",
                  kb_enctype_name(kb_key_enctype(ticket->session_key)->etype, buf));
    kb_doctor_saw(doctor, KB_SEEN_OK, step, "%s", kb_buf_str(&text));
    kb_buf_wipe(&text);
}

/* Tickets of a cache are all that there is: they end, and nobody logs in anew. */
static void say_end(struct kb_doctor *doctor, const struct kb_credential *tgt)
{
    bool renewable = (tgt->flags & KB_TKT_RENEWABLE) != 0 && tgt->renew_till > tgt->endtime;
    int64_t end = renewable ? tgt->renew_till : tgt->endtime;
    int64_t left = end - kb_identity_now(doctor->identity);
    struct kb_buf text;

    if (kb_identity_has_secret(doctor->identity)) {
        return;
    }
    kb_buf_init(&text, 4096);
    kb_buf_add_str(&text, "there is no password or keytab: logins work ");
    add_until(&text, end);
    kb_buf_add_str(&text, renewable ? ", with the tickets in the cache renewed in time"
                                    : ", when the tickets in the cache end");
    if (left < ENDS_SOON) {
        kb_doctor_warned(doctor, "login",
                         "Fill the cache anew (kinit), or set Password or KeytabFile.",
                         "%s (in %lld minutes)", kb_buf_str(&text), (long long)left / 60);
    } else {
        kb_doctor_saw(doctor, KB_SEEN_NOTE, "login", "%s", kb_buf_str(&text));
    }
    kb_buf_wipe(&text);
}

static void see_tgt(struct kb_doctor *doctor, const struct kb_login *login)
{
    struct kb_error err = {0};
    struct kb_credential *tgt;

    if (kb_login_tgt(login, &tgt, &err) != KB_OK) {
        kb_doctor_error(doctor, KB_EXIT_FAILED, "login", &err);
        return;
    }
    doctor->has_tgt = true;
    say_ticket(doctor, "login", tgt);
    say_end(doctor, tgt);
    kb_credential_free(tgt);
}

static void see_ticket(struct kb_doctor *doctor, const struct kb_login *login)
{
    struct kb_target target = doctor->target;
    struct kb_error err = {0};
    struct kb_credential *ticket;

    if (doctor->options->spn != NULL && kb_target_of_spn(&target, doctor->options->spn) != KB_OK) {
        kb_doctor_failed(doctor, KB_EXIT_CONFIG, "service", "Write SPN=service/host.",
                         "SPN=%s is not the name of a service", doctor->options->spn);
        return;
    }
    if (kb_login_ticket(login, &target, &ticket, &err) != KB_OK) {
        kb_doctor_error(doctor, KB_EXIT_FAILED, "service", &err);
        return;
    }
    doctor->has_ticket = true;
    say_ticket(doctor, "service", ticket);
    kb_credential_free(ticket);
}

/* How much of a warning says what is wrong; the rest says what comes of it. */
static size_t cause_len(const char *text)
{
    const char *end = strrchr(text, ';');

    return end != NULL ? (size_t)(end - text) : strlen(text);
}

static bool is_said(const struct kb_doctor *doctor, const char *text)
{
    bool said = false;

    for (size_t i = 0; i < doctor->num_seen && !said; i++) {
        said =
            doctor->seen[i].saw != NULL && strncmp(doctor->seen[i].saw, text, cause_len(text)) == 0;
    }
    return said;
}

/* What the log is warned of, as of a cache that cannot be written, is seen here too. */
static void hear(void *arg, int level, const char *message, const char *type)
{
    static const char warning[] = "Warning: ";
    struct kb_doctor *doctor = arg;

    (void)level;
    (void)type;
    if (strncmp(message, warning, strlen(warning)) == 0 &&
        !is_said(doctor, message + strlen(warning))) {
        kb_doctor_warned(doctor, "login", NULL, "%s", message + strlen(warning));
    }
}

void kb_doctor_login(struct kb_doctor *doctor)
{
    const struct kb_callbacks callbacks = {.log = hear, .arg = doctor};
    struct kb_login login = {.options = doctor->options, .identity = doctor->identity};

    if (doctor->identity == NULL || doctor->client_refused || doctor->num_answers == 0) {
        kb_doctor_saw(doctor, KB_NOT_TRIED, "login", "not tried, for what is wrong above");
        return;
    }
    login.listener = kb_listener_new(&callbacks); /* NULL: nothing is heard */
    see_tgt(doctor, &login);
    if (doctor->has_tgt && doctor->target.asked.len > 0) {
        see_ticket(doctor, &login);
    }
    kb_listener_put(login.listener);
}
