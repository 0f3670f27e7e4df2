#include "cli/recognise.h"

#include <stdio.h>

#include "asn1/reader.h"
#include "asn1/table.h"
#include "cli/messages.h"

#define CEILING (64u << 20) /* of what decoding takes: less than four times the largest input */

/* In this order: the first that does not say KB_WRONG_TYPE has it. */
static enum kb_status (*const kinds[])(struct kb_recogniser *, kb_bytes) = {
    kb_recognise_gss,    kb_recognise_message, kb_recognise_spnego,  kb_recognise_per_message,
    kb_recognise_keytab, kb_recognise_ccache,  kb_recognise_kpasswd, kb_recognise_stream,
    kb_recognise_ntlm,   kb_recognise_part,
};

static enum kb_status try_kinds(struct kb_recogniser *r, kb_bytes bytes)
{
    enum kb_status status = KB_WRONG_TYPE;

    if (r->nesting >= KB_MAX_NESTING) {
        return KB_TOO_BIG;
    }
    r->nesting++;
    for (size_t i = 0; status == KB_WRONG_TYPE && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        status = kinds[i](r, bytes);
    }
    r->nesting--;
    return status;
}

enum kb_status kb_recognise(struct kb_recogniser *r, kb_bytes bytes, struct kb_why *why)
{
    struct kb_arena arena;
    enum kb_status status;

    *why = (struct kb_why){""};
    kb_arena_init(&arena, NULL, 0, CEILING);
    r->arena = &arena;
    r->why = why;
    r->nesting = 0;
    r->session_key = NULL;
    status = try_kinds(r, bytes);
    kb_arena_wipe(&arena);
    if (status != KB_OK && status != KB_WRONG_TYPE && why->text[0] == '\0') {
        snprintf(why->text, sizeof(why->text), "%s", kb_status_text(status));
    }
    return status;
}

void kb_recognise_begin(struct kb_recogniser *r, const char *kind)
{
    if (r->nesting == 1 && r->show->json) {
        kb_show_word(r->show, "kind", kind);
    }
}

void kb_recognise_inner(struct kb_recogniser *r, const char *name, kb_bytes bytes)
{
    struct kb_why *why = r->why, inner = {""};
    char title[64];
    enum kb_status status;

    if (bytes.len == 0 || kb_show_full(r->show)) {
        return;
    }
    snprintf(title, sizeof(title), "%s-decoded", name);
    r->why = &inner;
    kb_show_open(r->show, title, KB_SHOW_FIELDS);
    status = try_kinds(r, bytes);
    if (status == KB_WRONG_TYPE) {
        kb_show_word(r->show, "unknown", "no token or message that is known here");
    } else if (status != KB_OK) {
        kb_show_word(r->show, "broken",
                     inner.text[0] != '\0' ? inner.text : kb_status_text(status));
    }
    kb_show_close(r->show);
    r->why = why;
}

enum kb_status kb_show_typed(struct kb_recogniser *r, const struct kb_type *type, kb_bytes bytes)
{
    const struct kb_print_how how = {.beside = kb_open_parts, .arg = r};
    void *value = kb_arena_alloc(r->arena, type->size);
    enum kb_status status;

    if (value == NULL) {
        return KB_NO_MEMORY;
    }
    status = kb_decode(type, bytes, r->arena, value, r->why);
    if (status == KB_OK) {
        kb_recognise_begin(r, type->name);
        kb_print_value(r->show, type->name, type, value, &how);
    }
    return status;
}

/* A whole message: its outermost tag tells which. */
enum kb_status kb_recognise_message(struct kb_recogniser *r, kb_bytes bytes)
{
    const struct kb_type *type = kb_message_type(bytes);

    for (size_t i = 0; type == NULL && bytes.len > 0 && kb_cli_types[i] != NULL; i++) {
        if (kb_cli_types[i]->kind == KB_KIND_APPLICATION && bytes.ptr[0] >> 6 == 1 &&
            kb_cli_types[i]->tag == bytes.ptr[0]) {
            type = kb_cli_types[i];
        }
    }
    return type != NULL ? kb_show_typed(r, type, bytes) : KB_WRONG_TYPE;
}

/* A SEQUENCE has no name: the first of these that it can be. */
enum kb_status kb_recognise_part(struct kb_recogniser *r, kb_bytes bytes)
{
    static const struct kb_type *const parts[] = {
        &kb_type_kdc_proxy_message, &kb_type_kdc_req_body,   &kb_type_enc_kdc_rep_part_fields,
        &kb_type_encrypted_data,    &kb_type_etype_info2,    &kb_type_etype_info,
        &kb_type_method_data,       &kb_type_typed_data,     &kb_type_kerb_error_data,
        &kb_type_pa_enc_ts_enc,     &kb_type_principal_name, &kb_type_authorization_data,
        &kb_type_encryption_key,    &kb_type_checksum,
    };
    struct kb_why ignored;

    if (bytes.len < 2 || bytes.ptr[0] != 0x30) {
        return KB_WRONG_TYPE;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        void *value = kb_arena_alloc(r->arena, parts[i]->size);

        if (value != NULL && kb_decode(parts[i], bytes, r->arena, value, &ignored) == KB_OK) {
            return kb_show_typed(r, parts[i], bytes);
        }
    }
    return KB_WRONG_TYPE;
}

