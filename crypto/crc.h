/* crc.h - the CRC-32 of Kerberos, RFC 3961 6.1.3: that of ISO 3309 without the ones at its start
 * and its end. No protection against anybody. */
#ifndef KB_CRC_H
#define KB_CRC_H

#include "asn1/bytes.h"

#define KB_CRC_LEN 4

/* kb_crc writes the CRC over the concatenated parts, least significant byte first. */
void kb_crc(const kb_bytes *parts, size_t num, uint8_t out[KB_CRC_LEN]);

#endif
