/* bench_cache.c - what a large FILE cache costs, without libgssapi and without a KDC. Times are
 * nanoseconds of the thread's CPU, one result a line.
 *
 *   bench_cache pad FROM TO N
 *                            TO has what FROM has, and N tickets more (pad0/localhost ...)
 *   bench_cache touch FILE   first touch: reads it and finds the first ticket; the least of ten
 *   bench_cache find FILE COUNT
 *                            one look-up, of the cache's tickets in turn; the least of ten times
 * COUNT bench_cache grow FILE N  N tickets that another process appends, each read on; of a ticket:
 *                            appending, reading on
 *   bench_cache fill FILE N  N tickets that we add to it ourselves; of a ticket
 *
 * FILE and FROM begin with a TGT that is still good. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "mech/store/ccache_format.h"

#define ROUNDS 10

static const int32_t etypes[] = {17, 18, 19, 20, 23, 25, 26};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void must(bool holds, const struct kb_error *err, const char *what)
{
    if (!holds) {
        fprintf(stderr, "bench_cache: %s: %s\n", what, err != NULL ? err->text : "failed");
        exit(1);
    }
}

static struct kb_ccache *open_cache(const char *name)
{
    struct kb_error err = {0};
    struct kb_ccache *cache;

    must(kb_ccache_new(name, &cache, &err) == KB_OK, &err, name);
    return cache;
}

static struct kb_cc_contents *load(const struct kb_ccache *cache, struct kb_cc_contents *known)
{
    struct kb_error err = {0};
    struct kb_cc_contents *contents;
    struct kb_wait wait;

    kb_wait_start(&wait, 10000, true);
    must(kb_ccache_reload(cache, known, &wait, &contents, &err) == KB_OK, &err, "reading");
    kb_wait_stop(&wait);
    return contents;
}

static struct kb_credential *find(const struct kb_cc_contents *contents,
                                  const struct kb_principal *server)
{
    struct kb_cc_wanted wanted = {.server = server,
                                  .any_realm = true,
                                  .etypes = etypes,
                                  .num_etypes = sizeof(etypes) / sizeof(etypes[0]),
                                  .now = time(NULL)};
    struct kb_credential *found = NULL;

    must(kb_cc_find(contents, &wanted, &found, NULL) == KB_OK, NULL, "a ticket is not found");
    return found;
}

static struct kb_credential *tgt_of(const struct kb_cc_contents *contents)
{
    kb_bytes realm = contents->owner->realm;
    struct kb_principal *server = kb_principal_tgs(realm, realm);
    struct kb_credential *tgt = find(contents, server);

    kb_principal_free(server);
    return tgt;
}

static struct kb_principal *service(const struct kb_credential *tgt, unsigned number)
{
    struct kb_principal *made;
    char text[64];

    snprintf(text, sizeof(text), "pad%u/localhost", number);
    must(kb_principal_parse(kb_str(text), KB_NT_PRINCIPAL, tgt->client->realm, &made) == KB_OK,
         NULL, text);
    return made;
}

static struct kb_cc_store ticket(const struct kb_credential *tgt)
{
    return (struct kb_cc_store){.owner = tgt->client, .credential = tgt, .now = time(NULL)};
}

static void pad(const char *from, const char *to, unsigned num)
{
    struct kb_ccache *cache = open_cache(from);
    struct kb_cc_contents *contents = load(cache, NULL);
    struct kb_credential *tgt = tgt_of(contents);
    struct kb_cc_store what = ticket(tgt);
    struct kb_buf buf;
    FILE *out;

    umask(077);
    out = fopen(to, "w");
    kb_buf_init(&buf, KB_CC_MAX);
    must(kb_cc_put_all(&buf, contents, NULL, NULL, NULL) == KB_OK, NULL, "writing");
    for (unsigned i = 0; i < num; i++) {
        struct kb_principal *server = service(tgt, i);

        what.server = server;
        kb_cc_put_entry(&buf, &what);
        kb_principal_free(server);
    }
    must(out != NULL && fwrite(buf.data, 1, buf.len, out) == buf.len && fclose(out) == 0, NULL, to);
    kb_buf_wipe(&buf);
    kb_credential_free(tgt);
    kb_cc_contents_put(contents);
    kb_ccache_put(cache);
}

static void touch(const char *name)
{
    struct kb_ccache *cache = open_cache(name);
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        struct kb_cc_contents *contents = load(cache, NULL);
        struct kb_credential *tgt = tgt_of(contents);

        start = now_ns() - start;
        best = start < best ? start : best;
        kb_credential_free(tgt);
        kb_cc_contents_put(contents);
    }
    printf("%llu\n", (unsigned long long)best);
    kb_ccache_put(cache);
}

static void look_up(const char *name, unsigned count)
{
    struct kb_ccache *cache = open_cache(name);
    struct kb_cc_contents *contents = load(cache, NULL);
    struct kb_principal **servers = calloc(contents->num, sizeof(*servers));
    uint64_t best = UINT64_MAX;
    size_t num = 0;

    for (size_t i = 0; i < contents->num && servers != NULL; i++) {
        const struct kb_cc_record *record = kb_cc_record_at(contents, i);

        if (record->kind == KB_CC_TICKET) {
            must(kb_cc_name_principal(contents, &record->server, &servers[num++]) == KB_OK, NULL,
                 "a name");
        }
    }
    must(num > 0 && count > 0, NULL, "nothing to look up");
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns();

        for (unsigned i = 0; i < count; i++) {
            kb_credential_free(find(contents, servers[(size_t)i * 7919 % num]));
        }
        start = (now_ns() - start) / count;
        best = start < best ? start : best;
    }
    printf("%llu\n", (unsigned long long)best);
    for (size_t i = 0; i < num; i++) {
        kb_principal_free(servers[i]);
    }
    free(servers);
    kb_cc_contents_put(contents);
    kb_ccache_put(cache);
}

static struct kb_cc_stamp store(const struct kb_ccache *cache, const struct kb_cc_store *what)
{
    struct kb_error err = {0};
    struct kb_cc_stamp stamp;
    struct kb_wait wait;

    kb_wait_start(&wait, 10000, true);
    must(kb_ccache_store(cache, what, &wait, &stamp, &err) == KB_OK, &err, "writing");
    kb_wait_stop(&wait);
    return stamp;
}

/* Both keep what they read; `theirs` is that of the other process. */
static void grow(const char *name, unsigned num)
{
    struct kb_ccache *cache = open_cache(name);
    struct kb_cc_contents *ours = load(cache, NULL), *theirs = kb_cc_contents_ref(ours), *next;
    struct kb_credential *tgt = tgt_of(ours);
    struct kb_cc_store what = ticket(tgt);
    uint64_t writing = 0, reading = 0, start;

    for (unsigned i = 0; i < num; i++) {
        struct kb_principal *server = service(tgt, 1000000 + i);
        struct kb_cc_stamp stamp;

        start = now_ns();
        what.server = server;
        what.known = theirs;
        what.known_stamp = *kb_cc_stamp_of(theirs);
        stamp = store(cache, &what);
        must(kb_cc_contents_add(theirs, &what, &stamp, &next) == KB_OK, NULL, "adding");
        kb_cc_contents_put(theirs);
        theirs = next;
        writing += now_ns() - start;
        start = now_ns();
        next = load(cache, ours);
        kb_cc_contents_put(ours);
        ours = next;
        kb_credential_free(find(ours, server));
        reading += now_ns() - start;
        kb_principal_free(server);
    }
    printf("%llu %llu\n", (unsigned long long)(writing / num), (unsigned long long)(reading / num));
    kb_cc_contents_put(ours);
    kb_cc_contents_put(theirs);
    kb_credential_free(tgt);
    kb_ccache_put(cache);
}

