/* What a cache held: the bytes, the records, the index; and how contents grow. */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "mech/store/ccache_format.h"

/* Pages of its own: they stay out of core dumps where the system can. */
struct kb_cc_chunk {
    _Atomic unsigned refs;
    _Atomic size_t claimed; /* bytes that are somebody's; behind them whoever comes first */
    size_t room;
    uint8_t *bytes;
};

/* Records in the cache's order, and where those of a server begin. Immutable. */
struct kb_cc_layer {
    _Atomic unsigned refs;
    size_t num;
    struct kb_cc_record *records; /* slices, no secrets */
    uint32_t *buckets;            /* a record's number plus 1 */
    size_t num_buckets;           /* a power of two */
};

#define FIRST_ROOM 4096 /* behind what is read, at least, for what comes later */
#define TICKET_LEN 512  /* bytes that most tickets have, or more */

/* --- bytes --- */

/* What will be filled at once is had at once: a fault for each of a thousand pages takes longer
 * than reading them. */
static struct kb_cc_chunk *chunk_new(size_t len, size_t claimed)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (len - claimed <= FIRST_ROOM ? MAP_POPULATE : 0);
    struct kb_cc_chunk *chunk = malloc(sizeof(*chunk));
    void *pages;

    if (chunk == NULL) {
        return NULL;
    }
    pages = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (pages == MAP_FAILED) {
        free(chunk);
        return NULL;
    }
    (void)madvise(pages, len, MADV_DONTDUMP);
    atomic_init(&chunk->refs, 1);
    atomic_init(&chunk->claimed, claimed);
    chunk->room = len;
    chunk->bytes = pages;
    return chunk;
}

static void chunk_put(struct kb_cc_chunk *chunk)
{
    if (atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) == 1) {
        kb_wipe(chunk->bytes, atomic_load_explicit(&chunk->claimed, memory_order_relaxed));
        munmap(chunk->bytes, chunk->room);
        free(chunk);
    }
}

/* Gives contents `len` bytes of their own: behind what they have, if nobody else went on there, or
 * in a new chunk that has room for as much again as there is. */
static bool take_room(struct kb_cc_contents *contents, size_t len)
{
    struct kb_cc_chunk *chunk =
        contents->num_chunks > 0 ? contents->chunks[contents->num_chunks - 1] : NULL;
    size_t end = contents->image_end;

    if (chunk == NULL || len > chunk->room - end ||
        !atomic_compare_exchange_strong(&chunk->claimed, &end, end + len)) {
        size_t room = len + contents->at + FIRST_ROOM;

        chunk = contents->num_chunks < KB_CC_CHUNKS ? chunk_new(room, len) : NULL;
        if (chunk == NULL) {
            return false;
        }
        contents->chunks[contents->num_chunks++] = chunk;
        end = 0;
    }
    contents->image = chunk->bytes + end;
    contents->image_end = end;
    return true;
}

/* --- the index --- */

static void layer_put(struct kb_cc_layer *layer)
{
    if (atomic_fetch_sub_explicit(&layer->refs, 1, memory_order_acq_rel) == 1) {
        free(layer->records);
        free(layer->buckets);
        free(layer);
    }
}

/* From the last to the first, so that each bucket is in the cache's order. */
static void fill_buckets(struct kb_cc_layer *layer)
{
    for (size_t i = layer->num; i > 0; i--) {
        struct kb_cc_record *record = &layer->records[i - 1];
        uint32_t *bucket = &layer->buckets[record->hash & (layer->num_buckets - 1)];

        record->next = *bucket;
        *bucket = (uint32_t)i;
    }
}

/* Takes `records` over, unless it fails. */
static struct kb_cc_layer *layer_new(struct kb_cc_record *records, size_t num)
{
    struct kb_cc_layer *layer = calloc(1, sizeof(*layer));

    if (layer == NULL) {
        return NULL;
    }
    atomic_init(&layer->refs, 1);
    layer->num = num;
    layer->num_buckets = 4;
    while (layer->num_buckets < num) {
        layer->num_buckets *= 2;
    }
    layer->buckets = calloc(layer->num_buckets, sizeof(*layer->buckets));
    if (layer->buckets == NULL) {
        free(layer);
        return NULL;
    }
    layer->records = records;
    fill_buckets(layer);
    return layer;
}

/* The records of `layers` with those of `newest` behind them; NULL: no memory. */
static struct kb_cc_record *put_together(struct kb_cc_layer *const *layers, size_t num_layers,
                                         struct kb_cc_record *newest, size_t num)
{
    size_t total = num, at = 0;
    struct kb_cc_record *all;

