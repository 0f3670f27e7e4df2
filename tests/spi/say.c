#include "tests/spi/say.h"

#include <stdio.h>
#include <string.h>

gss_OID_desc krb5_oid = {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
gss_OID_desc krb5_old_oid = {5, (void *)"\x2b\x05\x01\x05\x02"};
gss_OID_desc krb5_wrong_oid = {9, (void *)"\x2a\x86\x48\x82\xf7\x12\x01\x02\x02"};
gss_OID_desc spnego_oid = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};
gss_OID_desc session_key_oid = {11, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x05"};
gss_OID_desc ssf_oid = {11, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x0f"};
gss_OID_set_desc krb5_set = {1, &krb5_oid};
gss_OID_set_desc spnego_set = {1, &spnego_oid};

OM_uint32 minor, ignored;

void print_oid(const char *what, gss_OID oid)
{
    gss_buffer_desc text;

    if (oid == GSS_C_NO_OID) {
        printf("  %s: none\n", what);
    } else if (gss_oid_to_str(&ignored, oid, &text) == GSS_S_COMPLETE) {
        printf("  %s: %.*s\n", what, (int)text.length, (char *)text.value);
        gss_release_buffer(&ignored, &text);
    }
}

static void print_status(OM_uint32 value, int type)
{
    OM_uint32 more = 0;
    gss_buffer_desc text;

    do {
        if (gss_display_status(&ignored, value, type, GSS_C_NO_OID, &more, &text) !=
            GSS_S_COMPLETE) {
            printf("    (no text)\n");
            return;
        }
        printf("    %.*s\n", (int)text.length, (char *)text.value);
        gss_release_buffer(&ignored, &text);
    } while (more != 0);
}

int tell(const char *what, OM_uint32 major)
{
    OM_uint32 saved = minor;

    printf("%s: %08x\n", what, major);
    if (major != GSS_S_COMPLETE) {
        print_status(major, GSS_C_GSS_CODE);
    }
    if (GSS_ERROR(major) && saved != 0) {
        print_status(saved, GSS_C_MECH_CODE);
    }
    return !GSS_ERROR(major);
}

void print_hex(const char *what, const gss_buffer_desc *bytes)
{
    printf("  %s:", what);
    for (size_t i = 0; i < bytes->length; i++) {
        printf(" %02x", ((unsigned char *)bytes->value)[i]);
    }
    printf("\n");
}

void print_name(const char *what, gss_name_t name)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gss_OID type = GSS_C_NO_OID;

    if (name == GSS_C_NO_NAME) {
        printf("  %s: no name\n", what);
        return;
    }
    if (tell("  display_name", gss_display_name(&minor, name, &text, &type))) {
        printf("  %s: %.*s\n", what, (int)text.length, (char *)text.value);
        print_oid("type", type);
    }
    gss_release_buffer(&ignored, &text);
}

const char *lifetime(OM_uint32 t)
{
    return t == GSS_C_INDEFINITE ? "indefinite" : t > 0 ? "some" : "none";
}

gss_name_t name_of(const char *text, gss_OID type)
{
    gss_buffer_desc buf = {strlen(text), (void *)(size_t)text};
    gss_name_t name = GSS_C_NO_NAME;

    tell("import_name", gss_import_name(&minor, &buf, type, &name));
    return name;
}

void print_cred(gss_cred_id_t cred)
{
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 life = 0, accept_life = 0;
    gss_cred_usage_t usage = 77;
    gss_OID_set mechs = GSS_C_NO_OID_SET;

    if (tell("inquire_cred", gss_inquire_cred(&minor, cred, &name, &life, &usage, &mechs))) {
        print_name("name", name);
        printf("  lifetime %s, usage %d\n", lifetime(life), usage);
        for (size_t i = 0; i < mechs->count; i++) {
            print_oid("mech", &mechs->elements[i]);
        }
    }
    gss_release_name(&ignored, &name);
    gss_release_oid_set(&ignored, &mechs);
    life = 0;
    if (tell("inquire_cred_by_mech", gss_inquire_cred_by_mech(&minor, cred, &krb5_oid, &name, &life,
                                                              &accept_life, &usage))) {
        print_name("name", name);
        printf("  lifetimes %s, %s, usage %d\n", lifetime(life), lifetime(accept_life), usage);
    }
    gss_release_name(&ignored, &name);
    tell("inquire_cred, all NULL", gss_inquire_cred(&minor, cred, NULL, NULL, NULL, NULL));
    tell("by_mech, all NULL",
         gss_inquire_cred_by_mech(&minor, cred, &krb5_oid, NULL, NULL, NULL, NULL));
}

gss_cred_id_t acquire(const char *what, gss_name_t name, gss_OID_set mechs, int usage)
{
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_OID_set actual = GSS_C_NO_OID_SET;
    OM_uint32 life = 0;

    printf("%s\n", what);
    if (tell("acquire_cred", gss_acquire_cred(&minor, name, GSS_C_INDEFINITE, mechs, usage, &cred,
                                              &actual, &life))) {
        printf("  lifetime %s, %zu mechs\n", lifetime(life), actual->count);
    }
    gss_release_oid_set(&ignored, &actual);
    return cred;
}

static int step_init(struct loop *l, gss_name_t target, gss_buffer_t in, gss_buffer_t out,
                     OM_uint32 *major)
{
    gss_OID actual = GSS_C_NO_OID;
    OM_uint32 flags = 0, life = 0;

    gss_release_buffer(&ignored, out);
    *major = gss_init_sec_context(&minor, l->cred, &l->init, target, l->mech, l->flags, 0,
                                  l->bindings, in, &actual, out, &flags, &life);
    if (!tell("init_sec_context", *major)) {
        return 0;
    }
    print_oid("actual", actual);
    printf("  flags %x, lifetime %s, token %s\n", flags, lifetime(life),
           out->length > 0 ? "some" : "none");
    return 1;
}

static int step_accept(struct loop *l, gss_buffer_t in, gss_buffer_t out, OM_uint32 *major)
{
    gss_name_t source = GSS_C_NO_NAME;
    gss_cred_id_t delegated = GSS_C_NO_CREDENTIAL;
    gss_OID actual = GSS_C_NO_OID;
    OM_uint32 flags = 0, life = 0;

    gss_release_buffer(&ignored, out);
    *major = gss_accept_sec_context(&minor, &l->accept, l->accept_cred, in, l->accept_bindings,
                                    &source, &actual, out, &flags, &life, &delegated);
    if (!tell("accept_sec_context", *major)) {
        return 0;
    }
    print_oid("actual", actual);
    print_name("source", source);
    if (source != GSS_C_NO_NAME) {
        printf("  userok root: %d, alice: %d\n", gss_userok(source, "root"),
               gss_userok(source, "alice"));
    }
    printf("  flags %x, lifetime %s, token %s, delegated %s\n", flags, lifetime(life),
           out->length > 0 ? "some" : "none", delegated ? "some" : "none");
    if (delegated != GSS_C_NO_CREDENTIAL) {
        print_cred(delegated);
    }
    gss_release_cred(&ignored, &delegated);
    gss_release_name(&ignored, &source);
    return 1;
}

int run_loop(struct loop *l)
{
    gss_name_t target =
        name_of(l->service ? l->service : "HTTP@localhost", GSS_C_NT_HOSTBASED_SERVICE);
    gss_buffer_desc to_accept = GSS_C_EMPTY_BUFFER, to_init = GSS_C_EMPTY_BUFFER;
    OM_uint32 imajor = GSS_S_CONTINUE_NEEDED, amajor = GSS_S_CONTINUE_NEEDED;
    int good = 1;

    for (int leg = 0; good && leg < 8; leg++) {
        if (imajor == GSS_S_CONTINUE_NEEDED) {
            good = step_init(l, target, &to_init, &to_accept, &imajor);
        }
        if (good && amajor == GSS_S_CONTINUE_NEEDED && to_accept.length > 0) {
            good = step_accept(l, &to_accept, &to_init, &amajor);
        }
        if (imajor == GSS_S_COMPLETE && amajor == GSS_S_COMPLETE) {
            break;
        }
    }
    gss_release_buffer(&ignored, &to_accept);
    gss_release_buffer(&ignored, &to_init);
    gss_release_name(&ignored, &target);
    return good && imajor == GSS_S_COMPLETE && amajor == GSS_S_COMPLETE;
}

void end_loop(struct loop *l)
{
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;

    tell("delete_sec_context", gss_delete_sec_context(&minor, &l->init, &out));
    tell("delete_sec_context", gss_delete_sec_context(&minor, &l->accept, GSS_C_NO_BUFFER));
    tell("delete_sec_context of none", gss_delete_sec_context(&minor, &l->accept, NULL));
}

void print_context(gss_ctx_id_t ctx)
{
    gss_name_t source = GSS_C_NO_NAME, target = GSS_C_NO_NAME;
    OM_uint32 life = 0, flags = 0;
    gss_OID mech = GSS_C_NO_OID;
    int local = 7, open = 7;

    if (tell("inquire_context", gss_inquire_context(&minor, ctx, &source, &target, &life, &mech,
                                                    &flags, &local, &open))) {
        print_name("source", source);
        print_name("target", target);
        print_oid("mech", mech);
        printf("  lifetime %s, flags %x, local %d, open %d\n", lifetime(life), flags, local, open);
    }
    gss_release_name(&ignored, &source);
    gss_release_name(&ignored, &target);
    tell("inquire_context, all NULL",
         gss_inquire_context(&minor, ctx, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
    life = 0;
    tell("context_time", gss_context_time(&minor, ctx, &life));
    printf("  %s\n", lifetime(life));
}

void print_query(gss_ctx_id_t ctx, const char *what, gss_OID oid, int show)
{
    gss_buffer_set_t data = GSS_C_NO_BUFFER_SET;

    if (tell(what, gss_inquire_sec_context_by_oid(&minor, ctx, oid, &data)) && data != NULL) {
        for (size_t i = 0; i < data->count; i++) {
            if (show || i > 0) {
                print_hex("value", &data->elements[i]);
            } else {
                printf("  %zu bytes\n", data->elements[i].length);
            }
        }
    }
    gss_release_buffer_set(&ignored, &data);
}

static void mic_messages(gss_ctx_id_t from, gss_ctx_id_t to)
{
    gss_buffer_desc message = {11, (void *)"hello world"}, mic = GSS_C_EMPTY_BUFFER;
    gss_qop_t qop = 7;

    if (tell("get_mic", gss_get_mic(&minor, from, GSS_C_QOP_DEFAULT, &message, &mic))) {
        printf("  %zu bytes\n", mic.length);
        tell("verify_mic", gss_verify_mic(&minor, to, &message, &mic, NULL));
        message.length--;
        tell("verify_mic of another", gss_verify_mic(&minor, to, &message, &mic, &qop));
        message.length++;
        mic.length = 5;
        tell("verify_mic, cut", gss_verify_mic(&minor, to, &message, &mic, &qop));
    }
    gss_release_buffer(&ignored, &mic);
}

void messages(gss_ctx_id_t from, gss_ctx_id_t to, int conf)
{
    gss_buffer_desc message = {11, (void *)"hello world"}, token = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc plain = GSS_C_EMPTY_BUFFER, copy = GSS_C_EMPTY_BUFFER;
    char bytes[512];
    int state = 7;
    gss_qop_t qop = 7;
    OM_uint32 limit = 0;

    if (tell("wrap", gss_wrap(&minor, from, conf, GSS_C_QOP_DEFAULT, &message, &state, &token))) {
        printf("  conf %d, %zu bytes\n", state, token.length);
        /* The platform's gss_unwrap writes into its input. */
        memcpy(bytes, token.value, token.length);
        copy = (gss_buffer_desc){token.length, bytes};
        if (tell("unwrap", gss_unwrap(&minor, to, &copy, &plain, &state, &qop))) {
            printf("  conf %d, qop %u: %.*s\n", state, qop, (int)plain.length, (char *)plain.value);
        }
        gss_release_buffer(&ignored, &plain);
        memcpy(bytes, token.value, token.length);
        tell("unwrap again", gss_unwrap(&minor, to, &copy, &plain, NULL, NULL));
        gss_release_buffer(&ignored, &plain);
        memcpy(bytes, token.value, token.length);
        bytes[token.length - 1] ^= 1;
        tell("unwrap altered", gss_unwrap(&minor, to, &copy, &plain, &state, &qop));
        gss_release_buffer(&ignored, &plain);
    }
    gss_release_buffer(&ignored, &token);
    mic_messages(from, to);
    tell("wrap_size_limit",
         gss_wrap_size_limit(&minor, from, conf, GSS_C_QOP_DEFAULT, 16380, &limit));
    printf("  %u\n", limit);
    tell("wrap_size_limit", gss_wrap_size_limit(&minor, from, conf, GSS_C_QOP_DEFAULT, 7, &limit));
    printf("  %u\n", limit);
}
