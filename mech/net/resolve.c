#include "mech/net/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "mech/net/fds.h"

#define MAX_HELPERS 4
#define HELPER_STACK ((size_t)256 * 1024)

enum state { QUEUED, RUNNING, ANSWERED };

struct kb_resolve {
    struct kb_resolve *next; /* in the queue */
    enum state state;        /* guarded by lock, as is the queue */
    bool dropped;            /* nobody waits any more: the helper frees it. Guarded by lock */
    int fd;                  /* eventfd; -1: none was needed */
    unsigned flags;
    struct kb_resolved answer; /* the helper's while RUNNING, then the asker's */
    char host[];
};

static const struct kb_resolver system_resolver = {
    .getaddrinfo = getaddrinfo, .freeaddrinfo = freeaddrinfo, .getnameinfo = getnameinfo};
static const struct kb_resolver *resolver = &system_resolver; /* changed by tests, while idle */

/* Guards the queue, the number of helpers, and the state of each question. Held for moments. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kb_resolve *queue;
static unsigned num_helpers;

void kb_resolve_use(const struct kb_resolver *other)
{
    resolver = other != NULL ? other : &system_resolver;
}

unsigned kb_resolve_helpers(void)
{
    unsigned num;

    pthread_mutex_lock(&lock);
    num = num_helpers;
    pthread_mutex_unlock(&lock);
    return num;
}

/* --- asking, in whichever thread --- */

static void copy_name(char out[256], const char *name)
{
    if (strlen(name) < 256) {
        strcpy(out, name);
    }
}

static void keep_addresses(struct kb_resolved *answer, const struct addrinfo *list)
{
    for (; list != NULL && answer->num < KB_RESOLVE_MAX; list = list->ai_next) {
        if (kb_address_from(&answer->addresses[answer->num], list->ai_addr, list->ai_addrlen)) {
            answer->num++;
        }
    }
}

static void ask_name(struct kb_resolved *answer)
{
    char name[256];

    if (answer->num > 0 &&
        resolver->getnameinfo(&answer->addresses[0].u.any, answer->addresses[0].len, name,
                              sizeof(name), NULL, 0, NI_NAMEREQD) == 0) {
        copy_name(answer->canonical, name);
    }
}

static int family_of(unsigned flags)
{
    return flags & KB_RESOLVE_IPV4 ? AF_INET : flags & KB_RESOLVE_IPV6 ? AF_INET6 : AF_UNSPEC;
}

static void ask(struct kb_resolve *question)
{
    struct kb_resolved *answer = &question->answer;
    struct addrinfo *list = NULL;
    /* One socket type, else each address comes three times; MIT's and our own transports use the
     * same addresses for both. AI_ADDRCONFIG saves the question for a family we do not have. */
    struct addrinfo hints = {.ai_family = family_of(question->flags),
                             .ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_ADDRCONFIG};

    /* Whoever asks for one family gets it: that of ::1 does not count as configured. */
    if (hints.ai_family != AF_UNSPEC) {
        hints.ai_flags = 0;
    }
    if (question->flags & (KB_RESOLVE_CANONICAL | KB_RESOLVE_REVERSE)) {
        hints.ai_flags |= AI_CANONNAME;
    }
    answer->error = resolver->getaddrinfo(question->host, NULL, &hints, &list);
    if (answer->error != 0) {
        answer->sys_errno = errno;
        return;
    }
    keep_addresses(answer, list);
    if (list != NULL && list->ai_canonname != NULL) {
        copy_name(answer->canonical, list->ai_canonname);
    }
    resolver->freeaddrinfo(list);
    if (answer->num == 0) {
        answer->error = EAI_NONAME;
    }
    if (question->flags & KB_RESOLVE_REVERSE) {
        ask_name(answer);
    }
}

/* --- helpers --- */

static void release(struct kb_resolve *question)
{
    kb_fds_close(question->fd);
    free(question);
}

/* Answers questions until none waits. Touches nothing of the asker's: the asker may be gone. */
static void *help(void *unused)
{
    struct kb_resolve *question;

    pthread_mutex_lock(&lock);
    while ((question = queue) != NULL) {
        queue = question->next;
        question->state = RUNNING;
        pthread_mutex_unlock(&lock);
        ask(question);
        pthread_mutex_lock(&lock);
        if (question->dropped) {
            release(question);
        } else {
            question->state = ANSWERED;
            /* Under the lock: after it the asker may close the descriptor. It cannot block. */
            (void)eventfd_write(question->fd, 1);
        }
    }
    num_helpers--;
    pthread_mutex_unlock(&lock);
    return unused;
}

