/* SPDX-License-Identifier: MIT */
/**
 * What other programs say about prices and CO2 intensities, as they spell it: a list of intervals or a single one, alone or in an object
 * (docs/prices.md has the words). Pure.
 */
#ifndef BRIDGE_SERVICE_INTERVAL_MESSAGE_H
#define BRIDGE_SERVICE_INTERVAL_MESSAGE_H

#include "bridge/meter/intervals.h"
#include "drivers/base/status.h"

#define INTERVAL_MESSAGE_BYTES_MAX 262144
#define INTERVAL_MESSAGE_MAX 3000 /**< intervals: a month of quarters of an hour */
#define INTERVAL_VALUE_MAX_MICRO INT64_C(1000000000) /**< 1000 per kilowatt hour, either way */
#define INTERVAL_CO2_MAX_MICRO INT64_C(5000000000)   /**< 5000 g per kilowatt hour */

/**
 * Adds its intervals to what is in there. divisor: of the values, 1000 for prices of a megawatt hour. All or nothing, and no intervals
 * are wrong as well:
 * STATUS_USAGE names the first thing that is wrong.
 */
enum status interval_message_parse(const char *bytes, size_t length, enum interval_kind what,
                                   int64_t divisor, struct intervals *intervals,
                                   struct error *error);

#endif
