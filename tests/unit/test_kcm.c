/* mech/store/kcm_format: the messages of MIT's programs, Heimdal's kcm and sssd's, recorded; and
 * KCM: caches without memory, against a small daemon in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mech/report/listener.h"
#include "mech/store/cc_kcm.h"
#include "tests/support/oom.h"
#include "tests/support/wire.h"

#define NUM(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_ALLOCATIONS 1000

static struct kb_principal *principal(const char *text)
{
    struct kb_principal *made;

    assert_int_equal(kb_principal_parse(kb_str(text), KB_NT_PRINCIPAL, KB_NONE, &made), KB_OK);
    return made;
}

/* --- recorded messages --- */

struct message {
    kb_bytes request, answer; /* with their heads */
    unsigned op;
};

static struct message message_of(struct wire *wire, size_t i)
{
    struct message message = {.request = wire_hex(wire, "messages[%zu].request", i),
                              .answer = wire_hex(wire, "messages[%zu].answer", i)};

    assert_true(message.request.len >= 8 && message.answer.len >= KB_KCM_HEAD);
    message.op = (unsigned)message.request.ptr[6] << 8 | message.request.ptr[7];
    return message;
}

static enum kb_status read_answer(kb_bytes bytes, struct kb_kcm_answer *out)
{
    size_t rest;

    if (bytes.len < KB_KCM_HEAD) {
        return KB_CUT_SHORT;
    }
    if (kb_kcm_length(bytes.ptr, &rest) != KB_OK) {
        return KB_TOO_BIG;
    }
    return rest == bytes.len - KB_KCM_HEAD
               ? kb_kcm_answer(bytes.ptr,
                               kb_bytes_of(bytes.ptr + KB_KCM_HEAD, bytes.len - KB_KCM_HEAD), out)
               : KB_CUT_SHORT;
}

/* What comes behind a request's name, or its opcode where it has none. */
static kb_bytes rest_of(const struct message *message, bool named)
{
    kb_bytes rest = kb_bytes_of(message->request.ptr + 8, message->request.len - 8);
    const uint8_t *end = named ? memchr(rest.ptr, '\0', rest.len) : NULL;
    size_t skip = end != NULL ? (size_t)(end - rest.ptr) + 1 : 0;

    return kb_bytes_of(rest.ptr + skip, rest.len - skip);
}

/* REPLACE, made of the parts that were recorded: seconds, principal, tickets. */
static void put_replace(struct kb_buf *out, kb_bytes rest)
{
    struct kb_kcm_pile pile;
    struct kb_principal *owner;
    struct kb_reader r = kb_reader(rest);
    struct kb_buf name;
    kb_bytes tickets;

    kb_kcm_put_seconds(out, (int64_t)(int32_t)kb_get_u32be(&r) * 1000000);
    assert_int_equal(kb_kcm_get_principal(r.rest, &owner), KB_OK);
    kb_cc_put_principal(out, owner);
    kb_buf_init(&name, 1000);
    kb_cc_put_principal(&name, owner);
    (void)kb_get_bytes(&r, name.len);
    tickets = r.rest;
    kb_kcm_pile_init(&pile);
    assert_int_equal(kb_kcm_pile_list(&pile, tickets), KB_OK);
    assert_true(pile.num > 0);
    kb_kcm_put(out, (uint32_t)pile.num);
    for (size_t i = 0; i < pile.num; i++) {
        kb_kcm_put(out, (uint32_t)pile.items[i].len);
        kb_buf_add(out, kb_bytes_of(pile.bytes.data + pile.items[i].at, pile.items[i].len));
    }
    kb_kcm_pile_wipe(&pile);
    kb_buf_wipe(&name);
    kb_principal_free(owner);
}

