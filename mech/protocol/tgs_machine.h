/* tgs_machine.h - the inside of kb_tgs, shared by tgs.c (states, referrals), tgs_request.c
 * (messages) and tgs_reply.c (checks). */
#ifndef KB_TGS_MACHINE_H
#define KB_TGS_MACHINE_H

#include "mech/protocol/kdcrep.h"
#include "mech/protocol/krberror.h"
#include "mech/protocol/preauth.h"
#include "mech/protocol/text.h"
#include "mech/protocol/tgs.h"
#include "mech/report/events.h"
#include "mech/report/old.h"

enum kb_tgs_state {
    KB_TGS_START, /* nothing was sent to this realm */
    KB_TGS_ASKED, /* sent a request with canonicalize */
    KB_TGS_PLAIN, /* sent one without, as the first referred us to where we are */
    KB_TGS_DONE,
    KB_TGS_FAILED,
};

#define KB_TGS_MAX_REALMS 10
#define KB_TGS_MAX_REALM_LEN 1024
#define KB_TGS_CEILING (4u << 20)

struct kb_tgs {
    struct kb_env env;
    struct kb_tgs_request request;
    enum kb_tgs_state state;
    struct kb_arena arena;
    struct kb_error error;
    const char *peer; /* who sent the reply in hand */

    struct kb_credential *tgt;                          /* that we ask with now: krbtgt/realm@... */
    kb_bytes realm;                                     /* whose KDC we ask; points into tgt */
    struct kb_credential *referrals[KB_TGS_MAX_REALMS]; /* that were followed */
    size_t num_referrals;
    bool retried; /* this realm was asked again because of an error (clock, REPEAT) */
    bool tgt_refused;
    bool clock_differs;   /* the user's own realm says so */
    int64_t clock_offset; /* of this realm */

    /* The request that is out. */
    kb_bytes message;
    const struct kb_principal *asked; /* the service, at this realm */
    struct kb_key *subkey;
    struct kb_kdcrep_terms terms;

    struct kb_credential *ticket;
};

/* --- tgs_request.c --- */

/* kb_tgs_make_request makes tgs->message for tgs->asked, by a clock that is `offset` microseconds
 * from ours. */
KB_MUST_USE enum kb_status kb_tgs_make_request(struct kb_tgs *tgs, int64_t offset,
                                               bool canonicalize);

/* --- tgs_reply.c --- */

/* What the ticket in a reply is for. */
enum kb_tgs_answer {
    KB_TGS_ASKED_FOR,
    KB_TGS_REFERRAL, /* krbtgt/X, where another was asked for */
    KB_TGS_ALIAS,    /* another service of the same KDC */
};

/* kb_tgs_check_reply decodes, decrypts and checks a TGS-REP. KB_ERROR: *fault says why it cannot be
 * used; other statuses: no TGS-REP, or no memory. On KB_OK the caller frees *out_session_key. */
struct kb_tgs_reply {
    struct kb_kdcrep rep;
    struct kb_key *session_key;
    enum kb_tgs_answer answer;
    kb_bytes referral; /* the X of krbtgt/X */
};
KB_MUST_USE enum kb_status kb_tgs_check_reply(struct kb_tgs *tgs, kb_bytes message,
                                              struct kb_arena *arena, struct kb_tgs_reply *out,
                                              struct kb_fault *fault);

#endif
