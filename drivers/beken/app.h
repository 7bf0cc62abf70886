/* SPDX-License-Identifier: MIT */
/**
 * The code inside a firmware file, as the processor sees it: without CRCs, key, packing. Lets an
 * over-the-air package be reported by what is in it, because its header names no chip. Pure (AES by
 * libcrypto, gzip by zlib).
 *
 * Packages: gzip, then AES-256 in CBC mode with the published key that all of these bootloaders have
 * (OpenBK7231T_App's build, rt_ota_packaging_tool).
 */
#ifndef DRIVERS_BEKEN_APP_H
#define DRIVERS_BEKEN_APP_H

#include "drivers/base/status.h"
#include "drivers/beken/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct app {
    enum beken_chip chip; /**< an N's runs on an N without key (M), too */
    char version[40];     /**< "" if unknown */
    int64_t build_time_s; /**< seconds since 1970; 0 if unknown */
    bool openbeken;       /**< it says so */
    bool esphome;         /**< it is ESPHome's */
    bool twin;            /**< it can read two BL0942: it knows the command BL0942opts */
};

/**
 * What an RBL package holds. STATUS_REFUSED, with what is wrong and what to take instead: not a package,
 * damaged, for no chip that is known, cannot be unpacked, or too big for the chip's download area.
 */
enum status app_of_package(const uint8_t *bytes, size_t length, struct app *app,
                           struct error *error);

/** The same of a QIO or UA file that was examined. False if it holds no app. */
bool app_of_image(const uint8_t *bytes, size_t length, const struct image_info *info,
                  struct app *app);

#endif
