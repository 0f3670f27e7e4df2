/* optman: standard input with the lines @OPTIONS@, @ERRORS@ and @NO_ERRORS@ replaced by the list of
 * options and those of the errors' numbers that occur and that do not, for kerbside(8). Built and
 * run when the manual is made, so that it says what the tables say. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text for roff: a backslash or a minus stands for itself, a dot begins no request. */
static void put(const char *text)
{
    if (*text == '.' || *text == '\'') {
        fputs("\\&", stdout);
    }
    for (; *text != '\0'; text++) {
        if (*text == '\\') {
            fputs("\\e", stdout);
        } else if (*text == '-') {
            fputs("\\-", stdout);
        } else {
            putchar(*text);
        }
    }
}

static const char *type_name(const char *type)
{
    static const char *const names[][2] = {
        {"BOOL", "True or False"}, {"INTEGER", "number"}, {"DURATION", "duration"},
        {"STRING", "text"},        {"PATH", "path"},      {"LIST", "list"},
        {"ETYPES", "list"},        {"SECRET", "secret"},  {"WORD", "word"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i][0], type) == 0) {
            return names[i][1];
        }
    }
    fprintf(stderr, "optman: type %s has no name here\n", type);
    exit(1);
}

/* A default stands in the table as C writes it. */
static void put_default(const char *def)
{
    static const char *const words[][2] = {
#define KB_WORD(option, word, value) {#value, word},
#include "mech/options/words.def"
#undef KB_WORD
    };
    char text[64];

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i][0], def) == 0) {
            put(words[i][1]);
            return;
        }
    }

    if (def[0] == '"') {
        snprintf(text, sizeof(text), "%.*s", (int)strlen(def) - 2, def + 1);
        put(text);
    } else {
        put(strcmp(def, "true") == 0 ? "True" : strcmp(def, "false") == 0 ? "False" : def);
    }
}

static void put_option(const char *name, const char *type, const char *def, long long min,
                       long long max, const char *scope, const char *flags, const char *help)
{
    printf(".TP\n.B %s\n", name);
    put(help);
    printf("\n(%s", type_name(type));
    if (max > 0) {
        printf(" from %lld to %lld", min, max);
    }
    if (strcmp(def, "NULL") != 0) {
        fputs("; ", stdout);
        put_default(def);
    }
    if (strstr(flags, "READ_ONLY") != NULL) {
        fputs("; can only be asked for", stdout);
    }
    fputs(strcmp(scope, "PROCESS") == 0 ? "; not for one credential)\n" : ")\n", stdout);
}

static void put_options(void)
{
#define KB_OPTION(name, member, type, def, min, max, scope, flags, help)                           \
    put_option(#name, #type, #def, min, max, #scope, #flags, help);
#include "mech/options/options.def"
#undef KB_OPTION
}

static void put_errors(const char *which)
{
    static const struct {
        int number;
        const char *can, *text, *note;
    } rows[] = {
#define KB_REFERENCE(number, can, sys_errno, gai_error, code, text, note)                          \
    {number, #can, text, note},
#define KB_REFERENCE_ALSO(number, sys_errno)
#define KB_REFERENCE_OPTION(number, name)
#include "mech/report/reference.def"
#undef KB_REFERENCE
#undef KB_REFERENCE_ALSO
#undef KB_REFERENCE_OPTION
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].can, which) == 0) {
            printf(".TP 7\n.B %d\n", rows[i].number);
            put(rows[i].text);
            printf("\n.br\n");
            put(rows[i].note);
            putchar('\n');
        }
    }
}

int main(void)
{
    char line[1024];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strcmp(line, "@OPTIONS@\n") == 0) {
            put_options();
        } else if (strcmp(line, "@ERRORS@\n") == 0) {
            put_errors("CAN");
        } else if (strcmp(line, "@NO_ERRORS@\n") == 0) {
            put_errors("CANNOT");
        } else {
            fputs(line, stdout);
        }
    }
    return ferror(stdin) || fflush(stdout) != 0 || ferror(stdout) ? 1 : 0;
}
