#include "crypto/md5.h"

#include "crypto/openssl.h"

/* The low-level functions, because a FIPS provider has no MD5: of no importance for its strength
 * here, the hash only says which channel is meant. */
enum kb_status kb_md5(const kb_bytes *pieces, size_t num, uint8_t out[KB_MD5_LEN])
{
    enum kb_status st = kb_provider_load();
    MD5_CTX state;

    if (st != KB_OK) {
        return st;
    }
    kb_ssl()->MD5_Init(&state);
    for (size_t i = 0; i < num; i++) {
        kb_ssl()->MD5_Update(&state, pieces[i].ptr, pieces[i].len);
    }
    kb_ssl()->MD5_Final(out, &state);
    return KB_OK;
}
