/* SPDX-License-Identifier: MIT */
#include "drivers/beken/code.h"

#include "drivers/beken/bytes.h"
#include "drivers/beken/crc.h"

#include <string.h>

static uint32_t rotate_right(uint32_t value, unsigned bits)
{
    return value >> bits | value << (32 - bits);
}

/* The cipher unit's three key words, folded for Tuya's key (public in several tools). */
uint32_t code_key_stream(uint32_t logical_address)
{
    uint32_t x = rotate_right(logical_address, 8) ^ 0x510FB093u;
    uint32_t spread = (x >> 2 & 15) * 0x11111111u;
    return rotate_right(x, 15) ^ (0xE519A4F1u & spread) ^ 0x5993A17Eu;
}

void code_crypt(uint8_t *bytes, size_t count, uint32_t logical_address)
{
    for (size_t i = 0; i + 4 <= count; i += 4) {
        uint32_t word = bytes_get_le32(bytes + i) ^ code_key_stream(logical_address + (uint32_t)i);
        bytes_put_le32(bytes + i, word);
    }
}

enum code_block code_check_block(const uint8_t block[CODE_BLOCK_FLASH])
{
    uint16_t crc = beken_crc16(block, CODE_BLOCK_LOGICAL);
    if (block[32] == crc >> 8 && block[33] == (crc & 0xFF))
        return CODE_BLOCK_GOOD;
    return bytes_are_all(block, CODE_BLOCK_FLASH, 0xFF) ? CODE_BLOCK_UNUSED : CODE_BLOCK_BAD;
}

size_t code_deframe(const uint8_t *flash, size_t flash_length, uint8_t *logical, size_t count)
{
    size_t done = 0;
    for (size_t offset = 0; done < count && offset < flash_length; offset += CODE_BLOCK_FLASH) {
        size_t part = CODE_BLOCK_LOGICAL;
        if (part > count - done)
            part = count - done;
        if (part > flash_length - offset)
            part = flash_length - offset;
        memcpy(logical + done, flash + offset, part);
        done += part;
    }
    return done;
}
