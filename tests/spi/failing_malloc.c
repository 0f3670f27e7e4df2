/* failing_malloc.c - preloaded: lets the Nth allocation that is made in kerbside.so fail.
 *
 * KB_FAIL_MALLOC=N; 0 or unset: none. Only calls whose return address lies in the plugin count, so
 * that libgssapi's own handling of a short memory is not what is tested. When the process ends, it
 * says on stderr whether the Nth was reached. A program may begin to count where it likes:
 * kb_fail_malloc(N), and ask kb_fail_malloc_reached. */
#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static _Atomic uintptr_t begin, end;
static atomic_long left = -1;

static int find_plugin(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (strstr(info->dlpi_name, "kerbside.so") != NULL) {
        for (unsigned i = 0; i < info->dlpi_phnum; i++) {
            if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X) != 0) {
                begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
                end = begin + info->dlpi_phdr[i].p_memsz;
            }
        }
    }
    return 0;
}

static int fails(void *caller)
{
    static _Thread_local int busy;
    uintptr_t at = (uintptr_t)caller;

    if (left < 0 || busy) {
        return 0;
    }
    if (begin == 0) {
        busy = 1;
        dl_iterate_phdr(find_plugin, NULL);
        busy = 0;
    }
    return begin != 0 && at >= begin && at < end && atomic_fetch_sub(&left, 1) == 1;
}

__attribute__((constructor)) static void set_up(void)
{
    const char *text = getenv("KB_FAIL_MALLOC");

    left = text != NULL && atol(text) > 0 ? atol(text) : -1;
}

__attribute__((visibility("default"))) void kb_fail_malloc(long n);
__attribute__((visibility("default"))) void kb_fail_malloc(long n)
{
    left = n > 0 ? n : -1;
}

__attribute__((visibility("default"))) int kb_fail_malloc_reached(void);
__attribute__((visibility("default"))) int kb_fail_malloc_reached(void)
{
    return left <= 0;
}

__attribute__((destructor)) static void tell(void)
{
    static const char reached[] = "reached\n", missed[] = "not reached\n";

    if (getenv("KB_FAIL_MALLOC") != NULL) {
        (void)!(left <= 0 ? write(2, reached, sizeof(reached) - 1)
                          : write(2, missed, sizeof(missed) - 1));
    }
}

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    if (real_malloc == NULL) {
        real_malloc = (void *(*)(size_t))(uintptr_t)dlsym(RTLD_NEXT, "malloc");
    }
    return fails(__builtin_return_address(0)) ? NULL : real_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t num, size_t size)
{
    static uint8_t early[4096]; /* dlsym itself allocates */
    static size_t used;

    if (real_calloc == NULL) {
        static int looking;

        if (looking) {
            used += (num * size + 15) & ~(size_t)15;
            return used <= sizeof(early) ? early + used - ((num * size + 15) & ~(size_t)15) : NULL;
        }
        looking = 1;
        real_calloc = (void *(*)(size_t, size_t))(uintptr_t)dlsym(RTLD_NEXT, "calloc");
    }
    return fails(__builtin_return_address(0)) ? NULL : real_calloc(num, size);
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t size)
{
    if (real_realloc == NULL) {
        real_realloc = (void *(*)(void *, size_t))(uintptr_t)dlsym(RTLD_NEXT, "realloc");
    }
    return fails(__builtin_return_address(0)) ? NULL : real_realloc(old, size);
}
