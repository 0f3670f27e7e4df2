#include "tests/support/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/wire.h"

const int32_t keyring_etypes[4] = {17, 18, 19, 20};

bool keyring_have_keyrings(void)
{
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) > 0;
}

struct kb_principal *keyring_principal(const char *text)
{
    struct kb_principal *made;

    assert_int_equal(kb_principal_parse(kb_str(text), KB_NT_PRINCIPAL, KB_NONE, &made), KB_OK);
    return made;
}

struct kb_ccache *keyring_cache(const char *name)
{
    struct kb_error err = {0};
    struct kb_ccache *cache;

    assert_int_equal(kb_ccache_new(name, &cache, &err), KB_OK);
    return cache;
}

int keyring_set_up(void **state)
{
    kb_bytes bytes = wire_file("tests/wire/files/mit-v4.ccache");
    struct keyring_fixture *f = calloc(1, sizeof(*f));
    struct kb_cc_wanted wanted = {.etypes = keyring_etypes, .num_etypes = 4, .now = KEYRING_NOW};

    if (!keyring_have_keyrings()) {
        print_message("no keyrings here: %s\n", strerror(errno));
        free((void *)(uintptr_t)bytes.ptr);
        free(f);
        return 0; /* each test skips */
    }
    f->recorded = kb_cc_contents_new(bytes.len);
    memcpy(f->recorded->image, bytes.ptr, bytes.len);
    free((void *)(uintptr_t)bytes.ptr);
    assert_int_equal(kb_cc_parse(f->recorded), KB_OK);
    f->owner = kb_cc_owner(f->recorded);
    f->tgs = keyring_principal("krbtgt/MIT.TEST@MIT.TEST");
    f->server = keyring_principal("HTTP/srv.mit.test@MIT.TEST");
    f->other = keyring_principal("new/srv.mit.test@MIT.TEST");
    wanted.server = f->tgs;
    assert_int_equal(kb_cc_find(f->recorded, &wanted, &f->tgt, NULL), KB_OK);
    kb_wait_start(&f->wait, 10000, true);
    f->cache = keyring_cache("KEYRING:session:unit");
    *state = f;
    return 0;
}

int keyring_tear_down(void **state)
{
    struct keyring_fixture *f = *state;

    if (f != NULL) {
        kb_wait_stop(&f->wait);
        kb_ccache_put(f->cache);
        kb_credential_free(f->tgt);
        kb_cc_contents_put(f->recorded);
        kb_principal_free(f->tgs);
        kb_principal_free(f->server);
        kb_principal_free(f->other);
        free(f);
    }
    return 0;
}

struct keyring_fixture *keyring_fixture_of(void **state)
{
    if (*state == NULL) {
        skip();
    }
    return *state;
}

/* Others than root may have 200 keys. */
struct keyring_fixture *keyring_with_many_keys(void **state)
{
    if (geteuid() != 0) {
        skip();
    }
    return keyring_fixture_of(state);
}

/* --- what is done with a cache --- */

struct kb_cc_store keyring_ticket_for(const struct keyring_fixture *f,
                                      const struct kb_principal *server)
{
    return (struct kb_cc_store){.owner = f->owner,
                                .server = server,
                                .credential = f->tgt,
                                .fresh = server == f->tgs,
                                .now = KEYRING_NOW};
}

void keyring_store(struct keyring_fixture *f, struct kb_ccache *cache,
                   const struct kb_principal *server)
{
    struct kb_cc_store what = keyring_ticket_for(f, server);
    struct kb_error err = {0};
    struct kb_cc_stamp stamp;

    if (kb_ccache_store(cache, &what, &f->wait, &stamp, &err) != KB_OK) {
        fail_msg("%s", err.text);
    }
}

struct kb_cc_contents *keyring_load(struct keyring_fixture *f, struct kb_ccache *cache)
{
    struct kb_cc_contents *contents;
    struct kb_error err = {0};

    if (kb_ccache_load(cache, &f->wait, &contents, &err) != KB_OK) {
        fail_msg("not loaded: %s", err.text);
    }
    return contents;
}

void keyring_assert_holds(struct keyring_fixture *f, struct kb_ccache *cache,
                          const struct kb_principal *server, bool holds)
{
    struct kb_cc_contents *contents = keyring_load(f, cache);
    struct kb_cc_wanted wanted = {
        .server = server, .etypes = keyring_etypes, .num_etypes = 4, .now = KEYRING_NOW};
    struct kb_credential *found;

    assert_int_equal(kb_cc_find(contents, &wanted, &found, NULL), holds ? KB_OK : KB_NOT_FOUND);
    if (holds) {
        assert_true(kb_equal(found->ticket, f->tgt->ticket));
        assert_int_equal(found->endtime, f->tgt->endtime);
        kb_credential_free(found);
    }
    kb_cc_contents_put(contents);
}

/* The keyring that the cache is. */
kb_key_serial keyring_ring_of(const char *collection, const char *name)
{
    kb_key_serial ring = kb_key_search(KEY_SPEC_SESSION_KEYRING, "keyring", collection, 0);

    assert_true(ring > 0);
    if (name != NULL) {
        ring = kb_key_search(ring, "keyring", name, 0);
        assert_true(ring > 0);
    }
    return ring;
}

size_t keyring_num_keys(kb_key_serial ring)
{
    struct kb_key_payload list = {0};
    size_t num;

    assert_int_equal(kb_key_payload_read(ring, &list), KB_OK);
    num = list.len / sizeof(kb_key_serial);
    kb_key_payload_wipe(&list);
    return num;
}
