/* Tokens of GSS-API: the frame, SPNEGO, per-message tokens, the checksum that carries its flags. */
#include <stdio.h>

#include "asn1/reader.h"
#include "asn1/table.h"
#include "cli/messages.h"
#include "cli/recognise.h"
#include "mech/protocol/frame.h"

#define TOKEN_ID_LEN 2

/* RFC 4121 4.1; RFC 1964 1.2; draft-ietf-kitten-iakerb. */
static const char *token_id_name(uint16_t id)
{
    static const struct {
        uint16_t id;
        char name[40];
    } rows[] = {
        {0x0100, "AP-REQ"},          {0x0200, "AP-REP"},           {0x0300, "KRB-ERROR"},
        {0x0400, "TGT-REQ"},         {0x0401, "TGT-REP"},          {0x0501, "IAKERB proxy"},
        {0x0101, "MIC of RFC 1964"}, {0x0201, "Wrap of RFC 1964"}, {0x0102, "delete context"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].id == id) {
            return rows[i].name;
        }
    }
    return NULL;
}

static bool is_spnego(kb_bytes mech)
{
    return kb_equal(mech, KB_LIT("\x2b\x06\x01\x05\x05\x02"));
}

static void show_kerberos(struct kb_recogniser *r, uint16_t id, kb_bytes message)
{
    const char *name = token_id_name(id);

    kb_show_printf(
        r->show, "token-id", "%04x%s%s%s", id, name != NULL && !r->show->json ? " (" : "",
        name != NULL && !r->show->json ? name : "", name != NULL && !r->show->json ? ")" : "");
    if (r->show->json && name != NULL) {
        kb_show_word(r->show, "token-id-name", name);
    }
    if (id == KB_TOK_AP_REQ || id == KB_TOK_AP_REP || id == KB_TOK_ERROR) {
        kb_recognise_inner(r, "message", message);
    } else {
        kb_show_octets(r->show, "contents", message, false);
    }
}

/* RFC 2743 3.1: [APPLICATION 0] { mechanism, what that makes of it }. */
enum kb_status kb_recognise_gss(struct kb_recogniser *r, kb_bytes bytes)
{
    kb_bytes mech, message;
    uint16_t id;
    enum kb_status status;

    if (bytes.len == 0 || bytes.ptr[0] != 0x60) {
        return KB_WRONG_TYPE;
    }
    status = kb_unframe(bytes, &mech, &id, &message);
    if (status != KB_OK) {
        snprintf(r->why->text, sizeof(r->why->text), "GSS token: %s", kb_status_text(status));
        return status;
    }
    kb_recognise_begin(r, "GSS-token");
    kb_show_open(r->show, "GSS-token", KB_SHOW_FIELDS);
    kb_show_oid(r->show, "mechanism", mech);
    if (is_spnego(mech)) {
        /* It has no token id; kb_unframe took the first two octets for one. */
        kb_recognise_inner(r, "token",
                           kb_bytes_of(message.ptr - TOKEN_ID_LEN, message.len + TOKEN_ID_LEN));
    } else {
        show_kerberos(r, id, message);
    }
    kb_show_close(r->show);
    return KB_OK;
}

/* RFC 4178 4.2: bare, as it is in every token but the first. */
enum kb_status kb_recognise_spnego(struct kb_recogniser *r, kb_bytes bytes)
{
    struct kb_why ignored;
    kb_neg_token_init init;

    if (bytes.len == 0 || (bytes.ptr[0] != 0xa0 && bytes.ptr[0] != 0xa1)) {
        return KB_WRONG_TYPE;
    }
    if (bytes.ptr[0] == 0xa1) {
        return kb_show_typed(r, &kb_type_neg_token_resp, bytes);
    }
    /* The fourth field tells the two apart. */
    if (kb_decode_neg_token_init(bytes, r->arena, &init, &ignored) == KB_OK) {
        return kb_show_typed(r, &kb_type_neg_token_init, bytes);
    }
    return kb_show_typed(r, &kb_type_neg_token_init2, bytes);
}

static void show_token_flags(struct kb_recogniser *r, uint8_t flags)
{
    kb_show_bool(r->show, "sent-by-acceptor", (flags & 1) != 0);
    kb_show_bool(r->show, "sealed", (flags & 2) != 0);
    kb_show_bool(r->show, "acceptor-subkey", (flags & 4) != 0);
}