static void fill(const char *name, unsigned num)
{
    struct kb_ccache *cache = open_cache(name);
    struct kb_cc_contents *known = load(cache, NULL), *next;
    struct kb_credential *tgt = tgt_of(known);
    struct kb_cc_store what = ticket(tgt);
    uint64_t start = now_ns();

    for (unsigned i = 0; i < num; i++) {
        struct kb_principal *server = service(tgt, 2000000 + i);
        struct kb_cc_stamp stamp;

        what.server = server;
        what.known = known;
        what.known_stamp = *kb_cc_stamp_of(known);
        stamp = store(cache, &what);
        must(kb_cc_contents_add(known, &what, &stamp, &next) == KB_OK, NULL, "adding");
        kb_cc_contents_put(known);
        known = next;
        kb_principal_free(server);
    }
    printf("%llu\n", (unsigned long long)((now_ns() - start) / num));
    kb_cc_contents_put(known);
    kb_credential_free(tgt);
    kb_ccache_put(cache);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    unsigned num = argc > 3 ? (unsigned)strtoul(argv[argc - 1], NULL, 10) : 0;

    if (strcmp(what, "pad") == 0 && argc == 5) {
        pad(argv[2], argv[3], num);
    } else if (strcmp(what, "touch") == 0 && argc == 3) {
        touch(argv[2]);
    } else if (strcmp(what, "find") == 0 && argc == 4 && num > 0) {
        look_up(argv[2], num);
    } else if (strcmp(what, "grow") == 0 && argc == 4 && num > 0) {
        grow(argv[2], num);
    } else if (strcmp(what, "fill") == 0 && argc == 4 && num > 0) {
        fill(argv[2], num);
    } else {
        fprintf(stderr, "usage: bench_cache pad|touch|find|grow|fill FILE ...\n");
        return 2;
    }
    return 0;
}
