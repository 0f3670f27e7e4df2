/* transcript.c - one scenario of GSS-API calls, written down: majors, texts, names, types, flags.
 *
 *   transcript SCENARIO [ARGUMENT]...
 *
 * It knows nothing of the plugin: test_passthrough.py runs it with and without it and compares.
 * Left out is what cannot be equal (minor numbers, bytes of tokens) and the known differences of
 * an interposer (names compared across differently tagged handles, elements_stored). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/spi/keys.h"
#include "tests/spi/say.h"

static gss_OID_desc tkt_flags = {11, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x01"};
static gss_OID_desc unknown_object = {4, (void *)"\x2a\x03\x04\x05"};

static void more_messages(gss_ctx_id_t from, gss_ctx_id_t to)
{
    gss_buffer_desc assoc = {4, (void *)"head"}, data = {4, (void *)"body"};
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, plain = GSS_C_EMPTY_BUFFER;
    char payload[] = "payload";
    gss_iov_buffer_desc iov[4] = {
        {GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
        {GSS_IOV_BUFFER_TYPE_DATA, {7, payload}},
        {GSS_IOV_BUFFER_TYPE_PADDING | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
        {GSS_IOV_BUFFER_TYPE_TRAILER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
    };
    gss_iov_buffer_desc mic[2] = {
        {GSS_IOV_BUFFER_TYPE_DATA, {7, payload}},
        {GSS_IOV_BUFFER_TYPE_MIC_TOKEN | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
    };
    int state = 7;

    if (tell("wrap_aead", gss_wrap_aead(&minor, from, 1, 0, &assoc, &data, &state, &token)) &&
        tell("unwrap_aead", gss_unwrap_aead(&minor, to, &token, &assoc, &plain, &state, NULL))) {
        printf("  %.*s\n", (int)plain.length, (char *)plain.value);
    }
    gss_release_buffer(&ignored, &token);
    gss_release_buffer(&ignored, &plain);
    if (tell("wrap_iov", gss_wrap_iov(&minor, from, 1, 0, &state, iov, 4)) &&
        tell("unwrap_iov", gss_unwrap_iov(&minor, to, &state, NULL, iov, 4))) {
        printf("  %s, %zu and %zu bytes\n", payload, iov[0].buffer.length, iov[3].buffer.length);
    }
    gss_release_iov_buffer(&ignored, iov, 4);
    iov[0].type = GSS_IOV_BUFFER_TYPE_HEADER;
    iov[2].type = GSS_IOV_BUFFER_TYPE_PADDING;
    iov[3].type = GSS_IOV_BUFFER_TYPE_TRAILER;
    if (tell("wrap_iov_length", gss_wrap_iov_length(&minor, from, 1, 0, &state, iov, 4))) {
        printf("  %zu and %zu bytes\n", iov[0].buffer.length, iov[3].buffer.length);
    }
    if (tell("get_mic_iov", gss_get_mic_iov(&minor, from, 0, mic, 2))) {
        tell("verify_mic_iov", gss_verify_mic_iov(&minor, to, NULL, mic, 2));
    }
    gss_release_iov_buffer(&ignored, mic, 2);
    tell("pseudo_random", gss_pseudo_random(&minor, from, GSS_C_PRF_KEY_FULL, &assoc, 16, &token));
    tell("pseudo_random", gss_pseudo_random(&minor, to, GSS_C_PRF_KEY_FULL, &assoc, 16, &plain));
    printf("  %s\n",
           token.length == 16 && plain.length == 16 && memcmp(token.value, plain.value, 16) == 0
               ? "equal"
               : "not equal");
    gss_release_buffer(&ignored, &token);
    gss_release_buffer(&ignored, &plain);
}

static void lucid(gss_ctx_id_t *ctx)
{
    gss_krb5_lucid_context_v1_t *secrets = NULL;
    void *any = NULL;

    if (tell("export_lucid", gss_krb5_export_lucid_sec_context(&minor, ctx, 1, &any))) {
        secrets = any;
        printf("  version %u, initiate %u, protocol %u\n", secrets->version, secrets->initiate,
               secrets->protocol);
        tell("free_lucid", gss_krb5_free_lucid_sec_context(&minor, any));
    }
}

static void do_loop(gss_OID mech, OM_uint32 flags, int more)
{
    struct loop l = {.mech = mech, .flags = flags};

    printf("--- context, flags %x\n", flags);
    print_oid("mech", mech);
    if (run_loop(&l)) {
        print_context(l.init);
        print_context(l.accept);
        for (int conf = 0; conf < 2; conf++) {
            messages(l.init, l.accept, conf);
            messages(l.accept, l.init, conf);
        }
        print_query(l.init, "SSF", &ssf_oid, 1);
        print_query(l.init, "session key", &session_key_oid, 0);
        print_query(l.accept, "ticket flags", &tkt_flags, 1);
        print_query(l.init, "unknown query", &unknown_object, 1);
        if (more) {
            more_messages(l.init, l.accept);
            more_messages(l.accept, l.init);
        }
        if (more > 1) {
            lucid(&l.init);
        }
    }
    end_loop(&l);
}

static void with_bindings(void)
{
    struct gss_channel_bindings_struct one = {0}, two = {0};
    struct loop l = {.mech = &krb5_oid, .bindings = &one, .accept_bindings = &two};

    one.application_data = (gss_buffer_desc){3, (void *)"one"};
    two.application_data = (gss_buffer_desc){3, (void *)"one"};
    printf("--- equal bindings\n");
    run_loop(&l);
    end_loop(&l);
    two.application_data = (gss_buffer_desc){3, (void *)"two"};
    printf("--- other bindings\n");
    run_loop(&l);
    end_loop(&l);
    one.initiator_addrtype = two.initiator_addrtype = GSS_C_AF_INET;
    one.initiator_address = two.initiator_address = (gss_buffer_desc){4, (void *)"\x7f\0\0\1"};
    two.application_data = one.application_data;
    printf("--- bindings with an address\n");
    run_loop(&l);
    end_loop(&l);
}

/* What our engine does as well. */
static void basic(char **args)
{
    (void)args;
    do_loop(&krb5_oid, 0, 0);
    do_loop(&krb5_oid, GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG, 0);
    do_loop(&krb5_oid, GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG, 0);
    do_loop(&krb5_oid, GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG, 0);
    do_loop(&krb5_oid, GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE, 0);
    do_loop(&spnego_oid, GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_SEQUENCE_FLAG, 0);
    do_loop(&spnego_oid, 0, 0);
    do_loop(&krb5_old_oid, GSS_C_MUTUAL_FLAG, 0);
    do_loop(&krb5_wrong_oid, GSS_C_MUTUAL_FLAG, 0);
    do_loop(GSS_C_NO_OID, GSS_C_MUTUAL_FLAG, 0);
    with_bindings();
}

