#include "mech/spi/call.h"

#include <stdlib.h>

#include "mech/login/facts.h"
#include "mech/options/process.h"
#include "mech/options/show.h"
#include "mech/options/text.h"
#include "mech/spi/credstate.h"
#include "mech/spi/decide.h"
#include "mech/spi/fail.h"

/* The header is written for programs, with strings as OIDs. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include <gssapi/gssapi_kerbside.h>
#pragma GCC diagnostic pop

/* --- what is meant --- */

/* 1.3.6.1.4.1.32473.88.1: KERBSIDE_MECH_OID. The next byte is the call. */
static const uint8_t prefix[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x58, 0x01};

enum kb_call kb_call_of(gss_const_OID object, kb_bytes *out_name)
{
    size_t head = sizeof(prefix) + 1;
    const uint8_t *oid;
    enum kb_call call;

    *out_name = KB_NONE;
    if (object == GSS_C_NO_OID || object->length < head ||
        memcmp(object->elements, prefix, sizeof(prefix)) != 0) {
        return KB_CALL_OTHER;
    }
    oid = object->elements;
    call = (enum kb_call)oid[sizeof(prefix)];
    if (call == KB_CALL_QUERY) {
        *out_name = kb_bytes_of(oid + head, object->length - head);
        return call;
    }
    return call <= KB_CALL_CALLBACKS && object->length == head ? call : KB_CALL_OTHER;
}

const struct kb_option_row *kb_call_option(kb_bytes name, struct kb_error *err)
{
    const struct kb_option_row *row = kb_option_find(name);
    const char *near = row == NULL ? kb_option_nearest(name) : NULL;

    if (row == NULL) {
        (void)kb_error_set(err, KB_E_OPTION, "There is no option `%s`%s%s%s", kb_show(name).text,
                           near != NULL ? " (did you mean " : "", near != NULL ? near : "",
                           near != NULL ? "?)" : "");
    }
    return row;
}

/* A struct of the program's: it begins with its size, which may be that of a later release. */
static bool struct_of(gss_buffer_t value, size_t size, void *out, struct kb_error *err)
{
    size_t says = 0;

    if (value != GSS_C_NO_BUFFER && value->value != NULL && value->length >= sizeof(says)) {
        memcpy(&says, value->value, sizeof(says));
    }
    if (says < size || value->length < size) {
        (void)kb_error_set(err, KB_E_OPTION,
                           "The value of this call is not a struct of gssapi_kerbside.h: its size "
                           "is %zu, not %zu",
                           says, size);
        err->no_hint = true;
        return false;
    }
    memcpy(out, value->value, size);
    return true;
}

static OM_uint32 no_memory(OM_uint32 *minor, const char *what)
{
    struct kb_error err = {0};

    (void)kb_error_set(&err, KB_E_NO_MEMORY, "No memory or no file descriptor for %s", what);
    return kb_fail(minor, &err);
}

/* --- what is answered --- */

enum kb_status kb_call_answer(const struct kb_options *options, struct kb_identity *identity,
                              bool process, const struct kb_option_row *row, struct kb_buf *out,
                              struct kb_error *err)
{
    char fact[KB_FACT_TEXT];

    if (kb_option_id(row) == KB_OPT_AuthToken) {
        return kb_error_set(err, KB_E_CONTEXT_STATE,
                            "AuthToken is that of a context (gss_inquire_sec_context_by_oid)");
    }
    if ((process || identity != NULL) && kb_facts_text(identity, row->name, fact)) {
        kb_buf_add_str(out, fact);
    } else {
        kb_options_show(options, kb_option_id(row), out);
    }
    return KB_OK;
}

OM_uint32 kb_call_give(OM_uint32 *minor, const struct kb_buf *text, gss_buffer_set_t *data)
{
    gss_buffer_desc member = {text->len, text->data};

    if (text->status != KB_OK) {
        return kb_no_memory(minor);
    }
    /* libgssapi allocates an empty member and does not release it. */
    return text->len > 0 ? gss_add_buffer_set_member(minor, &member, data)
                         : gss_create_empty_buffer_set(minor, data);
}

/* --- callbacks and interrupts, of process and credentials --- */

static OM_uint32 give_interrupt(OM_uint32 *minor, struct kb_gss_cred *cred, gss_buffer_t value)
{
    struct kerbside_interrupt out;
    struct kb_interrupt *interrupt;
    struct kb_error err = {0};

    if (!struct_of(value, sizeof(out), &out, &err)) {
        return kb_fail(minor, &err);
    }
    interrupt = cred == NULL ? kb_interrupt_process(true)
                             : kb_cred_make_interrupt(
                                   cred, out.interrupt == kb_interrupt_fire ? out.argument : NULL);
    if (interrupt == NULL) {
        return no_memory(minor, "an interrupt");
    }
    out.interrupt = kb_interrupt_fire;
    out.argument = interrupt;
    memcpy(value->value, &out, sizeof(out));
    return GSS_S_COMPLETE;
}

