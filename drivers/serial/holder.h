/* SPDX-License-Identifier: MIT */
/** Who holds a device file: a look into /proc, for the words of an error message. */
#ifndef DRIVERS_SERIAL_HOLDER_H
#define DRIVERS_SERIAL_HOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLDER_SEARCH_MS 50           /**< where an event loop waits meanwhile */
#define HOLDER_SEARCH_PATIENT_MS 1000 /**< where a person waits: thousands of processes */

/**
 * Writes "mosquitto (pid 12)" for another process that has `device` (a canonical path, no symlink)
 * locked or, failing that, open. False, and "" in text, if none is found. Whoever holds a lock is
 * found at once; what processes have open takes a look at each, for at most limit_ms, and of other
 * users' processes is only visible to root.
 */
bool serial_find_holder(const char *device, int64_t limit_ms, char *text, size_t size);

#endif
