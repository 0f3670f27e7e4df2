/* nfold.h - n-fold, RFC 3961 5.1: stretches or shrinks a constant to the size of a block. */
#ifndef KB_NFOLD_H
#define KB_NFOLD_H

#include "asn1/bytes.h"

/* kb_nfold fills `out` from `in`; both have at least a byte. */
void kb_nfold(kb_bytes in, uint8_t *out, size_t out_len);

#endif
