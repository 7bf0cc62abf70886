/* SPDX-License-Identifier: MIT */
/**
 * What the energy of a device or channel cost. Each quarter of an hour has the price that holds at
 * its beginning by the local clock (TZ), so days with 23 or 25 hours come out right. Sums are kept
 * without rounding; a row gets the increase of the rounded sums since the beginning of the question,
 * so the same span cut into other buckets costs the same to the last millionth.
 *
 * The standing charge of a day belongs to the bucket with the day's first moment, if that is within
 * the question and not after now; whole, however short the span ends after it.
 */
#ifndef BRIDGE_HISTORY_QUERY_COST_H
#define BRIDGE_HISTORY_QUERY_COST_H

#include "bridge/history/query/energy.h"
#include "bridge/meter/tariff.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Money in millionths of the currency's unit. */
struct history_cost_row {
    int64_t start_ms, end_ms;
    int64_t imported_uwh, exported_uwh;
    int64_t unpriced_uwh; /**< of both, for which no tariff held, or its price is missing */
    int64_t missing_uwh;  /**< of these, where a tariff's price is missing */
    int64_t unpriced_from_ms,
        unpriced_to_ms;    /**< between them lies all that is unpriced; 0: nothing */
    int64_t estimated_uwh; /**< of both, as in energy.h */
    int64_t foreign_uwh;   /**< of both, that was not measured here but imported (foreign.h) */
    int64_t energy_micro;  /**< to be paid for what was drawn */
    int64_t feed_in_micro; /**< earned with what was fed back */
    int64_t standing_micro;
    int64_t cost_micro;      /**< energy + standing - feed-in */
    int coverage_permille;   /**< as in query.h; 1000 is that nothing is missing */
    bool co2;                /**< the question is about CO2 as well */
    int64_t co2_ug;          /**< micrograms, of what was drawn where intensities are known */
    int64_t co2_missing_uwh; /**< drawn where they are missing, between the times that follow */
    int64_t co2_from_ms, co2_to_ms;
    struct wide drawn,
        fed; /**< money since the beginning of the question, without rounding: for tariff_money */
};

/** Return false to stop. */
typedef bool (*history_cost_callback)(void *context, const struct history_cost_row *row);

struct history_cost_question {
    const char *device;
    const char *channel; /**< NULL: the sum over the device's */
    int64_t from_ms, to_ms;
    int64_t now_ms; /**< wall clock */
    enum history_bucket bucket;
    const struct tariff *tariffs;
    size_t tariff_count;
    bool co2; /**< CO2 intensities are configured */
    /** Receives each quarter of an hour that the rows are made of, with the context of the rows; NULL: nobody. */
    void (*quarter)(void *context, const struct history_energy_row *quarter);
};

/** One row for each bucket, in order. STATUS_USAGE as history_query_energy. */
enum status history_query_cost(struct history_query *query,
                               const struct history_cost_question *question,
                               history_cost_callback callback, void *context, struct error *error);

#endif
