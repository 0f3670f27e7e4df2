/* Reading a cache's file: whole, or on from where it ended when it was read before. */
#include <errno.h>
#include <unistd.h>

#include "mech/store/cc_open.h"

#define SMALL 65536      /* bytes of a cache that is always read whole: that costs nothing */
#define READ_ON_MS 60000 /* for so long */
#define START_LEN 4096   /* in which an owner's name is sure to be, or nearly so */

static enum kb_status failed_errno(const struct kb_cc_file *file, struct kb_error *err)
{
    return kb_error_errno(err, KB_E_CCACHE, errno, "credentials cache %s", file->cache->shown);
}

/* Fills the image. */
static enum kb_status read_image(const struct kb_cc_file *file, struct kb_cc_contents *contents,
                                 struct kb_error *err)
{
    size_t at = contents->at;

    while (at < contents->len) {
        ssize_t got =
            pread(file->fd, contents->image + (at - contents->at), contents->len - at, (off_t)at);

        if (got < 0 && errno != EINTR) {
            return failed_errno(file, err);
        }
        if (got == 0) {
            contents->len = at; /* it shrank meanwhile: its writer does not lock */
        }
        at += got > 0 ? (size_t)got : 0;
    }
    return KB_OK;
}

/* Takes `contents` over, which may be NULL, if it fails. */
static enum kb_status fill(const struct kb_cc_file *file, struct kb_cc_contents *contents,
                           struct kb_cc_contents **out, struct kb_error *err)
{
    enum kb_status st;

    if (contents == NULL) {
        return kb_cc_explain(file->cache,
                             file->stat.st_size > KB_CC_MAX ? KB_TOO_BIG : KB_NO_MEMORY, err);
    }
    contents->stamp = kb_cc_stamp(&file->stat);
    st = read_image(file, contents, err);
    if (st == KB_OK) {
        st = kb_cc_parse(contents);
        if (st != KB_OK && st != KB_NOT_FOUND) {
            st = kb_cc_explain(file->cache, st, err);
        }
    }
    if (st != KB_OK) {
        kb_cc_contents_put(contents);
        return st;
    }
    *out = contents;
    return KB_OK;
}

enum kb_status kb_cc_read(const struct kb_cc_file *file, struct kb_cc_contents **out,
                          struct kb_error *err)
{
    enum kb_status st = fill(file, kb_cc_contents_new((size_t)file->stat.st_size), out, err);

    if (st == KB_OK) {
        (*out)->read_len = (*out)->len;
        (*out)->read_ms = kb_now_ms();
    }
    return st;
}

/* Do these bytes still stand there? */
static bool stands_at(const struct kb_cc_file *file, kb_bytes bytes, size_t at)
{
    while (bytes.len > 0) {
        uint8_t there[4096];
        size_t len = bytes.len < sizeof(there) ? bytes.len : sizeof(there);
        ssize_t got = pread(file->fd, there, len, (off_t)at);
        bool same = got > 0 && memcmp(there, bytes.ptr, (size_t)got) == 0;

        kb_wipe(there, sizeof(there));
        if (!same) {
            return false;
        }
        bytes.ptr += got;
        bytes.len -= (size_t)got;
        at += (size_t)got;
    }
    return true;
}

/* The same file, larger, with the same bytes at its beginning and up to where it ended: others only
 * appended. A program that truncates it and writes it anew (MIT's kinit before 1.18 did) has
 * another session key in its first ticket, and hardly a record of ours where the last one stood.
 * What is not seen is a ticket in between that somebody removed (MIT overwrites its times): for
 * that a large cache is read whole once it has grown by half, and once a minute. */
static bool only_grew(const struct kb_cc_file *file, const struct kb_cc_contents *known)
{
    const struct kb_cc_stamp now = kb_cc_stamp(&file->stat);

    return known->num > 0 && known->version > 0 && (size_t)file->stat.st_size > known->len &&
           file->stat.st_size > SMALL &&
           memcmp(now.words, known->stamp.words, 3 * sizeof(now.words[0])) == 0 &&
           (size_t)file->stat.st_size <= known->read_len + known->read_len / 2 + SMALL &&
           kb_now_ms() - known->read_ms < READ_ON_MS && stands_at(file, known->beginning, 0) &&
           stands_at(file, known->last, known->whole - known->last.len);
}

enum kb_status kb_cc_read_on(const struct kb_cc_file *file, struct kb_cc_contents *known,
                             struct kb_cc_contents **out, struct kb_error *err)
{
    enum kb_status st;

    if (known == NULL || !only_grew(file, known)) {
        return kb_cc_read(file, out, err);
    }
    st = fill(file, kb_cc_contents_grown(known, (size_t)file->stat.st_size), out, err);
    if (st == KB_OK) {
        (*out)->read_on = true;
    }
    return st;
}

/* A cache's file begins with its owner. */
enum kb_status kb_cc_read_owner(const struct kb_cc_file *file, struct kb_principal **out,
                                struct kb_error *err)
{
    size_t size = (size_t)file->stat.st_size;
    struct kb_cc_contents *contents = kb_cc_contents_new(size < START_LEN ? size : START_LEN);
    enum kb_status st;
    struct kb_reader r;

    if (contents == NULL) {
        return kb_cc_explain(file->cache, KB_NO_MEMORY, err);
    }
    st = read_image(file, contents, err);
    if (st == KB_OK) {
        r = kb_reader(kb_bytes_of(contents->image, contents->len));
        st = kb_cc_get_start(contents, &r);
        if (st != KB_OK && st != KB_NOT_FOUND && st != KB_NO_MEMORY && size > START_LEN) {
            kb_cc_contents_put(contents); /* a name as long as that */
            st = kb_cc_read(file, &contents, err);
        } else if (st != KB_OK && st != KB_NOT_FOUND) {
            st = kb_cc_explain(file->cache, st, err);
        }
    }
    if (st == KB_OK) {
        *out = kb_principal_ref(contents->owner);
    }
    kb_cc_contents_put(contents);
    return st;
}
