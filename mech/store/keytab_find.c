/* Which of its keys are used, and what it holds. */
#include <stdio.h>
#include <time.h>

#include "mech/store/keytab_own.h"

#define MAX_DESCRIBED 12 /* principals and kvnos in one message */
#define MAX_KVNOS 3      /* of one principal */
#define MAX_OTHERS 5     /* principals beside it */

/* --- which is newer --- */

/* From when on a small kvno is one that went round: since the first large one was written. Old
 * formats have 8 bits for it, some KDCs 16 (MIT src/lib/krb5/keytab/kt_file.c: more_recent). */
static int64_t wrapped_after(const struct kb_keytab *keytab, const struct kb_principal *principal)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < keytab->num; i++) {
        const struct kb_keytab_entry *entry = &keytab->entries[i];

        if (entry->kvno > 240 && entry->timestamp < first &&
            kb_principal_equal(entry->principal, principal)) {
            first = entry->timestamp;
        }
    }
    return first;
}

static uint64_t rank_of(const struct kb_keytab_entry *entry, int64_t wrapped)
{
    bool again = entry->kvno < 128 && entry->timestamp > wrapped;

    return entry->kvno + (again ? UINT64_C(1) << 32 : 0);
}

/* Whether `a` is to be tried before `b`: the higher kvno, then the later entry. */
static bool is_newer(const struct kb_keytab_entry *a, const struct kb_keytab_entry *b,
                     int64_t wrapped)
{
    uint64_t x = rank_of(a, wrapped), y = rank_of(b, wrapped);

    return x != y ? x > y : a > b;
}

/* What is looked for among the keys of one principal. */
struct search {
    const struct kb_keytab *keytab;
    const struct kb_principal *principal;
    int32_t etype; /* 0: of any, also one that we do not have */
    int64_t wrapped;
};

static struct search search_for(const struct kb_keytab *keytab,
                                const struct kb_principal *principal, int32_t etype)
{
    return (struct search){keytab, principal, etype, wrapped_after(keytab, principal)};
}

/* The newest entry that fits and is older than `before` (NULL: than none). */
static const struct kb_keytab_entry *newest(const struct search *search,
                                            const struct kb_keytab_entry *before)
{
    const struct kb_keytab_entry *best = NULL;

    for (size_t i = 0; i < search->keytab->num; i++) {
        const struct kb_keytab_entry *entry = &search->keytab->entries[i];

        if ((search->etype == 0 || (entry->key != NULL && entry->etype == search->etype)) &&
            (before == NULL || is_newer(before, entry, search->wrapped)) &&
            (best == NULL || is_newer(entry, best, search->wrapped)) &&
            kb_principal_equal(entry->principal, search->principal)) {
            best = entry;
        }
    }
    return best;
}

const struct kb_keytab_entry *kb_keytab_find(const struct kb_keytab *keytab,
                                             const struct kb_principal *principal, int32_t etype,
                                             unsigned nth)
{
    struct search search = search_for(keytab, principal, etype);
    const struct kb_keytab_entry *entry = newest(&search, NULL);

    for (; nth > 0 && entry != NULL; nth--) {
        entry = newest(&search, entry);
    }
    return entry;
}

bool kb_keytab_has(const struct kb_keytab *keytab, const struct kb_principal *principal)
{
    bool has = false;

    for (size_t i = 0; i < keytab->num && !has; i++) {
        has = kb_principal_equal(keytab->entries[i].principal, principal);
    }
    return has;
}

bool kb_keytab_is_newest(const struct kb_keytab *keytab, const struct kb_principal *principal,
                         int32_t etype)
{
    struct search any = search_for(keytab, principal, 0);
    const struct kb_keytab_entry *first = newest(&any, NULL);
    const struct kb_keytab_entry *entry = kb_keytab_find(keytab, principal, etype, 0);

    while (first != NULL && first->key == NULL) { /* what cannot be used tells nothing */
        first = newest(&any, first);
    }
    return entry != NULL && first != NULL &&
           rank_of(entry, any.wrapped) == rank_of(first, any.wrapped);
}

static bool same_key(const struct kb_keytab_entry *a, const struct kb_keytab_entry *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a->kvno == b->kvno && kb_equal_secret(kb_key_bytes(a->key), kb_key_bytes(b->key));
}

/* The principal's next entry from *position on; NULL: none. */
static const struct kb_keytab_entry *next_of(const struct kb_keytab *keytab,
                                             const struct kb_principal *principal, size_t *position)
{
    while (*position < keytab->num) {
        const struct kb_keytab_entry *entry = &keytab->entries[(*position)++];

        if (entry->key != NULL && kb_principal_equal(entry->principal, principal)) {
            return entry;
        }
    }
    return NULL;
}

