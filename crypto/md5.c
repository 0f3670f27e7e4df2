#include "crypto/md5.h"

/* The low-level functions, because a FIPS provider has no MD5. For channel bindings that is of no
 * importance, the hash only says which channel is meant; the keys of tokens that are signed with it
 * do not come to be where FIPS is asked for. */
enum kb_status kb_md5_begin(struct kb_md5 *md5)
{
    enum kb_status st = kb_provider_load();

    if (st == KB_OK) {
        kb_ssl()->MD5_Init(&md5->state);
    }
    return st;
}

void kb_md5_add(struct kb_md5 *md5, const void *data, size_t len)
{
    kb_ssl()->MD5_Update(&md5->state, data, len);
}

void kb_md5_end(struct kb_md5 *md5, uint8_t out[KB_MD5_LEN])
{
    kb_ssl()->MD5_Final(out, &md5->state);
    kb_wipe(md5, sizeof(*md5));
}

enum kb_status kb_md5(const kb_bytes *pieces, size_t num, uint8_t out[KB_MD5_LEN])
{
    struct kb_md5 md5;
    enum kb_status st = kb_md5_begin(&md5);

    if (st != KB_OK) {
        return st;
    }
    for (size_t i = 0; i < num; i++) {
        kb_md5_add(&md5, pieces[i].ptr, pieces[i].len);
    }
    kb_md5_end(&md5, out);
    return KB_OK;
}
