/* step.h - how a protocol machine and whoever drives it talk.
 *
 * A machine does no I/O. Its step function is given the last reply (nothing the first time) and
 * says what to do next; what changes a message (pre-authentication, referral, skew) is the
 * machine's business, what moves it (which KDC, repetition, TCP length, timeouts) the driver's.
 * While replies arrive the driver asks the machine's verdict function what each is worth, so it
 * parses no Kerberos. A machine that gets no answer is dropped, or told so by its `_silent`
 * function where a proof was lost. */
#ifndef KB_STEP_H
#define KB_STEP_H

#include "asn1/bytes.h"

enum kb_step {
    KB_SEND,       /* send what kb_send says, step again with the reply */
    KB_DONE,       /* the result can be taken */
    KB_STEP_ERROR, /* the machine's error object says what failed */
};

struct kb_send { /* a bare message, no framing; valid until the next step */
    kb_bytes message;
    kb_bytes realm; /* whose KDC */
    bool proof;     /* made with a long-term secret: never hedged (DESIGN, net) */
    bool primary;   /* ask the realm's primary KDC, where one is known */
    bool tcp_only;
    bool new_attempt; /* a fresh message although the last one had an answer (REPEAT) */
};

/* What one arrived message is worth to the machine that waits for it. */
enum kb_verdict {
    KB_VERDICT_FINAL,  /* step with it */
    KB_VERDICT_IGNORE, /* not an answer to our request, or garbled: the right one may still come */
    KB_VERDICT_WEAK,   /* would be final, but cannot be told from a forgery: over UDP wait one more
                          round trip for a better one, then step with this */
    KB_VERDICT_LATE,   /* likewise, but wait to the end of the proof's 3 seconds (REPEAT: the answer
                          to its first copy may still come); over TCP step with it at once */
    KB_VERDICT_TCP,    /* RESPONSE_TOO_BIG: the same bytes to the same KDC over TCP */
    KB_VERDICT_NEXT,   /* this KDC cannot serve (SVC_UNAVAILABLE): ask another; step with it if
                          there is none */
};

/* A verdict function may be called for several messages and changes nothing that a step sees. */
typedef enum kb_verdict (*kb_verdict_fn)(void *machine, kb_bytes message);

#endif
