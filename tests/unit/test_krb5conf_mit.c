/* mech/options/krb5conf beside MIT's own reader of the same files (profile_init_path of libkrb5,
 * which is loaded here): a corpus of files that are hard to read, and as many as chance makes of
 * the words that matter. What MIT refuses we refuse, and every value is the same, in the same
 * order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <sys/stat.h>

#include "mech/options/krb5conf.h"
#include "tests/support/place.h"

#define NUM(rows) (sizeof(rows) / sizeof((rows)[0]))
#define SKIPPED 77

typedef struct profile *profile;

static struct {
    long (*init_path)(const char *path, profile *out);
    long (*get_values)(profile p, const char *const *names, char ***out);
    void (*free_list)(char **list);
    void (*release)(profile p);
} mit;

static bool load_mit(void)
{
    void *library = dlopen("libkrb5.so.3", RTLD_NOW | RTLD_LOCAL);
    static const struct {
        const char *name;
        void *to;
    } symbols[] = {{"profile_init_path", &mit.init_path},
                   {"profile_get_values", &mit.get_values},
                   {"profile_free_list", &mit.free_list},
                   {"profile_release", &mit.release}};

    for (size_t i = 0; library != NULL && i < NUM(symbols); i++) {
        void *symbol = dlsym(library, symbols[i].name);

        if (symbol == NULL) {
            return false;
        }
        memcpy(symbols[i].to, &symbol, sizeof(symbol));
    }
    return library != NULL;
}

/* --- comparing --- */

static const char *const sections[] = {"a", "b", "libdefaults", "realms", " a ", "a*", ""};
static const char *const subs[] = {NULL, "s", "t", "A.TEST", "x", ""};
static const char *const names[] = {"x", "y", "s", "kdc", "default_realm", "", "x*"};

static void same_values(profile theirs, const struct kb_krb5conf *ours, const char *section,
                        const char *sub, const char *name, const char *text)
{
    const char *path[4] = {section, sub != NULL ? sub : name, sub != NULL ? name : NULL, NULL};
    char **values = NULL;
    size_t num = 0;

    (void)mit.get_values(theirs, path, &values);
    for (; values != NULL && values[num] != NULL; num++) {
        const char *value = kb_krb5conf_value(ours, section, kb_str(sub), kb_str(name), num);

        if (value == NULL || strcmp(value, values[num]) != 0) {
            fail_msg("[%s] %s %s number %zu: \"%s\" for MIT's \"%s\" in:\n%s", section,
                     sub != NULL ? sub : "-", name, num, value != NULL ? value : "(none)",
                     values[num], text);
        }
    }
    if (kb_krb5conf_value(ours, section, kb_str(sub), kb_str(name), num) != NULL) {
        fail_msg("[%s] %s %s: more than MIT's %zu values in:\n%s", section, sub != NULL ? sub : "-",
                 name, num, text);
    }
    mit.free_list(values);
}

/* `text` is shown where they differ. */
static void compare(const char *paths, const char *text)
{
    struct kb_watch *watched = NULL;
    const struct kb_krb5conf *ours;
    struct kb_error err = {0};
    struct kb_arena arena;
    profile theirs = NULL;
    long failed = mit.init_path(paths, &theirs);
    enum kb_status st;

    kb_arena_init(&arena, NULL, 0, 1 << 20);
    st = kb_krb5conf_load(paths, &arena, &watched, &ours, &err);
    if ((failed != 0 && failed != 2 /* ENOENT: no file at all */) != (st != KB_OK)) {
        fail_msg("MIT: %ld, here: %s in:\n%s", failed, st == KB_OK ? "fine" : err.text, text);
    }
    for (size_t i = 0; failed == 0 && i < NUM(sections); i++) {
        for (size_t j = 0; j < NUM(subs); j++) {
            for (size_t k = 0; k < NUM(names); k++) {
                same_values(theirs, ours, sections[i], subs[j], names[k], text);
            }
        }
    }
    if (failed == 0) {
        mit.release(theirs);
    }
    kb_krb5conf_put(ours);
    kb_arena_wipe(&arena);
}

/* --- the corpus: `%s` is the directory; f0 is the file, f1 what it may include --- */

