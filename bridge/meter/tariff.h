/* SPDX-License-Identifier: MIT */
/**
 * What electricity costs, and when. Pure: times come as fields of the local clock. Money is a whole
 * number of millionths of the currency's unit, prices are that per kilowatt hour.
 */
#ifndef BRIDGE_METER_TARIFF_H
#define BRIDGE_METER_TARIFF_H

#include "bridge/meter/intervals.h"
#include "drivers/base/wide.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define TARIFF_CURRENCY_SIZE 4
#define TARIFF_DAY_MINUTES 1440
#define TARIFF_ABSENT INT64_MIN /**< a window's price that is the tariff's own */

/** A time of day with prices of its own, on some days and in some months. */
struct tariff_window {
    int from_minute, to_minute; /**< after midnight, multiples of 15; from may be greater than to:
                                     over midnight, then it is the end and the beginning of a day */
    unsigned days;              /**< bit 0: Monday */
    unsigned months;            /**< bit 0: January */
    int64_t price_micro;        /**< per kWh drawn; may be TARIFF_ABSENT */
    int64_t feed_in_micro;      /**< per kWh fed back; may be TARIFF_ABSENT */
};

struct tariff {
    int valid_from; /**< 20260101: from that day on; 0: always */
    char currency[TARIFF_CURRENCY_SIZE];
    int64_t price_micro;
    int64_t feed_in_micro;
    int64_t standing_charge_micro; /**< per day */
    bool dynamic;                  /**< price is what comes on top of the market's, times factor */
    bool dynamic_feed_in;          /**< feed_in likewise, without factor */
    int64_t factor_micro;
    struct tariff_window *windows; /**< the first that fits counts */
    size_t window_count;
};

/** All tariffs of a configuration. They never change; queries on other threads hold them for as long as they
 *  run, while the configuration may have new ones already. */
struct tariffs {
    atomic_size_t holders;
    bool co2; /**< CO2 intensities are configured beside them */
    size_t count;
    struct tariff *list;
};

/** count of them, all zero, held once. */
struct tariffs *tariffs_new(size_t count);
/** Any thread. NULL is allowed, and held as NULL. */
struct tariffs *tariffs_hold(struct tariffs *tariffs);
/** The last holder frees them. NULL is allowed. */
void tariffs_release(struct tariffs *tariffs);

/** The tariff that holds on the day of `local`: the one with the latest valid_from. NULL: none does. */
const struct tariff *tariff_at(const struct tariff *tariffs, size_t count, const struct tm *local);

/** Its prices at that moment. */
void tariff_prices(const struct tariff *tariff, const struct tm *local, int64_t *price_micro,
                   int64_t *feed_in_micro);

/** Adds what the market has for that quarter of an hour. False if the tariff follows it and it has none. */
bool tariff_add_market(const struct tariff *tariff, const struct intervals *market, int64_t quarter,
                       int64_t *price_micro, int64_t *feed_in_micro);
/** Whether one of them follows the market. */
bool tariffs_follow_market(const struct tariff *tariffs, size_t count);

/** Money from a sum of microwatt hours times millionths per kilowatt hour: rounded to the nearest millionth. */
int64_t tariff_money(struct wide sum);

/* ---- as people write them; false if it is none ---- */

/** "00:00" to "24:00", a quarter of an hour: the smallest piece that history is kept in forever. */
bool tariff_parse_minute(const char *text, int *minute);
/** "mon-fri", "sat,sun", "fri-mon" (over the end of the week). */
bool tariff_parse_days(const char *text, unsigned *days);
/** "oct-mar", "jul". */
bool tariff_parse_months(const char *text, unsigned *months);
/** "2026-01-01", a day that exists. */
bool tariff_parse_date(const char *text, int *date);

#endif
