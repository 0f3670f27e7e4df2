#include "mech/names/keyring_name.h"

#include <unistd.h>

#include "asn1/reader.h"

#define INDEX_VERSION 1

static const struct {
    char text[12];
    enum kb_keyring_anchor anchor;
} anchors[] = {
    {"persistent", KB_KEYRING_PERSISTENT},
    {"process", KB_KEYRING_PROCESS},
    {"thread", KB_KEYRING_THREAD},
    {"session", KB_KEYRING_SESSION},
    {"user", KB_KEYRING_USER},
    {"legacy", KB_KEYRING_LEGACY},
};

/* What is in front of the next colon; the rest is behind it. False: there is none. */
static bool cut(kb_bytes *rest, kb_bytes *out)
{
    const uint8_t *colon = rest->len > 0 ? memchr(rest->ptr, ':', rest->len) : NULL;

    if (colon == NULL) {
        return false;
    }
    *out = kb_bytes_of(rest->ptr, (size_t)(colon - rest->ptr));
    *rest = kb_bytes_of(colon + 1, rest->len - out->len - 1);
    return true;
}

static bool find_anchor(kb_bytes text, enum kb_keyring_anchor *out)
{
    for (size_t i = 0; i < sizeof(anchors) / sizeof(anchors[0]); i++) {
        if (kb_equal(text, kb_str(anchors[i].text))) {
            *out = anchors[i].anchor;
            return true;
        }
    }
    return false;
}

/* MIT takes what strtol(3) takes, and what that leaves of a number that is too large. */
static bool get_uid(kb_bytes text, uid_t *out)
{
    uint64_t uid = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        uid = uid * 10 + (unsigned)(text.ptr[i] - '0');
        if (uid >= UINT32_MAX) { /* (uid_t)-1 is nobody's */
            return false;
        }
    }
    *out = (uid_t)uid;
    return true;
}

static bool is_reserved(kb_bytes name)
{
    return name.len > 0 && name.ptr[0] == '.';
}

/* What is wrong with it; NULL: nothing. */
static const char *check(const struct kb_keyring_name *name)
{
    uid_t uid;

    if (name->anchor == KB_KEYRING_PERSISTENT && !get_uid(name->collection, &uid)) {
        return "a persistent keyring is named by a user id, as persistent:%{uid}";
    }
    if ((name->is_one && is_reserved(name->subsidiary)) ||
        (name->anchor != KB_KEYRING_PERSISTENT && is_reserved(name->collection))) {
        return "names of keyrings that begin with a dot are the kernel's own";
    }
    if (name->is_one && name->subsidiary.len == 0) {
        return "no name of a cache behind the collection; without the last colon the whole "
               "collection is meant";
    }
    /* MIT makes such a cache under what is behind its last colon, and then does not find it. */
    if (name->is_one && memchr(name->subsidiary.ptr, ':', name->subsidiary.len) != NULL) {
        return "a cache in a keyring has no colon in its name";
    }
    return NULL;
}

enum kb_status kb_keyring_name_parse(const char *text, struct kb_keyring_name *out,
                                     const char **out_why)
{
    kb_bytes rest = kb_str(text), anchor;
    const char *why;

    *out = (struct kb_keyring_name){.anchor = KB_KEYRING_LEGACY};
    if (cut(&rest, &anchor) && !find_anchor(anchor, &out->anchor)) {
        why = "there is no such anchor of keyrings; there are persistent:UID, user:NAME, "
              "session:NAME, process:NAME, thread:NAME and legacy:NAME";
    } else {
        out->is_one = cut(&rest, &out->collection);
        *(out->is_one ? &out->subsidiary : &out->collection) = rest;
        why = check(out);
    }
    if (out_why != NULL) {
        *out_why = why;
    }
    return why == NULL ? KB_OK : KB_MALFORMED;
}

uid_t kb_keyring_name_uid(const struct kb_keyring_name *name)
{
    uid_t uid;

    return name->collection.len > 0 && get_uid(name->collection, &uid) ? uid : geteuid();
}

kb_bytes kb_keyring_name_first(const struct kb_keyring_name *name)
{
    return name->collection.len > 0 ? name->collection : KB_LIT("tkt");
}

enum kb_status kb_keyring_index_get(kb_bytes payload, kb_bytes *out_name)
{
    struct kb_reader r = kb_reader(payload);
    uint32_t version = kb_get_u32be(&r);

    *out_name = kb_get_bytes(&r, kb_get_u32be(&r));
    if (r.bad || out_name->len == 0 || memchr(out_name->ptr, '\0', out_name->len) != NULL) {
        return KB_MALFORMED;
    }
    return version == INDEX_VERSION ? KB_OK : KB_WRONG_TYPE;
}

void kb_keyring_index_put(struct kb_buf *out, kb_bytes name)
{
    uint8_t head[8];

    kb_put_u32be(head, INDEX_VERSION);
    kb_put_u32be(head + 4, (uint32_t)name.len);
    kb_buf_add(out, kb_bytes_of(head, sizeof(head)));
    kb_buf_add(out, name);
}
