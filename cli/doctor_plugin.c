/* kerbside doctor: does libgssapi load the plugin? Where not, its configuration is read as it reads
 * it, line by line, for the reason: libgssapi itself gives none. */
#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/gss.h"

/* What was found of the plugin in the files. */
struct search {
    bool found; /* a line names it */
    bool told;  /* what is wrong with that line */
    unsigned num_files;
};

#define ADVICE                                                                                     \
    "See kerbside(8), INSTALLATION; the line is: kerbside 1.3.6.1.4.1.32473.88.1 kerbside.so "     \
    "<interposer>"

/* The library's path as libgssapi makes it; relative ones lie beside libgssapi, under gss/. */
static void library_path(const char *library, char *out, size_t len)
{
    Dl_info info;
    const char *slash;

    if (library[0] == '/' || dladdr((void *)(uintptr_t)&gss_init_sec_context, &info) == 0 ||
        (slash = strrchr(info.dli_fname, '/')) == NULL) {
        snprintf(out, len, "%s", library);
    } else {
        snprintf(out, len, "%.*s/gss/%s", (int)(slash - info.dli_fname), info.dli_fname, library);
    }
}

static void judge_line(struct kb_doctor *doctor, struct search *search, const char *place,
                       const char *library, const char *rest)
{
    char path[4096];
    void *handle;

    search->found = true;
    library_path(library, path, sizeof(path));
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        search->told = true;
        kb_doctor_failed(doctor, KB_EXIT_NO_PLUGIN, "plugin",
                         "Install the plugin there, or correct the path in that line.",
                         "%s: libgssapi cannot load the plugin: %s", place, dlerror());
        return;
    }
    dlclose(handle);
    if (strstr(rest, "<interposer>") == NULL) {
        search->told = true;
        kb_doctor_failed(
            doctor, KB_EXIT_NO_PLUGIN, "plugin",
            "End the line with <interposer>, in lower case and without blanks; options "
            "stand before it in [brackets], and a ] in them is written \\x5d.",
            "%s: the line does not end with <interposer>, so the plugin is loaded as "
            "something else",
            place);
    }
}

static void judge_file(struct kb_doctor *doctor, struct search *search, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[8192], name[64], oid[128], library[2048], place[4400];
    unsigned number = 0;

    if (file == NULL) {
        return;
    }
    search->num_files++;
    while (fgets(line, sizeof(line), file) != NULL) {
        int end = 0;

        number++;
        if (line[0] == '#' || sscanf(line, "%63s %127s %2047s%n", name, oid, library, &end) != 3 ||
            (strcmp(oid, "1.3.6.1.4.1.32473.88.1") != 0 && strstr(library, "kerbside") == NULL)) {
            continue;
        }
        snprintf(place, sizeof(place), "%s:%u", path, number);
        if (line[0] == ' ' || line[0] == '\t') {
            search->found = search->told = true;
            kb_doctor_failed(doctor, KB_EXIT_NO_PLUGIN, "plugin",
                             "Begin the line in the first column.",
                             "%s: libgssapi ignores a line that begins with a blank", place);
            continue;
        }
        judge_line(doctor, search, place, library, line + end);
    }
    fclose(file);
}

static void judge_files(struct kb_doctor *doctor, struct search *search)
{
    const char *one = secure_getenv("GSS_MECH_CONFIG");
    glob_t found;

    if (one != NULL) {
        judge_file(doctor, search, one);
        return;
    }
    judge_file(doctor, search, "/etc/gss/mech");
    if (glob("/etc/gss/mech.d/*.conf", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            judge_file(doctor, search, found.gl_pathv[i]);
        }
        globfree(&found);
    }
}

static void why_not(struct kb_doctor *doctor)
{
    const char *one = secure_getenv("GSS_MECH_CONFIG");
    struct search search = {0};

    judge_files(doctor, &search);
    if (search.told) {
        return;
    }
    if (search.found) {
        kb_doctor_failed(
            doctor, KB_EXIT_NO_PLUGIN, "plugin",
            "Look for another interposer of krb5 in these files: the first one that is "
            "loaded wins.",
            "libgssapi does not load kerbside.so, although a line names it");
    } else if (one != NULL) {
        kb_doctor_failed(doctor, KB_EXIT_NO_PLUGIN, "plugin", ADVICE,
                         "GSS_MECH_CONFIG=%s: %s, so libgssapi does not load it", one,
                         search.num_files > 0 ? "no line there names kerbside.so"
                                              : "the file cannot be read");
    } else {
        kb_doctor_failed(doctor, KB_EXIT_NO_PLUGIN, "plugin", ADVICE,
                         "no line in /etc/gss/mech.d/*.conf names kerbside.so, so libgssapi does "
                         "not load it");
    }
}

void kb_doctor_plugin(struct kb_doctor *doctor)
{
    struct kb_buf build;

    kb_buf_init(&build, 4096);
    if (kb_cli_gss_loaded()) {
        bool told = kb_cli_gss_ask("BuildInfo", &build);

        kb_doctor_saw(doctor, KB_SEEN_OK, "plugin", "libgssapi loads it%s%s", told ? ": " : "",
                      kb_buf_str(&build));
    } else {
        why_not(doctor);
    }
    kb_buf_wipe(&build);
}
