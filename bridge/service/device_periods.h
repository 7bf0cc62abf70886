/* SPDX-License-Identifier: MIT */
/**
 * Energy and cost of the running day and month, and demand, of one device's channels and their sum: keeps
 * what bridge/meter/derive.h needs, and begins with what the history says about the past. Loop thread only.
 *
 * While the clock is not believable everything is unknown.
 */
#ifndef BRIDGE_SERVICE_DEVICE_PERIODS_H
#define BRIDGE_SERVICE_DEVICE_PERIODS_H

#include "bridge/config/config.h"
#include "bridge/device/properties.h"
#include "bridge/meter/tariff.h"

struct device_periods_options {
    const struct config_device *config; /**< borrowed */
    const char *history_path;           /**< borrowed */
    const struct tariff *tariffs;       /**< borrowed; for the prices of each quarter of an hour */
    size_t tariff_count;
};

struct device_periods;

struct device_periods *device_periods_create(const struct device_periods_options *options);
void device_periods_free(struct device_periods *periods);

/** The same device and channels in another configuration. */
void device_periods_rebind(struct device_periods *periods, const struct config_device *config);

/** The currency of the tariff that holds at wall_ms; "" if none does. Borrowed. */
const char *device_periods_currency(const struct device_periods *periods, int64_t wall_ms);

/** The totals that a channel begins with: those that are in the history. Before its first reading. */
void device_periods_seed(struct device_periods *periods, size_t channel, int64_t imported_uwh,
                         int64_t exported_uwh);

/** A channel has a reading; values are the meter's, with its totals. */
void device_periods_reading(struct device_periods *periods, size_t channel, int64_t wall_ms,
                            const struct channel_values *values);

/** A channel's totals were set by the user: that is no energy of today. */
void device_periods_shift(struct device_periods *periods, size_t channel, int64_t imported_uwh,
                          int64_t exported_uwh);

/** The past was recalibrated: it is read anew from the history. */
void device_periods_forget(struct device_periods *periods);

/** Fills in the derived values of channels and state, and where day and month began. */
void device_periods_fill(const struct device_periods *periods, struct channel_values *channels,
                         struct device_state *state);

#endif