/* Each of MIT's requests that we make too, made again. */
static void check_request(const struct message *message)
{
    bool named =
        message->op != KB_KCM_GET_DEFAULT_CACHE && message->op != KB_KCM_GET_CACHE_UUID_LIST;
    kb_bytes rest = rest_of(message, named);
    struct kb_principal *owner = NULL;
    struct kb_reader r = kb_reader(rest);
    struct kb_buf out;

    if (message->op == 7) { /* RETRIEVE */
        return;
    }
    kb_buf_init(&out, 1 << 20);
    kb_kcm_start(&out, (enum kb_kcm_op)message->op,
                 named ? (const char *)message->request.ptr + 8 : NULL);
    switch (message->op) {
    case KB_KCM_INITIALIZE:
        assert_int_equal(kb_kcm_get_principal(rest, &owner), KB_OK);
        kb_cc_put_principal(&out, owner);
        break;
    case KB_KCM_SET_KDC_OFFSET:
        kb_kcm_put_seconds(&out, (int64_t)(int32_t)kb_get_u32be(&r) * 1000000);
        break;
    case KB_KCM_REPLACE:
        put_replace(&out, rest);
        break;
    case KB_KCM_STORE:
    case KB_KCM_GET_CRED_BY_UUID:
        kb_buf_add(&out, rest);
        break;
    default:
        assert_int_equal(rest.len, 0);
        break;
    }
    kb_kcm_finish(&out);
    assert_true(kb_equal(kb_buf_bytes(&out), message->request));
    kb_buf_wipe(&out);
    kb_principal_free(owner);
}

/* What each body holds is read. */
static enum kb_status read_body(unsigned op, kb_bytes body, struct kb_kcm_pile *pile)
{
    char name[KB_KCM_NAME_MAX];
    struct kb_principal *owner = NULL;
    int32_t seconds;
    size_t num;
    enum kb_status st = KB_OK;

    switch (op) {
    case KB_KCM_GET_DEFAULT_CACHE:
        return kb_kcm_get_name(body, name);
    case KB_KCM_GET_PRINCIPAL:
        st = kb_kcm_get_principal(body, &owner);
        kb_principal_free(owner);
        return st;
    case KB_KCM_GET_KDC_OFFSET:
        return kb_kcm_get_seconds(body, &seconds);
    case KB_KCM_GET_CRED_UUID_LIST:
        return kb_kcm_get_uuids(body, &num);
    case KB_KCM_GET_CRED_BY_UUID:
        return kb_kcm_pile_add(pile, body);
    case KB_KCM_GET_CRED_LIST:
        kb_kcm_pile_wipe(pile);
        kb_kcm_pile_init(pile);
        return kb_kcm_pile_list(pile, body);
    default:
        return KB_OK;
    }
}

static void the_recordings(void **state)
{
    static const char *const names[] = {"kcm/heimdal.json", "kcm/sssd.json"};
    struct kb_principal *alice = principal("alice@MIT.TEST");
    struct kb_principal *server = principal("HTTP/localhost@MIT.TEST");
    static const int32_t none = 0;

    (void)state;
    for (size_t n = 0; n < NUM(names); n++) {
        struct wire *wire = wire_load(names[n]);
        struct kb_cc_contents *contents;
        struct kb_kcm_pile pile;
        bool unknown = false, absent = false;

        kb_kcm_pile_init(&pile);
        for (size_t i = 0; i < wire_num(wire, "messages"); i++) {
            struct message message = message_of(wire, i);
            struct kb_kcm_answer answer;

            check_request(&message);
            assert_int_equal(read_answer(message.answer, &answer), KB_OK);
            if (answer.code == 0) {
                assert_int_equal(read_body(message.op, answer.body, &pile), KB_OK);
            } else {
                assert_int_equal(answer.body.len, 0);
                unknown = unknown || kb_kcm_is_unknown(answer.code);
                absent = absent || kb_kcm_is_absent(answer.code);
                assert_true(kb_kcm_is_unknown(answer.code) != kb_kcm_is_absent(answer.code));
            }
        }
        assert_true(unknown && absent);
        /* kinit's two entries of configuration, its TGT, and kvno's ticket. */
        assert_int_equal(pile.num, 4);
        assert_int_equal(kb_kcm_contents(&pile, alice, &none, &contents), KB_OK);
        assert_true(contents->has_offset && contents->offset == 0);
        assert_true(kb_cc_endtime(contents, server) > 0);
        kb_cc_contents_put(contents);
        kb_kcm_pile_wipe(&pile);
        wire_free(wire);
    }
    kb_principal_free(alice);
    kb_principal_free(server);
}