/* RFC 4121 4.2.6: a header of sixteen octets, then checksum or (maybe sealed) message. */
enum kb_status kb_recognise_per_message(struct kb_recogniser *r, kb_bytes bytes)
{
    struct kb_reader reader = kb_reader(bytes);
    uint16_t id = kb_get_u16be(&reader);
    uint8_t flags = kb_get_u8(&reader);
    bool wrap = id == 0x0504;
    kb_bytes filler = kb_get_bytes(&reader, wrap ? 1 : 5);

    if (reader.bad || (id != 0x0404 && id != 0x0504) || filler.ptr[0] != 0xff) {
        return KB_WRONG_TYPE;
    }
    kb_recognise_begin(r, wrap ? "Wrap-token" : "MIC-token");
    kb_show_open(r->show, wrap ? "Wrap-token" : "MIC-token", KB_SHOW_FIELDS);
    show_token_flags(r, flags);
    if (wrap) {
        kb_show_number(r->show, "extra-count", kb_get_u16be(&reader), NULL);
        kb_show_number(r->show, "right-rotation", kb_get_u16be(&reader), NULL);
    }
    kb_show_number(r->show, "seq-number", (int64_t)kb_get_u64be(&reader), NULL);
    if (!wrap) {
        kb_show_octets(r->show, "checksum", reader.rest, false);
    } else if ((flags & 2) != 0) {
        kb_show_hidden(r->show, "sealed-message", reader.rest.len);
    } else {
        kb_show_octets(r->show, "message-and-checksum", reader.rest, false);
    }
    kb_show_close(r->show);
    if (reader.bad) {
        snprintf(r->why->text, sizeof(r->why->text), "%s token: its header is cut short",
                 wrap ? "Wrap" : "MIC");
    }
    return reader.bad ? KB_CUT_SHORT : KB_OK;
}

/* GSS-API's flags, RFC 2744, RFC 4757, MS-KILE. */
static void show_gss_flags(struct kb_recogniser *r, uint32_t flags)
{
    static const struct {
        uint32_t flag;
        char name[16];
    } rows[] = {
        {0x1, "deleg"},
        {0x2, "mutual"},
        {0x4, "replay"},
        {0x8, "sequence"},
        {0x10, "conf"},
        {0x20, "integ"},
        {0x40, "anon"},
        {0x80, "prot-ready"},
        {0x100, "trans"},
        {0x800, "channel-bound"},
        {0x1000, "dce-style"},
        {0x2000, "identify"},
        {0x4000, "extended-error"},
        {0x8000, "deleg-policy"},
    };

    kb_show_number(r->show, "flags", flags, NULL);
    kb_show_open(r->show, "flags-names", KB_SHOW_PLAIN);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if ((flags & rows[i].flag) != 0) {
            kb_show_word(r->show, NULL, rows[i].name);
        }
    }
    kb_show_close(r->show);
}

/* RFC 4121 4.1.1: little-endian; a forwarded KRB-CRED behind it where the deleg flag is set. */
void kb_show_checksum_8003(struct kb_recogniser *r, kb_bytes checksum)
{
    struct kb_reader reader = kb_reader(checksum);
    uint32_t binding_len = kb_get_u32le(&reader);
    kb_bytes binding = kb_get_bytes(&reader, binding_len);
    uint32_t flags = kb_get_u32le(&reader);

    kb_show_open(r->show, "checksum-8003", KB_SHOW_FIELDS);
    if (reader.bad) {
        kb_show_word(r->show, "broken", kb_status_text(KB_CUT_SHORT));
        kb_show_close(r->show);
        return;
    }
    kb_show_octets(r->show, "channel-bindings", binding, false);
    show_gss_flags(r, flags);
    if ((flags & 1) != 0 && reader.rest.len > 0) {
        kb_show_number(r->show, "deleg-option", (int64_t)kb_get_le(&reader, 2), NULL);
        kb_recognise_inner(r, "deleg", kb_get_bytes(&reader, kb_get_le(&reader, 2)));
    }
    if (!reader.bad && reader.rest.len > 0) {
        kb_show_octets(r->show, "extensions", reader.rest, false);
    }
    kb_show_close(r->show);
}
