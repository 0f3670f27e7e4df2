/* The bytes of a keytab file. */
#include <stdatomic.h>
#include <stdlib.h>

#include "asn1/arena.h"
#include "asn1/reader.h"
#include "mech/store/keytab_own.h"

/* One file being read. */
struct parser {
    struct kb_keytab *keytab;
    struct kb_keytab_entry *entries; /* keytab->entries */
    size_t room;
    int version;
    bool little; /* byte order: version 2 is in the network's, version 1 in that of its writer */
    struct kb_keytab_place place;
};

static uint64_t get(const struct parser *p, struct kb_reader *r, size_t len)
{
    return p->little ? kb_get_le(r, len) : kb_get_be(r, len);
}

static kb_bytes get_data(const struct parser *p, struct kb_reader *r)
{
    return kb_get_bytes(r, (size_t)get(p, r, 2));
}

/* Version 1 counts the realm as a component and has no name type. */
static enum kb_status read_principal(const struct parser *p, struct kb_reader *r,
                                     const struct kb_principal **out)
{
    size_t num = (size_t)get(p, r, 2);
    kb_bytes realm = get_data(p, r);
    kb_principal_name name = {.name_type = KB_NT_PRINCIPAL};
    struct kb_arena arena;
    enum kb_status status = KB_OK;

    if (p->version == 1 && num > 0) {
        num--;
    }
    if (r->bad || num == 0 || num > r->rest.len / 2) {
        return KB_MALFORMED;
    }
    kb_arena_init(&arena, NULL, 0, KB_KEYTAB_MAX_FILE);
    name.name_string.items = kb_arena_alloc(&arena, num * sizeof(kb_string));
    if (name.name_string.items == NULL) {
        return KB_NO_MEMORY;
    }
    for (name.name_string.num = 0; name.name_string.num < num; name.name_string.num++) {
        name.name_string.items[name.name_string.num] = get_data(p, r);
    }
    if (p->version != 1) {
        name.name_type = (int32_t)get(p, r, 4);
    }
    if (r->bad) {
        status = KB_MALFORMED;
    } else {
        *out = kb_principal_new(realm, &name);
        status = *out != NULL ? KB_OK : KB_NO_MEMORY;
    }
    kb_arena_wipe(&arena);
    return status;
}

/* Most keytabs hold few principals with many keys. */
static void share_principal(const struct parser *p, struct kb_keytab_entry *entry)
{
    const struct kb_principal *last =
        p->keytab->num > 0 ? p->entries[p->keytab->num - 1].principal : NULL;

    if (last != NULL && last->name.name_type == entry->principal->name.name_type &&
        kb_principal_equal(last, entry->principal)) {
        kb_principal_free(entry->principal);
        entry->principal = kb_principal_ref(last);
    }
}

/* An enctype that we do not have, or a key that is not of its length, is listed without a key. */
static enum kb_status make_key(struct kb_keytab_entry *entry, kb_bytes raw)
{
    enum kb_status status = kb_key_new(entry->etype, raw, &entry->key);

    if (status == KB_NO_ENCTYPE || status == KB_BAD_KEY) {
        entry->key = NULL;
        return KB_OK;
    }
    return status;
}

/* The kvno has 8 bits; since MIT 1.14 one of 32 bits follows the key, if it is there and not zero:
 * a record that reuses a hole has zeros behind it. Heimdal writes flags after that. */
static enum kb_status read_entry(const struct parser *p, kb_bytes record,
                                 struct kb_keytab_entry *entry)
{
    struct kb_reader r = kb_reader(record);
    enum kb_status status = read_principal(p, &r, &entry->principal);
    uint32_t kvno32;
    kb_bytes raw;

    if (status != KB_OK) {
        return status;
    }
    entry->timestamp = (uint32_t)get(p, &r, 4);
    entry->kvno = kb_get_u8(&r);
    entry->etype = (int16_t)get(p, &r, 2);
    raw = get_data(p, &r);
    if (r.bad) {
        return KB_MALFORMED;
    }
    kvno32 = (uint32_t)get(p, &r, 4);
    if (!r.bad && kvno32 != 0) {
        entry->kvno = kvno32;
    }
    share_principal(p, entry);
    return make_key(entry, raw);
}

static enum kb_status make_room(struct parser *p)
{
    size_t room = p->room > 0 ? 2 * p->room : 16;
    struct kb_keytab_entry *entries;