/* Cut at every byte, and with every bit wrong, an answer is read or refused, and nothing else. */
static void damaged(void **state)
{
    struct wire *wire = wire_load("kcm/sssd.json");

    (void)state;
    for (size_t i = 0; i < wire_num(wire, "messages"); i++) {
        struct message message = message_of(wire, i);
        uint8_t *bytes = malloc(message.answer.len);
        struct kb_kcm_answer answer;
        struct kb_kcm_pile pile;

        for (size_t len = 0; len < message.answer.len; len++) {
            assert_int_not_equal(read_answer(kb_bytes_of(message.answer.ptr, len), &answer), KB_OK);
        }
        for (size_t bit = 0; bit < message.answer.len * 8; bit += wire_stride()) {
            memcpy(bytes, message.answer.ptr, message.answer.len);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            kb_kcm_pile_init(&pile);
            if (read_answer(kb_bytes_of(bytes, message.answer.len), &answer) == KB_OK) {
                (void)!read_body(message.op, answer.body, &pile);
            }
            kb_kcm_pile_wipe(&pile);
        }
        free(bytes);
    }
    wire_free(wire);
}

static void bounds(void **state)
{
    static const uint8_t most[KB_KCM_HEAD] = {0x00, 0xa0}, more[KB_KCM_HEAD] = {0x00, 0xa0, 0, 1};
    char name[KB_KCM_NAME_MAX], long_name[KB_KCM_NAME_MAX + 1], buf[40];
    struct kb_principal *owner;
    size_t len;

    (void)state;
    assert_int_equal(kb_kcm_length(most, &len), KB_OK);
    assert_int_equal(len, KB_KCM_ANSWER_MAX);
    assert_int_equal(kb_kcm_length(more, &len), KB_TOO_BIG);
    memset(long_name, 'x', sizeof(long_name));
    long_name[KB_KCM_NAME_MAX] = '\0';
    assert_int_equal(kb_kcm_get_name(kb_bytes_of(long_name, sizeof(long_name)), name),
                     KB_MALFORMED);
    long_name[KB_KCM_NAME_MAX - 1] = '\0';
    assert_int_equal(kb_kcm_get_name(kb_bytes_of(long_name, sizeof(long_name)), name), KB_OK);
    assert_int_equal(kb_kcm_get_name(KB_NONE, name), KB_MALFORMED);
    assert_int_equal(kb_kcm_get_principal(KB_NONE, &owner), KB_NOT_FOUND);
    assert_string_equal(kb_kcm_code_text(KB_KCM_PERM, buf), "not permitted");
    assert_string_equal(kb_kcm_code_text(-5, buf), "error -5");
}

/* Whole seconds, the nearest. */
static void offsets(void **state)
{
    static const struct {
        int64_t offset;
        int32_t seconds;
    } rows[] = {{0, 0},        {499999, 0},        {500000, 1},    {-499999, 0},
                {-500000, -1}, {7200000000, 7200}, {-1400000, -1}, {-1600000, -2}};

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_buf buf;
        int32_t seconds;

        kb_buf_init(&buf, 8);
        kb_kcm_put_seconds(&buf, rows[i].offset);
        assert_int_equal(kb_kcm_get_seconds(kb_buf_bytes(&buf), &seconds), KB_OK);
        assert_int_equal(seconds, rows[i].seconds);
        kb_buf_wipe(&buf);
    }
}

/* --- lists of tickets --- */

static struct kb_kcm_set set_of(const char *letters)
{
    struct kb_kcm_set set = {.num = strlen(letters), .known = true};

    set.uuids = malloc(set.num * KB_KCM_UUID + 1);
    for (size_t i = 0; i < set.num; i++) {
        memset(set.uuids + i * KB_KCM_UUID, letters[i], KB_KCM_UUID);
    }
    return set;
}

