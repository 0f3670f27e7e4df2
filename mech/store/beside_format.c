#include "mech/store/beside_format.h"

#include "asn1/reader.h"

#define MAGIC KB_LIT("kerbside")
#define VERSION 1
#define HEAD KB_BESIDE_HEAD
#define RECORD_HEAD 14
#define CHECKSUM_AT 24

/* FNV-1a of 64 bits over all of a slot but the checksum: against halves, not against forgers. */
static uint64_t checksum(kb_bytes head, kb_bytes records)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < head.len; i++) {
        hash = (hash ^ head.ptr[i]) * UINT64_C(1099511628211);
    }
    for (size_t i = 0; i < records.len; i++) {
        hash = (hash ^ records.ptr[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

/* --- reading --- */

static bool get_record(struct kb_reader *r, struct kb_beside_record *out)
{
    size_t key_len, value_len;

    out->type = kb_get_u8(r);
    (void)kb_get_u8(r);
    key_len = kb_get_u16be(r);
    value_len = kb_get_u16be(r);
    out->until = (int64_t)kb_get_u64be(r);
    out->key = kb_get_bytes(r, key_len);
    out->value = kb_get_bytes(r, value_len);
    return !r->bad;
}

static bool are_records(kb_bytes bytes)
{
    struct kb_reader r = kb_reader(bytes);
    struct kb_beside_record record;

    while (r.rest.len > 0 && get_record(&r, &record)) {
    }
    return !r.bad;
}

/* What stands in a slot's head. */
struct head {
    uint64_t sequence, sum;
    size_t len; /* of the records */
};

static bool get_head(struct kb_reader *r, struct head *out)
{
    kb_bytes magic = kb_get_bytes(r, MAGIC.len);
    uint64_t version = kb_get_be(r, 4);

    out->len = kb_get_u32be(r);
    out->sequence = kb_get_u64be(r);
    out->sum = kb_get_u64be(r);
    return !r->bad && kb_equal(magic, MAGIC) && version == (uint64_t)VERSION << 16 &&
           out->sequence > 0 && out->sequence < UINT64_MAX / 2 && out->len <= KB_BESIDE_SLOT - HEAD;
}

size_t kb_beside_slot_len(kb_bytes slot)
{
    struct kb_reader r = kb_reader(slot);
    struct head head;

    return get_head(&r, &head) ? HEAD + head.len : 0;
}

static bool get_table(kb_bytes slot, struct kb_beside_table *out)
{
    struct kb_reader r = kb_reader(slot);
    struct head head;

    if (!get_head(&r, &head)) {
        return false;
    }
    out->sequence = head.sequence;
    out->records = kb_get_bytes(&r, head.len);
    return !r.bad && head.sum == checksum(kb_bytes_of(slot.ptr, CHECKSUM_AT), out->records) &&
           are_records(out->records);
}

enum kb_status kb_beside_pick(const kb_bytes slots[2], struct kb_beside_table *out)
{
    *out = (struct kb_beside_table){.slot = 1}; /* what is made of none goes into the first */
    for (unsigned i = 0; i < 2; i++) {
        struct kb_beside_table table = {.slot = i};

        if (get_table(slots[i], &table) && table.sequence > out->sequence) {
            *out = table;
        }
    }
    return out->sequence > 0 ? KB_OK : KB_NOT_FOUND;
}

bool kb_beside_next(const struct kb_beside_table *table, size_t *position,
                    struct kb_beside_record *out)
{
    struct kb_reader r = kb_reader(table->records);

    (void)kb_get_bytes(&r, *position);
    if (r.bad || r.rest.len == 0 || !get_record(&r, out)) {
        return false;
    }
    *position = table->records.len - r.rest.len;
    return true;
}

static bool is_named(const struct kb_beside_record *record, uint8_t type, kb_bytes key)
{
    return record->type == type && kb_equal(record->key, key);
}

bool kb_beside_find(const struct kb_beside_table *table, uint8_t type, kb_bytes key,
                    struct kb_beside_record *out)
{
    size_t position = 0;

    while (kb_beside_next(table, &position, out)) {
        if (is_named(out, type, key)) {
            return true;
        }
    }
    *out = (struct kb_beside_record){0};
    return false;
}

/* --- writing --- */

struct writer {
    uint8_t *slot;
    size_t len;
};

static void put_bytes(struct writer *w, kb_bytes bytes)
{
    if (bytes.len > 0) {
        memcpy(w->slot + w->len, bytes.ptr, bytes.len);
    }
    w->len += bytes.len;
}

/* What does not fit is left out; a smaller one behind it may fit. */
static void put_record(struct writer *w, const struct kb_beside_record *record)
{
    uint8_t *head = w->slot + w->len;
    size_t room = KB_BESIDE_SLOT - w->len;

    if (record->value.ptr == NULL || room < RECORD_HEAD || record->key.len > UINT16_MAX ||
        record->value.len > UINT16_MAX ||
        record->key.len + record->value.len > room - RECORD_HEAD) {
        return;
    }
    head[0] = record->type;
    head[1] = 0;
    kb_put_u16be(head + 2, (uint16_t)record->key.len);
    kb_put_u16be(head + 4, (uint16_t)record->value.len);
    kb_put_u64be(head + 6, (uint64_t)record->until);
    w->len += RECORD_HEAD;
    put_bytes(w, record->key);
    put_bytes(w, record->value);
}

static bool is_replaced(const struct kb_beside_record *record,
                        const struct kb_beside_record *changes, size_t num)
{
    bool replaced = false;

    for (size_t i = 0; i < num && !replaced; i++) {
        replaced = is_named(record, changes[i].type, changes[i].key);
    }
    return replaced;
}

/* Either those that are only hints, or the others. */
static void put_records(struct writer *w, const struct kb_beside_table *old,
                        const struct kb_beside_record *changes, size_t num, int64_t now, bool hints)
{
    struct kb_beside_record record;
    size_t position = 0;

    for (size_t i = 0; i < num; i++) {
        if ((changes[i].type >= KB_BESIDE_HINTS) == hints) {
            put_record(w, &changes[i]);
        }
    }
    while (kb_beside_next(old, &position, &record)) {
        if ((record.type >= KB_BESIDE_HINTS) == hints &&
            (record.until == 0 || record.until > now) && !is_replaced(&record, changes, num)) {
            put_record(w, &record);
        }
    }
}

size_t kb_beside_make(const struct kb_beside_table *old, const struct kb_beside_record *changes,
                      size_t num, int64_t now, uint8_t slot[KB_BESIDE_SLOT])
{
    struct writer w = {slot, HEAD};

    put_records(&w, old, changes, num, now, false);
    put_records(&w, old, changes, num, now, true);
    memcpy(slot, MAGIC.ptr, MAGIC.len);
    kb_put_be(slot + 8, 4, (uint64_t)VERSION << 16);
    kb_put_u32be(slot + 12, (uint32_t)(w.len - HEAD));
    kb_put_u64be(slot + 16, old->sequence + 1);
    kb_put_u64be(slot + CHECKSUM_AT,
                 checksum(kb_bytes_of(slot, CHECKSUM_AT), kb_bytes_of(slot + HEAD, w.len - HEAD)));
    return w.len;
}
