#include "mech/login/learned.h"

#include "asn1/reader.h"
#include "mech/login/beside.h"
#include "mech/login/clock.h"
#include "mech/login/identity_own.h"
#include "mech/net/exchange.h"
#include "mech/protocol/kdcrep.h"

#define DAY INT64_C(86400)
#define KEPT (30 * DAY)
#define ALIVE (1 * DAY)
#define RENEWED (KEPT - 1 * DAY) /* what has less left is written again, and so stays */
#define VALUE_MAX 1200
#define NAME_MAX_LEN 1024

/* A value of the file, with its key. */
struct fact {
    uint8_t type;
    kb_bytes key;
    uint8_t value[VALUE_MAX];
    size_t len;
};

static void add(struct fact *fact, size_t len, uint64_t number)
{
    kb_put_be(fact->value + fact->len, len, number);
    fact->len += len;
}

static void add_bytes(struct fact *fact, kb_bytes bytes)
{
    add(fact, 2, bytes.len);
    if (bytes.len > 0) {
        memcpy(fact->value + fact->len, bytes.ptr, bytes.len);
    }
    fact->len += bytes.len;
}

static kb_bytes name_of(const struct kb_identity *identity, struct kb_buf *buf)
{
    kb_buf_init(buf, NAME_MAX_LEN);
    kb_principal_unparse(kb_identity_principal(identity), buf);
    return buf->status == KB_OK ? kb_buf_bytes(buf) : KB_NONE;
}

/* --- of a principal: etype (4), salt, parameters, realm --- */

bool kb_learned_get_hint(kb_bytes value, struct kb_key_hint *out)
{
    struct kb_reader r = kb_reader(value);

    *out = (struct kb_key_hint){.etype = (int32_t)kb_get_u32be(&r)};
    out->salt = kb_get_bytes(&r, kb_get_u16be(&r));
    out->s2kparams = kb_get_bytes(&r, kb_get_u16be(&r));
    out->realm = kb_get_bytes(&r, kb_get_u16be(&r));
    return !r.bad && r.rest.len == 0 && out->etype != 0;
}

static bool make_hint(struct kb_work *work, kb_bytes name, struct fact *out)
{
    struct kb_hint_buf buf;
    struct kb_key_hint hint = kb_identity_hint(work->identity, &buf);

    *out = (struct fact){.type = KB_BESIDE_HINT, .key = name};
    if (hint.etype == 0 || name.len == 0) {
        return false;
    }
    add(out, 4, (uint32_t)hint.etype);
    add_bytes(out, hint.salt);
    add_bytes(out, hint.s2kparams);
    add_bytes(out, hint.realm);
    return true;
}

static void load_hint(struct kb_work *work, const struct kb_beside_table *table)
{
    struct kb_beside_record record;
    struct kb_key_hint hint;
    struct kb_hint_buf ours;
    struct kb_buf name;

    if (kb_beside_find(table, KB_BESIDE_HINT, name_of(work->identity, &name), &record) &&
        kb_learned_get_hint(record.value, &hint) &&
        kb_etype_allowed(work->as_etypes, work->num_as_etypes, hint.etype) &&
        kb_identity_hint(work->identity, &ours).etype == 0) {
        kb_identity_learn(work->identity, &hint);
    }
    kb_buf_wipe(&name);
}

/* --- of a realm: when (8), what net knows of its KDCs as text --- */

bool kb_learned_get_kdcs(kb_bytes value, kb_bytes *out_text, int64_t *out_at)
{
    struct kb_reader r = kb_reader(value);

    *out_at = (int64_t)kb_get_u64be(&r);
    *out_text = r.rest;
    return !r.bad;
}

static bool make_kdcs(struct kb_work *work, int64_t now, struct fact *out)
{
    kb_bytes realm = kb_identity_principal(work->identity)->realm;
    struct kb_buf text;
    bool made;

    *out = (struct fact){.type = KB_BESIDE_REALM, .key = realm};
    add(out, 8, (uint64_t)now);
    kb_buf_init(&text, VALUE_MAX - 8);
    kb_net_learned_export(realm, &text);
    made = text.status == KB_OK && text.len > 0;
    if (made) {
        memcpy(out->value + out->len, text.data, text.len);
        out->len += text.len;
    }
    kb_buf_wipe(&text);
    return made;
}

/* Who is alive is no news after a day; that UDP is too small is. */
static void load_kdcs(struct kb_work *work, const struct kb_beside_table *table)
{
    kb_bytes realm = kb_identity_principal(work->identity)->realm, text;
    struct kb_beside_record record;
    int64_t at, now = kb_clock_now();

    if (kb_beside_find(table, KB_BESIDE_REALM, realm, &record) &&
        kb_learned_get_kdcs(record.value, &text, &at)) {
        kb_net_learned_import(realm, text, at > now || now - at >= ALIVE);
    }
}

