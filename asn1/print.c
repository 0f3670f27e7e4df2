#include "asn1/print.h"

#include "asn1/names.h"
#include "asn1/table.h"
#include "asn1/types.h"

#include <stdio.h>

#define MAX_DEPTH 24         /* of nested dumps */
#define CEILING (256 * 1024) /* of what is decoded only to be shown */

struct printer {
    struct kb_show *show;
    struct kb_arena *arena; /* for RAW types and the contents of octets */
    const struct kb_print_how *how;
};

static void print_fields(struct printer *p, const struct kb_type *type, const void *value);
static void print_value(struct printer *p, const struct kb_type *type, const char *field,
                        const void *value);

static bool failed(const struct printer *p)
{
    return p->show->out->status != KB_OK;
}

/* Shows `der` as a `type`; false if it is none. */
static bool print_der(struct printer *p, const struct kb_type *type, const char *field,
                      kb_bytes der)
{
    void *value;

    /* Octets may hold types that hold octets… */
    if (p->show->depth > MAX_DEPTH) {
        return false;
    }
    value = kb_arena_alloc(p->arena, type->size);
    if (value == NULL || kb_decode(type, der, p->arena, value, NULL) != KB_OK) {
        return false;
    }
    print_value(p, type, field, value);
    return true;
}

static bool is_primitive(const struct kb_type *type)
{
    return type->kind < KB_KIND_SEQUENCE;
}

static const char *label_of(const struct kb_type *type, const char *field, const void *value)
{
    return type->kind == KB_KIND_OID ? kb_oid_name(*(const kb_bytes *)value)
                                     : kb_number_name(field, *(const int32_t *)value);
}

/* The names of numbers and mechanisms stand in JSON in a list of their own. */
static void print_labels(struct printer *p, const struct kb_type *of,
                         const struct kb_any_list *list, const char *field)
{
    char name[40];

    snprintf(name, sizeof(name), "%s-names", field);
    kb_show_open(p->show, name, KB_SHOW_PLAIN);
    for (size_t i = 0; i < list->num; i++) {
        const char *label = label_of(of, field, (const uint8_t *)list->items + i * of->size);

        if (label != NULL) {
            kb_show_word(p->show, NULL, label);
        } else {
            kb_show_null(p->show, NULL);
        }
    }
    kb_show_close(p->show);
}

static void print_list(struct printer *p, const struct kb_type *type, const char *field,
                       const void *value)
{
    const struct kb_type *of = type->of;
    bool plain = is_primitive(of);
    struct kb_any_list list;

    memcpy(&list, value, sizeof(list));
    kb_show_open(p->show, field, plain ? KB_SHOW_PLAIN : KB_SHOW_ITEMS);
    for (size_t i = 0; i < list.num && !failed(p); i++) {
        const void *item = (const uint8_t *)list.items + i * of->size;

        if (of->kind == KB_KIND_INT32 && field != NULL) {
            const int32_t number = *(const int32_t *)item;

            kb_show_number(p->show, NULL, number, kb_number_name(field, number));
        } else {
            print_value(p, of, NULL, item);
        }
    }
    kb_show_close(p->show);
    if (p->show->json && field != NULL && (of->kind == KB_KIND_INT32 || of->kind == KB_KIND_OID)) {
        print_labels(p, of, &list, field);
    }
}

static void print_number(struct printer *p, const char *field, int64_t value)
{
    kb_show_number(p->show, field, value, field != NULL ? kb_number_name(field, value) : NULL);
}

static void print_raw(struct printer *p, const struct kb_type *type, const char *field,
                      kb_bytes der)
{
    if (!print_der(p, type->of, field, der)) {
        kb_show_octets(p->show, field, der, false);
    }
}

static void print_value(struct printer *p, const struct kb_type *type, const char *field,
                        const void *value)
{
    switch (type->kind) {
    case KB_KIND_INT32:
    case KB_KIND_USEC:
    case KB_KIND_ENUMERATED:
        print_number(p, field, *(const int32_t *)value);
        break;
    case KB_KIND_UINT32:
    case KB_KIND_KVNO:
        print_number(p, field, *(const uint32_t *)value);
        break;
    case KB_KIND_FLAGS:
        kb_show_flags(p->show, field != NULL ? field : "flags", *(const kb_flags *)value);
        break;
    case KB_KIND_OCTETS:
        kb_show_octets(p->show, field, *(const kb_bytes *)value, false);
        break;
    case KB_KIND_STRING:
        kb_show_text(p->show, field, *(const kb_bytes *)value);
        break;
    case KB_KIND_OID:
        kb_show_oid(p->show, field, *(const kb_bytes *)value);
        break;
    case KB_KIND_TIME:
        kb_show_time(p->show, field, *(const kb_time *)value);
        break;
    case KB_KIND_RAW:
        print_raw(p, type, field, *(const kb_bytes *)value);
        break;
    case KB_KIND_APPLICATION:
        print_value(p, type->of, field, value);
        break;
    case KB_KIND_LIST:
        print_list(p, type, field, value);
        break;
    case KB_KIND_SEQUENCE:
        kb_show_open(p->show, field, KB_SHOW_FIELDS);
        print_fields(p, type, value);
        if (p->how->beside != NULL) {
            p->how->beside(p->how->arg, p->show, type, value);
        }
        kb_show_close(p->show);
        break;
    }
}

