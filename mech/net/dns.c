#include "mech/net/dns.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "asn1/reader.h"

#define TYPE_CNAME 5
#define CLASS_IN 1
#define MAX_JUMPS 32 /* compression pointers in one name */

struct kb_dns_records *kb_dns_ref(struct kb_dns_records *records)
{
    if (records != NULL) {
        atomic_fetch_add_explicit(&records->refs, 1, memory_order_relaxed);
    }
    return records;
}

void kb_dns_put(struct kb_dns_records *records)
{
    if (records != NULL &&
        atomic_fetch_sub_explicit(&records->refs, 1, memory_order_acq_rel) == 1) {
        free(records);
    }
}

/* --- names, RFC 1035 4.1.4 --- */

/* Reads over a name, compressed or not. */
static void skip_name(struct kb_reader *r)
{
    uint8_t len;

    while (!r->bad && (len = kb_get_u8(r)) != 0) {
        if (len >= 0xc0) {
            (void)kb_get_u8(r);
            return;
        }
        r->bad = r->bad || len > 63;
        (void)kb_get_bytes(r, len);
    }
}

static bool is_host_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static bool add_label(char *out, size_t *len, kb_bytes label)
{
    if (*len + label.len + 2 > 256) {
        return false;
    }
    if (*len > 0) {
        out[(*len)++] = '.';
    }
    for (size_t i = 0; i < label.len; i++) {
        if (!is_host_char(label.ptr[i])) {
            return false;
        }
        out[(*len)++] = (char)label.ptr[i];
    }
    return true;
}

/* A host's name. It should not be compressed (RFC 2782), but is by some. */
static bool read_host(kb_bytes reply, kb_bytes data, char *out)
{
    struct kb_reader r = kb_reader(data);
    size_t len = 0;
    uint8_t size;

    for (int jumps = 0; jumps <= MAX_JUMPS;) {
        size = kb_get_u8(&r);
        if (r.bad) {
            return false;
        }
        if (size >= 0xc0) {
            size_t to = (size_t)(size & 0x3f) << 8 | kb_get_u8(&r);

            if (r.bad || to >= reply.len) {
                return false;
            }
            r = kb_reader(kb_bytes_of(reply.ptr + to, reply.len - to));
            jumps++;
        } else if (size == 0) {
            out[len] = '\0';
            return true;
        } else if (size > 63 || !add_label(out, &len, kb_get_bytes(&r, size)) || r.bad) {
            return false;
        }
    }
    return false;
}

/* --- records --- */

static bool copy_text(char *out, kb_bytes text)
{
    if (text.len > KB_DNS_MAX_TEXT || (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)) {
        return false;
    }
    if (text.len > 0) {
        memcpy(out, text.ptr, text.len);
    }
    out[text.len] = '\0';
    return true;
}

/* False: a record that nobody can use. */
static bool read_record(kb_bytes reply, enum kb_dns_type type, kb_bytes data,
                        struct kb_dns_record *out)
{
    struct kb_reader r = kb_reader(data);
    kb_bytes text;

    if (type == KB_DNS_TXT) {
        text = kb_get_bytes(&r, kb_get_u8(&r));
        return !r.bad && copy_text(out->text, text);
    }
    out->priority = kb_get_u16be(&r);
    out->weight = kb_get_u16be(&r);
    if (type == KB_DNS_URI) {
        return !r.bad && copy_text(out->text, r.rest);
    }
    out->port = kb_get_u16be(&r);
    return !r.bad && read_host(reply, r.rest, out->text);
}

struct answer {
    struct kb_reader reader;
    unsigned num; /* records that are left */
};

static struct answer begin(kb_bytes reply)
{
    struct answer answer = {.reader = kb_reader(reply)};
    unsigned num_questions;

    (void)kb_get_u32be(&answer.reader); /* id and flags */
    num_questions = kb_get_u16be(&answer.reader);
    answer.num = kb_get_u16be(&answer.reader);
    (void)kb_get_u32be(&answer.reader); /* what follows the answers */
    while (num_questions-- > 0 && !answer.reader.bad) {
        skip_name(&answer.reader);
        (void)kb_get_u32be(&answer.reader);
    }
    return answer;
}

