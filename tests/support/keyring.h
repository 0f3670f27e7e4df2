/* keyring.h - a KEYRING: cache for tests, in a session keyring of this process alone.
 *
 * keyring_set_up and keyring_tear_down are CMocka's, around each test. Where there are no keyrings,
 * a test is skipped by keyring_fixture_of, its first call. */
#ifndef TEST_KEYRING_H
#define TEST_KEYRING_H

#include "mech/store/cc_keyring.h"

#define KEYRING_NOW 1795462400 /* when the recorded tickets are good */

extern const int32_t keyring_etypes[4];

struct keyring_fixture {
    struct kb_cc_contents *recorded;
    struct kb_credential *tgt;
    const struct kb_principal *owner;
    struct kb_principal *tgs, *server, *other;
    struct kb_wait wait;
    struct kb_ccache *cache;
};

int keyring_set_up(void **state);
int keyring_tear_down(void **state);
struct keyring_fixture *keyring_fixture_of(void **state);
struct keyring_fixture *keyring_with_many_keys(void **state); /* skipped without */
bool keyring_have_keyrings(void);                             /* begins a session keyring */

struct kb_principal *keyring_principal(const char *text);
struct kb_ccache *keyring_cache(const char *name);

/* keyring_store puts the recorded TGT under the name of `server`: f->tgs begins a cache. */
struct kb_cc_store keyring_ticket_for(const struct keyring_fixture *f,
                                      const struct kb_principal *server);
void keyring_store(struct keyring_fixture *f, struct kb_ccache *cache,
                   const struct kb_principal *server);
struct kb_cc_contents *keyring_load(struct keyring_fixture *f, struct kb_ccache *cache);
void keyring_assert_holds(struct keyring_fixture *f, struct kb_ccache *cache,
                          const struct kb_principal *server, bool holds);

/* keyring_ring_of is the collection's keyring, or that of a cache in it. */
kb_key_serial keyring_ring_of(const char *collection, const char *name);
size_t keyring_num_keys(kb_key_serial ring);

#define KEYRING_TEST(name) cmocka_unit_test_setup_teardown(name, keyring_set_up, keyring_tear_down)

#endif
