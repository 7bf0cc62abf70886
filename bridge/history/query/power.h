/* SPDX-License-Identifier: MIT */
/**
 * The power of one channel, or of the sum over a device's channels, over time, in pieces of equal length,
 * each with its minimum, mean and maximum: a peak is seen however long the pieces are. Those of a sum are
 * its own (store/peaks.h). Made from quarters of an hour and minutes
 * where they are made and fit (segments.h), so a year is as cheap as a day; pieces shorter than a minute
 * are made from readings. Read-only, usable while the service writes.
 *
 * Where only coarser rows are kept than the pieces are long, a row is in the piece that it begins in.
 */
#ifndef BRIDGE_HISTORY_QUERY_POWER_H
#define BRIDGE_HISTORY_QUERY_POWER_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>

/** More pieces than this are refused. */
#define HISTORY_POWER_PIECES_MAX 100000

struct history_power_row {
    int64_t start_ms, end_ms;
    bool known; /**< false: a channel had no reading of power; power is 0 then */
    bool
        range_known; /**< false: minimum and maximum are not known, as of sums from before format 9 */
    int64_t min_mw, mean_mw, max_mw;
    bool estimated;       /**< some of its energy was counted while nobody read the meter */
    int64_t estimated_mw; /**< that energy divided by the piece's length (estimates.h) */
    int coverage_permille; /**< for how much of it power was known, of the channel with the minimum */
};

/** Return false to stop. */
typedef bool (*history_power_callback)(void *context, const struct history_power_row *row);

/** The shortest of 1, 2, 5, 10, 15, 30 s, 1, 2, 5, 10, 15, 30 min, 1, 2, 3, 6, 12, 24 h ... that makes
 *  no more than that many pieces of a span. */
int64_t history_power_length(int64_t span_ms, int64_t pieces);

/** One row for each piece of from_ms..to_ms, empty ones too. The first begins at from_ms, rounded down
 *  to where rows begin: a quarter of an hour, piece_ms, a minute or a second. channel NULL: the sum. STATUS_USAGE if there
 *  is no such file, device or channel, or the span is empty or makes too many pieces. */
enum status history_power(const char *path, const char *device, const char *channel,
                          int64_t from_ms, int64_t to_ms, int64_t piece_ms,
                          history_power_callback callback, void *context, struct error *error);

#endif