static void lists(void **state)
{
    static const struct {
        const char *before, *now, *more; /* NULL: something is gone */
    } rows[] = {{"", "", ""},       {"", "ab", "ab"},     {"ab", "ab", ""},  {"ab", "ba", ""},
                {"ab", "cab", "c"}, {"ba", "xayb", "xy"}, {"ab", "b", NULL}, {"ab", "", NULL},
                {"a", "bb", NULL},  {"ab", "axb", "x"},   {"ab", "xy", NULL}};

    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        struct kb_kcm_set before = set_of(rows[i].before), now = set_of(rows[i].now), more;

        if (rows[i].more == NULL) {
            assert_int_equal(kb_kcm_set_more(&before, &now, &more), KB_NOT_FOUND);
        } else {
            struct kb_kcm_set expected = set_of(rows[i].more);

            assert_int_equal(kb_kcm_set_more(&before, &now, &more), KB_OK);
            assert_true(kb_kcm_set_equal(&more, &expected));
            kb_kcm_set_free(&expected);
        }
        assert_int_equal(kb_kcm_set_equal(&before, &now), strcmp(rows[i].before, rows[i].now) == 0);
        now.known = false;
        assert_false(kb_kcm_set_equal(&now, &now));
        kb_kcm_set_free(&before);
        kb_kcm_set_free(&now);
        kb_kcm_set_free(&more);
    }
}

/* Two threads ask at once, and who heard first that nothing changed comes last: what the other
 * found goes on belonging to the other's stamp. */
static void remembered_late(void **state)
{
    struct kb_kcm_set first = set_of("a"), second = set_of("ab"), late = set_of("a"), known;
    struct kb_kcm_set expected = set_of("ab");
    struct kb_cc_stamp before, stamp;
    struct kb_error err = {0};
    struct kb_ccache *cache;

    (void)state;
    assert_int_equal(kb_ccache_new("KCM:1000", &cache, &err), KB_OK);
    before = kb_kcm_remember(cache, "1000", &first, NULL);
    stamp = kb_kcm_remember(cache, "1000", &second, NULL);
    (void)kb_kcm_remember(cache, "1000", &late, &before);
    assert_true(kb_kcm_known(cache, &stamp, &known));
    assert_true(kb_kcm_set_equal(&known, &expected));
    kb_kcm_set_free(&known);
    kb_kcm_set_free(&expected);
    kb_ccache_put(cache);
}

/* --- without memory --- */

/* A daemon with one cache, that can what sssd's can; it never has more than 255 tickets. */
struct daemon {
    bool there;
    uint8_t owner[200];
    size_t owner_len;
    struct {
        uint8_t bytes[2000];
        size_t len, number;
    } tickets[16];
    size_t num, last;
};

static void read_exactly(int fd, uint8_t *to, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = read(fd, to + at, len - at);

        if (got <= 0) {
            _exit(got < 0);
        }
        at += (size_t)got;
    }
}

static void put_answer(int fd, int32_t code, const uint8_t *body, size_t len)
{
    uint8_t answer[20000] = {0};

    kb_put_u32be(answer, (uint32_t)(len + 4));
    kb_put_u32be(answer + 8, (uint32_t)code);
    if (len > 0) {
        memcpy(answer + 12, body, len);
    }
    if (write(fd, answer, len + 12) != (ssize_t)(len + 12)) {
        _exit(1);
    }
}

static size_t put_list(const struct daemon *daemon, uint8_t *out)
{
    size_t len = 4;

    kb_put_u32be(out, (uint32_t)daemon->num);
    for (size_t i = 0; i < daemon->num; i++) {
        kb_put_u32be(out + len, (uint32_t)daemon->tickets[i].len);
        memcpy(out + len + 4, daemon->tickets[i].bytes, daemon->tickets[i].len);
        len += 4 + daemon->tickets[i].len;
    }
    return len;
}

