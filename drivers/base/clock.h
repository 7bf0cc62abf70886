/* SPDX-License-Identifier: MIT */
/**
 * The two clocks. Intervals, deadlines and rates come from the boot clock only; stamps that people
 * and databases see come from the wall clock only. They are never subtracted from each other.
 */
#ifndef DRIVERS_BASE_CLOCK_H
#define DRIVERS_BASE_CLOCK_H

#include <stdint.h>

/** Milliseconds since boot, including time asleep (CLOCK_BOOTTIME); never steps. */
int64_t clock_boot_ms(void);

/** Milliseconds since 1970 (CLOCK_REALTIME); may step at any time. */
int64_t clock_wall_ms(void);

#endif
