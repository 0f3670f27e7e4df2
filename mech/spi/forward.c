#include "mech/spi/forward.h"

#include <errno.h>
#include <stdlib.h>

#include "mech/report/error.h"

/* The longest own OID that is believed; and the longest of krb5's. */
#define MAX_OWN 64
#define MAX_KRB5 12

#define NUM_MECHS 3

static uint8_t inner_bytes[NUM_MECHS][MAX_OWN + MAX_KRB5];
static struct kb_mech mechs[NUM_MECHS];
static unsigned num_mechs;

static __thread unsigned depth;

struct kb_entry kb_enter(void)
{
    return (struct kb_entry){.saved_errno = errno, .depth = ++depth};
}

void kb_leave(struct kb_entry *entry)
{
    depth--;
    errno = entry->saved_errno;
}

OM_uint32 kb_refuse_entry(OM_uint32 *minor)
{
    if (minor == NULL) {
        return GSS_S_CALL_INACCESSIBLE_WRITE;
    }
    *minor = kb_error_minor(KB_E_INTERNAL);
    return GSS_S_FAILURE;
}

static bool mech_init(struct kb_mech *mech, uint8_t *bytes, gss_const_OID own, gss_OID oid)
{
    if (own->length > MAX_OWN || oid->length > MAX_KRB5) {
        return false;
    }
    memcpy(bytes, own->elements, own->length);
    memcpy(bytes + own->length, oid->elements, oid->length);
    mech->oid = oid;
    mech->inner.elements = bytes;
    mech->inner.length = own->length + oid->length;
    return true;
}

bool kb_mechs_init(gss_const_OID own)
{
    /* The first is the default. */
    gss_OID const oids[NUM_MECHS] = {gss_mech_krb5, gss_mech_krb5_old, gss_mech_krb5_wrong};

    for (unsigned i = 0; i < NUM_MECHS; i++) {
        if (!mech_init(&mechs[i], inner_bytes[i], own, oids[i])) {
            return false;
        }
    }
    num_mechs = NUM_MECHS;
    return true;
}

kb_bytes kb_mech_own(void)
{
    return num_mechs > 0 ? kb_bytes_of(inner_bytes[0], mechs[0].inner.length - mechs[0].oid->length)
                         : KB_NONE;
}

bool kb_oid_equal(gss_const_OID a, gss_const_OID b)
{
    return a != NULL && b != NULL &&
           (a == b || (a->length == b->length && memcmp(a->elements, b->elements, a->length) == 0));
}

const struct kb_mech *kb_mech_find(gss_const_OID oid)
{
    for (unsigned i = 0; i < num_mechs; i++) {
        if (kb_oid_equal(mechs[i].oid, oid)) {
            return &mechs[i];
        }
    }
    return NULL;
}

const struct kb_mech *kb_mech_krb5(void)
{
    return &mechs[0];
}

const struct kb_mech *kb_mech_in_set(const gss_OID_set_desc *set)
{
    return set != NULL && set->count > 0 ? kb_mech_find(&set->elements[0]) : kb_mech_krb5();
}

OM_uint32 kb_mech_set(OM_uint32 *minor, const struct kb_mech *mech, gss_OID_set *out)
{
    OM_uint32 major, ignored;

    if (out == NULL) {
        return GSS_S_COMPLETE;
    }
    major = gss_create_empty_oid_set(minor, out);
    if (major == GSS_S_COMPLETE) {
        major = gss_add_oid_set_member(minor, mech->oid, out);
        if (major != GSS_S_COMPLETE) {
            gss_release_oid_set(&ignored, out);
        }
    }
    return major;
}

OM_uint32 kb_no_memory(OM_uint32 *minor)
{
    *minor = ENOMEM;
    return GSS_S_FAILURE;
}

OM_uint32 kb_give_bytes(OM_uint32 *minor, kb_bytes bytes, gss_buffer_t out)
{
    kb_give_nothing(out);
    if (bytes.len == 0) { /* gss_release_buffer leaves an empty buffer alone */
        return GSS_S_COMPLETE;
    }
    out->value = malloc(bytes.len + 1);
    if (out->value == NULL) {
        return kb_no_memory(minor);
    }
    memcpy(out->value, bytes.ptr, bytes.len);
    ((char *)out->value)[bytes.len] = '\0';
    out->length = bytes.len;
    return GSS_S_COMPLETE;
}
