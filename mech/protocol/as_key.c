/* Which long-term key the AS exchange uses: RFC 4120 3.1.3, 5.2.7.4, 5.2.7.5. */
#include "mech/protocol/as_machine.h"

#include <stdio.h>

#include "asn1/names.h"
#include "crypto/s2k.h"

static bool is_sha1(int32_t etype)
{
    return etype == KB_ENCTYPE_AES128_SHA1 || etype == KB_ENCTYPE_AES256_SHA1;
}

/* A KDC (or who forges its answer) that asks for more rounds burns our CPU; for less, it makes the
 * password cheap to guess from what we send. Enctypes without rounds have no bounds. */
static enum kb_status check_bounds(const struct kb_as *as, const struct kb_key_hint *how,
                                   uint64_t *out_iterations)
{
    const struct kb_enctype *enctype = kb_enctype_find(how->etype);
    const struct kb_policy *policy = as->request.policy;
    uint64_t least =
        is_sha1(how->etype) ? policy->min_iterations_sha1 : policy->min_iterations_sha2;
    enum kb_status st;

    *out_iterations = 0;
    if (enctype == NULL) {
        return KB_NO_ENCTYPE;
    }
    if (how->salt.len > KB_AS_MAX_SALT) {
        return KB_BAD_PARAMS;
    }
    if (enctype->default_iterations == 0) {
        return KB_OK;
    }
    st = kb_s2k_iterations(enctype, how->s2kparams, out_iterations);
    if (st == KB_OK && (*out_iterations < least || *out_iterations > policy->max_iterations)) {
        st = KB_BAD_PARAMS;
    }
    return st;
}

static struct kb_key *find_derived(const struct kb_as *as, const struct kb_key_hint *how)
{
    for (unsigned i = 0; i < as->num_derived; i++) {
        if (kb_as_same_key(as, &as->derived[i].how, how)) {
            return as->derived[i].key;
        }
    }
    return NULL;
}

static enum kb_status keep_derived(struct kb_as *as, const struct kb_key_hint *how,
                                   struct kb_key *key)
{
    struct kb_as_derived *d = &as->derived[as->num_derived];

    d->how = (struct kb_key_hint){.etype = how->etype,
                                  .salt = kb_arena_copy(&as->arena, how->salt),
                                  .s2kparams = kb_arena_copy(&as->arena, how->s2kparams)};
    if (d->how.salt.ptr == NULL || d->how.s2kparams.ptr == NULL) {
        return KB_NO_MEMORY;
    }
    d->key = kb_key_ref(key);
    as->num_derived++;
    return KB_OK;
}

/* What was learned costs nothing: its owner has the key, or pays once for it. */
static enum kb_status derive(struct kb_as *as, const struct kb_key_hint *how, struct kb_key **out)
{
    const struct kb_key_source *keys = as->request.keys;
    bool learned = kb_as_same_key(as, how, &as->request.hint);
    uint64_t iterations;
    enum kb_status st = check_bounds(as, how, &iterations);

    if (st != KB_OK) {
        return st;
    }
    if (as->num_derived == KB_AS_MAX_DERIVED || (!learned && iterations > as->iterations_left)) {
        return KB_BAD_PARAMS;
    }
    as->iterations_left -= learned ? 0 : iterations;
    st = keys->get(keys->ctx, how->etype, how->salt, how->s2kparams, 0, out);
    if (st == KB_OK) {
        st = keep_derived(as, how, *out);
        if (st != KB_OK) {
            kb_key_free(*out);
            *out = NULL;
        }
    }
    return st;
}

enum kb_status kb_as_key(struct kb_as *as, const struct kb_key_hint *how, unsigned nth,
                         struct kb_key **out)
{
    const struct kb_key_source *keys = as->request.keys;
    struct kb_key *known;

    *out = NULL;
    if (!keys->salted) {
        return keys->get(keys->ctx, how->etype, how->salt, how->s2kparams, nth, out);
    }
    if (nth > 0) {
        return KB_NOT_FOUND;
    }
    known = find_derived(as, how);
    if (known != NULL) {
        *out = kb_key_ref(known);
        return KB_OK;
    }
    return derive(as, how, out);
}

