/* client.h - what a protocol machine needs from outside, for tests: a clock that stands still, a
 * password or a keytab, randomness that is recorded or repeats itself, and a policy. */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include "mech/protocol/fetch.h"
#include "tests/support/wire.h"

struct client {
    struct kb_env env;
    struct kb_timestamp now;
    uint64_t seed; /* of the randomness, where none is recorded */
    struct wire_rng recorded;
    struct kb_policy policy;
    int32_t etypes[16];
    struct kb_principal *principal;
    struct kb_key_source keys;
    kb_bytes password;
    struct {
        int32_t etype;
        struct kb_key *key;
    } keytab[8];
    size_t num_keytab;
    unsigned num_derived;  /* string-to-key runs */
    struct kb_arena arena; /* what the policy points to */
};

/* client_init: alice@TEST with the password "secret", the AES enctypes, low iteration bounds, and a
 * clock at 2026-11-23 12:00:00. */
void client_init(struct client *client);

/* client_of_wire takes over a recording: its principal, secret, enctypes and lifetimes from the
 * AS-REQ with index `n`, and the clock of the encrypted timestamp where there is one. Randomness is
 * what is added to client->recorded. */
void client_of_wire(struct client *client, struct wire *wire, size_t n);

/* client_use_keytab replaces the password by the keys that are added. */
void client_use_keytab(struct client *client);
void client_add_key(struct client *client, int32_t etype, kb_bytes raw);

void client_wipe(struct client *client);

#endif
