#include "mech/options/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#define MAX_ENTRY 1048576

/* Calls a getXX_r with a growing buffer: its size cannot be known beforehand. The heap's, since
 * stacks are small. */
#define LOOK_UP(call, st)                                                                          \
    do {                                                                                           \
        int result = ERANGE;                                                                       \
        for (size_t size = 1024; result == ERANGE && size <= MAX_ENTRY; size *= 4) {               \
            free(buffer);                                                                          \
            buffer = malloc(size);                                                                 \
            result = buffer != NULL ? (call) : ENOMEM;                                             \
        }                                                                                          \
        st = result == ENOMEM               ? KB_NO_MEMORY                                         \
             : result == 0 && entry != NULL ? KB_OK                                                \
                                            : KB_NOT_FOUND;                                        \
    } while (0)

static enum kb_status user_field(uid_t uid, bool home, char **out)
{
    struct passwd space, *entry = NULL;
    char *buffer = NULL;
    enum kb_status st;

    *out = NULL;
    LOOK_UP(getpwuid_r(uid, &space, buffer, size, &entry), st);
    if (st == KB_OK) {
        *out = kb_strdup(kb_str(home ? entry->pw_dir : entry->pw_name));
        st = *out != NULL ? KB_OK : KB_NO_MEMORY;
    }
    free(buffer);
    return st;
}

enum kb_status kb_user_name(uid_t uid, char **out)
{
    return user_field(uid, false, out);
}

enum kb_status kb_user_home(uid_t uid, char **out)
{
    return user_field(uid, true, out);
}

enum kb_status kb_user_exists(const char *name)
{
    struct passwd space, *entry = NULL;
    char *buffer = NULL;
    enum kb_status st;

    LOOK_UP(getpwnam_r(name, &space, buffer, size, &entry), st);
    free(buffer);
    return st;
}

enum kb_status kb_group_id(const char *name, gid_t *out)
{
    struct group space, *entry = NULL;
    char *buffer = NULL, *end;
    unsigned long number = strtoul(name, &end, 10);
    enum kb_status st;

    if (name[0] >= '0' && name[0] <= '9' && *end == '\0') {
        *out = (gid_t)number;
        return KB_OK;
    }
    LOOK_UP(getgrnam_r(name, &space, buffer, size, &entry), st);
    if (st == KB_OK) {
        *out = entry->gr_gid;
    }
    free(buffer);
    return st;
}
