#include "mech/login/discover.h"

#include <stdio.h>
#include <stdlib.h>

#include "mech/net/remember.h"
#include "mech/options/kdc.h"
#include "mech/options/text.h"

#define NUM_QUESTIONS 3
#define MAX_CANDIDATES ((size_t)2 * KB_DNS_MAX_RECORDS)
#define MAX_REALM 230 /* leaves room for the labels in front */
#define PATIENCE_MS                                                                                \
    1000 /* with the rest, once there are records: some servers drop URI questions */
#define NUM_TRANSPORTS 3

enum { BY_UDP = 1, BY_TCP = 2, BY_HTTPS = 4 };

/* One question, and what came of it. */
struct question {
    enum kb_dns_type type;
    unsigned transport; /* of SRV records */
    struct kb_resolve *asked;
    const struct kb_resolved *answer; /* NULL: none yet */
    char name[300];
};

/* One place that was found. */
struct candidate {
    kb_bytes host; /* of BY_HTTPS the whole URL; lies in an answer */
    uint16_t port;
    unsigned transports;
    struct kb_dns_rank rank;
};

struct search {
    const struct kb_discovery *what;
    size_t num_questions, num;
    int64_t start_ms, first_ms; /* first_ms: when the first records came; INT64_MAX: none yet */
    struct question questions[NUM_QUESTIONS];
    struct candidate found[MAX_CANDIDATES];
};

/* --- which names are asked for --- */

