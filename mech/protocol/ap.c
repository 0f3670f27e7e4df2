#include "mech/protocol/ap.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "asn1/reader.h"
#include "crypto/md5.h"
#include "mech/protocol/context.h"
#include "mech/protocol/krbcred.h"
#include "mech/protocol/text.h"
#include "mech/protocol/token_format.h"
#include "mech/report/events.h"
#include "mech/report/old.h"

#define AP_OPTION_MUTUAL 0x20000000u

#define CKSUM_GSS 0x8003 /* RFC 4121 4.1.1 */
#define GSS_CKSUM_LEN (4 + KB_MD5_LEN + 4)
#define DELEGATION_LEN 4 /* DlgOpt, Dlgth */
#define DELEGATION_OPTION 1

#define AD_IF_RELEVANT 1
#define AD_ETYPE_NEGOTIATION 129 /* RFC 4537 3 */
#define AD_AP_OPTIONS 143        /* MS-KILE 2.2.6: KERB-AP-OPTIONS */
#define AP_OPTIONS_CBT 0x4000u

#define SENDABLE                                                                                   \
    (KB_GSS_MUTUAL | KB_GSS_REPLAY | KB_GSS_SEQUENCE | KB_GSS_CONF | KB_GSS_INTEG | KB_GSS_TRANS | \
     KB_GSS_DCE_STYLE | KB_GSS_IDENTIFY | KB_GSS_EXTENDED_ERROR)
#define DELEGATES (KB_GSS_DELEG | KB_GSS_DELEG_POLICY)

/* --- the context --- */

uint64_t kb_ap_etype_bit(int32_t etype)
{
    const struct kb_enctype *row;

    for (size_t i = 0; i < 64 && (row = kb_enctype_at(i)) != NULL; i++) {
        if (row->etype == etype) {
            return (uint64_t)1 << i;
        }
    }
    return 0;
}

static uint32_t flags_of(const struct kb_ap_request *request)
{
    uint32_t flags =
        request->flags & (request->forwarded != NULL ? SENDABLE | DELEGATES : SENDABLE);

    return (flags & KB_GSS_DCE_STYLE) != 0 ? flags | KB_GSS_MUTUAL : flags;
}

static int32_t session_etype(const struct kb_ap *ap)
{
    return kb_key_enctype(ap->session_key)->etype;
}

/* 30 bits, so that no peer with signed 32-bit numbers sees a negative one for the first 2^30
 * messages; not 0, which some read as absent (RFC 4120 5.5.1). */
static enum kb_status draw_seq(const struct kb_rng *rng, uint64_t *out)
{
    uint8_t bytes[4];
    enum kb_status st = kb_random(rng, bytes, sizeof(bytes));

    *out = ((uint64_t)(bytes[0] & 0x3f) << 24) | ((uint64_t)bytes[1] << 16) |
           ((uint64_t)bytes[2] << 8) | bytes[3];
    *out = *out != 0 ? *out : 1;
    return st;
}

struct kb_timestamp kb_ap_time(const struct kb_ap *ap, const struct kb_env *env)
{
    return kb_timestamp_shift(env->now(env->now_ctx), ap->clock_offset);
}

/* 1.2.840.113554.1.2.2 */
static const uint8_t krb5_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};

/* The window is held for some nanoseconds: whoever finds it taken rather looks again than sleeps.
 */
static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
#ifdef __GLIBC__
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

struct kb_ap *kb_ap_alloc(void)
{
    struct kb_ap *ap = calloc(1, sizeof(*ap));

    if (ap != NULL) {
        init_lock(&ap->lock);
    }
    return ap;
}

static struct kb_ap *context_of(const struct kb_ap_request *request)
{
    struct kb_credential *credential = request->credential;
    struct kb_ap *ap = kb_ap_alloc();

