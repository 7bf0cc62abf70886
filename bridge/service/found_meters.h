/* SPDX-License-Identifier: MIT */
/** What a search found of meters that are no OpenBeken modules, as JSON with the lines for bridge.yaml. */
#ifndef BRIDGE_SERVICE_FOUND_METERS_H
#define BRIDGE_SERVICE_FOUND_METERS_H

#include "bridge/config/config.h"
#include "drivers/mapping/finder.h"

#include <jansson.h>

/** The ids, and the topics of devices with drivers esphome and mqtt, that exist: free with json_decref(). */
json_t *found_meters_known(const struct config *config);

/**
 * Appends to list a JSON object for each meter, new ones first: {"topic", "driver", "mapping", "channels",
 * "configured", "live", "notes", "config", "device"}; device is what the request device/add takes. Not more
 * than room. known: ids that are proposed here are added.
 */
void found_meters(json_t *known, const struct meter_finder *finder, size_t room, json_t *list);

#endif
