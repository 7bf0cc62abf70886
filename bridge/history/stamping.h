/* SPDX-License-Identifier: MIT */
/**
 * Whether the wall clock can be believed, so that readings may be stamped with it. Pure.
 *
 * A machine without a battery-backed clock begins in 1970, or where it was when it was switched off,
 * until the network tells it the time. Readings and events of that time wait in memory with the boot
 * clock's stamp and get their wall time when there is one. Totals do not wait: they need no stamp.
 */
#ifndef BRIDGE_HISTORY_STAMPING_H
#define BRIDGE_HISTORY_STAMPING_H

#include "bridge/history/queue.h"
#include "bridge/history/store/channels.h"
#include "drivers/base/clock.h"

#include <stdbool.h>
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
 * readings and events by their boot stamps; calibrations that are not stored yet, and the counter
 * stamps of all totals, by what the wall clock was corrected since `began`. Totals that change so
 * become `dirty`.
 */
void stamping_apply(struct queue *queue, struct channels *channels, const struct moment *began,
                    const struct moment *now);

/** The wait for the clock of one run of the service. */
struct clock_hold {
    int64_t wait_ms;   /**< as stamping_judge */
    int64_t newest_ms; /**< as stamping_judge */
    struct moment opened;
    bool held;                /**< readings and events wait */
    bool awaited;             /**< that was announced */
    int64_t released_boot_ms; /**< when those that waited got their stamps; 0: none did */
};

/** What a look at the clock has to say; kind is "" if nothing. See notice.h. */
struct clock_notice {
    const char *kind;
    char message[EVENT_MESSAGE_SIZE];
};

void clock_hold_init(struct clock_hold *hold, int64_t wait_ms, int64_t newest_ms,
                     const struct moment *now);

/** Ends the wait, with stamping_apply, if the clock can be believed, or must be (must_end: a stop, or
 *  memory that fills up). */
void clock_hold_check(struct clock_hold *hold, struct queue *queue, struct channels *channels,
                      const struct moment *now, enum clock_sync sync, bool must_end,
                      struct clock_notice *notice);

/** No clock that is right shows less; a day before the build, so that two machines may differ. */
int64_t stamping_earliest_ms(void);

#endif
