#include "config.h"

#include "mech/options/build.h"

#include "crypto/provider.h"

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

void kb_build_info(struct kb_buf *out)
{
    kb_buf_add_str(out, PACKAGE_NAME " " PACKAGE_VERSION " (" KB_COMMIT "), " COMPILER ", ");
    kb_buf_printf(out, "OpenSSL %s (%s)", kb_provider_version(),
                  kb_provider_loaded() ? "loaded" : "its headers; not loaded yet");
}

const char *kb_license_info(void)
{
    return "MIT License. Copyright (c) 2026 The Kerbside authors.";
}
