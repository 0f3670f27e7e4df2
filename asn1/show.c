#include "asn1/show.h"

#include "asn1/date.h"
#include "asn1/names.h"

#define SHOWN_OCTETS 32 /* of many; the rest is only counted */

void kb_show_init(struct kb_show *show, struct kb_buf *out, bool json)
{
    *show = (struct kb_show){.out = out, .json = json};
}

static struct kb_show_level *level(struct kb_show *show)
{
    return &show->levels[show->depth - 1];
}

static bool in_list(struct kb_show *show, enum kb_show_kind kind)
{
    return show->depth > 0 && level(show)->kind == kind;
}

static void indent(struct kb_show *show)
{
    kb_buf_printf(show->out, "%*s", 2 * (show->depth - show->untitled), "");
}

static void put_name(struct kb_show *show, const char *name, const char *suffix)
{
    for (; *name != '\0'; name++) {
        char c = *name == '_' ? '-' : *name;

        kb_buf_add(show->out, kb_bytes_of(&c, 1));
    }
    kb_buf_add_str(show->out, suffix);
}

/* The comma, the line and the name in front of a value. */
static void begin_json(struct kb_show *show, const char *name, const char *suffix)
{
    bool plain = in_list(show, KB_SHOW_PLAIN);

    if (show->depth == 0) {
        return;
    }
    if (level(show)->num++ > 0) {
        kb_buf_add_str(show->out, plain ? ", " : ",");
    }
    if (!plain) {
        kb_buf_printf(show->out, "\n%*s", 2 * show->depth, "");
    }
    if (name != NULL) {
        kb_buf_add_str(show->out, "\"");
        put_name(show, name, suffix);
        kb_buf_add_str(show->out, "\": ");
    }
}

/* The line of an item that is a group, or should have been one. */
static void begin_item(struct kb_show *show)
{
    kb_buf_add_str(show->out, level(show)->num == 0 ? "\n" : "");
    indent(show);
    kb_buf_printf(show->out, "[%zu]", level(show)->num++);
}

static void begin_text(struct kb_show *show, const char *name)
{
    if (in_list(show, KB_SHOW_PLAIN)) {
        kb_buf_add_str(show->out, level(show)->num++ > 0 ? ", " : " ");
    } else if (in_list(show, KB_SHOW_ITEMS)) {
        begin_item(show);
        kb_buf_add_str(show->out, " ");
    } else {
        indent(show);
        put_name(show, name != NULL ? name : "", ": ");
    }
}

static void begin(struct kb_show *show, const char *name)
{
    if (show->json) {
        begin_json(show, name, "");
    } else {
        begin_text(show, name);
    }
}

static void end(struct kb_show *show)
{
    if (!show->json && !in_list(show, KB_SHOW_PLAIN)) {
        kb_buf_add_str(show->out, "\n");
    }
}

static void open_text(struct kb_show *show, const char *name, enum kb_show_kind kind)
{
    if (show->depth == 0) {
        show->untitled = name == NULL;
    }
    if (in_list(show, KB_SHOW_ITEMS)) {
        begin_item(show);
    } else if (name != NULL) {
        indent(show);
        put_name(show, name, ":");
    }
    if (kind == KB_SHOW_FIELDS && (name != NULL || show->depth > 0)) {
        kb_buf_add_str(show->out, "\n");
    }
}

void kb_show_open(struct kb_show *show, const char *name, enum kb_show_kind kind)
{
    if (kb_show_full(show)) {
        if (show->skipped++ == 0) {
            kb_show_word(show, name, "…");
        }
        return;
    }
    if (show->json) {
        begin_json(show, name, "");
        kb_buf_add_str(show->out, kind == KB_SHOW_FIELDS ? "{" : "[");
    } else {
        open_text(show, name, kind);
    }
    show->levels[show->depth++] = (struct kb_show_level){.kind = kind};
}

static void close_json(struct kb_show *show, const struct kb_show_level *closed)
{
    if (closed->num > 0 && closed->kind != KB_SHOW_PLAIN) {
        kb_buf_printf(show->out, "\n%*s", 2 * show->depth, "");
    }
    kb_buf_add_str(show->out, closed->kind == KB_SHOW_FIELDS ? "}" : "]");
    kb_buf_add_str(show->out, show->depth == 0 ? "\n" : "");
}

static void close_text(struct kb_show *show, const struct kb_show_level *closed)
{
    if (closed->kind == KB_SHOW_PLAIN || (closed->kind == KB_SHOW_ITEMS && closed->num == 0)) {
        kb_buf_add_str(show->out, closed->num == 0 ? " (none)\n" : "\n");
    }
}

void kb_show_close(struct kb_show *show)
{
    const struct kb_show_level *closed;

    if (show->skipped > 0) {
        show->skipped--;
        return;
    }
    closed = &show->levels[--show->depth];
    if (show->json) {
        close_json(show, closed);
    } else {
        close_text(show, closed);
    }
}

void kb_show_number(struct kb_show *show, const char *name, int64_t value, const char *label)
{
    begin(show, name);
    kb_buf_printf(show->out, "%lld", (long long)value);
    if (label != NULL && !show->json) {
        kb_buf_printf(show->out, " (%s)", label);
    } else if (label != NULL && name != NULL) {
        begin_json(show, name, "-name");
        kb_buf_add_json(show->out, kb_str(label));
    }
    end(show);
}

