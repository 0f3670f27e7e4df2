#include "tests/support/context.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "mech/protocol/token_format.h"

/* 1.2.840.113554.1.2.2 */
static const uint8_t krb5_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};

struct kb_ap *context_of(int32_t etype, kb_bytes key, bool acceptor, bool acceptor_subkey,
                         uint64_t first)
{
    struct kb_ap *ap = kb_ap_alloc();

    if (ap == NULL || kb_key_new(etype, key, &ap->message_key) != KB_OK) {
        abort();
    }
    ap->mech = kb_bytes_of(krb5_oid, sizeof(krb5_oid));
    ap->state = KB_AP_ESTABLISHED;
    ap->acceptor = acceptor;
    ap->acceptor_subkey = acceptor_subkey;
    atomic_init(&ap->send_seq, 0);
    context_receives(ap, first);
    return ap;
}

void context_receives(struct kb_ap *ap, uint64_t first)
{
    ap->format = kb_token_format_of(ap->message_key);
    kb_seqstate_init(&ap->received, first, ap->format->wide, true, true);
}

void context_free(struct kb_ap *ap)
{
    if (ap != NULL) {
        if (ap->format->release != NULL) {
            ap->format->release(ap);
        }
        kb_key_free(ap->message_key);
        pthread_mutex_destroy(&ap->lock);
        free(ap);
    }
}
