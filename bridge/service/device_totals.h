/* SPDX-License-Identifier: MIT */
/**
 * The totals of a device with several channels: accumulators that grow by what the channels count, and that
 * no added or removed channel moves. What is kept (preferences.h) is the distance to the sum of the channels
 * and which channels these are; so nothing is written while energy is counted.
 *
 * A device that once had several channels keeps the suffixes of its keys: Home Assistant's statistics hang
 * on them. To give them up, stop the service and remove the device's `channels` from preferences.json.
 */
#ifndef BRIDGE_SERVICE_DEVICE_TOTALS_H
#define BRIDGE_SERVICE_DEVICE_TOTALS_H

#include "bridge/config/config.h"
#include "bridge/device/properties.h"
#include "bridge/service/preferences.h"

struct device_totals {
    bool keeps_suffixes;
    int64_t imported_uwh, exported_uwh; /**< to be added to the channels' sum */
};

/** The stored total of a channel of the device that is configured or was once; false if it is unknown. */
typedef bool (*device_totals_stored)(void *context, const char *channel, int64_t *imported_uwh,
                                     int64_t *exported_uwh);

/** Compares the channels with those the device had, and stores what changed. */
void device_totals_begin(struct device_totals *totals, const struct config_device *config,
                         struct preferences *preferences, device_totals_stored stored,
                         void *context, struct log *log);

/** The device's own totals from what is shown of its channels; unknown while one of these is. */
void device_totals_fill(const struct device_totals *totals,
                        const struct device_description *description, struct device_state *state);

#endif
