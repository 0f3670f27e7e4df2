#include "tests/support/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mech/options/options.h"
#include "tests/support/place.h"

struct kb_identity *identity_of(const char *user, const char *password, const char *more)
{
    const struct kb_options_query query = {0};
    const struct kb_options *options;
    struct kb_identity *identity;
    struct kb_error err = {0};
    char text[400];

    assert_true(snprintf(text, sizeof(text), "User=%s@TEST Password=%s KDCHost=127.0.0.1 %s", user,
                         password, more) < (int)sizeof(text));
    place_env("KERBSIDE_OPTIONS", text);
    place_renew();
    assert_int_equal(kb_options_get(&query, &options, &err), KB_OK);
    assert_int_equal(kb_identity_get(options, &identity, &err), KB_OK);
    kb_options_put(options);
    return identity;
}