static bool same_callbacks(const struct kb_callbacks *a, const struct kb_callbacks *b)
{
    return a->log == b->log && a->trail == b->trail && a->error == b->error && a->wait == b->wait &&
           a->release == b->release && a->arg == b->arg;
}

/* The listener that a struct of callbacks means: a new one, or that which the same call of the
 * program left with another credential just before. KB_NOT_FOUND: no credential has that any more,
 * another call has replaced it meanwhile and its argument may have been released. */
static enum kb_status listener_of(const struct kerbside_callbacks *given, struct kb_listener **out)
{
    struct kb_callbacks callbacks = {
        .log = given->log,
        .trail = given->pitrail,
        .error = given->error,
        .wait = given->wait,
        .release = given->release,
        .arg = given->argument,
    };

    if (given->reserved == NULL) {
        *out = kb_listener_new(&callbacks);
        return *out != NULL ? KB_OK : KB_NO_MEMORY;
    }
    *out = kb_cred_same_listener(given->reserved);
    if (*out != NULL && same_callbacks(kb_listener_callbacks(*out), &callbacks)) {
        return KB_OK;
    }
    kb_listener_put(*out); /* another, where the former was */
    *out = NULL;
    return KB_NOT_FOUND;
}

static void hear(struct kb_gss_cred *cred, struct kb_listener *listener)
{
    if (cred != NULL) {
        kb_cred_listen(cred, listener);
    } else {
        kb_listener_set_process(listener);
    }
}

static OM_uint32 set_callbacks(OM_uint32 *minor, struct kb_gss_cred *cred, gss_buffer_t value)
{
    struct kerbside_callbacks given;
    struct kb_listener *listener;
    struct kb_error err = {0};
    enum kb_status st;

    if (value == GSS_C_NO_BUFFER || value->length == 0) {
        hear(cred, NULL);
        return GSS_S_COMPLETE;
    }
    if (!struct_of(value, sizeof(given), &given, &err)) {
        return kb_fail(minor, &err);
    }
    st = listener_of(&given, &listener);
    if (st == KB_NOT_FOUND) {
        return GSS_S_COMPLETE; /* as if that call had come after this one */
    }
    if (st != KB_OK) {
        return no_memory(minor, "callbacks");
    }
    given.reserved = cred != NULL ? listener : NULL;
    memcpy(value->value, &given, sizeof(given));
    hear(cred, listener);
    return GSS_S_COMPLETE;
}

/* --- the process --- */

static OM_uint32 ask_process(OM_uint32 *minor, gss_buffer_t value)
{
    struct kb_options_query query = {.with_krb5conf = true};
    const struct kb_options *options = NULL;
    const struct kb_option_row *row;
    struct kerbside_query asked;
    struct kb_error err = {0};
    struct kb_buf text;
    OM_uint32 major;

    if (!struct_of(value, sizeof(asked), &asked, &err)) {
        return kb_fail(minor, &err);
    }
    kb_give_nothing(&asked.value);
    kb_buf_init(&text, KB_NAME_MAX);
    row = kb_call_option(kb_str(asked.name), &err);
    if (row == NULL || kb_options_get(&query, &options, &err) != KB_OK ||
        kb_call_answer(options, NULL, true, row, &text, &err) != KB_OK) {
        major = kb_fail(minor, &err);
    } else {
        major = text.status == KB_OK ? kb_give_bytes(minor, kb_buf_bytes(&text), &asked.value)
                                     : kb_no_memory(minor);
    }
    memcpy(value->value, &asked, sizeof(asked));
    kb_options_put(options);
    kb_buf_wipe(&text);
    return major;
}

static OM_uint32 configure_process(OM_uint32 *minor, gss_buffer_t value)
{
    struct kb_error err = {0};
    struct kb_buf text;
    enum kb_status st =
        kb_call_resolve(NULL, KB_NONE, NULL, NULL, kb_bytes_of_buffer(value), &text, &err);

    if (st == KB_OK) {
        st = kb_options_process_set(kb_buf_bytes(&text), &err);
        kb_facts_forget(); /* they are of other options */
    }
    kb_buf_wipe(&text);
    return st == KB_OK ? GSS_S_COMPLETE : kb_fail_call(minor, NULL, &err);
}

