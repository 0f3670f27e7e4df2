#include "mech/login/beside.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mech/login/beside_pause.h"
#include "mech/login/cache.h"
#include "mech/login/clock.h"
#include "mech/login/identity_own.h"
#include "mech/login/learned.h"
#include "mech/login/work.h"

/* With who holds a lock, before the next lane is taken: with one that is stopped, and with one that
 * is in a callback, or waits for a KDC. */
#define MAX_STOPPED_MS 1000
#define MAX_PATIENCE_MS 15000
#define MIN_PATIENCE_MS 50
#define MAX_TURN_MS 20
#define MAX_LATE_TURN_MS 50 /* after a second */
#define MAX_OPENS 3         /* of a file that others remove */
#define LANE_SHIFT 28

/* --- the file --- */

static enum kb_status open_file(const struct kb_identity *identity, bool make,
                                struct kb_beside_file *out, struct kb_error *err)
{
    out->fd = -1;
    return identity->beside != NULL ? kb_beside_open(identity->beside, make, out, err)
                                    : KB_NOT_FOUND;
}

enum kb_status kb_beside_read(const struct kb_identity *identity, struct kb_beside_contents *out,
                              struct kb_error *err)
{
    struct kb_beside_file file;
    enum kb_status st = open_file(identity, false, &file, err);

    *out = (struct kb_beside_contents){0};
    if (st == KB_OK) {
        st = kb_beside_load(&file, out);
        kb_beside_close(&file);
    }
    return st == KB_OK || st == KB_NOT_FOUND || st == KB_ERROR
               ? st
               : kb_error_status(err, KB_E_CCACHE, st, "the file beside the credentials cache");
}

enum kb_status kb_beside_write(const struct kb_identity *identity,
                               const struct kb_beside_record *changes, size_t num,
                               struct kb_error *err)
{
    struct kb_beside_file file;
    enum kb_status st = open_file(identity, true, &file, err);

    if (st == KB_OK) {
        st = kb_beside_change(&file, changes, num, kb_clock_now(), err);
        kb_beside_close(&file);
    }
    return st;
}

/* What is no file of ours is left where it is. */
static enum kb_status forget(const char *path, size_t *out_pauses, struct kb_error *err)
{
    struct kb_beside_contents contents = {0};
    struct kb_beside_file file;
    enum kb_status st = kb_beside_open(path, false, &file, err);

    if (st != KB_OK) {
        return st == KB_NOT_FOUND ? KB_OK : st;
    }
    if (kb_beside_load(&file, &contents) == KB_OK) {
        *out_pauses = kb_beside_pauses(&contents.table, kb_clock_now());
    }
    kb_beside_contents_wipe(&contents);
    kb_beside_close(&file);
    if (unlink(path) != 0 && errno != ENOENT) {
        st = kb_error_errno(err, KB_E_CCACHE, errno, "the file beside the credentials cache");
    }
    return st;
}

enum kb_status kb_beside_forget(const struct kb_ccache *cache, size_t *out_pauses,
                                struct kb_error *err)
{
    enum kb_status st = KB_OK;
    struct kb_buf path;

    *out_pauses = 0;
    kb_buf_init(&path, PATH_MAX);
    if (kb_ccache_beside(cache, &path)) {
        st = forget(kb_buf_str(&path), out_pauses, err);
    }
    kb_buf_wipe(&path);
    return st;
}

/* --- which lock --- */

/* FNV-1a; who meets by accident only waits. */
static uint32_t hash_more(uint32_t hash, kb_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        hash = (hash ^ bytes.ptr[i]) * 16777619u;
    }
    return hash * 16777619u;
}

/* A collection's users have one file. */
static uint32_t number_of(const struct kb_work *work, kb_bytes key, unsigned lane)
{
    const struct kb_principal *client = kb_identity_principal(work->identity);
    uint32_t hash = hash_more(2166136261u, client->realm);

    for (size_t i = 0; i < client->name.name_string.num; i++) {
        hash = hash_more(hash, client->name.name_string.items[i]);
    }
    hash = hash_more(hash, key);
    return (hash ^ hash >> LANE_SHIFT) % (1u << LANE_SHIFT) | (uint32_t)lane << LANE_SHIFT;
}