static bool is_label(kb_bytes label)
{
    for (size_t i = 0; i < label.len; i++) {
        uint8_t c = label.ptr[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_';

        if (!fits) {
            return false;
        }
    }
    return label.len > 0 && label.len <= 63;
}

/* A domain of two labels at least, which is no address. */
static bool is_domain(kb_bytes name)
{
    size_t labels = 0;

    if (name.len > MAX_REALM || kb_host_family(name) != 0) {
        return false;
    }
    while (name.len > 0) {
        const uint8_t *dot = memchr(name.ptr, '.', name.len);
        size_t len = dot != NULL ? (size_t)(dot - name.ptr) : name.len;

        if (!is_label(kb_bytes_of(name.ptr, len)) || (dot != NULL && len + 1 == name.len)) {
            return false;
        }
        labels++;
        name = dot != NULL ? kb_bytes_of(dot + 1, name.len - len - 1) : KB_NONE;
    }
    return labels >= 2;
}

static enum kb_status put_question(struct search *search, enum kb_dns_type type, unsigned transport,
                                   const char *prefix)
{
    struct question *question = &search->questions[search->num_questions];
    kb_bytes realm = search->what->realm;

    *question = (struct question){.type = type, .transport = transport};
    snprintf(question->name, sizeof(question->name), "%s.%.*s.", prefix, (int)realm.len,
             (const char *)realm.ptr);
    if (kb_resolve_records(question->name, type, &question->asked) != KB_OK) {
        return KB_NO_MEMORY;
    }
    search->num_questions++;
    return KB_OK;
}

static enum kb_status put_questions(struct search *search)
{
    const struct kb_discovery *what = search->what;
    enum kb_status st = KB_OK;

    if (what->uri) {
        st = put_question(search, KB_DNS_URI, 0, "_kerberos");
    }
    if (st == KB_OK && !what->tcp_only) {
        st = put_question(search, KB_DNS_SRV, BY_UDP,
                          what->primary ? "_kerberos-master._udp" : "_kerberos._udp");
    }
    if (st == KB_OK) {
        st = put_question(search, KB_DNS_SRV, BY_TCP,
                          what->primary ? "_kerberos-master._tcp" : "_kerberos._tcp");
    }
    return st;
}

/* --- what a record says --- */

static bool take_prefix(kb_bytes *text, const char *prefix)
{
    size_t len = strlen(prefix);

    if (!kb_equal_nocase(kb_bytes_of(text->ptr, text->len < len ? text->len : len),
                         kb_str(prefix))) {
        return false;
    }
    *text = kb_bytes_of(text->ptr + len, text->len - len);
    return true;
}

/* krb5srv:FLAGS:TRANSPORT:HOST[:PORT], or a URL behind the transport kkdcp. */
static bool read_uri(const struct search *search, const struct kb_dns_record *record,
                     struct candidate *out)
{
    static const struct {
        char name[8];
        unsigned transport;
    } transports[NUM_TRANSPORTS] = {{"udp:", BY_UDP}, {"tcp:", BY_TCP}, {"kkdcp:", BY_HTTPS}};
    struct kb_error ignored = {0};
    struct kb_kdc_word word;
    bool primary = false;
    kb_bytes rest = kb_str(record->text);
    size_t i = 0;

    if (!take_prefix(&rest, "krb5srv:")) {
        return false;
    }
    for (; rest.len > 0 && rest.ptr[0] != ':'; rest = kb_bytes_of(rest.ptr + 1, rest.len - 1)) {
        primary = primary || rest.ptr[0] == 'm' || rest.ptr[0] == 'M';
    }
    if (!take_prefix(&rest, ":") || (search->what->primary && !primary)) {
        return false;
    }
    while (i < NUM_TRANSPORTS && !take_prefix(&rest, transports[i].name)) {
        i++;
    }
    if (i == NUM_TRANSPORTS || kb_kdc_word_parse(rest, &word, &ignored) != KB_OK) {
        return false;
    }
    out->transports = transports[i].transport;
    if (out->transports == BY_HTTPS) {
        out->host = rest;
        return kb_starts_nocase((const char *)rest.ptr, "https://");
    }
    out->host = word.host;
    out->port = word.port != 0 ? word.port : 88;
    return word.kind == KB_KDC_ANY;
}

static bool read_srv(const struct question *question, const struct kb_dns_record *record,
                     struct candidate *out)
{
    out->host = kb_str(record->text);
    out->port = record->port;
    out->transports = question->transport;
    return out->host.len > 0 && out->port != 0;
}

/* A host that is there by UDP and by TCP is one place. */
static void add(struct search *search, const struct candidate *candidate)
{
    for (size_t i = 0; i < search->num; i++) {
        struct candidate *known = &search->found[i];

        if (known->port == candidate->port && kb_equal_nocase(known->host, candidate->host)) {
            known->transports |= candidate->transports;
            if (candidate->rank.priority < known->rank.priority) {
                known->rank.priority = candidate->rank.priority;
                known->rank.weight = candidate->rank.weight;
            }
            return;
        }
    }
    if (search->num < MAX_CANDIDATES) {
        search->found[search->num] = *candidate;
        search->found[search->num].rank.index = search->num;
        search->num++;
    }
}

static void add_records(struct search *search, const struct question *question)
{
    const struct kb_dns_records *records =
        question->answer != NULL ? question->answer->records : NULL;

    for (size_t i = 0; records != NULL && i < records->num; i++) {
        const struct kb_dns_record *record = &records->list[i];
        struct candidate candidate = {
            .rank = {.priority = record->priority, .weight = record->weight}};
        bool usable = question->type == KB_DNS_URI ? read_uri(search, record, &candidate)
                                                   : read_srv(question, record, &candidate);

        if (usable && !(search->what->tcp_only && candidate.transports == BY_UDP)) {
            add(search, &candidate);
        }
    }
}

/* URI records win, where there are any: true. */
static bool find(struct search *search)
{
    search->num = 0;
    for (size_t i = 0; i < search->num_questions; i++) {
        add_records(search, &search->questions[i]);
        if (search->questions[i].type == KB_DNS_URI && search->num > 0) {
            return true;
        }
    }
    return false;
}

/* --- waiting for the answers --- */

static void take_answers(struct search *search)
{
    for (size_t i = 0; i < search->num_questions; i++) {
        struct question *question = &search->questions[i];

        if (question->answer == NULL) {
            question->answer = kb_resolve_result(question->asked);
            if (question->answer != NULL && question->answer->error == 0) {
                kb_wait_progress(search->what->wait);
            }
        }
    }
}

static bool is_enough(struct search *search, int64_t now_ms)
{
    bool won = find(search);
    size_t num_answers = 0;

    for (size_t i = 0; i < search->num_questions; i++) {
        num_answers += search->questions[i].answer != NULL;
    }
    if (search->num > 0 && search->first_ms == INT64_MAX) {
        search->first_ms = now_ms;
    }
    return won || num_answers == search->num_questions ||
           (search->num > 0 && now_ms - search->first_ms >= PATIENCE_MS);
}

static enum kb_status wait_for_answers(struct search *search)
{
    struct kb_wait *wait = search->what->wait;
    int64_t end_ms =
        wait->deadline_ms == INT64_MAX ? search->start_ms + KB_RESOLVE_LIFE_MS : INT64_MAX;
    enum kb_status st = KB_OK;

    for (take_answers(search); st == KB_OK && !is_enough(search, kb_now_ms());
         take_answers(search)) {
        struct pollfd fds[NUM_QUESTIONS + KB_WAIT_FDS];
        int64_t until_ms = search->first_ms != INT64_MAX ? search->first_ms + PATIENCE_MS : end_ms;
        size_t num = 0;
        int ready;

        for (size_t i = 0; i < search->num_questions; i++) {
            if (search->questions[i].answer == NULL) {
                fds[num++] = (struct pollfd){.fd = kb_resolve_fd(search->questions[i].asked),
                                             .events = POLLIN};
            }
        }
        st = kb_wait_poll(wait, fds, num, until_ms, &ready);
        if (st == KB_OK && ready == 0 && search->first_ms == INT64_MAX) {
            st = KB_TIMED_OUT;
        }
    }
    return st;
}

/* --- what is told --- */

/* "URI _kerberos.A.TEST: no such name; SRV _kerberos._udp.A.TEST: ..." */
static const char *tell(const struct search *search, struct kb_arena *arena)
{
    struct kb_buf buf;
    const char *text;

    kb_buf_init(&buf, 1000);
    for (size_t i = 0; i < search->num_questions; i++) {
        const struct question *question = &search->questions[i];
        const struct kb_resolved *answer = question->answer;

        kb_buf_printf(&buf, "%s%s %.*s: %s", i > 0 ? "; " : "",
                      question->type == KB_DNS_URI ? "URI" : "SRV",
                      (int)(strlen(question->name) - 1), question->name,
                      answer != NULL ? kb_resolve_records_text(answer) : "no answer yet");
    }
    text = kb_arena_text(arena, kb_buf_bytes(&buf));
    kb_buf_wipe(&buf);
    return text != NULL ? text : "";
}

static const char *make_word(const struct candidate *candidate, struct kb_arena *arena)
{
    bool brackets = memchr(candidate->host.ptr, ':', candidate->host.len) != NULL;
    const char *word;
    struct kb_buf buf;

    if (candidate->transports == BY_HTTPS) {
        return kb_arena_text(arena, candidate->host);
    }
    kb_buf_init(&buf, KB_DNS_MAX_TEXT + 16);
    kb_buf_add_str(&buf, candidate->transports == BY_TCP   ? "tcp/"
                         : candidate->transports == BY_UDP ? "udp/"
                                                           : "");
    kb_buf_add_str(&buf, brackets ? "[" : "");
    kb_buf_add(&buf, candidate->host);
    kb_buf_printf(&buf, "%s:%u", brackets ? "]" : "", (unsigned)candidate->port);
    word = kb_arena_text(arena, kb_buf_bytes(&buf));
    kb_buf_wipe(&buf);
    return word;
}

static enum kb_status make_words(struct search *search, struct kb_arena *arena,
                                 struct kb_discovered *out, size_t max, size_t *out_num,
                                 struct kb_error *err)
{
    struct kb_dns_rank ranks[MAX_CANDIDATES];

    for (size_t i = 0; i < search->num; i++) {
        ranks[i] = search->found[i].rank;
    }
    kb_dns_order(ranks, search->num, kb_dns_random);
    for (*out_num = 0; *out_num < search->num && *out_num < max; (*out_num)++) {
        const struct kb_dns_rank *rank = &ranks[*out_num];

        out[*out_num] =
            (struct kb_discovered){make_word(&search->found[rank->index], arena), rank->priority};
        if (out[*out_num].word == NULL) {
            return kb_error_set(err, KB_E_NO_MEMORY, "No memory for the list of KDCs");
        }
    }
    return search->num > 0 ? KB_OK : KB_NOT_FOUND;
}

static enum kb_status gave_up(const struct search *search, enum kb_status st, const char *how,
                              struct kb_error *err)
{
    enum kb_error_code code = st == KB_INTERRUPTED ? KB_E_INTERRUPTED : KB_E_TIMEOUT;

    if (st == KB_NO_MEMORY) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for questions to DNS");
    }
    return kb_error_set(err, code, "%s while DNS was asked for the KDCs of %.*s (%s)",
                        st == KB_INTERRUPTED ? kb_wait_cause(search->what->wait) : "Timed out",
                        (int)search->what->realm.len, (const char *)search->what->realm.ptr, how);
}

