#include "mech/spi/decide.h"

#include <pthread.h>
#include <stdatomic.h>

#include "mech/login/identity.h"
#include "mech/process.h"

static void start(void)
{
    kb_process_start();
    kb_options_set_oid(kb_mech_own());
}

struct kb_standing kb_standing_now(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct kb_standing standing;

    (void)pthread_once(&once, start);
    if (kb_options_standing(&standing) != KB_OK) {
        standing = (struct kb_standing){.ours = true, .broken = true, .any_identity = true};
    }
    return standing;
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

    if (!applicant->own_secret && !kb_options_covers(applicant->principal)) {
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
    if (!standing.ours && !standing.disabled && !applicant->own_secret) {
        return KB_PLATFORMS;
    }
    if (applicant->client.len == 0 && !applicant->own_secret) {
        *out_kind = KB_CRED_DEFAULT;
        return decide_default(&standing, applicant, out_options, err);
    }
    *out_kind = KB_CRED_BOUND;
    return decide_bound(&standing, applicant, out_options, err);
}

enum kb_whose kb_decide_init(const struct kb_gss_cred *cred, kb_bytes target,
                             const struct kb_options **out, struct kb_error *err)
{
    struct kb_options_query query = {.target = target};

    if (cred != NULL) {
        query.client = kb_str(cred->client);
        query.own = cred->own;
    }
    if (kb_options_get(&query, out, err) != KB_OK) {
        return KB_REFUSED;
    }
    /* Who it is, and that it is ours, was settled when a bound one was acquired. */
    return cred != NULL && cred->kind == KB_CRED_BOUND ? KB_OURS : whose(*out, err);
}

enum kb_status kb_decide_identity(struct kb_gss_cred *cred, const struct kb_options *options,
                                  struct kb_identity **out, struct kb_error *err)
{
    struct kb_identity *before = NULL, *made;

    if (cred == NULL || cred->kind != KB_CRED_BOUND || cred->options == NULL) {
        return kb_identity_get(options, out, err);
    }
    if (!cred->own_secret) {
        return kb_identity_get(cred->options, out, err);
    }
    made = atomic_load(&cred->identity);
    if (made == NULL) {
        if (kb_identity_get(cred->options, &made, err) != KB_OK) {
            return KB_ERROR;
        }
        if (!atomic_compare_exchange_strong(&cred->identity, &before, made)) {
            kb_identity_put(made); /* another thread was faster */
            made = before;
        }
    }
    *out = kb_identity_ref(made);
    return KB_OK;
}
