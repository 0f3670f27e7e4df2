#include "crypto/tls_fault.h"

#include <stdio.h>
#include <time.h>

#define NAME 64     /* of a certificate's names, what is shown of one */
#define MAX_NAMES 3 /* that are listed */
#define ADVICE "http_anchors in krb5.conf's [realms] can name a file of trusted authorities"

static void show(const uint8_t *from, size_t len, char out[NAME])
{
    size_t kept = len < NAME - 1 ? len : NAME - 1;

    for (size_t i = 0; i < kept; i++) {
        out[i] = from[i] >= 0x20 && from[i] < 0x7f ? (char)from[i] : '?';
    }
    out[kept] = '\0';
}

static void show_string(const struct kb_libssl *f, const ASN1_STRING *string, char out[NAME])
{
    int len = string != NULL ? f->ASN1_STRING_length(string) : 0;

    show(string != NULL ? f->ASN1_STRING_get0_data(string) : NULL, len > 0 ? (size_t)len : 0, out);
}

/* The common name, or the last part that there is. */
static void show_name(const struct kb_libssl *f, const X509_NAME *name, char out[NAME])
{
    int at = f->X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    X509_NAME_ENTRY *entry;

    at = at >= 0 ? at : f->X509_NAME_entry_count(name) - 1;
    entry = at >= 0 ? f->X509_NAME_get_entry(name, at) : NULL;
    show_string(f, entry != NULL ? f->X509_NAME_ENTRY_get_data(entry) : NULL, out);
}

/* "2026-11-30"; UTC. */
static void show_date(const struct kb_libssl *f, const ASN1_TIME *time, char out[NAME])
{
    struct tm tm = {0};

    if (f->ASN1_TIME_to_tm(time, &tm) != 1 || strftime(out, NAME, "%Y-%m-%d", &tm) == 0) {
        snprintf(out, NAME, "a day that cannot be read");
    }
}

/* --- for whom it is --- */

static void show_address(const ASN1_OCTET_STRING *address, const struct kb_libssl *f,
                         char out[NAME])
{
    const uint8_t *b = f->ASN1_STRING_get0_data(address);

    if (f->ASN1_STRING_length(address) == 4) {
        snprintf(out, NAME, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    } else {
        snprintf(out, NAME, "an IPv6 address");
    }
}

static bool show_alternative(const struct kb_libssl *f, const GENERAL_NAME *name, char out[NAME])
{
    int type;
    void *value = f->GENERAL_NAME_get0_value(name, &type);

    if (value != NULL && type == GEN_DNS) {
        show_string(f, value, out);
        return true;
    }
    if (value != NULL && type == GEN_IPADD) {
        show_address(value, f, out);
        return true;
    }
    return false;
}

/* The names that it is for, as far as they are the kind that a host has; else its subject. */
static void list_names(const struct kb_libssl *f, const X509 *cert, char *out, size_t size)
{
    GENERAL_NAMES *names = f->X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int num = names != NULL ? f->OPENSSL_sk_num((const OPENSSL_STACK *)(const void *)names) : 0;
    size_t len = 0;
    char name[NAME];
    int shown = 0;

    out[0] = '\0';
    for (int i = 0; i < num && shown < MAX_NAMES; i++) {
        const GENERAL_NAME *entry =
            f->OPENSSL_sk_value((const OPENSSL_STACK *)(const void *)names, i);

        if (show_alternative(f, entry, name)) {
            int more = snprintf(out + len, size - len, "%s%s", shown > 0 ? ", " : "", name);

            len = more > 0 && (size_t)more < size - len ? len + (size_t)more : len;
            shown++;
        }
    }
    if (shown == 0) {
        show_name(f, f->X509_get_subject_name(cert), name);
        snprintf(out, size, "%s", name);
    }
    f->GENERAL_NAMES_free(names);
}

/* --- --- */

static const char *whose(int depth)
{
    return depth == 0 ? "its certificate" : "the certificate of its authority";
}

void kb_tls_blame(const struct kb_libssl *f, X509_STORE_CTX *store, const char *host,
                  char fault[KB_TLS_FAULT])
{
    int code = f->X509_STORE_CTX_get_error(store);
    int depth = f->X509_STORE_CTX_get_error_depth(store);
    X509 *cert = f->X509_STORE_CTX_get_current_cert(store);
    char text[NAME] = "", names[3 * NAME];

    if (cert == NULL) {
        snprintf(fault, KB_TLS_FAULT, "its certificate: %s",
                 f->X509_verify_cert_error_string(code));
        return;
    }
    switch (code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        list_names(f, cert, names, sizeof(names));
        snprintf(fault, KB_TLS_FAULT, "its certificate is for %.110s, not for %.60s", names, host);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        show_date(f, f->X509_get0_notAfter(cert), text);
        snprintf(fault, KB_TLS_FAULT, "%s expired on %s (by the clock of this host)", whose(depth),
                 text);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        show_date(f, f->X509_get0_notBefore(cert), text);
        snprintf(fault, KB_TLS_FAULT, "%s is not valid before %s (by the clock of this host)",
                 whose(depth), text);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        snprintf(fault, KB_TLS_FAULT,
                 "its certificate is signed by itself, and not trusted here (%s)", ADVICE);
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        show_name(f, f->X509_get_issuer_name(cert), text);
        snprintf(fault, KB_TLS_FAULT,
                 "its certificate comes from \"%s\", which is not trusted here (%s)", text, ADVICE);
        break;
    default:
        show_name(f, f->X509_get_subject_name(cert), text);
        snprintf(fault, KB_TLS_FAULT, "%s (\"%s\"): %s", whose(depth), text,
                 f->X509_verify_cert_error_string(code));
        break;
    }
}
