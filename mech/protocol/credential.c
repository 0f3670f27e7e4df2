#include "mech/protocol/credential.h"

#include <stdatomic.h>
#include <stdlib.h>

static kb_bytes copy_to(uint8_t *to, kb_bytes from)
{
    if (from.len > 0) {
        memcpy(to, from.ptr, from.len);
    }
    return kb_bytes_of(to, from.len);
}

struct kb_credential *kb_credential_new(const struct kb_credential *parts)
{
    struct kb_credential *credential =
        malloc(sizeof(*credential) + parts->ticket.len + parts->addresses.len);
    uint8_t *bytes;

    if (credential == NULL) {
        return NULL;
    }
    bytes = (uint8_t *)(credential + 1);
    *credential = *parts;
    credential->ticket = copy_to(bytes, parts->ticket);
    credential->addresses = copy_to(bytes + parts->ticket.len, parts->addresses);
    credential->client = kb_principal_ref(parts->client);
    credential->server = kb_principal_ref(parts->server);
    credential->session_key = kb_key_ref(parts->session_key);
    atomic_init(&credential->refs, 1);
    return credential;
}

struct kb_credential *kb_credential_ref(struct kb_credential *credential)
{
    atomic_fetch_add_explicit(&credential->refs, 1, memory_order_relaxed);
    return credential;
}

void kb_credential_free(struct kb_credential *credential)
{
    if (credential == NULL ||
        atomic_fetch_sub_explicit(&credential->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    kb_principal_free(credential->client);
    kb_principal_free(credential->server);
    kb_key_free(credential->session_key);
    kb_free_secret(credential,
                   sizeof(*credential) + credential->ticket.len + credential->addresses.len);
}