static void answer_one(struct daemon *daemon, int fd, unsigned op, const uint8_t *rest, size_t len)
{
    uint8_t out[20000] = {0};
    size_t out_len = 0;
    int32_t code = daemon->there || op == KB_KCM_INITIALIZE ? 0 : KB_KCM_NOFILE;

    switch (code == 0 ? op : 0) {
    case KB_KCM_INITIALIZE:
        daemon->there = true;
        daemon->num = 0;
        memcpy(daemon->owner, rest, len);
        daemon->owner_len = len;
        break;
    case KB_KCM_GET_PRINCIPAL:
        memcpy(out, daemon->owner, daemon->owner_len);
        out_len = daemon->owner_len;
        break;
    case KB_KCM_STORE:
        if (daemon->num == NUM(daemon->tickets)) {
            code = KB_KCM_INTERNAL;
            break;
        }
        memcpy(daemon->tickets[daemon->num].bytes, rest, len);
        daemon->tickets[daemon->num].len = len;
        daemon->tickets[daemon->num++].number = ++daemon->last;
        break;
    case KB_KCM_GET_CRED_UUID_LIST:
        for (size_t i = 0; i < daemon->num; i++) {
            kb_put_u64be(out + i * KB_KCM_UUID, daemon->tickets[i].number);
        }
        out_len = daemon->num * KB_KCM_UUID;
        break;
    case KB_KCM_GET_CRED_LIST:
        out_len = put_list(daemon, out);
        break;
    case KB_KCM_GET_CRED_BY_UUID:
        code = KB_KCM_END;
        for (size_t i = 0; i < daemon->num; i++) {
            if (rest[7] == daemon->tickets[i].number) {
                memcpy(out, daemon->tickets[i].bytes, daemon->tickets[i].len);
                out_len = daemon->tickets[i].len;
                code = 0;
            }
        }
        break;
    case KB_KCM_DESTROY:
        daemon->there = false;
        break;
    case KB_KCM_GET_KDC_OFFSET:
        out_len = 4;
        break;
    case KB_KCM_SET_KDC_OFFSET:
    case 0:
        break;
    default:
        code = KB_KCM_INTERNAL;
        break;
    }
    put_answer(fd, code, out, out_len);
}

static void serve(int fd)
{
    static struct daemon daemon;
    static uint8_t request[20000];

    for (;;) {
        int client = accept(fd, NULL, NULL);
        uint8_t head[4];
        ssize_t got;

        while ((got = recv(client, head, 4, MSG_WAITALL)) == 4) {
            size_t len = (size_t)head[2] << 8 | head[3], name;

            read_exactly(client, request, len);
            name = strnlen((char *)request + 4, len - 4) + 5;
            if (request[3] == KB_KCM_STORE && strcmp((char *)request + 4, "1000:silent") == 0) {
                continue;
            }
            answer_one(&daemon, client, (unsigned)request[2] << 8 | request[3], request + name,
                       len - name);
        }
        close(client);
    }
}

