/* recognise.h - finds out what bytes are, and shows them: messages, tokens, keytabs, caches.
 *
 * Hostile input is the rule: every length is checked, nesting is bounded, and what does not fit is
 * a sentence. Secrets are shown nowhere; a keytab opens what its keys fit. One thread at a time. */
#ifndef KB_CLI_RECOGNISE_H
#define KB_CLI_RECOGNISE_H

#include "asn1/engine.h"
#include "asn1/print.h"
#include "mech/store/ccache.h"
#include "mech/store/keytab.h"

#define KB_MAX_NESTING 8 /* of tokens in tokens */

struct kb_recogniser {
    struct kb_show *show;
    const struct kb_keytab *keytab; /* NULL: none */
    /* private */
    struct kb_arena *arena;
    int nesting;
    struct kb_key *session_key; /* of the AP-REQ that is being shown; NULL: not known */
    struct kb_why *why;
};

/* kb_recognise adds to the open group what the bytes are: a "kind", and the thing itself under its
 * name. KB_WRONG_TYPE: nothing that is known here; KB_MALFORMED and the like: it begins as
 * something that it is not, and `why` says where it goes wrong. */
KB_MUST_USE enum kb_status kb_recognise(struct kb_recogniser *r, kb_bytes bytes,
                                        struct kb_why *why);

/* kb_looks_like names what else bytes seem to be ("a pcapng capture"), or NULL. */
const char *kb_looks_like(kb_bytes bytes);

/* The kinds, each KB_WRONG_TYPE for what is none of its own. Private to decode. */
enum kb_status kb_recognise_message(struct kb_recogniser *r, kb_bytes bytes);
enum kb_status kb_recognise_part(struct kb_recogniser *r, kb_bytes bytes);
enum kb_status kb_recognise_stream(struct kb_recogniser *r, kb_bytes bytes);
enum kb_status kb_recognise_gss(struct kb_recogniser *r, kb_bytes bytes);
enum kb_status kb_recognise_spnego(struct kb_recogniser *r, kb_bytes bytes);
enum kb_status kb_recognise_per_message(struct kb_recogniser *r, kb_bytes bytes);
enum kb_status kb_recognise_keytab(struct kb_recogniser *r, kb_bytes bytes);
enum kb_status kb_recognise_ccache(struct kb_recogniser *r, kb_bytes bytes);
enum kb_status kb_recognise_kpasswd(struct kb_recogniser *r, kb_bytes bytes);
enum kb_status kb_recognise_ntlm(struct kb_recogniser *r, kb_bytes bytes);

/* kb_recognise_begin tells the kind of the outermost thing. kb_recognise_inner shows what octets
 * within a token hold, as "NAME-decoded", if that is known. */
void kb_recognise_begin(struct kb_recogniser *r, const char *kind);
void kb_recognise_inner(struct kb_recogniser *r, const char *name, kb_bytes bytes);

/* What a ticket in a cache says, and a principal, added to the open group. */
void kb_show_cc_ticket(struct kb_show *show, const struct kb_cc_ticket *ticket);
void kb_show_principal(struct kb_show *show, const char *name,
                       const struct kb_principal *principal);

/* kb_show_typed decodes `bytes` as `type` and shows them under the type's name. */
enum kb_status kb_show_typed(struct kb_recogniser *r, const struct kb_type *type, kb_bytes bytes);

/* kb_open_parts is the hook that shows beside a message what a key opens in it (keys.c), and what
 * the fields of a checksum or token say. */
void kb_open_parts(void *recogniser, struct kb_show *show, const struct kb_type *type,
                   const void *value);
/* kb_show_checksum_8003 shows RFC 4121 4.1.1's fields. */
void kb_show_checksum_8003(struct kb_recogniser *r, kb_bytes checksum);

#endif
