/* libssl.h - what of libssl, and of libcrypto's X.509, Kerbside uses: one list, private to crypto/.
 *
 * Loaded as libcrypto is (openssl.h), and only once a KDC proxy is spoken to: 700 KiB and 2 ms that
 * no other process pays. Libssl starts itself with OPENSSL_init_ssl, which reads openssl.cnf into
 * the default library context unless that was done: the one thing of the host's that we cannot
 * leave alone. It is what the host's own first use of OpenSSL does; to forbid it
 * (OPENSSL_INIT_NO_LOAD_CONFIG) would hold for the host as well. */
#ifndef KB_LIBSSL_H
#define KB_LIBSSL_H

#include "crypto/openssl.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* clang-format off */
#define KB_LIBSSL_FUNCTIONS(F) \
    F(OSSL_default_cipher_list) \
    F(OSSL_default_ciphersuites) \
    F(SSL_CTX_ctrl) \
    F(SSL_CTX_free) \
    F(SSL_CTX_load_verify_dir) \
    F(SSL_CTX_load_verify_file) \
    F(SSL_CTX_new_ex) \
    F(SSL_CTX_set_cipher_list) \
    F(SSL_CTX_set_ciphersuites) \
    F(SSL_CTX_set_default_verify_paths) \
    F(SSL_CTX_set_options) \
    F(SSL_CTX_set_security_level) \
    F(SSL_CTX_set_verify) \
    F(SSL_CTX_up_ref) \
    F(SSL_ctrl) \
    F(SSL_do_handshake) \
    F(SSL_free) \
    F(SSL_get_ex_data) \
    F(SSL_get_ex_data_X509_STORE_CTX_idx) \
    F(SSL_get_shutdown) \
    F(SSL_new) \
    F(SSL_read_ex) \
    F(SSL_set1_host) \
    F(SSL_set_bio) \
    F(SSL_set_connect_state) \
    F(SSL_set_ex_data) \
    F(SSL_set_hostflags) \
    F(SSL_write_ex) \
    F(TLS_client_method)

#define KB_X509_FUNCTIONS(F) \
    F(ASN1_STRING_get0_data) \
    F(ASN1_STRING_length) \
    F(ASN1_TIME_to_tm) \
    F(BIO_ctrl) \
    F(BIO_free) \
    F(BIO_new) \
    F(BIO_read) \
    F(BIO_s_mem) \
    F(BIO_write) \
    F(ERR_new) \
    F(ERR_peek_last_error) \
    F(ERR_reason_error_string) \
    F(ERR_set_error) \
    F(GENERAL_NAMES_free) \
    F(GENERAL_NAME_get0_value) \
    F(OPENSSL_sk_num) \
    F(OPENSSL_sk_value) \
    F(X509_NAME_ENTRY_get_data) \
    F(X509_NAME_entry_count) \
    F(X509_NAME_get_entry) \
    F(X509_NAME_get_index_by_NID) \
    F(X509_STORE_CTX_get_current_cert) \
    F(X509_STORE_CTX_get_error) \
    F(X509_STORE_CTX_get_error_depth) \
    F(X509_STORE_CTX_get_ex_data) \
    F(X509_get0_notAfter) \
    F(X509_get0_notBefore) \
    F(X509_get_default_cert_dir) \
    F(X509_get_default_cert_dir_env) \
    F(X509_get_default_cert_file) \
    F(X509_get_default_cert_file_env) \
    F(X509_get_ext_d2i) \
    F(X509_get_issuer_name) \
    F(X509_get_subject_name) \
    F(X509_verify_cert_error_string)
/* clang-format on */

struct kb_libssl {
#define KB_OPENSSL_MEMBER(name) __typeof__(name) *name;
    KB_LIBSSL_FUNCTIONS(KB_OPENSSL_MEMBER)
    KB_X509_FUNCTIONS(KB_OPENSSL_MEMBER)
#undef KB_OPENSSL_MEMBER
    void *handle; /* dlopen's, of libssl */
};

/* kb_libssl_load loads libcrypto and libssl, once in a process; *out is lent for good.
 * KB_NO_CRYPTO: kb_provider_error says why; it is tried again by the next call. */
KB_MUST_USE enum kb_status kb_libssl_load(const struct kb_libssl **out);

#endif
