#include <stdatomic.h>
#include <stdlib.h>

#include "mech/options/own.h"
#include "mech/options/password.h"
#include "mech/options/process.h"
#include "mech/options/text.h"

#define MAX_ARENA (4 * 1048576)

struct kb_settings kb_process_settings = {.layer = KB_LAYER_PROCESS};

static struct kb_own *own_new(enum kb_layer layer)
{
    struct kb_own *own = calloc(1, sizeof(*own));

    if (own != NULL) {
        atomic_init(&own->refs, 1);
        kb_arena_init(&own->arena, NULL, 0, MAX_ARENA);
        kb_arena_hide(&own->arena); /* passwords may stand inline */
        own->unit.layer = layer;
    }
    return own;
}

struct kb_own *kb_own_ref(struct kb_own *own)
{
    if (own != NULL) {
        atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
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
    own = kb_own_ref(settings->own);
    kb_options_unlock();
    return own;
}

struct kb_settings *kb_settings_new(void)
{
    struct kb_settings *settings = calloc(1, sizeof(*settings));

    if (settings != NULL) {
        settings->layer = KB_LAYER_CREDENTIAL;
    }
    return settings;
}

struct kb_settings *kb_settings_copy(struct kb_settings *settings)
{
    struct kb_settings *copy = kb_settings_new();

