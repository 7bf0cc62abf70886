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
#define DEVICE_ALARMS_MAX 16
#define DEVICE_PROBLEM_SIZE 256 /**< Home Assistant takes 255 characters */

/** What is announced otherwise of one entity. */
struct device_entity {
    const char *key;  /**< the property's */
    const char *name; /**< "": as usual, likewise icon */
    const char *icon;
    int enabled;  /**< -1: as usual, 0, 1 */
    int decimals; /**< to show; -1: as published */
};

/** What is fixed about a device while the service runs. All pointers are borrowed. */
struct device_description {
    const char *id;           /**< [a-zA-Z0-9_-]: part of topics and of Home Assistant's ids */
    const char *discovery_id; /**< what Home Assistant knows it by; NULL or "": id */
    const char *name;         /**< for people */
    const char *driver;       /**< "bl0942" */
    const char *manufacturer; /**< NULL or "": unknown */
    const char *model;        /**< likewise */
    const char *version;      /**< of its firmware; likewise */
    const char *url;          /**< of its own web page; likewise */
    size_t channel_count;     /**< 1..DEVICE_CHANNELS_MAX */
    const char *const *channel_names;  /**< [a-z0-9]{1,8} each */
    const char *const *channel_labels; /**< for people: "Solar"; NULL or "": the name in capitals */
    bool keeps_suffixes; /**< it once had several channels, and its keys keep their suffix */
    const char *const *alarm_names;             /**< [a-z0-9_-]{1,32} each */
    size_t alarm_count;                         /**< 0..DEVICE_ALARMS_MAX */
    const char *currency;                       /**< "EUR"; NULL or "": no tariff, so no costs */
    const struct device_publishing *publishing; /**< NULL: as usual for each property */
    bool retain;                                /**< of the state as one JSON object */
    bool retain_set;                            /**< what is configured, whatever the output */
    bool state_as_json, state_by_value;         /**< how the state is published by MQTT */
    bool homeassistant;
    const char *homeassistant_name; /**< the device's name there; NULL or "": name */
    const char *excluded; /**< keys without an entity, with commas between them; NULL or "": none */
    const struct device_entity *entities;
    size_t entity_count;
    int64_t nominal_mv;                       /**< of its mains; 0: unknown */
    int64_t interval_ms;                      /**< how often its source is read; 0: unknown */
    int64_t min_interval_ms, max_interval_ms; /**< between two states; 0: publish_policy.h's */
    bool updatable; /**< its firmware can be updated: has the property `update` */
};

enum alarm_state { ALARM_UNKNOWN, ALARM_OFF, ALARM_ON };

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
    unsigned problems;                      /**< OR over the channels */
    char problem_text[DEVICE_PROBLEM_SIZE]; /**< a sentence; "": none */
    enum alarm_state alarms[DEVICE_ALARMS_MAX];
    /** Accumulators of the device: what its channels counted, and no change of channels moves them.
     *  Unknown: the sum of the channels is shown. */
    struct amount energy_uwh, energy_produced_uwh;
    struct derived_values derived;                  /**< of the sum; with one channel its own */
    int64_t day_start_wall_ms, month_start_wall_ms; /**< of the running ones; 0: unknown */
    int64_t report_interval_ms; /**< 0: none, states are published when values move */
    struct device_update update;
};

enum property_scope {
    PROPERTY_CHANNEL,         /**< one per channel */
    PROPERTY_CHANNEL_AND_SUM, /**< one per channel, and with several channels also their sum */
    PROPERTY_DEVICE,          /**< one per device */
    PROPERTY_ALARM,           /**< one per alarm, whose index stands for the channel */
};

