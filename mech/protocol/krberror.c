#include "mech/protocol/krberror.h"

#include <inttypes.h>
#include <stdio.h>

#include "asn1/names.h"
#include "asn1/reader.h"
#include "crypto/enctype.h"
#include "mech/protocol/text.h"
#include "mech/report/events.h"

#define KRB_ERROR 30
#define PVNO 5

#define SECOND INT64_C(1000000)
#define MOST_OFFSET (INT64_C(50) * 365 * 86400) /* seconds */

#define PA_PW_SALT 3
#define EXTENDED_ERROR_LEN 12 /* MS-KILE 2.2.2: status, reserved, flags */

/* --- reading --- */

static enum kb_status padata_of_typed(const kb_typed_data *typed, struct kb_arena *arena,
                                      kb_method_data *out)
{
    kb_pa_data *items = kb_arena_alloc(arena, typed->num * sizeof(*items));

    if (items == NULL) {
        return KB_NO_MEMORY;
    }
    for (size_t i = 0; i < typed->num; i++) {
        items[i].padata_type = typed->items[i].data_type;
        items[i].padata_value = typed->items[i].data_value;
    }
    *out = (kb_method_data){items, typed->num};
    return KB_OK;
}

/* RFC 4120 5.9.1 leaves the form to the code; Windows sends one PA-DATA without a list around it.
 */
static enum kb_status read_e_data(kb_bytes e_data, struct kb_arena *arena, kb_method_data *out)
{
    kb_typed_data typed;
    kb_pa_data *one;
    enum kb_status st = kb_decode_method_data(e_data, arena, out, NULL);

    if (st == KB_OK || st == KB_NO_MEMORY) {
        return st;
    }
    st = kb_decode_typed_data(e_data, arena, &typed, NULL);
    if (st == KB_OK) {
        return padata_of_typed(&typed, arena, out);
    }
    one = kb_arena_alloc(arena, sizeof(*one));
    if (st == KB_NO_MEMORY || one == NULL) {
        return KB_NO_MEMORY;
    }
    st = kb_decode_pa_data(e_data, arena, one, NULL);
    *out = st == KB_OK ? (kb_method_data){one, 1} : (kb_method_data){NULL, 0};
    return st == KB_NO_MEMORY ? st : KB_OK;
}

/* AD's NTSTATUS has the number of PA-PW-SALT: it is taken out, so that nobody salts with it. */
static void take_ntstatus(struct kb_krberror *error)
{
    size_t num = 0;

    if (error->code == KB_KDC_PREAUTH_REQUIRED) {
        return;
    }
    for (size_t i = 0; i < error->padata.num; i++) {
        kb_pa_data pa = error->padata.items[i];
        struct kb_reader r = kb_reader(pa.padata_value);

        if (pa.padata_type == PA_PW_SALT && pa.padata_value.len == EXTENDED_ERROR_LEN) {
            error->ntstatus = kb_get_u32le(&r);
        } else {
            error->padata.items[num++] = pa;
        }
    }
    error->padata.num = num;
}

/* Older KDCs count the NUL at its end. */
static kb_bytes without_nul(kb_bytes text)
{
    return text.len > 0 && text.ptr[text.len - 1] == 0 ? kb_bytes_of(text.ptr, text.len - 1) : text;
}

enum kb_status kb_krberror_decode(kb_bytes message, struct kb_arena *arena, struct kb_krberror *out)
{
    kb_krb_error error;
    enum kb_status st = kb_decode_krb_error(message, arena, &error, NULL);

    *out = (struct kb_krberror){0};
    if (st == KB_OK && (error.pvno != PVNO || error.msg_type != KRB_ERROR)) {
        st = KB_WRONG_TYPE;
    }
    if (st != KB_OK) {
        return st;
    }
    out->code = error.error_code;
    out->stime = (struct kb_timestamp){error.stime, error.susec};
    out->e_text = error.has_e_text ? without_nul(error.e_text) : KB_NONE;
    out->crealm = error.has_crealm ? error.crealm : KB_NONE;
    if (error.has_e_data && error.e_data.len > 0) {
        st = read_e_data(error.e_data, arena, &out->padata);
    }
    take_ntstatus(out);
    return st;
}

