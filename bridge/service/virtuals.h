/* SPDX-License-Identifier: MIT */
/**
 * Feeds the channels of virtual devices with the readings of the channels that they are made of. Knows who
 * is whose member; the sums themselves are the devices' (bridge/meter/virtual.h). Loop thread only.
 */
#ifndef BRIDGE_SERVICE_VIRTUALS_H
#define BRIDGE_SERVICE_VIRTUALS_H

#include "bridge/service/service_device.h"

struct virtuals;

struct virtuals *virtuals_create(void);
/** Before the devices are freed. NULL is allowed. */
void virtuals_free(struct virtuals *virtuals);

/** Binds the channels of a virtual device to their members; a device of another driver is left alone. */
void virtuals_add(struct virtuals *virtuals, struct service_device *device);
/** The device leaves: as a virtual one, and as a member. */
void virtuals_remove(struct virtuals *virtuals, const struct service_device *device);

/** A device's channel has a reading, which was counted. */
void virtuals_reading(struct virtuals *virtuals, const struct service_device *device,
                      size_t channel, const struct reading *reading);
/** A channel answers no longer, or again. */
void virtuals_availability(struct virtuals *virtuals, const struct service_device *device,
                           size_t channel, bool online);
/** A channel's totals were set or recalibrated by so much. */
void virtuals_shifted(struct virtuals *virtuals, const struct service_device *device,
                      size_t channel, int64_t imported_uwh, int64_t exported_uwh);

#endif
