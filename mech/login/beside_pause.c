#include "mech/login/beside_pause.h"

#include "asn1/reader.h"
#include "mech/login/beside.h"
#include "mech/login/identity_own.h"

#define NAME_CEILING 1024
#define VALUE_MAX 1024
#define TEXT_MAX (VALUE_MAX - 40)

/* How the kinds of errors are written: their own numbers change. */
static const enum kb_error_code codes[] = {KB_E_WRONG_PASSWORD, KB_E_KEY_REFUSED,
                                           KB_E_CLIENT_REVOKED, KB_E_CLIENT_EXPIRED,
                                           KB_E_PASSWORD_EXPIRED};
#define NUM_CODES (sizeof(codes) / sizeof(codes[0]))

/* --- the value: at (8), until (8), length (8), code (1), kdc_code (4), ntstatus (4), text --- */

bool kb_beside_get_pause(kb_bytes value, struct kb_beside_pause *out)
{
    struct kb_reader r = kb_reader(value);
    uint8_t code;
    kb_bytes text;

    *out = (struct kb_beside_pause){.at = (int64_t)kb_get_u64be(&r)};
    out->until = (int64_t)kb_get_u64be(&r);
    out->length = (int64_t)kb_get_u64be(&r);
    code = kb_get_u8(&r);
    out->error.kdc_code = (int32_t)kb_get_u32be(&r);
    out->error.ntstatus = kb_get_u32be(&r);
    text = kb_get_bytes(&r, kb_get_u16be(&r));
    if (r.bad || r.rest.len > 0 || code >= NUM_CODES || text.len >= sizeof(out->error.text) ||
        out->length < 0 || out->length > INT32_MAX || out->at < 0 || out->until < 0 ||
        out->at > INT64_MAX / 4 || out->until > INT64_MAX / 4) {
        return false;
    }
    out->error.code = codes[code];
    if (text.len > 0) {
        memcpy(out->error.text, text.ptr, text.len);
    }
    return true;
}

static size_t put_pause(const struct kb_beside_pause *pause, uint8_t value[VALUE_MAX])
{
    size_t len = strlen(pause->error.text), code = 0;

    while (code < NUM_CODES - 1 && codes[code] != pause->error.code) {
        code++;
    }
    len = len < TEXT_MAX ? len : TEXT_MAX;
    kb_put_u64be(value, (uint64_t)pause->at);
    kb_put_u64be(value + 8, (uint64_t)pause->until);
    kb_put_u64be(value + 16, (uint64_t)pause->length);
    value[24] = (uint8_t)code;
    kb_put_u32be(value + 25, (uint32_t)pause->error.kdc_code);
    kb_put_u32be(value + 29, pause->error.ntstatus);
    kb_put_u16be(value + 33, (uint16_t)len);
    memcpy(value + 35, pause->error.text, len);
    return 35 + len;
}

/* --- the name: the principal, a zero, the digest --- */

static enum kb_status name_of(struct kb_identity *identity, kb_bytes key, struct kb_buf *out)
{
    uint8_t digest[KB_IDENTITY_DIGEST_LEN];
    enum kb_status st = kb_identity_digest_under(identity, key, digest);

    if (st == KB_OK) {
        kb_principal_unparse(kb_identity_principal(identity), out);
        kb_buf_add(out, kb_bytes_of("", 1));
        kb_buf_add(out, kb_bytes_of(digest, sizeof(digest)));
        st = out->status;
    }
    return st;
}

/* Where nothing was refused to this principal, its secret costs no string-to-key. */
static bool was_refused(const struct kb_identity *identity, const struct kb_beside_table *table)
{
    struct kb_beside_record record;
    size_t position = 0;
    struct kb_buf name;
    bool found = false;

    kb_buf_init(&name, NAME_CEILING);
    kb_principal_unparse(kb_identity_principal(identity), &name);
    kb_buf_add(&name, kb_bytes_of("", 1));
    while (!found && name.status == KB_OK && kb_beside_next(table, &position, &record)) {
        found = record.type == KB_BESIDE_PAUSE && record.key.len > name.len &&
                memcmp(record.key.ptr, name.data, name.len) == 0;
    }
    kb_buf_wipe(&name);
    return found;
}

static bool find(const struct kb_beside_table *table, kb_bytes name, struct kb_beside_pause *out)
{
    struct kb_beside_record record;

    return kb_beside_find(table, KB_BESIDE_PAUSE, name, &record) &&
           kb_beside_get_pause(record.value, out);
}

