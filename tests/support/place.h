/* place.h - a directory of its own for a test, with files of known content and mode, and the
 * environment variables that lead there. */
#ifndef KB_TEST_PLACE_H
#define KB_TEST_PLACE_H

#include <sys/types.h>

/* place_open makes an empty directory and an environment without any of our variables; a mech.d
 * file that does not exist is named by GSS_MECH_CONFIG, an empty krb5.conf by KRB5_CONFIG. */
void place_open(void);
void place_close(void);

/* The same as CMocka calls it around a test. */
int place_set_up(void **state);
int place_tear_down(void **state);

/* place_path is the full path of a name there: in one of a few static buffers, used in turn. */
const char *place_path(const char *name);

/* place_file writes a file of mode 0600, which is new to whoever remembers the old one. `%s` in the
 * text stands for the directory. */
void place_file(const char *name, const char *text);
void place_mode(const char *name, mode_t mode);
void place_remove(const char *name);

/* place_line makes our line of the mech.d file, with these options in its brackets; NULL: no line.
 */
void place_line(const char *options);
/* place_renew makes the options see changes at once, which they look for once a second. */
void place_renew(void);
void place_env(const char *name, const char *value); /* NULL: unset */

#endif
