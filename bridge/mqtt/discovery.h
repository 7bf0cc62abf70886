/* SPDX-License-Identifier: MIT */
/**
 * Home Assistant's MQTT discovery payloads. Pure: text from descriptions. The rules it obeys and why:
 * docs/homeassistant.md.
 *
 * Every device has an object id, "bl2mqtt_<bridge id>_<discovery id>". It is the device's identifier,
 * the prefix of its unique_ids and part of its discovery topics, and depends on nothing that a user
 * renames: the discovery id is the first id that the device had. device_id below means that one. The bridge
 * itself is the device with the id "bridge".
 */
#ifndef BRIDGE_MQTT_DISCOVERY_H
#define BRIDGE_MQTT_DISCOVERY_H

#include "bridge/device/properties.h"

#include <jansson.h>

/** The device id that stands for the bridge itself; no configured device may have it. */
#define DISCOVERY_BRIDGE_DEVICE "bridge"

struct discovery_context {
    const char *base_topic;
    const char *bridge_id;
    const char *prefix; /**< discovery_prefix */
    const char *version;
    bool device_mode;     /**< false: one message per component */
    const char *currency; /**< of the tariffs; NULL or "": none, so no price */
    bool co2;             /**< CO2 intensities are configured */
};

/** The id in a device's discovery topics. */
const char *discovery_id(const struct device_description *device);

/** One retained message: topic and JSON payload ("" to clear). Both borrowed. */
typedef void (*discovery_emit)(void *context, const char *topic, const char *payload);

/** The device's discovery message(s). removed: keys (key -> platform) announced earlier that are no
 *  longer exposed and must be taken back; NULL for none. In device mode they are named with their
 *  platform alone, which makes Home Assistant drop them; the message without them must follow. In
 *  component mode their topics are cleared. */
void discovery_device(const struct discovery_context *context,
                      const struct device_description *device, const json_t *removed,
                      discovery_emit emit, void *emit_context);
/** The bridge's own device: connectivity, version, problems; restart, backup, log level, search; price and CO2
 *  intensity. */
void discovery_bridge(const struct discovery_context *context, const json_t *removed,
                      discovery_emit emit, void *emit_context);
/** Clears everything of a device that is gone; announced: key -> platform as once announced. */
void discovery_remove(const struct discovery_context *context, const char *device_id,
                      const json_t *announced, discovery_emit emit, void *emit_context);
/** On the topics that discovery_remove would clear: Home Assistant (2024.11 and later) lets go of
 *  the entities there but keeps their settings, so that the other mode's message can take them over. */
void discovery_migrate(const struct discovery_context *context, const char *device_id,
                       const json_t *announced, discovery_emit emit, void *emit_context);
/** key -> platform of what discovery_device announces, to be persisted. New reference. */
json_t *discovery_announced(const struct device_description *device);
/** The same for discovery_bridge. */
json_t *discovery_bridge_announced(const struct discovery_context *context);

/** Longest topic built here; a longer one (an absurd prefix) is cut and so never matches. */
#define DISCOVERY_TOPIC_SIZE 512

/** Writes the filter that matches exactly the device's discovery topics in this mode. */
void discovery_filter(const struct discovery_context *context, const char *device_id, char *filter,
                      size_t size);
#define DISCOVERY_DEVICE_ID_SIZE 65 /**< ids in bridge.yaml are shorter */

/**
 * True if topic has the form of a discovery topic of one of this bridge's devices in this mode, whether
 * there is such a device or not. key then holds the component's key in component mode and is "" in device
 * mode.
 */
bool discovery_topic_read(const struct discovery_context *context, const char *topic,
                          char device_id[DISCOVERY_DEVICE_ID_SIZE], char *key, size_t key_size);
/** The same for one device. */
bool discovery_topic_matches(const struct discovery_context *context, const char *device_id,
                             const char *topic, char *key, size_t key_size);

#endif
