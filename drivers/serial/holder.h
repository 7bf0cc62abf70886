/* SPDX-License-Identifier: MIT */
/** Who has a device file open: a look through /proc, for the words of an error message. */
#ifndef DRIVERS_SERIAL_HOLDER_H
#define DRIVERS_SERIAL_HOLDER_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Writes "mosquitto (pid 12)" for the first other process that has `device` (a canonical path, no
 * symlink) open. False, and "" in text, if none is found: processes of other users are only visible
 * to root, and the search gives up after 50 ms so that it cannot hold up an event loop.
 */
bool serial_find_holder(const char *device, char *text, size_t size);

#endif
