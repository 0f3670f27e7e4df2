#include "mech/store/kcm_call.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mech/store/ccache_ops.h"

/* Guards the two below it. Held for looking at them alone. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t silent_until_ms; /* 0: nobody was silent */
static char silent_path[108];   /* the socket of who was */

void kb_kcm_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_kcm_fork_done(void)
{
    pthread_mutex_unlock(&lock);
}

void kb_kcm_begin(struct kb_kcm *kcm, const struct kb_ccache *cache, struct kb_wait *wait,
                  struct kb_error *err)
{
    *kcm = (struct kb_kcm){.cache = cache, .wait = wait, .err = err, .local = {.fd = -1}};
    kb_buf_init(&kcm->request, KB_CC_MAX);
}

static void drop_answer(struct kb_kcm *kcm)
{
    kb_free_secret(kcm->rest, kcm->rest_len);
    kcm->rest = NULL;
    kcm->rest_len = 0;
    kcm->answer = (struct kb_kcm_answer){.code = 0};
}

void kb_kcm_end(struct kb_kcm *kcm)
{
    drop_answer(kcm);
    kb_buf_wipe(&kcm->request);
    kb_local_close(&kcm->local);
}

void kb_kcm_ask(struct kb_kcm *kcm, enum kb_kcm_op op, const char *name)
{
    kb_buf_wipe(&kcm->request);
    kb_buf_init(&kcm->request, KB_CC_MAX);
    kb_kcm_start(&kcm->request, op, name);
    kcm->op = op;
}

/* --- errors --- */

static enum kb_status failed(struct kb_kcm *kcm, const char *what)
{
    return kb_error_set(kcm->err, KB_E_CCACHE, "credentials cache %s: the KCM daemon on %s %s",
                        kcm->cache->shown, kcm->cache->socket, what);
}

/* The sentence says what to do, for the log has no hints. */
static enum kb_status advised(struct kb_kcm *kcm)
{
    if (kcm->err != NULL) {
        kcm->err->no_hint = true;
    }
    return KB_ERROR;
}

enum kb_status kb_kcm_broken(struct kb_kcm *kcm, enum kb_status st, const char *what)
{
    if (st == KB_NO_MEMORY) {
        return kb_cc_explain(kcm->cache, st, kcm->err);
    }
    return kb_error_set(kcm->err, KB_E_CCACHE,
                        "credentials cache %s: the KCM daemon on %s answers with %s that is none "
                        "(%s)",
                        kcm->cache->shown, kcm->cache->socket, what, kb_status_text(st));
}

/* What a person can do about a code; NULL: nothing in particular. */
static const char *advice_on(const struct kb_kcm *kcm)
{
    if (kcm->answer.code == KB_KCM_BADNAME) {
        return " (a cache's name begins with the user's number: KCM:UID or KCM:UID:NAME; KCM: "
               "alone "
               "takes one that fits)";
    }
    if (kcm->answer.code == KB_KCM_INTERNAL &&
        (kcm->op == KB_KCM_INITIALIZE || kcm->op == KB_KCM_STORE || kcm->op == KB_KCM_REPLACE)) {
        return " (of sssd-kcm that is mostly a quota: see max_ccache_size, max_uid_ccaches and "
               "max_ccaches in [kcm] of sssd.conf)";
    }
    return NULL;
}

enum kb_status kb_kcm_refused(struct kb_kcm *kcm, const char *what)
{
    const char *advice = advice_on(kcm);
    char buf[40];

    (void)kb_error_set(kcm->err, KB_E_CCACHE,
                       "credentials cache %s: the KCM daemon on %s does not %s: %s%s",
                       kcm->cache->shown, kcm->cache->socket, what,
                       kb_kcm_code_text(kcm->answer.code, buf), advice != NULL ? advice : "");
    return advice != NULL ? advised(kcm) : KB_ERROR;
}

static enum kb_status no_daemon(struct kb_kcm *kcm, int sys_errno)
{
    char buf[128];

    (void)kb_error_set(
        kcm->err, KB_E_CCACHE,
        "credentials cache %s: no KCM daemon on %s (%s): start one (sssd-kcm, "
        "heimdal-kcm), let kcm_socket in [libdefaults] of krb5.conf name its socket, "
        "or name another cache",
        kcm->cache->shown, kcm->cache->socket, strerror_r(sys_errno, buf, sizeof(buf)));
    kb_error_cause(kcm->err, sys_errno);
    return advised(kcm);
}

/* --- silence --- */

static bool was_silent(const char *path)
{
    bool silent;

    pthread_mutex_lock(&lock);
    silent = silent_until_ms > kb_now_ms() && strcmp(silent_path, path) == 0;
    pthread_mutex_unlock(&lock);
    return silent;
}

static void note_silence(const char *path)
{
    size_t len = strlen(path);

    pthread_mutex_lock(&lock);
    if (len < sizeof(silent_path)) {
        memcpy(silent_path, path, len + 1);
        silent_until_ms = kb_now_ms() + KB_KCM_PAUSE_MS;
    }
    pthread_mutex_unlock(&lock);
}

