#include "asn1/names.h"
#include "asn1/table.h"
#include "asn1/types.h"

#define MAX_DEPTH 24         /* of nested dumps: octets may hold types that hold octets… */
#define SHOWN_OCTETS 32      /* of an OCTET STRING; the rest is only counted */
#define CEILING (256 * 1024) /* of what is decoded only to be shown */

struct printer {
    struct kb_buf *out;
    struct kb_arena *arena; /* for RAW types and the contents of octets */
    bool show_secrets;
    int depth;
};

static void print_fields(struct printer *p, const struct kb_type *type, const void *value);
static void print_value(struct printer *p, const struct kb_type *type, const char *field,
                        const void *value);

/* Starts a line, one step further in than the one that it belongs to ("name: ", whose space goes).
 */
static void new_line(struct printer *p)
{
    if (p->out->len > 0 && p->out->data[p->out->len - 1] == ' ') {
        p->out->len--;
    }
    kb_buf_printf(p->out, "\n%*s", 2 * p->depth, "");
}

static void print_octets(struct printer *p, kb_bytes bytes, bool whole)
{
    kb_buf_printf(p->out, "(%zu byte%s)", bytes.len, bytes.len == 1 ? "" : "s");
    for (size_t i = 0; i < bytes.len && (whole || i < SHOWN_OCTETS); i++) {
        kb_buf_printf(p->out, "%s%02x", i == 0 ? " " : "", bytes.ptr[i]);
    }
    if (!whole && bytes.len > SHOWN_OCTETS) {
        kb_buf_add_str(p->out, "…");
    }
}

static void print_number(struct printer *p, const char *field, int64_t value)
{
    const char *name = kb_number_name(field, value);

    kb_buf_printf(p->out, "%lld", (long long)value);
    if (name != NULL) {
        kb_buf_printf(p->out, " (%s)", name);
    }
}

static void print_string(struct printer *p, kb_bytes text)
{
    kb_buf_add_str(p->out, "\"");
    kb_buf_add_escaped(p->out, text);
    kb_buf_add_str(p->out, "\"");
}

static void print_flags(struct printer *p, const char *field, uint32_t flags)
{
    kb_buf_printf(p->out, "%08x", (unsigned)flags);
    if (flags != 0) {
        kb_buf_add_str(p->out, " (");
        kb_flags_print(field, flags, p->out);
        kb_buf_add_str(p->out, ")");
    }
}

static void print_time(struct printer *p, int64_t time)
{
    struct kb_date date;

    if (time < KB_TIME_MIN || time > KB_TIME_MAX) {
        kb_buf_printf(p->out, "%lld s since 1970", (long long)time);
        return;
    }
    date = kb_date_of(time);
    kb_buf_printf(p->out, "%04d-%02d-%02d %02d:%02d:%02d UTC", date.year, date.month, date.day,
                  date.hour, date.minute, date.second);
}

/* Shows `der` as a `type`; false if it is none. */
static bool print_der(struct printer *p, const struct kb_type *type, kb_bytes der)
{
    void *value = kb_arena_alloc(p->arena, type->size);

    if (p->depth > MAX_DEPTH || value == NULL ||
        kb_decode(type, der, p->arena, value, NULL) != KB_OK) {
        return false;
    }
    print_value(p, type, "", value);
    return true;
}

static bool is_primitive(const struct kb_type *type)
{
    return type->kind < KB_KIND_SEQUENCE;
}

static void print_list(struct printer *p, const struct kb_type *type, const char *field,
                       const void *value)
{
    const struct kb_type *of = type->of;
    struct kb_any_list list;

    memcpy(&list, value, sizeof(list));
    if (list.num == 0) {
        kb_buf_add_str(p->out, "(none)");
    }
    for (size_t i = 0; i < list.num && p->out->status == KB_OK; i++) {
        if (is_primitive(of)) {
            kb_buf_add_str(p->out, i > 0 ? ", " : "");
        } else {
            new_line(p);
            kb_buf_printf(p->out, "[%zu] ", i);
        }
        print_value(p, of, field, (const uint8_t *)list.items + i * of->size);
    }
}

static void print_value(struct printer *p, const struct kb_type *type, const char *field,
                        const void *value)
{
    switch (type->kind) {
    case KB_KIND_INT32:
    case KB_KIND_USEC:
        print_number(p, field, *(const int32_t *)value);
        break;
    case KB_KIND_UINT32:
    case KB_KIND_KVNO:
        print_number(p, field, *(const uint32_t *)value);
        break;
    case KB_KIND_FLAGS:
        print_flags(p, field, *(const kb_flags *)value);
        break;
    case KB_KIND_OCTETS:
        print_octets(p, *(const kb_bytes *)value, false);
        break;
    case KB_KIND_STRING:
        print_string(p, *(const kb_bytes *)value);
        break;
    case KB_KIND_TIME:
        print_time(p, *(const kb_time *)value);
        break;
    case KB_KIND_RAW:
        if (!print_der(p, type->of, *(const kb_bytes *)value)) {
            print_octets(p, *(const kb_bytes *)value, false);
        }
        break;
    case KB_KIND_APPLICATION:
        print_value(p, type->of, field, value);
        break;
    case KB_KIND_LIST:
        p->depth++;
        print_list(p, type, field, value);
        p->depth--;
        break;
    case KB_KIND_SEQUENCE:
        p->depth++;
        print_fields(p, type, value);
        p->depth--;
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

static void print_field(struct printer *p, const struct kb_type *type, const struct kb_field *field,
                        const uint8_t *value)
{
    const void *at = value + field->offset;

    for (const char *c = field->name; *c != '\0'; c++) {
        char name = *c == '_' ? '-' : *c;

        kb_buf_add(p->out, kb_bytes_of(&name, 1));
    }
    kb_buf_add_str(p->out, ": ");
    if (field->secret) {
        if (p->show_secrets) {
            print_octets(p, *(const kb_bytes *)at, true);
        } else {
            kb_buf_printf(p->out, "(%zu bytes, not shown)", ((const kb_bytes *)at)->len);
        }
    } else if (field->type->kind == KB_KIND_OCTETS) {
        const struct kb_type *contents = contents_of(type, value);

        if (contents == NULL || !print_der(p, contents, *(const kb_bytes *)at)) {
            print_octets(p, *(const kb_bytes *)at, false);
        }
    } else {
        print_value(p, field->type, field->name, at);
    }
}

static void print_fields(struct printer *p, const struct kb_type *type, const void *value)
{
    const uint8_t *bytes = value;

    for (size_t i = 0; i < type->num_fields && p->out->status == KB_OK; i++) {
        const struct kb_field *field = &type->fields[i];

        if (field->has_offset == KB_ALWAYS || *(const bool *)(bytes + field->has_offset)) {
            new_line(p);
            print_field(p, type, field, bytes);
        }
    }
}

void kb_print(const struct kb_type *type, const void *value, bool show_secrets, struct kb_buf *out)
{
    struct kb_arena arena;
    struct printer p = {.out = out, .arena = &arena, .show_secrets = show_secrets};

    kb_arena_init(&arena, NULL, 0, CEILING);
    kb_buf_printf(out, "%s: ", type->name);
    print_value(&p, type, "", value);
    kb_buf_add_str(out, "\n");
    kb_arena_wipe(&arena);
}

static const struct kb_type *message_type(kb_bytes message)
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
    const struct kb_type *type = message_type(message);
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
