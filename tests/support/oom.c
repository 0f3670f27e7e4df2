#include "tests/support/oom.h"

#include <stdbool.h>
#include <stddef.h>

static _Atomic unsigned long count;
static _Atomic long left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t num, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t num, size_t size);
void *__wrap_realloc(void *old, size_t size);

void oom_fail_after(long num)
{
    left = num;
}

unsigned long oom_count(void)
{
    return count;
}

static bool fails(void)
{
    count++;
    return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t num, size_t size)
{
    return fails() ? NULL : __real_calloc(num, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}
