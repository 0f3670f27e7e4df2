#include "tests/support/place.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];
static unsigned renewals;

void place_open(void)
{
    renewals = 0;
    strcpy(directory, "/tmp/kb-place-XXXXXX");
    assert(mkdtemp(directory) != NULL);
    unsetenv("KERBSIDE_OPTIONS");
    unsetenv("KERBSIDE_CONFIG");
    unsetenv("CREDENTIALS_DIRECTORY");
    place_file("krb5.conf", "");
    setenv("KRB5_CONFIG", place_path("krb5.conf"), 1);
    setenv("GSS_MECH_CONFIG", place_path("mech"), 1);
    setenv("HOME", directory, 1);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void place_close(void)
{
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int place_set_up(void **state)
{
    (void)state;
    place_open();
    return 0;
}

int place_tear_down(void **state)
{
    (void)state;
    place_close();
    return 0;
}

const char *place_path(const char *name)
{
    static char buffers[4][256];
    static unsigned next;
    char *path = buffers[next++ % 4];

    snprintf(path, sizeof(buffers[0]), "%s/%s", directory, name);
    return path;
}

void place_file(const char *name, const char *text)
{
    const char *path = place_path(name), *aside = place_path(".aside");
    FILE *file = fopen(aside, "w");

    assert(file != NULL);
    for (; *text != '\0'; text++) {
        if (text[0] == '%' && text[1] == 's') {
            fputs(directory, file);
            text++;
        } else {
            fputc(*text, file);
        }
    }
    assert(fclose(file) == 0);
    assert(chmod(aside, 0600) == 0);
    assert(rename(aside, path) == 0);
}

void place_mode(const char *name, mode_t mode)
{
    assert(chmod(place_path(name), mode) == 0);
}

void place_remove(const char *name)
{
    unlink(place_path(name));
}

void place_line(const char *options)
{
    char text[16384];

    if (options == NULL) {
        place_remove("mech");
        return;
    }
    snprintf(text, sizeof(text), "kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so [%s] <interposer>\n",
             options);
    place_file("mech", text);
}

void place_renew(void)
{
    char list[600];

    snprintf(list, sizeof(list), "%s%s", place_path("krb5.conf"),
             renewals++ % 2 == 0 ? ":/dev/null" : "");
    setenv("KRB5_CONFIG", list, 1);
}

void place_env(const char *name, const char *value)
{
    if (value != NULL) {
        setenv(name, value, 1);
    } else {
        unsetenv(name);
    }
}
