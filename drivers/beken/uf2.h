/* SPDX-License-Identifier: MIT */
/**
 * UF2 files as LibreTiny, and so ESPHome, makes them for Beken chips: blocks of 512 bytes, each with an
 * address in a partition that a tag names. What a serial line can write is in them (LibreTiny's scheme
 * "flasher, single"): the framed app, the same bytes as in a UA file. Pure. Source: the format of
 * LibreTiny's uf2tool, and Microsoft's UF2.
 */
#ifndef DRIVERS_BEKEN_UF2_H
#define DRIVERS_BEKEN_UF2_H

#include "drivers/base/status.h"
#include "drivers/beken/chip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uf2_app {
    uint8_t *bytes; /**< as they go into flash from address on; owned by the caller */
    size_t length;
    uint32_t address;     /**< in flash: where the partition "app" begins */
    enum beken_chip chip; /**< by the file's family */
};

/** Whether it begins as a UF2 file does. */
bool uf2_is(const uint8_t *bytes, size_t length);

/** STATUS_REFUSED with what is wrong: cut short, damaged, for another family of chips, without an app for
 *  a serial line. */
enum status uf2_unpack(const uint8_t *bytes, size_t length, struct uf2_app *app,
                       struct error *error);

#endif
