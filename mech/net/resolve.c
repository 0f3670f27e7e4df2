#include "mech/net/resolve.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "mech/net/fds.h"
#include "mech/net/remember.h"

#define MAX_HELPERS 4
#define HELPER_STACK ((size_t)256 * 1024)

#define MAX_REPLY 65535

enum state { QUEUED, RUNNING, FOLLOWING, ANSWERED };

struct kb_resolve {
    struct kb_resolve *next;   /* in `queue`, `asked` or the list of followers */
    struct kb_resolve *leader; /* of who is FOLLOWING: who asks the same */
    struct kb_resolve *followers;
    enum state state; /* guarded by lock, as are the lists */
    bool dropped;     /* nobody waits any more: the helper frees it. Guarded by lock */
    int fd;           /* eventfd; -1: none was needed */
    unsigned flags;
    int type;                  /* of records of DNS; 0: addresses */
    unsigned generation;       /* of what is remembered, when it was asked */
    struct kb_resolved answer; /* the helper's while RUNNING, then the asker's */
    char host[];
};

static int ask_dns(const char *name, int type, uint8_t *reply, int max, int *out_error)
{
    struct __res_state resolver_state = {0};
    int len;

    if (res_ninit(&resolver_state) != 0) {
        *out_error = NO_RECOVERY;
        return -1;
    }
    len = res_nquery(&resolver_state, name, ns_c_in, type, reply, max);
    *out_error = resolver_state.res_h_errno;
    res_nclose(&resolver_state);
    return len;
}

static const struct kb_resolver system_resolver = {.getaddrinfo = getaddrinfo,
                                                   .freeaddrinfo = freeaddrinfo,
                                                   .getnameinfo = getnameinfo,
                                                   .query = ask_dns};
static const struct kb_resolver *resolver = &system_resolver; /* changed by tests, while idle */

/* Guards the queue, the number of helpers, and the state of each question. Held for moments. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kb_resolve *queue; /* QUEUED, the oldest first */
static struct kb_resolve *asked; /* RUNNING */
static unsigned num_helpers;

void kb_resolve_use(const struct kb_resolver *other)
{
    resolver = other != NULL ? other : &system_resolver;
    (void)kb_remember_drop(NULL);
}

unsigned kb_resolve_helpers(void)
{
    unsigned num;

    pthread_mutex_lock(&lock);
    num = num_helpers;
    pthread_mutex_unlock(&lock);
    return num;
}

void kb_resolved_copy(struct kb_resolved *out, const struct kb_resolved *from)
{
    *out = *from;
    (void)kb_dns_ref(out->records);
}

void kb_resolved_wipe(struct kb_resolved *resolved)
{
    kb_dns_put(resolved->records);
    *resolved = (struct kb_resolved){0};
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

static void ask_records(struct kb_resolve *question)
{
    struct kb_resolved *answer = &question->answer;
    uint8_t *reply = malloc(MAX_REPLY);
    int len = -1;

    answer->error = TRY_AGAIN;
    if (reply != NULL && resolver->query != NULL) {
        len = resolver->query(question->host, question->type, reply, MAX_REPLY, &answer->error);
    }
    if (len >= 0) {
        kb_bytes bytes = kb_bytes_of(reply, len < MAX_REPLY ? (size_t)len : MAX_REPLY);

        answer->error =
            kb_dns_parse(bytes, (enum kb_dns_type)question->type, &answer->records) == KB_OK
                ? 0
                : NO_RECOVERY;
    }
    free(reply);
}

/* A whole name ends in a dot, which /etc/hosts does not have. */
static int ask_system(const struct kb_resolve *question, const struct addrinfo *hints,
                      struct addrinfo **out)
{
    size_t len = strlen(question->host);
    char whole[256];

    if ((question->flags & KB_RESOLVE_ABSOLUTE) != 0 && len + 2 <= sizeof(whole)) {
        memcpy(whole, question->host, len);
        memcpy(whole + len, ".", 2);
        if (resolver->getaddrinfo(whole, NULL, hints, out) == 0) {
            return 0;
        }
    }
    return resolver->getaddrinfo(question->host, NULL, hints, out);
}

static void ask_addresses(struct kb_resolve *question)
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
    answer->error = ask_system(question, &hints, &list);
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

static struct kb_asked what_of(const struct kb_resolve *question)
{
    return (struct kb_asked){question->host, question->flags, question->type};
}

static void ask(struct kb_resolve *question)
{
    struct kb_asked what = what_of(question);

    if (question->type != 0) {
        ask_records(question);
    } else {
        ask_addresses(question);
    }
    if (kb_remember_worth(&what)) {
        kb_remember_keep(&what, &question->answer, question->generation, kb_now_ms());
    }
}

/* --- helpers --- */

static void release(struct kb_resolve *question)
{
    kb_fds_close(question->fd);
    kb_resolved_wipe(&question->answer);
    free(question);
}

static void take_out(struct kb_resolve **link, const struct kb_resolve *question)
{
    while (*link != NULL && *link != question) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = question->next;
    }
}

