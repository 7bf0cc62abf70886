/* SPDX-License-Identifier: MIT */
/**
 * The price of electricity that holds now, and until when. Pure but for the process's time zone (TZ): prices
 * change at quarters of an hour of the local clock.
 */
#ifndef BRIDGE_METER_PRICE_H
#define BRIDGE_METER_PRICE_H

#include "bridge/meter/tariff.h"
#include "drivers/base/text.h"

#include <stdbool.h>
#include <stdint.h>

struct price {
    bool known;                         /**< a tariff holds, and its price is known */
    int64_t price_micro, feed_in_micro; /**< per kWh, millionths of the currency's unit */
    char currency[TARIFF_CURRENCY_SIZE];
    int64_t until_ms; /**< wall clock: when one of these changes, or a week from now */
};

/** Of the quarter of an hour that holds wall_ms. market: for tariffs that follow it; NULL: unknown. */
void price_at(const struct tariff *tariffs, size_t count, const struct intervals *market,
              int64_t wall_ms, struct price *price);

/** Appends {"price","feed_in","currency","until"}: per kWh, ISO 8601; null where no tariff holds. */
void price_json(const struct price *price, struct text *text);

#endif