static void contexts(char **args)
{
    struct loop l = {.mech = &krb5_oid, .service = "nosuch@localhost"};

    (void)args;
    do_loop(&krb5_oid, 0, 0);
    do_loop(&krb5_oid, GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG, 1);
    do_loop(&krb5_oid, GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG, 2);
    do_loop(&krb5_oid, GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE, 1);
    do_loop(&krb5_oid, GSS_C_MUTUAL_FLAG | GSS_C_DELEG_FLAG, 0);
    do_loop(&spnego_oid, GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_SEQUENCE_FLAG, 1);
    do_loop(&spnego_oid, 0, 0);
    do_loop(&krb5_old_oid, GSS_C_MUTUAL_FLAG, 0);
    do_loop(&krb5_wrong_oid, GSS_C_MUTUAL_FLAG, 0);
    do_loop(GSS_C_NO_OID, GSS_C_MUTUAL_FLAG, 0);

    with_bindings();
    printf("--- unknown service\n");
    run_loop(&l);
    end_loop(&l);
    l.mech = &spnego_oid;
    run_loop(&l);
    end_loop(&l);
}

static void half_open(char **args)
{
    gss_name_t target = name_of("HTTP@localhost", GSS_C_NT_HOSTBASED_SERVICE);
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER, junk = {4, (void *)"junk"};
    gss_buffer_desc header = {17, (void *)"\x60\x0f\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
                                          "\x01\x00\x00\x00"};

    (void)args;
    tell("init", gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, target, &krb5_oid,
                                      GSS_C_MUTUAL_FLAG, 0, NULL, NULL, NULL, &out, NULL, NULL));
    gss_release_buffer(&ignored, &out);
    if (ctx != GSS_C_NO_CONTEXT) {
        print_context(ctx);
        print_query(ctx, "SSF of a half-open context", &ssf_oid, 1);
        tell("wrap", gss_wrap(&minor, ctx, 1, 0, &junk, NULL, &out));
        tell("get_mic", gss_get_mic(&minor, ctx, 0, &junk, &out));
        tell("export", gss_export_sec_context(&minor, &ctx, &out));
        gss_release_buffer(&ignored, &out);
        tell("init with junk",
             gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, target, &krb5_oid,
                                  GSS_C_MUTUAL_FLAG, 0, NULL, &junk, NULL, &out, NULL, NULL));
        gss_release_buffer(&ignored, &out);
        printf("  context %s\n", ctx != NULL ? "stays" : "is gone");
    }
    tell("delete", gss_delete_sec_context(&minor, &ctx, NULL));
    tell("accept junk", gss_accept_sec_context(&minor, &ctx, NULL, &junk, NULL, NULL, NULL, &out,
                                               NULL, NULL, NULL));
    tell("accept a header", gss_accept_sec_context(&minor, &ctx, NULL, &header, NULL, NULL, NULL,
                                                   &out, NULL, NULL, NULL));
    printf("  context %s\n", ctx != NULL ? "some" : "none");
    gss_release_buffer(&ignored, &out);
    gss_release_name(&ignored, &target);
}

