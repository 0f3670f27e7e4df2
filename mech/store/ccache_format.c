#include "mech/store/ccache_format.h"

#define CONFIG_REALM KB_LIT("X-CACHECONF:")
#define REMOVED_CONFIG_REALM KB_LIT("X-RMED-CONF:")

/* --- reading --- */

/* Versions 1 and 2 are in the byte order of the machine that wrote them, taken to be this one. */
uint32_t kb_cc_get(struct kb_reader *r, int version, size_t len)
{
    const uint16_t one = 1;
    bool little = *(const uint8_t *)&one == 1;

    if (version < 3 && little) {
        return (uint32_t)kb_get_le(r, len);
    }
    return len == 4 ? kb_get_u32be(r) : (uint32_t)kb_get_be(r, len);
}

kb_bytes kb_cc_get_data(struct kb_reader *r, int version)
{
    return kb_get_bytes(r, kb_cc_get(r, version, 4));
}

/* What was read since `start`. */
static kb_bytes since(const uint8_t *start, const struct kb_reader *r)
{
    return r->bad ? KB_NONE : kb_bytes_of(start, (size_t)(r->rest.ptr - start));
}

/* Version 1 counts the realm as a component and has no name type. */
static struct kb_cc_name get_name(struct kb_reader *r, int version)
{
    struct kb_cc_name name = {.name_type = KB_NT_UNKNOWN};
    const uint8_t *start;

    if (version > 1) {
        name.name_type = (int32_t)kb_cc_get(r, version, 4);
    }
    name.num = kb_cc_get(r, version, 4);
    if (version == 1) {
        r->bad = r->bad || name.num == 0;
        name.num--;
    }
    name.realm = kb_cc_get_data(r, version);
    start = r->rest.ptr;
    for (uint32_t i = 0; i < name.num && !r->bad; i++) {
        (void)kb_cc_get_data(r, version);
    }
    name.parts = since(start, r);
    return name;
}

/* Addresses or authorization data: a count, then each a type and its data. */
static kb_bytes get_list(struct kb_reader *r, int version)
{
    const uint8_t *start = r->rest.ptr;

    for (uint32_t left = kb_cc_get(r, version, 4); left > 0 && !r->bad; left--) {
        (void)kb_cc_get(r, version, 2);
        (void)kb_cc_get_data(r, version);
    }
    return since(start, r);
}

/* MIT removes a ticket by overwriting two of its times, and a configuration entry by its realm. */
static enum kb_cc_kind kind_of(const struct kb_cc_record *record)
{
    if (kb_equal(record->server.realm, CONFIG_REALM)) {
        return KB_CC_CONFIG;
    }
    if ((record->endtime == 0 && record->authtime != 0) ||
        kb_equal(record->server.realm, REMOVED_CONFIG_REALM)) {
        return KB_CC_REMOVED;
    }
    return KB_CC_TICKET;
}

struct kb_cc_record kb_cc_get_record(struct kb_reader *r, int version)
{
    struct kb_cc_record record = {.next = 0};
    const uint8_t *start = r->rest.ptr;

    record.client = get_name(r, version);
    record.server = get_name(r, version);
    record.etype = (int16_t)kb_cc_get(r, version, 2);
    if (version == 3) {
        (void)kb_cc_get(r, version, 2); /* the key type of before 1.0 */
    }
    record.key = kb_cc_get_data(r, version);
    record.authtime = kb_cc_get(r, version, 4);
    record.starttime = kb_cc_get(r, version, 4);
    record.endtime = kb_cc_get(r, version, 4);
    record.renew_till = kb_cc_get(r, version, 4);
    record.is_skey = kb_get_u8(r);
    record.flags = kb_cc_get(r, version, 4);
    record.addresses = get_list(r, version);
    record.authdata = get_list(r, version);
    record.ticket = kb_cc_get_data(r, version);
    record.second_ticket = kb_cc_get_data(r, version);
    record.raw = since(start, r);
    record.kind = kind_of(&record);
    return record;
}

/* Version 4: fields with a tag; unknown ones are kept as they are. */
static enum kb_status read_header(struct kb_cc_contents *contents, struct kb_reader *r)
{
    struct kb_reader fields;

