#include "mech/report/reference.h"

#include <errno.h>
#include <netdb.h>

#define PORT_IS_ZERO 116

/* Arrays, not pointers, as in error.c. */
static const struct row {
    uint16_t number;
    uint16_t sys_errno;
    int16_t gai_error;
    uint16_t code;
    bool can_occur;
    char text[104];
} rows[] = {
#define CAN true
#define CANNOT false
#define KB_REFERENCE(number, can, sys_errno, gai_error, code, text, note)                          \
    {number, sys_errno, gai_error, code, can, text},
#define KB_REFERENCE_ALSO(number, sys_errno) {number, sys_errno, 0, KB_E_NONE, true, ""},
#define KB_REFERENCE_OPTION(number, name)
#include "mech/report/reference.def"
#undef KB_REFERENCE
#undef KB_REFERENCE_ALSO
#undef KB_REFERENCE_OPTION
#undef CAN
#undef CANNOT
};

static const struct option_row {
    uint16_t number;
    char name[20];
} options[] = {
#define KB_REFERENCE(number, ...)
#define KB_REFERENCE_ALSO(number, sys_errno)
#define KB_REFERENCE_OPTION(number, name) {number, #name},
#include "mech/report/reference.def"
#undef KB_REFERENCE
#undef KB_REFERENCE_ALSO
#undef KB_REFERENCE_OPTION
};

#define NUM_ROWS (sizeof(rows) / sizeof(rows[0]))

int kb_reference_of_errno(int sys_errno)
{
    for (size_t i = 0; sys_errno != 0 && i < NUM_ROWS; i++) {
        if (rows[i].sys_errno == sys_errno) {
            return rows[i].number;
        }
    }
    return 0;
}

int kb_reference_of_resolver(int gai_error)
{
    for (size_t i = 0; gai_error != 0 && i < NUM_ROWS; i++) {
        if (rows[i].gai_error == gai_error) {
            return rows[i].number;
        }
    }
    switch (gai_error) {
    case 0:
    case EAI_SYSTEM: /* errno says it */
        return 0;
    case EAI_ADDRFAMILY:
        return kb_reference_of_resolver(EAI_NODATA);
    case EAI_MEMORY:
        return kb_reference_of_errno(ENOMEM);
    default:
        return kb_reference_of_resolver(EAI_FAIL);
    }
}

int kb_reference_of_option(const char *option)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (kb_equal_nocase(kb_str(option), kb_str(options[i].name))) {
            return options[i].number;
        }
    }
    return kb_error_reference(KB_E_BUSY);
}

int kb_reference_of_zero(const char *option)
{
    return kb_equal_nocase(kb_str(option), KB_LIT("KDCPort")) ? PORT_IS_ZERO : 0;
}

/* What was tried with the password or key did not decrypt: no KDC said so. */
static bool is_own_integrity_check(const struct kb_error *err)
{
    return err->kdc_code == 0 &&
           (err->code == KB_E_WRONG_PASSWORD || err->code == KB_E_KEY_REFUSED);
}

/* Is the row's number more than any errno tells? So it is with those below the Kerberos ones, which
 * are of one option or state each. */
static bool is_of_its_own(enum kb_error_code code)
{
    return kb_error_reference(code) > 0 && kb_error_reference(code) < 900;
}

int kb_error_number(const struct kb_error *err)
{
    int number = err->number;

    if (number == 0 && is_of_its_own(err->code)) {
        return kb_error_reference(err->code);
    }
    if (number == 0) {
        number = kb_reference_of_resolver(err->gai_error);
    }
    if (number == 0) {
        number = kb_reference_of_errno(err->sys_errno);
    }
    if (number == 0 && is_own_integrity_check(err)) {
        number = kb_error_reference(KB_E_MIC);
    }
    if (number == 0) {
        number = kb_error_reference(err->code);
    }
    return number != 0 ? number : kb_error_reference(KB_E_INTERNAL);
}

static const struct row *row_of(int number)
{
    for (size_t i = 0; i < NUM_ROWS; i++) {
        if (rows[i].number == number && rows[i].text[0] != '\0') {
            return &rows[i];
        }
    }
    return NULL;
}

const char *kb_reference_text(int number)
{
    const struct row *row = row_of(number);

    return row != NULL ? row->text : NULL;
}

bool kb_reference_find(int number, struct kb_reference *out)
{
    const struct row *row = row_of(number);

    *out = (struct kb_reference){0};
    if (row != NULL) {
        *out = (struct kb_reference){.sys_errno = row->sys_errno,
                                     .gai_error = row->gai_error,
                                     .code = (enum kb_error_code)row->code,
                                     .can_occur = row->can_occur};
    }
    return row != NULL;
}