/* The next record; *out_type is 0 for one of another class. */
static bool next(struct answer *answer, unsigned *out_type, uint32_t *out_ttl, kb_bytes *out_data)
{
    struct kb_reader *r = &answer->reader;
    unsigned type, class;

    if (answer->num == 0 || r->bad) {
        return false;
    }
    answer->num--;
    skip_name(r);
    type = kb_get_u16be(r);
    class = kb_get_u16be(r);
    *out_ttl = kb_get_u32be(r);
    *out_data = kb_get_bytes(r, kb_get_u16be(r));
    *out_type = class == CLASS_IN ? type : 0;
    return !r->bad;
}

/* RFC 2181 8: with the highest bit it means 0. */
static uint32_t lower_ttl(uint32_t least, uint32_t ttl)
{
    ttl = ttl > INT32_MAX ? 0 : ttl;
    return ttl < least ? ttl : least;
}

enum kb_status kb_dns_parse(kb_bytes reply, enum kb_dns_type type, struct kb_dns_records **out)
{
    struct answer answer = begin(reply);
    size_t max = answer.num < KB_DNS_MAX_RECORDS ? answer.num : KB_DNS_MAX_RECORDS;
    struct kb_dns_records *records;
    unsigned found;
    uint32_t ttl;
    kb_bytes data;

    *out = NULL;
    if (answer.reader.bad) {
        return KB_MALFORMED;
    }
    records = calloc(1, sizeof(*records) + max * sizeof(records->list[0]));
    if (records == NULL) {
        return KB_NO_MEMORY;
    }
    atomic_init(&records->refs, 1);
    records->ttl = UINT32_MAX;
    while (next(&answer, &found, &ttl, &data)) {
        if (found == (unsigned)type || found == TYPE_CNAME) {
            records->ttl = lower_ttl(records->ttl, ttl);
        }
        if (found == (unsigned)type && records->num < max &&
            read_record(reply, type, data, &records->list[records->num])) {
            records->num++;
        }
    }
    if (answer.reader.bad) {
        kb_dns_put(records);
        return KB_MALFORMED;
    }
    *out = records;
    return KB_OK;
}

/* --- the order --- */

/* Those without weight stand first among equals, so that a 0 can fall on them (RFC 2782). */
static int by_priority(const void *a, const void *b)
{
    const struct kb_dns_rank *first = a, *second = b;

    if (first->priority != second->priority) {
        return first->priority < second->priority ? -1 : 1;
    }
    if ((first->weight == 0) != (second->weight == 0)) {
        return first->weight == 0 ? -1 : 1;
    }
    return first->index < second->index ? -1 : first->index > second->index;
}

/* Puts one of ranks[0..num) in front, drawn by weight; the others keep their order. */
static void draw(struct kb_dns_rank *ranks, size_t num, uint32_t (*random)(uint32_t most))
{
    uint32_t sum = 0, running = 0, drawn;
    struct kb_dns_rank chosen;
    size_t i;

    for (i = 0; i < num; i++) {
        sum += ranks[i].weight;
    }
    drawn = random(sum);
    for (i = 0; i + 1 < num; i++) {
        running += ranks[i].weight;
        if (running >= drawn) {
            break;
        }
    }
    chosen = ranks[i];
    memmove(&ranks[1], &ranks[0], i * sizeof(ranks[0]));
    ranks[0] = chosen;
}

void kb_dns_order(struct kb_dns_rank *ranks, size_t num, uint32_t (*random)(uint32_t most))
{
    if (num == 0) {
        return;
    }
    qsort(ranks, num, sizeof(ranks[0]), by_priority);
    for (size_t i = 0; i < num; i++) {
        size_t equals = 1;

        while (i + equals < num && ranks[i + equals].priority == ranks[i].priority) {
            equals++;
        }
        if (equals > 1) {
            draw(&ranks[i], equals, random);
        }
    }
}

/* Without randomness the order is the one of the answer: no reason to fail. */
uint32_t kb_dns_random(uint32_t most)
{
    uint64_t drawn = 0;

    (void)!getrandom(&drawn, sizeof(drawn), GRND_NONBLOCK);
    return (uint32_t)(drawn % ((uint64_t)most + 1));
}
