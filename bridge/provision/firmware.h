/* SPDX-License-Identifier: MIT */
/** A firmware file, a dump or a configuration, read and examined. */
#ifndef BRIDGE_PROVISION_FIRMWARE_H
#define BRIDGE_PROVISION_FIRMWARE_H

#include "drivers/base/status.h"
#include "drivers/beken/image.h"

#include <stddef.h>
#include <stdint.h>

/** A rotated dump is put in order. *bytes: free(). */
enum status firmware_load(const char *path, uint8_t **bytes, size_t *length,
                          struct image_info *info, struct error *error);

#endif
