/* as_machine.h - the inside of kb_as, shared by as.c (states), as_error.c (what
 * an error leads to), as_request.c (messages), as_key.c
 * (which key) and as_reply.c (checks). */
#ifndef KB_AS_MACHINE_H
#define KB_AS_MACHINE_H

#include "mech/protocol/as.h"
#include "mech/protocol/kdcrep.h"
#include "mech/protocol/krberror.h"
#include "mech/protocol/preauth.h"
#include "mech/protocol/text.h"
#include "mech/report/events.h"
#include "mech/report/old.h"

enum kb_as_state {
    KB_AS_START,       /* nothing was sent */
    KB_AS_ASKED,       /* sent a request without a proof */
    KB_AS_FIRST_PROOF, /* sent a first request with a proof, made with the key that should fit */
    KB_AS_PROOF,       /* sent a proof made with what the KDC said */
    KB_AS_DONE,
    KB_AS_FAILED,
    KB_AS_NUM_STATES
};

#define KB_AS_MAX_REQUESTS 8 /* of any kind: no KDC needs more than four */
#define KB_AS_MAX_DERIVED 4  /* different keys made from one password in one login */
#define KB_AS_MAX_SALT 768   /* bytes; realm and name make no longer one */
#define KB_AS_MAX_REALM_LEN 1024
#define KB_AS_CEILING (4u << 20)

/* A key that string-to-key made, and of what. */
struct kb_as_derived {
    struct kb_key_hint how;
    struct kb_key *key;
};

struct kb_as {
    struct kb_env env;
    struct kb_as_request request;
    enum kb_as_state state;
    struct kb_arena arena;
    struct kb_error error;
    const char *peer;                  /* who sent the reply in hand */
    const struct kb_principal *server; /* krbtgt/REALM@REALM */
    kb_bytes
        visited[KB_AS_MAX_REALMS]; /* realms that were asked; the last one is the client's now */
    size_t num_visited;
    kb_bytes home;  /* the realm in the name that the user has */
    bool by_memory; /* the realm in hand was learned before: nobody sent us there today */

    unsigned proofs;         /* sent, that a KDC may have judged */
    unsigned requests;       /* sent */
    bool clock_corrected;    /* an error's time was believed once */
    bool refused;            /* the first request's proof was */
    struct kb_error refusal; /* what to say of that if there is no second one */

    bool has_cookie;
    kb_bytes cookie;
    kb_bytes default_salt;
    char wanted[200]; /* the enctypes that the KDC named, for messages */

    int32_t told_etype;           /* the client key's, that the log was told of */
    struct kb_key_hint proof_how; /* of the last proof; etype 0: none was made */
    struct kb_key *proof_key;
    struct kb_as_derived derived[KB_AS_MAX_DERIVED];
    unsigned num_derived;
    uint64_t iterations_left;

    /* The request that is out. */
    kb_bytes message;
    struct kb_kdcrep_terms terms;
    struct kb_timestamp sent; /* our clock */

    struct kb_credential *tgt;
    struct kb_key_hint learned;
    bool has_clock_offset;
    int64_t clock_offset;
};

/* --- as.c --- */

/* The machine has failed, with what as->error says; or with a plain status. */
enum kb_step kb_as_failed(struct kb_as *as);
enum kb_step kb_as_failed_with(struct kb_as *as, enum kb_status st);

/* kb_as_explain makes *err of a KRB-ERROR that answers the request that is out.
 * kb_as_add_both_sides adds what the keytab has beside what the KDC wants. */
void kb_as_explain(struct kb_as *as, const struct kb_krberror *error, struct kb_error *err);
void kb_as_add_both_sides(struct kb_as *as, struct kb_error *err);

/* kb_as_send makes a request, with a proof of as->proof_key if `next` is a state with one. */
enum kb_step kb_as_send(struct kb_as *as, int64_t offset, const struct kb_pa_method *method,
                        enum kb_as_state next, struct kb_send *out_send);
