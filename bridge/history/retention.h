/* SPDX-License-Identifier: MIT */
/**
 * Deletes what is older than history.keep, once a day, in steps of some hundredths of a second between
 * the writer's transactions; and only when the clock is trustworthy.
 *
 * A clock that has jumped ahead would have everything deleted. So the file must show that it was about
 * this time a day ago as well: there must be a 15-minute bucket from one to two days before now. A clock
 * that nobody sets may be wrong for days, and the file then agrees with it. Therefore, while the clock
 * is not synchronised, one day's deletion takes at most two days' worth from the oldest row on. That
 * keeps up with what is recorded, and a clock that is months ahead costs days, not everything.
 */
#ifndef BRIDGE_HISTORY_RETENTION_H
#define BRIDGE_HISTORY_RETENTION_H

#include "bridge/history/store/rows.h"
#include "drivers/base/clock.h"

#include <stdbool.h>
#include <stdint.h>

/** Readings, minutes and 15-minute buckets; days are kept without limit. */
#define RETENTION_LEVELS 3

struct retention {
    int64_t keep_ms[RETENTION_LEVELS];   /**< 0: unlimited */
    int64_t due_boot_ms;                 /**< next deletion */
    bool active;                         /**< the day's deletion is under way ... */
    int64_t before_ms[RETENTION_LEVELS]; /**< ... of rows before these times; 0: none */
};

/** The first deletion is an hour after boot_ms: by then a clock that was wrong at boot is right. */
void retention_init(struct retention *retention, const int64_t keep_ms[RETENTION_LEVELS],
                    int64_t boot_ms);

/** Begins the day's deletion if it is due and the clock is trustworthy. */
void retention_begin(struct retention *retention, struct rows *rows, int64_t wall_ms,
                     int64_t boot_ms, enum clock_sync sync);

/** One step of maintenance in one transaction: aggregates what is over (rows_advance) and, while active,
 *  deletes. *more: another step is wanted. SQLite's code; after a failure deletion is tried later. */
int retention_step(struct retention *retention, struct rows *rows, int64_t boot_ms, bool *more);

#endif
