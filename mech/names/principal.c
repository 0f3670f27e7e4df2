#include "mech/names/principal.h"

#include <stdatomic.h>
#include <stdlib.h>

/* --- one heap block: the struct, the list of components, then all text --- */

static struct kb_principal *block_new(size_t num, size_t text_len)
{
    struct kb_principal *principal;

    if (num > (SIZE_MAX / 2 - sizeof(*principal)) / sizeof(kb_string) || text_len > SIZE_MAX / 4) {
        return NULL;
    }
    principal = calloc(1, sizeof(*principal) + num * sizeof(kb_string) + text_len);
    if (principal != NULL) {
        atomic_init(&principal->refs, 1);
        principal->name.name_string.items = (kb_string *)(void *)(principal + 1);
        principal->name.name_string.num = num;
    }
    return principal;
}

static uint8_t *block_text(struct kb_principal *principal)
{
    return (uint8_t *)(principal->name.name_string.items + principal->name.name_string.num);
}

static kb_bytes put(uint8_t **text, kb_bytes part)
{
    kb_bytes copy = kb_bytes_of(*text, part.len);

    if (part.len > 0) {
        memcpy(*text, part.ptr, part.len);
        *text += part.len;
    }
    return copy;
}

struct kb_principal *kb_principal_new(kb_bytes realm, const kb_principal_name *name)
{
    const kb_string_list *parts = &name->name_string;
    struct kb_principal *principal;
    size_t text_len = realm.len;
    uint8_t *text;

    for (size_t i = 0; i < parts->num; i++) {
        text_len += parts->items[i].len;
    }
    principal = block_new(parts->num, text_len);
    if (principal == NULL) {
        return NULL;
    }
    text = block_text(principal);
    principal->name.name_type = name->name_type;
    for (size_t i = 0; i < parts->num; i++) {
        principal->name.name_string.items[i] = put(&text, parts->items[i]);
    }
    principal->realm = put(&text, realm);
    return principal;
}

struct kb_principal *kb_principal_service(kb_bytes service, kb_bytes host, kb_bytes realm)
{
    kb_string parts[] = {service, host};
    kb_principal_name name = {.name_type = KB_NT_SRV_HST,
                              .name_string = {parts, host.len > 0 ? 2 : 1}};

    return kb_principal_new(realm, &name);
}

struct kb_principal *kb_principal_tgs(kb_bytes realm, kb_bytes at)
{
    kb_string parts[] = {KB_LIT("krbtgt"), realm};
    kb_principal_name name = {.name_type = KB_NT_SRV_INST, .name_string = {parts, 2}};

    return kb_principal_new(at, &name);
}

/* The count is the one thing that changes in a principal, so references are lent as const. */
static struct kb_principal *counted(const struct kb_principal *principal)
{
    return (struct kb_principal *)(uintptr_t)principal;
}

struct kb_principal *kb_principal_ref(const struct kb_principal *principal)
{
    if (principal != NULL) {
        atomic_fetch_add_explicit(&counted(principal)->refs, 1, memory_order_relaxed);
    }
    return counted(principal);
}

void kb_principal_free(const struct kb_principal *principal)
{
    if (principal != NULL &&
        atomic_fetch_sub_explicit(&counted(principal)->refs, 1, memory_order_acq_rel) == 1) {
        free(counted(principal));
    }
}

/* --- text form --- */

/* Reads the text form one character at a time; both passes of the parser use it. */
struct scan {
    kb_bytes rest;
    bool enterprise, seen_at, in_realm;
};

enum token { CHARACTER, NEXT_COMPONENT, REALM, END, BAD };

static enum token take_quoted(struct scan *s, uint8_t *out)
{
    static const char from[] = "ntb0", to[] = "\n\t\b";
    const char *at;

    if (s->rest.len == 0 || s->rest.ptr[0] == '\0') {
        return BAD;
    }
    at = strchr(from, s->rest.ptr[0]);
    *out = at != NULL ? (uint8_t)to[at - from] : s->rest.ptr[0];
    s->rest = kb_bytes_of(s->rest.ptr + 1, s->rest.len - 1);
    return CHARACTER;
}

static enum token take(struct scan *s, uint8_t *out)
{
    uint8_t c;

    if (s->rest.len == 0) {
        return END;
    }
    c = s->rest.ptr[0];
    s->rest = kb_bytes_of(s->rest.ptr + 1, s->rest.len - 1);
    if (c == '\\') {
        return take_quoted(s, out);
    }
    if (c == '/' && !s->enterprise) {
        return s->in_realm ? BAD : NEXT_COMPONENT;
    }
    if (c == '@' && (!s->enterprise || s->seen_at)) {
        if (s->in_realm) {
            return BAD;
        }
        s->in_realm = true;
        return REALM;
    }
    /* The first `@` of an enterprise name belongs to it (RFC 6806 5). */
    s->seen_at = s->seen_at || c == '@';
    *out = c;
    return c != '\0' ? CHARACTER : BAD;
}

/* What kb_principal_parse must know before it allocates. */
struct shape {
    size_t num, text_len, first_part_len;
    bool has_realm;
};

