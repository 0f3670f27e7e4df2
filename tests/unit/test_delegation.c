/* mech/protocol/ap, krbcred: the forwarded TGT in an AP-REQ, against MIT's recordings. Their
 * confounders are not recorded, so what is compared is all the rest: what is encrypted, and where
 * it stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/ap.h"
#include "mech/protocol/krbcred.h"
#include "tests/support/wire.h"

#define FIXED 24 /* Lgth, Bnd, Flags */

struct deleg {
    struct wire *wire;
    struct kb_arena arena;
    kb_ap_req req;
    kb_authenticator authenticator;
    kb_enc_krb_cred_part part; /* of the recorded KRB-CRED */
    struct kb_credential ticket, tgt;
    struct kb_timestamp now;
    struct wire_rng rng;
    uint8_t seq[4], nonce[4];
    struct kb_channel_bindings bindings;
    int32_t etype;
};

/* The KRB-CRED is made a microsecond before the authenticator. */
static struct kb_timestamp ticking(void *ctx)
{
    struct kb_timestamp *now = ctx, was = *now;

    *now = kb_timestamp_shift(was, 1);
    return was;
}

static kb_bytes decrypted(struct deleg *d, const char *what, const char *field)
{
    return wire_hex(d->wire, "decrypted[what=%s].%s", what, field);
}

static kb_bytes recorded_cred(struct deleg *d)
{
    return wire_hex(d->wire, "context_tokens[0].ap_req.checksum_8003.krb_cred");
}

