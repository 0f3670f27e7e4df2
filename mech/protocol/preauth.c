#include "mech/protocol/preauth.h"

#include <inttypes.h>

#include "asn1/names.h"

/* Ours, best first. */
static const struct kb_pa_method *const methods[] = {
    &kb_pa_enc_timestamp,
};

#define MOST_SHOWN 16

const kb_pa_data *kb_preauth_find(const kb_method_data *padata, int32_t type)
{
    for (size_t i = 0; i < padata->num; i++) {
        if (padata->items[i].padata_type == type) {
            return &padata->items[i];
        }
    }
    return NULL;
}

static struct kb_pa_key *keys_of(struct kb_pa_said *out, struct kb_arena *arena, size_t num)
{
    struct kb_pa_key *keys = kb_arena_alloc(arena, num * sizeof(*keys));

    out->keys = keys;
    out->num_keys = keys != NULL ? num : 0;
    return keys;
}

static enum kb_status read_info2(kb_bytes value, struct kb_arena *arena, struct kb_pa_said *out)
{
    kb_etype_info2 info;
    struct kb_pa_key *keys;
    enum kb_status st = kb_decode_etype_info2(value, arena, &info, NULL);

    if (st != KB_OK) {
        return st;
    }
    keys = keys_of(out, arena, info.num);
    if (keys == NULL) {
        return KB_NO_MEMORY;
    }
    for (size_t i = 0; i < info.num; i++) {
        const kb_etype_info2_entry *e = &info.items[i];

        keys[i] = (struct kb_pa_key){e->etype, e->has_salt, e->has_salt ? e->salt : KB_NONE,
                                     e->has_s2kparams ? e->s2kparams : KB_NONE};
    }
    return KB_OK;
}

static enum kb_status read_info(kb_bytes value, struct kb_arena *arena, struct kb_pa_said *out)
{
    kb_etype_info info;
    struct kb_pa_key *keys;
    enum kb_status st = kb_decode_etype_info(value, arena, &info, NULL);

    if (st != KB_OK) {
        return st;
    }
    keys = keys_of(out, arena, info.num);
    if (keys == NULL) {
        return KB_NO_MEMORY;
    }
    for (size_t i = 0; i < info.num; i++) {
        const kb_etype_info_entry *e = &info.items[i];

        keys[i] =
            (struct kb_pa_key){e->etype, e->has_salt, e->has_salt ? e->salt : KB_NONE, KB_NONE};
    }
    return KB_OK;
}

static enum kb_status read_salt(kb_bytes value, struct kb_arena *arena, struct kb_pa_said *out)
{
    struct kb_pa_key *keys = keys_of(out, arena, 1);

    if (keys == NULL) {
        return KB_NO_MEMORY;
    }
    *keys = (struct kb_pa_key){KB_PA_ANY_ETYPE, true, value, KB_NONE};
    return KB_OK;
}

/* RFC 4120 5.2.7.5: "The preferred ordering of the 'hint' pre-authentication data that affect
 * client key selection is: ETYPE-INFO2, followed by ETYPE-INFO, followed by PW-SALT." */
static const struct {
    int32_t type;
    enum kb_status (*read)(kb_bytes value, struct kb_arena *arena, struct kb_pa_said *out);
} hints[] = {
    {KB_PA_ETYPE_INFO2, read_info2},
    {KB_PA_ETYPE_INFO, read_info},
    {KB_PA_PW_SALT, read_salt},
};

enum kb_status kb_preauth_read(const kb_method_data *padata, struct kb_arena *arena,
                               struct kb_pa_said *out)
{
    const kb_pa_data *pa = kb_preauth_find(padata, KB_PA_FX_COOKIE);

    *out = (struct kb_pa_said){0};
    if (pa != NULL) {
        out->has_cookie = true;
        out->cookie = pa->padata_value;
    }
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        pa = kb_preauth_find(padata, hints[i].type);
        /* Heimdal offers a method, and so an ETYPE-INFO2, by an empty value too. */
        if (pa != NULL && (pa->padata_value.len > 0 || hints[i].type == KB_PA_PW_SALT)) {
            return hints[i].read(pa->padata_value, arena, out);
        }
    }
    return KB_OK;
}

static bool is_allowed(const struct kb_pa_method *method, const struct kb_policy *policy)
{
    return method->type != KB_PA_ENC_TIMESTAMP || !policy->no_enc_timestamp;
}

const struct kb_pa_method *kb_preauth_choose(const kb_method_data *offered,
                                             const struct kb_policy *policy)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (is_allowed(methods[i], policy) && kb_preauth_find(offered, methods[i]->type) != NULL) {
            return methods[i];
        }
    }
    return NULL;
}

const struct kb_pa_method *kb_preauth_default(const struct kb_policy *policy)
{
    return is_allowed(&kb_pa_enc_timestamp, policy) ? &kb_pa_enc_timestamp : NULL;
}

void kb_preauth_describe(const kb_method_data *offered, struct kb_buf *out)
{
    for (size_t i = 0; i < offered->num && i < MOST_SHOWN; i++) {
        int32_t type = offered->items[i].padata_type;
        const char *name = kb_number_name("padata_type", type);

        kb_buf_add_str(out, i > 0 ? ", " : "");
        if (name != NULL) {
            kb_buf_add_str(out, name);
        } else {
            kb_buf_printf(out, "padata %" PRId32, type);
        }
    }
    kb_buf_add_str(out, offered->num > MOST_SHOWN ? ", ..." : offered->num == 0 ? "nothing" : "");
}