static enum kb_status measure(struct scan s, struct shape *out)
{
    enum token token;
    uint8_t c;

    *out = (struct shape){.num = 1};
    while ((token = take(&s, &c)) != END) {
        if (token == BAD) {
            return KB_MALFORMED;
        }
        out->num += token == NEXT_COMPONENT;
        out->text_len += token == CHARACTER;
        out->first_part_len += token == CHARACTER && out->num == 1 && !s.in_realm;
        out->has_realm = out->has_realm || token == REALM;
    }
    return out->num > 1 || out->first_part_len > 0 ? KB_OK : KB_MALFORMED;
}

static void fill(struct scan s, struct kb_principal *principal, uint8_t *text)
{
    kb_string *part = principal->name.name_string.items;
    enum token token;
    uint8_t c;

    *part = kb_bytes_of(text, 0);
    while ((token = take(&s, &c)) != END) {
        if (token == CHARACTER) {
            *text++ = c;
            part->len++;
        } else {
            part = token == REALM ? &principal->realm : part + 1;
            *part = kb_bytes_of(text, 0);
        }
    }
}

/* As MIT infers it (RFC 4120 7.3, RFC 6111 3.1); KDCs treat the type as a hint. */
static int32_t inferred_type(const kb_string_list *parts)
{
    if (parts->num == 2 && kb_equal(parts->items[0], KB_LIT("krbtgt"))) {
        return KB_NT_SRV_INST;
    }
    return parts->num >= 2 && kb_equal(parts->items[0], KB_LIT("WELLKNOWN")) ? KB_NT_WELLKNOWN
                                                                             : KB_NT_PRINCIPAL;
}

enum kb_status kb_principal_parse(kb_bytes text, int32_t name_type, kb_bytes default_realm,
                                  struct kb_principal **out)
{
    struct scan scan = {.rest = text, .enterprise = name_type == KB_NT_ENTERPRISE};
    struct kb_principal *principal;
    struct shape shape;
    uint8_t *end;

    *out = NULL;
    if (measure(scan, &shape) != KB_OK) {
        return KB_MALFORMED;
    }
    principal = block_new(shape.num, shape.text_len + default_realm.len);
    if (principal == NULL) {
        return KB_NO_MEMORY;
    }
    fill(scan, principal, block_text(principal));
    if (!shape.has_realm) {
        end = block_text(principal) + shape.text_len;
        principal->realm = put(&end, default_realm);
    }
    principal->name.name_type =
        name_type == KB_NT_PRINCIPAL ? inferred_type(&principal->name.name_string) : name_type;
    *out = principal;
    return KB_OK;
}

static const char *escape_of(uint8_t c)
{
    switch (c) {
    case '/':
        return "\\/";
    case '@':
        return "\\@";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\t':
        return "\\t";
    case '\b':
        return "\\b";
    case '\0':
        return "\\0";
    default:
        return NULL;
    }
}

/* Appends one component or a realm; runs without a special character go through `add`. */
static void add_part(struct kb_buf *out, kb_bytes part, void (*add)(struct kb_buf *, kb_bytes))
{
    size_t from = 0;

    for (size_t i = 0; i < part.len; i++) {
        const char *escape = escape_of(part.ptr[i]);

        if (escape != NULL) {
            add(out, kb_bytes_of(part.ptr + from, i - from));
            kb_buf_add_str(out, escape);
            from = i + 1;
        }
    }
    if (part.len > from) {
        add(out, kb_bytes_of(part.ptr + from, part.len - from));
    }
}

static void add_name(struct kb_buf *out, const kb_principal_name *name, kb_bytes realm,
                     void (*add)(struct kb_buf *, kb_bytes))
{
    for (size_t i = 0; i < name->name_string.num; i++) {
        if (i > 0) {
            kb_buf_add_str(out, "/");
        }
        add_part(out, name->name_string.items[i], add);
    }
    if (realm.len > 0) {
        kb_buf_add_str(out, "@");
        add_part(out, realm, add);
    }
}

void kb_principal_unparse(const struct kb_principal *principal, struct kb_buf *out)
{
    add_name(out, &principal->name, principal->realm, kb_buf_add);
}

void kb_name_print(const kb_principal_name *name, kb_bytes realm, struct kb_buf *out)
{
    add_name(out, name, realm, kb_buf_add_escaped);
}

/* --- comparison --- */

bool kb_name_equal(const kb_principal_name *a, const kb_principal_name *b)
{
    if (a->name_string.num != b->name_string.num) {
        return false;
    }
    for (size_t i = 0; i < a->name_string.num; i++) {
        if (!kb_equal(a->name_string.items[i], b->name_string.items[i])) {
            return false;
        }
    }
    return true;
}

bool kb_principal_equal(const struct kb_principal *a, const struct kb_principal *b)
{
    return kb_equal(a->realm, b->realm) && kb_name_equal(&a->name, &b->name);
}

bool kb_name_is_tgs(const kb_principal_name *name, kb_bytes *out_realm)
{
    if (name->name_string.num != 2 || !kb_equal(name->name_string.items[0], KB_LIT("krbtgt"))) {
        return false;
    }
    *out_realm = name->name_string.items[1];
    return true;
}
