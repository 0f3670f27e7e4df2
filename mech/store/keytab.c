#include "mech/store/keytab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "asn1/arena.h"
#include "asn1/reader.h"

#define MAX_FILE (16u << 20)
#define MAX_DESCRIBED 12 /* principals and kvnos in one message */

/* One file being read. */
struct parser {
    struct kb_keytab *keytab;
    struct kb_keytab_entry *entries; /* keytab->entries */
    size_t room;
    int version;
    size_t num_records, at; /* which record is read and where it is, for messages */
};

/* Version 1 is in the byte order of the machine that wrote it, which is taken to be this one. */
static uint64_t get(struct kb_reader *r, int version, size_t len)
{
    const uint16_t one = 1;
    bool little = *(const uint8_t *)&one == 1;

    return version == 1 && little ? kb_get_le(r, len) : kb_get_be(r, len);
}

static kb_bytes get_data(struct kb_reader *r, int version)
{
    return kb_get_bytes(r, (size_t)get(r, version, 2));
}

/* Version 1 counts the realm as a component and has no name type. */
static enum kb_status read_principal(struct kb_reader *r, int version,
                                     const struct kb_principal **out)
{
    size_t num = (size_t)get(r, version, 2);
    kb_bytes realm = get_data(r, version);
    kb_principal_name name = {.name_type = KB_NT_PRINCIPAL};
    struct kb_arena arena;
    enum kb_status status = KB_OK;

    if (version == 1 && num > 0) {
        num--;
    }
    if (r->bad || num == 0 || num > r->rest.len / 2) {
        return KB_MALFORMED;
    }
    kb_arena_init(&arena, NULL, 0, MAX_FILE);
    name.name_string.items = kb_arena_alloc(&arena, num * sizeof(kb_string));
    if (name.name_string.items == NULL) {
        return KB_NO_MEMORY;
    }
    for (name.name_string.num = 0; name.name_string.num < num; name.name_string.num++) {
        name.name_string.items[name.name_string.num] = get_data(r, version);
    }
    if (version != 1) {
        name.name_type = (int32_t)get(r, version, 4);
    }
    if (r->bad) {
        status = KB_MALFORMED;
    } else {
        *out = kb_principal_new(realm, &name);
        status = *out != NULL ? KB_OK : KB_NO_MEMORY;
    }
    kb_arena_wipe(&arena);
    return status;
}

/* Most keytabs hold few principals with many keys. */
static void share_principal(const struct parser *p, struct kb_keytab_entry *entry)
{
    const struct kb_principal *last =
        p->keytab->num > 0 ? p->entries[p->keytab->num - 1].principal : NULL;

    if (last != NULL && last->name.name_type == entry->principal->name.name_type &&
        kb_principal_equal(last, entry->principal)) {
        kb_principal_free(entry->principal);
        entry->principal = kb_principal_ref(last);
    }
}

/* An enctype that we do not have, or a key that is not of its length, is listed without a key. */
static enum kb_status make_key(struct kb_keytab_entry *entry, kb_bytes raw)
{
    enum kb_status status = kb_key_new(entry->etype, raw, &entry->key);

    if (status == KB_NO_ENCTYPE || status == KB_BAD_KEY) {
        entry->key = NULL;
        return KB_OK;
    }
    return status;
}

/* The kvno has 8 bits; since MIT 1.14 one of 32 bits follows the key, if it is there and not zero:
 * a record that reuses a hole has zeros behind it. Heimdal writes flags after that. */
static enum kb_status read_entry(const struct parser *p, kb_bytes record,
                                 struct kb_keytab_entry *entry)
{
    struct kb_reader r = kb_reader(record);
    enum kb_status status = read_principal(&r, p->version, &entry->principal);
    uint32_t kvno32;
    kb_bytes raw;

    if (status != KB_OK) {
        return status;
    }
    entry->timestamp = (uint32_t)get(&r, p->version, 4);
    entry->kvno = kb_get_u8(&r);
    entry->etype = (int16_t)get(&r, p->version, 2);
    raw = get_data(&r, p->version);
    if (r.bad) {
        return KB_MALFORMED;
    }
    kvno32 = (uint32_t)get(&r, p->version, 4);
    if (!r.bad && kvno32 != 0) {
        entry->kvno = kvno32;
    }
    share_principal(p, entry);
    return make_key(entry, raw);
}

static enum kb_status make_room(struct parser *p)
{
    size_t room = p->room > 0 ? 2 * p->room : 16;
    struct kb_keytab_entry *entries;

