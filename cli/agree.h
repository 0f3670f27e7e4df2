/* agree.h - does libgssapi do what this command's own reading of the configuration says?
 *
 * The command reads the same files and variables as the plugin; where programs get something else,
 * that is worth a warning: another plugin is loaded, or it reads other files. */
#ifndef KB_CLI_AGREE_H
#define KB_CLI_AGREE_H

#include "cli/gss.h"

/* kb_cli_agree warns where the context that libgssapi made for `spn` is not what the options say.
 */
void kb_cli_agree(struct kb_cli *cli, const struct kb_cli_context *context, const char *spn);

/* kb_cli_agree_failed is told of a failed login and its exit code: where it failed for want of an
 * identity, it says so and gives KB_EXIT_CONFIG. */
int kb_cli_agree_failed(struct kb_cli *cli, const char *spn, int code);

/* kb_cli_agree_options warns of each option that the loaded plugin has another value of. */
void kb_cli_agree_options(struct kb_cli *cli);

#endif
