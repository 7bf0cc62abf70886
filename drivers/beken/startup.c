/* SPDX-License-Identifier: MIT */
#include "drivers/beken/startup.h"

#include "drivers/beken/bytes.h"
#include "drivers/beken/code.h"

enum {
    VECTORS_SIZE = 0x40,
    LOGICAL_MAX = 0x1E2000, /* what 2 MiB of flash hold without the CRCs */
    RAM_START = 0x400000,
    RAM_END = 0x480000,
};

static const size_t word = 4;

/* The literals "data in flash", "data in RAM", "end of data in RAM" at code, as one would have to
 * write them on purpose. */
static bool is_copy(const uint8_t *code, uint32_t *end)
{
    uint32_t from = bytes_get_le32(code);
    uint32_t to = bytes_get_le32(code + word);
    uint32_t to_end = bytes_get_le32(code + 2 * word);
    if (from < CODE_APP_LOGICAL + STARTUP_SIZE || from >= LOGICAL_MAX || from % word != 0)
        return false;
    if (to < RAM_START || to >= to_end || to_end > RAM_END || to % word != 0)
        return false;
    *end = from + (to_end - to);
    return *end <= LOGICAL_MAX;
}

bool startup_find_end(const uint8_t *code, size_t length, uint32_t *end)
{
    if (length > STARTUP_SIZE)
        length = STARTUP_SIZE;
    for (size_t at = VECTORS_SIZE; at + 3 * word <= length; at += word)
        if (is_copy(code + at, end))
            return true;
    return false;
}