static void big_endian(uint8_t out[4], uint32_t value)
{
    for (size_t i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static struct kb_principal *named(kb_bytes realm, const kb_principal_name *name)
{
    struct kb_principal *principal = kb_principal_new(realm, name);

    assert_non_null(principal);
    return principal;
}

static void make_ticket(struct deleg *d)
{
    kb_ticket ticket;

    assert_int_equal(kb_decode_ticket(d->req.ticket, &d->arena, &ticket, NULL), KB_OK);
    d->ticket = (struct kb_credential){
        .client = named(d->authenticator.crealm, &d->authenticator.cname),
        .server = named(ticket.realm, &ticket.sname),
        .ticket = d->req.ticket,
        .authtime = 1900000000,
        .endtime = 2000000000,
    };
    assert_int_equal(kb_key_new((int32_t)wire_int(d->wire, "keys.session.etype"),
                                wire_hex(d->wire, "keys.session.key"), &d->ticket.session_key),
                     KB_OK);
}

static void make_tgt(struct deleg *d)
{
    const kb_krb_cred_info *info;
    kb_krb_cred cred;

    assert_int_equal(kb_decode_krb_cred(recorded_cred(d), &d->arena, &cred, NULL), KB_OK);
    assert_int_equal(kb_decode_enc_krb_cred_part(decrypted(d, "EncKrbCredPart", "plain"), &d->arena,
                                                 &d->part, NULL),
                     KB_OK);
    info = &d->part.ticket_info.items[0];
    d->tgt = (struct kb_credential){
        .client = named(info->prealm, &info->pname),
        .server = named(info->srealm, &info->sname),
        .ticket = cred.tickets.items[0],
        .flags = info->flags,
        .authtime = info->authtime,
        .starttime = info->starttime,
        .endtime = info->endtime,
        .renew_till = info->renew_till,
    };
    assert_int_equal(kb_key_new(info->key.keytype, info->key.keyvalue, &d->tgt.session_key), KB_OK);
}

static void deleg_init(struct deleg *d, struct wire *wire)
{
    static const uint8_t confounder[16] = "sixteen of mine";
    kb_bytes token = wire_hex(wire, "context_tokens[0].hex");
    size_t offset = (size_t)wire_int(wire, "context_tokens[0].krb5_message_hex_offset");

    memset(d, 0, sizeof(*d));
    d->wire = wire;
    kb_arena_init(&d->arena, NULL, 0, 1 << 20);
    assert_int_equal(
        kb_decode_ap_req(kb_bytes_of(token.ptr + offset,
                                     (size_t)wire_int(wire, "context_tokens[0].krb5_message_len")),
                         &d->arena, &d->req, NULL),
        KB_OK);
    assert_int_equal(kb_decode_authenticator(decrypted(d, "AP-REQ authenticator", "plain"),
                                             &d->arena, &d->authenticator, NULL),
                     KB_OK);
    make_ticket(d);
    make_tgt(d);
    d->now = (struct kb_timestamp){d->part.timestamp, d->part.usec};
    d->etype = d->req.authenticator.etype;
    wire_rng_init(&d->rng);
    big_endian(d->seq, d->authenticator.seq_number);
    big_endian(d->nonce, d->part.nonce);
    wire_rng_add(&d->rng, d->authenticator.subkey.keyvalue);
    wire_rng_add(&d->rng, kb_bytes_of(d->seq, 4));
    wire_rng_add(&d->rng, kb_bytes_of(d->nonce, 4));
    wire_rng_add(&d->rng, kb_bytes_of(confounder, 16));
    wire_rng_add(&d->rng, decrypted(d, "AP-REQ authenticator", "confounder"));
}

static void deleg_wipe(struct deleg *d)
{
    kb_principal_free(d->ticket.client);
    kb_principal_free(d->ticket.server);
    kb_key_free(d->ticket.session_key);
    kb_principal_free(d->tgt.client);
    kb_principal_free(d->tgt.server);
    kb_key_free(d->tgt.session_key);
    kb_arena_wipe(&d->arena);
}

static kb_bytes open_part(struct deleg *d, uint32_t usage, const kb_encrypted_data *data)
{
    uint8_t *plain = kb_arena_alloc(&d->arena, data->cipher.len);
    size_t len;

    assert_non_null(plain);
    assert_int_equal(kb_decrypt(d->ticket.session_key, usage, data->cipher, plain, &len), KB_OK);
    return kb_bytes_of(plain, len);
}

static void assert_same(const char *what, kb_bytes ours, kb_bytes theirs)
{
    if (!kb_equal(ours, theirs)) {
        fail_msg("%s: another %zu than the %zu bytes recorded", what, ours.len, theirs.len);
    }
}

/* All of a KRB-CRED but the confounder's work. */
static void assert_same_cred(struct deleg *d, kb_bytes ours)
{
    kb_bytes theirs = recorded_cred(d);
    kb_krb_cred mine, recorded;

    assert_int_equal(kb_decode_krb_cred(ours, &d->arena, &mine, NULL), KB_OK);
    assert_int_equal(kb_decode_krb_cred(theirs, &d->arena, &recorded, NULL), KB_OK);
    assert_same("EncKrbCredPart", open_part(d, KB_USAGE_KRB_CRED, &mine.enc_part),
                decrypted(d, "EncKrbCredPart", "plain"));
    assert_int_equal(mine.enc_part.cipher.len, recorded.enc_part.cipher.len);
    theirs.len -= recorded.enc_part.cipher.len;
    ours.len -= mine.enc_part.cipher.len;
    assert_same("KRB-CRED", ours, theirs);
}

static kb_bytes our_checksum(struct deleg *d, struct kb_credential *forwarded, uint32_t *out_flags)
{
    struct kb_env env = {.rng = d->rng.rng, .now = ticking, .now_ctx = &d->now};
    struct kb_ap_request request = {
        .credential = &d->ticket,
        .flags = (uint32_t)strtoul(wire_text(d->wire, "ret_flags_initiator"), NULL, 16) |
                 KB_GSS_DELEG | KB_GSS_DELEG_POLICY,
        .etypes = &d->etype,
        .num_etypes = 1,
        .forwarded = forwarded,
    };
    kb_authenticator authenticator;
    struct kb_ap *ap;
    kb_ap_req req;
    kb_bytes message;

    if (wire_has(d->wire, "channel_bindings_application_data")) {
        d->bindings.application_data = wire_hex(d->wire, "channel_bindings_application_data");
        request.bindings = &d->bindings;
    }
    assert_int_equal(kb_ap_new(&env, &request, &d->arena, &ap, &message), KB_OK);
    *out_flags = kb_ap_flags(ap);
    kb_ap_free(ap);
    assert_int_equal(kb_decode_ap_req(message, &d->arena, &req, NULL), KB_OK);
    assert_int_equal(
        kb_decode_authenticator(open_part(d, KB_USAGE_AP_REQ_AUTHENTICATOR, &req.authenticator),
                                &d->arena, &authenticator, NULL),
        KB_OK);
    assert_int_equal(authenticator.ctime, d->authenticator.ctime);
    assert_int_equal(authenticator.cusec, d->authenticator.cusec);
    return authenticator.cksum.checksum;
}

static bool is_recorded(struct wire *wire)
{
    return strncmp(wire_name(wire), "gss/mit-", 8) == 0 &&
           strstr(wire_name(wire), "deleg") != NULL && strstr(wire_name(wire), "rc4") == NULL;
}

static void try_recording(struct wire *wire, void *ctx)
{
    struct deleg d;
    kb_bytes ours, theirs;
    uint32_t flags;

    if (!is_recorded(wire)) {
        return;
    }
    deleg_init(&d, wire);
    ours = our_checksum(&d, &d.tgt, &flags);
    theirs = d.authenticator.cksum.checksum;
    assert_true(wire_rng_spent(&d.rng));
    assert_true((flags & KB_GSS_DELEG) != 0 && (flags & KB_GSS_DELEG_POLICY) != 0);
    assert_int_equal(ours.len, theirs.len);
    assert_memory_equal(ours.ptr, theirs.ptr, FIXED + 4);
    assert_same_cred(&d, kb_bytes_of(ours.ptr + FIXED + 4, ours.len - FIXED - 4));
    deleg_wipe(&d);
    ++*(unsigned *)ctx;
}

static void recorded_delegations_are_remade(void **state)
{
    unsigned num = 0;

    (void)state;
    wire_each("gss", try_recording, &num);
    assert_true(num >= 3);
}

/* Who asks for it and has no TGT to forward does not say so. */
static void nothing_to_forward(void **state)
{
    struct wire *wire = wire_load("gss/mit-mit-aes256-sha1-deleg.json");
    uint32_t flags;
    struct deleg d;

    (void)state;
    deleg_init(&d, wire);
    d.rng.draws[2] = d.rng.draws[4];
    d.rng.num = 3;
    d.now.usec++;
    assert_int_equal(our_checksum(&d, NULL, &flags).len, FIXED);
    assert_int_equal(flags & (KB_GSS_DELEG | KB_GSS_DELEG_POLICY), 0);
    deleg_wipe(&d);
    wire_free(wire);
}

/* Dlgth has two octets. */
static void too_large(void **state)
{
    static uint8_t block[66000];
    struct wire *wire = wire_load("gss/mit-mit-aes256-sha1-deleg.json");
    uint32_t flags;
    struct deleg d;

    (void)state;
    for (size_t len = 65536 - 400; len <= 65536; len += 400) {
        kb_bytes sum;

        deleg_init(&d, wire);
        d.tgt.ticket = kb_bytes_of(block, len);
        /* A TLV of its own: only decoders look into it. */
        block[0] = 0x61;
        block[1] = 0x83;
        block[2] = (uint8_t)((len - 5) >> 16);
        block[3] = (uint8_t)((len - 5) >> 8);
        block[4] = (uint8_t)(len - 5);
        sum = our_checksum(&d, &d.tgt, &flags);
        assert_int_equal(sum.len > FIXED, len < 65536 - 300);
        assert_int_equal((flags & KB_GSS_DELEG) != 0, len < 65536 - 300);
        deleg_wipe(&d);
    }
    wire_free(wire);
}

/* Addresses go along. */
static void bound_to_addresses(void **state)
{
    static const uint8_t loopback[] = {127, 0, 0, 1};
    kb_host_address address = {2, {loopback, 4}};
    const kb_host_addresses list = {&address, 1};
    struct wire *wire = wire_load("gss/mit-mit-aes256-sha1-deleg.json");
    kb_enc_krb_cred_part part;
    kb_krb_cred cred;
    struct deleg d;
    kb_bytes out;

    (void)state;
    deleg_init(&d, wire);
    assert_int_equal(kb_encode_host_addresses(&d.arena, &list, &d.tgt.addresses), KB_OK);
    assert_int_equal(
        kb_krbcred_make(&kb_rng_system, d.now, &d.tgt, d.ticket.session_key, &d.arena, &out),
        KB_OK);
    assert_int_equal(kb_decode_krb_cred(out, &d.arena, &cred, NULL), KB_OK);
    assert_int_equal(kb_decode_enc_krb_cred_part(open_part(&d, KB_USAGE_KRB_CRED, &cred.enc_part),
                                                 &d.arena, &part, NULL),
                     KB_OK);
    assert_int_equal(part.ticket_info.items[0].caddr.num, 1);
    assert_true(
        kb_equal(part.ticket_info.items[0].caddr.items[0].address, kb_bytes_of(loopback, 4)));
    deleg_wipe(&d);
    wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_delegations_are_remade),
        cmocka_unit_test(nothing_to_forward),
        cmocka_unit_test(too_large),
        cmocka_unit_test(bound_to_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
