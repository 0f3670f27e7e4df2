#include <stdatomic.h>
#include <stdlib.h>

#include "mech/options/own.h"
#include "mech/options/password.h"
#include "mech/options/text.h"

#define MAX_ARENA (4 * 1048576)

static struct kb_own *own_new(void)
{
    struct kb_own *own = calloc(1, sizeof(*own));

    if (own != NULL) {
        atomic_init(&own->refs, 1);
        kb_arena_init(&own->arena, NULL, 0, MAX_ARENA);
        own->unit.layer = KB_LAYER_CREDENTIAL;
    }
    return own;
}

void kb_own_put(struct kb_own *own)
{
    if (own != NULL && atomic_fetch_sub_explicit(&own->refs, 1, memory_order_acq_rel) == 1) {
        kb_arena_wipe(&own->arena);
        free(own);
    }
}

struct kb_own *kb_settings_own(struct kb_settings *settings)
{
    struct kb_own *own;

    kb_options_lock();
    own = settings->own;
    atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
    kb_options_unlock();
    return own;
}

struct kb_settings *kb_settings_new(void)
{
    struct kb_settings *settings = calloc(1, sizeof(*settings));

    if (settings != NULL && (settings->own = own_new()) == NULL) {
        free(settings);
        settings = NULL;
    }
    return settings;
}

struct kb_settings *kb_settings_copy(struct kb_settings *settings)
{
    struct kb_settings *copy = calloc(1, sizeof(*copy));

    if (copy != NULL) {
        copy->own = kb_settings_own(settings); /* states are immutable: shared */
    }
    return copy;
}

static void replace(struct kb_settings *settings, struct kb_own *own)
{
    const struct kb_options *old_snapshot;
    struct kb_own *old;

    kb_options_lock();
    old = settings->own;
    old_snapshot = settings->snapshot;
    settings->own = own;
    settings->snapshot = NULL;
    kb_options_unlock();
    kb_own_put(old);
    kb_options_put(old_snapshot);
}

void kb_settings_free(struct kb_settings *settings)
{
    if (settings != NULL) {
        replace(settings, NULL);
        free(settings);
    }
}

void kb_settings_reset(struct kb_settings *settings)
{
    struct kb_own *own = own_new();

    /* Without memory for an empty state the old one goes on: nothing is half forgotten. */
    if (own != NULL) {
        replace(settings, own);
    }
}

/* Appends copies of the settings of `from`, without those of the row that is set anew. */
static bool copy_settings(struct kb_own *to, const struct kb_own *from,
                          const struct kb_option_row *without)
{
    for (const struct kb_setting *s = from->unit.settings; s != NULL; s = s->next) {
        struct kb_setting *copy;

        if (s->row == without) {
            continue;
        }
        copy = kb_arena_alloc(&to->arena, sizeof(*copy));
        if (copy == NULL) {
            return false;
        }
        *copy = *s;
        copy->next = NULL;
        copy->text = kb_arena_text(&to->arena, kb_str(s->text));
        if (copy->text == NULL) {
            return false;
        }
        *(to->unit.last != NULL ? &to->unit.last->next : &to->unit.settings) = copy;
        to->unit.last = copy;
    }
    return true;
}

static enum kb_status make_with(struct kb_own *own, const struct kb_own *old, kb_bytes name,
                                kb_bytes value, bool raw, struct kb_error *err)
{
    struct kb_setting like = {.from = {.layer = KB_LAYER_CREDENTIAL}, .raw = raw};
    const char *text = kb_arena_text(&own->arena, value);

    if (text == NULL || !copy_settings(own, old, kb_option_find(name))) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    return kb_unit_add(&own->unit, &own->arena, name, text, &like, err);
}

static enum kb_status set(struct kb_settings *settings, kb_bytes name, kb_bytes value, bool raw,
                          struct kb_error *err)
{
    struct kb_own *own, *old;
    enum kb_status st;

    if (value.len > 0 && memchr(value.ptr, 0, value.len) != NULL) {
        return kb_error_set(err, KB_E_OPTION, "%s: a NUL byte in a value", kb_show(name).text);
    }
    own = own_new();
    if (own == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    old = kb_settings_own(settings);
    st = make_with(own, old, name, value, raw, err);
    kb_own_put(old);
    if (st != KB_OK) {
        kb_own_put(own);
        return KB_ERROR;
    }
    replace(settings, own);
    return KB_OK;
}

/* fd:N is read now, and once: later the number may stand for somebody else's descriptor. */
static enum kb_status set_from_descriptor(struct kb_settings *settings, const char *digits,
                                          struct kb_error *err)
{
    enum kb_status st;
    kb_bytes password;

    if (kb_secret_read_descriptor(digits, &password, err) != KB_OK) {
        return KB_ERROR;
    }
    st = set(settings, KB_LIT("Password"), password, true, err);
    kb_free_secret((void *)(uintptr_t)password.ptr, password.len);
    return st;
}

enum kb_status kb_settings_set(struct kb_settings *settings, kb_bytes name, kb_bytes value,
                               struct kb_error *err)
{
    char digits[16] = {0};
    const char *where;

    if (value.len < sizeof(digits) && kb_equal_nocase(name, KB_LIT("Password"))) {
        memcpy(digits, value.ptr != NULL ? value.ptr : (const uint8_t *)"", value.len);
        if (kb_secret_parse(digits, &where) == KB_SECRET_FD && kb_secret_is_descriptor(where)) {
            return set_from_descriptor(settings, where, err);
        }
    }
    return set(settings, name, value, false, err);
}

enum kb_status kb_settings_set_text(struct kb_settings *settings, kb_bytes text,
                                    struct kb_error *err)
{
    const uint8_t *equals = text.len > 0 ? memchr(text.ptr, '=', text.len) : NULL;
    size_t len = equals != NULL ? (size_t)(equals - text.ptr) : 0;

    if (equals == NULL) {
        return kb_error_set(err, KB_E_OPTION, "no `=`; an option is set by NAME=VALUE");
    }
    return kb_settings_set(settings, kb_trim(kb_bytes_of(text.ptr, len)),
                           kb_bytes_of(text.ptr + len + 1, text.len - len - 1), err);
}

enum kb_status kb_settings_set_password(struct kb_settings *settings, kb_bytes password,
                                        struct kb_error *err)
{
    return set(settings, KB_LIT("Password"), password, true, err);
}

static bool has_any(struct kb_settings *settings, bool with_user)
{
    struct kb_own *own = kb_settings_own(settings);
    bool has = kb_unit_find(&own->unit, KB_OPT_Password) != NULL ||
               kb_unit_find(&own->unit, KB_OPT_KeytabFile) != NULL ||
               (with_user && kb_unit_find(&own->unit, KB_OPT_User) != NULL);

    kb_own_put(own);
    return has;
}

bool kb_settings_has_identity(struct kb_settings *settings)
{
    return has_any(settings, true);
}

bool kb_settings_has_secret(struct kb_settings *settings)
{
    return has_any(settings, false);
}

bool kb_option_is_name(kb_bytes name)
{
    return kb_option_find(name) != NULL;
}

const char *kb_option_near_miss(kb_bytes name)
{
    return kb_option_find(name) == NULL ? kb_option_nearest(name) : NULL;
}
