#include "mech/options/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mech/options/account.h"
#include "mech/options/krb5conf.h"
#include "mech/options/text.h"

/* --- patterns --- */

static uint8_t fold(uint8_t c, bool ignore_case)
{
    return ignore_case && c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Length of the bracket expression at the front of `pattern`, 0 if `[` stands for itself there. */
static size_t bracket_len(kb_bytes pattern)
{
    size_t i = 1;

    if (i < pattern.len && (pattern.ptr[i] == '!' || pattern.ptr[i] == '^')) {
        i++;
    }
    for (size_t first = i; i < pattern.len; i++) {
        if (pattern.ptr[i] == ']' && i > first) {
            return i + 1;
        }
    }
    return 0;
}

static bool in_bracket(kb_bytes inside, uint8_t c, bool ignore_case)
{
    bool negated = inside.ptr[0] == '!' || inside.ptr[0] == '^';
    bool found = false;

    c = fold(c, ignore_case);
    for (size_t i = negated; i < inside.len; i++) {
        uint8_t from = fold(inside.ptr[i], ignore_case), to = from;

        if (i + 2 < inside.len && inside.ptr[i + 1] == '-') {
            to = fold(inside.ptr[i + 2], ignore_case);
            i += 2;
        }
        found = found || (c >= from && c <= to);
    }
    return found != negated;
}

/* Matches one character against what the pattern begins with; returns the length of that, or 0. */
static size_t match_one(kb_bytes pattern, uint8_t c, bool ignore_case)
{
    size_t len = pattern.ptr[0] == '[' ? bracket_len(pattern) : 0;

    if (pattern.ptr[0] == '?') {
        return 1;
    }
    if (len > 0) {
        return in_bracket(kb_bytes_of(pattern.ptr + 1, len - 2), c, ignore_case) ? len : 0;
    }
    len = pattern.ptr[0] == '\\' && pattern.len > 1 ? 2 : 1;
    return fold(pattern.ptr[len - 1], ignore_case) == fold(c, ignore_case) ? len : 0;
}

static kb_bytes from(kb_bytes text, size_t pos)
{
    return kb_bytes_of(text.ptr + pos, text.len - pos);
}

/* Only the last `*` is ever tried again, so the time is at most the product of the lengths. */
bool kb_glob(kb_bytes pattern, kb_bytes text, bool ignore_case)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;

    while (t < text.len) {
        size_t len = 0;

        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        if (p < pattern.len) {
            len = match_one(from(pattern, p), text.ptr[t], ignore_case);
        }
        if (len > 0) {
            p += len;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

unsigned kb_glob_literals(kb_bytes pattern)
{
    unsigned literals = 0;

    while (pattern.len > 0) {
        size_t len = pattern.ptr[0] == '[' ? bracket_len(pattern) : 0;

        if (len == 0) {
            literals += pattern.ptr[0] != '*' && pattern.ptr[0] != '?';
            len = pattern.ptr[0] == '\\' && pattern.len > 1 ? 2 : 1;
        }
        pattern = from(pattern, len);
    }
    return literals;
}

/* --- targets and clients --- */

/* "service@host" and "service/host@REALM" taken apart. */
struct parts {
    kb_bytes service, host, realm;
};

static struct parts take_apart(kb_bytes target)
{
    const uint8_t *slash = target.len > 0 ? memchr(target.ptr, '/', target.len) : NULL;
    const uint8_t *at = target.len > 0 ? memchr(target.ptr, '@', target.len) : NULL;
    const uint8_t *end = target.ptr + target.len;
    struct parts parts = {.service = target};

    if (slash != NULL && (at == NULL || slash < at)) {
        parts.service = kb_bytes_of(target.ptr, (size_t)(slash - target.ptr));
        parts.host = kb_bytes_of(slash + 1, (size_t)((at != NULL ? at : end) - slash - 1));
        parts.realm = at != NULL ? kb_bytes_of(at + 1, (size_t)(end - at - 1)) : KB_NONE;
    } else if (at != NULL) {
        parts.service = kb_bytes_of(target.ptr, (size_t)(at - target.ptr));
        parts.host = kb_bytes_of(at + 1, (size_t)(end - at - 1));
    }
    return parts;
}

static bool match_joined(kb_bytes pattern, const struct parts *parts, char between, bool with_realm)
{
    char text[1024];
    int len = snprintf(text, sizeof(text), "%.*s%c%.*s%s%.*s", (int)parts->service.len,
                       (const char *)parts->service.ptr, between, (int)parts->host.len,
                       parts->host.len > 0 ? (const char *)parts->host.ptr : "",
                       with_realm ? "@" : "", with_realm ? (int)parts->realm.len : 0,
                       with_realm ? (const char *)parts->realm.ptr : "");

    return len > 0 && (size_t)len < sizeof(text) &&
           kb_glob(pattern, kb_bytes_of(text, (size_t)len), true);
}

bool kb_match_target(const char *pattern, kb_bytes target, const struct kb_krb5conf *krb5conf)
{
    struct parts parts;

    if (target.len == 0) {
        return false;
    }
    if (kb_glob(kb_str(pattern), target, true)) {
        return true;
    }
    if (target.len > 512) {
        return false;
    }
    parts = take_apart(target);
    if (parts.host.len == 0) {
        return false;
    }
    if (parts.realm.len == 0 && krb5conf != NULL) {
        parts.realm = kb_krb5conf_realm_of_host(krb5conf, parts.host);
    }
    return match_joined(kb_str(pattern), &parts, '@', false) ||
           match_joined(kb_str(pattern), &parts, '/', false) ||
           (parts.realm.len > 0 && parts.realm.len < 256 &&
            match_joined(kb_str(pattern), &parts, '/', true));
}

bool kb_match_client(const char *pattern, kb_bytes client)
{
    return client.len > 0 && kb_glob(kb_str(pattern), client, false);
}

/* --- the process --- */

static bool is_number(const char *text, unsigned long number)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%lu", number);
    return strcmp(text, digits) == 0;
}

static enum kb_status is_in_groups(gid_t gid)
{
    int num = getgroups(0, NULL);
    gid_t *groups;
    bool found = getegid() == gid;

    if (found || num <= 0) {
        return found ? KB_OK : KB_NOT_FOUND;
    }
    groups = calloc((size_t)num, sizeof(*groups));
    if (groups == NULL) {
        return KB_NO_MEMORY;
    }
    num = getgroups(num, groups);
    for (int i = 0; i < num && !found; i++) {
        found = groups[i] == gid;
    }
    free(groups);
    return found ? KB_OK : KB_NOT_FOUND;
}

enum kb_status kb_match_user(const char *pattern, uid_t euid)
{
    enum kb_status st;
    char *name;
    gid_t gid;

    if (pattern[0] == '%') {
        st = kb_group_id(pattern + 1, &gid);
        return st == KB_OK ? is_in_groups(gid) : st;
    }
    if (is_number(pattern, euid)) {
        return KB_OK;
    }
    st = kb_user_name(euid, &name);
    if (st == KB_OK && !kb_glob(kb_str(pattern), kb_str(name), false)) {
        st = KB_NOT_FOUND;
    }
    free(name);
    return st;
}

static const char *pretended; /* NULL: the running program */

void kb_match_pretend_program(const char *path)
{
    pretended = path;
}

bool kb_match_program(const char *pattern)
{
    static const char deleted[] = " (deleted)";
    char path[2048];
    ssize_t len;

    if (pretended != NULL) {
        return kb_glob(kb_str(pattern), kb_str(pretended), false);
    }
    len = readlink("/proc/self/exe", path, sizeof(path));
    if (len <= 0 || (size_t)len == sizeof(path)) {
        return false;
    }
    if ((size_t)len >= sizeof(deleted) &&
        memcmp(path + len - (sizeof(deleted) - 1), deleted, sizeof(deleted) - 1) == 0) {
        len -= (ssize_t)sizeof(deleted) - 1; /* replaced on disk while it runs */
    }
    return kb_glob(kb_str(pattern), kb_bytes_of(path, (size_t)len), false);
}

/* --- sections --- */

enum kb_status kb_process_conditions(const struct kb_unit *unit, uid_t euid)
{
    enum kb_status st = KB_OK;

    for (const struct kb_condition *c = unit->conditions; c != NULL && st == KB_OK; c = c->next) {
        if (c->kind == KB_IF_USER) {
            st = kb_match_user(c->pattern, euid);
        } else if (c->kind == KB_IF_PROGRAM && !kb_match_program(c->pattern)) {
            st = KB_NOT_FOUND;
        }
    }
    return st;
}

bool kb_call_conditions_hold(const struct kb_unit *unit, kb_bytes target, kb_bytes client,
                             const struct kb_krb5conf *krb5conf)
{
    for (const struct kb_condition *c = unit->conditions; c != NULL; c = c->next) {
        if ((c->kind == KB_IF_TARGET && !kb_match_target(c->pattern, target, krb5conf)) ||
            (c->kind == KB_IF_CLIENT && !kb_match_client(c->pattern, client))) {
            return false;
        }
    }
    return true;
}

bool kb_unit_has(const struct kb_unit *unit, enum kb_condition_kind kind)
{
    for (const struct kb_condition *c = unit->conditions; c != NULL; c = c->next) {
        if (c->kind == kind) {
            return true;
        }
    }
    return false;
}

bool kb_unit_is_conditional(const struct kb_unit *unit)
{
    return kb_unit_has(unit, KB_IF_TARGET) || kb_unit_has(unit, KB_IF_CLIENT);
}

static int class_of(const struct kb_unit *unit)
{
    return kb_unit_has(unit, KB_IF_CLIENT)   ? 3
           : kb_unit_has(unit, KB_IF_TARGET) ? 2
           : unit->conditions != NULL        ? 1
                                             : 0;
}

static void weigh(const struct kb_unit *unit, int *conditions, int *literals)
{
    *conditions = *literals = 0;
    for (const struct kb_condition *c = unit->conditions; c != NULL; c = c->next) {
        ++*conditions;
        *literals += (int)kb_glob_literals(kb_str(c->pattern));
    }
}

int kb_unit_compare(const struct kb_unit *a, const struct kb_unit *b)
{
    int conditions_a, conditions_b, literals_a, literals_b;

    if (a->layer != b->layer) {
        return (int)a->layer - (int)b->layer;
    }
    if (class_of(a) != class_of(b)) {
        return class_of(a) - class_of(b);
    }
    weigh(a, &conditions_a, &literals_a);
    weigh(b, &conditions_b, &literals_b);
    if (conditions_a != conditions_b) {
        return conditions_a - conditions_b;
    }
    if (literals_a != literals_b) {
        return literals_a - literals_b;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}
