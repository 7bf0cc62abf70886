/* SPDX-License-Identifier: MIT */
/**
 * Questions to a history file, read-only, usable while the service writes it. Buckets follow the
 * process's time zone (TZ); a day may have 23 or 25 hours.
 */
#ifndef BRIDGE_HISTORY_QUERY_H
#define BRIDGE_HISTORY_QUERY_H

#include "bridge/meter/meter.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum history_bucket { BUCKET_HOUR, BUCKET_DAY, BUCKET_MONTH };

struct history_energy_row {
    int64_t start_ms, end_ms; /**< wall clock, end exclusive */
    int64_t imported_uwh, exported_uwh;
    bool power_known; /**< false: no reading in this bucket */
    int64_t power_min_mw, power_mean_mw, power_max_mw;
    int coverage_permille; /**< how much of the bucket had readings */
};

/** Return false to stop. */
typedef bool (*history_energy_callback)(void *context, const struct history_energy_row *row);

struct history_query;

enum status history_query_open(const char *path, struct history_query **query, struct error *error);
void history_query_close(struct history_query *query);

/** channel NULL: the sum over the device's channels (power: sum of the channels' means; min and max
 *  only where the device has one channel). STATUS_USAGE if there is no such device or channel. */
enum status history_query_energy(struct history_query *query, const char *device,
                                 const char *channel, int64_t from_ms, int64_t to_ms,
                                 enum history_bucket bucket, history_energy_callback callback,
                                 void *context, struct error *error);

#endif
