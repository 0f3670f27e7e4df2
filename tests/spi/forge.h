/* forge.h - tokens of RFC 4121 with whatever in them, and valid: made with the keys of an
 * acceptor's lucid context by the platform's libkrb5. Times nobody: one thread. */
#ifndef KB_TEST_FORGE_H
#define KB_TEST_FORGE_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_krb5.h>
#include <stdint.h>

#define FORGE_MAX 70000 /* bytes of a token */

enum forge_kind { FORGE_SEAL, FORGE_SIGN, FORGE_MIC, FORGE_KINDS };

/* What stands in a token. `inner_*` are the sealed header's; the filler of a sealed message is
 * `fill` bytes long, whatever `ec` says. A signed one's checksum is of a header with EC and RRC 0.
 */
struct forge {
    enum forge_kind kind;
    const gss_krb5_lucid_key_t *key;
    uint32_t usage; /* 0: the acceptor's for this kind */
    uint16_t token_id, ec, rrc, inner_token_id, inner_ec, inner_rrc;
    uint8_t flags, inner_flags, filler, inner_filler;
    uint64_t seq, inner_seq;
    size_t fill, lacks; /* lacks: so much of the sealed header's end is not there */
    size_t rotate;      /* by how much the token is rotated to the right */
    gss_buffer_desc message;
};

/* forge_begin fills in what a token of this message has that is not forged; flags as an acceptor
 * sets them that asserted a subkey, or not. */
void forge_begin(struct forge *f, enum forge_kind kind, const gss_krb5_lucid_context_v1_t *acceptor,
                 const gss_buffer_desc *message, uint64_t seq);

/* forge_make writes the token, of at most FORGE_MAX bytes, and returns its length. */
size_t forge_make(const struct forge *f, uint8_t *out);

#endif