/* What came of sending or receiving. */
static enum kb_status explain(struct kb_kcm *kcm, enum kb_status st)
{
    if (st == KB_OK) {
        return st;
    }
    if (st == KB_TIMED_OUT && kb_now_ms() >= kcm->until_ms) {
        note_silence(kcm->cache->socket);
        return failed(kcm, "does not answer; it is asked again in half a minute");
    }
    if (st != KB_ERROR) {
        return kb_error_status(kcm->err, KB_E_CCACHE, st,
                               "credentials cache %s: waiting for the KCM daemon on %s",
                               kcm->cache->shown, kcm->cache->socket);
    }
    if (kcm->local.sys_errno == 0) {
        return failed(kcm, "closed the connection without a whole answer");
    }
    return kb_error_errno(kcm->err, KB_E_CCACHE, kcm->local.sys_errno,
                          "credentials cache %s: speaking to the KCM daemon on %s",
                          kcm->cache->shown, kcm->cache->socket);
}

/* --- the connection --- */

/* Can nobody but root put a socket where this one is? */
static bool is_roots_place(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir =
        slash == NULL ? strdup(".") : strndup(path, slash > path ? (size_t)(slash - path) : 1);
    struct stat st;
    bool roots = dir != NULL && stat(dir, &st) == 0 && st.st_uid == 0 &&
                 (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;

    free(dir);
    return roots;
}

static enum kb_status check_peer(struct kb_kcm *kcm)
{
    uid_t peer = kcm->local.peer;

    if (peer == 0 || peer == geteuid() || is_roots_place(kcm->cache->socket)) {
        return KB_OK;
    }
    (void)kb_error_set(
        kcm->err, KB_E_CCACHE,
        "credentials cache %s: who listens on %s is user id %u, neither root nor "
        "this process's %u, and not only root can put a socket there: let kcm_socket "
        "in [libdefaults] of krb5.conf name that of the system's KCM daemon",
        kcm->cache->shown, kcm->cache->socket, (unsigned)peer, (unsigned)geteuid());
    return advised(kcm);
}

static enum kb_status connect_to(struct kb_kcm *kcm)
{
    const char *path = kcm->cache->socket;
    enum kb_status st;

    if (strcmp(path, "-") == 0) {
        (void)kb_error_set(kcm->err, KB_E_CCACHE,
                           "credentials cache %s: kcm_socket=- in [libdefaults] of krb5.conf "
                           "switches the KCM daemon off: take it out, or name another cache",
                           kcm->cache->shown);
        return advised(kcm);
    }
    if (was_silent(path)) {
        return failed(kcm, "did not answer a moment ago; it is asked again within half a minute");
    }
    st = kb_local_connect(&kcm->local, path, kcm->wait, kcm->until_ms);
    if (st == KB_ERROR) {
        return no_daemon(kcm, kcm->local.sys_errno);
    }
    st = explain(kcm, st);
    return st == KB_OK ? check_peer(kcm) : st;
}

static enum kb_status receive(struct kb_kcm *kcm)
{
    uint8_t head[KB_KCM_HEAD];
    size_t len = 0;
    enum kb_status st =
        explain(kcm, kb_local_receive(&kcm->local, head, sizeof(head), kcm->wait, kcm->until_ms));

    if (st != KB_OK) {
        return st;
    }
    if (kb_kcm_length(head, &len) != KB_OK) {
        return failed(kcm, "answers with more than 10 MiB");
    }
    kcm->rest = malloc(len > 0 ? len : 1);
    if (kcm->rest == NULL) {
        return kb_cc_explain(kcm->cache, KB_NO_MEMORY, kcm->err);
    }
    kcm->rest_len = len;
    st = explain(kcm, kb_local_receive(&kcm->local, kcm->rest, len, kcm->wait, kcm->until_ms));
    if (st == KB_OK && kb_kcm_answer(head, kb_bytes_of(kcm->rest, len), &kcm->answer) != KB_OK) {
        st = failed(kcm, "answers without a code");
    }
    return st;
}

enum kb_status kb_kcm_call(struct kb_kcm *kcm)
{
    enum kb_status st = KB_OK;

    drop_answer(kcm);
    kb_kcm_finish(&kcm->request);
    if (kcm->request.status != KB_OK) {
        return kb_cc_explain(kcm->cache, kcm->request.status, kcm->err);
    }
    /* In the child of a callback that forked, nothing is undone: its parent goes on. */
    if (kb_wait_interrupted(kcm->wait)) {
        return explain(kcm, KB_INTERRUPTED);
    }
    kcm->until_ms = kb_now_ms() + KB_KCM_SILENT_MS;
    if (kcm->local.fd < 0) {
        st = connect_to(kcm);
    }
    if (st == KB_OK) {
        st = explain(
            kcm, kb_local_send(&kcm->local, kb_buf_bytes(&kcm->request), kcm->wait, kcm->until_ms));
    }
    if (st == KB_OK) {
        st = receive(kcm);
    }
    if (st != KB_OK) {
        kb_local_close(&kcm->local);
        return st;
    }
    return kcm->answer.code == 0 ? KB_OK : KB_NOT_FOUND;
}