    if (ap == NULL) {
        return NULL;
    }
    ap->mech = request->mech.len > 0 ? request->mech : kb_bytes_of(krb5_oid, sizeof(krb5_oid));
    ap->flags = flags_of(request);
    ap->session_key = kb_key_ref(credential->session_key);
    ap->client = kb_principal_ref(credential->client);
    ap->server = kb_principal_ref(credential->server);
    ap->ticket_flags = credential->flags;
    ap->authtime = credential->authtime;
    ap->endtime = credential->endtime - request->clock_offset / 1000000;
    ap->clock_offset = request->clock_offset;
    ap->bound = request->bindings != NULL;
    return ap;
}

void kb_ap_establish(struct kb_ap *ap, uint32_t peer_seq)
{
    ap->format = kb_token_format_of(ap->message_key);
    kb_seqstate_init(&ap->received, peer_seq, ap->format->wide, (ap->flags & KB_GSS_REPLAY) != 0,
                     (ap->flags & KB_GSS_SEQUENCE) != 0);
    ap->state = KB_AP_ESTABLISHED;
}

void kb_ap_tell_old(const struct kb_ap *ap, const struct kb_env *env)
{
    int32_t etype = kb_key_enctype(ap->message_key)->etype;
    struct kb_text name;

    if (kb_old_is(etype)) {
        kb_old_used(env->events, KB_OLD_MESSAGES, kb_text_principal(&name, ap->server), etype);
    }
}

void kb_ap_free(struct kb_ap *ap)
{
    if (ap == NULL) {
        return;
    }
    if (ap->format != NULL && ap->format->release != NULL) {
        ap->format->release(ap);
    }
    kb_key_free(ap->session_key);
    kb_key_free(ap->message_key);
    kb_key_free(ap->initiator_subkey);
    kb_principal_free(ap->client);
    kb_principal_free(ap->server);
    pthread_mutex_destroy(&ap->lock);
    kb_free_secret(ap, sizeof(*ap));
}

/* --- AP-REQ --- */

/* RFC 4121 4.1.1.2: each integer and length in four octets, little-endian; contents where there are
 * any. */
static enum kb_status hash_bindings(const struct kb_channel_bindings *cb, uint8_t out[KB_MD5_LEN])
{
    uint8_t numbers[5][4];
    const kb_bytes pieces[] = {
        {numbers[0], 8},      cb->initiator_address, {numbers[2], 8},
        cb->acceptor_address, {numbers[4], 4},       cb->application_data,
    };

    if (cb->initiator_address.len > UINT32_MAX || cb->acceptor_address.len > UINT32_MAX ||
        cb->application_data.len > UINT32_MAX) {
        return KB_TOO_BIG;
    }
    kb_put_u32le(numbers[0], cb->initiator_addrtype);
    kb_put_u32le(numbers[1], (uint32_t)cb->initiator_address.len);
    kb_put_u32le(numbers[2], cb->acceptor_addrtype);
    kb_put_u32le(numbers[3], (uint32_t)cb->acceptor_address.len);
    kb_put_u32le(numbers[4], (uint32_t)cb->application_data.len);
    return kb_md5(pieces, sizeof(pieces) / sizeof(pieces[0]), out);
}

/* RFC 4121 4.1.1: "encrypted in the session key", which the AP-REQ's ticket brings. A TGT that does
 * not fit into Dlgth's two octets is not forwarded. */
static enum kb_status make_delegation(struct kb_ap *ap, const struct kb_env *env,
                                      const struct kb_ap_request *request, struct kb_arena *arena,
                                      kb_bytes *out)
{
    enum kb_status st = KB_OK;

    *out = KB_NONE;
    if ((ap->flags & KB_GSS_DELEG) != 0) {
        st = kb_krbcred_make(&env->rng, kb_ap_time(ap, env), request->forwarded, ap->session_key,
                             arena, out);
    }
    if (st == KB_OK && out->len > UINT16_MAX) {
        kb_event_too_large_to_forward(env->events, out->len);
        ap->flags &= ~DELEGATES;
        *out = KB_NONE;
    }
    return st;
}

/* Lgth, Bnd, Flags; with a delegation DlgOpt, Dlgth and Deleg behind them. `fixed` has room for the
 * first three. */
