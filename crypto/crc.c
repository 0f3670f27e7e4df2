#include "crypto/crc.h"

#define POLYNOMIAL 0xedb88320u /* bits in reverse */

/* Bit by bit, without a table: constant in time, and hardly ever used. */
static uint32_t add_byte(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int i = 0; i < 8; i++) {
        crc = (crc >> 1) ^ (POLYNOMIAL & -(crc & 1));
    }
    return crc;
}

void kb_crc(const kb_bytes *parts, size_t num, uint8_t out[KB_CRC_LEN])
{
    uint32_t crc = 0;

    for (size_t i = 0; i < num; i++) {
        for (size_t at = 0; at < parts[i].len; at++) {
            crc = add_byte(crc, parts[i].ptr[at]);
        }
    }
    for (int i = 0; i < KB_CRC_LEN; i++) {
        out[i] = (uint8_t)(crc >> 8 * i);
    }
}
