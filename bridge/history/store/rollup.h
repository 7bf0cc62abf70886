/* SPDX-License-Identifier: MIT */
/**
 * Readings aggregated: minutes, quarters of an hour and local days, in raw units, in the tables
 * rollup_minute, rollup_quarter and rollup_day (schema/history.sql).
 *
 * Why raw: calibration is applied on the way out, as for readings, so a correction of the past
 * touches no row. Why quarters: 15 minutes is the longest time that segments every local day (offsets
 * from UTC are multiples of it); hours are aggregated from them. Days follow the zone that the
 * file names in meta.time_zone and are made again from quarters when it changes.
 *
 * A row begins at the first moment it stands for: its bucket's, or the one within the bucket at which
 * other factors begin to hold (conversion.h). So each row belongs to exactly one calibration. Times
 * without readings have no row.
 *
 * How rows come about: when readings of a later minute arrive, minutes that are over are made from
 * the stored readings, quarters from minutes and days from quarters, all in the transaction of those
 * readings. What is not over is in no table; it is made of readings when it is asked for. So there is
 * nothing in memory that a crash could lose, and a file of before there were rollups is caught up
 * with in the same way, in steps. A reading that comes for a minute that is over (the clock was set
 * back) is added to the rows that are there.
 *
 * Energy is exact: over any span, the sums of imported and exported of each level's rows are those of
 * the readings.
 *
 * Power is a function of time: a reading stands until the next one, for as long as cadence.h says.
 * power_ms is its integral over the row's time, power_min and power_max its bounds there; so a
 * reading of the bucket before counts for the time that it reaches into this one. Voltage, current
 * and frequency are sums over the readings stamped within the row's time.
 */
#ifndef BRIDGE_HISTORY_STORE_ROLLUP_H
#define BRIDGE_HISTORY_STORE_ROLLUP_H

#include "drivers/reading.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum rollup_level { ROLLUP_MINUTE, ROLLUP_QUARTER, ROLLUP_DAY };
#define ROLLUP_LEVELS 3

#define ROLLUP_MINUTE_MS 60000LL
#define ROLLUP_QUARTER_MS 900000LL

/** Readings with a quantity; sum, min and max only if count > 0. Sums saturate. */
struct rollup_quantity {
    int64_t count;
    int64_t sum;
    int64_t min, max;
};

/** Zero-initialised: a row that stands for nothing. */
struct rollup_row {
    int64_t start_ms;
    unsigned number;            /**< channel */
    int64_t imported, exported; /**< counts */
    int64_t covered_ms;
    int64_t power_covered_ms; /**< for how long power was known; 0: never */
    int64_t power_ms;         /**< raw power times milliseconds over that time */
    int64_t power_min, power_max;
    /** Raw power of this channel when the sum over its device's channels was minimal, and maximal
     *  (peaks.h). Not of devices with one channel. */
    bool device_known;
    int64_t device_min, device_max;
    int64_t samples; /**< readings stamped within it */
    struct rollup_quantity voltage, current, frequency;
};

/** The columns as rollup_read numbers them. The first
 *  ROLLUP_ENERGY_COLUMNS of them are all but samples and the quantities. */
#define ROLLUP_COLUMNS                                                                             \
    "key, imported, exported, covered_ms, power_covered_ms, power_ms, power_min, power_max, "      \
    "device_min, device_max, samples, voltage_count, voltage_sum, voltage_min, voltage_max, "      \
    "current_count, current_sum, "                                                                 \
    "current_min, current_max, frequency_count, frequency_sum, frequency_min, frequency_max"
#define ROLLUP_ENERGY_COLUMNS                                                                      \
    "key, imported, exported, covered_ms, power_covered_ms, power_ms, power_min, power_max, "      \
    "device_min, device_max"

/** "rollup_minute" ... */
const char *rollup_table(enum rollup_level level);

/** The current row of a statement that selects ROLLUP_COLUMNS (whole) or ROLLUP_ENERGY_COLUMNS. */
void rollup_read(sqlite3_stmt *statement, bool whole, struct rollup_row *row);

/** Adds what `more` stands for; start_ms, number and what is known of the device stay. */
void rollup_merge(struct rollup_row *row, const struct rollup_row *more);

/** Prepares what puts a row into a level's table, in place of the one of the same key, if any.
 *  SQLite's code. */
int rollup_prepare_put(sqlite3 *db, enum rollup_level level, sqlite3_stmt **statement);
int rollup_put(sqlite3_stmt *statement, const struct rollup_row *row);

#endif
