/* SPDX-License-Identifier: MIT */
#include "drivers/beken/protection.h"

/* A write that did not take after this many tries will not take at all. */
enum { WRITES_MAX = 3 };

bool protection_is_on(const struct flash_chip *chip, uint32_t registers)
{
    return (registers & chip->protect_mask) != chip->unprotected;
}

struct protection_advice protection_advise(const struct flash_chip *chip, uint32_t registers,
                                           unsigned writes_done, bool force)
{
    if (chip->sr_count == 0) /* a chip without protection */
        return (struct protection_advice){.step = PROTECTION_OPEN};
    if ((registers & BEKEN_SR_BUSY) != 0)
        return (struct protection_advice){.step = PROTECTION_WAIT};
    if (!protection_is_on(chip, registers))
        return (struct protection_advice){.step = PROTECTION_OPEN};
    if (chip->generic && !force)
        return (struct protection_advice){.step = PROTECTION_UNSURE};
    if (writes_done >= WRITES_MAX)
        return (struct protection_advice){.step = PROTECTION_LOCKED};
    return (struct protection_advice){
        .step = PROTECTION_WRITE,
        .value = (uint16_t)((registers & ~chip->protect_mask) | chip->unprotected),
        .value_size = chip->sr_count == 1 ? 1 : 2,
    };
}
