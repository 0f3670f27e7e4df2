/* mech/store/ccache: caches of MIT, Heimdal and Samba in all versions; what is written and removed;
 * what is no cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mech/store/ccache_format.h"
#include "tests/support/wire.h"

static const char *const files[] = {
    "heimdal-v1",     "heimdal-v2",
    "heimdal-v3",     "heimdal-v4",
    "mit-addresses",  "mit-crossrealm",
    "mit-referral",   "mit-u2u",
    "mit-v1",         "mit-v2",
    "mit-v3",         "mit-v4",
    "samba",          "v4-no-header-tags",
    "v4-time-offset", "v4-unknown-header-tag",
};
#define NUM_FILES (sizeof(files) / sizeof(files[0]))

#define NOW 1795462400 /* when the recorded tickets are good */

static const int32_t all_etypes[] = {17, 18, 19, 20, 23, 25, 26};

static void free_bytes(kb_bytes bytes)
{
    free((void *)(uintptr_t)bytes.ptr);
}

static kb_bytes recorded(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "tests/wire/files/%s.ccache", name);
    return wire_file(path);
}

static struct kb_cc_contents *contents_of(kb_bytes bytes)
{
    struct kb_cc_contents *contents = kb_cc_contents_new(bytes.len);

    assert_non_null(contents);
    if (bytes.len > 0) {
        memcpy(contents->image, bytes.ptr, bytes.len);
    }
    return contents;
}

static struct kb_cc_contents *parsed(kb_bytes bytes)
{
    struct kb_cc_contents *contents = contents_of(bytes);

    assert_int_equal(kb_cc_parse(contents), KB_OK);
    return contents;
}

static struct kb_cc_contents *parsed_recording(const char *name)
{
    kb_bytes bytes = recorded(name);
    struct kb_cc_contents *contents = parsed(bytes);

    free_bytes(bytes);
    return contents;
}

/* --- what is recorded is what is read --- */

static void check_name(struct wire *wire, const char *at, const struct kb_cc_contents *contents,
                       const struct kb_cc_name *name)
{
    struct kb_principal *principal;
    const kb_string_list *parts;

    assert_int_equal(kb_cc_name_principal(contents, name, &principal), KB_OK);
    parts = &principal->name.name_string;
    assert_true(kb_equal(principal->realm, kb_str(wire_text(wire, "%s.realm", at))));
    assert_int_equal(parts->num, wire_num(wire, "%s.components", at));
    for (size_t i = 0; i < parts->num; i++) {
        assert_true(
            kb_equal(parts->items[i], kb_str(wire_text(wire, "%s.components[%zu]", at, i))));
    }
    if (wire_has(wire, "%s.name_type", at)) {
        assert_int_equal(principal->name.name_type, wire_int(wire, "%s.name_type", at));
    }
    assert_true(kb_cc_name_is(contents, name, principal));
    kb_principal_free(principal);
}

static void check_record(struct wire *wire, size_t i, const struct kb_cc_contents *contents)
{
    const struct kb_cc_record *record = kb_cc_record_at(contents, i);
    char at[64];

    snprintf(at, sizeof(at), "credentials[%zu].client", i);
    check_name(wire, at, contents, &record->client);
    snprintf(at, sizeof(at), "credentials[%zu].server", i);
    check_name(wire, at, contents, &record->server);
    assert_int_equal(record->etype, wire_int(wire, "credentials[%zu].key_etype", i));
    if (record->key.len > 0) {
        assert_true(kb_equal(record->key, wire_hex(wire, "credentials[%zu].key", i)));
    }
    assert_int_equal(record->authtime, wire_int(wire, "credentials[%zu].authtime", i));
    assert_int_equal(record->starttime, wire_int(wire, "credentials[%zu].starttime", i));
    assert_int_equal(record->endtime, wire_int(wire, "credentials[%zu].endtime", i));
    assert_int_equal(record->renew_till, wire_int(wire, "credentials[%zu].renew_till", i));
    assert_int_equal(record->is_skey, wire_int(wire, "credentials[%zu].is_skey", i));
    assert_int_equal(record->flags,
                     strtoul(wire_text(wire, "credentials[%zu].ticket_flags_raw", i), NULL, 16));
    assert_int_equal(record->ticket.len, wire_int(wire, "credentials[%zu].ticket_len", i));
    assert_int_equal(record->second_ticket.len,
                     wire_int(wire, "credentials[%zu].second_ticket_len", i));
    assert_int_equal(record->kind == KB_CC_CONFIG, wire_has(wire, "credentials[%zu].config", i));
    if (record->kind == KB_CC_CONFIG &&
        wire_text(wire, "credentials[%zu].config.value", i)[0] != '\0') {
        assert_true(
            kb_equal(record->ticket, kb_str(wire_text(wire, "credentials[%zu].config.value", i))));
    }
}