void kb_show_bool(struct kb_show *show, const char *name, bool value)
{
    begin(show, name);
    kb_buf_add_str(show->out, show->json ? (value ? "true" : "false") : (value ? "yes" : "no"));
    end(show);
}

void kb_show_null(struct kb_show *show, const char *name)
{
    begin(show, name);
    kb_buf_add_str(show->out, show->json ? "null" : "-");
    end(show);
}

void kb_show_word(struct kb_show *show, const char *name, const char *word)
{
    begin(show, name);
    if (show->json) {
        kb_buf_add_json(show->out, kb_str(word));
    } else {
        kb_buf_add_str(show->out, word);
    }
    end(show);
}

static void show_foreign(struct kb_show *show, const char *name, kb_bytes text, const char *quote)
{
    begin(show, name);
    if (show->json) {
        kb_buf_add_json(show->out, text);
    } else {
        kb_buf_add_str(show->out, quote);
        kb_buf_add_escaped(show->out, text);
        kb_buf_add_str(show->out, quote);
    }
    end(show);
}

void kb_show_text(struct kb_show *show, const char *name, kb_bytes text)
{
    show_foreign(show, name, text, "\"");
}

void kb_show_name(struct kb_show *show, const char *name, kb_bytes text)
{
    show_foreign(show, name, text, "");
}

void kb_show_printf(struct kb_show *show, const char *name, const char *format, ...)
{
    struct kb_buf word;
    va_list args;

    kb_buf_init(&word, show->out->ceiling);
    va_start(args, format);
    kb_buf_vprintf(&word, format, args);
    va_end(args);
    if (word.status == KB_OK) {
        kb_show_word(show, name, kb_buf_str(&word));
    } else if (show->out->status == KB_OK) {
        show->out->status = word.status;
    }
    kb_buf_wipe(&word);
}

static void put_hex(struct kb_show *show, kb_bytes octets, size_t num)
{
    for (size_t i = 0; i < octets.len && i < num && show->out->status == KB_OK; i++) {
        kb_buf_printf(show->out, "%02x", octets.ptr[i]);
    }
}

void kb_show_octets(struct kb_show *show, const char *name, kb_bytes octets, bool whole)
{
    begin(show, name);
    if (show->json) {
        kb_buf_add_str(show->out, "\"");
        put_hex(show, octets, SIZE_MAX);
        kb_buf_add_str(show->out, "\"");
    } else {
        kb_buf_printf(show->out, "(%zu byte%s)%s", octets.len, octets.len == 1 ? "" : "s",
                      octets.len > 0 ? " " : "");
        put_hex(show, octets, whole ? SIZE_MAX : SHOWN_OCTETS);
        kb_buf_add_str(show->out, !whole && octets.len > SHOWN_OCTETS ? "…" : "");
    }
    end(show);
}

void kb_show_hidden(struct kb_show *show, const char *name, size_t len)
{
    if (show->json) {
        begin_json(show, name, "-length");
        kb_buf_printf(show->out, "%zu", len);
    } else {
        begin_text(show, name);
        kb_buf_printf(show->out, "(%zu bytes, not shown)", len);
    }
    end(show);
}

static void flag_names_json(struct kb_show *show, const char *name, uint32_t flags)
{
    const char *comma = "";

    begin_json(show, name, "-names");
    kb_buf_add_str(show->out, "[");
    for (int bit = 0; bit < 32; bit++) {
        if ((flags & 0x80000000u >> bit) != 0) {
            kb_buf_printf(show->out, "%s\"", comma);
            kb_flags_print(name, 0x80000000u >> bit, show->out);
            kb_buf_add_str(show->out, "\"");
            comma = ", ";
        }
    }
    kb_buf_add_str(show->out, "]");
}

void kb_show_flags(struct kb_show *show, const char *name, uint32_t flags)
{
    begin(show, name);
    if (show->json) {
        kb_buf_printf(show->out, "%lu", (unsigned long)flags);
        flag_names_json(show, name, flags);
    } else {
        kb_buf_printf(show->out, "%08lx", (unsigned long)flags);
        if (flags != 0) {
            kb_buf_add_str(show->out, " (");
            kb_flags_print(name, flags, show->out);
            kb_buf_add_str(show->out, ")");
        }
    }
    end(show);
}

void kb_show_oid(struct kb_show *show, const char *name, kb_bytes oid)
{
    const char *label = kb_oid_name(oid);

    begin(show, name);
    if (show->json) {
        kb_buf_add_str(show->out, "\"");
        kb_oid_print(oid, show->out);
        kb_buf_add_str(show->out, "\"");
    } else {
        kb_oid_print(oid, show->out);
    }
    if (label != NULL && !show->json) {
        kb_buf_printf(show->out, " (%s)", label);
    } else if (label != NULL && name != NULL) {
        begin_json(show, name, "-name");
        kb_buf_add_json(show->out, kb_str(label));
    }
    end(show);
}

void kb_show_time(struct kb_show *show, const char *name, int64_t time)
{
    struct kb_date date;

    if (time < KB_TIME_MIN || time > KB_TIME_MAX) {
        kb_show_printf(show, name, "%lld s since 1970", (long long)time);
        return;
    }
    date = kb_date_of(time);
    kb_show_printf(show, name,
                   show->json ? "%04d-%02d-%02dT%02d:%02d:%02dZ"
                              : "%04d-%02d-%02d %02d:%02d:%02d UTC",
                   date.year, date.month, date.day, date.hour, date.minute, date.second);
}
