/* provider.h - OpenSSL, loaded when the first key is needed, in a library context of our own.
 *
 * Not linked but opened, for two measured reasons: a process that never logs in pays nothing (1.1
 * ms and 440 KiB otherwise), and RTLD_DEEPBIND keeps libcrypto's own references from binding to
 * another OpenSSL that the host exports (node exports 1,700 of its symbols). Everything of OpenSSL
 * that Kerbside uses stands in one list in crypto/openssl.h, checked against the headers by its
 * types; the default library context is never touched, and nothing here runs from a destructor.
 * Any thread at any time, but under no lock that a fork handler takes: a fork waits for a load. */
#ifndef KB_PROVIDER_H
#define KB_PROVIDER_H

#include "asn1/status.h"
#include "asn1/bytes.h"

/* Which OpenSSL: options UseInternalSecurityAPI and UseFIPSCompliantAPI. */
enum kb_crypto_mode {
    KB_CRYPTO_INTERNAL, /* its default provider, whatever openssl.cnf says */
    KB_CRYPTO_SYSTEM,   /* as the system's openssl.cnf has it: providers, default properties */
    KB_CRYPTO_FIPS,     /* its FIPS provider, and nothing else */
};

/* kb_provider_choose says which one the next kb_provider_load is to load; before it is called,
 * INTERNAL. False: another one is in use already, and stays (it holds for the whole process). */
KB_MUST_USE bool kb_provider_choose(enum kb_crypto_mode mode);

/* kb_provider_mode is the one that is loaded, or will be. */
enum kb_crypto_mode kb_provider_mode(void);

/* kb_provider_load loads OpenSSL and finds what we use, once in a process; later calls cost a load
 * of an atomic. Worth calling while a KDC's answer is awaited (1.7 ms, most of it relocations).
 * KB_NO_CRYPTO: kb_provider_error says why; it is tried again by the next call. */
KB_MUST_USE enum kb_status kb_provider_load(void);

/* kb_provider_loaded tells whether OpenSSL is in this process because of us. */
bool kb_provider_loaded(void);

/* kb_provider_version is the version of the loaded OpenSSL ("3.0.15"), or while none is loaded of
 * the headers that this was built with. */
const char *kb_provider_version(void);

/* kb_provider_error is what stopped the last kb_provider_load, or the last need of a primitive that
 * could not be found (crypto/primitive.h), for a person; "" if nothing did. The text stays valid.
 */
const char *kb_provider_error(void);

/* The fork handlers, for pthread_atfork (mech/process.c). They must be registered well before the
 * first load: a fork that began earlier runs none, and its child may inherit a load that a thread
 * it does not have has begun. Not by a constructor of ours: that is 10 us of page faults in every
 * program that touches GSS-API. */
void kb_provider_fork_prepare(void);
void kb_provider_fork_done(void);

#endif
