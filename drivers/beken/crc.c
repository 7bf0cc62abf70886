/* SPDX-License-Identifier: MIT */
#include "drivers/beken/crc.h"

#include <zlib.h>

uint32_t beken_crc32(const uint8_t *bytes, size_t length)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, length);
}

uint32_t beken_crc32_wire(const uint8_t *bytes, size_t length)
{
    return ~beken_crc32(bytes, length);
}

uint16_t beken_crc16(const uint8_t *bytes, size_t length)
{
    unsigned crc = 0xFFFF;
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x8005 : crc << 1;
        crc &= 0xFFFF;
    }
    return (uint16_t)crc;
}

uint8_t beken_crc8_config(const uint8_t *bytes, size_t length)
{
    unsigned crc = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned byte = bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            unsigned differs = (crc ^ byte) & 1;
            crc = (crc >> 1) | (crc & 0x80); /* bit 7 stays: a signed char shifted right */
            if (differs != 0)
                crc ^= 0x8C;
            byte >>= 1;
        }
    }
    return (uint8_t)crc;
}

uint32_t beken_fnv1a(uint32_t hash, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}
