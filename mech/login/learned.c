#include "mech/login/learned.h"

#include "asn1/reader.h"
#include "mech/login/beside.h"
#include "mech/login/clock.h"
#include "mech/login/identity_own.h"
#include "mech/net/memory.h"
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

/* --- of a principal: etype (4), salt, parameters --- */

bool kb_learned_get_hint(kb_bytes value, struct kb_key_hint *out)
{
    struct kb_reader r = kb_reader(value);

    out->etype = (int32_t)kb_get_u32be(&r);
    out->salt = kb_get_bytes(&r, kb_get_u16be(&r));
    out->s2kparams = kb_get_bytes(&r, kb_get_u16be(&r));
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

/* --- of a realm: when (8), flags (1), transport (1), port (2), host, family (1), port (2), scope
 * (4), address --- */

#define FLAG_TCP 1
#define FLAG_ALIVE 2

static void add_address(struct fact *fact, const struct kb_address *address)
{
    bool v6 = address->u.any.sa_family == AF_INET6;

    add(fact, 1, v6 ? 6 : 4);
    add(fact, 2, kb_address_port(address));
    add(fact, 4, v6 ? address->u.in6.sin6_scope_id : 0);
    add_bytes(fact, v6 ? kb_bytes_of(&address->u.in6.sin6_addr, 16)
                       : kb_bytes_of(&address->u.in.sin_addr, 4));
}

static bool get_address(struct kb_reader *r, struct kb_address *out)
{
    uint8_t family = kb_get_u8(r);
    uint16_t port = kb_get_u16be(r);
    uint32_t scope = kb_get_u32be(r);
    kb_bytes bytes = kb_get_bytes(r, kb_get_u16be(r));

    *out = (struct kb_address){0};
    if (family == 4 && bytes.len == 4) {
        out->len = sizeof(out->u.in);
        out->u.in.sin_family = AF_INET;
        memcpy(&out->u.in.sin_addr, bytes.ptr, 4);
    } else if (family == 6 && bytes.len == 16) {
        out->len = sizeof(out->u.in6);
        out->u.in6.sin6_family = AF_INET6;
        out->u.in6.sin6_scope_id = scope;
        memcpy(&out->u.in6.sin6_addr, bytes.ptr, 16);
    }
    kb_address_set_port(out, port);
    return out->len > 0;
}

bool kb_learned_get_kdc(kb_bytes value, struct kb_remembered *out, int64_t *out_at)
{
    struct kb_reader r = kb_reader(value);
    uint8_t flags, transport;
    kb_bytes host;

    *out = (struct kb_remembered){0};
    *out_at = (int64_t)kb_get_u64be(&r);
    flags = kb_get_u8(&r);
    transport = kb_get_u8(&r);
    out->port = kb_get_u16be(&r);
    host = kb_get_bytes(&r, kb_get_u16be(&r));
    out->tcp = (flags & FLAG_TCP) != 0;
    out->alive = (flags & FLAG_ALIVE) != 0;
    if (out->alive && !r.bad) {
        if (!get_address(&r, &out->address) || (transport != KB_UDP && transport != KB_TCP) ||
            host.len == 0 || host.len >= sizeof(out->host) ||
            memchr(host.ptr, '\0', host.len) != NULL) {
            return false;
        }
        out->transport = transport == KB_UDP ? KB_UDP : KB_TCP;
        memcpy(out->host, host.ptr, host.len);
    }
    return !r.bad && r.rest.len == 0;
}

static bool make_kdc(struct kb_work *work, int64_t now, struct fact *out)
{
    kb_bytes realm = kb_identity_principal(work->identity)->realm;
    struct kb_remembered known;
    bool alive;

    *out = (struct fact){.type = KB_BESIDE_REALM, .key = realm};
    kb_memory_get(realm, &known);
    alive = known.alive && known.transport != KB_UNIX && known.address.len > 0;
    if (!alive && !known.tcp) {
        return false;
    }
    add(out, 8, (uint64_t)now);
    add(out, 1, (known.tcp ? FLAG_TCP : 0) | (alive ? FLAG_ALIVE : 0));
    add(out, 1, alive ? (uint64_t)known.transport : 0);
    add(out, 2, alive ? known.port : 0);
    add_bytes(out, alive ? kb_str(known.host) : KB_NONE);
    if (alive) {
        add_address(out, &known.address);
    }
    return true;
}

static void load_kdc(struct kb_work *work, const struct kb_beside_table *table)
{
    kb_bytes realm = kb_identity_principal(work->identity)->realm;
    struct kb_remembered known, ours;
    struct kb_beside_record record;
    int64_t at, now = kb_clock_now();

    if (!kb_beside_find(table, KB_BESIDE_REALM, realm, &record) ||
        !kb_learned_get_kdc(record.value, &known, &at)) {
        return;
    }
    kb_memory_get(realm, &ours);
    if (known.tcp && !ours.alive) {
        kb_memory_set_tcp(realm, true);
    }
    if (known.alive && !ours.alive && at <= now && now - at < ALIVE) {
        struct kb_kdc kdc = {.host = known.host, .port = known.port};

        kb_memory_answered(realm, &kdc, &known.address, known.transport);
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
        load_kdc(work, &contents.table);
    }
    kb_beside_contents_wipe(&contents);
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
    bool made[2] = {make_hint(work, name, &facts[0]), make_kdc(work, now, &facts[1])};

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
    struct kb_beside_contents contents;
    struct kb_beside_record changes[2];
    struct kb_error ignored = {0};
    struct fact facts[2];
    struct kb_buf name;
    size_t num;

    if (work->tgt == NULL && work->file_as == NULL) {
        return;
    }
    if (kb_beside_load(&work->beside.file, &contents) != KB_NO_MEMORY) {
        num = gather(work, name_of(work->identity, &name), &contents.table, facts, changes);
        if (num > 0) {
            (void)!kb_beside_change(&work->beside.file, changes, num, kb_clock_now(), &ignored);
        }
        kb_buf_wipe(&name);
    }
    kb_beside_contents_wipe(&contents);
}

/* --- of a target --- */

size_t kb_learned_realm(struct kb_work *work, kb_bytes target, char out[KB_LEARNED_REALM_MAX])
{
    struct kb_beside_contents contents = {0};
    struct kb_beside_record record;
    size_t len = 0;

    if (work->beside.open && kb_beside_load(&work->beside.file, &contents) == KB_OK &&
        kb_beside_find(&contents.table, KB_BESIDE_TARGET, target, &record) &&
        record.value.len < KB_LEARNED_REALM_MAX) {
        len = record.value.len;
        memcpy(out, record.value.ptr, len);
    }
    out[len] = '\0';
    kb_beside_contents_wipe(&contents);
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
    }
}
