/* SPDX-License-Identifier: MIT */
/**
 * The state of a device as others get it: one JSON object, and the numbers by which a change is judged.
 * Derived from the table in properties.h. Pure.
 */
#ifndef BRIDGE_DEVICE_STATE_H
#define BRIDGE_DEVICE_STATE_H

#include "bridge/device/properties.h"
#include "bridge/device/publish_policy.h"

/**
 * Appends the whole state as one JSON object: every announced key, null for unknown. Energy is
 * rounded down, so that a published total never exceeds what was counted, and a sum is rounded after
 * adding; it is unknown as soon as one channel's part is.
 */
void device_state_json(const struct device_description *device, const struct device_state *state,
                       struct text *text);

/**
 * The number that stands under a key, in millionths of its unit. False if there is no such key, it is no
 * number, or it is unknown; *exists says whether the device has such a number at all.
 */
bool device_state_number(const struct device_description *device, const struct device_state *state,
                         const char *key, bool *exists, int64_t *micro);

/** How many numbers device_state_values fills in. */
size_t device_state_value_count(const struct device_description *device);

/** The numbers of a state with their deadbands, in a fixed order, for publish_policy_offer. */
void device_state_values(const struct device_description *device, const struct device_state *state,
                         struct publish_value *values);

#endif
