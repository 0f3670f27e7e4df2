/* listener.h - what a program itself wants to be told: its callbacks for the log, the trail of
 * messages, errors, and the turns of a wait.
 *
 * A kb_listener is what one registration brought, constant and counted; there may be one for the
 * process and one for each credential, and both are called. Callbacks run in the thread that makes
 * the GSS-API call, with no lock of ours held; they may call GSS-API again. Any thread. */
#ifndef KB_LISTENER_H
#define KB_LISTENER_H

#include "asn1/bytes.h"

struct kb_callbacks {
    /* level: enum kb_log_level; type: "Info", "Verbose", "Debug". */
    void (*log)(void *arg, int level, const char *message, const char *type);
    /* direction: enum kb_direction; a readable dump, secrets masked. */
    void (*trail)(void *arg, int direction, const char *message);
    /* code: of the component reference (kb_error_number). */
    void (*error)(void *arg, int code, const char *description);
    /* Called at least every 100 ms of waiting where GUIAvailable is True; not 0: cancel the call.
     */
    int (*wait)(void *arg);
    /* Called once, when none of the others can be called any more. */
    void (*release)(void *arg);
    void *arg;
};

struct kb_listener;

/* kb_listener_new copies `callbacks` (members may be NULL); NULL: no memory. */
struct kb_listener *kb_listener_new(const struct kb_callbacks *callbacks);
struct kb_listener *kb_listener_ref(struct kb_listener *listener); /* NULL gives NULL */
void kb_listener_put(struct kb_listener *listener);                /* NULL is accepted */
const struct kb_callbacks *kb_listener_callbacks(const struct kb_listener *listener);

/* kb_listener_any tells whether there is a listener at all, somebody's. */
bool kb_listener_any(void);

/* kb_listener_set_process takes over a reference (NULL: nobody listens); kb_listener_process gives
 * one, NULL if there is none, which costs a load. */
void kb_listener_set_process(struct kb_listener *listener);
struct kb_listener *kb_listener_process(void);

/* For mech/process around fork(2). The child keeps its listener. */
void kb_listener_fork_prepare(void);
void kb_listener_fork_done(void); /* in parent and child */

#endif
