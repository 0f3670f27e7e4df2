/* callctx.c - calls for a context of ours: options that still act there, AuthToken. */
#include <pthread.h>

#include "mech/options/context.h"
#include "mech/options/settings.h"
#include "mech/report/reference.h"
#include "mech/spi/call.h"
#include "mech/spi/fail.h"
#include "mech/spi/initiate.h"

#define MAX_ANSWER (8u << 20) /* an AP-REQ can hold a large ticket, in Base64 */

/* Guards `options`, `own` and `changed` of every kb_background; held for pointers only. A fork that
 * finds it taken by another thread would leave it so: nothing but these calls needs it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

const struct kb_options *kb_background_options(struct kb_background *background)
{
    const struct kb_options *options;

    pthread_mutex_lock(&lock);
    options =
        kb_options_ref(background->changed != NULL ? background->changed : background->options);
    pthread_mutex_unlock(&lock);
    return options;
}

bool kb_background_bare(struct kb_background *background)
{
    const struct kb_options *bare, *changed = NULL, *before, *before_changed;
    struct kb_error ignored = {0};

    if (!kb_options_hold_secret(background->options)) {
        return true;
    }
    bare = kb_options_bare(background->options);
    if (bare == NULL) {
        return false;
    }
    if (background->own != NULL &&
        kb_options_for_context(bare, background->own, &changed, &ignored) != KB_OK) {
        kb_options_put(bare);
        return false;
    }
    pthread_mutex_lock(&lock);
    before = background->options;
    before_changed = background->changed;
    background->options = bare;
    background->changed = changed;
    pthread_mutex_unlock(&lock);
    kb_options_put(before);
    kb_options_put(before_changed);
    return true;
}

#define PORT_ZERO 116 /* of KDCPort=0, in time or not */

/* What has acted by now cannot be changed any more: the reference's errors 106 to 117. */
static enum kb_status too_late(const struct kb_option_row *row, kb_bytes text, struct kb_error *err)
{
    int number = kb_reference_of_option(row->name);

    if (kb_option_id(row) == KB_OPT_KDCPort && text.len > 2 &&
        memcmp(text.ptr + text.len - 2, "=0", 2) == 0) {
        number = PORT_ZERO;
    }
    (void)kb_error_set(err, KB_E_OPTION, "%s cannot be set on a context that exists: %s", row->name,
                       kb_reference_text(number));
    err->number = number;
    err->no_hint = true;
    return KB_ERROR;
}

static enum kb_status check_changeable(kb_bytes text, struct kb_error *err)
{
    const struct kb_option_row *row = kb_call_named(text);

    return row != NULL && row->scope != KB_SCOPE_CONTEXT && (row->flags & KB_OPT_READ_ONLY) == 0
               ? too_late(row, text, err)
               : KB_OK;
}

/* The context's own settings, made where there are none; NULL: no memory. */
static struct kb_settings *settings_of(struct kb_background *background)
{
    struct kb_settings *made = kb_settings_for_context(), *own;

    pthread_mutex_lock(&lock);
    if (background->own == NULL) {
        background->own = made;
        made = NULL;
    }
    own = background->own;
    pthread_mutex_unlock(&lock);
    kb_settings_free(made);
    return own;
}

/* A reference to the options that the context began with. */
static const struct kb_options *first_options(struct kb_background *background)
{
    const struct kb_options *options;

    pthread_mutex_lock(&lock);
    options = kb_options_ref(background->options);
    pthread_mutex_unlock(&lock);
    return options;
}

static enum kb_status configure(struct kb_background *background, kb_bytes text,
                                struct kb_error *err)
{
    struct kb_settings *own;
    const struct kb_options *base, *made = NULL, *before;
    enum kb_status st;

    if (check_changeable(text, err) != KB_OK) {
        return KB_ERROR;
    }
    own = settings_of(background);
    if (own == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a context's options");
    }
    base = first_options(background);
    st = kb_settings_set_text(own, text, err);
    if (st == KB_OK) {
        st = kb_options_for_context(base, own, &made, err);
    }
    kb_options_put(base);
    if (st != KB_OK) {
        return KB_ERROR;
    }
    pthread_mutex_lock(&lock);
    before = background->changed;
    background->changed = made;
    pthread_mutex_unlock(&lock);
    kb_options_put(before);
    return KB_OK;
}

OM_uint32 kb_call_ctx(OM_uint32 *minor, struct kb_gss_ctx *ctx, gss_const_OID object,
                      gss_buffer_t value)
{
    struct kb_error err = {0};
    kb_bytes name;

    if (kb_call_of(object, &name) != KB_CALL_CONFIGURE) {
        return kb_unsupported_minor(minor);
    }
    if (ctx->background == NULL) {
        return kb_bad_ctx(minor);
    }
    return configure(ctx->background, kb_bytes_of_buffer(value), &err) == KB_OK
               ? GSS_S_COMPLETE
               : kb_fail_call(minor, ctx->background->listener, &err);
}

/* RFC 4648 4. */
static void add_base64(struct kb_buf *out, kb_bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t three = (uint32_t)bytes.ptr[i] << 16;
        char four[4];

        three |= left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        three |= left > 2 ? bytes.ptr[i + 2] : 0u;
        four[0] = digits[three >> 18];
        four[1] = digits[three >> 12 & 63];
        four[2] = left > 1 ? digits[three >> 6 & 63] : '=';
        four[3] = left > 2 ? digits[three & 63] : '=';
        kb_buf_add(out, kb_bytes_of(four, sizeof(four)));
    }
}

static void show_token(const struct kb_background *background, const struct kb_options *options,
                       struct kb_buf *out)
{
    struct kb_buf token;

    kb_buf_init(&token, MAX_ANSWER);
    kb_buf_add(&token, background->before);
    kb_buf_add(&token, background->ticket->ticket);
    kb_buf_add(&token, background->behind);
    if (token.status != KB_OK) {
        out->status = token.status;
    } else if (options->encode_auth_token) {
        add_base64(out, kb_buf_bytes(&token));
    } else {
        kb_buf_add(out, kb_buf_bytes(&token));
    }
    kb_buf_wipe(&token);
}

OM_uint32 kb_call_ask_ctx(OM_uint32 *minor, struct kb_gss_ctx *ctx, kb_bytes name,
                          gss_buffer_set_t *data)
{
    struct kb_error err = {0};
    const struct kb_option_row *row = kb_call_option(name, &err);
    const struct kb_options *options;
    struct kb_buf text;
    OM_uint32 major;

    if (row == NULL) {
        return kb_fail(minor, &err);
    }
    if (ctx->background == NULL) {
        return kb_bad_ctx(minor);
    }
    options = kb_background_options(ctx->background);
    kb_buf_init(&text, MAX_ANSWER);
    if (kb_option_id(row) == KB_OPT_AuthToken) {
        show_token(ctx->background, options, &text);
        major = kb_call_give(minor, &text, data);
    } else {
        major = kb_call_answer(options, NULL, false, row, &text, &err) == KB_OK
                    ? kb_call_give(minor, &text, data)
                    : kb_fail(minor, &err);
    }
    kb_buf_wipe(&text);
    kb_options_put(options);
    return major;
}
