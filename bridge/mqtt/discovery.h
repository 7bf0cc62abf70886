/* SPDX-License-Identifier: MIT */
/**
 * Home Assistant's MQTT discovery payloads. Pure: text from descriptions. The rules it obeys and
 * why: docs/homeassistant.md.
 */
#ifndef BRIDGE_MQTT_DISCOVERY_H
#define BRIDGE_MQTT_DISCOVERY_H

#include "bridge/device/properties.h"

#include <jansson.h>

struct discovery_context {
    const char *base_topic;
    const char *bridge_id;
    const char *prefix; /**< discovery_prefix */
    const char *version;
    bool device_mode; /**< false: one message per component */
};

/** One retained message: topic and JSON payload ("" to clear). */
typedef void (*discovery_emit)(void *context, const char *topic, const char *payload);

/** The device's discovery message(s). removed: keys (key -> platform) announced earlier that are no
 *  longer exposed and must be taken back; NULL for none. */
void discovery_device(const struct discovery_context *context,
                      const struct device_description *device, const json_t *removed,
                      discovery_emit emit, void *emit_context);
/** The bridge's own device: connectivity, version, problem. */
void discovery_bridge(const struct discovery_context *context, discovery_emit emit,
                      void *emit_context);
/** Clears everything of a device that is gone; announced: key -> platform as once announced. */
void discovery_remove(const struct discovery_context *context, const char *device_id,
                      const json_t *announced, discovery_emit emit, void *emit_context);
/** key -> platform of what discovery_device announces, to be persisted. New reference. */
json_t *discovery_announced(const struct device_description *device);

#endif