static enum kb_status run(struct search *search, struct kb_arena *arena, struct kb_discovered *out,
                          size_t max, size_t *out_num, const char **how, struct kb_error *err)
{
    enum kb_status st;

    search->start_ms = kb_now_ms();
    search->first_ms = INT64_MAX;
    st = put_questions(search);
    if (st == KB_OK) {
        st = wait_for_answers(search);
    }
    *how = tell(search, arena);
    if (st == KB_OK) {
        return make_words(search, arena, out, max, out_num, err);
    }
    return gave_up(search, st, *how, err);
}

enum kb_status kb_discover_kdcs(const struct kb_discovery *what, struct kb_arena *arena,
                                struct kb_discovered *out, size_t max, size_t *out_num,
                                const char **how, struct kb_error *err)
{
    struct search *search;
    enum kb_status st;

    *out_num = 0;
    if (!is_domain(what->realm)) {
        *how = "it is no domain of two labels or more";
        return KB_NOT_FOUND;
    }
    *how = "";
    search = calloc(1, sizeof(*search));
    if (search == NULL) {
        return kb_error_set(err, KB_E_NO_MEMORY, "No memory for questions to DNS");
    }
    search->what = what;
    st = run(search, arena, out, max, out_num, how, err);
    for (size_t i = 0; i < search->num_questions; i++) {
        kb_resolve_free(search->questions[i].asked);
    }
    free(search);
    return st;
}

