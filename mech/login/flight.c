#include "mech/login/flight.h"

#include "mech/login/refresh.h"
#include "mech/login/work.h"
#include "mech/report/callback.h"

#define MAX_NESTED 2 /* callbacks around a login: each takes 17 KiB of a stack of 64 */

enum kb_status kb_flight_check_depth(struct kb_error *err)
{
    if (kb_callback_depth() < MAX_NESTED) {
        return KB_OK;
    }
    return kb_error_set(err, KB_E_BUSY,
                        "The wait callback of a login that a wait callback began began another");
}

enum kb_status kb_flight_enter(const struct kb_login *login, struct kb_wait *wait, kb_bytes key,
                               struct kb_credential **out, struct kb_error *err)
{
    int64_t start_ms = kb_now_ms();
    enum kb_status st;

    *out = NULL;
    if (kb_flight_check_depth(err) != KB_OK) {
        return KB_ERROR;
    }
    st = kb_shared_enter(kb_identity_shared(login->identity), key, kb_identity_now(login->identity),
                         login->options->min_lifetime, wait, out, err);
    return st == KB_OK || st == KB_NOT_FOUND
               ? st
               : kb_work_gave_up(wait, st, start_ms,
                                 "for another thread that logs in as the same user", err);
}

void kb_flight_leave(const struct kb_login *login, kb_bytes key, struct kb_credential *credential,
                     enum kb_flight_from from, const struct kb_error *err)
{
    int64_t refresh_at = KB_NEVER;

    if (credential != NULL && from != KB_FLIGHT_AS_IS) {
        refresh_at =
            kb_refresh_at(credential, login->options->min_lifetime,
                          from == KB_FLIGHT_FETCHED ? kb_identity_now(login->identity) : INT64_MIN);
    }
    kb_shared_leave(kb_identity_shared(login->identity), key, credential, refresh_at, err);
}
