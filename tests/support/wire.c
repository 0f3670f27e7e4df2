#include "tests/support/wire.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

struct block {
    struct block *next;
    uint8_t bytes[];
};

struct wire {
    char name[128];
    json_t *root;
    struct block *blocks; /* decoded hex */
};

static _Noreturn void die(const char *what, const char *where, const char *why)
{
    fprintf(stderr, "tests/wire: %s: %s: %s\n", what, where, why);
    abort();
}

static void full_path(char *out, size_t len, const char *path)
{
    const char *srcdir = getenv("KB_SRCDIR");

    snprintf(out, len, "%s/%s", srcdir != NULL ? srcdir : ".", path);
}

struct wire *wire_load(const char *name)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    char below[256], path[1024];
    json_error_t error;

    snprintf(below, sizeof(below), "tests/wire/%s", name);
    full_path(path, sizeof(path), below);
    snprintf(wire->name, sizeof(wire->name), "%s", name);
    wire->root = json_load_file(path, 0, &error);
    if (wire->root == NULL) {
        die(path, "cannot be read", error.text);
    }
    return wire;
}

void wire_free(struct wire *wire)
{
    if (wire != NULL) {
        while (wire->blocks != NULL) {
            struct block *next = wire->blocks->next;

            free(wire->blocks);
            wire->blocks = next;
        }
        json_decref(wire->root);
        free(wire);
    }
}

const char *wire_name(const struct wire *wire)
{
    return wire->name;
}

/* The first item whose member `key` has the text `value`. */
static json_t *select_item(json_t *array, const char *key, const char *value)
{
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item)
    {
        const char *text = json_string_value(json_object_get(item, key));

        if (text != NULL && strcmp(text, value) == 0) {
            return item;
        }
    }
    return NULL;
}

static json_t *step(json_t *at, char *name)
{
    char *equals = strchr(name, '=');

    if (!json_is_array(at)) {
        return json_object_get(at, name);
    }
    if (equals != NULL) {
        *equals = '\0';
        return select_item(at, name, equals + 1);
    }
    return json_array_get(at, (size_t)strtoul(name, NULL, 10));
}

/* Values in `[…]` may hold dots; everything else is cut at dots and brackets. */
static json_t *find(const struct wire *wire, char *path)
{
    json_t *at = wire->root;

    while (*path != '\0' && at != NULL) {
        bool bracket = *path == '[';
        char *name = path + bracket, *end = name + strcspn(name, bracket ? "]" : ".[");
        char stop = *end;

        *end = '\0';
        at = step(at, name);
        path = end + (stop != '\0' && stop != '[');
        if (stop == '[') {
            *end = '[';
        } else if (bracket && *path == '.') {
            path++;
        }
    }
    return at == NULL || json_is_null(at) ? NULL : at;
}

#define FIND(wire, path, out_path, out)                                                            \
    char out_path[256], scratch_[256];                                                             \
    json_t *out;                                                                                   \
    va_list args_;                                                                                 \
    va_start(args_, path);                                                                         \
    vsnprintf(out_path, sizeof(out_path), path, args_);                                            \
    va_end(args_);                                                                                 \
    memcpy(scratch_, out_path, sizeof(scratch_));                                                  \
    out = find(wire, scratch_)

bool wire_has(const struct wire *wire, const char *path, ...)
{
    FIND(wire, path, at, value);
    return value != NULL;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

kb_bytes wire_hex(struct wire *wire, const char *path, ...)
{
    const char *text;
    struct block *block;
    size_t len;
    FIND(wire, path, at, value);

    text = json_string_value(value);
    if (text == NULL || strlen(text) % 2 != 0) {
        die(wire->name, at, "no hex there");
    }
    len = strlen(text) / 2;
    block = malloc(sizeof(*block) + len);
    block->next = wire->blocks;
    wire->blocks = block;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            die(wire->name, at, "not hex");
        }
        block->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return kb_bytes_of(block->bytes, len);
}

const char *wire_text(const struct wire *wire, const char *path, ...)
{
    const char *text;
    FIND(wire, path, at, value);

    text = json_string_value(value);
    if (text == NULL) {
        die(wire->name, at, "no text there");
    }
    return text;
}

int64_t wire_int(const struct wire *wire, const char *path, ...)
{
    FIND(wire, path, at, value);

    if (!json_is_integer(value)) {
        die(wire->name, at, "no integer there");
    }
    return json_integer_value(value);
}

size_t wire_num(const struct wire *wire, const char *path, ...)
{
    FIND(wire, path, at, value);

    return json_array_size(value);
}

static int is_json(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

void wire_each(const char *folder, void (*each)(struct wire *wire, void *ctx), void *ctx)
{
    char below[256], path[1024], name[512];
    struct dirent **entries;
    int num;

    snprintf(below, sizeof(below), "tests/wire/%s", folder);
    full_path(path, sizeof(path), below);
    num = scandir(path, &entries, is_json, alphasort);
    if (num <= 0) {
        die(path, "folder", "has no recordings");
    }
    for (int i = 0; i < num; i++) {
        struct wire *wire;

        snprintf(name, sizeof(name), "%s/%s", folder, entries[i]->d_name);
        wire = wire_load(name);
        each(wire, ctx);
        wire_free(wire);
        free(entries[i]);
    }
    free(entries);
}

kb_bytes wire_file(const char *path)
{
    char full[1024];
    uint8_t *bytes = NULL;
    FILE *file;
    long len;

    full_path(full, sizeof(full), path);
    file = fopen(full, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (len = ftell(file)) < 0) {
        die(full, "file", "cannot be read");
    }
    rewind(file);
    bytes = malloc((size_t)len + 1);
    if (fread(bytes, 1, (size_t)len, file) != (size_t)len) {
        die(full, "file", "cannot be read");
    }
    fclose(file);
    return kb_bytes_of(bytes, (size_t)len);
}

static enum kb_status draw(void *ctx, uint8_t *out, size_t len)
{
    struct wire_rng *w = ctx;
    char where[48];

    snprintf(where, sizeof(where), "draw %zu of %zu bytes", w->next, len);
    if (w->next == w->num || w->draws[w->next].len != len) {
        die("wire_rng", where,
            w->next == w->num ? "none left" : "the recorded one has another length");
    }
    memcpy(out, w->draws[w->next].ptr, len);
    w->next++;
    return KB_OK;
}

void wire_rng_init(struct wire_rng *w)
{
    *w = (struct wire_rng){.rng = {.fill = draw, .ctx = w}};
}

void wire_rng_add(struct wire_rng *w, kb_bytes bytes)
{
    if (w->num == sizeof(w->draws) / sizeof(w->draws[0])) {
        die("wire_rng", "wire_rng_add", "too many draws");
    }
    w->draws[w->num++] = bytes;
}

bool wire_rng_spent(const struct wire_rng *w)
{
    return w->next == w->num;
}

size_t wire_stride(void)
{
    const char *text = getenv("KB_TEST_STRIDE");
    int stride = text != NULL ? atoi(text) : 1;

    return stride > 0 ? (size_t)stride : 1;
}
