/* keys.c - what a context gives of its keys: pseudo-random bytes, queries by OID, lucid contexts.
 */
#include "tests/spi/keys.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "tests/spi/say.h"

static int equal(const gss_buffer_desc *a, const gss_buffer_desc *b)
{
    return a->length == b->length && (a->length == 0 || memcmp(a->value, b->value, a->length) == 0);
}

static void both_random(gss_ctx_id_t a, gss_ctx_id_t b, int which, gss_buffer_t in, ssize_t len)
{
    gss_buffer_desc one = {7, &one}, two = {7, &two};

    printf("key %d, %zu bytes in, %zd out\n", which, in->length, len);
    tell("pseudo_random", gss_pseudo_random(&minor, a, which, in, len, &one));
    tell("pseudo_random", gss_pseudo_random(&minor, b, which, in, len, &two));
    printf("  %zu bytes, %s, %s\n", one.length, one.value != NULL ? "some" : "none",
           equal(&one, &two) ? "equal" : "not equal");
    gss_release_buffer(&ignored, &one);
    gss_release_buffer(&ignored, &two);
}

static void pseudo_random(gss_ctx_id_t a, gss_ctx_id_t b)
{
    static char bytes[65536];
    static const ssize_t lens[] = {0, 1, 16, 20, 32, 48, 64, 65, 4096, -1, SSIZE_MAX, -SSIZE_MAX};
    static const int keys[] = {GSS_C_PRF_KEY_FULL, GSS_C_PRF_KEY_PARTIAL, 2, -1};
    gss_buffer_desc in = {61, bytes}, none = GSS_C_EMPTY_BUFFER, full, partial;

    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        for (size_t j = 0; j < sizeof(lens) / sizeof(lens[0]); j++) {
            both_random(a, b, keys[i], &in, lens[j]);
        }
        both_random(a, b, keys[i], &none, 44);
        in.length = sizeof(bytes);
        both_random(a, b, keys[i], &in, 44);
        in.length = 61;
    }
    tell("pseudo_random", gss_pseudo_random(&minor, a, GSS_C_PRF_KEY_FULL, &in, 16, &full));
    tell("pseudo_random", gss_pseudo_random(&minor, a, GSS_C_PRF_KEY_PARTIAL, &in, 16, &partial));
    printf("  the keys are %s\n", equal(&full, &partial) ? "one" : "two");
    gss_release_buffer(&ignored, &full);
    gss_release_buffer(&ignored, &partial);
}

/* A query of 1.2.840.113554.1.2.2.5 and `arcs`, of both sides; answers that are no keys are shown.
 */
static void both_asked(gss_ctx_id_t a, gss_ctx_id_t b, const char *arcs, size_t len)
{
    char bytes[32] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05";
    gss_OID_desc oid = {10 + (OM_uint32)len, bytes};
    gss_buffer_set_t one = GSS_C_NO_BUFFER_SET, two = GSS_C_NO_BUFFER_SET;
    int key = arcs[0] == 5 || arcs[0] == 19;

    memcpy(bytes + 10, arcs, len);
    print_oid("query", &oid);
    tell("init", gss_inquire_sec_context_by_oid(&minor, a, &oid, &one));
    tell("accept", gss_inquire_sec_context_by_oid(&minor, b, &oid, &two));
    printf("  %s\n", one != NULL ? "a set" : "no set");
    for (size_t i = 0; one != NULL && i < one->count; i++) {
        printf("  %zu bytes, %s\n", one->elements[i].length,
               two != NULL && i < two->count && equal(&one->elements[i], &two->elements[i])
                   ? "equal"
                   : "not equal");
        if (!key || i > 0) {
            print_hex("value", &one->elements[i]);
        }
    }
    gss_release_buffer_set(&ignored, &one);
    gss_release_buffer_set(&ignored, &two);
}

/* That of authtime (12) is not shown: it is another one in each run. The ticket key (19) is asked
 * of libgssapi from 1.21 on. */
