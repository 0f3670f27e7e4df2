/* doctor_probe.h - inside `kerbside doctor`: one AS-REQ that proves nothing, so that no account is
 * ever locked by it, to one KDC over one transport, and what it answers. One thread. */
#ifndef KB_CLI_DOCTOR_PROBE_H
#define KB_CLI_DOCTOR_PROBE_H

#include "cli/doctor.h"
#include "mech/protocol/as.h"
#include "mech/protocol/krberror.h"

#define KB_PROBE_PATIENCE_MS 3000 /* for one answer, or one name */

struct kb_probe {
    struct kb_doctor *doctor;
    struct kb_env env;
    struct kb_policy policy;
    struct kb_as *as;
    struct kb_send send;
    struct kb_kdc kdc; /* the one that is asked */
    const char *name;  /* of it */
    struct kb_arena arena;
};

/* kb_probe_client is who would log in; NULL: not known. */
const struct kb_principal *kb_probe_client(const struct kb_doctor *doctor);

/* kb_probe_start makes the request, which asks for `etypes` (borrowed until kb_probe_end). False:
 * no memory. kdc and name are the caller's to set. kb_probe_end in any case. */
bool kb_probe_start(struct kb_probe *probe, struct kb_doctor *doctor, const int32_t *etypes,
                    size_t num_etypes);
void kb_probe_end(struct kb_probe *probe);

/* kb_probe_ask sends it; the reply lies in the probe's arena. */
KB_MUST_USE enum kb_status kb_probe_ask(struct kb_probe *probe, kb_bytes *out_reply, char peer[160],
                                        int64_t *out_ms, struct kb_error *err);

/* doctor_keys.c: kb_doctor_keys tells which keys the KDC has of the user, by PREAUTH_REQUIRED.
 * Where there is none that may be used, the KDC is asked for all that there are:
 * kb_doctor_other_keys; false where it names none of these either, and nothing was told. */
void kb_doctor_keys(struct kb_probe *probe, const struct kb_krberror *error);
bool kb_doctor_other_keys(struct kb_probe *probe);

#endif
