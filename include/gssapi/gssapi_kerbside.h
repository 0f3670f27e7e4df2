/* gssapi_kerbside.h - what Kerbside adds to GSS-API.
 *
 * A program needs none of this: Kerbside takes part in the krb5 mechanism, and is configured by
 * files and environment (kerbside(8)). With it a program can set and ask options, be told of events
 * and interrupt calls: for the process, for one credential, for one context. Where the plugin is
 * not installed, every such call answers GSS_S_BAD_MECH (process) or GSS_S_UNAVAILABLE.
 *
 *                process                         credential                 context
 *   configure    gssspi_mech_invoke              gss_set_cred_option        gss_set_sec_context_option
 *   query        gssspi_mech_invoke              gss_inquire_cred_by_oid    gss_inquire_sec_context_by_oid
 *   reset        gssspi_mech_invoke              gss_set_cred_option        -
 *   interrupt    gssspi_mech_invoke              gss_set_cred_option        -
 *   callbacks    gssspi_mech_invoke              gss_set_cred_option        -
 *
 * The functions below do each in one line. Options are those of kerbside(8). They may also stand as
 * keys in the store of gss_acquire_cred_from. Of the process's own (layer 5b), credentials and
 * contexts made afterwards take notice. A credential has to be one that was acquired, a context one
 * that has made its first token: libgssapi shows us none before. All functions are safe in any
 * thread. They return a GSS major status; the sentence behind *minor is gss_display_status's.
 *
 * An OID is a constant: static gss_OID_desc mech = KERBSIDE_MECH_OID; */
#ifndef GSSAPI_KERBSIDE_H
#define GSSAPI_KERBSIDE_H

#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>

/* Kerbside itself, as its line in /etc/gss/mech.d names it: 1.3.6.1.4.1.32473.88.1. (32473 is the
 * enterprise number for examples; this OID is never sent to a peer.) Those below are its children:
 * 1 configure, 2 query, 3 reset, 4 interrupt, 5 callbacks. */
#define KERBSIDE_MECH_OID {10, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01"}

/* The value is "NAME=VALUE". */
#define KERBSIDE_CONFIGURE_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x01"}

/* For gssspi_mech_invoke the value is a struct kerbside_query. For gss_inquire_*_by_oid the option's
 * name follows in the OID, an arc for each of its characters (KERBSIDE_QUERY_OID.85.115.101.114 is
 * User); the answer is one buffer. */
#define KERBSIDE_QUERY_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x02"}

/* Every option back to its default, secrets wiped; no value. */
#define KERBSIDE_RESET_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x03"}

/* The value is a struct kerbside_interrupt, filled by the call. */
#define KERBSIDE_INTERRUPT_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x04"}

/* The value is a struct kerbside_callbacks, copied; an empty value takes the callbacks away. */
#define KERBSIDE_CALLBACKS_OID {11, (void *)"\x2b\x06\x01\x04\x01\x81\xfd\x59\x58\x01\x05"}

/* Structs begin with their size, so that they can grow. */
struct kerbside_query {
    size_t size;
    const char *name;      /* of an option, case ignored */
    gss_buffer_desc value; /* the answer: gss_release_buffer. Secrets are masked */
};

/* interrupt(argument) ends the calls in progress within 100 ms: they fail with "interrupted". It may
 * be called from any thread and from a signal handler; with none in progress it does nothing. That
 * of the process stays valid for ever, that of a credential as long as the credential. */
struct kerbside_interrupt {
    size_t size;
    void (*interrupt)(void *argument);
    void *argument;
};

/* Called in the thread of the GSS-API call that they tell of, never while Kerbside holds a lock; they
 * may call GSS-API again. Members may be NULL. */
struct kerbside_callbacks {
    size_t size;
    void *argument;
    /* level: 1 Info, 2 Verbose, 3 Debug, up to LogLevel; type is that word. */
    void (*log)(void *argument, int level, const char *message, const char *type);
    /* direction: 0 from the client, 1 from the server, 2 about them; a readable dump. */
    void (*pitrail)(void *argument, int direction, const char *message);
    /* code: 950-954, 10004-10071, 11001-11004, … */
    void (*error)(void *argument, int code, const char *description);
    /* At least every 100 ms while the network is waited for, if GUIAvailable is True. Not 0: the
     * call ends as if it had been interrupted. */
    int (*wait)(void *argument);
    /* Once, when none of the others will be called any more. */
    void (*release)(void *argument);
};

#endif
