#include "asn1/bytes.h"

#include <stdlib.h>

bool kb_equal(kb_bytes a, kb_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

bool kb_equal_nocase(kb_bytes a, kb_bytes b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool kb_equal_secret(kb_bytes a, kb_bytes b)
{
    volatile uint8_t differ = 0;

    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        differ = (uint8_t)(differ | (a.ptr[i] ^ b.ptr[i]));
    }
    return differ == 0;
}

void kb_wipe(void *ptr, size_t len)
{
    if (len > 0) {
        explicit_bzero(ptr, len);
    }
}

char *kb_strdup(kb_bytes text)
{
    char *copy;

    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL) {
        return NULL;
    }
    copy = malloc(text.len + 1);
    if (copy == NULL) {
        return NULL;
    }
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

void kb_free_secret(void *ptr, size_t len)
{
    if (ptr != NULL) {
        kb_wipe(ptr, len);
        free(ptr);
    }
}
