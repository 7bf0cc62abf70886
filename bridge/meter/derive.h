/* SPDX-License-Identifier: MIT */
/**
 * What follows from a channel's readings over time: energy and cost of the running day and month, and the
 * demand of the running quarter of an hour with the month's highest. Pure.
 *
 * Days and months begin where the calendar says, so a day may have 23 or 25 hours. A reading's energy
 * belongs to the day of its stamp, as in the history. Money is summed up exactly and rounded when it is
 * read, at the price that holds at the beginning of the reading's quarter of an hour.
 *
 * Demand is the mean power, weighted by time, of what was measured since the quarter began. A reading
 * stands until the next one, but for hold_ms at most. A quarter counts for the month's highest demand when
 * at least half of it was measured.
 *
 * Nothing is kept over a restart: begin with what the history says about the running day and month. Demand
 * is followed before that, too.
 */
#ifndef BRIDGE_METER_DERIVE_H
#define BRIDGE_METER_DERIVE_H

#include "bridge/meter/meter.h"
#include "drivers/base/wide.h"

#include <stdbool.h>
#include <stdint.h>

#define DERIVE_QUARTER_MS INT64_C(900000)

/** The running day and month, by the wall clock. */
struct derive_calendar {
    int64_t day_start_ms, day_end_ms;
    int64_t month_start_ms, month_end_ms;
};

/** What holds at the beginning of the running quarter of an hour. */
struct derive_prices {
    bool known;   /**< a tariff holds, and its price is known */
    bool missing; /**< a tariff holds, and its price is not known */
    int64_t price_micro, feed_in_micro;
    int64_t standing_charge_micro; /**< of a day that begins now */
};

/** Sums of microwatt hours times price, and what days cost that have begun. */
struct derive_money {
    struct wide drawn, fed;
    int64_t standing_micro;
    int64_t missing_uwh; /**< energy whose price is missing: then the cost is unknown */
};

/** What the history has of a period up to now. */
struct derive_past {
    int64_t imported_uwh, exported_uwh;
    struct derive_money money;
};

struct derive_period {
    int64_t start_ms, end_ms;
    int64_t base_imported_uwh, base_exported_uwh; /**< totals at its beginning */
    struct derive_money money;
};

/** Zero-initialise it: everything is unknown. */
struct derive {
    bool begun;
    bool priced;
    struct derive_period day, month;
    int64_t imported_uwh, exported_uwh; /**< totals as of the last reading */
    int64_t quarter;                    /**< number of the running one since 1970 */
    int64_t weighed_mw_ms, weighed_ms;  /**< power times time within it */
    bool power_known;
    int64_t power_mw, power_wall_ms;
    bool highest_known;
    int64_t highest_mw, highest_wall_ms;
};

/** The totals are those that the past is as of. Demand goes on as it is; of its own highest and the given one the
 *  higher counts. highest_wall_ms 0: no quarter of the month is known. */
void derive_begin(struct derive *derive, const struct derive_calendar *calendar,
                  int64_t imported_uwh, int64_t exported_uwh, const struct derive_past *day,
                  const struct derive_past *month, int64_t highest_mw, int64_t highest_wall_ms);

struct derive_reading {
    int64_t wall_ms;
    bool power_known;
    int64_t power_mw;
    int64_t imported_uwh, exported_uwh; /**< totals */
    int64_t hold_ms;
};

/** calendar: of reading->wall_ms. */
void derive_accept(struct derive *derive, const struct derive_reading *reading,
                   const struct derive_calendar *calendar, const struct derive_prices *prices);

/** The same without demand: for readings that were accepted before derive_begin, but are behind the past. */
void derive_count(struct derive *derive, const struct derive_reading *reading,
                  const struct derive_calendar *calendar, const struct derive_prices *prices);

/** Another day or month has begun, with no reading yet. */
void derive_turn(struct derive *derive, const struct derive_calendar *calendar,
                 const struct derive_prices *prices);

/** The totals were set or recalibrated: that is no energy of today. */
void derive_shift(struct derive *derive, int64_t imported_uwh, int64_t exported_uwh);

void derive_values(const struct derive *derive, struct derived_values *values);

#endif
