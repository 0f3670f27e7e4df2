/* build.h - what this build is: BuildInfo and LicenseInfo. Any thread; OpenSSL is not loaded for
 * it.
 */
#ifndef KB_BUILD_H
#define KB_BUILD_H

#include "asn1/buf.h"

/* kb_build_info appends version, commit (or "release"), compiler, and the OpenSSL that is used: the
 * loaded one, or while there is none the one whose headers this was built with. */
void kb_build_info(struct kb_buf *out);

const char *kb_license_info(void);

#endif
