/* peer.h - another GSS-API library in the place of the one that a program is linked with: the calls
 * of bench_init.c, by pointers. Its structures are those of RFC 2744, which MIT's and Heimdal's
 * share. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <dlfcn.h>
#include <gssapi/gssapi_ext.h>
#include <stdio.h>
#include <stdlib.h>

#define PEER_CALLS(C)                                                                              \
    C(gss_acquire_cred)                                                                            \
    C(gss_acquire_cred_with_password)                                                              \
    C(gss_delete_sec_context)                                                                      \
    C(gss_display_status)                                                                          \
    C(gss_import_name)                                                                             \
    C(gss_indicate_mechs)                                                                          \
    C(gss_init_sec_context)                                                                        \
    C(gss_release_buffer)

#define PEER_POINTER(name) __typeof__(name) *name;
static struct {
    PEER_CALLS(PEER_POINTER)
} peer;

/* Ends the program where BENCH_GSSAPI names no such library. */
static void peer_load(void)
{
    const char *path = getenv("BENCH_GSSAPI");
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;

    if (!library) {
        fprintf(stderr, "BENCH_GSSAPI: %s\n", path ? dlerror() : "not set");
        exit(2);
    }
#define PEER_FIND(name)                                                                            \
    *(void **)&peer.name = dlsym(library, #name);                                                  \
    if (!peer.name)                                                                                \
        exit(2);
    PEER_CALLS(PEER_FIND)
#undef PEER_FIND
}

#define gss_acquire_cred peer.gss_acquire_cred
#define gss_acquire_cred_with_password peer.gss_acquire_cred_with_password
#define gss_delete_sec_context peer.gss_delete_sec_context
#define gss_display_status peer.gss_display_status
#define gss_import_name peer.gss_import_name
#define gss_indicate_mechs peer.gss_indicate_mechs
#define gss_init_sec_context peer.gss_init_sec_context
#define gss_release_buffer peer.gss_release_buffer

#endif
