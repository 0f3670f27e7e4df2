#include "mech/spi/decide.h"

#include <pthread.h>

#include "mech/login/identity.h"
#include "mech/options/layers.h"
#include "mech/process.h"
#include "mech/spi/credstate.h"

static void start(void)
{
    kb_process_start();
    kb_options_set_oid(kb_mech_own());
}

void kb_decide_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, start);
}

static const struct kb_standing without_memory = {
    .ours = true, .broken = true, .any_identity = true};

struct kb_standing kb_standing_now(void)
{
    struct kb_standing standing;

    kb_decide_start();
    return kb_options_standing(&standing) == KB_OK ? standing : without_memory;
}

struct kb_standing kb_standing_lately(void)
{
    struct kb_standing standing;

    kb_decide_start();
    return kb_options_standing_lately(&standing) == KB_OK ? standing : without_memory;
}

static enum kb_whose refuse_disabled(const struct kb_options *options, struct kb_error *err)
{
    char buf[256];

    (void)kb_error_set(err, KB_E_DISABLED, "%s: Kerberos is switched off here (Enabled=False)",
                       kb_origin_text(&options->enabled_from, buf, sizeof(buf)));
    return KB_REFUSED;
}

/* What a snapshot says, where an identity is configured or not. */
static enum kb_whose whose(const struct kb_options *options, struct kb_error *err)
{
    if (!options->enabled) {
        return refuse_disabled(options, err);
    }
    if (!options->has_identity) {
        return KB_PLATFORMS;
    }
    return options->use_platform_kerberos_api ? KB_HANDED_OVER : KB_OURS;
}

/* A default credential: only whether there can be an identity; the targets come later. */
static enum kb_whose decide_default(const struct kb_standing *standing,
                                    const struct kb_applicant *applicant,
                                    const struct kb_options **out, struct kb_error *err)
{
    struct kb_options_query query = {.own = applicant->own};

    if (standing->disabled || standing->platform) {
        return kb_options_get(&query, out, err) == KB_OK ? whose(*out, err) : KB_REFUSED;
    }
    return standing->any_identity || standing->broken ? KB_OURS : KB_PLATFORMS;
}

/* One with a name or secret of its own is bound now. */
static enum kb_whose decide_bound(const struct kb_standing *standing,
                                  const struct kb_applicant *applicant,
                                  const struct kb_options **out, struct kb_error *err)
{
    struct kb_options_query query = {.client = applicant->client, .own = applicant->own};

    if (!applicant->own_identity && !kb_options_covers(applicant->principal)) {
        return KB_PLATFORMS;
    }
    if (kb_options_get(&query, out, err) == KB_OK) {
        return whose(*out, err);
    }
    /* SPNEGO would swallow what is wrong in a file; what the caller brought is told at once. */
    if (standing->broken) {
        *err = (struct kb_error){0};
        return KB_OURS;
    }
    return KB_REFUSED;
}

enum kb_whose kb_decide_acquire(const struct kb_applicant *applicant, enum kb_cred_kind *out_kind,
                                const struct kb_options **out_options, struct kb_error *err)
{
    struct kb_standing standing = kb_standing_now();

    *out_options = NULL;
    if (!standing.ours && !standing.disabled && !applicant->own_identity) {
        return KB_PLATFORMS;
    }
    if (applicant->client.len == 0 && !applicant->own_identity) {
        *out_kind = KB_CRED_DEFAULT;
        return decide_default(&standing, applicant, out_options, err);
    }
    *out_kind = KB_CRED_BOUND;
    return decide_bound(&standing, applicant, out_options, err);
}

/* --- contexts --- */

/* That a bound one is ours was settled when it was acquired; only what was set in it since counts.
 */
static enum kb_whose whose_bound(const struct kb_options *options, struct kb_error *err)
{
    if (!options->enabled && options->enabled_from.layer >= KB_LAYER_CREDENTIAL) {
        return refuse_disabled(options, err);
    }
    return options->use_platform_kerberos_api &&
                   options->use_platform_kerberos_api_from.layer >= KB_LAYER_CREDENTIAL
               ? KB_HANDED_OVER
               : KB_OURS;
}

/* `view`: of the credential; NULL: there is none. */
static enum kb_whose decide(const struct kb_cred_view *view, kb_bytes target,
                            const struct kb_options **out, struct kb_error *err)
{
    struct kb_options_query query = {.target = target};

    if (view != NULL) {
        query.client = kb_str(view->cred->client);
        query.own = atomic_load(&view->cred->own);
        /* Its identity may be one that is configured no more. */
        query.with_krb5conf = view->bound;
    }
    if (kb_options_get(&query, out, err) != KB_OK) {
        return KB_REFUSED;
    }
    return view != NULL && view->bound ? whose_bound(*out, err) : whose(*out, err);
}

enum kb_whose kb_decide_init(struct kb_gss_cred *cred, kb_bytes target,
                             const struct kb_options **out, struct kb_error *err)
{
    struct kb_cred_view view;
    enum kb_whose whose;

    *out = NULL;
    if (cred == NULL) {
        return decide(NULL, target, out, err);
    }
    kb_cred_look(cred, &view);
    whose = decide(&view, target, out, err);
    kb_cred_view_wipe(&view);
    return whose;
}

static enum kb_status identify(struct kb_cred_view *view, const struct kb_options *options,
                               struct kb_identity **out, struct kb_error *err)
{
    return view != NULL && view->bound ? kb_cred_view_identity(view, out, err)
                                       : kb_identity_get(options, out, err);
}

enum kb_status kb_decide_identity(struct kb_gss_cred *cred, const struct kb_options *options,
                                  struct kb_identity **out, struct kb_error *err)
{
    struct kb_cred_view view;
    enum kb_status st;

    *out = NULL;
    if (cred == NULL) {
        return kb_identity_get(options, out, err);
    }
    kb_cred_look(cred, &view);
    st = identify(&view, options, out, err);
    kb_cred_view_wipe(&view);
    return st;
}

static enum kb_whose begin(struct kb_cred_view *view, kb_bytes target, struct kb_beginning *out,
                           struct kb_error *err)
{
    enum kb_whose whose = decide(view, target, &out->options, err);

    if (whose == KB_OURS && identify(view, out->options, &out->identity, err) != KB_OK) {
        whose = KB_REFUSED;
    }
    return whose;
}

enum kb_whose kb_decide_begin(struct kb_gss_cred *cred, kb_bytes target, struct kb_beginning *out,
                              struct kb_error *err)
{
    struct kb_cred_view view = {0};
    enum kb_whose whose;
    bool held;

    *out = (struct kb_beginning){0};
    if (cred == NULL) {
        return begin(NULL, target, out, err);
    }
    do {
        *err = (struct kb_error){0};
        kb_beginning_wipe(out);
        kb_cred_look(cred, &view);
        whose = begin(&view, target, out, err);
        held = kb_cred_view_holds(&view);
        kb_cred_view_begins(&view);
        out->listener = kb_listener_ref(view.listener);
        out->interrupt = kb_interrupt_ref(view.interrupt);
        kb_cred_view_wipe(&view);
    } while (!held);
    return whose;
}

void kb_beginning_wipe(struct kb_beginning *beginning)
{
    kb_options_put(beginning->options);
    kb_identity_put(beginning->identity);
    kb_listener_put(beginning->listener);
    kb_interrupt_put(beginning->interrupt);
    *beginning = (struct kb_beginning){0};
}
