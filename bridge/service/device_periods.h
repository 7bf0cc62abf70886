/* SPDX-License-Identifier: MIT */
/**
 * Energy and cost of the running day and month, and demand, of one device's channels and their sum: keeps
 * what bridge/meter/derive.h needs, and begins with what the history says about the past. Loop thread only.
 *
 * The history is read on a worker thread (past_reader.h), at the first reading, when the past or its prices
 * changed, and after each time without readings, whose energy the history spreads. What is measured until the
 * answer is there is kept (period_journal.h) and comes on top of it. Until the first answer energy and cost
 * are unknown, as is everything while the clock is not believable.
 */
#ifndef BRIDGE_SERVICE_DEVICE_PERIODS_H
#define BRIDGE_SERVICE_DEVICE_PERIODS_H

#include "bridge/config/config.h"
#include "bridge/device/properties.h"
#include "bridge/meter/tariff.h"
#include "bridge/service/past_reader.h"

struct device_periods_options {
    const struct config_device *config; /**< borrowed */
    enum reading_kind kind;
    struct past_reader *reader;     /**< borrowed */
    struct tariffs *const *tariffs; /**< where those in force are kept; borrowed */
    const struct intervals *market; /**< prices of now; NULL: none. Borrowed */
    /** The past is known now (first), or anew: values have changed without a reading. */
    void (*changed)(void *context, bool first);
    void *context;
};

struct device_periods;

struct device_periods *device_periods_create(const struct device_periods_options *options);
void device_periods_free(struct device_periods *periods);

/** The same device and channels in another configuration. */
void device_periods_rebind(struct device_periods *periods, const struct config_device *config);

/** The currency of the tariff that holds at wall_ms; "" if none does. Borrowed. */
const char *device_periods_currency(const struct device_periods *periods, int64_t wall_ms);

/** The totals that a channel begins with: those that are in the history. Before its first reading. */
/** The device goes on with another configuration: what was known of the channels that it still has, and of the sum, is
 *  shown until the history says it anew. after: seeded. old_of: for each channel its number before; SIZE_MAX: none. */
void device_periods_take_over(struct device_periods *after, const struct device_periods *before,
                              const size_t *old_of);
void device_periods_seed(struct device_periods *periods, size_t channel, int64_t imported_uwh,
                         int64_t exported_uwh);

/** A channel has a reading; values are the meter's, with its totals. */
void device_periods_reading(struct device_periods *periods, size_t channel, int64_t wall_ms,
                            const struct channel_values *values);

/** A channel's totals were set by the user: that is no energy of today. */
void device_periods_shift(struct device_periods *periods, size_t channel, int64_t imported_uwh,
                          int64_t exported_uwh);

/** The history has committed something. */
void device_periods_committed(struct device_periods *periods);

/** Whether an answer about the past is under way, or waits for a commit. */
bool device_periods_busy(const struct device_periods *periods);

/** The past was recalibrated: it is read anew from the history, and unknown until then. */
void device_periods_forget(struct device_periods *periods);
/** Prices of the past changed, or the tariffs: so with the costs alone. */
void device_periods_reprice(struct device_periods *periods);

/** Fills in the derived values of channels and state, and where day and month began. */
void device_periods_fill(const struct device_periods *periods, struct channel_values *channels,
                         struct device_state *state);

#endif
