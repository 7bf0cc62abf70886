/* SPDX-License-Identifier: MIT */
/** Integers in byte buffers, without alignment. */
#ifndef DRIVERS_BEKEN_BYTES_H
#define DRIVERS_BEKEN_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint32_t bytes_get_le16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static inline uint32_t bytes_get_le32(const uint8_t *bytes)
{
    return bytes_get_le16(bytes) | bytes_get_le16(bytes + 2) << 16;
}

static inline uint32_t bytes_get_be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline void bytes_put_le16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static inline void bytes_put_le32(uint8_t *bytes, uint32_t value)
{
    bytes_put_le16(bytes, value);
    bytes_put_le16(bytes + 2, value >> 16);
}

/** True if all bytes have this value; true for none. */
static inline bool bytes_are_all(const uint8_t *bytes, size_t length, uint8_t value)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

#endif
