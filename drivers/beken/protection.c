/* SPDX-License-Identifier: MIT */
#include "drivers/beken/protection.h"

/* A write that did not take after this many tries will not take at all. */
enum { WRITES_MAX = 3 };

bool protection_is_on(const struct flash_chip *chip, uint32_t registers)
{
    return (registers & chip->protect_mask) != chip->unprotected;
}

/* The protection bits of wanted, all others as they are. */
static struct protection_advice write_bits(const struct flash_chip *chip, uint32_t registers,
                                           uint32_t wanted)
{
    return (struct protection_advice){
        .step = PROTECTION_WRITE,
        .value = (uint16_t)((registers & ~chip->protect_mask) | (wanted & chip->protect_mask)),
        .value_size = chip->sr_count == 1 ? 1 : 2,
    };
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
    return write_bits(chip, registers, chip->unprotected);
}

struct protection_advice protection_advise_back(const struct flash_chip *chip, uint32_t registers,
                                                uint32_t found, unsigned writes_done)
{
    if ((registers & BEKEN_SR_BUSY) != 0)
        return (struct protection_advice){.step = PROTECTION_WAIT};
    if (((registers ^ found) & chip->protect_mask) == 0)
        return (struct protection_advice){.step = PROTECTION_RESTORED};
    if (writes_done >= WRITES_MAX)
        return (struct protection_advice){.step = PROTECTION_LOCKED};
    return write_bits(chip, registers, found);
}