void kb_krberror_tell(struct kb_events *events, const struct kb_krberror *error, const char *peer)
{
    const char *name = kb_number_name("error_code", error->code);
    struct kb_text e_text;

    kb_event_krb_error(events, error->code, name != NULL ? name : "unknown",
                       kb_text_escaped(&e_text, error->e_text), peer);
}

bool kb_krberror_offset(const struct kb_krberror *error, struct kb_timestamp now, int64_t *out)
{
    int64_t sec = error->stime.sec - now.sec;

    *out = sec * SECOND + error->stime.usec - now.usec;
    return sec > -MOST_OFFSET && sec < MOST_OFFSET;
}

/* --- explaining --- */

enum { AS = 1, TGS = 2, ANY = AS | TGS };

static const struct code_row {
    int32_t code;
    int exchange;
    enum kb_error_code kind;
    char phrase[80]; /* an array has no relocation at load */
} code_rows[] = {
#define KB_KDC_CODE(number, exchange, kind, phrase) {number, exchange, kind, phrase},
#define KB_NTSTATUS(number, name, kind, phrase)
#include "mech/protocol/krberror.def"
#undef KB_KDC_CODE
#undef KB_NTSTATUS
};

static const struct status_row {
    uint32_t status;
    char name[40];
    enum kb_error_code kind;
    char phrase[80];
} status_rows[] = {
#define KB_KDC_CODE(number, exchange, kind, phrase)
#define KB_NTSTATUS(number, name, kind, phrase) {number, name, kind, phrase},
#include "mech/protocol/krberror.def"
#undef KB_KDC_CODE
#undef KB_NTSTATUS
};

struct meaning {
    enum kb_error_code kind;
    const char *phrase;      /* empty: the kind's */
    const char *status_name; /* NULL: no NTSTATUS that we know */
};

static void meaning_of_code(int32_t code, int exchange, struct meaning *out)
{
    for (size_t i = 0; i < sizeof(code_rows) / sizeof(code_rows[0]); i++) {
        if (code_rows[i].code == code && (code_rows[i].exchange & exchange) != 0) {
            out->kind = code_rows[i].kind;
            out->phrase = code_rows[i].phrase;
        }
    }
}

static void meaning_of_status(uint32_t status, struct meaning *out)
{
    for (size_t i = 0; i < sizeof(status_rows) / sizeof(status_rows[0]); i++) {
        if (status_rows[i].status == status) {
            out->kind = status_rows[i].kind;
            out->phrase = status_rows[i].phrase;
            out->status_name = status_rows[i].name;
        }
    }
}

static int64_t seconds_ahead(const struct kb_krberror *error, const struct kb_krberror_about *about)
{
    return error->stime.sec - about->now.sec;
}

/* NTSTATUS says more than the code it comes with; a refused proof is the secret's fault. */
static struct meaning meaning_of(const struct kb_krberror *error,
                                 const struct kb_krberror_about *about)
{
    struct meaning m = {.kind = KB_E_KDC_ERROR, .phrase = ""};

    meaning_of_code(error->code, about->service != NULL ? TGS : AS, &m);
    meaning_of_status(error->ntstatus, &m);
    if (m.kind == KB_E_WRONG_PASSWORD && about->keytab) {
        m.kind = KB_E_KEY_REFUSED;
        m.phrase = "";
    }
    if (m.kind == KB_E_WRONG_PASSWORD && about->secret == NULL) {
        m.kind = KB_E_PREAUTH;
        m.phrase = "the KDC refused the request's pre-authentication, which it had none of";
    }
    /* A ticket for the next day is never valid at a KDC that is two days ahead. */
    if (error->code == KB_KDC_NEVER_VALID &&
        (seconds_ahead(error, about) > 600 || seconds_ahead(error, about) < -600)) {
        m.kind = KB_E_CLOCK;
    }
    return m;
}

