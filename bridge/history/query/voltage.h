/* SPDX-License-Identifier: MIT */
/**
 * The quality of a channel's voltage by day or week, as EN 50160 asks: the share of 10-minute means that are within
 * 10 % of the nominal voltage, the extreme means, and the sags, swells and interruptions on record. Means are made
 * from minutes (rollup.h) and weighed by readings; without minutes, as where only coarser rows are kept, there are
 * none. Read-only, usable while the service writes.
 */
#ifndef BRIDGE_HISTORY_QUERY_VOLTAGE_H
#define BRIDGE_HISTORY_QUERY_VOLTAGE_H

#include "bridge/history/query/buckets.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>

#define VOLTAGE_MEAN_MS 600000LL
/** A mean counts if its minutes cover so much of it. */
#define VOLTAGE_MEAN_COVERED_MS 300000LL
/** Of the nominal voltage, on either side. */
#define VOLTAGE_WITHIN_PERCENT 10

struct history_voltage_row {
    int64_t start_ms, end_ms; /**< the bucket, cut to the span */
    const char *channel;      /**< borrowed while the callback runs */
    int64_t nominal_mv;
    bool share_known; /**< at least half of the 10-minute means are there */
    int64_t share;    /**< of them within the limits, in 1/10000 */
    bool mean_known;  /**< there is at least one: */
    int64_t lowest_mv, highest_mv;
    bool counts_known; /**< a mean is there, or an event: somebody looked */
    int64_t sags, swells, interruptions;
    bool deepest_known; /**< of sags and interruptions */
    int64_t deepest_mv;
    bool longest_known; /**< of all events */
    int64_t longest_ms;
    int coverage_permille; /**< how many of the 10-minute means there are */
};

struct history_voltage_question {
    const char *device;
    const char *channel; /**< NULL: all, each with a row of its own */
    int64_t from_ms, to_ms;
    enum history_bucket bucket;
    int64_t nominal_mv;
};

/** Return false to stop. */
typedef bool (*history_voltage_callback)(void *context, const struct history_voltage_row *row);

/** A row for each bucket and channel, empty ones too. 10-minute intervals are counted from a bucket's begin, and only
 *  those that are wholly within the span. An event belongs to the bucket that it ended in. STATUS_USAGE if there is no
 *  such file, device or channel, or the span is empty. */
enum status history_voltage(const char *path, const struct history_voltage_question *question,
                            history_voltage_callback callback, void *context, struct error *error);

#endif