bool kb_discover_forget(kb_bytes realm)
{
    char *name = kb_strdup(realm);
    bool found = name != NULL && kb_remember_drop(name);

    free(name);
    return found;
}

/* --- the realm of a host --- */

/* Asks at one name. KB_TOO_BIG: nobody answers, and would not at the next one. */
static enum kb_status ask_realm(kb_bytes domain, struct kb_wait *wait, char out[256])
{
    const struct kb_resolved *answer;
    struct kb_resolve *asked;
    char name[300];
    enum kb_status st;
    size_t len;

    snprintf(name, sizeof(name), "_kerberos.%.*s.", (int)domain.len, (const char *)domain.ptr);
    st = kb_resolve_records(name, KB_DNS_TXT, &asked);
    if (st != KB_OK) {
        return st;
    }
    st = kb_resolve_wait(asked, wait, &answer);
    if (st == KB_OK) {
        st = KB_NOT_FOUND;
        len = answer->records != NULL && answer->records->num > 0
                  ? strlen(answer->records->list[0].text)
                  : 0;
        /* Some write it as a domain (MIT: "a common error"). */
        len -= len > 0 && answer->records->list[0].text[len - 1] == '.';
        if (len > 0 && len < 256) {
            memcpy(out, answer->records->list[0].text, len);
            out[len] = '\0';
            st = KB_OK;
        } else if (answer->error == TRY_AGAIN) {
            st = KB_TOO_BIG;
        }
    }
    kb_resolve_free(asked);
    return st;
}

enum kb_status kb_discover_realm(kb_bytes host, struct kb_wait *wait, char out[256])
{
    enum kb_status st = KB_NOT_FOUND;

    if (host.len > 0 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    while (st == KB_NOT_FOUND && is_domain(host)) {
        const uint8_t *dot = memchr(host.ptr, '.', host.len);

        st = ask_realm(host, wait, out);
        host = kb_bytes_of(dot + 1, host.len - (size_t)(dot + 1 - host.ptr));
    }
    return st == KB_TOO_BIG ? KB_NOT_FOUND : st;
}
