/* SPDX-License-Identifier: MIT */
/**
 * The one table of properties: name, unit, decimals, what Home Assistant should make of it, and where
 * its value comes from. State messages, exposes, Home Assistant discovery, the web view and the
 * reference in docs/mqtt.md are all derived from it. Names follow the two-channel clamp meters that
 * Zigbee2MQTT knows: no suffix for a one-channel device, _a _b ... otherwise, none for the sum.
 *
 * Names, units, device classes and state classes are frozen from the first release on: Home
 * Assistant's long-term statistics hang on them.
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
    const char *id;           /**< [a-zA-Z0-9_-]: part of topics and of Home Assistant's ids */
    const char *name;         /**< for people */
    const char *driver;       /**< "bl0942" */
    const char *manufacturer; /**< NULL or "": unknown */
    const char *model;        /**< likewise */
    size_t channel_count;     /**< 1..DEVICE_CHANNELS_MAX */
    const char *const *channel_names; /**< [a-z0-9]{1,8} each */
    bool retain;
    bool homeassistant;
    int64_t interval_ms; /**< how often its source is read; 0: unknown */
    bool updatable;      /**< its firmware can be updated: has the property `update` */
};

/** About a device's firmware. */
struct device_update {
    char installed[40]; /**< version: letters, digits and ._+- only; "" unknown */
    char latest[40];    /**< that can be installed; what is installed if there is nothing newer */
    bool in_progress;
    int percentage; /**< -1: unknown */
};

/** What changes with each reading. */
struct device_state {
    const struct channel_values *channels; /**< channel_count of them */
    int64_t last_seen_wall_ms;             /**< 0: never */
    uint64_t frame_errors;
    unsigned problems; /**< OR over the channels */
    int64_t report_interval_ms;
    struct device_update update;
};

enum property_scope {
    PROPERTY_CHANNEL,         /**< one per channel */
    PROPERTY_CHANNEL_AND_SUM, /**< one per channel, and with several channels also their sum */
    PROPERTY_DEVICE,          /**< one per device */
};

enum property_platform {
    PLATFORM_SENSOR,
    PLATFORM_BINARY_SENSOR,
    PLATFORM_NUMBER,
    PLATFORM_UPDATE
};

/** Which value of struct channel_values or device_state a property shows. */
enum property_source {
    SOURCE_VOLTAGE,
    SOURCE_CURRENT,
    SOURCE_POWER,
    SOURCE_POWER_APPARENT,
    SOURCE_POWER_REACTIVE,
    SOURCE_POWER_FACTOR,
    SOURCE_FREQUENCY,
    SOURCE_ENERGY,
    SOURCE_ENERGY_PRODUCED,
    SOURCE_ENERGY_FLOW,
    SOURCE_LAST_SEEN,
    SOURCE_FRAME_ERRORS,
    SOURCE_PROBLEMS,
    SOURCE_REPORT_INTERVAL,
    SOURCE_UPDATE,
};

#define PROPERTY_OPTIONS_MAX 4

struct property {
    const char *name;
    const char *label; /**< for people: "Power" */
    const char *description;
    enum property_source source;
    enum property_scope scope;
    enum property_platform platform;
    const char *unit; /**< NULL: none */
    unsigned decimals;
    const char *device_class; /**< Home Assistant's, NULL: none */
    const char *state_class;  /**< NULL: none */
    const char *icon;         /**< NULL: what Home Assistant has for the class */
    bool diagnostic;
    bool enabled;            /**< enabled by default in Home Assistant */
    bool settable;           /**< through <base>/<device>/set */
    int64_t low, high, step; /**< of what can be set, in unit; 0 when not settable */
    const char *options[PROPERTY_OPTIONS_MAX]; /**< the words of an enum, NULL-terminated */
};

/** Bytes of the longest property key with its NUL: "power_apparent_" and eight more, and room. */
#define PROPERTY_KEY_SIZE 48

extern const struct property properties[];
extern const size_t property_count;

/** "sensor", "binary_sensor", "number", "update": Home Assistant's words. */
const char *property_platform_name(enum property_platform platform);

/** The settable or readable property of that name, NULL if there is none. */
const struct property *property_find(const char *name);

/** "power_a"; channel -1 for the sum or a device property. False if it does not fit. */
bool property_key(const struct property *property, const struct device_description *device,
                  int channel, char *key, size_t size);

/** "Power A", "Power total", "Last seen": the property's name for people. Cut if it does not fit. */
void property_label(const struct property *property, const struct device_description *device,
                    int channel, char *label, size_t size);

/** Calls visit for every (property, channel) a device exposes, in table order; channel -1: none. */
typedef void (*property_visitor)(void *context, const struct property *property, int channel,
                                 const char *key);
void properties_visit(const struct device_description *device, property_visitor visit,
                      void *context);

/**
 * Appends the whole state as one JSON object: every announced key, null for unknown. Energy is
 * rounded down, so that a published total never exceeds what was counted, and a sum is rounded after
 * adding; it is unknown as soon as one channel's part is.
 */
void device_state_json(const struct device_description *device, const struct device_state *state,
                       struct text *text);

#endif
