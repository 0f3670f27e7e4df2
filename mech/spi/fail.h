/* fail.h - an error object becomes a major, a minor and, when somebody asks, one line. status.c. */
#ifndef KB_FAIL_H
#define KB_FAIL_H

#include <gssapi/gssapi.h>

#include "mech/options/options.h"
#include "mech/report/error.h"

struct kb_listener;

/* kb_fail keeps the error's text for this thread and returns its major. */
OM_uint32 kb_fail(OM_uint32 *minor, const struct kb_error *err);

/* kb_fail_login is kb_fail, and tells it in the log, since many programs drop the minor status, and
 * to the Error callbacks. `options` may be NULL; `listener` is the credential's, NULL: none. */
OM_uint32 kb_fail_login(OM_uint32 *minor, const struct kb_options *options,
                        struct kb_listener *listener, const struct kb_error *err);

/* kb_fail_call is kb_fail, and tells it to the Error callbacks alone: of a call that is no login.
 */
OM_uint32 kb_fail_call(OM_uint32 *minor, struct kb_listener *listener, const struct kb_error *err);

/* kb_fail_status is kb_fail_call for a plain status of a message on an existing context. */
OM_uint32 kb_fail_status(OM_uint32 *minor, struct kb_listener *listener, enum kb_status status);

#endif
