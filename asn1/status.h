/* status.h - how the layers below mech/login say what went wrong.
 *
 * asn1 and crypto know bytes, not whose bytes they are: they return one of these and nothing
 * else. The layer that knows with whom we spoke turns it into an error object
 * (mech/report/error.h). */
#ifndef KB_STATUS_H
#define KB_STATUS_H

enum kb_status {
    KB_OK = 0,
    KB_NO_MEMORY,     /* malloc failed */
    KB_TOO_BIG,       /* over a ceiling that we set */
    KB_CUT_SHORT,     /* ends before its own length says */
    KB_MALFORMED,     /* not the structure that it should be, or not DER */
    KB_WRONG_TYPE,    /* well-formed, but another message than the one asked for */
    KB_OUT_OF_RANGE,  /* a number or time outside what its type allows */
    KB_BAD_INTEGRITY, /* a MAC or checksum does not verify: wrong key, or forged */
    KB_BAD_KEY,       /* a key whose length is not its enctype's, or a weak one of DES */
    KB_BAD_PARAMS,    /* string-to-key parameters that are malformed or outside our bounds */
    KB_BAD_TEXT,      /* a password that is not UTF-8, where its characters matter */
    KB_NO_ENCTYPE,    /* an enctype or checksum type that we do not have */
    KB_NO_CRYPTO,     /* OpenSSL, or a primitive of it, cannot be had */
    KB_NOT_FOUND,     /* there is no such thing; not an error by itself */
    KB_NO_RANDOM,     /* the system gave no randomness */
    KB_TIMED_OUT,     /* the deadline passed */
    KB_INTERRUPTED,   /* somebody called Interrupt */
    KB_ERROR,         /* an error object says what */
};

/* kb_status_text is a static phrase such as "cut short", for use inside a sentence. */
const char *kb_status_text(enum kb_status status);

#endif