OM_uint32 kb_call_process(OM_uint32 *minor, gss_const_OID object, gss_buffer_t value)
{
    kb_bytes name;
    enum kb_call call = kb_call_of(object, &name);

    kb_decide_start();
    switch (call) {
    case KB_CALL_CONFIGURE:
        return configure_process(minor, value);
    case KB_CALL_QUERY:
        return ask_process(minor, value);
    case KB_CALL_RESET:
        kb_options_process_reset();
        kb_identity_forget_process();
        kb_facts_forget();
        return GSS_S_COMPLETE;
    case KB_CALL_INTERRUPT:
        return give_interrupt(minor, NULL, value);
    case KB_CALL_CALLBACKS:
        return set_callbacks(minor, NULL, value);
    default:
        return kb_unsupported_minor(minor);
    }
}

/* --- a credential --- */

static OM_uint32 configure_cred(OM_uint32 *minor, struct kb_gss_cred *cred, gss_buffer_t value)
{
    struct kb_error err = {0};
    struct kb_cred_view view;
    struct kb_buf text;
    enum kb_status st;
    OM_uint32 major = GSS_S_COMPLETE;

    kb_cred_look(cred, &view);
    st = kb_call_resolve(atomic_load(&cred->own), kb_str(cred->client), view.listener,
                         view.interrupt, kb_bytes_of_buffer(value), &text, &err);
    if (st == KB_OK) {
        st = kb_cred_configure(cred, kb_buf_bytes(&text), &err);
    }
    kb_buf_wipe(&text);
    if (st != KB_OK) {
        major = kb_fail_call(minor, view.listener, &err);
    }
    kb_cred_view_wipe(&view);
    return major;
}

OM_uint32 kb_call_cred(OM_uint32 *minor, struct kb_gss_cred *cred, gss_const_OID object,
                       gss_buffer_t value)
{
    kb_bytes name;

    switch (kb_call_of(object, &name)) {
    case KB_CALL_CONFIGURE:
        return configure_cred(minor, cred, value);
    case KB_CALL_RESET:
        kb_cred_reset(cred);
        return GSS_S_COMPLETE;
    case KB_CALL_INTERRUPT:
        return give_interrupt(minor, cred, value);
    case KB_CALL_CALLBACKS:
        return set_callbacks(minor, cred, value);
    default:
        return kb_unsupported_minor(minor);
    }
}

/* The options of a credential for no target in particular. */
static enum kb_status options_of(struct kb_cred_view *view, const struct kb_options **out,
                                 struct kb_error *err)
{
    struct kb_options_query query = {.client = kb_str(view->cred->client),
                                     .own = atomic_load(&view->cred->own)};

    if (!view->bound) {
        return kb_options_get(&query, out, err);
    }
    if (kb_cred_view_resolve(view, err) != KB_OK) {
        return KB_ERROR;
    }
    *out = kb_options_ref(view->options);
    return KB_OK;
}

/* Whose logins tell how an option turned out: nobody's (NULL), where none was made with it. */
static struct kb_identity *identity_of(struct kb_cred_view *view, const struct kb_options *options)
{
    struct kb_identity *identity = NULL;
    struct kb_error ignored = {0};
    enum kb_status st = KB_ERROR;

    if (kb_cred_view_begun(view)) {
        st = view->bound ? kb_cred_view_identity(view, &identity, &ignored)
                         : kb_identity_get(options, &identity, &ignored);
    }
    return st == KB_OK ? identity : NULL;
}

OM_uint32 kb_call_ask_cred(OM_uint32 *minor, struct kb_gss_cred *cred, kb_bytes name,
                           gss_buffer_set_t *data)
{
    const struct kb_options *options = NULL;
    const struct kb_option_row *row;
    struct kb_identity *identity = NULL;
    struct kb_error err = {0};
    struct kb_cred_view view;
    struct kb_buf text;
    OM_uint32 major;

    kb_buf_init(&text, KB_NAME_MAX);
    kb_cred_look(cred, &view);
    row = kb_call_option(name, &err);
    if (row == NULL || options_of(&view, &options, &err) != KB_OK) {
        major = kb_fail(minor, &err);
    } else {
        identity = identity_of(&view, options);
        major = kb_call_answer(options, identity, false, row, &text, &err) == KB_OK
                    ? kb_call_give(minor, &text, data)
                    : kb_fail(minor, &err);
    }
    kb_identity_put(identity);
    kb_options_put(options);
    kb_cred_view_wipe(&view);
    kb_buf_wipe(&text);
    return major;
}
