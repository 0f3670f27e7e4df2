#include "mech/spi/late.h"

#include <dlfcn.h>

/* In the place of a function of any parameters: all of them return a major status. */
static OM_uint32 absent(void)
{
    return GSS_S_UNAVAILABLE;
}

/* Where not all of the libraries that opened us count as ours (musl, under a host that like Java
 * opens libgssapi RTLD_LOCAL): by way of a function that is linked. libgssapi is there as long as
 * we are, so the handle is not needed further. */
static void *find_beside(void *linked, const char *name)
{
    void *found = NULL, *library;
    Dl_info info;

    if (dladdr(linked, &info) != 0) {
        library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
        if (library != NULL) {
            found = dlsym(library, name);
            dlclose(library);
        }
    }
    return found;
}

void *kb_late_find(_Atomic(void *) *at, const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);

    if (found == NULL) {
        found = find_beside((void *)gss_release_oid_set, name);
    }
    if (found == NULL) {
        found = (void *)absent;
    }
    atomic_store_explicit(at, found, memory_order_release);
    return found;
}
