/* What is learned of KDCs as text (exchange.h: kb_net_learned_export, _import).
 *
 * tcp
 * kdc WORD HOST[PATH] PORT|alive|by|address|srtt_us|rttvar_us|failures|late until (seconds since
 * 1970)
 *
 * with tabs where the bars are. Read strictly: a line that is not like that is passed over. */
#include <stdio.h>
#include <time.h>

#include "mech/net/memory.h"
#include "mech/net/wait.h"

struct export
{
    struct kb_buf *out;
    size_t end; /* of what may be written */
    int64_t now_ms;
    bool alive; /* those that are, which come first */
};

/* To the next power of two of milliseconds, as if it was measured once: times to answer are never
 * twice the same. */
static unsigned about(unsigned us)
{
    unsigned rounded = 1000;

    while (rounded < us && rounded < 32768000) {
        rounded *= 2;
    }
    return us > 0 ? rounded : 0;
}

static void export_kdc(void *ctx, const char *name, const struct kb_known *known)
{
    struct export *export = ctx;
    char address[KB_ADDRESS_TEXT] = "", line[KB_MEMORY_NAME + KB_ADDRESS_TEXT + 100];
    int64_t late_ms = known->late_until_ms - export->now_ms;
    int len;

    if (known->alive != export->alive) {
        return;
    }
    if (known->address.len > 0 && known->address.u.any.sa_family != AF_UNIX) {
        kb_address_text(&known->address, false, address);
    }
    len = snprintf(line, sizeof(line), "kdc %s\t%d\t%s\t%s\t%u\t%u\t%u\t%lld\n", name, known->alive,
                   kb_transport_words[known->transport], address, about(known->srtt_us),
                   about(known->srtt_us) / 2, known->failures,
                   late_ms > 0 ? (long long)time(NULL) + (long long)late_ms / 1000 : 0);
    if (strpbrk(name, "\t\n\r") == NULL && len > 0 && (size_t)len < sizeof(line) &&
        export->out->len + (size_t)len <= export->end) {
        kb_buf_add_str(export->out, line);
    }
}

void kb_net_learned_export(kb_bytes realm, struct kb_buf *out)
{
    size_t room = out->ceiling - out->len;
    struct export export = {.out = out,
                            .end = out->len + (room < KB_NET_LEARNED ? room : KB_NET_LEARNED),
                            .now_ms = kb_now_ms()};

    if (kb_memory_wants_tcp(realm)) {
        kb_buf_add_str(out, "tcp\n");
    }
    for (int alive = 1; alive >= 0; alive--) {
        export.alive = alive == 1;
        kb_memory_each(realm, export_kdc, &export);
    }
}

/* Takes the text up to `end` off *rest; false: there is no end, or the text is too long. */
static bool take(kb_bytes *rest, uint8_t end, char *out, size_t size)
{
    const uint8_t *at = rest->len > 0 ? memchr(rest->ptr, end, rest->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - rest->ptr) : size;

    if (len >= size || (len > 0 && memchr(rest->ptr, '\0', len) != NULL)) {
        return false;
    }
    if (len > 0) {
        memcpy(out, rest->ptr, len);
    }
    out[len] = '\0';
    *rest = kb_bytes_of(rest->ptr + len + 1, rest->len - len - 1);
    return true;
}

static bool take_number(kb_bytes *rest, uint8_t end, int64_t max, int64_t *out)
{
    char text[16];

    *out = 0;
    if (!take(rest, end, text, sizeof(text)) || text[0] == '\0') {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') {
            return false;
        }
        *out = *out * 10 + (*c - '0');
    }
    return *out <= max;
}

static bool take_transport(kb_bytes *rest, enum kb_transport *out)
{
    char text[8];

    if (!take(rest, '\t', text, sizeof(text))) {
        return false;
    }
    for (size_t i = 0; i < KB_NUM_TRANSPORTS; i++) {
        if (strcmp(kb_transport_words[i], text) == 0) {
            *out = (enum kb_transport)i;
            return true;
        }
    }
    return false;
}

static bool read_kdc(kb_bytes line, char name[KB_MEMORY_NAME], struct kb_known *out)
{
    int64_t alive, srtt, rttvar, failures, late, wall = (int64_t)time(NULL);
    char address[KB_ADDRESS_TEXT];

    *out = (struct kb_known){0};
    if (!take(&line, '\t', name, KB_MEMORY_NAME) || !take_number(&line, '\t', 1, &alive) ||
        !take_transport(&line, &out->transport) || !take(&line, '\t', address, sizeof(address)) ||
        !take_number(&line, '\t', 60000000, &srtt) ||
        !take_number(&line, '\t', 60000000, &rttvar) || !take_number(&line, '\t', 100, &failures) ||
        !take_number(&line, '\n', INT64_MAX / 4000, &late) || line.len > 0 ||
        (address[0] != '\0' && !kb_address_numeric(&out->address, address))) {
        return false;
    }
    out->alive = alive == 1;
    out->srtt_us = (unsigned)srtt;
    out->rttvar_us = (unsigned)rttvar;
    out->failures = (unsigned)failures;
    if (late > wall) {
        int64_t left_ms = (late - wall) * 1000;

        out->late_until_ms =
            kb_now_ms() + (left_ms < KB_MEMORY_MAX_LATE_MS ? left_ms : KB_MEMORY_MAX_LATE_MS);
    }
    return true;
}

static void is_alive(void *ctx, const char *name, const struct kb_known *known)
{
    bool *any = ctx;

    (void)name;
    *any = *any || known->alive;
}

void kb_net_learned_import(kb_bytes realm, kb_bytes text, bool old)
{
    const uint8_t *end;
    unsigned num = 0;
    bool alive = false;

    kb_memory_each(realm, is_alive, &alive);
    while (text.len > 0 && (end = memchr(text.ptr, '\n', text.len)) != NULL) {
        size_t len = (size_t)(end - text.ptr) + 1;
        kb_bytes line = kb_bytes_of(text.ptr, len);
        char name[KB_MEMORY_NAME];
        struct kb_known known;

        if (kb_equal(line, KB_LIT("tcp\n")) && !alive) {
            kb_memory_set_tcp(realm, true);
        } else if (len > 4 && memcmp(line.ptr, "kdc ", 4) == 0 && num < KB_MEMORY_KDCS && !old &&
                   read_kdc(kb_bytes_of(line.ptr + 4, len - 4), name, &known)) {
            kb_memory_put(realm, name, &known);
            num++;
        }
        text = kb_bytes_of(text.ptr + len, text.len - len);
    }
}
