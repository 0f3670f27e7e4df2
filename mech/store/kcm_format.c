#include "mech/store/kcm_format.h"

#include <stdio.h>
#include <stdlib.h>

#define VERSION 0x0200 /* 2.0 */
#define UUIDS_MAX (KB_KCM_ANSWER_MAX / KB_KCM_UUID)

/* Of a match, Heimdal lib/krb5/store.c */
#define MATCH_CLIENT 0x0001u
#define MATCH_SERVER 0x0002u
#define MATCH_TIMES_EXACT 0x04000000u /* KRB5_TC_MATCH_TIMES_EXACT, Heimdal's value */

/* --- requests --- */

static void put(struct kb_buf *out, size_t len, uint64_t value)
{
    uint8_t bytes[8];

    kb_put_be(bytes, len, value);
    kb_buf_add(out, kb_bytes_of(bytes, len));
}

void kb_kcm_start(struct kb_buf *request, enum kb_kcm_op op, const char *name)
{
    put(request, 4, 0); /* the length */
    put(request, 2, VERSION);
    put(request, 2, (uint16_t)op);
    if (name != NULL) {
        kb_buf_add(request, kb_bytes_of(name, strlen(name) + 1));
    }
}

void kb_kcm_finish(struct kb_buf *request)
{
    if (request->status == KB_OK) {
        kb_put_u32be(request->data, (uint32_t)(request->len - 4));
    }
}

void kb_kcm_put(struct kb_buf *request, uint32_t value)
{
    put(request, 4, value);
}

void kb_kcm_put_seconds(struct kb_buf *request, int64_t offset)
{
    int64_t half = offset < 0 ? -500000 : 500000;

    put(request, 4, (uint32_t)(int32_t)((offset + half) / 1000000));
}

static void put_name(struct kb_buf *out, const struct kb_cc_name *name)
{
    put(out, 4, (uint32_t)name->name_type);
    put(out, 4, name->num);
    put(out, 4, name->realm.len);
    kb_buf_add(out, name->realm);
    kb_buf_add(out, name->parts);
}

void kb_kcm_put_match(struct kb_buf *request, const struct kb_cc_record *record)
{
    put(request, 4, MATCH_TIMES_EXACT);
    put(request, 4, MATCH_CLIENT | MATCH_SERVER);
    put_name(request, &record->client);
    put_name(request, &record->server);
    put(request, 4, record->authtime);
    put(request, 4, record->starttime);
    put(request, 4, record->endtime);
    put(request, 4, record->renew_till);
    put(request, 1, record->is_skey);
    put(request, 4, record->flags);
}

/* --- answers --- */

enum kb_status kb_kcm_length(const uint8_t head[KB_KCM_HEAD], size_t *out)
{
    struct kb_reader r = kb_reader(kb_bytes_of(head, KB_KCM_HEAD));

    *out = kb_get_u32be(&r);
    return *out <= KB_KCM_ANSWER_MAX ? KB_OK : KB_TOO_BIG;
}

enum kb_status kb_kcm_answer(const uint8_t head[KB_KCM_HEAD], kb_bytes rest,
                             struct kb_kcm_answer *out)
{
    struct kb_reader r = kb_reader(kb_bytes_of(head, KB_KCM_HEAD)), body = kb_reader(rest);

    (void)kb_get_u32be(&r);
    *out = (struct kb_kcm_answer){.code = (int32_t)kb_get_u32be(&r)};
    if (out->code != 0) {
        return KB_OK;
    }
    out->code = (int32_t)kb_get_u32be(&body);
    out->body = body.rest;
    return body.bad ? KB_CUT_SHORT : KB_OK;
}

bool kb_kcm_is_unknown(int32_t code)
{
    return code == KB_KCM_INTERNAL || code == KB_KCM_IO || code == KB_KCM_NOSUPP;
}

bool kb_kcm_is_absent(int32_t code)
{
    return code == KB_KCM_NOFILE || code == KB_KCM_NOTFOUND || code == KB_KCM_END;
}