static uint64_t rounds_of(const struct kb_key_hint *how)
{
    const struct kb_enctype *enctype = kb_enctype_find(how->etype);
    uint64_t rounds = 0;

    return enctype != NULL && enctype->default_iterations != 0 &&
                   kb_s2k_iterations(enctype, how->s2kparams, &rounds) == KB_OK
               ? rounds
               : 0;
}

/* Parameters that are left out and the default ones written down mean the same. */
bool kb_as_same_key(const struct kb_as *as, const struct kb_key_hint *a,
                    const struct kb_key_hint *b)
{
    return a->etype == b->etype &&
           (!as->request.keys->salted ||
            (kb_equal(a->salt, b->salt) && (kb_equal(a->s2kparams, b->s2kparams) ||
                                            (rounds_of(a) != 0 && rounds_of(a) == rounds_of(b)))));
}

struct kb_key_hint kb_as_how(const struct kb_as *as, const struct kb_pa_key *key, int32_t etype)
{
    if (!as->request.keys->salted) {
        return (struct kb_key_hint){.etype = etype};
    }
    return (struct kb_key_hint){.etype = etype,
                                .salt = key->has_salt ? key->salt : as->default_salt,
                                .s2kparams = key->s2kparams};
}

/* --- choosing --- */

static void add_etype(struct kb_buf *out, int32_t etype)
{
    char buf[24];

    kb_buf_printf(out, "%s%s", out->len > 0 ? ", " : "", kb_enctype_name(etype, buf));
}

void kb_as_describe_keys(struct kb_as *as, struct kb_buf *out)
{
    const struct kb_key_source *keys = as->request.keys;
    const struct kb_enctype *enctype;
    struct kb_key *key;

    if (keys->describe != NULL) {
        keys->describe(keys->ctx, out);
        return;
    }
    for (size_t i = 0; (enctype = kb_enctype_at(i)) != NULL; i++) {
        if (keys->get(keys->ctx, enctype->etype, KB_NONE, KB_NONE, 0, &key) == KB_OK) {
            kb_key_free(key);
            add_etype(out, enctype->etype);
        }
    }
}

void kb_as_describe_etypes(const struct kb_as *as, struct kb_buf *out)
{
    for (size_t i = 0; i < as->request.policy->num_etypes; i++) {
        add_etype(out, as->request.policy->etypes[i]);
    }
}

static void note_wanted(struct kb_as *as, const struct kb_pa_said *said)
{
    struct kb_buf buf;

    kb_buf_init(&buf, sizeof(as->wanted) - 1);
    for (size_t i = 0; i < said->num_keys && buf.len < sizeof(as->wanted) - 40; i++) {
        if (said->keys[i].etype != KB_PA_ANY_ETYPE) {
            add_etype(&buf, said->keys[i].etype);
        }
    }
    snprintf(as->wanted, sizeof(as->wanted), "%s", kb_buf_str(&buf));
    kb_buf_wipe(&buf);
}

/* None of the KDC's keys is one that we may use, or that the keytab holds. */
static enum kb_status no_key(struct kb_as *as, bool allowed)
{
    struct kb_text name;
    struct kb_buf ours;

    kb_text_principal(&name, as->request.client);
    kb_buf_init(&ours, 400);
    if (allowed) {
        kb_as_describe_keys(as, &ours);
        kb_error_set(&as->error, KB_E_KEYTAB_NO_KEY, "%s: %.100s has %s, the KDC has keys of %s",
                     name.text, as->request.keys->what, kb_buf_str(&ours), as->wanted);
    } else {
        kb_as_describe_etypes(as, &ours);
        kb_error_set(&as->error, KB_E_NO_ENCTYPE,
                     "%s: the KDC has keys of %s, EncryptionTypes allows %s", name.text, as->wanted,
                     kb_buf_str(&ours));
    }
    kb_buf_wipe(&ours);
    return KB_ERROR;
}

static enum kb_status out_of_bounds(struct kb_as *as, const struct kb_key_hint *how)
{
    const struct kb_policy *policy = as->request.policy;
    const char *name = kb_enctype_find(how->etype)->name;
    struct kb_text client;