enum property_platform {
    PLATFORM_SENSOR,
    PLATFORM_BINARY_SENSOR,
    PLATFORM_NUMBER,
    PLATFORM_SELECT,
    PLATFORM_SWITCH,
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
    SOURCE_PROBLEM_TEXT,
    SOURCE_ALARM,
    SOURCE_ENERGY_TODAY,
    SOURCE_ENERGY_MONTH,
    SOURCE_PRODUCED_TODAY,
    SOURCE_PRODUCED_MONTH,
    SOURCE_COST_TODAY,
    SOURCE_COST_MONTH,
    SOURCE_DEMAND,
    SOURCE_DEMAND_MAX,
    SOURCE_DEMAND_MAX_TIME,
    SOURCE_DAY_START,
    SOURCE_MONTH_START,
    SOURCE_POWER_PRODUCED,
    SOURCE_OUTPUT,
    SOURCE_RETAIN,
    SOURCE_MIN_INTERVAL,
    SOURCE_MAX_INTERVAL,
};
#define PROPERTY_SOURCE_COUNT (SOURCE_MAX_INTERVAL + 1)

#define PROPERTY_NO_REASON INT64_MAX /**< a deadband: its changes are no reason to publish */

/** What the user wants otherwise for single properties. */
struct device_publishing {
    int64_t
        deadband_micro[PROPERTY_SOURCE_COUNT]; /**< millionths of the unit; negative: as usual */
    int decimals[PROPERTY_SOURCE_COUNT];       /**< negative: as usual */
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
    int64_t deadband_micro;     /**< a change up to it, in millionths of the unit, is held back */
    unsigned deadband_permille; /**< ... or up to this part of the value, if that is more */
    bool sum_apart;             /**< the sum is a value of the device, not added up from channels */
    const char *last_reset;     /**< the property that says since when it counts; NULL: none */
    const char *device_class;   /**< Home Assistant's, NULL: none */
    const char *state_class;    /**< NULL: none */
    const char *icon;           /**< NULL: what Home Assistant has for the class */
    bool diagnostic;
    bool enabled;  /**< enabled by default in Home Assistant */
    bool settable; /**< through <base>/<device>/set, and under its name in bridge.yaml */
    int64_t low_milli, high_milli, step_milli; /**< of a number that can be set, in thousandths */
    const char *options[PROPERTY_OPTIONS_MAX]; /**< the words of an enum, NULL-terminated */
    size_t options_offered;                    /**< in Home Assistant: so many of them; 0: all */
};

/** Bytes of the longest property key with its NUL: "power_apparent_" and eight more, and room. */
#define PROPERTY_KEY_SIZE 48

extern const struct property properties[];
extern const size_t property_count;

/** "sensor", "binary_sensor", "number", "select", ...: Home Assistant's words. */
const char *property_platform_name(enum property_platform platform);

/** The settable or readable property of that name, NULL if there is none. */
const struct property *property_find(const char *name);

/** The unit of a property of this device: a cost is in the tariff's currency. NULL: none. */
const char *property_unit(const struct property *property, const struct device_description *device);

/** Decimals as the user wants them, or those of the table. */
unsigned property_decimals(const struct property *property,
                           const struct device_description *device);

/** "power_a"; channel -1 for the sum or a device property. False if it does not fit. */
bool property_key(const struct property *property, const struct device_description *device,
                  int channel, char *key, size_t size);

/** "Power A", "Power total", "Last seen": the property's name for people. Cut if it does not fit. */
void property_label(const struct property *property, const struct device_description *device,
                    int channel, char *label, size_t size);

/** Calls visit for every (property, channel) a device exposes, in table order; channel -1: none, or the
 *  index of an alarm. */
typedef void (*property_visitor)(void *context, const struct property *property, int channel,
                                 const char *key);
void properties_visit(const struct device_description *device, property_visitor visit,
                      void *context);

/** Likewise for what has an entity in Home Assistant. */
void entities_visit(const struct device_description *device, property_visitor visit, void *context);
/** Likewise for what can be pressed there, which is no value of the state: reset_energy of each channel. */
void buttons_visit(const struct device_description *device, property_visitor visit, void *context);
/** What is to be different about an entity; NULL: nothing. */
const struct device_entity *device_entity_find(const struct device_description *device,
                                               const char *key);

#endif
