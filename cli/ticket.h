/* ticket.h - shows what is known of a ticket, under the same names everywhere. */
#ifndef KB_CLI_TICKET_H
#define KB_CLI_TICKET_H

#include "cli/gss.h"

/* kb_cli_show_context adds to the open group what libgssapi tells of a context: client, server,
 * flags, authtime, endtime, and the encryption types of ticket and session key. */
void kb_cli_show_context(struct kb_cli *cli, const struct kb_cli_context *context);

#endif