static void one_name(const char *text, gss_OID type)
{
    gss_name_t name = name_of(text, type), canonical = GSS_C_NO_NAME, copy = GSS_C_NO_NAME;
    gss_buffer_desc exported = GSS_C_EMPTY_BUFFER, local = GSS_C_EMPTY_BUFFER;
    int equal = 7, is_mn = 7;

    printf("--- name %s\n", text);
    print_name("as given", name);
    if (name != GSS_C_NO_NAME &&
        tell("canonicalize", gss_canonicalize_name(&minor, name, &krb5_oid, &canonical))) {
        print_name("canonical", canonical);
        if (tell("export", gss_export_name(&minor, canonical, &exported))) {
            print_hex("exported", &exported);
        }
        tell("duplicate", gss_duplicate_name(&minor, canonical, &copy));
        print_name("copy", copy);
        tell("compare", gss_compare_name(&minor, canonical, copy, &equal));
        printf("  %d\n", equal);
        tell("compare", gss_compare_name(&minor, canonical, name, &equal));
        printf("  %d\n", equal);
        if (tell("localname", gss_localname(&minor, canonical, GSS_C_NO_OID, &local))) {
            printf("  %.*s\n", (int)local.length, (char *)local.value);
        }
        gss_release_buffer(&ignored, &local);
        printf("userok alice: %d, root: %d\n", gss_userok(canonical, "alice"),
               gss_userok(canonical, "root"));
        tell("inquire_name", gss_inquire_name(&minor, canonical, &is_mn, NULL, NULL));
        printf("  %d\n", is_mn);
    }
    gss_release_name(&ignored, &copy);
    gss_release_name(&ignored, &name);
    if (exported.length > 0) {
        tell("import exported", gss_import_name(&minor, &exported, GSS_C_NT_EXPORT_NAME, &name));
        print_name("again", name);
        gss_release_name(&ignored, &name);
    }
    gss_release_buffer(&ignored, &exported);
    gss_release_name(&ignored, &canonical);
}

static void names(char **args)
{
    (void)args;
    one_name("alice", GSS_C_NT_USER_NAME);
    one_name("alice@KERBSIDE.TEST", GSS_C_NT_USER_NAME);
    one_name("root@KERBSIDE.TEST", GSS_KRB5_NT_PRINCIPAL_NAME);
    one_name("alice", GSS_C_NO_OID);
    one_name("alice@OTHER.TEST", GSS_KRB5_NT_PRINCIPAL_NAME);
    one_name("HTTP@localhost", GSS_C_NT_HOSTBASED_SERVICE);
    one_name("HTTP@LOCALHOST", GSS_C_NT_HOSTBASED_SERVICE_X);
    one_name("HTTP", GSS_C_NT_HOSTBASED_SERVICE);
    one_name("HTTP/localhost@KERBSIDE.TEST", GSS_KRB5_NT_PRINCIPAL_NAME);
    one_name("alice@upn.test", GSS_KRB5_NT_ENTERPRISE_NAME);
    one_name("0", GSS_C_NT_STRING_UID_NAME);
    one_name("99999999", GSS_C_NT_STRING_UID_NAME);
    one_name("a@b@c", GSS_KRB5_NT_PRINCIPAL_NAME);
    one_name("trailing\\", GSS_KRB5_NT_PRINCIPAL_NAME);
    one_name("WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS", GSS_C_NT_ANONYMOUS);
    one_name("alice", &unknown_object);
}