static void check_contents(struct wire *wire, const struct kb_cc_contents *contents)
{
    assert_int_equal(contents->num, wire_num(wire, "credentials"));
    assert_int_equal(contents->whole, contents->len);
    assert_true(
        kb_equal(contents->owner->realm, kb_str(wire_text(wire, "default_principal.realm"))));
    for (size_t i = 0; i < contents->num; i++) {
        check_record(wire, i, contents);
    }
}

static struct wire *recording(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "files/%s.ccache.json", name);
    return wire_load(path);
}

static void recorded_files(void **state)
{
    (void)state;
    for (size_t f = 0; f < NUM_FILES; f++) {
        struct kb_cc_contents *contents = parsed_recording(files[f]);
        struct wire *wire = recording(files[f]);

        assert_int_equal(contents->version, wire_int(wire, "version"));
        check_contents(wire, contents);
        wire_free(wire);
        kb_cc_contents_put(contents);
    }
}

/* Written again as version 4, each holds the same; one of version 4 byte for byte, but for the
 * order of its header's fields. */
static void written_again(void **state)
{
    (void)state;
    for (size_t f = 0; f < NUM_FILES; f++) {
        struct kb_cc_contents *old = parsed_recording(files[f]), *contents;
        struct wire *wire = recording(files[f]);
        struct kb_buf buf;

        kb_buf_init(&buf, KB_CC_MAX);
        assert_int_equal(kb_cc_put_all(&buf, old, NULL, NULL, NULL), KB_OK);
        contents = parsed(kb_buf_bytes(&buf));
        assert_int_equal(contents->version, 4);
        check_contents(wire, contents);
        assert_int_equal(contents->offset, old->offset);
        assert_int_equal(contents->header.len, old->header.len);
        if (old->version == 4 && strcmp(files[f], "v4-unknown-header-tag") != 0) {
            assert_true(kb_equal(kb_buf_bytes(&buf), kb_bytes_of(old->image, old->len)));
        }
        kb_buf_wipe(&buf);
        wire_free(wire);
        kb_cc_contents_put(contents);
        kb_cc_contents_put(old);
    }
}

static void the_header_tells_the_clock(void **state)
{
    struct kb_cc_contents *contents = parsed_recording("v4-time-offset");
    struct wire *wire = recording("v4-time-offset");
    int64_t offset;

    (void)state;
    assert_true(kb_cc_clock_offset(contents, &offset));
    assert_int_equal(offset, wire_int(wire, "header[0].time_offset_sec") * 1000000 +
                                 wire_int(wire, "header[0].usec"));
    assert_int_not_equal(offset, 0);
    wire_free(wire);
    kb_cc_contents_put(contents);
    contents = parsed_recording("v4-no-header-tags");
    assert_false(kb_cc_clock_offset(contents, &offset));
    kb_cc_contents_put(contents);
}

/* --- finding --- */

static struct kb_principal *principal(const char *text)
{
    struct kb_principal *made;

    assert_int_equal(kb_principal_parse(kb_str(text), KB_NT_PRINCIPAL, KB_NONE, &made), KB_OK);
    return made;
}

static enum kb_status find_at(const struct kb_cc_contents *contents, const char *server,
                              bool any_realm, int64_t now, struct kb_credential **out,
                              int64_t *out_expired)
{
    struct kb_principal *wanted = principal(server);
    struct kb_cc_wanted what = {.server = wanted,
                                .any_realm = any_realm,
                                .etypes = all_etypes,
                                .num_etypes = sizeof(all_etypes) / sizeof(all_etypes[0]),
                                .now = now,
                                .min_life = 60};
    enum kb_status st = kb_cc_find(contents, &what, out, out_expired);

    kb_principal_free(wanted);
    return st;
}

static struct kb_credential *found(const struct kb_cc_contents *contents, const char *server,
                                   bool any_realm)
{
    struct kb_credential *credential;

    assert_int_equal(find_at(contents, server, any_realm, NOW, &credential, NULL), KB_OK);
    return credential;
}