enum kb_step kb_as_ask(struct kb_as *as, int64_t offset, struct kb_send *out_send);

static inline bool kb_as_proved(const struct kb_as *as)
{
    return as->state == KB_AS_FIRST_PROOF || as->state == KB_AS_PROOF;
}

/* kb_as_canonicalized tells whether the KDC may write the client's name its own way, or send us to
 * its realm: where we asked for that (RFC 6806 6), or gave no principal name but an enterprise one.
 */
bool kb_as_canonicalized(const struct kb_as *as);

/* kb_as_enter makes the client one of `realm`, which is asked from now on. */
KB_MUST_USE enum kb_status kb_as_enter(struct kb_as *as, kb_bytes realm);

/* kb_as_go_home begins anew with the realm in the user's name. */
enum kb_step kb_as_go_home(struct kb_as *as, struct kb_send *out_send);

/* --- as_error.c --- */

enum kb_step kb_as_take_error(struct kb_as *as, kb_bytes message, struct kb_arena *scratch,
                              struct kb_send *out_send);

/* --- as_key.c --- */

/* kb_as_key returns the nth key made in the given way, a reference for the caller. KB_NOT_FOUND;
 * KB_BAD_PARAMS: outside the bounds on PBKDF2 rounds. */
KB_MUST_USE enum kb_status kb_as_key(struct kb_as *as, const struct kb_key_hint *how, unsigned nth,
                                     struct kb_key **out);

/* kb_as_choose finds the key to prove with among what the KDC said: our order of enctypes, within
 * one enctype the KDC's. *out_how points into the arena. KB_ERROR: as->error says why there is
 * none. */
KB_MUST_USE enum kb_status kb_as_choose(struct kb_as *as, const struct kb_pa_said *said,
                                        struct kb_key_hint *out_how, struct kb_key **out_key);

/* kb_as_guess finds the key to prove with before the KDC said anything: what was learned, or the
 * keytab's. KB_NOT_FOUND: none is known to fit. */
KB_MUST_USE enum kb_status kb_as_guess(struct kb_as *as, struct kb_key_hint *out_how,
                                       struct kb_key **out_key);

/* kb_as_how makes a key's description complete: the default salt where the KDC named none. */
struct kb_key_hint kb_as_how(const struct kb_as *as, const struct kb_pa_key *key, int32_t etype);

/* kb_as_same_key tells whether both describe one and the same key. */
bool kb_as_same_key(const struct kb_as *as, const struct kb_key_hint *a,
                    const struct kb_key_hint *b);

/* kb_as_describe_keys appends what the client's keytab has: kvnos and enctypes. */
void kb_as_describe_keys(struct kb_as *as, struct kb_buf *out);

/* kb_as_describe_etypes appends the enctypes that EncryptionTypes allows. */
void kb_as_describe_etypes(const struct kb_as *as, struct kb_buf *out);

/* --- as_request.c --- */

/* kb_as_make_request makes as->message, by a clock that is `offset` microseconds from ours; with a
 * proof by `method` if `key` is not NULL. */
KB_MUST_USE enum kb_status kb_as_make_request(struct kb_as *as, int64_t offset,
                                              const struct kb_pa_method *method,
                                              struct kb_key *key);

/* --- as_reply.c --- */

/* kb_as_check_reply decodes, decrypts and checks an AS-REP. KB_ERROR: *fault says why it cannot be
 * used; other statuses: no AS-REP, or no memory. On KB_OK the caller frees *out_session_key. */
struct kb_as_reply {
    struct kb_kdcrep rep;
    struct kb_key *session_key;
    struct kb_key_hint how; /* the reply key's, where it is not the proof's */
    int64_t clock_offset;
};
KB_MUST_USE enum kb_status kb_as_check_reply(struct kb_as *as, kb_bytes message,
                                             struct kb_arena *arena, struct kb_as_reply *out,
                                             struct kb_fault *fault);

#endif