const char *kb_kcm_code_text(int32_t code, char buf[40])
{
    static const struct {
        int32_t code;
        const char *text;
    } texts[] = {
        {KB_KCM_BADNAME, "it does not take such a name"},
        {KB_KCM_NOTFOUND, "no such ticket"},
        {KB_KCM_END, "nothing there"},
        {KB_KCM_IO, "I/O error"},
        {KB_KCM_PERM, "not permitted"},
        {KB_KCM_NOFILE, "no such cache"},
        {KB_KCM_INTERNAL, "internal error"},
        {KB_KCM_WRITE, "it cannot write"},
        {KB_KCM_NOMEM, "it is out of memory"},
        {KB_KCM_BAD_FORMAT, "it finds the request malformed"},
        {KB_KCM_NOSUPP, "not supported"},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].code == code) {
            return texts[i].text;
        }
    }
    snprintf(buf, 40, "error %ld", (long)code);
    return buf;
}

enum kb_status kb_kcm_get_name(kb_bytes body, char out[KB_KCM_NAME_MAX])
{
    const uint8_t *end = body.len > 0 ? memchr(body.ptr, '\0', body.len) : NULL;

    if (end == NULL || end == body.ptr || end - body.ptr >= (ptrdiff_t)KB_KCM_NAME_MAX) {
        return KB_MALFORMED;
    }
    memcpy(out, body.ptr, (size_t)(end - body.ptr) + 1);
    return KB_OK;
}

enum kb_status kb_kcm_get_uuids(kb_bytes body, size_t *out_num)
{
    *out_num = body.len / KB_KCM_UUID;
    return body.len % KB_KCM_UUID == 0 && *out_num <= UUIDS_MAX ? KB_OK : KB_MALFORMED;
}

/* By the reader of files: a file with nothing in it but whose it is. */
enum kb_status kb_kcm_get_principal(kb_bytes body, struct kb_principal **out)
{
    struct kb_cc_contents contents = {.version = 0};
    struct kb_reader r;
    struct kb_buf file;
    enum kb_status st;

    *out = NULL;
    kb_buf_init(&file, KB_KCM_ANSWER_MAX + 4);
    put(&file, 2, KB_CC_VERSION_BASE + 4);
    put(&file, 2, 0);
    kb_buf_add(&file, body);
    st = file.status;
    if (st == KB_OK) {
        r = kb_reader(kb_buf_bytes(&file));
        st = kb_cc_get_start(&contents, &r);
    }
    *out = contents.owner;
    kb_buf_wipe(&file);
    return st;
}

enum kb_status kb_kcm_get_seconds(kb_bytes body, int32_t *out)
{
    struct kb_reader r = kb_reader(body);

    *out = (int32_t)kb_get_u32be(&r);
    return r.bad ? KB_MALFORMED : KB_OK;
}

/* --- the tickets of a cache --- */

void kb_kcm_pile_init(struct kb_kcm_pile *pile)
{
    *pile = (struct kb_kcm_pile){.num = 0};
    kb_buf_init(&pile->bytes, KB_CC_MAX);
}

void kb_kcm_pile_wipe(struct kb_kcm_pile *pile)
{
    kb_buf_wipe(&pile->bytes);
    free(pile->items);
    pile->items = NULL;
    pile->num = pile->room = 0;
}

static bool make_room(struct kb_kcm_pile *pile)
{
    size_t room = 2 * pile->room + 16;
    struct kb_kcm_piled *more;

    if (pile->num < pile->room) {
        return true;
    }
    more = realloc(pile->items, room * sizeof(*more));
    if (more != NULL) {
        pile->items = more;
        pile->room = room;
    }
    return more != NULL;
}

enum kb_status kb_kcm_pile_add(struct kb_kcm_pile *pile, kb_bytes body)
{
    struct kb_reader r = kb_reader(body);
    struct kb_cc_record record = kb_cc_get_record(&r, 4);

