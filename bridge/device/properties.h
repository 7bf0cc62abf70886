/* SPDX-License-Identifier: MIT */
/**
 * The one table of properties: name, unit, decimals, what Home Assistant should make of it, and
 * where its value comes from. State messages, exposes, Home Assistant discovery, the web view and
 * the reference in docs/mqtt.md are all derived from it. Names follow the two-channel clamp meters
 * that Zigbee2MQTT knows: no suffix for a one-channel device, _a _b ... otherwise, none for the
 * sum.
 */
#ifndef BRIDGE_DEVICE_PROPERTIES_H
#define BRIDGE_DEVICE_PROPERTIES_H

#include "bridge/meter/meter.h"
#include "drivers/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_CHANNELS_MAX 26

/** What is fixed about a device while the service runs. All pointers are borrowed. */
struct device_description {
    const char *id;
    const char *name;
    const char *driver; /**< "bl0942" */
    const char *manufacturer;
    const char *model;
    size_t channel_count; /**< 1..DEVICE_CHANNELS_MAX */
    const char *const *channel_names;
    bool retain;
    bool homeassistant;
};

/** What changes with each reading. */
struct device_state {
    const struct channel_values *channels; /**< channel_count of them */
    int64_t last_seen_wall_ms;             /**< 0: never */
    uint64_t frame_errors;
    unsigned problems; /**< OR over the channels */
    int64_t report_interval_ms;
};

enum property_scope {
    PROPERTY_CHANNEL,         /**< one per channel */
    PROPERTY_CHANNEL_AND_SUM, /**< one per channel, and with several channels also their sum */
    PROPERTY_DEVICE,          /**< one per device */
};

enum property_platform { PLATFORM_SENSOR, PLATFORM_BINARY_SENSOR, PLATFORM_NUMBER };

struct property {
    const char *name;
    const char *label; /**< for people: "Power" */
    const char *description;
    enum property_scope scope;
    enum property_platform platform;
    const char *unit; /**< NULL: none */
    unsigned decimals;
    const char *device_class; /**< Home Assistant's, NULL: none */
    const char *state_class;  /**< NULL: none */
    bool diagnostic;
    bool enabled;  /**< enabled by default in Home Assistant */
    bool settable; /**< through <base>/<device>/set */
    /* How properties.c finds and prints the value; see there. */
    int source;
};

extern const struct property properties[];
extern const size_t property_count;

/** "power_a"; channel -1 for the sum or a device property. False if it does not fit. */
bool property_key(const struct property *property, const struct device_description *device,
                  int channel, char *key, size_t size);

/** Calls visit for every (property, channel) a device exposes, in table order; channel -1: none. */
typedef void (*property_visitor)(void *context, const struct property *property, int channel,
                                 const char *key);
void properties_visit(const struct device_description *device, property_visitor visit,
                      void *context);

/** Appends the whole state as one JSON object: every announced key, null for unknown. */
void device_state_json(const struct device_description *device, const struct device_state *state,
                       struct text *text);

#endif
