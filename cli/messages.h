/* messages.h - the C structs and coders of messages.def, as asn1/types.h has them of its own. */
#ifndef KB_CLI_MESSAGES_H
#define KB_CLI_MESSAGES_H

#include "asn1/types.h"

#include "asn1/declare.h"
#include "cli/messages.def"
#include "asn1/undefine.h"

/* Every type of messages.def, and NULL. */
extern const struct kb_type *const kb_cli_types[];

#endif