    kb_text_principal(&client, as->request.client);
    if (rounds_of(how) == 0 || how->salt.len > KB_AS_MAX_SALT) {
        return kb_error_set(&as->error, KB_E_KDC_REPLY,
                            "%s: KDC %.64s names a salt or string-to-key parameters for %s that "
                            "cannot be used",
                            client.text, as->peer, name);
    }
    return kb_error_set(&as->error, KB_E_ITERATIONS,
                        "%s: KDC %.64s asks for %llu PBKDF2 rounds with %s; allowed are %lu to %lu "
                        "in one login",
                        client.text, as->peer, (unsigned long long)rounds_of(how), name,
                        (unsigned long)(is_sha1(how->etype) ? policy->min_iterations_sha1
                                                            : policy->min_iterations_sha2),
                        (unsigned long)policy->max_iterations);
}

/* RFC 4757 2: the key is made of the password's characters, so it has to be known what they are. */
static enum kb_status no_text(struct kb_as *as, const struct kb_key_hint *how)
{
    struct kb_text client;

    return kb_error_set(&as->error, KB_E_PASSWORD_TEXT,
                        "%s: the password is not UTF-8, and a key of %s is made of its characters",
                        kb_text_principal(&client, as->request.client),
                        kb_enctype_find(how->etype)->name);
}

/* A KDC that says nothing of keys means the default salt, of whatever enctype. */
static const struct kb_pa_said said_nothing = {
    .keys = &(const struct kb_pa_key){.etype = KB_PA_ANY_ETYPE},
    .num_keys = 1,
};

static enum kb_status keep_how(struct kb_as *as, struct kb_key_hint *how)
{
    how->salt = kb_arena_copy(&as->arena, how->salt);
    how->s2kparams = kb_arena_copy(&as->arena, how->s2kparams);
    return how->salt.ptr != NULL && how->s2kparams.ptr != NULL ? KB_OK : KB_NO_MEMORY;
}

/* The first of the KDC's keys of one enctype that we have. */
static enum kb_status choose_of_etype(struct kb_as *as, const struct kb_pa_said *said,
                                      int32_t etype, bool *out_named, struct kb_key_hint *out_how,
                                      struct kb_key **out_key)
{
    for (size_t i = 0; i < said->num_keys; i++) {
        int32_t named = said->keys[i].etype;

        if (named == etype || named == KB_PA_ANY_ETYPE) {
            *out_named = true;
            *out_how = kb_as_how(as, &said->keys[i], etype);
            return kb_as_key(as, out_how, 0, out_key);
        }
    }
    return KB_NOT_FOUND;
}

enum kb_status kb_as_choose(struct kb_as *as, const struct kb_pa_said *said,
                            struct kb_key_hint *out_how, struct kb_key **out_key)
{
    const struct kb_policy *policy = as->request.policy;
    enum kb_status st = KB_NOT_FOUND;
    bool named = false;

    *out_key = NULL;
    said = said->num_keys > 0 ? said : &said_nothing;
    note_wanted(as, said);
    for (size_t i = 0; i < policy->num_etypes && st == KB_NOT_FOUND; i++) {
        st = choose_of_etype(as, said, policy->etypes[i], &named, out_how, out_key);
    }
    if (st == KB_OK) {
        st = keep_how(as, out_how);
        if (st != KB_OK) {
            kb_key_free(*out_key);
            *out_key = NULL;
        }
    }
    switch (st) {
    case KB_OK:
        return KB_OK;
    case KB_NOT_FOUND:
        return no_key(as, named);
    case KB_BAD_PARAMS:
        return out_of_bounds(as, out_how);
    case KB_BAD_TEXT:
        return no_text(as, out_how);
    default:
        return kb_error_status(&as->error, KB_E_INTERNAL, st, "The client's key cannot be made");
    }
}

enum kb_status kb_as_guess(struct kb_as *as, struct kb_key_hint *out_how, struct kb_key **out_key)
{
    const struct kb_policy *policy = as->request.policy;
    const struct kb_key_hint *hint = &as->request.hint;
    enum kb_status st = KB_NOT_FOUND;

    *out_key = NULL;
    if (hint->etype != 0 && kb_etype_allowed(policy->etypes, policy->num_etypes, hint->etype)) {
        *out_how = *hint;
        st = kb_as_key(as, out_how, 0, out_key);
    }
    if (as->request.keys->salted) {
        return st;
    }
    for (size_t i = 0; i < policy->num_etypes && st == KB_NOT_FOUND; i++) {
        *out_how = (struct kb_key_hint){.etype = policy->etypes[i]};
        st = kb_as_key(as, out_how, 0, out_key);
    }
    return st;
}
