#include "mech/store/ccache_format.h"

static void put(struct kb_buf *out, size_t len, uint64_t value)
{
    uint8_t bytes[8];

    kb_put_be(bytes, len, value);
    kb_buf_add(out, kb_bytes_of(bytes, len));
}

static void put_data(struct kb_buf *out, kb_bytes data)
{
    put(out, 4, data.len);
    kb_buf_add(out, data);
}

void kb_cc_put_principal(struct kb_buf *out, const struct kb_principal *principal)
{
    const kb_string_list *parts = &principal->name.name_string;

    put(out, 4, (uint32_t)principal->name.name_type);
    put(out, 4, parts->num);
    put_data(out, principal->realm);
    for (size_t i = 0; i < parts->num; i++) {
        put_data(out, parts->items[i]);
    }
}

/* 32 bits without a sign, as MIT reads them. */
static void put_time(struct kb_buf *out, int64_t time)
{
    put(out, 4, time < 0 ? 0 : time > UINT32_MAX ? UINT32_MAX : (uint64_t)time);
}

static void put_addresses(struct kb_buf *out, kb_bytes der)
{
    kb_host_addresses list = {.num = 0};
    struct kb_arena arena;

    kb_arena_init(&arena, NULL, 0, KB_CC_MAX);
    if (der.len > 0) {
        enum kb_status st = kb_decode_host_addresses(der, &arena, &list, NULL);

        out->status = out->status == KB_OK ? st : out->status;
    }
    put(out, 4, list.num);
    for (size_t i = 0; i < list.num; i++) {
        put(out, 2, (uint16_t)list.items[i].addr_type);
        put_data(out, list.items[i].address);
    }
    kb_arena_wipe(&arena);
}

void kb_cc_put_entry(struct kb_buf *out, const struct kb_cc_store *what)
{
    const struct kb_credential *credential = what->credential;

    kb_cc_put_principal(out, what->owner);
    kb_cc_put_principal(out, what->server);
    put(out, 2, (uint16_t)kb_key_enctype(credential->session_key)->etype);
    put_data(out, kb_key_bytes(credential->session_key));
    put_time(out, credential->authtime);
    put_time(out, credential->starttime);
    put_time(out, credential->endtime);
    put_time(out, credential->renew_till);
    put(out, 1, 0); /* is_skey */
    put(out, 4, credential->flags);
    put_addresses(out, credential->addresses);
    put(out, 4, 0); /* authorization data asked for */
    put_data(out, credential->ticket);
    put_data(out, KB_NONE);
}

static void put_name(struct kb_buf *out, int version, const struct kb_cc_name *name)
{
    struct kb_reader r = kb_reader(name->parts);

    put(out, 4, (uint32_t)name->name_type);
    put(out, 4, name->num);
    put_data(out, name->realm);
    for (uint32_t i = 0; i < name->num; i++) {
        put_data(out, kb_cc_get_data(&r, version));
    }
}

static void put_list(struct kb_buf *out, int version, kb_bytes list)
{
    struct kb_reader r = kb_reader(list);
    uint32_t num = kb_cc_get(&r, version, 4);

    put(out, 4, num);
    for (; num > 0 && !r.bad; num--) {
        put(out, 2, kb_cc_get(&r, version, 2));
        put_data(out, kb_cc_get_data(&r, version));
    }
}

static void put_record(struct kb_buf *out, int version, const struct kb_cc_record *record)
{
    if (version == 4) {
        kb_buf_add(out, record->raw);
        return;
    }
    put_name(out, version, &record->client);
    put_name(out, version, &record->server);
    put(out, 2, (uint16_t)record->etype);
    put_data(out, record->key);
    put(out, 4, record->authtime);
    put(out, 4, record->starttime);
    put(out, 4, record->endtime);
    put(out, 4, record->renew_till);
    put(out, 1, record->is_skey);
    put(out, 4, record->flags);
    put_list(out, version, record->addresses);
    put_list(out, version, record->authdata);
    put_data(out, record->ticket);
    put_data(out, record->second_ticket);
}

/* The header's fields but the offset. */
static void put_other_fields(struct kb_buf *out, kb_bytes header)
{
    struct kb_reader r = kb_reader(header);

    while (r.rest.len > 0 && !r.bad) {
        uint16_t tag = kb_get_u16be(&r);
        kb_bytes value = kb_get_bytes(&r, kb_get_u16be(&r));

        if (tag != KB_CC_TAG_OFFSET && !r.bad) {
            put(out, 2, tag);
            put(out, 2, value.len);
            kb_buf_add(out, value);
        }
    }
}

static void put_offset(struct kb_buf *out, int64_t offset)
{
    int64_t seconds = offset / 1000000, rest = offset % 1000000;

    put(out, 2, KB_CC_TAG_OFFSET);
    put(out, 2, 8);
    put(out, 4, (uint32_t)(int32_t)(rest < 0 ? seconds - 1 : seconds));
    put(out, 4, (uint32_t)(rest < 0 ? rest + 1000000 : rest));
}

/* The clock is that of the TGT with which the cache begins. */
static void put_header(struct kb_buf *out, const struct kb_cc_contents *old,
                       const struct kb_cc_store *what)
{
    struct kb_buf fields;

    kb_buf_init(&fields, UINT16_MAX);
    if (what != NULL && (what->fresh || old == NULL)) {
        put_offset(&fields, what->credential->clock_offset);
    } else if (old->has_offset) {
        put_offset(&fields, old->offset);
    }
    put_other_fields(&fields, old != NULL ? old->header : KB_NONE);
    put(out, 2, KB_CC_VERSION_BASE + 4);
    put(out, 2, fields.len);
    kb_buf_add(out, kb_buf_bytes(&fields));
    if (fields.status != KB_OK) {
        out->status = fields.status;
    }
    kb_buf_wipe(&fields);
}

bool kb_cc_is_kept(const struct kb_cc_contents *old, const struct kb_cc_record *record,
                   const struct kb_cc_store *what)
{
    if (record->kind == KB_CC_REMOVED) {
        return false;
    }
    if (record->kind == KB_CC_CONFIG || what == NULL) {
        return true;
    }
    return record->endtime > what->now + old->offset / 1000000 &&
           !(what->fresh && record->is_skey == 0 && kb_cc_is_for(old, record, what->server));
}

enum kb_status kb_cc_put_all(struct kb_buf *out, const struct kb_cc_contents *old,
                             const struct kb_cc_store *what, const struct kb_principal *without,
                             size_t *out_num)
{
    size_t num = 0;

    put_header(out, old, what);
    kb_cc_put_principal(out, old != NULL ? old->owner : what->owner);
    if (what != NULL) {
        kb_cc_put_entry(out, what);
    }
    for (size_t i = 0; old != NULL && i < old->num; i++) {
        const struct kb_cc_record *record = kb_cc_record_at(old, i);

        if (without != NULL && kb_cc_is_for(old, record, without)) {
            num++;
        } else if (kb_cc_is_kept(old, record, what)) {
            put_record(out, old->version, record);
        }
    }
    if (out_num != NULL) {
        *out_num = num;
    }
    return out->status;
}