static void answered(struct kb_resolve *question)
{
    question->state = ANSWERED;
    /* Under the lock: after it the asker may close the descriptor. It cannot block. */
    (void)eventfd_write(question->fd, 1);
}

static void answer_followers(struct kb_resolve *leader)
{
    struct kb_resolve *follower;

    while ((follower = leader->followers) != NULL) {
        leader->followers = follower->next;
        follower->leader = NULL;
        kb_resolved_copy(&follower->answer, &leader->answer);
        answered(follower);
    }
}

/* Answers questions until none waits. Touches nothing of the asker's: the asker may be gone. */
static void *help(void *unused)
{
    struct kb_resolve *question;

    pthread_mutex_lock(&lock);
    while ((question = queue) != NULL) {
        queue = question->next;
        question->next = asked;
        asked = question;
        question->state = RUNNING;
        pthread_mutex_unlock(&lock);
        ask(question);
        pthread_mutex_lock(&lock);
        take_out(&asked, question);
        answer_followers(question);
        if (question->dropped) {
            release(question);
        } else {
            answered(question);
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

static struct kb_resolve *same_in(struct kb_resolve *list, const struct kb_resolve *question)
{
    while (list != NULL && !(list->type == question->type && list->flags == question->flags &&
                             strcmp(list->host, question->host) == 0)) {
        list = list->next;
    }
    return list;
}

/* Waits for the answer to the same question, if somebody asks it. */
static bool follow(struct kb_resolve *question)
{
    struct kb_resolve *leader = same_in(asked, question);

    if (leader == NULL) {
        leader = same_in(queue, question);
    }
    if (leader == NULL) {
        return false;
    }
    question->state = FOLLOWING;
    question->leader = leader;
    question->next = leader->followers;
    leader->followers = question;
    return true;
}

/* Puts a question into the queue, with a helper to come for it. False: there is none and none can
 * be started; the question is not in the queue then. */
static bool hand_over(struct kb_resolve *question)
{
    struct kb_resolve **link = &queue;
    bool handed = true;

    pthread_mutex_lock(&lock);
    if (follow(question)) {
        pthread_mutex_unlock(&lock);
        return true;
    }
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = question;
    if (num_helpers < MAX_HELPERS) {
        /* The new thread waits for the lock, so it sees itself counted. */
        if (start_helper() == 0) {
            num_helpers++;
        } else if (num_helpers == 0) {
            take_out(&queue, question);
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

/* What is known without asking anybody. */
static bool recall(struct kb_resolve *question)
{
    struct kb_asked what = what_of(question);
    bool known = question->type == 0 && answer_at_once(question);

    if (!known && kb_remember_worth(&what)) {
        known = kb_remember_find(&what, kb_now_ms(), &question->answer);
        question->generation = kb_remember_generation();
    }
    return known;
}

static enum kb_status start(const char *host, unsigned flags, int type, struct kb_resolve **out)
{
    size_t size = strlen(host) + 1;
    struct kb_resolve *question = calloc(1, sizeof(*question) + size);

    *out = question;
    if (question == NULL) {
        return KB_NO_MEMORY;
    }
    memcpy(question->host, host, size);
    question->flags = flags;
    question->type = type;
    question->fd = -1;
    if (recall(question)) {
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

enum kb_status kb_resolve_start(const char *host, unsigned flags, struct kb_resolve **out)
{
    return start(host, flags, 0, out);
}

enum kb_status kb_resolve_records(const char *name, enum kb_dns_type type, struct kb_resolve **out)
{
    return start(name, KB_RESOLVE_ABSOLUTE, (int)type, out);
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
    if (question->state == QUEUED && question->followers == NULL) {
        take_out(&queue, question);
    } else if (question->state == FOLLOWING) {
        take_out(&question->leader->followers, question);
    }
    if (question->state == RUNNING || question->followers != NULL) {
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

const char *kb_resolve_records_text(const struct kb_resolved *resolved)
{
    switch (resolved->error) {
    case 0:
        return resolved->records->num > 0 ? "found" : "no usable record";
    case HOST_NOT_FOUND:
        return "no such name";
    case NO_DATA:
        return "no such record";
    case TRY_AGAIN:
        return "no usable answer from the DNS server";
    default:
        return "the DNS server refused, or answered nonsense";
    }
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
    queue = asked = NULL;
    num_helpers = 0;
    pthread_mutex_unlock(&lock);
}
