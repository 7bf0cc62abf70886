/* SPDX-License-Identifier: MIT */
/**
 * Minutes, quarters of an hour and days (rollup.h) as others see them: one point for each bucket and
 * channel, converted with the factors that held, in order of time. Only buckets that are over. Where
 * other factors began to hold within a bucket, or another kind of source took the channel over, its
 * rows are aggregated into the one point. Read-only, usable while the service writes; each
 * transaction is short.
 *
 * Energy is converted as in query.h, so sums of it are exact and those that `history energy` answers
 * with (without what was imported from files). Means of power are weighed by time, the others by
 * readings. What was counted while nobody read the meter is spread over that time as there, so buckets
 * without readings have a point of energy alone, once the bucket of the reading after is over.
 */
#ifndef BRIDGE_HISTORY_QUERY_POINTS_H
#define BRIDGE_HISTORY_QUERY_POINTS_H

#include "bridge/history/outbox.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_range {
    bool known; /**< false: no reading had it */
    double min, mean, max;
};

struct history_point {
    const char *device; /**< borrowed while the callback runs */
    const char *channel;
    int64_t start_ms, end_ms; /**< of the bucket; a day's begin at midnight in the process's zone */
    int64_t imported_uwh, exported_uwh;
    int64_t estimated_imported_uwh, estimated_exported_uwh; /**< how much of them was counted while
                                                                 nobody read the counter (estimates.h) */
    struct history_range voltage_v, current_a, power_w, frequency_hz; /**< power: produced is < 0 */
    int coverage_permille; /**< how much of the bucket had readings */
};

/** Return false to stop. */
typedef bool (*history_point_callback)(void *context, const struct history_point *point);

/** For one thread at a time. */
struct history_points;

/** level: not OUTBOX_READINGS. STATUS_USAGE: no such file, not a history, or of another version. */
enum status history_points_open(const char *path, enum outbox_level level,
                                struct history_points **points, struct error *error);
void history_points_close(struct history_points *points);

/**
 * At most `most` points in order of key, those after `after`. A point's key is that of its begin and
 * of the lowest number that the device and channel have in the file. *last: the key of the last point
 * that the callback took (returned true for), `after` if there was none. *more: there may be further
 * ones. To go on where one has left off is cheapest.
 */
enum status history_points_read(struct history_points *points, int64_t after, size_t most,
                                history_point_callback callback, void *context, int64_t *last,
                                bool *more, struct error *error);

#endif
