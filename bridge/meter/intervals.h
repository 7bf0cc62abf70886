/* SPDX-License-Identifier: MIT */
/**
 * Values that hold for times that somebody else names, such as the prices of a day-ahead market: kept by quarter of
 * an hour, the shortest that is traded, so that hours are four of them, corrections replace what they are about, and
 * a change of the clock means nothing. Pure.
 */
#ifndef BRIDGE_METER_INTERVALS_H
#define BRIDGE_METER_INTERVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTERVAL_MS INT64_C(900000)

/** The numbers stand in the history. */
enum interval_kind { INTERVAL_PRICE = 1, INTERVAL_CO2 = 2 /**< grams per kilowatt hour */ };

struct interval {
    int64_t quarter;     /**< number of the quarter of an hour since 1970 */
    int64_t value_micro; /**< millionths of the unit */
};

/** Zero-initialised: none. Ascending by quarter. */
struct intervals {
    struct interval *list;
    size_t count, room;
};

void intervals_free(struct intervals *intervals);
/** True if that is new. */
bool intervals_put(struct intervals *intervals, const struct interval *interval);
/** False if there is none. */
bool intervals_find(const struct intervals *intervals, int64_t quarter, int64_t *value_micro);
/** The quarter after quarter in which another value holds, or none; at most a day later. */
int64_t intervals_until(const struct intervals *intervals, int64_t quarter);
/** Forgets those before quarter. */
void intervals_drop(struct intervals *intervals, int64_t quarter);

#endif
