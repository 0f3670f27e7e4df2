#include "mech/spi/late.h"

#include <dlfcn.h>

/* In the place of a function of any parameters: all of them return a major status. */
static OM_uint32 absent(void)
{
    return GSS_S_UNAVAILABLE;
}

/* By way of a function that is linked: hosts like Java open libgssapi RTLD_LOCAL, and there may be
 * more than one. The handle is not closed: libgssapi is there as long as we are. */
static void *library(void)
{
    static _Atomic(void *) handle;
    void *found = atomic_load(&handle);
    Dl_info linked;

    if (found == NULL && dladdr((void *)gss_release_oid_set, &linked) != 0) {
        found = dlopen(linked.dli_fname, RTLD_NOW | RTLD_NOLOAD);
        atomic_store(&handle, found);
    }
    return found;
}

void *kb_late_find(_Atomic(void *) *at, const char *name)
{
    void *from = library(), *found = from != NULL ? dlsym(from, name) : NULL;

    if (found == NULL) {
        found = (void *)absent;
    }
    atomic_store_explicit(at, found, memory_order_release);
    return found;
}
