/* SPDX-License-Identifier: MIT */
/**
 * What to do about a flash chip's write protection, decided from its status registers. Pure: the
 * caller reads and writes the registers, this says what is next. Only the N family lets a host do
 * it; a T's bootloader unprotects by itself on LinkCheck + Erase.
 *
 * Rules: registers are written only when needed (a needless write has locked chips until
 * power-off); bits outside the chip's mask (quad enable, lock bits, register protect) are kept;
 * after a write the busy bit is waited for before the result is judged.
 */
#ifndef DRIVERS_BEKEN_PROTECTION_H
#define DRIVERS_BEKEN_PROTECTION_H

#include "drivers/beken/flash_table.h"

#include <stdbool.h>
#include <stdint.h>

/** SR1's write-in-progress bit: the other bits mean nothing while it is set. */
#define BEKEN_SR_BUSY 0x01u

enum protection_step {
    PROTECTION_OPEN,     /**< nothing is protected: go on */
    PROTECTION_WAIT,     /**< busy: read again in a moment */
    PROTECTION_WRITE,    /**< write *value, then wait and read again */
    PROTECTION_LOCKED,   /**< the register is locked (SRP0 or SRP1): only power-off or WP# help */
    PROTECTION_RESTORED, /**< as it was found */
    PROTECTION_UNSURE,   /**< an unknown flash with protection bits set: do not touch */
};

struct protection_advice {
    enum protection_step step;
    uint16_t value;      /**< to write, for PROTECTION_WRITE */
    unsigned value_size; /**< 1 or 2 bytes */
};

/** True if the combined registers protect anything. */
bool protection_is_on(const struct flash_chip *chip, uint32_t registers);

/**
 * registers = SR1 | SR2 << 8 | SR3 << 16, as many as chip->sr_count says; writes_done = how many
 * times PROTECTION_WRITE was already followed. force: unprotect even a flash that the table lacks.
 */
struct protection_advice protection_advise(const struct flash_chip *chip, uint32_t registers,
                                           unsigned writes_done, bool force);

/** After the work: the way back to the protection bits of found. */
struct protection_advice protection_advise_back(const struct flash_chip *chip, uint32_t registers,
                                                uint32_t found, unsigned writes_done);

#endif