/* ", whose clock is 600 seconds ahead of ours," */
static void clock_phrase(char out[80], const struct kb_krberror *error,
                         const struct kb_krberror_about *about)
{
    int64_t ahead = seconds_ahead(error, about);

    snprintf(out, 80, ", whose clock is %" PRId64 " seconds %s ours,", ahead < 0 ? -ahead : ahead,
             ahead < 0 ? "behind" : "ahead of");
}

/* `KDC_ERR_PREAUTH_FAILED (24): "e-text", STATUS_WRONG_PASSWORD (0xc000006a)` */
static void said(char *out, size_t size, const struct kb_krberror *error, const struct meaning *m)
{
    const char *name = kb_number_name("error_code", error->code);
    struct kb_text text;
    int len = snprintf(out, size, "%s (%" PRId32 ")", name != NULL ? name : "error", error->code);

    if (error->e_text.len > 0 && (size_t)len < size) {
        len += snprintf(out + len, size - (size_t)len, ": \"%s\"",
                        kb_text_escaped(&text, error->e_text));
    }
    if (error->code == KB_KDC_WRONG_REALM && error->crealm.len > 0 && (size_t)len < size) {
        len += snprintf(out + len, size - (size_t)len, ", to realm %s",
                        kb_text_escaped(&text, error->crealm));
    }
    if (error->ntstatus != 0 && (size_t)len < size) {
        snprintf(out + len, size - (size_t)len, ", %s (0x%08" PRIx32 ")",
                 m->status_name != NULL ? m->status_name : "NTSTATUS", error->ntstatus);
    }
}

/* "HTTP/www.example.org@R for alice@R", or only who wants to log in. */
static void subject(char *out, size_t size, const struct kb_krberror_about *about)
{
    struct kb_text client, service;

    kb_text_principal(&client, about->client);
    if (about->service != NULL) {
        snprintf(out, size, "%s for %s", kb_text_principal(&service, about->service), client.text);
    } else {
        snprintf(out, size, "%s", client.text);
    }
}

/* What was asked for where nothing of it was right. */
static void add_etypes(struct kb_error *err, const struct kb_krberror_about *about)
{
    for (size_t i = 0; i < about->num_etypes; i++) {
        size_t len = strlen(err->text);
        char buf[24];

        snprintf(err->text + len, sizeof(err->text) - len, "%s%s",
                 i == 0 ? "; asked for was " : ", ", kb_enctype_name(about->etypes[i], buf));
    }
}

void kb_krberror_explain(struct kb_error *err, const struct kb_krberror *error,
                         const struct kb_krberror_about *about)
{
    struct meaning m = meaning_of(error, about);
    char subject_text[340], said_text[460], clock[80] = "";
    bool secret =
        about->secret != NULL && (m.kind == KB_E_WRONG_PASSWORD || m.kind == KB_E_KEY_REFUSED);

    if (err->code != KB_E_NONE) {
        return;
    }
    subject(subject_text, sizeof(subject_text), about);
    said(said_text, sizeof(said_text), error, &m);
    if (m.kind == KB_E_CLOCK) {
        clock_phrase(clock, error, about);
    }
    kb_error_set(err, m.kind, "%s: %s%.300s: KDC%s%.64s%s answered %s", subject_text,
                 secret              ? "the KDC refused "
                 : *m.phrase != '\0' ? m.phrase
                                     : kb_error_text(m.kind),
                 secret ? about->secret : "", about->peer != NULL && *about->peer ? " " : "",
                 about->peer != NULL ? about->peer : "", clock, said_text);
    if (m.kind == KB_E_NO_ENCTYPE) {
        add_etypes(err, about);
    }
    err->kdc_code = error->code;
    err->ntstatus = error->ntstatus;
}