/* --- what goes wrong is told once --- */

static bool is_first_time(struct kb_identity *identity)
{
    bool first;

    kb_identity_lock();
    first = !identity->beside_told;
    identity->beside_told = true;
    kb_identity_unlock();
    return first;
}

/* Its directory is made by the first ticket, as MIT does; those who fetch that meet in it. */
static bool make_collection(const struct kb_identity *identity)
{
    const char *name = strrchr(identity->beside, '/');
    bool made = false;
    char *path;

    if (name == NULL || strcmp(name, "/kerbside") != 0) {
        return false;
    }
    path = kb_strdup(kb_bytes_of(identity->beside, (size_t)(name - identity->beside)));
    made = path != NULL && (mkdir(path, 0700) == 0 || errno == EEXIST);
    free(path);
    return made;
}

static void open_for(struct kb_work *work)
{
    struct kb_beside_held *held = &work->beside;
    struct kb_error err = {0};

    if (!held->open) {
        held->open = open_file(work->identity, true, &held->file, &err) == KB_OK;
    }
    if (err.sys_errno == ENOENT && make_collection(work->identity)) {
        err = (struct kb_error){0};
        held->open = open_file(work->identity, true, &held->file, &err) == KB_OK;
    }
    if (err.code != KB_E_NONE && is_first_time(work->identity)) {
        kb_event_beside_not_used(work->env.events, err.text);
    }
}

/* --- taking turns --- */

/* How long whoever has a lock is waited for: a part of Timeout, within bounds. */
static int64_t patience_ms(const struct kb_wait *wait, int64_t part, int64_t most_ms)
{
    int64_t ms = wait->timeout_ms / part;

    return wait->timeout_ms == 0 || ms > most_ms ? most_ms
           : ms < MIN_PATIENCE_MS                ? MIN_PATIENCE_MS
                                                 : ms;
}

static bool try_lanes(struct kb_work *work, kb_bytes key, unsigned num_lanes)
{
    struct kb_beside_held *held = &work->beside;

    for (unsigned lane = 0; lane < num_lanes; lane++) {
        uint32_t number = number_of(work, key, lane);

        if (kb_beside_try(&held->file, number)) {
            held->locks[held->num++] = number;
            return true;
        }
    }
    return false;
}

/* One call's waiting for the lock of a flight. */
struct queue {
    unsigned num_lanes;            /* that it tries */
    struct kb_beside_holder taken; /* the last of them, by whom */
    int64_t start_ms, since_ms;    /* that has not changed */
    int64_t turn_ms;
};

static enum kb_status wait_a_turn(struct kb_work *work, struct queue *queue)
{
    int64_t now_ms = kb_now_ms();
    int64_t most_ms = now_ms - queue->start_ms < 1000 ? MAX_TURN_MS : MAX_LATE_TURN_MS;
    struct pollfd fds[KB_WAIT_FDS];
    int ready;
    enum kb_status st = kb_wait_poll(work->wait, fds, 0, now_ms + queue->turn_ms, &ready);

    queue->turn_ms = queue->turn_ms * 2 < most_ms ? queue->turn_ms * 2 : most_ms;
    return st;
}

/* Whether whoever has the last lane has had it for too long. */
static bool stands_still(const struct kb_work *work, kb_bytes key, struct queue *queue)
{
    uint32_t number = number_of(work, key, queue->num_lanes - 1);
    struct kb_beside_holder taken = kb_beside_taken(&work->beside.file, number);
    int64_t now_ms = kb_now_ms(), had_ms;

    if (taken.when != queue->taken.when) {
        queue->taken = taken;
        queue->since_ms = now_ms;
    }
    had_ms = now_ms - queue->since_ms;
    return had_ms >= patience_ms(work->wait, 8, MAX_PATIENCE_MS) ||
           (had_ms >= patience_ms(work->wait, 32, MAX_STOPPED_MS) &&
            kb_beside_is_stopped(&queue->taken));
}