static void print_oid_set(const char *what, gss_OID_set set)
{
    if (set == GSS_C_NO_OID_SET) {
        printf("  %s: no set\n", what);
        return;
    }
    for (size_t i = 0; i < set->count; i++) {
        print_oid(what, &set->elements[i]);
    }
}

static void one_mech(gss_OID oid)
{
    gss_OID_set set = GSS_C_NO_OID_SET, known = GSS_C_NO_OID_SET;
    gss_buffer_desc a = GSS_C_EMPTY_BUFFER, b = GSS_C_EMPTY_BUFFER, c = GSS_C_EMPTY_BUFFER;
    gss_OID mech = GSS_C_NO_OID;

    print_oid("--- mech", oid);
    tell("attrs", gss_inquire_attrs_for_mech(&minor, oid, &set, &known));
    print_oid_set("attr", set);
    print_oid_set("known", known);
    gss_release_oid_set(&ignored, &set);
    gss_release_oid_set(&ignored, &known);
    tell("attrs, NULL", gss_inquire_attrs_for_mech(&minor, oid, NULL, NULL));
    tell("names", gss_inquire_names_for_mech(&minor, oid, &set));
    print_oid_set("type", set);
    gss_release_oid_set(&ignored, &set);
    if (tell("saslname", gss_inquire_saslname_for_mech(&minor, oid, &a, &b, &c))) {
        printf("  %.*s, %.*s, %.*s\n", (int)a.length, (char *)a.value, (int)b.length,
               (char *)b.value, (int)c.length, (char *)c.value);
        tell("mech for it", gss_inquire_mech_for_saslname(&minor, &a, &mech));
        print_oid("mech", mech);
    }
    gss_release_buffer(&ignored, &a);
    gss_release_buffer(&ignored, &b);
    gss_release_buffer(&ignored, &c);
}

static void mechs(char **args)
{
    gss_OID_set set = GSS_C_NO_OID_SET;

    (void)args;
    tell("indicate_mechs", gss_indicate_mechs(&minor, &set));
    print_oid_set("mech", set);
    gss_release_oid_set(&ignored, &set);
    tell("indicate_mechs_by_attrs", gss_indicate_mechs_by_attrs(&minor, NULL, NULL, NULL, &set));
    print_oid_set("mech", set);
    gss_release_oid_set(&ignored, &set);
    one_mech(&krb5_oid);
    one_mech(&krb5_old_oid);
    one_mech(&krb5_wrong_oid);
    one_mech(&spnego_oid);
}

static void exported_cred(gss_cred_id_t cred)
{
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    gss_cred_id_t again = GSS_C_NO_CREDENTIAL;

    if (tell("export_cred", gss_export_cred(&minor, cred, &token)) &&
        tell("import_cred", gss_import_cred(&minor, &token, &again))) {
        print_cred(again);
    }
    gss_release_cred(&ignored, &again);
    gss_release_buffer(&ignored, &token);
}

static void one_cred(const char *what, gss_name_t name, gss_OID_set set, int usage)
{
    gss_cred_id_t cred = acquire(what, name, set, usage);
    struct loop l = {.mech = &krb5_oid};

    if (cred != GSS_C_NO_CREDENTIAL) {
        print_cred(cred);
        if (usage != GSS_C_INITIATE) {
            l.accept_cred = cred;
        }
        if (usage != GSS_C_ACCEPT) {
            l.cred = cred;
            exported_cred(cred);
        }
        run_loop(&l);
        end_loop(&l);
    }
    tell("release_cred", gss_release_cred(&minor, &cred));
}

