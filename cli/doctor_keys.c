/* kerbside doctor: of which encryption types the KDC has keys of the user. A KDC names only those
 * that it was asked for; where none of these is there, it is asked for all that there are, so that
 * a person reads which they are, and need not guess. */
#include "cli/doctor_probe.h"
#include "mech/protocol/kdcrep.h"
#include "mech/protocol/preauth.h"
#include "mech/report/old.h"

#define MAX_ETYPES 32

/* Those that a KDC named. */
struct named {
    int32_t etypes[MAX_ETYPES];
    size_t num;
};

static void add(struct named *named, int32_t etype)
{
    if (etype != KB_PA_ANY_ETYPE && named->num < MAX_ETYPES &&
        !kb_etype_allowed(named->etypes, named->num, etype)) {
        named->etypes[named->num++] = etype;
    }
}

static void read_error(const struct kb_krberror *error, struct kb_arena *arena, struct named *out)
{
    struct kb_pa_said said;

    out->num = 0;
    if (kb_preauth_read(&error->padata, arena, &said) == KB_OK) {
        for (size_t i = 0; i < said.num_keys; i++) {
            add(out, said.keys[i].etype);
        }
    }
}

static void read_reply(kb_bytes reply, struct kb_arena *arena, struct named *out)
{
    struct kb_krberror error;
    struct kb_kdcrep rep;

    out->num = 0;
    if (kb_krberror_decode(reply, arena, &error) == KB_OK) {
        read_error(&error, arena, out);
    } else if (kb_kdcrep_decode(reply, KB_AS_REP, arena, &rep) == KB_OK) {
        add(out, rep.msg.enc_part.etype);
    }
}

static void list(const struct named *named, struct kb_buf *out)
{
    char buf[24];

    for (size_t i = 0; i < named->num; i++) {
        kb_buf_printf(out, "%s%s", i > 0 ? ", " : "", kb_enctype_name(named->etypes[i], buf));
    }
}

/* All that we have. Those that may be used too: the session key has to be of one, and MIT's KDC
 * refuses what leads to none before it says anything. */
static void all(struct named *out)
{
    const struct kb_enctype *enctype;

    out->num = 0;
    for (size_t i = 0; (enctype = kb_enctype_at(i)) != NULL; i++) {
        add(out, enctype->etype);
    }
}

/* What to do where the KDC has none but these. One that is not old is simply left out of a list. */
static void tell_only(struct kb_doctor *doctor, const struct named *named)
{
    const char *advice =
        "Name it in EncryptionTypes, or give the account AES keys at the KDC (a new "
        "password makes them).";
    struct kb_buf text;

    if (doctor->options->use_fips_compliant_api) {
        advice = "Give the account AES keys at the KDC (a new password makes them): "
                 "UseFIPSCompliantAPI=True allows no other.";
    }
    for (size_t i = 0; i < named->num; i++) {
        if (!kb_old_is(named->etypes[i])) {
            advice = "Add it to EncryptionTypes.";
        }
    }
    kb_buf_init(&text, 1024);
    list(named, &text);
    kb_doctor_failed(doctor, KB_EXIT_FAILED, "enctypes", advice,
                     "the KDC offers only %s for this user, which EncryptionTypes does not allow",
                     kb_buf_str(&text));
    kb_buf_wipe(&text);
    doctor->client_refused = true;
}

bool kb_doctor_other_keys(struct kb_probe *probe)
{
    struct kb_probe other = {0};
    struct kb_error err = {0};
    struct named named;
    char who[160];
    kb_bytes reply;
    int64_t ms;

    all(&named);
    if (kb_probe_start(&other, probe->doctor, named.etypes, named.num)) {
        other.kdc = probe->kdc;
        other.name = probe->name;
        named.num = 0;
        if (kb_probe_ask(&other, &reply, who, &ms, &err) == KB_OK) {
            read_reply(reply, &other.arena, &named);
        }
    }
    kb_probe_end(&other);
    if (named.num > 0) {
        tell_only(probe->doctor, &named);
    }
    return named.num > 0;
}

void kb_doctor_keys(struct kb_probe *probe, const struct kb_krberror *error)
{
    const struct kb_options *options = probe->doctor->options;
    struct named named;
    struct kb_buf text;
    bool allowed = false;

    read_error(error, &probe->arena, &named);
    for (size_t i = 0; i < named.num; i++) {
        allowed = allowed || kb_etype_allowed(options->encryption_types.items,
                                              options->encryption_types.num, named.etypes[i]);
    }
    if (!allowed) {
        if (named.num > 0) {
            tell_only(probe->doctor, &named);
        } else {
            (void)kb_doctor_other_keys(probe);
        }
        return;
    }
    kb_buf_init(&text, 1024);
    list(&named, &text);
    kb_doctor_saw(probe->doctor, KB_SEEN_OK, "enctypes", "the KDC has keys of the user of %s",
                  kb_buf_str(&text));
    kb_buf_wipe(&text);
}