/* What an OCTET STRING holds, where a number beside it tells. RFC 4120 5.2.6, 5.2.7, 5.9.1. */
static const struct kb_type *contents_of(const struct kb_type *type, const void *value)
{
    if (type == &kb_type_pa_data) {
        switch (((const kb_pa_data *)value)->padata_type) {
        case 1:
            return &kb_type_ap_req;
        case 2:
            return &kb_type_encrypted_data;
        case 11:
            return &kb_type_etype_info;
        case 19:
            return &kb_type_etype_info2;
        default:
            return NULL;
        }
    }
    if (type == &kb_type_authorization_data_entry) {
        switch (((const kb_authorization_data_entry *)value)->ad_type) {
        case 1:
            return &kb_type_authorization_data;
        case 129:
            return &kb_type_int32_list;
        default:
            return NULL;
        }
    }
    return type == &kb_type_krb_error_fields ? &kb_type_method_data : NULL;
}

/* A checksum of GSS-API's (RFC 4121 4.1.1) is no checksum: behind its 24 octets a KRB-CRED may
 * stand, with Heimdal in clear. */
static bool is_secret(const struct kb_type *type, const struct kb_field *field, const void *value)
{
    const kb_checksum *cksum = value;

    if (type == &kb_type_checksum && field->type->kind == KB_KIND_OCTETS) {
        return cksum->cksumtype == 0x8003 && cksum->checksum.len > 24;
    }
    return field->secret;
}

static void print_field(struct printer *p, const struct kb_type *type, const struct kb_field *field,
                        const uint8_t *value)
{
    const void *at = value + field->offset;

    bool secret = is_secret(type, field, value);

    if (secret && p->how->show_secrets) {
        kb_show_octets(p->show, field->name, *(const kb_bytes *)at, true);
    } else if (secret) {
        kb_show_hidden(p->show, field->name, ((const kb_bytes *)at)->len);
    } else if (field->type->kind == KB_KIND_OCTETS) {
        const struct kb_type *contents = contents_of(type, value);

        if (contents == NULL || !print_der(p, contents, field->name, *(const kb_bytes *)at)) {
            kb_show_octets(p->show, field->name, *(const kb_bytes *)at, false);
        }
    } else {
        print_value(p, field->type, field->name, at);
    }
}

static void print_fields(struct printer *p, const struct kb_type *type, const void *value)
{
    const uint8_t *bytes = value;

    for (size_t i = 0; i < type->num_fields && !failed(p); i++) {
        const struct kb_field *field = &type->fields[i];

        if (field->has_offset == KB_ALWAYS || *(const bool *)(bytes + field->has_offset)) {
            print_field(p, type, field, bytes);
        }
    }
}

void kb_print_value(struct kb_show *show, const char *name, const struct kb_type *type,
                    const void *value, const struct kb_print_how *how)
{
    struct kb_arena arena;
    struct printer p = {.show = show, .arena = &arena, .how = how};

    kb_arena_init(&arena, NULL, 0, CEILING);
    print_value(&p, type, name, value);
    kb_arena_wipe(&arena);
}

void kb_print(const struct kb_type *type, const void *value, bool show_secrets, struct kb_buf *out)
{
    const struct kb_print_how how = {.show_secrets = show_secrets};
    struct kb_show show;

    kb_show_init(&show, out, false);
    kb_print_value(&show, type->name, type, value, &how);
}

const struct kb_type *kb_message_type(kb_bytes message)
{
    for (size_t i = 0; message.len > 0 && kb_types[i] != NULL; i++) {
        if (kb_types[i]->kind == KB_KIND_APPLICATION && kb_types[i]->tag == message.ptr[0]) {
            return kb_types[i];
        }
    }
    return NULL;
}

enum kb_status kb_print_message(kb_bytes message, bool show_secrets, struct kb_buf *out,
                                struct kb_why *why)
{
    const struct kb_type *type = kb_message_type(message);
    enum kb_status status = KB_NO_MEMORY;
    struct kb_arena arena;
    void *value;

    if (type == NULL) {
        if (why != NULL) {
            *why = (struct kb_why){"no Kerberos message"};
        }
        return KB_WRONG_TYPE;
    }
    kb_arena_init(&arena, NULL, 0, CEILING);
    value = kb_arena_alloc(&arena, type->size);
    if (value != NULL) {
        status = kb_decode(type, message, &arena, value, why);
    }
    if (status == KB_OK) {
        kb_print(type, value, show_secrets, out);
    }
    kb_arena_wipe(&arena);
    return status;
}

const char *kb_message_name(kb_bytes message)
{
    const struct kb_type *type = kb_message_type(message);

    return type != NULL ? type->name : NULL;
}
