#include "mech/report/last_error.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define MAX_LINE 4096
#define MAX_TRIES 100 /* for the lock, before doing without */

/* One line (heap) for each code. */
struct lines {
    char *of[KB_E_NUM];
};

/* Guards process_lines. It is held for a copy of a line only, but a fork may leave it locked in the
 * child: so nobody waits for it for long, and who does not get it does without. */
static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lines process_lines;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;

static void lines_free(void *ptr)
{
    struct lines *lines = ptr;

    for (size_t i = 0; i < KB_E_NUM; i++) {
        free(lines->of[i]);
    }
    free(lines);
}

static void make_key(void)
{
    have_key = pthread_key_create(&key, lines_free) == 0;
}

/* The thread's own lines; NULL: none yet, and none could be made. */
static struct lines *own_lines(bool make)
{
    struct lines *lines;

    pthread_once(&key_once, make_key);
    if (!have_key) {
        return NULL;
    }
    lines = pthread_getspecific(key);
    if (lines == NULL && make) {
        lines = calloc(1, sizeof(*lines));
        if (lines != NULL && pthread_setspecific(key, lines) != 0) {
            free(lines);
            lines = NULL;
        }
    }
    return lines;
}

static bool lock_process(void)
{
    for (int i = 0; i < MAX_TRIES; i++) {
        if (pthread_mutex_trylock(&process_lock) == 0) {
            return true;
        }
        sched_yield();
    }
    return false;
}

/* Without memory the older line goes all the same: it would tell of something else. */
static void put_process_line(enum kb_error_code code, const struct kb_buf *line)
{
    char *copy = line->status == KB_OK ? kb_strdup(kb_buf_bytes(line)) : NULL, *old;

    if (!lock_process()) {
        free(copy);
        return;
    }
    old = process_lines.of[code];
    process_lines.of[code] = copy;
    pthread_mutex_unlock(&process_lock);
    free(old);
}

static bool add_process_line(enum kb_error_code code, struct kb_buf *out)
{
    bool found;

    if (!lock_process()) {
        return false;
    }
    found = process_lines.of[code] != NULL;
    kb_buf_add_str(out, process_lines.of[code]);
    pthread_mutex_unlock(&process_lock);
    return found;
}

uint32_t kb_last_error_put(const struct kb_error *err)
{
    /* A failure without a cause is one of ours, and never "no error". */
    const struct kb_error internal = {.code = KB_E_INTERNAL};
    enum kb_error_code code = err->code != KB_E_NONE ? err->code : KB_E_INTERNAL;
    struct lines *lines = own_lines(true);
    int saved = errno;
    struct kb_buf line;

    kb_buf_init(&line, MAX_LINE);
    kb_error_line(err->code != KB_E_NONE ? err : &internal, &line);
    put_process_line(code, &line);
    if (lines != NULL) {
        free(lines->of[code]);
        lines->of[code] = kb_buf_take(&line, NULL);
    }
    kb_buf_wipe(&line);
    errno = saved;
    return kb_error_minor(code);
}

bool kb_last_error_line(uint32_t minor, struct kb_buf *out)
{
    enum kb_error_code code = kb_error_of_minor(minor);
    const struct lines *lines = own_lines(false);
    struct kb_error generic = {.code = code};
    int saved = errno;

    if (code == KB_E_NONE) {
        return false;
    }
    if (lines != NULL && lines->of[code] != NULL) {
        kb_buf_add_str(out, lines->of[code]);
    } else if (!add_process_line(code, out)) {
        kb_error_line(&generic, out);
    }
    errno = saved;
    return true;
}
