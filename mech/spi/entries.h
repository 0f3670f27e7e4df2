/* entries.h - the declarations of all entry points, out of entries.def, and what each begins with.
 *
 * An entry runs in somebody else's program: it keeps errno, and it refuses to be called from below
 * itself without end (a re-entry that the mechglue sends back to us; see forward.h). */
#ifndef KB_ENTRIES_H
#define KB_ENTRIES_H

#include "asn1/bytes.h"
#include "mech/spi/late.h"

#define KB_EXPORT __attribute__((visibility("default")))

/* gss_mech_interposer is what libgssapi calls first: once, under its list lock. */
KB_EXPORT gss_OID_set gss_mech_interposer(gss_OID own);

#define KB_ENTRY(name, parameters) KB_EXPORT OM_uint32 gssi_##name parameters;
#define KB_CONTEXT_ENTRY(name, parameters, arguments, ours) KB_ENTRY(name, parameters)
#define KB_NAME_ENTRY(name, parameters, arguments) KB_ENTRY(name, parameters)
#include "mech/spi/entries.def"
#undef KB_ENTRY
#undef KB_CONTEXT_ENTRY
#undef KB_NAME_ENTRY

/* KB_ARGS (a, b) gives `, a, b`: the arguments of a row behind those that we choose. */
#define KB_ARGS(...) , __VA_ARGS__

/* How deep a thread may be in us. More than one level is legitimate: a resolver's module below the
 * platform's Kerberos may itself speak GSS-API (LDAP). */
#define KB_MAX_DEPTH 8u

struct kb_entry {
    int saved_errno;
    unsigned depth;
};

struct kb_entry kb_enter(void);
void kb_leave(struct kb_entry *entry);
OM_uint32 kb_refuse_entry(OM_uint32 *minor);

/* KB_ENTER begins every entry; what it took is given back on every return. */
#define KB_ENTER(minor)                                                                            \
    __attribute__((cleanup(kb_leave))) struct kb_entry kb_entry_ = kb_enter();                     \
    if ((minor) == NULL || kb_entry_.depth > KB_MAX_DEPTH) {                                       \
        return kb_refuse_entry(minor);                                                             \
    }                                                                                              \
    *(minor) = 0

#endif