    if (p->keytab->num < p->room) {
        return KB_OK;
    }
    entries = realloc(p->entries, room * sizeof(*entries)); /* pointers, no secrets */
    if (entries == NULL) {
        return KB_NO_MEMORY;
    }
    p->entries = entries;
    p->keytab->entries = entries;
    p->room = room;
    return KB_OK;
}

static void entry_wipe(const struct kb_keytab_entry *entry)
{
    kb_principal_free(entry->principal);
    kb_key_free(entry->key);
}

static enum kb_status add_entry(struct parser *p, kb_bytes record)
{
    struct kb_keytab_entry entry = {0};
    enum kb_status status = make_room(p);

    if (status == KB_OK) {
        status = read_entry(p, record, &entry);
    }
    if (status == KB_OK) {
        p->entries[p->keytab->num++] = entry;
    } else {
        entry_wipe(&entry);
    }
    return status;
}

/* A record is a length and an entry; a hole has a negative length, and 0 is the end. */
static enum kb_status read_records(struct parser *p, kb_bytes bytes)
{
    struct kb_reader r = kb_reader(bytes);

    (void)kb_get_bytes(&r, 2);
    while (r.rest.len > 0) {
        int32_t size;
        kb_bytes record;
        enum kb_status status;

        p->place.at = bytes.len - r.rest.len;
        p->place.record++;
        size = (int32_t)get(p, &r, 4);
        if (!r.bad && size == 0) {
            return KB_OK;
        }
        record = kb_get_bytes(&r, (size_t)(size > 0 ? (int64_t)size : -(int64_t)size));
        if (r.bad) {
            return KB_CUT_SHORT;
        }
        status = size > 0 ? add_entry(p, record) : KB_OK;
        if (status != KB_OK) {
            return status;
        }
    }
    return KB_OK;
}

static bool is_little_machine(void)
{
    const uint16_t one = 1;

    return *(const uint8_t *)&one == 1;
}

static enum kb_status parse(struct parser *p, kb_bytes bytes)
{
    if (bytes.len > KB_KEYTAB_MAX_FILE) {
        return KB_TOO_BIG;
    }
    if (bytes.len < 2) {
        return KB_CUT_SHORT;
    }
    if (bytes.ptr[0] != 5 || (bytes.ptr[1] != 1 && bytes.ptr[1] != 2)) {
        return KB_WRONG_TYPE;
    }
    p->version = bytes.ptr[1];
    p->keytab = calloc(1, sizeof(*p->keytab));
    if (p->keytab == NULL) {
        return KB_NO_MEMORY;
    }
    atomic_init(&p->keytab->refs, 1);
    return read_records(p, bytes);
}

static enum kb_status parse_as(bool little, kb_bytes bytes, struct kb_keytab **out,
                               struct kb_keytab_place *place)
{
    struct parser p = {.little = little};
    enum kb_status status = parse(&p, bytes);

    if (status != KB_OK) {
        kb_keytab_free(p.keytab);
        p.keytab = NULL;
    }
    *out = p.keytab;
    *place = p.place;
    return status;
}

/* Nothing in a file of version 1 says which machine wrote it: this one, if that makes sense. */
enum kb_status kb_keytab_parse_at(kb_bytes bytes, struct kb_keytab **out,
                                  struct kb_keytab_place *place)
{
    bool old = bytes.len >= 2 && bytes.ptr[1] == 1;
    bool little = old && is_little_machine();
    struct kb_keytab_place ignored;
    enum kb_status status = parse_as(little, bytes, out, place);

    if (old && status != KB_OK && status != KB_NO_MEMORY &&
        parse_as(!little, bytes, out, &ignored) == KB_OK) {
        status = KB_OK;
    }
    return status;
}

enum kb_status kb_keytab_parse(kb_bytes bytes, struct kb_keytab **out)
{
    struct kb_keytab_place ignored;

    return kb_keytab_parse_at(bytes, out, &ignored);
}

struct kb_keytab *kb_keytab_ref(struct kb_keytab *keytab)
{
    atomic_fetch_add_explicit(&keytab->refs, 1, memory_order_relaxed);
    return keytab;
}

void kb_keytab_free(struct kb_keytab *keytab)
{
    if (keytab != NULL && atomic_fetch_sub_explicit(&keytab->refs, 1, memory_order_acq_rel) == 1) {
        for (size_t i = 0; i < keytab->num; i++) {
            entry_wipe(&keytab->entries[i]);
        }
        free((void *)(uintptr_t)keytab->entries);
        free(keytab);
    }
}
