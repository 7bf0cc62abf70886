/* SPDX-License-Identifier: MIT */
/** A whole file into memory, within bounds. */
#ifndef BRIDGE_CONFIG_INPUT_H
#define BRIDGE_CONFIG_INPUT_H

#include "drivers/base/status.h"

#include <stddef.h>
#include <sys/types.h>

/**
 * Reads at most limit + 1 bytes: a length above limit tells that the file is too large. *bytes is
 * the caller's to free. *mode: its permissions. STATUS_NO_ANSWER if there is no such file,
 * STATUS_FAILED if it cannot be read; the error has the reason alone, without the path.
 */
enum status input_read(const char *path, size_t limit, char **bytes, size_t *length, mode_t *mode,
                       struct error *error);

#endif