    if (num_layers == 0) {
        return newest;
    }
    for (size_t i = 0; i < num_layers; i++) {
        total += layers[i]->num;
    }
    all = malloc(total * sizeof(*all));
    if (all == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < num_layers; i++) {
        memcpy(all + at, layers[i]->records, layers[i]->num * sizeof(*all));
        at += layers[i]->num;
    }
    memcpy(all + at, newest, num * sizeof(*all));
    return all;
}

/* Takes `newest` over, also when it fails. */
static enum kb_status add_layer(struct kb_cc_contents *contents, struct kb_cc_record *newest,
                                size_t num)
{
    size_t below = contents->num_layers, total = num;
    struct kb_cc_record *all;
    struct kb_cc_layer *layer;

    while (below > 0 && contents->layers[below - 1]->num < 2 * total) {
        total += contents->layers[--below]->num;
    }
    all = put_together(contents->layers + below, contents->num_layers - below, newest, num);
    if (all != newest) {
        free(newest);
    }
    layer = all != NULL && below < KB_CC_LAYERS ? layer_new(all, total) : NULL;
    if (layer == NULL) {
        free(all);
        return KB_NO_MEMORY;
    }
    while (contents->num_layers > below) {
        layer_put(contents->layers[--contents->num_layers]);
    }
    contents->layers[contents->num_layers++] = layer;
    contents->num += num;
    return KB_OK;
}

static uint32_t hash_part(uint32_t hash, kb_bytes part)
{
    for (size_t i = 0; i < part.len; i++) {
        hash = (hash ^ part.ptr[i]) * 16777619u; /* FNV-1a */
    }
    return (hash ^ '/') * 16777619u;
}

#define HASH_START 2166136261u

static uint32_t hash_name(int version, const struct kb_cc_name *name)
{
    struct kb_reader r = kb_reader(name->parts);
    uint32_t hash = HASH_START;

    for (uint32_t i = 0; i < name->num; i++) {
        hash = hash_part(hash, kb_cc_get_data(&r, version));
    }
    return hash;
}

struct kb_cc_walk kb_cc_walk_to(const struct kb_cc_contents *contents,
                                const struct kb_principal *server)
{
    const kb_string_list *parts = &server->name.name_string;
    struct kb_cc_walk walk = {.contents = contents, .hash = HASH_START};

    for (size_t i = 0; i < parts->num; i++) {
        walk.hash = hash_part(walk.hash, parts->items[i]);
    }
    return walk;
}

static uint32_t bucket_of(const struct kb_cc_layer *layer, uint32_t hash)
{
    return layer->buckets[hash & (layer->num_buckets - 1)];
}

const struct kb_cc_record *kb_cc_walk_on(struct kb_cc_walk *walk)
{
    const struct kb_cc_contents *contents = walk->contents;

    for (;;) {
        const struct kb_cc_record *record;

        while (walk->next == 0) {
            if (walk->layer == contents->num_layers) {
                return NULL;
            }
            walk->next = bucket_of(contents->layers[walk->layer++], walk->hash);
        }
        record = &contents->layers[walk->layer - 1]->records[walk->next - 1];
        walk->next = record->next;
        if (record->hash == walk->hash) {
            return record;
        }
    }
}

const struct kb_cc_record *kb_cc_record_at(const struct kb_cc_contents *contents, size_t i)
{
    size_t layer = 0;

    while (i >= contents->layers[layer]->num) {
        i -= contents->layers[layer++]->num;
    }
    return &contents->layers[layer]->records[i];
}

/* --- making, growing and releasing --- */

static struct kb_cc_contents *contents_new(size_t at, size_t len)
{
    struct kb_cc_contents *contents = len <= KB_CC_MAX ? calloc(1, sizeof(*contents)) : NULL;

    if (contents != NULL) {
        atomic_init(&contents->refs, 1);
        contents->at = at;
        contents->len = len;
    }
    return contents;
}

struct kb_cc_contents *kb_cc_contents_new(size_t len)
{
    struct kb_cc_contents *contents = contents_new(0, len);

    if (contents != NULL && !take_room(contents, len)) {
        kb_cc_contents_put(contents);
        contents = NULL;
    }
    return contents;
}

struct kb_cc_contents *kb_cc_contents_grown(const struct kb_cc_contents *old, size_t len)
{
    struct kb_cc_contents *contents = len >= old->whole ? contents_new(old->whole, len) : NULL;

