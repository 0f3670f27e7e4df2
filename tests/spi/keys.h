/* keys.h - the scenario "keys" of transcript.c: keys.c. */
#ifndef KB_TEST_KEYS_H
#define KB_TEST_KEYS_H

void keys(char **args);

#endif
