/* SPDX-License-Identifier: MIT */
/**
 * The two clocks. Intervals, deadlines and rates come from the boot clock only; stamps that people
 * and databases see come from the wall clock only. They are never subtracted from each other.
 */
#ifndef DRIVERS_BASE_CLOCK_H
#define DRIVERS_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Milliseconds since boot, including time asleep (CLOCK_BOOTTIME); never steps. */
int64_t clock_boot_ms(void);

/** Milliseconds since 1970 (CLOCK_REALTIME); may step at any time. */
int64_t clock_wall_ms(void);

/** Milliseconds awake (CLOCK_MONOTONIC): stands still while the machine is suspended. Only to be
 *  compared with the boot clock, which does not. */
int64_t clock_awake_ms(void);

/** How long until the boot clock is a multiple of period_ms: timers that begin then end in the same
 *  wake-ups, whoever they belong to. 1 to period_ms. */
uint64_t clock_to_grid_ms(int64_t period_ms);

/** A span of microseconds, not negative, as the system calls take it on machines of any word size. */
struct timespec clock_timespec_us(int64_t us);

/** What is known of the wall clock. */
enum clock_sync {
    CLOCK_SYNCHRONISED,
    CLOCK_UNSYNCHRONISED, /**< nobody has set it since boot, or not for long (maxerror >= 16 s) */
    CLOCK_SYNC_UNKNOWN,   /**< a sandbox forbids to ask, and systemd-timesyncd does not run */
};
/** Asks the kernel; if a sandbox forbids that, systemd-timesyncd(8). */
enum clock_sync clock_sync(void);
/** What systemd-timesyncd says in its folder: its file "synchronized" appears with the first answer. */
enum clock_sync clock_sync_of_folder(const char *folder);

#endif