/* As a file that was written again mostly is: one pass. */
static bool same_in_order(const struct kb_keytab *a, const struct kb_keytab *b,
                          const struct kb_principal *principal)
{
    const struct kb_keytab_entry *p, *q;
    size_t i = 0, j = 0;

    do {
        p = next_of(a, principal, &i);
        q = next_of(b, principal, &j);
    } while (p != NULL && q != NULL && p->etype == q->etype && p->timestamp == q->timestamp &&
             same_key(p, q));
    return p == NULL && q == NULL;
}

bool kb_keytab_same(const struct kb_keytab *a, const struct kb_keytab *b,
                    const struct kb_principal *principal, bool newest_only)
{
    const struct kb_enctype *enctype;

    if (same_in_order(a, b, principal)) {
        return true;
    }

    for (size_t i = 0; (enctype = kb_enctype_at(i)) != NULL; i++) {
        struct search x = search_for(a, principal, enctype->etype);
        struct search y = search_for(b, principal, enctype->etype);
        const struct kb_keytab_entry *p = newest(&x, NULL), *q = newest(&y, NULL);

        while (same_key(p, q) && p != NULL && !newest_only) {
            p = newest(&x, p);
            q = newest(&y, q);
        }
        if (!same_key(p, q)) {
            return false;
        }
    }
    return true;
}

/* --- in words --- */

static bool same_group(const struct kb_keytab_entry *a, const struct kb_keytab_entry *b)
{
    return a->kvno == b->kvno && kb_principal_equal(a->principal, b->principal);
}

void kb_keytab_describe(const struct kb_keytab *keytab, struct kb_buf *out)
{
    size_t groups = 0;

    if (keytab->num == 0) {
        kb_buf_add_str(out, "no keys");
    }
    for (size_t i = 0; i < keytab->num; i++) {
        const struct kb_keytab_entry *entry = &keytab->entries[i];
        char name[24];

        if (i == 0 || !same_group(entry, entry - 1)) {
            if (groups++ == MAX_DESCRIBED) {
                kb_buf_printf(out, "; and %zu more", keytab->num - i);
                return;
            }
            kb_buf_add_str(out, i > 0 ? "; " : "");
            kb_name_print(&entry->principal->name, entry->principal->realm, out);
            kb_buf_printf(out, " kvno %u ", (unsigned)entry->kvno);
        } else {
            kb_buf_add_str(out, ", ");
        }
        kb_buf_add_str(out, kb_enctype_name(entry->etype, name));
    }
}

/* "kvno 3 (2026-11-30) aes256-…, aes128-…": some write no time. */
static void describe_group(const struct search *search, const struct kb_keytab_entry *first,
                           struct kb_buf *out)
{
    time_t written = (time_t)first->timestamp;
    const struct kb_keytab_entry *entry = first;
    bool begun = false;
    char text[40];
    struct tm tm;

    kb_buf_printf(out, "kvno %u ", (unsigned)first->kvno);
    if (written != 0 && gmtime_r(&written, &tm) != NULL &&
        strftime(text, sizeof(text), "(%Y-%m-%d) ", &tm) > 0) {
        kb_buf_add_str(out, text);
    }
    for (size_t i = 0; i < search->keytab->num; i++) {
        entry = &search->keytab->entries[i];
        if (entry->kvno == first->kvno && kb_principal_equal(entry->principal, search->principal)) {
            kb_buf_printf(out, "%s%s", begun ? ", " : "", kb_enctype_name(entry->etype, text));
            begun = true;
        }
    }
}

void kb_keytab_describe_keys(const struct kb_keytab *keytab, const struct kb_principal *principal,
                             struct kb_buf *out)
{
    struct search search = search_for(keytab, principal, 0);
    const struct kb_keytab_entry *entry = newest(&search, NULL), *first = entry;

    kb_buf_add_str(out, entry == NULL ? "no key" : "");
    for (unsigned num = 0; entry != NULL; num++) {
        if (num == MAX_KVNOS) {
            kb_buf_add_str(out, "; and older ones");
            return;
        }
        kb_buf_add_str(out, num > 0 ? "; " : "");
        describe_group(&search, entry, out);
        for (first = entry; entry != NULL && entry->kvno == first->kvno;) {
            entry = newest(&search, entry);
        }
    }
}

/* The first entry of its principal, so that each is named once. */
static bool is_first_of(const struct kb_keytab *keytab, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (kb_principal_equal(keytab->entries[j].principal, keytab->entries[i].principal)) {
            return false;
        }
    }
    return true;
}

void kb_keytab_describe_others(const struct kb_keytab *keytab, const struct kb_principal *principal,
                               struct kb_buf *out)
{
    size_t num = 0;

    for (size_t i = 0; i < keytab->num; i++) {
        const struct kb_principal *other = keytab->entries[i].principal;

        if (kb_principal_equal(other, principal) || !is_first_of(keytab, i)) {
            continue;
        }
        if (num++ == MAX_OTHERS) {
            kb_buf_add_str(out, ", ...");
            return;
        }
        kb_buf_add_str(out, num > 1 ? ", " : "");
        kb_name_print(&other->name, other->realm, out);
    }
}