/* Messages as they go over TCP, each behind its length (RFC 4120 7.2.2). */
enum kb_status kb_recognise_stream(struct kb_recogniser *r, kb_bytes bytes)
{
    struct kb_reader reader = kb_reader(bytes);
    uint32_t len = kb_get_u32be(&reader);
    enum kb_status status = KB_OK;

    if (reader.bad || len == 0 || len > reader.rest.len || kb_message_type(reader.rest) == NULL) {
        return KB_WRONG_TYPE;
    }
    kb_recognise_begin(r, "TCP");
    kb_show_open(r->show, "messages", KB_SHOW_ITEMS);
    for (reader = kb_reader(bytes); reader.rest.len > 0 && status == KB_OK;) {
        kb_bytes message;

        len = kb_get_u32be(&reader);
        message = kb_get_bytes(&reader, len);
        if (reader.bad) {
            status = KB_CUT_SHORT;
            break;
        }
        kb_show_open(r->show, NULL, KB_SHOW_FIELDS);
        kb_show_number(r->show, "length", len, NULL);
        status = kb_recognise_message(r, message);
        kb_show_close(r->show);
    }
    kb_show_close(r->show);
    return status == KB_WRONG_TYPE ? KB_MALFORMED : status;
}

/* RFC 3244 2: a request or answer of a change of password, behind its header of six octets. */
enum kb_status kb_recognise_kpasswd(struct kb_recogniser *r, kb_bytes bytes)
{
    struct kb_reader reader = kb_reader(bytes);
    uint16_t len = kb_get_u16be(&reader), version = kb_get_u16be(&reader);
    kb_bytes ap = kb_get_bytes(&reader, kb_get_u16be(&reader));

    if (reader.bad || len != bytes.len || (version != 1 && version != 0xff80)) {
        return KB_WRONG_TYPE;
    }
    kb_recognise_begin(r, "kpasswd");
    kb_show_open(r->show, "kpasswd", KB_SHOW_FIELDS);
    kb_show_number(r->show, "version", version, version == 1 ? "RFC 3244 2" : "set password");
    kb_recognise_inner(r, "ap", ap);
    kb_recognise_inner(r, "message", reader.rest);
    kb_show_close(r->show);
    return KB_OK;
}

/* MS-NLMP 2.2: no Kerberos, but it stands where a token of ours was expected. */
enum kb_status kb_recognise_ntlm(struct kb_recogniser *r, kb_bytes bytes)
{
    static const char *const names[] = {"NEGOTIATE", "CHALLENGE", "AUTHENTICATE"};
    struct kb_reader reader = kb_reader(bytes);
    kb_bytes magic = kb_get_bytes(&reader, 8);
    uint32_t type = kb_get_u32le(&reader);

    if (reader.bad || !kb_equal(magic, kb_bytes_of("NTLMSSP", 8))) {
        return KB_WRONG_TYPE;
    }
    kb_recognise_begin(r, "NTLM");
    kb_show_open(r->show, "NTLM", KB_SHOW_FIELDS);
    kb_show_number(r->show, "type", type, type >= 1 && type <= 3 ? names[type - 1] : NULL);
    kb_show_word(r->show, "note", "this is not Kerberos: the other side fell back to NTLM");
    kb_show_close(r->show);
    return KB_OK;
}

static bool is_text(kb_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] < 0x20 ? strchr("\t\n\r", bytes.ptr[i]) == NULL || bytes.ptr[i] == 0
                                : bytes.ptr[i] == 0x7f) {
            return false;
        }
    }
    return bytes.len > 0;
}

const char *kb_looks_like(kb_bytes bytes)
{
    static const struct {
        uint8_t len;
        char magic[9];
        char name[64];
    } magics[] = {
        {4, "\x0a\x0d\x0d\x0a", "a pcapng capture; Wireshark shows it, and its messages' bytes"},
        {4, "\xd4\xc3\xb2\xa1", "a pcap capture; Wireshark shows it, and its messages' bytes"},
        {4, "\xa1\xb2\xc3\xd4", "a pcap capture; Wireshark shows it, and its messages' bytes"},
        {2, "\x1f\x8b", "a gzip file"},
        {4, "PK\x03\x04", "a zip file"},
        {4,
         "\x7f"
         "ELF",
         "a program"},
        {2, "\x16\x03", "a TLS handshake"},
        {9, "-----BEGI", "PEM"},
        {5, "HTTP/", "an HTTP answer without a Negotiate header"},
        {4, "GET ", "an HTTP request without a Negotiate header"},
        {5, "POST ", "an HTTP request without a Negotiate header"},
        {1, "{", "JSON"},
        {1, "<", "HTML or XML"},
    };

    if (bytes.len == 0) {
        return "nothing at all";
    }
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        if (bytes.len >= magics[i].len && memcmp(bytes.ptr, magics[i].magic, magics[i].len) == 0) {
            return magics[i].name;
        }
    }
    if (bytes.ptr[0] == 0x30) {
        return "another ASN.1 SEQUENCE";
    }
    return is_text(bytes) ? "text" : NULL;
}