/* KB_OK with the lock, or without one after all patience. */
static enum kb_status wait_for_lock(struct kb_work *work, kb_bytes key)
{
    int64_t start_ms = kb_now_ms();
    struct queue queue = {.num_lanes = 1, .start_ms = start_ms, .since_ms = start_ms, .turn_ms = 1};
    enum kb_status st = KB_OK;

    while (st == KB_OK && !try_lanes(work, key, queue.num_lanes)) {
        if (!stands_still(work, key, &queue)) {
            st = wait_a_turn(work, &queue);
            continue;
        }
        if (queue.num_lanes == 1) {
            kb_event_beside_stuck(work->env.events, (long long)(kb_now_ms() - start_ms) / 1000,
                                  kb_ccache_name(work->identity->cache));
        }
        if (queue.num_lanes == KB_BESIDE_LANES) {
            break;
        }
        queue.num_lanes++;
        queue.since_ms = kb_now_ms();
    }
    return st;
}

static enum kb_status take_turn(struct kb_work *work, kb_bytes key, struct kb_error *err)
{
    struct kb_beside_held *held = &work->beside;
    int64_t start_ms = kb_now_ms();
    enum kb_status st = KB_OK;

    if (held->num == KB_BESIDE_HELD) {
        return KB_OK;
    }
    for (unsigned i = 0; i < MAX_OPENS && st == KB_OK && held->open; i++) {
        st = wait_for_lock(work, key);
        if (held->num != 1 || kb_beside_is_there(&held->file)) {
            break;
        }
        /* It was removed meanwhile (kerbside forget): others meet at the next one. */
        kb_beside_close(&held->file);
        kb_beside_contents_wipe(&held->contents);
        held->open = false;
        held->seen = false;
        held->num = 0;
        open_for(work);
    }
    return st == KB_OK ? KB_OK
                       : kb_work_gave_up(work->wait, st, start_ms,
                                         "for another process that logs in as the same user", err);
}

/* Where tickets are not written, nobody finds what we fetch. */
static bool takes_turns(const struct kb_work *work)
{
    return work->login->options->store_tickets && work->identity->beside != NULL;
}

enum kb_status kb_beside_lead(struct kb_work *work, kb_bytes key, struct kb_error *err)
{
    enum kb_status st = KB_OK;

    if (work->identity->auto_lost != NULL && is_first_time(work->identity)) {
        kb_event_auto_not_used(work->env.events, work->identity->auto_lost);
    }
    if (work->identity->beside == NULL) {
        return KB_OK;
    }
    open_for(work);
    if (work->beside.open) {
        kb_learned_load(work);
    }
    if (work->beside.open && takes_turns(work)) {
        st = take_turn(work, key, err);
        if (st == KB_OK) {
            st = kb_cache_refresh(work, err);
        }
    }
    return st;
}

void kb_beside_leave(struct kb_work *work, kb_bytes key)
{
    struct kb_beside_held *held = &work->beside;

    for (size_t i = held->num; i > 0; i--) {
        uint32_t any_lane = held->locks[i - 1] % (1u << LANE_SHIFT);

        if (any_lane == number_of(work, key, 0)) {
            kb_beside_unlock(&held->file, held->locks[i - 1]);
            held->locks[i - 1] = held->locks[--held->num];
            return;
        }
    }
}

void kb_beside_end(struct kb_work *work)
{
    struct kb_beside_held *held = &work->beside;

    if (held->open) {
        for (; held->num > 0; held->num--) {
            kb_beside_unlock(&held->file, held->locks[held->num - 1]);
        }
        /* In the child of a callback that forked, the descriptor may be another file by now. */
        if (!kb_wait_interrupted(work->wait)) {
            kb_learned_keep(work);
        }
        kb_beside_close(&held->file);
        held->open = false;
    }
    kb_beside_contents_wipe(&held->contents);
    held->seen = false;
}
