/* keys.h - where a client's long-term keys come from, and what was learned about them.
 *
 * Both are borrowed by the machines that use them. */
#ifndef KB_KEYS_H
#define KB_KEYS_H

#include "asn1/buf.h"
#include "crypto/key.h"

/* Where the client's long-term keys come from: a keytab, or string-to-key over a password, with
 * what was derived kept by the owner. `nth` counts the keys of one enctype, newest first; only a
 * keytab has more than one. KB_NOT_FOUND: no (further) key; other statuses end the login. */
struct kb_key_source {
    enum kb_status (*get)(void *ctx, int32_t etype, kb_bytes salt, kb_bytes s2kparams, unsigned nth,
                          struct kb_key **out);
    /* Appends what there is, for messages: "kvno 3 (2026-11-30) aes256-…". NULL for a password. */
    void (*describe)(void *ctx, struct kb_buf *out);
    void *ctx;
    bool salted;      /* a password: keys depend on salt and parameters */
    const char *what; /* for messages: "the password of /etc/…", "keytab /etc/…" */
};

/* What was learned about a principal's key, after a reply that decrypted. */
struct kb_key_hint {
    int32_t etype; /* 0: nothing was learned */
    kb_bytes salt, s2kparams;
    kb_bytes realm; /* whose KDC knows the principal (RFC 6806 7 may lead there); empty: not said */
};

#endif
