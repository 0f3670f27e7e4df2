#include "mech/options/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRY 1048576

/* Calls a getXX_r with a growing buffer: its size cannot be known beforehand. The heap's, since
 * stacks are small. */
#define LOOK_UP(call, found)                                                                       \
    do {                                                                                           \
        int result = ERANGE;                                                                       \
        for (size_t size = 1024; result == ERANGE && size <= MAX_ENTRY; size *= 4) {               \
            free(buffer);                                                                          \
            buffer = malloc(size);                                                                 \
            if (buffer == NULL) {                                                                  \
                break;                                                                             \
            }                                                                                      \
            result = call;                                                                         \
        }                                                                                          \
        found = buffer != NULL && result == 0 && entry != NULL;                                    \
    } while (0)

static char *user_field(uid_t uid, bool home)
{
    struct passwd space, *entry = NULL;
    char *buffer = NULL, *copy = NULL;
    bool found;

    LOOK_UP(getpwuid_r(uid, &space, buffer, size, &entry), found);
    if (found) {
        copy = strdup(home ? entry->pw_dir : entry->pw_name);
    }
    free(buffer);
    return copy;
}

char *kb_user_name(uid_t uid)
{
    return user_field(uid, false);
}

char *kb_user_home(uid_t uid)
{
    return user_field(uid, true);
}

bool kb_group_id(const char *name, gid_t *out)
{
    struct group space, *entry = NULL;
    char *buffer = NULL, *end;
    unsigned long number = strtoul(name, &end, 10);
    bool found;

    if (name[0] >= '0' && name[0] <= '9' && *end == '\0') {
        *out = (gid_t)number;
        return true;
    }
    LOOK_UP(getgrnam_r(name, &space, buffer, size, &entry), found);
    if (found) {
        *out = entry->gr_gid;
    }
    free(buffer);
    return found;
}