static void not_found(const struct kb_cc_contents *contents, const char *server, bool any_realm)
{
    struct kb_credential *credential;

    assert_int_equal(find_at(contents, server, any_realm, NOW, &credential, NULL), KB_NOT_FOUND);
    assert_null(credential);
}

static void a_ticket_is_found(void **state)
{
    static const char *const all[] = {"mit-v1", "mit-v2", "mit-v3", "mit-v4", "heimdal-v4"};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct kb_cc_contents *contents = parsed_recording(all[i]);
        struct kb_principal *tgs = principal("krbtgt/MIT.TEST@MIT.TEST");
        struct kb_credential *tgt = found(contents, "krbtgt/MIT.TEST@MIT.TEST", false);

        assert_true(kb_principal_equal(tgt->server, tgs));
        assert_true(kb_principal_equal(tgt->client, kb_cc_owner(contents)));
        assert_int_equal(tgt->endtime - tgt->starttime, 36000);
        kb_credential_free(tgt);
        kb_credential_free(found(contents, "HTTP/srv.mit.test@MIT.TEST", false));
        not_found(contents, "HTTP/srv@MIT.TEST", true);
        not_found(contents, "HTTP/srv.mit.test@OTHER", false);
        not_found(contents, "HTTP@MIT.TEST", true);
        kb_credential_free(found(contents, "HTTP/srv.mit.test@OTHER", true));
        kb_principal_free(tgs);
        kb_cc_contents_put(contents);
    }
}

/* MIT files it without a realm; the ticket itself has one. */
static void a_ticket_by_referral_is_found(void **state)
{
    struct kb_cc_contents *contents = parsed_recording("mit-referral");
    struct kb_credential *ticket = found(contents, "HTTP/srv.mit2.test@MIT.TEST", false);
    struct kb_principal *server = principal("HTTP/srv.mit2.test@MIT2.TEST");

    (void)state;
    assert_true(kb_principal_equal(ticket->server, server));
    kb_credential_free(ticket);
    kb_principal_free(server);
    kb_cc_contents_put(contents);
}

/* One for user-to-user is encrypted in another's TGT's key: it is no service ticket. */
static void a_ticket_for_user_to_user_is_none(void **state)
{
    struct kb_cc_contents *contents = parsed_recording("mit-u2u");

    (void)state;
    not_found(contents, "alice@MIT.TEST", false);
    kb_credential_free(found(contents, "krbtgt/MIT.TEST@MIT.TEST", false));
    kb_cc_contents_put(contents);
}

static void an_expired_ticket_is_told(void **state)
{
    struct kb_cc_contents *contents = parsed_recording("mit-v4");
    struct kb_credential *tgt = found(contents, "krbtgt/MIT.TEST@MIT.TEST", false), *none;
    int64_t expired = 0;

    (void)state;
    assert_int_equal(
        find_at(contents, "krbtgt/MIT.TEST@MIT.TEST", false, tgt->endtime - 60, &none, &expired),
        KB_NOT_FOUND);
    assert_int_equal(expired, tgt->endtime);
    kb_credential_free(tgt);
    kb_cc_contents_put(contents);
    /* The clock is the KDC's. */
    contents = parsed_recording("v4-time-offset");
    tgt = found(contents, "krbtgt/MIT.TEST@MIT.TEST", false);
    assert_int_equal(tgt->clock_offset, contents->offset);
    kb_credential_free(tgt);
    assert_int_equal(find_at(contents, "krbtgt/MIT.TEST@MIT.TEST", false,
                             NOW + 36000 - contents->offset / 1000000, &none, &expired),
                     KB_NOT_FOUND);
    kb_cc_contents_put(contents);
}

/* What a ticket is bound to comes and goes with it, and a KDC is told so for the next one. */
static void addresses(void **state)
{
    struct kb_cc_contents *contents = parsed_recording("mit-addresses"), *again;
    struct kb_credential *tgt = found(contents, "krbtgt/MIT.TEST@MIT.TEST", false);
    struct kb_cc_store what = {.owner = contents->owner,
                               .server = tgt->server,
                               .credential = tgt,
                               .fresh = true,
                               .now = NOW};
    struct kb_buf buf;

    (void)state;
    assert_true(tgt->addresses.len > 0);
    kb_buf_init(&buf, KB_CC_MAX);
    assert_int_equal(kb_cc_put_all(&buf, NULL, &what, NULL, NULL), KB_OK);
    again = parsed(kb_buf_bytes(&buf));
    assert_int_equal(again->num, 1);
    for (size_t i = 0; i < contents->num; i++) {
        if (kb_equal(kb_cc_record_at(contents, i)->ticket, tgt->ticket)) {
            assert_true(kb_equal(kb_cc_record_at(again, 0)->addresses,
                                 kb_cc_record_at(contents, i)->addresses));
            assert_true(
                kb_equal(kb_cc_record_at(again, 0)->raw, kb_cc_record_at(contents, i)->raw));
        }
    }
    kb_buf_wipe(&buf);
    kb_credential_free(tgt);
    kb_cc_contents_put(again);
    kb_cc_contents_put(contents);
}