static void queries(gss_ctx_id_t a, gss_ctx_id_t b)
{
    static const gss_buffer_desc arcs[] = {
        {1, (void *)"\1"},       {2, (void *)"\1\1"},       {1, (void *)"\2"},
        {1, (void *)"\5"},       {3, (void *)"\5\7\7"},     {3, (void *)"\6\1\1"},
        {2, (void *)"\x0a\1"},   {3, (void *)"\x0a\x81\0"}, {1, (void *)"\x0a"},
        {2, (void *)"\x0a\x81"}, {1, (void *)"\x0f"},       {2, (void *)"\x0f\1"},
        {1, (void *)"\x7f"},     {0, (void *)""},
    };

    for (size_t i = 0; i < sizeof(arcs) / sizeof(arcs[0]); i++) {
        both_asked(a, b, arcs[i].value, arcs[i].length);
    }
}

static void simple_queries(gss_ctx_id_t a, gss_ctx_id_t b)
{
    krb5_timestamp one = 0, two = 0;
    krb5_flags flags = 0;
    gss_buffer_desc data = GSS_C_EMPTY_BUFFER;

    tell("authtime", gsskrb5_extract_authtime_from_sec_context(&minor, a, &one));
    tell("authtime", gsskrb5_extract_authtime_from_sec_context(&minor, b, &two));
    printf("  %s\n", one == two && one != 0 ? "equal" : "not equal");
    tell("ticket flags", gss_krb5_get_tkt_flags(&minor, a, &flags));
    printf("  %x\n", (unsigned)flags);
    tell("authz data", gsskrb5_extract_authz_data_from_sec_context(&minor, a, 1, &data));
    gss_release_buffer(&ignored, &data);
}

static const char *same_key(const gss_krb5_lucid_key_t *a, const gss_krb5_lucid_key_t *b)
{
    return a->type == b->type && a->length == b->length &&
                   (a->length == 0 || memcmp(a->data, b->data, a->length) == 0)
               ? "equal"
               : "not equal";
}

static void lucid_pair(gss_ctx_id_t *a, gss_ctx_id_t *b)
{
    gss_krb5_lucid_context_v1_t *one, *two;
    void *any = &any, *other = &other;

    tell("export_lucid, version 2", gss_krb5_export_lucid_sec_context(&minor, a, 2, &any));
    printf("  context %s, %s\n", *a != NULL ? "stays" : "is gone", any != NULL ? "some" : "none");
    if (!tell("export_lucid", gss_krb5_export_lucid_sec_context(&minor, a, 1, &any)) ||
        !tell("export_lucid", gss_krb5_export_lucid_sec_context(&minor, b, 1, &other))) {
        return;
    }
    one = any;
    two = other;
    printf("  context %s\n", *a != NULL ? "stays" : "is gone");
    printf("  version %u, initiate %u, %u, protocol %u, endtime %s\n", one->version, one->initiate,
           two->initiate, one->protocol, one->endtime == two->endtime ? "equal" : "not equal");
    printf("  sent %d, %d\n", (int)(one->send_seq - two->recv_seq),
           (int)(two->send_seq - one->recv_seq));
    printf("  rfc1964: %u, %u, key of type %u, %u bytes, %s\n", one->rfc1964_kd.sign_alg,
           one->rfc1964_kd.seal_alg, one->rfc1964_kd.ctx_key.type, one->rfc1964_kd.ctx_key.length,
           same_key(&one->rfc1964_kd.ctx_key, &two->rfc1964_kd.ctx_key));
    printf("  cfx: %u, key of type %u, %u bytes, %s, acceptor's of type %u, %u bytes, %s\n",
           one->cfx_kd.have_acceptor_subkey, one->cfx_kd.ctx_key.type, one->cfx_kd.ctx_key.length,
           same_key(&one->cfx_kd.ctx_key, &two->cfx_kd.ctx_key), one->cfx_kd.acceptor_subkey.type,
           one->cfx_kd.acceptor_subkey.length,
           same_key(&one->cfx_kd.acceptor_subkey, &two->cfx_kd.acceptor_subkey));
    tell("free_lucid", gss_krb5_free_lucid_sec_context(&minor, any));
    tell("free_lucid", gss_krb5_free_lucid_sec_context(&minor, other));
}