static enum kb_status make_checksum(const struct kb_ap *ap, const struct kb_ap_request *request,
                                    kb_bytes delegation, uint8_t fixed[GSS_CKSUM_LEN],
                                    struct kb_arena *arena, kb_bytes *out)
{
    uint8_t *bytes = fixed, *at;

    *out = kb_bytes_of(fixed, GSS_CKSUM_LEN);
    if (delegation.len > 0) {
        out->len += DELEGATION_LEN + delegation.len;
        out->ptr = bytes = kb_arena_alloc(arena, out->len);
        if (bytes == NULL) {
            return KB_NO_MEMORY;
        }
        at = bytes + GSS_CKSUM_LEN;
        kb_put_u16le(at, DELEGATION_OPTION);
        kb_put_u16le(at + 2, (uint16_t)delegation.len);
        memcpy(at + DELEGATION_LEN, delegation.ptr, delegation.len);
    }
    memset(bytes, 0, GSS_CKSUM_LEN);
    kb_put_u32le(bytes, KB_MD5_LEN);
    kb_put_u32le(bytes + 4 + KB_MD5_LEN, ap->flags & ~KB_GSS_DELEG_POLICY);
    return request->bindings != NULL ? hash_bindings(request->bindings, bytes + 4) : KB_OK;
}

/* RFC 4537 3: the list is for a client that prefers another enctype to the session key's, which is
 * then its last entry. How many entries that are; 0: no list. */
static size_t num_offered(const struct kb_ap *ap, const struct kb_ap_request *request)
{
    int32_t own = session_etype(ap);
    size_t num = 0;

    if ((ap->flags & KB_GSS_MUTUAL) == 0 || request->num_etypes == 0 || request->etypes[0] == own) {
        return 0;
    }
    while (num < request->num_etypes && request->etypes[num] != own) {
        num++;
    }
    return num < request->num_etypes ? num + 1 : num;
}

/* What an acceptor may answer with: an old enctype only where it was offered in this very exchange,
 * or is the session key's; naming one is not asking for it where there is something better. */
static uint64_t etypes_for_subkey(const struct kb_ap *ap, const struct kb_ap_request *request)
{
    uint64_t bits = kb_ap_etype_bit(session_etype(ap));
    size_t num = num_offered(ap, request);

    for (size_t i = 0; i < request->num_etypes; i++) {
        if (i < num || !kb_old_is(request->etypes[i])) {
            bits |= kb_ap_etype_bit(request->etypes[i]);
        }
    }
    return bits;
}

static enum kb_status encode_etypes(const struct kb_ap_request *request, size_t num,
                                    struct kb_arena *arena, kb_bytes *out)
{
    kb_int32_list list = {kb_arena_alloc(arena, num * sizeof(kb_int32)), num};

    if (list.items == NULL) {
        return KB_NO_MEMORY;
    }
    memcpy(list.items, request->etypes, num * sizeof(kb_int32));
    return kb_encode_int32_list(arena, &list, out);
}

/* What we tell the acceptor beside the ticket, in one AD-IF-RELEVANT; *out has no items where there
 * is nothing to tell. */
static enum kb_status make_authdata(const struct kb_ap *ap, const struct kb_ap_request *request,
                                    struct kb_arena *arena, kb_authorization_data *out)
{
    kb_authorization_data inner = {kb_arena_alloc(arena, 2 * sizeof(*inner.items)), 0};
    size_t num_etypes = num_offered(ap, request);
    kb_authorization_data_entry *entry;
    uint8_t *options;
    enum kb_status st = KB_OK;

    out->items = kb_arena_alloc(arena, sizeof(*out->items));
    options = kb_arena_alloc(arena, 4);
    if (inner.items == NULL || out->items == NULL || options == NULL) {
        return KB_NO_MEMORY;
    }
    if (num_etypes > 0) {
        entry = &inner.items[inner.num++];
        entry->ad_type = AD_ETYPE_NEGOTIATION;
        st = encode_etypes(request, num_etypes, arena, &entry->ad_data);
    }
    if (request->bindings_required) {
        kb_put_u32le(options, AP_OPTIONS_CBT);
        entry = &inner.items[inner.num++];
        entry->ad_type = AD_AP_OPTIONS;
        entry->ad_data = kb_bytes_of(options, 4);
    }
    if (st != KB_OK || inner.num == 0) {
        return st;
    }
    out->items[0].ad_type = AD_IF_RELEVANT;
    out->num = 1;
    return kb_encode_authorization_data(arena, &inner, &out->items[0].ad_data);
}

