#include "mech/spi/twin.h"

#include <pthread.h>
#include <stdlib.h>

#include "mech/net/wait.h"

#define MAX_TWINS 16 /* threads that can be between the two requests at once */
#define TWIN_MS 1000

struct twin {
    bool used;
    pthread_t thread;
    int64_t until_ms;
    struct kb_buf request;
    struct kb_identity *identity; /* NULL: it failed */
    struct kb_error err;
};

/* Guards `twins`. First in the lock order: an identity may be released under it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct twin *twins; /* MAX_TWINS of them, once one was needed */

static void fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

static void fork_done(void)
{
    pthread_mutex_unlock(&lock);
}

/* After mech/process's handlers, so that this lock is taken before theirs. */
static void watch_forks(void)
{
    (void)pthread_atfork(fork_prepare, fork_done, fork_done);
}

static void clear(struct twin *twin)
{
    kb_buf_wipe(&twin->request);
    kb_identity_put(twin->identity);
    *twin = (struct twin){0};
}

/* With the lock: drops what is over, and finds this thread's own. */
static struct twin *find(void)
{
    int64_t now = kb_now_ms();
    struct twin *mine = NULL;

    for (unsigned i = 0; twins != NULL && i < MAX_TWINS; i++) {
        if (twins[i].used && twins[i].until_ms < now) {
            clear(&twins[i]);
        }
        if (twins[i].used && pthread_equal(twins[i].thread, pthread_self())) {
            mine = &twins[i];
        }
    }
    return mine;
}

bool kb_twin_take(kb_bytes request, struct kb_identity **out, struct kb_error *err)
{
    struct twin *mine;
    bool same = false;

    pthread_mutex_lock(&lock);
    mine = find();
    if (mine != NULL) {
        same = kb_equal_secret(kb_buf_bytes(&mine->request), request);
        if (same) {
            *err = mine->err;
            *out = mine->identity; /* the reference goes over */
            mine->identity = NULL;
        }
        clear(mine);
    }
    pthread_mutex_unlock(&lock);
    return same;
}

/* With the lock: an unused one, else the one that is over first. */
static struct twin *free_slot(void)
{
    struct twin *slot = &twins[0];

    for (unsigned i = 0; i < MAX_TWINS && slot->used; i++) {
        if (!twins[i].used || twins[i].until_ms < slot->until_ms) {
            slot = &twins[i];
        }
    }
    return slot;
}

void kb_twin_put(kb_bytes request, struct kb_identity *identity, const struct kb_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct twin *slot;

    (void)pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
    if (twins == NULL) {
        twins = calloc(MAX_TWINS, sizeof(*twins));
    }
    if (twins != NULL) {
        slot = find();
        slot = slot != NULL ? slot : free_slot();
        clear(slot);
        kb_buf_init(&slot->request, request.len);
        kb_buf_add(&slot->request, request);
        if (slot->request.status == KB_OK) {
            slot->used = true;
            slot->thread = pthread_self();
            slot->until_ms = kb_now_ms() + TWIN_MS;
            slot->identity = identity != NULL ? kb_identity_ref(identity) : NULL;
            slot->err = *err;
        } else {
            clear(slot);
        }
    }
    pthread_mutex_unlock(&lock);
}

void kb_twin_drop(const struct kb_identity *identity)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; twins != NULL && i < MAX_TWINS; i++) {
        if (twins[i].used && twins[i].identity == identity) {
            clear(&twins[i]);
        }
    }
    pthread_mutex_unlock(&lock);
}