/* --- all of it --- */

void kb_learned_load(struct kb_work *work)
{
    struct kb_identity *identity = work->identity;
    struct kb_beside_contents contents;
    bool loaded;

    kb_identity_lock();
    loaded = identity->beside_loaded;
    identity->beside_loaded = true;
    kb_identity_unlock();
    if (loaded) {
        return;
    }
    if (kb_beside_load(&work->beside.file, &contents) == KB_OK) {
        load_hint(work, &contents.table);
        load_kdcs(work, &contents.table);
    }
    kb_beside_contents_wipe(&contents);
}

/* What the file held when this call first looked: hints, which need not be newer. NULL: no memory.
 */
static const struct kb_beside_table *table_of(struct kb_work *work)
{
    struct kb_beside_held *held = &work->beside;

    if (!held->seen) {
        held->seen = kb_beside_load(&held->file, &held->contents) != KB_NO_MEMORY;
    }
    return held->seen ? &held->contents.table : NULL;
}

/* That the same KDC was alive later is worth a writing only once it is no longer believed. */
static bool is_news(const struct fact *fact, const struct kb_beside_table *table, int64_t now)
{
    struct kb_beside_record record;
    size_t from = fact->type == KB_BESIDE_REALM ? 8 : 0;
    int64_t renew = fact->type == KB_BESIDE_REALM ? KEPT - ALIVE / 2 : RENEWED;

    return !kb_beside_find(table, fact->type, fact->key, &record) || record.value.len < from ||
           !kb_equal(kb_bytes_of(record.value.ptr + from, record.value.len - from),
                     kb_bytes_of(fact->value + from, fact->len - from)) ||
           record.until < now + renew || record.until > now + KEPT;
}

static size_t gather(struct kb_work *work, kb_bytes name, const struct kb_beside_table *table,
                     struct fact facts[2], struct kb_beside_record changes[2])
{
    int64_t now = kb_clock_now();
    size_t num = 0;
    bool made[2] = {make_hint(work, name, &facts[0]), make_kdcs(work, now, &facts[1])};

    for (size_t i = 0; i < 2; i++) {
        if (made[i] && is_news(&facts[i], table, now)) {
            changes[num++] =
                (struct kb_beside_record){.type = facts[i].type,
                                          .until = now + KEPT,
                                          .key = facts[i].key,
                                          .value = kb_bytes_of(facts[i].value, facts[i].len)};
        }
    }
    return num;
}

/* Only what a reply that decrypted has shown. What cannot be written is learned again. */
void kb_learned_keep(struct kb_work *work)
{
    const struct kb_beside_table *table;
    struct kb_beside_record changes[2];
    struct kb_error ignored = {0};
    struct fact facts[2];
    struct kb_buf name;
    size_t num;

    if (work->tgt == NULL && work->file_as == NULL) {
        return;
    }
    table = table_of(work);
    if (table != NULL) {
        num = gather(work, name_of(work->identity, &name), table, facts, changes);
        if (num > 0) {
            (void)!kb_beside_change(&work->beside.file, changes, num, kb_clock_now(), &ignored);
        }
        kb_buf_wipe(&name);
    }
}

/* --- of a target --- */

size_t kb_learned_realm(struct kb_work *work, kb_bytes target, char out[KB_LEARNED_REALM_MAX])
{
    const struct kb_beside_table *table = work->beside.open ? table_of(work) : NULL;
    struct kb_beside_record record;
    size_t len = 0;

    if (table != NULL && kb_beside_find(table, KB_BESIDE_TARGET, target, &record) &&
        record.value.len < KB_LEARNED_REALM_MAX) {
        len = record.value.len;
        memcpy(out, record.value.ptr, len);
    }
    out[len] = '\0';
    return len;
}

void kb_learned_set_realm(struct kb_work *work, kb_bytes target, kb_bytes realm)
{
    int64_t now = kb_clock_now();
    struct kb_beside_record change = {
        .type = KB_BESIDE_TARGET, .until = now + KEPT, .key = target, .value = realm};
    struct kb_error ignored = {0};
    char known[KB_LEARNED_REALM_MAX];
    size_t len = kb_learned_realm(work, target, known);

    if (work->beside.open && realm.len < KB_LEARNED_REALM_MAX && target.len <= NAME_MAX_LEN &&
        !kb_equal(kb_bytes_of(known, len), realm)) {
        (void)!kb_beside_change(&work->beside.file, &change, 1, now, &ignored);
        kb_beside_contents_wipe(&work->beside.contents);
        work->beside.seen = false;
    }
}