static void an_enctype_that_is_not_allowed(void **state)
{
    struct kb_cc_contents *contents = parsed_recording("mit-v4");
    struct kb_principal *tgs = principal("krbtgt/MIT.TEST@MIT.TEST");
    struct kb_cc_wanted what = {
        .server = tgs, .etypes = all_etypes, .num_etypes = 1, .now = NOW, .min_life = 60};
    struct kb_credential *none;

    (void)state;
    assert_int_equal(kb_cc_find(contents, &what, &none, NULL), KB_NOT_FOUND);
    kb_principal_free(tgs);
    kb_cc_contents_put(contents);
}

static void tickets_are_listed(void **state)
{
    struct kb_cc_contents *contents = parsed_recording("mit-v4");
    struct kb_cc_ticket ticket;
    size_t position = 0, num = 0;

    (void)state;
    while (kb_cc_next(contents, &position, &ticket) == KB_OK) {
        assert_true(ticket.etype != 0 && ticket.ticket_etype != 0);
        assert_true(ticket.endtime > ticket.starttime);
        assert_false(ticket.user_to_user);
        kb_cc_ticket_wipe(&ticket);
        num++;
    }
    assert_int_equal(num, contents->num - 2); /* two are configuration */
    kb_cc_contents_put(contents);
}

/* --- what is broken --- */

static void touch_all(const struct kb_cc_contents *contents)
{
    size_t position = 0;
    struct kb_cc_ticket ticket;
    struct kb_credential *credential;
    struct kb_buf buf;

    while (kb_cc_next(contents, &position, &ticket) == KB_OK) {
        struct kb_cc_wanted what = {.server = ticket.server,
                                    .any_realm = true,
                                    .etypes = all_etypes,
                                    .num_etypes = 7,
                                    .now = NOW};

        if (kb_cc_find(contents, &what, &credential, NULL) == KB_OK) {
            kb_credential_free(credential);
        }
        kb_cc_ticket_wipe(&ticket);
    }
    kb_buf_init(&buf, KB_CC_MAX);
    assert_int_equal(kb_cc_put_all(&buf, contents, NULL, NULL, NULL), KB_OK);
    kb_buf_wipe(&buf);
}

/* At each byte: no cache, or the tickets before it and the place where it was cut. */
static void cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t f = 0; f < NUM_FILES; f++) {
        kb_bytes bytes = recorded(files[f]);
        size_t before = 0;

        for (size_t len = 0; len < bytes.len; len += wire_stride()) {
            struct kb_cc_contents *contents = contents_of(kb_bytes_of(bytes.ptr, len));

            if (kb_cc_parse(contents) == KB_OK) {
                assert_true(contents->whole <= len && contents->num >= before);
                before = contents->num;
                if (contents->whole != len) {
                    touch_all(contents);
                }
            } else {
                assert_int_equal(before, 0);
            }
            kb_cc_contents_put(contents);
        }
        assert_true(before > 0);
        free_bytes(bytes);
    }
}