    if (p->keytab->num < p->room) {
        return KB_OK;
    }
    entries = realloc(p->entries, room * sizeof(*entries)); /* pointers, no secrets */
    if (entries == NULL) {
        return KB_NO_MEMORY;
    }
    p->entries = entries;
    p->keytab->entries = entries;
    p->room = room;
    return KB_OK;
}

static void entry_wipe(const struct kb_keytab_entry *entry)
{
    kb_principal_free(entry->principal);
    kb_key_free(entry->key);
}

static enum kb_status add_entry(struct parser *p, kb_bytes record)
{
    struct kb_keytab_entry entry = {0};
    enum kb_status status = make_room(p);

    if (status == KB_OK) {
        status = read_entry(p, record, &entry);
    }
    if (status == KB_OK) {
        p->entries[p->keytab->num++] = entry;
    } else {
        entry_wipe(&entry);
    }
    return status;
}

/* A record is a length and an entry; a hole has a negative length, and 0 is the end. */
static enum kb_status read_records(struct parser *p, kb_bytes bytes)
{
    struct kb_reader r = kb_reader(bytes);

    (void)kb_get_bytes(&r, 2);
    while (r.rest.len > 0) {
        int32_t size;
        kb_bytes record;
        enum kb_status status;

        p->at = bytes.len - r.rest.len;
        p->num_records++;
        size = (int32_t)get(&r, p->version, 4);
        if (!r.bad && size == 0) {
            return KB_OK;
        }
        record = kb_get_bytes(&r, (size_t)(size > 0 ? (int64_t)size : -(int64_t)size));
        if (r.bad) {
            return KB_CUT_SHORT;
        }
        status = size > 0 ? add_entry(p, record) : KB_OK;
        if (status != KB_OK) {
            return status;
        }
    }
    return KB_OK;
}

static enum kb_status parse(struct parser *p, kb_bytes bytes)
{
    if (bytes.len > MAX_FILE) {
        return KB_TOO_BIG;
    }
    if (bytes.len < 2) {
        return KB_CUT_SHORT;
    }
    if (bytes.ptr[0] != 5 || (bytes.ptr[1] != 1 && bytes.ptr[1] != 2)) {
        return KB_WRONG_TYPE;
    }
    p->version = bytes.ptr[1];
    p->keytab = calloc(1, sizeof(*p->keytab));
    if (p->keytab == NULL) {
        return KB_NO_MEMORY;
    }
    atomic_init(&p->keytab->refs, 1);
    return read_records(p, bytes);
}

enum kb_status kb_keytab_parse(kb_bytes bytes, struct kb_keytab **out)
{
    struct parser p = {.keytab = NULL};
    enum kb_status status = parse(&p, bytes);

    if (status != KB_OK) {
        kb_keytab_free(p.keytab);
        p.keytab = NULL;
    }
    *out = p.keytab;
    return status;
}

/* --- files --- */

/* "FILE:" and MIT's old "WRFILE:" are dropped; other types of keytab are not files. */
static const char *file_name(const char *name, struct kb_error *err)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    if (len < 2 || name[len] != ':') {
        return name;
    }
    if (strncmp(name, "FILE:", 5) == 0 || strncmp(name, "WRFILE:", 7) == 0) {
        return name + len + 1;
    }
    if (strncmp(name, "MEMORY:", 7) == 0) {
        kb_error_set(err, KB_E_KEYTAB,
                     "keytab %s: MEMORY: keytabs belong to libkrb5 and cannot be seen from here",
                     name);
    } else {
        kb_error_set(err, KB_E_KEYTAB,
                     "keytab %s: keytabs of this type cannot be read, only FILE:", name);
    }
    return NULL;
}

/* Reads an open file. Only a regular one has an end that is known beforehand. */
static enum kb_status read_all(int fd, const char *shown, uint8_t **out, size_t *out_len,
                               struct kb_error *err)
{
    struct stat st;
    size_t len = 0;

    if (fstat(fd, &st) != 0) {
        return kb_error_errno(err, KB_E_KEYTAB, errno, "keytab %s", shown);
    }
    if (!S_ISREG(st.st_mode)) {
        return kb_error_set(err, KB_E_KEYTAB, "keytab %s: not a regular file", shown);
    }
    if (st.st_size > (off_t)MAX_FILE) {
        return kb_error_set(err, KB_E_KEYTAB, "keytab %s: larger than 16 MiB", shown);
    }
    *out_len = (size_t)st.st_size;
    *out = malloc(*out_len + 1);
    if (*out == NULL) {
        return kb_error_status(err, KB_E_KEYTAB, KB_NO_MEMORY, "keytab %s", shown);
    }
    while (len < *out_len) {
        ssize_t got = read(fd, *out + len, *out_len - len);

        if (got < 0 && errno != EINTR) {
            return kb_error_errno(err, KB_E_KEYTAB, errno, "keytab %s", shown);
        }
        if (got == 0) {
            *out_len = len; /* it shrank meanwhile */
        }
        len += got > 0 ? (size_t)got : 0;
    }
    return KB_OK;
}

