/* What a keytab's keys open in a message: tickets, authenticators, replies, proofs of a password.
 */
#include "asn1/table.h"
#include "cli/messages.h"
#include "cli/recognise.h"
#include "mech/protocol/encpart.h"

#define CHECKSUM_GSS 0x8003
#define PA_ENC_TIMESTAMP 2

/* Whose key it is, is not asked: the MAC tells which one fits. */
static const struct kb_keytab_entry *open_part(struct kb_recogniser *r, uint32_t usage,
                                               const kb_encrypted_data *part, kb_bytes *out)
{
    for (size_t i = 0; r->keytab != NULL && i < r->keytab->num; i++) {
        const struct kb_keytab_entry *entry = &r->keytab->entries[i];

        if (entry->key != NULL &&
            kb_encpart_open(entry->key, usage, part, r->arena, out) == KB_OK) {
            return entry;
        }
    }
    return NULL;
}

static void *decode(struct kb_recogniser *r, const struct kb_type *type, kb_bytes plain)
{
    void *value = kb_arena_alloc(r->arena, type->size);
    struct kb_why ignored;

    return value != NULL && kb_decode(type, plain, r->arena, value, &ignored) == KB_OK ? value
                                                                                       : NULL;
}

static void show_inside(struct kb_recogniser *r, const struct kb_type *type, const void *value,
                        const struct kb_keytab_entry *entry)
{
    const struct kb_print_how how = {.beside = kb_open_parts, .arg = r};
    struct kb_buf with;

    if (entry != NULL) {
        kb_buf_init(&with, 1 << 14);
        kb_principal_unparse(entry->principal, &with);
        kb_show_printf(r->show, "opened-with", "%s kvno %lu", kb_buf_str(&with),
                       (unsigned long)entry->kvno);
        kb_buf_wipe(&with);
    }
    kb_print_value(r->show, type->name, type, value, &how);
}

/* Opens a part with the keytab and shows it. */
static void *open_and_show(struct kb_recogniser *r, const struct kb_type *type, uint32_t usage,
                           const kb_encrypted_data *part)
{
    kb_bytes plain;
    const struct kb_keytab_entry *entry = open_part(r, usage, part, &plain);
    void *value = entry != NULL ? decode(r, type, plain) : NULL;

    if (value != NULL) {
        show_inside(r, type, value, entry);
    }
    return value;
}

/* The authenticator is under the ticket's session key, which only the ticket tells. */
static void open_ap_req(struct kb_recogniser *r, const kb_ap_req_fields *ap_req)
{
    static const uint32_t usages[] = {KB_USAGE_AP_REQ_AUTHENTICATOR,
                                      KB_USAGE_TGS_REQ_AUTHENTICATOR};
    struct kb_key *outer = r->session_key, *key = NULL;
    const kb_enc_ticket_part *inside;
    kb_ticket ticket;
    kb_bytes plain;

    if (r->keytab == NULL || kb_decode_ticket(ap_req->ticket, r->arena, &ticket, NULL) != KB_OK ||
        open_part(r, KB_USAGE_TICKET, &ticket.enc_part, &plain) == NULL) {
        return;
    }
    inside = decode(r, &kb_type_enc_ticket_part, plain);
    if (inside == NULL || kb_key_new(inside->key.keytype, inside->key.keyvalue, &key) != KB_OK) {
        return;
    }
    r->session_key = key;
    for (size_t i = 0; i < sizeof(usages) / sizeof(usages[0]); i++) {
        const void *value =
            kb_encpart_open(key, usages[i], &ap_req->authenticator, r->arena, &plain) == KB_OK
                ? decode(r, &kb_type_authenticator, plain)
                : NULL;

        if (value != NULL) {
            show_inside(r, &kb_type_authenticator, value, NULL);
            break;
        }
    }
    r->session_key = outer;
    kb_key_free(key);
}

/* Heimdal forwards it in clear, with etype 0; else it is under the session key. RFC 4120 3.6. */
static void open_krb_cred(struct kb_recogniser *r, const kb_krb_cred_fields *cred)
{
    kb_bytes plain = cred->enc_part.cipher;
    const void *value = NULL;

    if (cred->enc_part.etype == 0 ||
        (r->session_key != NULL && kb_encpart_open(r->session_key, KB_USAGE_KRB_CRED,
                                                   &cred->enc_part, r->arena, &plain) == KB_OK)) {
        value = decode(r, &kb_type_enc_krb_cred_part, plain);
    }
    if (value != NULL) {
        show_inside(r, &kb_type_enc_krb_cred_part, value, NULL);
    }
}

/* The proof of an AS-REQ. */
static void open_proofs(struct kb_recogniser *r, const kb_kdc_req *req)
{
    for (size_t i = 0; req->has_padata && i < req->padata.num; i++) {
        const kb_pa_data *pa = &req->padata.items[i];
        const kb_encrypted_data *part = NULL;

        if (pa->padata_type == PA_ENC_TIMESTAMP) {
            part = decode(r, &kb_type_encrypted_data, pa->padata_value);
        }
        if (part != NULL) {
            (void)open_and_show(r, &kb_type_pa_enc_ts_enc, KB_USAGE_PA_ENC_TIMESTAMP, part);
        }
    }
}

static void show_beside(struct kb_recogniser *r, const struct kb_type *type, const void *value)
{
    if (type == &kb_type_neg_token_init_fields) {
        kb_recognise_inner(r, "mech-token", ((const kb_neg_token_init *)value)->mech_token);
    } else if (type == &kb_type_neg_token_init2_fields) {
        kb_recognise_inner(r, "mech-token", ((const kb_neg_token_init2 *)value)->mech_token);
    } else if (type == &kb_type_neg_token_resp_fields) {
        kb_recognise_inner(r, "response-token", ((const kb_neg_token_resp *)value)->response_token);
    } else if (type == &kb_type_kdc_proxy_message) {
        kb_recognise_inner(r, "kerb-message", ((const kb_kdc_proxy_message *)value)->kerb_message);
    } else if (type == &kb_type_checksum &&
               ((const kb_checksum *)value)->cksumtype == CHECKSUM_GSS) {
        kb_show_checksum_8003(r, ((const kb_checksum *)value)->checksum);
    }
}

void kb_open_parts(void *recogniser, struct kb_show *show, const struct kb_type *type,
                   const void *value)
{
    struct kb_recogniser *r = recogniser;

    (void)show;
    if (type == &kb_type_ticket_fields) {
        (void)open_and_show(r, &kb_type_enc_ticket_part, KB_USAGE_TICKET,
                            &((const kb_ticket_fields *)value)->enc_part);
    } else if (type == &kb_type_kdc_rep) {
        (void)open_and_show(r, &kb_type_enc_kdc_rep_part, KB_USAGE_AS_REP,
                            &((const kb_kdc_rep *)value)->enc_part);
    } else if (type == &kb_type_kdc_req) {
        open_proofs(r, value);
    } else if (type == &kb_type_ap_req_fields) {
        open_ap_req(r, value);
    } else if (type == &kb_type_krb_cred_fields) {
        open_krb_cred(r, value);
    } else {
        show_beside(r, type, value);
    }
}