static void flipped_at_every_bit(void **state)
{
    (void)state;
    for (size_t f = 0; f < NUM_FILES; f += 3) {
        kb_bytes bytes = recorded(files[f]);

        for (size_t bit = 0; bit < bytes.len * 8; bit += wire_stride()) {
            struct kb_cc_contents *contents = contents_of(bytes);

            contents->image[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (kb_cc_parse(contents) == KB_OK) {
                touch_all(contents);
            }
            kb_cc_contents_put(contents);
        }
        free_bytes(bytes);
    }
}

static void what_is_no_cache(void **state)
{
    static const struct {
        kb_bytes bytes;
        enum kb_status st;
    } rows[] = {
        {{NULL, 0}, KB_NOT_FOUND},
        {{(const uint8_t *)"\x05", 1}, KB_WRONG_TYPE},
        {{(const uint8_t *)"\x05\x05\x00\x00", 4}, KB_WRONG_TYPE},
        {{(const uint8_t *)"\x05\x00", 2}, KB_WRONG_TYPE},
        {{(const uint8_t *)"#!/bin/sh", 9}, KB_WRONG_TYPE},
        {{(const uint8_t *)"\x05\x04\x00\x00", 4}, KB_NOT_FOUND}, /* MIT's, of a new unique name */
        {{(const uint8_t *)"\x05\x04\x00", 3}, KB_MALFORMED},
        {{(const uint8_t *)"\x05\x04\x00\x05\x00\x09\x00\x08\x00", 9}, KB_MALFORMED},
        {{(const uint8_t *)"\x05\x04\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff", 12}, KB_MALFORMED},
        {{(const uint8_t *)"\x05\x04\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\x00", 13},
         KB_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kb_cc_contents *contents = contents_of(rows[i].bytes);

        assert_int_equal(kb_cc_parse(contents), rows[i].st);
        kb_cc_contents_put(contents);
    }
}

/* --- files and memory --- */

struct fixture {
    char dir[64], path[128];
    struct kb_wait wait;
    struct kb_error err;
    struct kb_credential *tgt, *ticket;
    struct kb_principal *owner;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct kb_cc_contents *contents = parsed_recording("mit-v4");

    snprintf(f->dir, sizeof(f->dir), "/tmp/test_ccache.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/cc", f->dir);
    kb_wait_start(&f->wait, 0, true);
    f->tgt = found(contents, "krbtgt/MIT.TEST@MIT.TEST", false);
    f->ticket = found(contents, "HTTP/srv.mit.test@MIT.TEST", false);
    f->owner = kb_principal_ref(kb_cc_owner(contents));
    kb_cc_contents_put(contents);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    kb_wait_stop(&f->wait);
    kb_credential_free(f->tgt);
    kb_credential_free(f->ticket);
    kb_principal_free(f->owner);
    free(f);
    return 0;
}

static struct kb_ccache *named(const char *name)
{
    struct kb_error err = {0};
    struct kb_ccache *cache;

    assert_int_equal(kb_ccache_new(name, &cache, &err), KB_OK);
    return cache;
}

static enum kb_status store(struct fixture *f, const struct kb_ccache *cache,
                            const struct kb_credential *credential, bool fresh)
{
    struct kb_cc_store what = {.owner = f->owner,
                               .server = credential->server,
                               .credential = credential,
                               .fresh = fresh,
                               .now = NOW};
    struct kb_cc_stamp stamp;

    f->err = (struct kb_error){0};
    return kb_ccache_store(cache, &what, &f->wait, &stamp, &f->err);
}

static struct kb_cc_contents *loaded(struct fixture *f, const struct kb_ccache *cache)
{
    struct kb_cc_contents *contents;

    f->err = (struct kb_error){0};
    assert_int_equal(kb_ccache_load(cache, &f->wait, &contents, &f->err), KB_OK);
    return contents;
}

static size_t num_tickets(struct fixture *f, const struct kb_ccache *cache)
{
    struct kb_cc_contents *contents = loaded(f, cache);
    size_t num = 0;

    for (size_t i = 0; i < contents->num; i++) {
        num += kb_cc_record_at(contents, i)->kind == KB_CC_TICKET;
    }
    kb_cc_contents_put(contents);
    return num;
}

static void put_file(const char *path, kb_bytes bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
    close(fd);
}

static void put_recording(const char *path, const char *name)
{
    kb_bytes bytes = recorded(name);

    put_file(path, bytes);
    free_bytes(bytes);
}

/* What every type of cache does. */
static void life_of_a_cache(struct fixture *f, const char *name)
{
    struct kb_ccache *cache = named(name);
    struct kb_cc_contents *contents;
    struct kb_cc_stamp absent = kb_ccache_look(cache), before, now;
    struct kb_principal *bob = principal("bob@MIT.TEST");
    struct kb_credential *again;
    size_t num;

    assert_int_equal(kb_ccache_load(cache, &f->wait, &contents, &f->err), KB_NOT_FOUND);
    assert_int_equal(store(f, cache, f->ticket, false), KB_NOT_FOUND);
    assert_int_equal(store(f, cache, f->tgt, true), KB_OK);
    before = kb_ccache_look(cache);
    assert_false(kb_cc_same_stamp(&absent, &before));
    assert_int_equal(store(f, cache, f->ticket, false), KB_OK);
    now = kb_ccache_look(cache);
    assert_false(kb_cc_same_stamp(&before, &now));
    contents = loaded(f, cache);
    assert_true(kb_cc_same_stamp(kb_cc_stamp_of(contents), &now));
    assert_int_equal(contents->num, 2);
    again = found(contents, "HTTP/srv.mit.test@MIT.TEST", false);
    assert_true(kb_equal(again->ticket, f->ticket->ticket));
    assert_true(kb_equal(kb_key_bytes(again->session_key), kb_key_bytes(f->ticket->session_key)));
    assert_int_equal(again->endtime, f->ticket->endtime);
    assert_int_equal(again->flags, f->ticket->flags);
    kb_credential_free(again);
    kb_cc_contents_put(contents);
    /* A new TGT takes the old one's place; the rest stays. */
    assert_int_equal(store(f, cache, f->tgt, true), KB_OK);
    assert_int_equal(num_tickets(f, cache), 2);
    /* Somebody else's is left alone. */
    assert_int_equal(kb_ccache_remove(cache, bob, NULL, &f->wait, &num, &f->err), KB_ERROR);
    assert_int_equal(f->err.code, KB_E_CCACHE_OWNER);
    assert_non_null(strstr(f->err.text, "it belongs to alice@MIT.TEST, not to bob@MIT.TEST"));
    f->err = (struct kb_error){0};
    assert_int_equal(kb_ccache_remove(cache, f->owner, f->ticket->server, &f->wait, &num, &f->err),
                     KB_OK);
    assert_int_equal(num, 1);
    assert_int_equal(num_tickets(f, cache), 1);
    assert_int_equal(kb_ccache_remove(cache, f->owner, NULL, &f->wait, &num, &f->err), KB_OK);
    assert_int_equal(num, 1);
    now = kb_ccache_look(cache);
    assert_true(kb_cc_same_stamp(&absent, &now));
    assert_int_equal(kb_ccache_remove(cache, f->owner, NULL, &f->wait, &num, &f->err), KB_OK);
    assert_int_equal(num, 0);
    kb_principal_free(bob);
    kb_ccache_put(cache);
}

static void a_file(void **state)
{
    struct fixture *f = *state;
    char name[160];

    life_of_a_cache(f, f->path);
    snprintf(name, sizeof(name), "FILE:%s", f->path);
    life_of_a_cache(f, name);
}

static void in_memory(void **state)
{
    life_of_a_cache(*state, "MEMORY:test");
}

static void names(void **state)
{
    struct kb_error err = {0};
    struct kb_ccache *a = named("/tmp/x"), *b = named("file:/tmp/x"), *none;

    (void)state;
    assert_string_equal(kb_ccache_name(a), "FILE:/tmp/x");
    assert_true(kb_ccache_same(a, b));
    kb_ccache_put(b);
    b = kb_ccache_ref(a);
    kb_ccache_put(a);
    kb_ccache_put(b);
    assert_int_equal(kb_ccache_new("API:", &none, &err), KB_ERROR);
    assert_non_null(strstr(err.text, "credentials cache API: caches of this type"));
    err = (struct kb_error){0};
    assert_int_equal(kb_ccache_new("FILE:", &none, &err), KB_ERROR);
    assert_null(none);
}

/* What is written is for its owner alone, whatever the umask; the old file is not changed while
 * somebody reads it. */
static void mode_and_replacement(void **state)
{
    struct fixture *f = *state;
    struct kb_ccache *cache = named(f->path);
    mode_t mask = umask(0);
    struct stat before, now;

    assert_int_equal(store(f, cache, f->tgt, true), KB_OK);
    assert_int_equal(stat(f->path, &before), 0);
    assert_int_equal(before.st_mode & 07777, 0600);
    assert_int_equal(store(f, cache, f->ticket, false), KB_OK);
    assert_int_equal(stat(f->path, &now), 0);
    assert_int_equal(now.st_ino, before.st_ino);
    assert_int_equal(store(f, cache, f->tgt, true), KB_OK);
    assert_int_equal(stat(f->path, &now), 0);
    assert_int_not_equal(now.st_ino, before.st_ino);
    assert_int_equal(now.st_mode & 07777, 0600);
    umask(mask);
    kb_ccache_put(cache);
}

/* Others' caches: kept with all that is in them, in version 4. */
static void others_files_are_kept(void **state)
{
    struct fixture *f = *state;
    struct kb_ccache *cache = named(f->path);

    for (size_t i = 0; i < NUM_FILES; i++) {
        struct kb_cc_contents *before, *now;

        put_recording(f->path, files[i]);
        before = loaded(f, cache);
        if (!kb_principal_equal(before->owner, f->owner)) {
            assert_int_equal(store(f, cache, f->ticket, false), KB_ERROR);
            assert_int_equal(f->err.code, KB_E_CCACHE_OWNER);
            kb_cc_contents_put(before);
            continue;
        }
        assert_int_equal(store(f, cache, f->ticket, false), KB_OK);
        now = loaded(f, cache);
        assert_int_equal(now->version, 4);
        assert_int_equal(now->num, before->num + 1);
        assert_int_equal(now->offset, before->offset);
        kb_cc_contents_put(now);
        kb_cc_contents_put(before);
    }
    kb_ccache_put(cache);
}

/* A writer that died left half a ticket: the next one heals it. */
static void half_a_ticket(void **state)
{
    struct fixture *f = *state;
    struct kb_ccache *cache = named(f->path);
    struct kb_cc_contents *contents;
    size_t before;

    put_recording(f->path, "v4-truncated");
    contents = loaded(f, cache);
    before = contents->num;
    assert_true(before > 0 && contents->whole < contents->len);
    kb_cc_contents_put(contents);
    assert_int_equal(store(f, cache, f->ticket, false), KB_OK);
    contents = loaded(f, cache);
    assert_int_equal(contents->num, before + 1);
    assert_int_equal(contents->whole, contents->len);
    kb_cc_contents_put(contents);
    kb_ccache_put(cache);
}

/* Expired tickets go where the cache is rewritten; configuration stays. */
static void expired_tickets_go(void **state)
{
    struct fixture *f = *state;
    struct kb_ccache *cache = named(f->path);
    struct kb_cc_store what = {.owner = f->owner,
                               .server = f->tgt->server,
                               .credential = f->tgt,
                               .fresh = true,
                               .now = NOW + 100000};
    struct kb_cc_contents *contents;
    struct kb_cc_stamp stamp;

    put_recording(f->path, "mit-v4");
    assert_int_equal(kb_ccache_store(cache, &what, &f->wait, &stamp, &f->err), KB_OK);
    contents = loaded(f, cache);
    assert_int_equal(contents->num, 3);
    assert_int_equal(kb_cc_record_at(contents, 0)->kind, KB_CC_TICKET);
    assert_int_equal(kb_cc_record_at(contents, 1)->kind, KB_CC_CONFIG);
    assert_int_equal(kb_cc_record_at(contents, 2)->kind, KB_CC_CONFIG);
    kb_cc_contents_put(contents);
    kb_ccache_put(cache);
}

static void refused(struct fixture *f, const char *path, const char *why)
{
    struct kb_ccache *cache = named(path);
    struct kb_cc_contents *none;

    f->err = (struct kb_error){0};
    assert_int_equal(kb_ccache_load(cache, &f->wait, &none, &f->err), KB_ERROR);
    if (strstr(f->err.text, why) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", why, f->err.text);
    }
    assert_int_equal(store(f, cache, f->tgt, true), KB_ERROR);
    kb_ccache_put(cache);
}

static void what_is_refused(void **state)
{
    struct fixture *f = *state;
    char other[160], link_path[160];

    snprintf(other, sizeof(other), "%s/other", f->dir);
    snprintf(link_path, sizeof(link_path), "%s/link", f->dir);
    put_file(f->path, KB_LIT("#!/bin/sh\n"));
    refused(f, f->path, "this is no credentials cache");
    refused(f, f->dir, "");
    assert_int_equal(mkfifo(other, 0600), 0);
    refused(f, other, "not a regular file");
    /* A link of one's own is followed, but not where others could have made it. */
    put_recording(f->path, "mit-v4");
    assert_int_equal(symlink(f->path, link_path), 0);
    {
        struct kb_ccache *cache = named(link_path);
        struct stat st;

        assert_true(num_tickets(f, cache) > 1);
        assert_int_equal(store(f, cache, f->tgt, true), KB_OK);
        assert_int_equal(lstat(link_path, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        kb_ccache_put(cache);
    }
    assert_int_equal(chmod(f->dir, 01777), 0);
    refused(f, link_path, "symbolic link");
    unlink(link_path);
    assert_int_equal(symlink("nowhere", link_path), 0);
    assert_int_equal(chmod(f->dir, 0700), 0);
    refused(f, link_path, "leads nowhere");
    if (geteuid() == 0) {
        assert_int_equal(chown(f->path, 12345, 12345), 0);
        refused(f, f->path, "it belongs to user id 12345");
    }
}

/* --- others at the same time --- */

static void *writer(void *arg)
{
    struct fixture *f = arg;
    struct kb_ccache *cache = named(f->path);
    struct kb_cc_store what = {
        .owner = f->owner, .server = f->ticket->server, .credential = f->ticket, .now = NOW};
    struct kb_error err = {0};
    struct kb_cc_stamp stamp;
    struct kb_wait wait;

    kb_wait_start(&wait, 0, true);
    for (unsigned i = 0; i < 50; i++) {
        if (kb_ccache_store(cache, &what, &wait, &stamp, &err) != KB_OK) {
            fprintf(stderr, "%s\n", err.text);
            abort();
        }
    }
    kb_wait_stop(&wait);
    kb_ccache_put(cache);
    return NULL;
}

/* Two processes with three threads each, one of them with new TGTs: each ticket is there. Without a
 * deadline: as long as anybody writes, all wait, however slow the machine is. */
static void writers_at_once(void **state)
{
    struct fixture *f = *state;
    struct kb_ccache *cache = named(f->path);
    pthread_t threads[3];
    int status;
    pid_t pid;

    assert_int_equal(store(f, cache, f->tgt, true), KB_OK);
    pid = fork();
    for (size_t i = 0; i < 3; i++) {
        if (pthread_create(&threads[i], NULL, writer, f) != 0) {
            abort();
        }
    }
    for (size_t i = 0; pid == 0 && i < 50; i++) {
        if (store(f, cache, f->tgt, true) != KB_OK) {
            fprintf(stderr, "%s\n", f->err.text);
            abort();
        }
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    if (pid == 0) {
        kill(getpid(), SIGKILL); /* went well; valgrind looks for leaks in what exits */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(num_tickets(f, cache), 1 + 2 * 3 * 50);
    kb_ccache_put(cache);
}

/* MIT's lock: a reader and a writer wait for it no longer than their deadline. */
static void a_lock_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct kb_ccache *cache = named(f->path);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct kb_cc_contents *none;
    int64_t start = kb_now_ms(), took;
    struct kb_interrupt *interrupt = kb_interrupt_new();
    int fd;

    put_recording(f->path, "mit-v4");
    fd = open(f->path, O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    kb_wait_stop(&f->wait);
    kb_wait_start(&f->wait, 200, true);
    assert_int_equal(kb_ccache_load(cache, &f->wait, &none, &f->err), KB_ERROR);
    assert_int_equal(f->err.code, KB_E_TIMEOUT);
    took = kb_now_ms() - start;
    assert_true(took >= 200 && took < 4000); /* a lock without a deadline: 5 s */
    assert_int_equal(store(f, cache, f->tgt, true), KB_ERROR);
    assert_int_equal(f->err.code, KB_E_TIMEOUT);
    kb_wait_stop(&f->wait);
    kb_wait_start(&f->wait, 0, true);
    kb_wait_attach(&f->wait, interrupt);
    kb_interrupt_fire(interrupt);
    start = kb_now_ms();
    assert_int_equal(store(f, cache, f->tgt, true), KB_ERROR);
    assert_int_equal(f->err.code, KB_E_INTERRUPTED);
    assert_true(kb_now_ms() - start < 4000);
    close(fd);
    kb_wait_stop(&f->wait);
    kb_interrupt_put(interrupt);
    kb_wait_start(&f->wait, 0, true);
    assert_int_equal(store(f, cache, f->tgt, true), KB_OK);
    kb_ccache_put(cache);
}

int main(void)
{
#define ON_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_files),
        cmocka_unit_test(written_again),
        cmocka_unit_test(the_header_tells_the_clock),
        cmocka_unit_test(a_ticket_is_found),
        cmocka_unit_test(a_ticket_by_referral_is_found),
        cmocka_unit_test(a_ticket_for_user_to_user_is_none),
        cmocka_unit_test(an_expired_ticket_is_told),
        cmocka_unit_test(addresses),
        cmocka_unit_test(an_enctype_that_is_not_allowed),
        cmocka_unit_test(tickets_are_listed),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(flipped_at_every_bit),
        cmocka_unit_test(what_is_no_cache),
        cmocka_unit_test(names),
        ON_FILES(a_file),
        ON_FILES(in_memory),
        ON_FILES(mode_and_replacement),
        ON_FILES(others_files_are_kept),
        ON_FILES(half_a_ticket),
        ON_FILES(expired_tickets_go),
        ON_FILES(what_is_refused),
        ON_FILES(writers_at_once),
        ON_FILES(a_lock_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