static const char *const files[] = {
    "",
    "[a]\n x = 1\n",
    "[a]\r\n x = 1 \t\r\n\r\ny=2\r",
    "\xef\xbb\xbf[a]\n x = 1\n[b]\n x = 2\n", /* a byte order mark makes the first line comment */
    " [a]\n x = 1\n[b]\n y = 2\n",
    "x = 1\n}\ncomment\n[a]\ny = 2\n",
    "[a\n",
    "[a] z\n",
    "[a] \t\n x = 1\n",
    "[a]* \n x = 1\n",
    "[a]*x\n",
    "[ a ]\n x = 1\n",
    "[a*]\n x = 1\n",
    "[]\n x = 1\n",
    "[a]]\n x = 1\n",
    "[a]\n[b]\n x = 1\n[a]\n x = 2\n[a]\n x = 3\n",
    "[a]\n s = {\n  x = 1\n }\n s = {\n  x = 2\n  y = 3\n }\n s = 4\n",
    "[a]\n s =\n {\n  x = 1\n }\n",
    "[a]\n s =\n  { x = 1\n  x = 2\n }\n",
    "[a]\n s =\n\n {\n  x = 1\n }\n",
    "[a]\n s =\n# not here\n {\n",
    "[a]\n s = \n",
    "[a]\n s = {\n  x = 1\n",
    "[a]\n s = {\n[b]\n",
    "[a]\n s = { x = 1 }\n",
    "[a]\n s = {x\n  x = 1\n",
    "[a]\n s = {\n  x = 1\n } y = 2\n y = 3\n",
    "[a]\n s = {\n  t = {\n   x = 1\n  }\n  x = 2\n }\n x = 3\n",
    "[a]\n s* = {\n  x* = 1\n }* \n y*z = 2\n",
    "[a]\n}\n",
    "[a]\n x y = 1\n",
    "[a]\n x\t= 1\n",
    "[a]\n = 1\n",
    "[a]\n x\n",
    "[a]\n x = = 1\n x =\t\t2 = 3\n",
    "[a]\n x = \"1 2\" 3\n x = \"\"\n x = \"a\\\"b\\n\\t\\b\\\\\\q\" \n",
    "[a]\n x = \"open  \n x = \"open\\\n",
    "[a]\n x = '1'\n x = a \"b\" c\n",
    "[a]\n x = 1 # no comment\n # y = 2\n ; y = 3\n#y = 4\n",
    "[a]\n\v\f x = 1\f\n",
    "[realms]\n A.TEST = {\n  kdc = k1\n  kdc = k2\n }\n A.TEST = {\n  kdc = k3\n }\n",
    "[a]\n x = 1\ninclude %s/f1\n x = 2\n",
    "include %s/f1\n[a]\n x = 1\n",
    "[a]\n s = {\ninclude %s/f1\n  x = 2\n }\n",
    "[a]\n s = \ninclude %s/f1\n {\n  x = 2\n }\n",
    "[a]\n include %s/f1\n",
    "include \t %s/f1\r\n",
    "include %s/f1 \n",
    "include\n[a]\n x = 1\n",
    "include %s/none\n",
    "includedir %s/d\n",
    "includedir %s/none\n",
    "includedir %s/f1\n",
    "include %s/d\n",
    "includes %s/f1\n[a]\n x = 1\n",
};