    if (copy != NULL) {
        copy->own = kb_settings_own(settings); /* states are immutable: shared */
    }
    return copy;
}

/* Puts `own` (whose reference it takes) in the place of `old`, unless another thread was faster. */
static bool replace(struct kb_settings *settings, const struct kb_own *old, struct kb_own *own)
{
    const struct kb_options *snapshot = NULL;
    struct kb_own *before = own;
    bool is_old;

    kb_options_lock();
    is_old = settings->own == old;
    if (is_old) {
        before = settings->own;
        snapshot = settings->snapshot;
        settings->own = own;
        settings->snapshot = NULL;
    }
    kb_options_unlock();
    kb_own_put(before);
    kb_options_put(snapshot);
    if (is_old && settings->layer == KB_LAYER_PROCESS) {
        kb_options_drop_layers();
    }
    return is_old;
}

void kb_settings_reset(struct kb_settings *settings)
{
    bool done = false;

    while (!done) {
        struct kb_own *old = kb_settings_own(settings);

        done = replace(settings, old, NULL);
        kb_own_put(old);
    }
}

void kb_settings_free(struct kb_settings *settings)
{
    if (settings != NULL) {
        kb_settings_reset(settings);
        free(settings);
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
    struct kb_setting like = {.from = {.layer = own->unit.layer}, .raw = raw};
    const char *text = kb_arena_text(&own->arena, value);

    if (text == NULL || (old != NULL && !copy_settings(own, old, kb_option_find(name)))) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    if (old != NULL) {
        own->allowable = old->allowable;
    }
    return kb_unit_add(&own->unit, &own->arena, name, text, &like, err);
}

/* One try; not *done: another thread set something meanwhile. */
static enum kb_status try_set(struct kb_settings *settings, kb_bytes name, kb_bytes value, bool raw,
                              bool *done, struct kb_error *err)
{
    struct kb_own *own = own_new(settings->layer), *old;
    enum kb_status st;

    if (own == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
    }
    old = kb_settings_own(settings);
    st = make_with(own, old, name, value, raw, err);
    if (st == KB_OK) {
        *done = replace(settings, old, own);
    } else {
        kb_own_put(own);
    }
    kb_own_put(old);
    return st;
}

static enum kb_status try_allow(struct kb_settings *settings, const struct kb_etype_list *list,
                                bool *done)
{
    struct kb_own *own = own_new(settings->layer), *old;

    if (own == NULL) {
        return KB_NO_MEMORY;
    }
    old = kb_settings_own(settings);
    if (old != NULL && !copy_settings(own, old, NULL)) {
        kb_own_put(old);
        kb_own_put(own);
        return KB_NO_MEMORY;
    }
    own->allowable = *list;
    *done = replace(settings, old, own);
    kb_own_put(old);
    return KB_OK;
}

static enum kb_status set(struct kb_settings *settings, kb_bytes name, kb_bytes value, bool raw,
                          struct kb_error *err)
{
    enum kb_status st = KB_OK;
    bool done = false;

    if (value.len > 0 && memchr(value.ptr, 0, value.len) != NULL) {
        return kb_error_set(err, KB_E_OPTION, "%s: a NUL byte in a value", kb_show(name).text);
    }
    while (st == KB_OK && !done) {
        st = try_set(settings, name, value, raw, &done, err);
    }
    return st;
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

static enum kb_status set_option(struct kb_settings *settings, kb_bytes name, kb_bytes value,
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

static enum kb_status set_text(struct kb_settings *settings, kb_bytes text, struct kb_error *err)
{
    const uint8_t *equals = text.len > 0 ? memchr(text.ptr, '=', text.len) : NULL;
    size_t len = equals != NULL ? (size_t)(equals - text.ptr) : 0;

    if (equals == NULL) {
        return kb_error_set(err, KB_E_OPTION, "no `=`; an option is set by NAME=VALUE");
    }
    return set_option(settings, kb_trim(kb_bytes_of(text.ptr, len)),
                      kb_bytes_of(text.ptr + len + 1, text.len - len - 1), err);
}

/* The place is put in front, as a file and line are elsewhere. */
static enum kb_status placed(const struct kb_settings *settings, enum kb_status st,
                             struct kb_error *err)
{
    struct kb_origin from = {.layer = settings->layer};

    if (st != KB_OK) {
        kb_error_context(err, "%s", kb_origin_text(&from, NULL, 0));
    }
    return st;
}

enum kb_status kb_settings_set(struct kb_settings *settings, kb_bytes name, kb_bytes value,
                               struct kb_error *err)
{
    return placed(settings, set_option(settings, name, value, err), err);
}

enum kb_status kb_settings_set_text(struct kb_settings *settings, kb_bytes text,
                                    struct kb_error *err)
{
    return placed(settings, set_text(settings, text, err), err);
}

enum kb_status kb_settings_set_password(struct kb_settings *settings, kb_bytes password,
                                        struct kb_error *err)
{
    return placed(settings, set(settings, KB_LIT("Password"), password, true, err), err);
}

enum kb_status kb_settings_allow(struct kb_settings *settings, const int32_t *etypes, size_t num,
                                 struct kb_error *err)
{
    struct kb_etype_list list = {.num = 0};
    enum kb_status st = KB_OK;
    bool done = false;

    for (size_t i = 0; i < num; i++) {
        kb_etypes_add(&list, etypes[i]);
    }
    if (num > 0 && list.num == 0) {
        (void)kb_error_set(err, KB_E_NO_ENCTYPE,
                           "The program allows no encryption type that is supported here");
        err->no_hint = true;
        return KB_ERROR;
    }
    while (st == KB_OK && !done) {
        st = try_allow(settings, &list, &done);
    }
    return st == KB_OK ? st : kb_error_set(err, KB_E_NO_MEMORY, "out of memory");
}

enum kb_status kb_options_process_set(kb_bytes text, struct kb_error *err)
{
    return kb_is_secure_exec() ? kb_error_set(err, KB_E_OPTION,
                                              "a set-uid program takes no options for its process")
                               : kb_settings_set_text(&kb_process_settings, text, err);
}

void kb_options_process_reset(void)
{
    kb_settings_reset(&kb_process_settings);
}

bool kb_settings_has_identity(struct kb_settings *settings)
{
    struct kb_own *own = kb_settings_own(settings);
    bool has = own != NULL && kb_unit_sets_identity(&own->unit);

    kb_own_put(own);
    return has;
}

bool kb_settings_has_secret(struct kb_settings *settings)
{
    struct kb_own *own = kb_settings_own(settings);
    bool has = own != NULL && (kb_unit_find(&own->unit, KB_OPT_Password) != NULL ||
                               kb_unit_find(&own->unit, KB_OPT_KeytabFile) != NULL);

    kb_own_put(own);
    return has;
}

bool kb_option_is_name(kb_bytes name)
{
    return kb_option_find(name) != NULL;
}

const char *kb_option_near_miss(kb_bytes name)
{
    return kb_option_find(name) == NULL ? kb_option_nearest(name) : NULL;
}