struct fixture {
    char dir[64], path[100];
    pid_t pid;
    struct kb_wait wait;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(f->dir, sizeof(f->dir), "/tmp/test_kcm.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
    memcpy(address.sun_path, f->path, strlen(f->path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 10), 0);
    f->pid = fork();
    if (f->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd);
    }
    close(fd);
    kb_wait_start(&f->wait, 10000, true);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    kill(f->pid, SIGKILL);
    waitpid(f->pid, NULL, 0);
    kb_wait_stop(&f->wait);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static bool is_without_memory(enum kb_status st, const struct kb_error *err)
{
    return st == KB_NO_MEMORY || (st == KB_ERROR && err->code == KB_E_NO_MEMORY);
}

/* A cache of the daemon's, with the ticket in it, read, and a ticket more. */
static enum kb_status use(struct fixture *f, const struct kb_cc_store *what,
                          const struct kb_principal *other, struct kb_error *err)
{
    struct kb_cc_contents *contents = NULL, *again = NULL;
    struct kb_cc_store more = *what;
    struct kb_cc_stamp stamp = {{0}};
    struct kb_ccache *cache;
    enum kb_status st = kb_ccache_new("KCM:1000", &cache, err);

    if (st == KB_OK && !kb_ccache_set_kcm_socket(cache, f->path)) {
        st = KB_NO_MEMORY;
    }
    if (st == KB_OK) {
        st = kb_ccache_store(cache, what, &f->wait, &stamp, err);
    }
    if (st == KB_OK) {
        st = kb_ccache_load(cache, &f->wait, &contents, err);
    }
    if (st == KB_OK) {
        more.fresh = false;
        more.server = other;
        more.known = contents;
        more.known_stamp = *kb_cc_stamp_of(contents);
        st = kb_ccache_store(cache, &more, &f->wait, &stamp, err);
    }
    if (st == KB_OK) {
        st = kb_ccache_reload(cache, contents, &f->wait, &again, err);
    }
    kb_cc_contents_put(contents);
    kb_cc_contents_put(again);
    kb_ccache_put(cache);
    return st;
}

static void without_memory(void **state)
{
    struct fixture *f = *state;
    kb_bytes recorded = wire_file("tests/wire/files/mit-v3.ccache");
    static const int32_t etypes[] = {17, 18, 19, 20};
    struct kb_principal *tgs = principal("krbtgt/MIT.TEST@MIT.TEST"), *other = principal("a/b@R");
    struct kb_cc_contents *contents = kb_cc_contents_new(recorded.len);
    struct kb_cc_wanted wanted = {
        .server = tgs, .etypes = etypes, .num_etypes = 4, .now = 1795462400};
    struct kb_cc_store what = {.server = tgs, .fresh = true, .now = 1795462400};
    struct kb_credential *tgt;
    struct kb_ccache *cache;
    struct kb_error err = {0};
    enum kb_status st = KB_ERROR;
    size_t removed, failed = 0;

    memcpy(contents->image, recorded.ptr, recorded.len);
    assert_int_equal(kb_cc_parse(contents), KB_OK);
    assert_int_equal(kb_cc_find(contents, &wanted, &tgt, NULL), KB_OK);
    what.owner = contents->owner;
    what.credential = tgt;
    assert_int_equal(kb_ccache_new("KCM:1000", &cache, &err), KB_OK);
    assert_true(kb_ccache_set_kcm_socket(cache, f->path));
    for (long num = 0; st != KB_OK; num++) {
        assert_true(num < MAX_ALLOCATIONS);
        err = (struct kb_error){0};
        oom_fail_after(num);
        st = use(f, &what, other, &err);
        oom_fail_after(-1);
        assert_true(st == KB_OK || is_without_memory(st, &err));
        failed += st != KB_OK;
        err = (struct kb_error){0};
        assert_int_equal(kb_ccache_remove(cache, what.owner, NULL, &f->wait, &removed, &err),
                         KB_OK);
    }
    assert_int_equal(removed, 2);
    assert_true(failed > 20);
    kb_ccache_put(cache);
    kb_credential_free(tgt);
    kb_cc_contents_put(contents);
    kb_principal_free(tgs);
    kb_principal_free(other);
    free((void *)(uintptr_t)recorded.ptr);
}

/* One of alice's, and names that it can be filed under. */
struct ticket {
    struct kb_principal *alice, *tgs, *other;
    struct kb_credential *tgt;
};

static struct ticket ticket_of_alice(void)
{
    struct ticket t = {principal("alice@R"), principal("krbtgt/R@R"), principal("a/b@R"), NULL};
    struct kb_key *key;
    struct kb_credential parts = {.client = t.alice,
                                  .server = t.tgs,
                                  .ticket = KB_LIT("ticket"),
                                  .authtime = 1000,
                                  .starttime = 1000,
                                  .endtime = 2000};

