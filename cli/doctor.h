/* doctor.h - inside `kerbside doctor`: what is looked at, in order, and what was seen.
 *
 * A step looks at one thing and says what it saw; the first that fails gives the verdict, which is
 * the first line of the output. Later steps still run where they can, since they may say why. One
 * thread. */
#ifndef KB_CLI_DOCTOR_H
#define KB_CLI_DOCTOR_H

#include "cli/cli.h"
#include "mech/login/identity.h"
#include "mech/login/locate.h"
#include "mech/names/target.h"

enum kb_finding { KB_SEEN_OK, KB_SEEN_NOTE, KB_SEEN_WARNING, KB_SEEN_FAILURE, KB_NOT_TRIED };

struct kb_step_seen {
    enum kb_finding finding;
    const char *step; /* "configuration", "kdc", … */
    char *saw;        /* a sentence without a final stop */
    char *advice;     /* what to do; NULL: nothing */
    int exit_code;    /* of a failure */
};

#define KB_MAX_SEEN 128

struct kb_doctor {
    struct kb_cli *cli;
    const char *http;        /* --http; NULL */
    struct kb_target target; /* asked.len 0: none was named */
    struct kb_options_query query;
    const struct kb_options *options; /* NULL: they do not resolve */
    struct kb_identity *identity;     /* NULL: the secret cannot be read */
    struct kb_step_seen seen[KB_MAX_SEEN];
    size_t num_seen;
    unsigned num_answers; /* of KDCs */
    bool client_refused;  /* a KDC said, without a proof, that it cannot be this client */
    bool has_tgt, has_ticket;
};

/* kb_doctor_saw notes what a step saw; kb_doctor_failed a failure, with what to do about it;
 * kb_doctor_error one with the error's own hint. */
void kb_doctor_saw(struct kb_doctor *doctor, enum kb_finding finding, const char *step,
                   const char *format, ...) KB_PRINTF(4, 5);
void kb_doctor_failed(struct kb_doctor *doctor, int exit_code, const char *step, const char *advice,
                      const char *format, ...) KB_PRINTF(5, 6);
void kb_doctor_warned(struct kb_doctor *doctor, const char *step, const char *advice,
                      const char *format, ...) KB_PRINTF(4, 5);
void kb_doctor_error(struct kb_doctor *doctor, int exit_code, const char *step,
                     const struct kb_error *err);

/* kb_doctor_failing: has a step failed so far? */
bool kb_doctor_failing(const struct kb_doctor *doctor);

/* doctor_plugin.c: does libgssapi load the plugin? If not, why not? */
void kb_doctor_plugin(struct kb_doctor *doctor);

/* doctor_config.c: the options, the identity, its secret. */
void kb_doctor_configuration(struct kb_doctor *doctor);

/* doctor_kdc.c: names, the realm's KDCs over UDP and TCP, the clock, enctypes, the client. */
void kb_doctor_kdcs(struct kb_doctor *doctor);

/* doctor_login.c: the TGT, and the ticket of the target. */
void kb_doctor_login(struct kb_doctor *doctor);

/* doctor_http.c: to the page, by curl. */
void kb_doctor_http(struct kb_doctor *doctor);

/* kb_doctor_host_of appends the host of a URL in lower case; false: it is none of HTTP. */
bool kb_doctor_host_of(const char *url, struct kb_buf *out);

#endif