static void creds(char **args)
{
    gss_name_t alice = name_of("alice@KERBSIDE.TEST", GSS_KRB5_NT_PRINCIPAL_NAME);
    gss_name_t bob = name_of("bob", GSS_C_NT_USER_NAME);
    gss_name_t http = name_of("HTTP@localhost", GSS_C_NT_HOSTBASED_SERVICE);

    (void)args;
    one_cred("--- default, initiate", NULL, &krb5_set, GSS_C_INITIATE);
    one_cred("--- default, initiate, any", NULL, NULL, GSS_C_INITIATE);
    one_cred("--- default, initiate, SPNEGO", NULL, &spnego_set, GSS_C_INITIATE);
    one_cred("--- default, accept", NULL, &krb5_set, GSS_C_ACCEPT);
    one_cred("--- default, accept, any", NULL, NULL, GSS_C_ACCEPT);
    one_cred("--- default, both", NULL, &krb5_set, GSS_C_BOTH);
    one_cred("--- alice, initiate", alice, &krb5_set, GSS_C_INITIATE);
    one_cred("--- bob, initiate", bob, &krb5_set, GSS_C_INITIATE);
    one_cred("--- HTTP, accept", http, &krb5_set, GSS_C_ACCEPT);
    one_cred("--- bob, accept", bob, &krb5_set, GSS_C_ACCEPT);
    one_cred("--- HTTP, both", http, &krb5_set, GSS_C_BOTH);
    one_cred("--- no such usage", NULL, &krb5_set, 99);
    gss_release_name(&ignored, &alice);
    gss_release_name(&ignored, &bob);
    gss_release_name(&ignored, &http);
}

static void add_creds(char **args)
{
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL, both = GSS_C_NO_CREDENTIAL;
    OM_uint32 a = 0, b = 0;

    (void)args;
    tell("add_cred",
         gss_add_cred(&minor, NULL, NULL, &krb5_oid, GSS_C_INITIATE, 0, 0, &cred, NULL, &a, &b));
    printf("  %s, %s\n", lifetime(a), lifetime(b));
    tell("add_cred", gss_add_cred(&minor, cred, NULL, &spnego_oid, GSS_C_INITIATE, 0, 0, &both,
                                  NULL, NULL, NULL));
    if (both != GSS_C_NO_CREDENTIAL) {
        print_cred(both);
    }
    tell("add_cred again",
         gss_add_cred(&minor, cred, NULL, &krb5_oid, GSS_C_INITIATE, 0, 0, NULL, NULL, NULL, NULL));
    gss_release_cred(&ignored, &cred);
    gss_release_cred(&ignored, &both);
}

/* USER PASSWORD */
static void with_password(char **args)
{
    gss_name_t name = name_of(args[0], GSS_C_NT_USER_NAME);
    gss_buffer_desc password = {strlen(args[1]), args[1]};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_OID_set actual = GSS_C_NO_OID_SET;
    struct loop l = {.mech = &krb5_oid, .flags = GSS_C_MUTUAL_FLAG};

    if (tell("with_password",
             gss_acquire_cred_with_password(&minor, name, &password, 0, &krb5_set, GSS_C_INITIATE,
                                            &cred, &actual, NULL))) {
        print_oid_set("mech", actual);
        print_cred(cred);
        l.cred = cred;
        run_loop(&l);
        end_loop(&l);
    }
    gss_release_oid_set(&ignored, &actual);
    gss_release_cred(&ignored, &cred);
    gss_release_name(&ignored, &name);
}

/* CCACHE: the default credential into another cache, and out of it again. */
static void store(char **args)
{
    gss_cred_id_t cred = acquire("default", NULL, &krb5_set, GSS_C_INITIATE);
    gss_key_value_element_desc element = {"ccache", args[0]};
    gss_key_value_set_desc set = {1, &element};
    gss_cred_usage_t stored = 77;

    tell("store_cred_into",
         gss_store_cred_into(&minor, cred, GSS_C_INITIATE, &krb5_oid, 1, 0, &set, NULL, &stored));
    printf("  usage %d\n", stored);
    tell("store_cred",
         gss_store_cred(&minor, cred, GSS_C_INITIATE, &krb5_oid, 1, 1, NULL, &stored));
    gss_release_cred(&ignored, &cred);
    tell("acquire_cred_from", gss_acquire_cred_from(&minor, NULL, 0, &krb5_set, GSS_C_INITIATE,
                                                    &set, &cred, NULL, NULL));
    print_cred(cred);
    gss_release_cred(&ignored, &cred);
    tell("ccache_name", gss_krb5_ccache_name(&minor, args[0], NULL));
    cred = acquire("default", NULL, &krb5_set, GSS_C_INITIATE);
    print_cred(cred);
    gss_release_cred(&ignored, &cred);
}

