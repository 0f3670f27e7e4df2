#include "mech/store/ccache_format.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "asn1/arena.h"
#include "asn1/reader.h"

#define VERSION_BASE 0x0500
#define TAG_OFFSET 1 /* of the header: the KDC's clock minus ours */
#define CONFIG_REALM KB_LIT("X-CACHECONF:")
#define REMOVED_CONFIG_REALM KB_LIT("X-RMED-CONF:")

/* --- memory --- */

/* Pages of its own: they stay out of core dumps where the system can. */
static uint8_t *pages_new(size_t len)
{
    void *pages = mmap(NULL, len + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(pages, len + 1, MADV_DONTDUMP);
    return pages;
}

struct kb_cc_contents *kb_cc_contents_new(size_t len)
{
    struct kb_cc_contents *contents = len <= KB_CC_MAX ? calloc(1, sizeof(*contents)) : NULL;

    if (contents == NULL) {
        return NULL;
    }
    atomic_init(&contents->refs, 1);
    contents->len = len;
    contents->image = pages_new(len);
    if (contents->image == NULL) {
        free(contents);
        return NULL;
    }
    return contents;
}

struct kb_cc_contents *kb_cc_contents_ref(struct kb_cc_contents *contents)
{
    atomic_fetch_add_explicit(&contents->refs, 1, memory_order_relaxed);
    return contents;
}

void kb_cc_contents_put(struct kb_cc_contents *contents)
{
    if (contents == NULL ||
        atomic_fetch_sub_explicit(&contents->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    kb_wipe(contents->image, contents->len);
    munmap(contents->image, contents->len + 1);
    kb_principal_free(contents->owner);
    free(contents->records);
    free(contents->buckets);
    free(contents);
}

/* --- reading --- */

/* Versions 1 and 2 are in the byte order of the machine that wrote them, taken to be this one. */
static uint32_t get(struct kb_reader *r, int version, size_t len)
{
    const uint16_t one = 1;
    bool little = *(const uint8_t *)&one == 1;

    return (uint32_t)(version < 3 && little ? kb_get_le(r, len) : kb_get_be(r, len));
}

static kb_bytes get_data(struct kb_reader *r, int version)
{
    return kb_get_bytes(r, get(r, version, 4));
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
        name.name_type = (int32_t)get(r, version, 4);
    }
    name.num = get(r, version, 4);
    if (version == 1) {
        r->bad = r->bad || name.num == 0;
        name.num--;
    }
    name.realm = get_data(r, version);
    start = r->rest.ptr;
    for (uint32_t i = 0; i < name.num && !r->bad; i++) {
        (void)get_data(r, version);
    }
    name.parts = since(start, r);
    return name;
}

/* Addresses or authorization data: a count, then each a type and its data. */
static kb_bytes get_list(struct kb_reader *r, int version)
{
    const uint8_t *start = r->rest.ptr;

    for (uint32_t left = get(r, version, 4); left > 0 && !r->bad; left--) {
        (void)get(r, version, 2);
        (void)get_data(r, version);
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

static struct kb_cc_record get_record(struct kb_reader *r, int version)
{
    struct kb_cc_record record = {.next = 0};
    const uint8_t *start = r->rest.ptr;

    record.client = get_name(r, version);
    record.server = get_name(r, version);
    record.etype = (int16_t)get(r, version, 2);
    if (version == 3) {
        (void)get(r, version, 2); /* the key type of before 1.0 */
    }
    record.key = get_data(r, version);
    record.authtime = get(r, version, 4);
    record.starttime = get(r, version, 4);
    record.endtime = get(r, version, 4);
    record.renew_till = get(r, version, 4);
    record.is_skey = kb_get_u8(r);
    record.flags = get(r, version, 4);
    record.addresses = get_list(r, version);
    record.authdata = get_list(r, version);
    record.ticket = get_data(r, version);
    record.second_ticket = get_data(r, version);
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

        if (tag == TAG_OFFSET && !fields.bad) {
            int64_t seconds = (int32_t)kb_get_u32be(&value);

            contents->offset = seconds * 1000000 + (int32_t)kb_get_u32be(&value);
            contents->has_offset = !value.bad;
        }
    }
    return fields.bad ? KB_MALFORMED : KB_OK;
}

static enum kb_status read_records(struct kb_cc_contents *contents, struct kb_reader *r)
{
    size_t room = 0;

    for (;;) {
        struct kb_cc_record record;

        contents->whole = contents->len - r->rest.len;
        if (r->rest.len == 0) {
            return KB_OK;
        }
        record = get_record(r, contents->version);
        if (r->bad) {
            return KB_OK; /* somebody died while he wrote it, or is writing it now */
        }
        if (contents->num == room) {
            struct kb_cc_record *more;

            room = room > 0 ? 2 * room : 16;
            more = realloc(contents->records, room * sizeof(*more)); /* slices, no secrets */
            if (more == NULL) {
                return KB_NO_MEMORY;
            }
            contents->records = more;
        }
        contents->records[contents->num++] = record;
    }
}

static uint32_t hash_part(uint32_t hash, kb_bytes part)
{
    for (size_t i = 0; i < part.len; i++) {
        hash = (hash ^ part.ptr[i]) * 16777619u; /* FNV-1a */
    }
    return (hash ^ '/') * 16777619u;
}

#define HASH_START 2166136261u

static uint32_t hash_name(const struct kb_cc_contents *contents, const struct kb_cc_name *name)
{
    struct kb_reader r = kb_reader(name->parts);
    uint32_t hash = HASH_START;

    for (uint32_t i = 0; i < name->num; i++) {
        hash = hash_part(hash, get_data(&r, contents->version));
    }
    return hash;
}

/* From the last to the first, so that each bucket is in the file's order. */
static enum kb_status make_index(struct kb_cc_contents *contents)
{
    size_t num = 8;

    while (num < contents->num) {
        num *= 2;
    }
    contents->buckets = calloc(num, sizeof(*contents->buckets));
    if (contents->buckets == NULL) {
        return KB_NO_MEMORY;
    }
    contents->num_buckets = num;
    for (size_t i = contents->num; i > 0; i--) {
        struct kb_cc_record *record = &contents->records[i - 1];
        uint32_t *bucket = &contents->buckets[hash_name(contents, &record->server) & (num - 1)];

        record->next = *bucket;
        *bucket = (uint32_t)i;
    }
    return KB_OK;
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

enum kb_status kb_cc_parse(struct kb_cc_contents *contents)
{
    struct kb_reader r = kb_reader(kb_bytes_of(contents->image, contents->len));
    unsigned version = kb_get_u16be(&r);
    enum kb_status st = KB_OK;

    if (contents->len == 0) {
        return KB_NOT_FOUND;
    }
    if (r.bad || version <= VERSION_BASE || version > VERSION_BASE + 4) {
        return KB_WRONG_TYPE;
    }
    contents->version = (int)(version - VERSION_BASE);
    if (contents->version == 4) {
        st = read_header(contents, &r);
    }
    if (st == KB_OK) {
        st = read_owner(contents, &r);
    }
    if (st == KB_OK) {
        st = read_records(contents, &r);
    }
    return st == KB_OK ? make_index(contents) : st;
}

/* --- names --- */

bool kb_cc_name_is(const struct kb_cc_contents *contents, const struct kb_cc_name *name,
                   const struct kb_principal *principal)
{
    const kb_string_list *parts = &principal->name.name_string;
    struct kb_reader r = kb_reader(name->parts);
    bool same = name->num == parts->num;

    for (uint32_t i = 0; i < name->num && same; i++) {
        same = kb_equal(get_data(&r, contents->version), parts->items[i]);
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
            made.name_string.items[made.name_string.num] = get_data(&r, contents->version);
        }
        *out = kb_principal_new(name->realm, &made);
    }
    kb_arena_wipe(&arena);
    return *out != NULL ? KB_OK : KB_NO_MEMORY;
}

static const struct kb_cc_record *record_at(const struct kb_cc_contents *contents, uint32_t number)
{
    return number > 0 ? &contents->records[number - 1] : NULL;
}

const struct kb_cc_record *kb_cc_first(const struct kb_cc_contents *contents,
                                       const struct kb_principal *server)
{
    const kb_string_list *parts = &server->name.name_string;
    uint32_t hash = HASH_START;

    for (size_t i = 0; i < parts->num; i++) {
        hash = hash_part(hash, parts->items[i]);
    }
    return record_at(contents, contents->buckets[hash & (contents->num_buckets - 1)]);
}

const struct kb_cc_record *kb_cc_next_of(const struct kb_cc_contents *contents,
                                         const struct kb_cc_record *record)
{
    return record_at(contents, record->next);
}

/* --- writing, always version 4 --- */

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

static void put_principal(struct kb_buf *out, const struct kb_principal *principal)
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

enum kb_status kb_cc_addresses(const struct kb_cc_contents *contents,
                               const struct kb_cc_record *record, struct kb_arena *arena,
                               kb_bytes *out)
{
    struct kb_reader r = kb_reader(record->addresses);
    kb_host_addresses list = {.num = get(&r, contents->version, 4)};

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
        list.items[i].addr_type = (int32_t)get(&r, contents->version, 2);
        list.items[i].address = get_data(&r, contents->version);
    }
    return kb_encode_host_addresses(arena, &list, out);
}

void kb_cc_put_entry(struct kb_buf *out, const struct kb_cc_store *what)
{
    const struct kb_credential *credential = what->credential;

    put_principal(out, what->owner);
    put_principal(out, what->server);
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
        put_data(out, get_data(&r, version));
    }
}

static void put_list(struct kb_buf *out, int version, kb_bytes list)
{
    struct kb_reader r = kb_reader(list);
    uint32_t num = get(&r, version, 4);

    put(out, 4, num);
    for (; num > 0 && !r.bad; num--) {
        put(out, 2, get(&r, version, 2));
        put_data(out, get_data(&r, version));
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

        if (tag != TAG_OFFSET && !r.bad) {
            put(out, 2, tag);
            put(out, 2, value.len);
            kb_buf_add(out, value);
        }
    }
}

static void put_offset(struct kb_buf *out, int64_t offset)
{
    int64_t seconds = offset / 1000000, rest = offset % 1000000;

    put(out, 2, TAG_OFFSET);
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
    put(out, 2, VERSION_BASE + 4);
    put(out, 2, fields.len);
    kb_buf_add(out, kb_buf_bytes(&fields));
    if (fields.status != KB_OK) {
        out->status = fields.status;
    }
    kb_buf_wipe(&fields);
}

/* Its realm, or none where it was found by referral, or where none was named. */
static bool is_for(const struct kb_cc_contents *contents, const struct kb_cc_record *record,
                   const struct kb_principal *server)
{
    return record->kind == KB_CC_TICKET && kb_cc_name_is(contents, &record->server, server) &&
           (record->server.realm.len == 0 || server->realm.len == 0 ||
            kb_equal(record->server.realm, server->realm));
}

static bool is_kept(const struct kb_cc_contents *old, const struct kb_cc_record *record,
                    const struct kb_cc_store *what)
{
    if (record->kind == KB_CC_REMOVED) {
        return false;
    }
    if (record->kind == KB_CC_CONFIG || what == NULL) {
        return true;
    }
    return record->endtime > what->now + old->offset / 1000000 &&
           !(what->fresh && record->is_skey == 0 && is_for(old, record, what->server));
}

enum kb_status kb_cc_put_all(struct kb_buf *out, const struct kb_cc_contents *old,
                             const struct kb_cc_store *what, const struct kb_principal *without,
                             size_t *out_num)
{
    size_t num = 0;

    put_header(out, old, what);
    put_principal(out, old != NULL ? old->owner : what->owner);
    if (what != NULL) {
        kb_cc_put_entry(out, what);
    }
    for (size_t i = 0; old != NULL && i < old->num; i++) {
        const struct kb_cc_record *record = &old->records[i];

        if (without != NULL && is_for(old, record, without)) {
            num++;
        } else if (is_kept(old, record, what)) {
            put_record(out, old->version, record);
        }
    }
    if (out_num != NULL) {
        *out_num = num;
    }
    return out->status;
}
