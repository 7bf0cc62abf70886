/* SPDX-License-Identifier: MIT */
/**
 * What a device offers, in the words of Zigbee2MQTT's `exposes`: the list in bridge/devices that
 * user interfaces are built from. Derived from the table in properties.h. Pure.
 */
#ifndef BRIDGE_DEVICE_EXPOSES_H
#define BRIDGE_DEVICE_EXPOSES_H

#include "bridge/device/properties.h"

#include <jansson.h>

/** Bits of `access`. */
enum exposes_access { EXPOSES_PUBLISHED = 1, EXPOSES_SETTABLE = 2 };

/**
 * A JSON array, one object per key of the state: `type` (numeric, binary, enum, text, update), `name`,
 * `property`, `label`, `description`, `access`, and where they apply `unit`, `category`
 * (diagnostic, config), `values`, `value_on`, `value_off`, `value_min`, `value_max`, `value_step`.
 * New reference.
 */
json_t *exposes_list(const struct device_description *device);

#endif