static enum kb_status explain(const struct parser *p, enum kb_status status, size_t len,
                              const char *shown, struct kb_error *err)
{
    if (len == 0) {
        return kb_error_set(err, KB_E_KEYTAB, "keytab %s: the file is empty", shown);
    }
    if (status == KB_WRONG_TYPE || (status == KB_CUT_SHORT && p->keytab == NULL)) {
        return kb_error_set(err, KB_E_KEYTAB, "keytab %s: this is no keytab file", shown);
    }
    if (status == KB_CUT_SHORT) {
        return kb_error_set(err, KB_E_KEYTAB,
                            "keytab %s: the file is cut short: record %zu, at byte %zu, is longer "
                            "than what is left of %zu bytes",
                            shown, p->num_records, p->at, len);
    }
    return kb_error_status(err, KB_E_KEYTAB, status, "keytab %s: record %zu, at byte %zu", shown,
                           p->num_records, p->at);
}

static enum kb_status read_file(const char *path, const char *shown, struct kb_keytab **out,
                                struct kb_error *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct parser p = {.keytab = NULL};
    uint8_t *bytes = NULL;
    size_t len = 0, block_len;
    enum kb_status status;

    if (fd < 0) {
        return kb_error_errno(err, KB_E_KEYTAB, errno, "keytab %s", shown);
    }
    status = read_all(fd, shown, &bytes, &len, err);
    close(fd);
    block_len = len;
    if (status == KB_OK) {
        status = parse(&p, kb_bytes_of(bytes, len));
        if (status == KB_OK) {
            *out = p.keytab;
        } else {
            status = explain(&p, status, len, shown, err);
            kb_keytab_free(p.keytab);
        }
    }
    kb_free_secret(bytes, block_len);
    return status;
}

enum kb_status kb_keytab_read(const char *path, struct kb_keytab **out, struct kb_error *err)
{
    struct kb_buf shown;
    enum kb_status status = KB_ERROR;

    *out = NULL;
    kb_buf_init(&shown, 4096);
    kb_buf_add_escaped(&shown, kb_str(path));
    path = file_name(path, err);
    if (path != NULL) {
        status = read_file(path, kb_buf_str(&shown), out, err);
    }
    kb_buf_wipe(&shown);
    return status;
}

struct kb_keytab *kb_keytab_ref(struct kb_keytab *keytab)
{
    atomic_fetch_add_explicit(&keytab->refs, 1, memory_order_relaxed);
    return keytab;
}

void kb_keytab_free(struct kb_keytab *keytab)
{
    if (keytab != NULL && atomic_fetch_sub_explicit(&keytab->refs, 1, memory_order_acq_rel) == 1) {
        for (size_t i = 0; i < keytab->num; i++) {
            entry_wipe(&keytab->entries[i]);
        }
        free((void *)(uintptr_t)keytab->entries);
        free(keytab);
    }
}

/* --- looking things up --- */

/* Whether `a` is to be tried before `b`: the higher kvno, then the later entry. */
static bool is_newer(const struct kb_keytab_entry *a, const struct kb_keytab_entry *b)
{
    return a->kvno != b->kvno ? a->kvno > b->kvno : a > b;
}

/* The newest entry that fits and is older than `before` (NULL: than none). */
static const struct kb_keytab_entry *newest(const struct kb_keytab *keytab,
                                            const struct kb_principal *principal, int32_t etype,
                                            const struct kb_keytab_entry *before)
{
    const struct kb_keytab_entry *best = NULL;

    for (size_t i = 0; i < keytab->num; i++) {
        const struct kb_keytab_entry *entry = &keytab->entries[i];

        if (entry->key != NULL && entry->etype == etype &&
            (before == NULL || is_newer(before, entry)) &&
            (best == NULL || is_newer(entry, best)) &&
            kb_principal_equal(entry->principal, principal)) {
            best = entry;
        }
    }
    return best;
}

const struct kb_keytab_entry *kb_keytab_find(const struct kb_keytab *keytab,
                                             const struct kb_principal *principal, int32_t etype,
                                             unsigned nth)
{
    const struct kb_keytab_entry *entry = newest(keytab, principal, etype, NULL);

    for (; nth > 0 && entry != NULL; nth--) {
        entry = newest(keytab, principal, etype, entry);
    }
    return entry;
}

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