    assert_int_equal(kb_key_new(18, KB_LIT("01234567890123456789012345678901"), &key), KB_OK);
    parts.session_key = key;
    t.tgt = kb_credential_new(&parts);
    kb_key_free(key);
    return t;
}

static void ticket_wipe(struct ticket *t)
{
    kb_credential_free(t->tgt);
    kb_principal_free(t->alice);
    kb_principal_free(t->tgs);
    kb_principal_free(t->other);
}

/* What was read is known until somebody writes: the same contents, or grown ones, with a stamp that
 * looking at it gives for a second. */
static void stamps(void **state)
{
    struct fixture *f = *state;
    struct ticket t = ticket_of_alice();
    struct kb_cc_store what = {
        .owner = t.alice, .server = t.tgs, .credential = t.tgt, .fresh = true, .now = 1500};
    struct kb_cc_contents *first, *second;
    struct kb_cc_stamp stamp, look;
    struct kb_ccache *cache, *of_others;
    struct kb_error err = {0};

    assert_int_equal(kb_ccache_new("KCM:1000", &cache, &err), KB_OK);
    assert_int_equal(kb_ccache_new("KCM:1000", &of_others, &err), KB_OK);
    assert_true(kb_ccache_set_kcm_socket(cache, f->path));
    assert_false(kb_ccache_same(cache, of_others));
    assert_true(kb_ccache_set_kcm_socket(of_others, f->path));
    assert_true(kb_ccache_same(cache, of_others));
    assert_int_equal(kb_ccache_load(cache, &f->wait, &first, &err), KB_NOT_FOUND);
    look = kb_ccache_look(cache);
    assert_int_equal(look.words[0], 0);
    assert_int_equal(kb_ccache_store(cache, &what, &f->wait, &stamp, &err), KB_OK);
    assert_int_equal(stamp.words[0], 0);
    look = kb_ccache_look(cache);
    assert_int_equal(look.words[0], KB_CC_STAMP_STALE);
    assert_int_equal(kb_ccache_load(cache, &f->wait, &first, &err), KB_OK);
    assert_int_equal(kb_ccache_reload(cache, first, &f->wait, &second, &err), KB_OK);
    assert_ptr_equal(first, second);
    kb_cc_contents_put(second);
    /* Our own ticket: nothing has to be read. */
    what = (struct kb_cc_store){.owner = t.alice,
                                .server = t.other,
                                .credential = t.tgt,
                                .now = 1500,
                                .known = first,
                                .known_stamp = *kb_cc_stamp_of(first)};
    assert_int_equal(kb_ccache_store(cache, &what, &f->wait, &stamp, &err), KB_OK);
    assert_int_equal(stamp.words[0], 1);
    assert_int_equal(kb_cc_contents_add(first, &what, &stamp, &second), KB_OK);
    kb_cc_contents_put(first);
    assert_int_equal(kb_ccache_reload(cache, second, &f->wait, &first, &err), KB_OK);
    assert_ptr_equal(first, second);
    kb_cc_contents_put(second);
    /* Somebody else's: the cache is another one. */
    what.known = NULL;
    assert_int_equal(kb_ccache_store(of_others, &what, &f->wait, &stamp, &err), KB_OK);
    assert_int_equal(stamp.words[0], 0);
    what.known = first;
    what.known_stamp = *kb_cc_stamp_of(first);
    assert_int_equal(kb_ccache_store(cache, &what, &f->wait, &stamp, &err), KB_OK);
    assert_int_equal(stamp.words[0], 0);
    kb_cc_contents_put(first);
    kb_ccache_put(cache);
    kb_ccache_put(of_others);
    ticket_wipe(&t);
}

/* --- threads --- */

#define THREADS 6
#define ROUNDS 20

struct thread {
    pthread_t id;
    struct kb_ccache *cache;
    const struct kb_cc_store *what;
    unsigned failed;
};

/* Looks, reads on, and puts a ticket in now and then. */
static void *run(void *arg)
{
    struct thread *thread = arg;
    struct kb_cc_contents *known = NULL;
    struct kb_wait wait;

    kb_wait_start(&wait, 60000, true);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct kb_cc_contents *contents = NULL;
        struct kb_cc_store what = *thread->what;
        struct kb_cc_stamp stamp = kb_ccache_look(thread->cache);
        struct kb_error err = {0};

        if (kb_ccache_reload(thread->cache, known, &wait, &contents, &err) != KB_OK) {
            thread->failed++;
            fprintf(stderr, "reading: %s\n", err.text);
            continue;
        }
        kb_cc_contents_put(known);
        known = contents;
        if (i % (ROUNDS / 2) == 1) {
            what.known = known;
            what.known_stamp = *kb_cc_stamp_of(known);
            thread->failed += kb_ccache_store(thread->cache, &what, &wait, &stamp, &err) != KB_OK;
        }
    }
    thread->failed += known == NULL || known->num == 0;
    kb_cc_contents_put(known);
    kb_wait_stop(&wait);
    return NULL;
}