static void options(char **args)
{
    gss_cred_id_t cred = acquire("default", NULL, &krb5_set, GSS_C_INITIATE);
    gss_buffer_set_t data = GSS_C_NO_BUFFER_SET;
    gss_buffer_desc value = {1, (void *)"x"};
    struct loop l = {.mech = &krb5_oid};

    (void)args;
    tell("unknown option", gss_set_cred_option(&minor, &cred, &unknown_object, &value));
    tell("no_ci_flags", gss_set_cred_option(&minor, &cred, GSS_KRB5_CRED_NO_CI_FLAGS_X, NULL));
    tell("unknown query", gss_inquire_cred_by_oid(&minor, cred, &unknown_object, &data));
    gss_release_buffer_set(&ignored, &data);
    l.cred = cred;
    if (run_loop(&l)) {
        tell("context option",
             gss_set_sec_context_option(&minor, &l.init, &unknown_object, &value));
        tell("process_context_token", gss_process_context_token(&minor, l.init, &value));
    }
    end_loop(&l);
    gss_release_cred(&ignored, &cred);
    tell("mech_invoke", gssspi_mech_invoke(&minor, &krb5_oid, &unknown_object, &value));
    tell("acceptor identity", krb5_gss_register_acceptor_identity("/nonexistent"));
    cred = acquire("accept", NULL, &krb5_set, GSS_C_ACCEPT);
    gss_release_cred(&ignored, &cred);
}

/* USER: S4U2Self with the acceptor's own credential. */
static void impersonate(char **args)
{
    gss_name_t user = name_of(args[0], GSS_C_NT_USER_NAME);
    gss_cred_id_t cred = acquire("both", NULL, &krb5_set, GSS_C_BOTH), other = NULL;

    if (cred != NULL && tell("impersonate", gss_acquire_cred_impersonate_name(
                                                &minor, cred, user, 0, &krb5_set, GSS_C_INITIATE,
                                                &other, NULL, NULL))) {
        print_cred(other);
    }
    gss_release_cred(&ignored, &other);
    gss_release_cred(&ignored, &cred);
    gss_release_name(&ignored, &user);
}

/* An exported context goes on in its importer. (The token's own OID differs with the plugin.) */
static void export_context(char **args)
{
    struct loop l = {.mech = &krb5_oid, .flags = GSS_C_MUTUAL_FLAG | GSS_C_SEQUENCE_FLAG};
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;

    (void)args;
    if (run_loop(&l)) {
        if (tell("export", gss_export_sec_context(&minor, &l.accept, &token))) {
            printf("  context %s\n", l.accept != NULL ? "stays" : "is gone");
            tell("import", gss_import_sec_context(&minor, &token, &l.accept));
        }
        print_context(l.accept);
        messages(l.accept, l.init, 1);
    }
    gss_release_buffer(&ignored, &token);
    end_loop(&l);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(char **args);
        int num_args;
    } scenarios[] = {
        {"basic", basic, 0},
        {"add_creds", add_creds, 0},
        {"contexts", contexts, 0},
        {"creds", creds, 0},
        {"export_context", export_context, 0},
        {"half_open", half_open, 0},
        {"impersonate", impersonate, 1},
        {"keys", keys, 1},
        {"mechs", mechs, 0},
        {"names", names, 0},
        {"options", options, 0},
        {"store", store, 1},
        {"with_password", with_password, 2},
    };

    for (size_t i = 0; argc > 1 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (strcmp(argv[1], scenarios[i].name) == 0 && argc == 2 + scenarios[i].num_args) {
            scenarios[i].run(argv + 2);
            return 0;
        }
    }
    fprintf(stderr, "usage: transcript SCENARIO [ARGUMENT]...\n");
    return 2;
}