/* A thread inherits the mask of its maker, so the host's handlers never run in a helper. */
static int start_helper(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    int err = pthread_attr_init(&attr);

    if (err != 0) {
        return err;
    }
    sigfillset(&all);
    err = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (err == 0) {
        err = pthread_attr_setstacksize(&attr, HELPER_STACK);
    }
    if (err == 0 && resolver->no_threads) {
        err = EAGAIN;
    }
    if (err == 0) {
        pthread_sigmask(SIG_SETMASK, &all, &old);
        err = pthread_create(&thread, &attr, help, NULL);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_attr_destroy(&attr);
    return err;
}

static void unlink_question(const struct kb_resolve *question)
{
    struct kb_resolve **link = &queue;

    while (*link != NULL && *link != question) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = question->next;
    }
}

/* Puts a question into the queue, with a helper to come for it. False: there is none and none can
 * be started; the question is not in the queue then. */
static bool hand_over(struct kb_resolve *question)
{
    struct kb_resolve **link = &queue;
    bool handed = true;

    pthread_mutex_lock(&lock);
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = question;
    if (num_helpers < MAX_HELPERS) {
        /* The new thread waits for the lock, so it sees itself counted. */
        if (start_helper() == 0) {
            num_helpers++;
        } else if (num_helpers == 0) {
            unlink_question(question);
            handed = false;
        }
    }
    pthread_mutex_unlock(&lock);
    return handed;
}

/* --- the asker --- */

/* What needs no asking: an address, a path. */
static bool answer_at_once(struct kb_resolve *question)
{
    struct kb_resolved *answer = &question->answer;
    struct kb_address *address = &answer->addresses[0];
    int family = family_of(question->flags);
    bool known = question->flags & KB_RESOLVE_UNIX ? kb_address_unix(address, question->host)
                                                   : kb_address_numeric(address, question->host);

    if (!known || (question->flags & KB_RESOLVE_REVERSE)) {
        return false;
    }
    if (family != AF_UNSPEC && address->u.any.sa_family != family) {
        answer->error = EAI_ADDRFAMILY;
        answer->other_family = true;
        return true;
    }
    answer->num = 1;
    copy_name(answer->canonical, question->host);
    return true;
}

enum kb_status kb_resolve_start(const char *host, unsigned flags, struct kb_resolve **out)
{
    size_t size = strlen(host) + 1;
    struct kb_resolve *question = calloc(1, sizeof(*question) + size);

    *out = question;
    if (question == NULL) {
        return KB_NO_MEMORY;
    }
    memcpy(question->host, host, size);
    question->flags = flags;
    question->fd = -1;
    if (answer_at_once(question)) {
        question->state = ANSWERED;
        return KB_OK;
    }
    question->fd = kb_fds_add(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (question->fd < 0 || !hand_over(question)) {
        question->answer.in_line = true;
        ask(question);
        kb_fds_close(question->fd);
        question->fd = -1;
        question->state = ANSWERED;
    }
    return KB_OK;
}

int kb_resolve_fd(const struct kb_resolve *question)
{
    return question->fd;
}

const struct kb_resolved *kb_resolve_result(struct kb_resolve *question)
{
    bool answered;

    pthread_mutex_lock(&lock);
    answered = question->state == ANSWERED;
    pthread_mutex_unlock(&lock);
    return answered ? &question->answer : NULL;
}

enum kb_status kb_resolve_wait(struct kb_resolve *question, struct kb_wait *wait,
                               const struct kb_resolved **out)
{
    int64_t end_ms = wait->deadline_ms == INT64_MAX ? kb_now_ms() + KB_RESOLVE_LIFE_MS : INT64_MAX;
    enum kb_status status = KB_OK;

    while ((*out = kb_resolve_result(question)) == NULL && status == KB_OK) {
        struct pollfd fds[1 + KB_WAIT_FDS] = {{.fd = question->fd, .events = POLLIN}};
        int ready;

        status = kb_wait_poll(wait, fds, 1, end_ms, &ready);
        if (status == KB_OK && ready == 0) {
            status = KB_TIMED_OUT;
        }
    }
    if (*out != NULL) {
        if ((*out)->error == 0) {
            kb_wait_progress(wait);
        }
        status = KB_OK;
    }
    return status;
}

void kb_resolve_free(struct kb_resolve *question)
{
    if (question == NULL) {
        return;
    }
    pthread_mutex_lock(&lock);
    if (question->state == QUEUED) {
        unlink_question(question);
    }
    if (question->state == RUNNING) {
        question->dropped = true;
    } else {
        release(question);
    }
    pthread_mutex_unlock(&lock);
}

const char *kb_resolve_text(const struct kb_resolved *resolved)
{
    if (resolved->error == EAI_SYSTEM) {
        const char *text = strerrordesc_np(resolved->sys_errno);

        return text != NULL ? text : "the resolver failed";
    }
    return gai_strerror(resolved->error);
}

/* --- fork --- */

void kb_resolve_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_resolve_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void kb_resolve_fork_child(void)
{
    /* Helpers, and the threads whose questions wait, are the parent's. */
    queue = NULL;
    num_helpers = 0;
    pthread_mutex_unlock(&lock);
}