static enum kb_status make_authenticator(struct kb_ap *ap, const struct kb_ap_request *request,
                                         kb_bytes delegation, struct kb_arena *arena, kb_bytes *out)
{
    uint8_t checksum[GSS_CKSUM_LEN];
    kb_authenticator a = {
        .authenticator_vno = KB_PVNO,
        .crealm = ap->client->realm,
        .cname = ap->client->name,
        .has_cksum = true,
        .cksum = {.cksumtype = CKSUM_GSS},
        .cusec = ap->sent.usec,
        .ctime = ap->sent.sec,
        .has_subkey = true,
        .subkey = {kb_key_enctype(ap->message_key)->etype, kb_key_bytes(ap->message_key)},
        .has_seq_number = true,
        .seq_number = (uint32_t)atomic_load_explicit(&ap->send_seq, memory_order_relaxed),
    };
    enum kb_status st = make_checksum(ap, request, delegation, checksum, arena, &a.cksum.checksum);

    if (st == KB_OK && (request->bindings_required || num_offered(ap, request) > 0)) {
        a.has_authorization_data = true;
        st = make_authdata(ap, request, arena, &a.authorization_data);
    }
    return st == KB_OK ? kb_encode_authenticator(arena, &a, out) : st;
}

enum kb_status kb_ap_encrypt(struct kb_ap *ap, enum kb_usage usage, const struct kb_rng *rng,
                             kb_bytes plain, struct kb_arena *arena, kb_encrypted_data *out)
{
    size_t len = kb_encrypted_len(ap->session_key, plain.len);
    uint8_t *cipher = kb_arena_alloc(arena, len);

    if (cipher == NULL) {
        return KB_NO_MEMORY;
    }
    *out = (kb_encrypted_data){.etype = session_etype(ap), .cipher = {cipher, len}};
    return kb_encrypt(ap->session_key, usage, rng, plain, cipher);
}

static enum kb_status make_ap_req(struct kb_ap *ap, const struct kb_env *env,
                                  const struct kb_ap_request *request, kb_bytes delegation,
                                  struct kb_arena *arena, kb_bytes *out)
{
    kb_ap_req req = {
        .pvno = KB_PVNO,
        .msg_type = KB_MSG_AP_REQ,
        .ap_options = (ap->flags & KB_GSS_MUTUAL) != 0 ? AP_OPTION_MUTUAL : 0,
        .ticket = request->credential->ticket,
    };
    kb_bytes plain;
    enum kb_status st = make_authenticator(ap, request, delegation, arena, &plain);

    if (st == KB_OK) {
        st = kb_ap_encrypt(ap, KB_USAGE_AP_REQ_AUTHENTICATOR, &env->rng, plain, arena,
                           &req.authenticator);
    }
    return st == KB_OK ? kb_encode_ap_req(arena, &req, out) : st;
}

/* A subkey always: the session key is shared by all contexts of the ticket. */
static enum kb_status draw_subkey(struct kb_ap *ap, const struct kb_env *env)
{
    uint64_t seq;
    enum kb_status st = kb_key_random(session_etype(ap), &env->rng, &ap->message_key);

    if (st == KB_OK) {
        st = draw_seq(&env->rng, &seq);
    }
    if (st == KB_OK) {
        atomic_init(&ap->send_seq, seq);
    }
    return st;
}

