#include "mech/spi/lucid.h"

#include <stdlib.h>

#include "mech/protocol/token.h"

#define PROTOCOL_OLD 0 /* RFC 1964 and RFC 4757 */
#define PROTOCOL_CFX 1 /* RFC 4121 */

/* MIT names keys of DES by these where they are used as they are. */
#define ENCTYPE_RAW_DES 4
#define ENCTYPE_RAW_DES3 6

static bool copy_key(struct kb_key *key, gss_krb5_lucid_key_t *out)
{
    kb_bytes raw = kb_key_bytes(key);

    out->data = malloc(raw.len);
    if (out->data == NULL) {
        return false;
    }
    memcpy(out->data, raw.ptr, raw.len);
    out->length = (OM_uint32)raw.len;
    out->type = (OM_uint32)kb_key_enctype(key)->etype;
    return true;
}

static bool cfx_keys(const struct kb_ap *ap, gss_krb5_cfx_keydata_t *out)
{
    bool from_acceptor;
    struct kb_key *key = kb_ap_message_key(ap, &from_acceptor);

    out->have_acceptor_subkey = from_acceptor;
    return copy_key(kb_ap_initiator_key(ap), &out->ctx_key) &&
           (!from_acceptor || copy_key(key, &out->acceptor_subkey));
}

static bool old_keys(const struct kb_ap *ap, gss_krb5_rfc1964_keydata_t *out)
{
    struct kb_key *key = kb_ap_message_key(ap, NULL);
    uint16_t sgn_alg = 0, seal_alg = 0;

    (void)kb_old_algorithms(ap, &sgn_alg, &seal_alg);
    out->sign_alg = sgn_alg;
    out->seal_alg = seal_alg;
    if (!copy_key(key, &out->ctx_key)) {
        return false;
    }
    if (out->ctx_key.type == KB_ENCTYPE_DES3_CBC_SHA1) {
        out->ctx_key.type = ENCTYPE_RAW_DES3;
    } else if (out->ctx_key.type != KB_ENCTYPE_RC4_HMAC) {
        out->ctx_key.type = ENCTYPE_RAW_DES;
    }
    return true;
}

gss_krb5_lucid_context_v1_t *kb_lucid_new(const struct kb_ap *ap, int64_t endtime)
{
    gss_krb5_lucid_context_v1_t *lucid = calloc(1, sizeof(*lucid));
    uint16_t ignored;

    if (lucid == NULL) {
        return NULL;
    }
    lucid->version = 1;
    lucid->initiate = 1;
    lucid->endtime = (OM_uint32)endtime;
    lucid->send_seq = kb_ap_send_seq(ap);
    lucid->recv_seq = kb_ap_first_seq(ap);
    lucid->protocol = kb_old_algorithms(ap, &ignored, &ignored) ? PROTOCOL_OLD : PROTOCOL_CFX;
    if (lucid->protocol == PROTOCOL_OLD ? !old_keys(ap, &lucid->rfc1964_kd)
                                        : !cfx_keys(ap, &lucid->cfx_kd)) {
        kb_lucid_free(lucid);
        return NULL;
    }
    return lucid;
}

static void free_key(gss_krb5_lucid_key_t *key)
{
    kb_free_secret(key->data, key->length);
}

void kb_lucid_free(gss_krb5_lucid_context_v1_t *lucid)
{
    if (lucid != NULL) {
        free_key(&lucid->rfc1964_kd.ctx_key);
        free_key(&lucid->cfx_kd.ctx_key);
        free_key(&lucid->cfx_kd.acceptor_subkey);
        kb_free_secret(lucid, sizeof(*lucid));
    }
}