static void threads(void **state)
{
    struct fixture *f = *state;
    struct ticket t = ticket_of_alice();
    struct kb_cc_store first = {
        .owner = t.alice, .server = t.tgs, .credential = t.tgt, .fresh = true, .now = 1500};
    struct kb_cc_store more = {
        .owner = t.alice, .server = t.other, .credential = t.tgt, .now = 1500};
    struct thread all[THREADS] = {{.failed = 0}};
    unsigned failed = 0;
    struct kb_cc_contents *contents;
    struct kb_error err = {0};
    struct kb_cc_stamp stamp;
    struct kb_ccache *cache;

    assert_int_equal(kb_ccache_new("KCM:1000", &cache, &err), KB_OK);
    assert_true(kb_ccache_set_kcm_socket(cache, f->path));
    assert_int_equal(kb_ccache_store(cache, &first, &f->wait, &stamp, &err), KB_OK);
    for (size_t i = 0; i < THREADS; i++) {
        all[i].cache = cache;
        all[i].what = &more;
        assert_int_equal(pthread_create(&all[i].id, NULL, run, &all[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(all[i].id, NULL);
        failed += all[i].failed;
    }
    assert_int_equal(failed, 0);
    assert_int_equal(kb_ccache_load(cache, &f->wait, &contents, &err), KB_OK);
    assert_int_equal(contents->num, 1 + 2 * THREADS);
    kb_cc_contents_put(contents);
    kb_ccache_put(cache);
    ticket_wipe(&t);
}

static int fork_in_callback(void *arg)
{
    (void)arg;
    kb_wait_fork_child(); /* as if this were the child */
    return 0;
}

/* The parent goes on storing its first ticket: its child does not take the new cache away. */
static void a_child(void **state)
{
    struct fixture *f = *state;
    struct ticket t = ticket_of_alice();
    struct kb_cc_store what = {
        .owner = t.alice, .server = t.tgs, .credential = t.tgt, .fresh = true, .now = 1500};
    struct kb_listener *listener =
        kb_listener_new(&(struct kb_callbacks){.wait = fork_in_callback});
    struct kb_principal *owner;
    struct kb_cc_stamp stamp;
    struct kb_ccache *cache;
    struct kb_error err = {0};
    struct kb_wait wait;

    assert_int_equal(kb_ccache_new("KCM:1000:silent", &cache, &err), KB_OK);
    assert_true(kb_ccache_set_kcm_socket(cache, f->path));
    kb_wait_start(&wait, 10000, true);
    kb_wait_listen(&wait, listener);
    assert_int_equal(kb_ccache_store(cache, &what, &wait, &stamp, &err), KB_ERROR);
    assert_int_equal(err.code, KB_E_INTERRUPTED);
    kb_wait_stop(&wait);
    kb_listener_put(listener);
    kb_wait_start(&wait, 10000, true);
    assert_int_equal(kb_ccache_owner(cache, &wait, &owner, &err), KB_OK);
    kb_wait_stop(&wait);
    kb_principal_free(owner);
    kb_ccache_put(cache);
    ticket_wipe(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recordings),
        cmocka_unit_test(damaged),
        cmocka_unit_test(bounds),
        cmocka_unit_test(offsets),
        cmocka_unit_test(lists),
        cmocka_unit_test(remembered_late),
        cmocka_unit_test_setup_teardown(without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stamps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_child, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