static enum kb_status write_pause(struct kb_identity *identity, kb_bytes name,
                                  const struct kb_beside_pause *pause)
{
    uint8_t value[VALUE_MAX];
    struct kb_beside_record change = {.type = KB_BESIDE_PAUSE, .key = name};
    struct kb_error ignored = {0};

    if (pause != NULL) {
        /* As long again: until then it doubles the next. */
        change.until = pause->until + pause->length;
        change.value = kb_bytes_of(value, put_pause(pause, value));
    }
    return kb_beside_write(identity, &change, 1, &ignored);
}

/* Opens the table and finds under which name this identity's pause would be in it. KB_NOT_FOUND:
 * nothing was refused to its principal. */
static enum kb_status look(struct kb_identity *identity, struct kb_beside_contents *contents,
                           struct kb_buf *name)
{
    struct kb_error ignored = {0};
    enum kb_status st;

    kb_buf_init(name, NAME_CEILING);
    st = kb_beside_read(identity, contents, &ignored);
    if (st == KB_OK && !was_refused(identity, &contents->table)) {
        st = KB_NOT_FOUND;
    }
    return st == KB_OK ? name_of(identity, kb_beside_key(&contents->table), name) : st;
}

/* What the clock says of a pause that was begun before it was set back is too much. */
static bool began_later(const struct kb_beside_pause *pause, int64_t now)
{
    return pause->until - now > pause->length;
}

enum kb_status kb_beside_pause_find(struct kb_identity *identity, int64_t now,
                                    struct kb_beside_pause *out)
{
    struct kb_beside_contents contents;
    struct kb_buf name;
    enum kb_status st;

    if (identity->beside == NULL) {
        return KB_ERROR;
    }
    st = look(identity, &contents, &name);
    if (st == KB_OK && !find(&contents.table, kb_buf_bytes(&name), out)) {
        st = KB_NOT_FOUND;
    }
    if (st == KB_OK && began_later(out, now)) {
        out->at = now;
        out->until = now + out->length;
        (void)!write_pause(identity, kb_buf_bytes(&name), out);
    }
    kb_buf_wipe(&name);
    kb_beside_contents_wipe(&contents);
    return st == KB_OK || st == KB_NOT_FOUND ? st : KB_ERROR;
}

/* The file's key must be there before a digest can be made under it. */
static bool make_key(struct kb_identity *identity, struct kb_beside_contents *contents)
{
    struct kb_error ignored = {0};

    if (kb_beside_read(identity, contents, &ignored) == KB_OK &&
        kb_beside_key(&contents->table).len > 0) {
        return true;
    }
    kb_beside_contents_wipe(contents);
    return kb_beside_write(identity, NULL, 0, &ignored) == KB_OK &&
           kb_beside_read(identity, contents, &ignored) == KB_OK &&
           kb_beside_key(&contents->table).len > 0;
}

bool kb_beside_pause_put(struct kb_identity *identity, const struct kb_beside_pause *pause)
{
    struct kb_beside_contents contents;
    struct kb_buf name;
    bool kept;

    if (identity->beside == NULL) {
        return false;
    }
    kb_buf_init(&name, NAME_CEILING);
    kept = make_key(identity, &contents) &&
           name_of(identity, kb_beside_key(&contents.table), &name) == KB_OK &&
           write_pause(identity, kb_buf_bytes(&name), pause) == KB_OK;
    kb_buf_wipe(&name);
    kb_beside_contents_wipe(&contents);
    return kept;
}

void kb_beside_pause_end(struct kb_identity *identity)
{
    struct kb_beside_contents contents;
    struct kb_beside_pause pause;
    struct kb_buf name;

    if (identity->beside == NULL) {
        return;
    }
    if (look(identity, &contents, &name) == KB_OK &&
        find(&contents.table, kb_buf_bytes(&name), &pause)) {
        (void)!write_pause(identity, kb_buf_bytes(&name), NULL);
    }
    kb_buf_wipe(&name);
    kb_beside_contents_wipe(&contents);
}

size_t kb_beside_pauses(const struct kb_beside_table *table, int64_t now)
{
    struct kb_beside_record record;
    struct kb_beside_pause pause;
    size_t position = 0, num = 0;

    while (kb_beside_next(table, &position, &record)) {
        num += record.type == KB_BESIDE_PAUSE && kb_beside_get_pause(record.value, &pause) &&
               pause.until > now;
    }
    return num;
}