    contents->header = kb_get_bytes(r, kb_get_u16be(r));
    fields = kb_reader(contents->header);
    while (fields.rest.len > 0 && !fields.bad) {
        uint16_t tag = kb_get_u16be(&fields);
        struct kb_reader value = kb_reader(kb_get_bytes(&fields, kb_get_u16be(&fields)));

        if (tag == KB_CC_TAG_OFFSET && !fields.bad) {
            int64_t seconds = (int32_t)kb_get_u32be(&value);

            contents->offset = seconds * 1000000 + (int32_t)kb_get_u32be(&value);
            contents->has_offset = !value.bad;
        }
    }
    return fields.bad ? KB_MALFORMED : KB_OK;
}

static enum kb_status read_owner(struct kb_cc_contents *contents, struct kb_reader *r)
{
    struct kb_cc_name name;

    if (r->rest.len == 0) {
        return KB_NOT_FOUND; /* its name was reserved, nobody logged in yet */
    }
    name = get_name(r, contents->version);
    return r->bad ? KB_MALFORMED : kb_cc_name_principal(contents, &name, &contents->owner);
}

enum kb_status kb_cc_get_start(struct kb_cc_contents *contents, struct kb_reader *r)
{
    bool empty = r->rest.len == 0;
    unsigned version = kb_get_u16be(r);
    enum kb_status st = KB_OK;

    if (empty) {
        return KB_NOT_FOUND;
    }
    if (r->bad || version <= KB_CC_VERSION_BASE || version > KB_CC_VERSION_BASE + 4) {
        return KB_WRONG_TYPE;
    }
    contents->version = (int)(version - KB_CC_VERSION_BASE);
    if (contents->version == 4) {
        st = read_header(contents, r);
    }
    return st == KB_OK ? read_owner(contents, r) : st;
}

/* --- names --- */

bool kb_cc_name_is(const struct kb_cc_contents *contents, const struct kb_cc_name *name,
                   const struct kb_principal *principal)
{
    const kb_string_list *parts = &principal->name.name_string;
    struct kb_reader r = kb_reader(name->parts);
    bool same = name->num == parts->num;

    for (uint32_t i = 0; i < name->num && same; i++) {
        same = kb_equal(kb_cc_get_data(&r, contents->version), parts->items[i]);
    }
    return same;
}

enum kb_status kb_cc_name_principal(const struct kb_cc_contents *contents,
                                    const struct kb_cc_name *name, struct kb_principal **out)
{
    kb_principal_name made = {.name_type = name->name_type};
    struct kb_reader r = kb_reader(name->parts);
    struct kb_arena arena;

    *out = NULL;
    if (name->num > name->parts.len / 4) {
        return KB_MALFORMED;
    }
    kb_arena_init(&arena, NULL, 0, KB_CC_MAX);
    made.name_string.items = kb_arena_alloc(&arena, name->num * sizeof(kb_string));
    if (made.name_string.items != NULL) {
        for (; made.name_string.num < name->num; made.name_string.num++) {
            made.name_string.items[made.name_string.num] = kb_cc_get_data(&r, contents->version);
        }
        *out = kb_principal_new(name->realm, &made);
    }
    kb_arena_wipe(&arena);
    return *out != NULL ? KB_OK : KB_NO_MEMORY;
}

enum kb_status kb_cc_addresses(const struct kb_cc_contents *contents,
                               const struct kb_cc_record *record, struct kb_arena *arena,
                               kb_bytes *out)
{
    struct kb_reader r = kb_reader(record->addresses);
    kb_host_addresses list = {.num = kb_cc_get(&r, contents->version, 4)};

    *out = KB_NONE;
    if (list.num == 0) {
        return KB_OK;
    }
    list.items = list.num <= record->addresses.len / 6
                     ? kb_arena_alloc(arena, list.num * sizeof(*list.items))
                     : NULL;
    if (list.items == NULL) {
        return KB_NO_MEMORY;
    }
    for (size_t i = 0; i < list.num; i++) {
        list.items[i].addr_type = (int32_t)kb_cc_get(&r, contents->version, 2);
        list.items[i].address = kb_cc_get_data(&r, contents->version);
    }
    return kb_encode_host_addresses(arena, &list, out);
}

/* Its realm, or none where it was found by referral, or where none was named. */
bool kb_cc_is_for(const struct kb_cc_contents *contents, const struct kb_cc_record *record,
                  const struct kb_principal *server)
{
    return record->kind == KB_CC_TICKET && kb_cc_name_is(contents, &record->server, server) &&
           (record->server.realm.len == 0 || server->realm.len == 0 ||
            kb_equal(record->server.realm, server->realm));
}