static char *fill_in(const char *text)
{
    char *filled = NULL;

    assert_true(asprintf(&filled, "%s", text) >= 0);
    if (strstr(text, "%s") != NULL) {
        const char *at = strstr(text, "%s");

        free(filled);
        assert_true(asprintf(&filled, "%.*s%s%s", (int)(at - text), text, place_path(""), at + 2) >=
                    0);
    }
    return filled;
}

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(place_path(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static void corpus(void **state)
{
    static const char f1[] = "ignored = 1\n[a]\n x = f1\n s = {\n  x = f1\n }\n[b]\n x = f1\n";
    static const char *const in_directory[] = {
        "z", "a.conf", ".hidden.conf", "b.conf~", "c.rpmnew", "d-1_Z", "B"};

    (void)state;
    assert_int_equal(mkdir(place_path("d"), 0700), 0);
    for (size_t i = 0; i < NUM(in_directory); i++) {
        char name[40], text[80];

        snprintf(name, sizeof(name), "d/%s", in_directory[i]);
        snprintf(text, sizeof(text), "[a]\n x = %s\n", in_directory[i]);
        write_file(name, text, strlen(text));
    }
    write_file("f1", f1, strlen(f1));
    for (size_t i = 0; i < NUM(files); i++) {
        char *text = fill_in(files[i]), path[300], lists[3][900];

        /* Another path each time: MIT's library looks for changes once a second. */
        snprintf(path, sizeof(path), "corpus%zu", i);
        write_file(path, text, strlen(text));
        snprintf(path, sizeof(path), "%s", place_path(path));
        snprintf(lists[0], sizeof(lists[0]), "%s", path);
        snprintf(lists[1], sizeof(lists[1]), "%s/none::%s:%s/f1", place_path(""), path,
                 place_path(""));
        snprintf(lists[2], sizeof(lists[2]), "%s/f1:%s:%s", place_path(""), path, place_path("d"));
        for (size_t j = 0; j < NUM(lists); j++) {
            compare(lists[j], text);
        }
        free(text);
    }
    compare(place_path("none"), "no file");
    compare("", "no path");
}

/* MIT reads lines into a buffer of 2,048 bytes, as C strings. */
static void long_lines(void **state)
{
    static const char with_nul[] = "[a]\n x = 1\0"
                                   "2\n y = 3\n";
    char text[6000], name[32], path[300];

    (void)state;
    for (size_t len = 2030; len < 2060; len++) {
        size_t at = (size_t)snprintf(text, sizeof(text), "[a]\n");

        memset(text + at, ' ', len);
        memcpy(text + at, " x = 1", 6);
        snprintf(text + at + len, sizeof(text) - at - len, "y = 2\n x = 3\n");
        snprintf(name, sizeof(name), "long%zu", len);
        write_file(name, text, strlen(text));
        snprintf(path, sizeof(path), "%s", place_path(name));
        compare(path, name);
    }
    write_file("nul", with_nul, sizeof(with_nul) - 1);
    snprintf(path, sizeof(path), "%s", place_path("nul"));
    compare(path, "a line with a NUL in it");
}

static uint32_t drawn = 1;

static uint32_t draw(uint32_t num)
{
    drawn = drawn * 1664525u + 1013904223u;
    return (drawn >> 16) % num;
}

static void by_chance(void **state)
{
    static const char *const lines[] = {
        "[a]",     "[b]",    "[a]*",    "[b] ",  " x = 1",     "x=2",        "\tx* = 3", "y = 4",
        " y=\t5 ", " s = {", "s* = {",  "t = {", "}",          " }",         "}*",       "  }* ",
        "s =",     "{",      "# x = 6", ";",     "",           " x = \"7\"", "x = \"8 ", "s = 9",
        "x y = 1", "z",      "x = {\r", "}\r",   " s =\t{\t ", "[realms]",
    };

    (void)state;
    for (int i = 0; i < 1500; i++) {
        char text[2][1000], name[2][32], paths[600];

        for (int f = 0; f < 2; f++) {
            size_t at = (size_t)snprintf(text[f], sizeof(text[f]), "[%c]\n", f == 0 ? 'a' : 'b');
            uint32_t num = draw(12);

            while (num-- > 0) {
                /* What is refused teaches less: the last six come seldom. */
                size_t which = draw(4) > 0 ? draw(24) : draw(NUM(lines));

                at += (size_t)snprintf(text[f] + at, sizeof(text[f]) - at, "%s\n", lines[which]);
            }
            snprintf(name[f], sizeof(name[f]), "chance%d.%d", i, f);
            write_file(name[f], text[f], at);
        }
        snprintf(paths, sizeof(paths), "%s:%s", place_path(name[0]), place_path(name[1]));
        compare(paths, text[0]);
        unlink(place_path(name[0]));
        unlink(place_path(name[1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(corpus, place_set_up, place_tear_down),
        cmocka_unit_test_setup_teardown(long_lines, place_set_up, place_tear_down),
        cmocka_unit_test_setup_teardown(by_chance, place_set_up, place_tear_down),
    };

    if (!load_mit()) {
        print_message("SKIPPED, missing: libkrb5.so.3 with profile_init_path\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