    if (r.bad) {
        return KB_MALFORMED;
    }
    if (!make_room(pile)) {
        return KB_NO_MEMORY;
    }
    pile->items[pile->num] = (struct kb_kcm_piled){
        .start = record.starttime != 0 ? record.starttime : record.authtime,
        .number = (uint32_t)pile->num,
        .at = pile->bytes.len,
        .len = record.raw.len,
    };
    kb_buf_add(&pile->bytes, record.raw);
    pile->num += pile->bytes.status == KB_OK;
    return pile->bytes.status;
}

enum kb_status kb_kcm_pile_list(struct kb_kcm_pile *pile, kb_bytes body)
{
    struct kb_reader r = kb_reader(body);
    uint32_t num = kb_get_u32be(&r);
    enum kb_status st = KB_OK;

    for (; num > 0 && st == KB_OK && !r.bad; num--) {
        kb_bytes ticket = kb_get_bytes(&r, kb_get_u32be(&r));

        st = r.bad ? KB_MALFORMED : kb_kcm_pile_add(pile, ticket);
    }
    return r.bad ? KB_MALFORMED : st;
}

static int by_age(const void *left, const void *right)
{
    const struct kb_kcm_piled *a = left, *b = right;

    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return a->number < b->number ? -1 : 1;
}

/* A file of version 4 up to its first record. */
static void put_start(struct kb_buf *out, const struct kb_principal *owner, const int32_t *offset)
{
    put(out, 2, KB_CC_VERSION_BASE + 4);
    put(out, 2, offset != NULL ? 12 : 0);
    if (offset != NULL) {
        put(out, 2, KB_CC_TAG_OFFSET);
        put(out, 2, 8);
        put(out, 4, (uint32_t)*offset);
        put(out, 4, 0);
    }
    kb_cc_put_principal(out, owner);
}

static enum kb_status fill(struct kb_cc_contents *contents, kb_bytes start,
                           struct kb_kcm_pile *pile)
{
    uint8_t *to = contents->image;
    enum kb_status st;

    if (start.len > 0) {
        memcpy(to, start.ptr, start.len);
        to += start.len;
    }
    if (pile->num > 1) {
        qsort(pile->items, pile->num, sizeof(*pile->items), by_age);
    }
    for (size_t i = 0; i < pile->num; i++) {
        memcpy(to, pile->bytes.data + pile->items[i].at, pile->items[i].len);
        to += pile->items[i].len;
    }
    st = kb_cc_parse(contents);
    return st == KB_OK && contents->whole != contents->len ? KB_MALFORMED : st;
}

static enum kb_status finish(struct kb_cc_contents *contents, kb_bytes start,
                             struct kb_kcm_pile *pile, struct kb_cc_contents **out)
{
    enum kb_status st = contents != NULL ? fill(contents, start, pile) : KB_NO_MEMORY;

    if (st != KB_OK) {
        kb_cc_contents_put(contents);
        return st;
    }
    *out = contents;
    return KB_OK;
}

enum kb_status kb_kcm_contents(struct kb_kcm_pile *pile, const struct kb_principal *owner,
                               const int32_t *offset, struct kb_cc_contents **out)
{
    struct kb_buf start;
    enum kb_status st;

    *out = NULL;
    kb_buf_init(&start, KB_CC_MAX);
    put_start(&start, owner, offset);
    st = start.status;
    if (st == KB_OK) {
        st = finish(kb_cc_contents_new(start.len + pile->bytes.len), kb_buf_bytes(&start), pile,
                    out);
    }
    kb_buf_wipe(&start);
    return st;
}

enum kb_status kb_kcm_contents_more(struct kb_kcm_pile *pile, const struct kb_cc_contents *known,
                                    struct kb_cc_contents **out)
{
    *out = NULL;
    if (known->whole != known->len) {
        return KB_MALFORMED;
    }
    return finish(kb_cc_contents_grown(known, known->len + pile->bytes.len), KB_NONE, pile, out);
}
