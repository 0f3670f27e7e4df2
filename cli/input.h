/* input.h - bytes as people hand them over: as they are, in hexadecimal, in Base64, in an HTTP
 * header.
 *
 * Bytes in, bytes out; no files. Any thread. */
#ifndef KB_CLI_INPUT_H
#define KB_CLI_INPUT_H

#include "asn1/buf.h"

enum kb_input_form {
    KB_INPUT_AUTO, /* the first of those below that the text is, else the bytes themselves */
    KB_INPUT_RAW,
    KB_INPUT_HEX,    /* with white space, colons, commas, 0x, and xxd's or tcpdump's columns */
    KB_INPUT_BASE64, /* standard or URL alphabet; "Negotiate " or a whole header line before it */
};

/* kb_input_bytes appends to `out` the bytes that `text` stands for, and says which form it had.
 * KB_MALFORMED: it is not of the form asked for. */
KB_MUST_USE enum kb_status kb_input_bytes(kb_bytes text, enum kb_input_form form,
                                          struct kb_buf *out, enum kb_input_form *out_form);

/* kb_base64 appends `bytes` in Base64 (RFC 4648 4), on one line. */
void kb_base64(kb_bytes bytes, struct kb_buf *out);

#endif