    if (contents == NULL) {
        return NULL;
    }
    contents->whole = old->whole;
    contents->version = old->version;
    contents->header = old->header;
    contents->has_offset = old->has_offset;
    contents->offset = old->offset;
    contents->owner = kb_principal_ref(old->owner);
    contents->num = old->num;
    contents->beginning = old->beginning;
    contents->last = old->last;
    contents->read_on = old->read_on;
    contents->read_len = old->read_len;
    contents->read_ms = old->read_ms;
    contents->image_end = old->image_end;
    for (size_t i = 0; i < old->num_chunks; i++) {
        atomic_fetch_add_explicit(&old->chunks[i]->refs, 1, memory_order_relaxed);
        contents->chunks[contents->num_chunks++] = old->chunks[i];
    }
    for (size_t i = 0; i < old->num_layers; i++) {
        atomic_fetch_add_explicit(&old->layers[i]->refs, 1, memory_order_relaxed);
        contents->layers[contents->num_layers++] = old->layers[i];
    }
    if (!take_room(contents, len - old->whole)) {
        kb_cc_contents_put(contents);
        contents = NULL;
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
    for (size_t i = 0; i < contents->num_layers; i++) {
        layer_put(contents->layers[i]);
    }
    for (size_t i = 0; i < contents->num_chunks; i++) {
        chunk_put(contents->chunks[i]);
    }
    kb_principal_free(contents->owner);
    free(contents);
}

/* --- reading --- */

static bool make_room(struct kb_cc_record **records, size_t num, size_t *room)
{
    struct kb_cc_record *more;

    if (num > 0 && num < *room) {
        return true;
    }
    *room = 2 * *room + 8;
    more = realloc(*records, *room * sizeof(*more));
    *records = more != NULL ? more : *records;
    return more != NULL;
}

static enum kb_status read_records(struct kb_cc_contents *contents, struct kb_reader *r,
                                   struct kb_cc_record **records, size_t *num)
{
    size_t room = r->rest.len / TICKET_LEN / 2; /* and doubled by the first */

    for (;;) {
        struct kb_cc_record record;

        contents->whole = contents->len - r->rest.len;
        if (r->rest.len == 0) {
            return KB_OK;
        }
        record = kb_cc_get_record(r, contents->version);
        if (r->bad) {
            return KB_OK; /* somebody died while he wrote it, or is writing it now */
        }
        if (!make_room(records, *num, &room)) {
            return KB_NO_MEMORY;
        }
        record.hash = hash_name(contents->version, &record.server);
        (*records)[(*num)++] = record;
        contents->last = record.raw;
        if (contents->num == 0 && *num == 1) {
            contents->beginning =
                kb_bytes_of(contents->image, contents->len - r->rest.len - contents->at);
        }
    }
}

enum kb_status kb_cc_parse(struct kb_cc_contents *contents)
{
    struct kb_reader r = kb_reader(kb_bytes_of(contents->image, contents->len - contents->at));
    struct kb_cc_record *records = NULL;
    size_t num = 0;
    enum kb_status st = contents->owner == NULL ? kb_cc_get_start(contents, &r) : KB_OK;

    if (st == KB_OK) {
        st = read_records(contents, &r, &records, &num);
    }
    contents->image_end += contents->whole - contents->at;
    if (st != KB_OK || num == 0) {
        free(records);
        return st;
    }
    return add_layer(contents, records, num);
}

enum kb_status kb_cc_contents_add(const struct kb_cc_contents *known,
                                  const struct kb_cc_store *what, const struct kb_cc_stamp *stamp,
                                  struct kb_cc_contents **out)
{
    struct kb_cc_contents *contents = NULL;
    struct kb_buf buf;
    enum kb_status st;

    *out = NULL;
    if (known->version != 4 || known->whole != known->len) {
        return KB_NOT_FOUND;
    }
    kb_buf_init(&buf, KB_CC_MAX);
    kb_cc_put_entry(&buf, what);
    st = buf.status;
    if (st == KB_OK) {
        contents = kb_cc_contents_grown(known, known->len + buf.len);
        st = contents != NULL ? KB_OK : KB_NO_MEMORY;
    }
    if (st == KB_OK) {
        memcpy(contents->image, buf.data, buf.len);
        contents->stamp = *stamp;
        st = kb_cc_parse(contents);
    }
    kb_buf_wipe(&buf);
    if (st != KB_OK) {
        kb_cc_contents_put(contents);
        return st;
    }
    *out = contents;
    return KB_OK;
}