/* Tokens that would end a context, if it took them. */
static void no_delete_tokens(gss_ctx_id_t a, gss_ctx_id_t b)
{
    gss_buffer_desc message = {11, (void *)"hello world"}, token = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc junk = {4, (void *)"junk"};

    tell("process junk", gss_process_context_token(&minor, a, &junk));
    if (tell("get_mic", gss_get_mic(&minor, b, 0, &message, &token))) {
        tell("process a MIC", gss_process_context_token(&minor, a, &token));
    }
    gss_release_buffer(&ignored, &token);
    tell("process nothing", gss_process_context_token(&minor, a, &token));
    tell("complete_auth_token", gss_complete_auth_token(&minor, a, &junk));
    tell("complete_auth_token", gss_complete_auth_token(&minor, a, &token));
    if (tell("wrap", gss_wrap(&minor, a, 1, 0, &message, NULL, &token))) {
        tell("unwrap", gss_unwrap(&minor, b, &token, &message, NULL, NULL));
        gss_release_buffer(&ignored, &message);
    }
    gss_release_buffer(&ignored, &token);
}

static void keys_of(gss_OID mech, OM_uint32 flags, const char *service)
{
    struct loop l = {.mech = mech, .flags = flags, .service = service};

    printf("--- keys, flags %x, %s\n", flags, service != NULL ? service : "HTTP");
    print_oid("mech", mech);
    if (run_loop(&l)) {
        pseudo_random(l.init, l.accept);
        queries(l.init, l.accept);
        simple_queries(l.init, l.accept);
        no_delete_tokens(l.init, l.accept);
        lucid_pair(&l.init, &l.accept);
    }
    end_loop(&l);
}

static void half_open_keys(void)
{
    gss_name_t target = name_of("HTTP@localhost", GSS_C_NT_HOSTBASED_SERVICE);
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER, junk = {4, (void *)"junk"};
    void *any = &any;

    tell("init", gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, target, &krb5_oid,
                                      GSS_C_MUTUAL_FLAG, 0, NULL, NULL, NULL, &out, NULL, NULL));
    gss_release_buffer(&ignored, &out);
    if (ctx != GSS_C_NO_CONTEXT) {
        both_random(ctx, ctx, GSS_C_PRF_KEY_FULL, &junk, 16);
        both_random(ctx, ctx, GSS_C_PRF_KEY_PARTIAL, &junk, 16);
        both_random(ctx, ctx, 9, &junk, 16);
        both_random(ctx, ctx, GSS_C_PRF_KEY_FULL, &junk, 0);
        queries(ctx, ctx);
        tell("process", gss_process_context_token(&minor, ctx, &junk));
        tell("complete", gss_complete_auth_token(&minor, ctx, &junk));
        tell("export_lucid", gss_krb5_export_lucid_sec_context(&minor, &ctx, 1, &any));
        printf("  context %s, %s\n", ctx != NULL ? "stays" : "is gone",
               any != NULL ? "some" : "none");
    }
    tell("delete", gss_delete_sec_context(&minor, &ctx, NULL));
    gss_release_name(&ignored, &target);
}

/* SERVICE: whose keys have the enctype that is tested */
void keys(char **args)
{
    keys_of(&krb5_oid, 0, args[0]);
    keys_of(&krb5_oid, GSS_C_MUTUAL_FLAG | GSS_C_SEQUENCE_FLAG, args[0]);
    keys_of(&krb5_oid, GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE, args[0]);
    keys_of(&spnego_oid, GSS_C_MUTUAL_FLAG, args[0]);
    half_open_keys();
}
