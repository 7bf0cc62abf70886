/* SPDX-License-Identifier: MIT */
/**
 * Whether the wall clock can be believed, so that readings may be stamped with it. Pure.
 *
 * A machine without a battery-backed clock begins in 1970, or where it was when it was switched off,
 * until the network tells it the time. What is measured before that is held in memory with the boot
 * clock's stamp and gets its wall time when there is one.
 */
#ifndef BRIDGE_HISTORY_STAMPING_H
#define BRIDGE_HISTORY_STAMPING_H

#include "bridge/history/queue.h"
#include "bridge/history/store/channels.h"
#include "drivers/base/clock.h"

#include <stdint.h>

enum stamping {
    STAMPING_WAITS, /**< not yet */
    STAMPING_SURE,  /**< the clock is synchronised, or nothing speaks against it */
    STAMPING_GUESS, /**< nobody has set the clock in time: as it stands is all there is to have */
};

/**
 * wait_ms: so long after boot a clock is waited for; 0: never. newest_ms: the newest stored reading,
 * 0 without. A synchronised clock is believed unless it shows a time before this program was built.
 * One of which the kernel tells nothing is believed unless it also lies before the newest reading.
 */
enum stamping stamping_judge(int64_t wait_ms, int64_t newest_ms, int64_t wall_ms, int64_t boot_ms,
                             enum clock_sync sync);

/** A moment by both clocks. */
struct moment {
    int64_t wall_ms;
    int64_t boot_ms;
};

/**
 * Everything that was recorded since `began` gets the wall time that follows from `now`: queued
 * readings and events by their boot stamps, calibrations and counter stamps that are not stored yet
 * by what the wall clock was corrected since `began`.
 */
void stamping_apply(struct queue *queue, struct channels *channels, const struct moment *began,
                    const struct moment *now);

/** No clock that is right shows less; a day before the build, so that two machines may differ. */
int64_t stamping_earliest_ms(void);

#endif
