#include "asn1/status.h"

#include <stddef.h>

const char *kb_status_text(enum kb_status status)
{
    static const char *const texts[] = {
        [KB_OK] = "no error",
        [KB_NO_MEMORY] = "out of memory",
        [KB_TOO_BIG] = "too big",
        [KB_CUT_SHORT] = "cut short",
        [KB_MALFORMED] = "malformed",
        [KB_WRONG_TYPE] = "another type of message",
        [KB_OUT_OF_RANGE] = "out of range",
        [KB_BAD_INTEGRITY] = "integrity check failed",
        [KB_BAD_KEY] = "weak key, or of the wrong length",
        [KB_BAD_PARAMS] = "unacceptable string-to-key parameters",
        [KB_BAD_TEXT] = "not UTF-8",
        [KB_NO_ENCTYPE] = "unsupported encryption type",
        [KB_NO_CRYPTO] = "OpenSSL's libcrypto cannot be used",
        [KB_NOT_FOUND] = "not found",
        [KB_NO_RANDOM] = "no randomness",
        [KB_TIMED_OUT] = "timed out",
        [KB_INTERRUPTED] = "interrupted",
        [KB_ERROR] = "failed",
    };

    if ((size_t)status >= sizeof(texts) / sizeof(texts[0]) || texts[status] == NULL) {
        return "failed";
    }
    return texts[status];
}