static void tell_request(const struct kb_ap *ap, const struct kb_env *env,
                         const struct kb_ap_request *request, kb_bytes ap_req)
{
    struct kb_text name;

    if (kb_events_wanted(env->events, KB_LOG_VERBOSE | KB_EVENT_TRAIL)) {
        kb_event_ap_req(env->events, kb_text_principal(&name, request->credential->server),
                        (ap->flags & KB_GSS_MUTUAL) != 0 ? "which is to prove its identity"
                                                         : "without an answer",
                        ap->endtime - ap->sent.sec);
        kb_trail(env->events, KB_CLIENT, "service", ap_req);
    }
}

enum kb_status kb_ap_new(const struct kb_env *env, const struct kb_ap_request *request,
                         struct kb_arena *arena, struct kb_ap **out, kb_bytes *out_ap_req)
{
    struct kb_ap *ap = context_of(request);
    kb_bytes delegation;
    enum kb_status st;

    *out = NULL;
    *out_ap_req = KB_NONE;
    if (ap == NULL) {
        return KB_NO_MEMORY;
    }
    ap->etypes = etypes_for_subkey(ap, request);
    st = draw_subkey(ap, env);
    if (st == KB_OK) {
        st = make_delegation(ap, env, request, arena, &delegation);
    }
    if (st == KB_OK) {
        ap->sent = kb_ap_time(ap, env);
        st = make_ap_req(ap, env, request, delegation, arena, out_ap_req);
    }
    if (st != KB_OK) {
        kb_ap_free(ap);
        return st;
    }
    if ((ap->flags & KB_GSS_MUTUAL) == 0) {
        /* No AP-REP will say where the acceptor starts: it starts where we do. */
        kb_ap_establish(ap, (uint32_t)atomic_load_explicit(&ap->send_seq, memory_order_relaxed));
        kb_ap_tell_old(ap, env);
    }
    tell_request(ap, env, request, *out_ap_req);
    *out = ap;
    return KB_OK;
}

/* --- queries --- */

bool kb_ap_established(const struct kb_ap *ap)
{
    return ap->state == KB_AP_ESTABLISHED;
}

uint32_t kb_ap_flags(const struct kb_ap *ap)
{
    return ap->flags;
}

int64_t kb_ap_endtime(const struct kb_ap *ap)
{
    return ap->endtime;
}

const struct kb_principal *kb_ap_client(const struct kb_ap *ap)
{
    return ap->client;
}

const struct kb_principal *kb_ap_server(const struct kb_ap *ap)
{
    return ap->server;
}

uint32_t kb_ap_ticket_flags(const struct kb_ap *ap)
{
    return ap->ticket_flags;
}

int64_t kb_ap_authtime(const struct kb_ap *ap)
{
    return ap->authtime;
}

struct kb_key *kb_ap_message_key(const struct kb_ap *ap, bool *out_from_acceptor)
{
    if (out_from_acceptor != NULL) {
        *out_from_acceptor = ap->acceptor_subkey;
    }
    return ap->message_key;
}

struct kb_key *kb_ap_ticket_key(const struct kb_ap *ap)
{
    return ap->session_key;
}

struct kb_key *kb_ap_initiator_key(const struct kb_ap *ap)
{
    return ap->initiator_subkey != NULL ? ap->initiator_subkey : ap->message_key;
}

uint64_t kb_ap_send_seq(const struct kb_ap *ap)
{
    return atomic_load_explicit(&ap->send_seq, memory_order_relaxed);
}

uint64_t kb_ap_first_seq(const struct kb_ap *ap)
{
    return ap->received.first;
}

/* As MIT's etypes.c counts it: where a cipher is weaker than its key is long, by its strength. */
unsigned kb_ap_ssf(const struct kb_ap *ap)
{
    const struct kb_enctype *enctype = kb_key_enctype(ap->message_key);

    switch (enctype->etype) {
    case KB_ENCTYPE_DES_CBC_CRC:
    case KB_ENCTYPE_DES_CBC_MD4:
    case KB_ENCTYPE_DES_CBC_MD5:
        return 56;
    case KB_ENCTYPE_DES3_CBC_SHA1:
        return 112;
    case KB_ENCTYPE_RC4_HMAC:
        return 64;
    default:
        return enctype->key_len * 8u;
    }
}
