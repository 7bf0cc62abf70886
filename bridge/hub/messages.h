/* SPDX-License-Identifier: MIT */
/**
 * The bridge's own messages below <base>/bridge/, as JSON texts. Pure. Their shapes are fixed by the
 * JSON Schemas in schema/mqtt/ and described in docs/mqtt.md. All functions returning char * return
 * text to be freed.
 */
#ifndef BRIDGE_HUB_MESSAGES_H
#define BRIDGE_HUB_MESSAGES_H

#include "bridge/device/properties.h"
#include "drivers/base/log.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** bridge/state and <device>/availability. */
#define MESSAGE_ONLINE "{\"state\":\"online\"}"
#define MESSAGE_OFFLINE "{\"state\":\"offline\"}"

struct message_info {
    const char *version;
    const char *bridge_id;
    int64_t started_wall_ms;
    int64_t now_wall_ms;
    enum log_level log_level;
    /** The configuration as JSON; NULL: {}. Values of keys that name a secret (password, key,
     *  token...) are replaced by "***" here once more. */
    const json_t *config;
    const json_t *config_schema;  /**< JSON Schema of bridge.yaml; borrowed; NULL: {} */
    const json_t *request_schema; /**< JSON Schemas of the requests by name; likewise */
    bool restart_required;        /**< a changed setting holds only after a restart */
    bool permit_join;             /**< a search for modules is running */
};
char *message_bridge_info(const struct message_info *info);

struct message_device {
    const struct device_description *description;
    bool disabled;
};

/** NULL only if memory is out. An array: id, friendly_name, driver, manufacturer, model, channels,
 *  retain, homeassistant, disabled, exposes. */
char *message_bridge_devices(const struct message_device *devices, size_t count);

struct message_device_health {
    const char *id;
    bool online;
    uint64_t readings; /**< good ones since the service started */
    uint64_t frame_errors;
    int64_t last_seen_wall_ms; /**< 0: never */
    unsigned problems;         /**< enum meter_problem bits */
};

struct message_health {
    int64_t now_wall_ms;
    int64_t uptime_ms;
    int64_t memory_bytes; /**< resident */
    bool mqtt_connected;
    uint64_t mqtt_published, mqtt_received, mqtt_dropped, mqtt_reconnects;
    const char *const *problems; /**< sentences about the bridge itself (history, disk, ...) */
    size_t problem_count;
    size_t history_queued;    /**< readings that wait for the disk */
    uint64_t history_dropped; /**< readings that were not stored: too many, or too fast */
    int64_t history_late_ms;  /**< for how long a commit has been overdue; 0: it is on time */
    int64_t backup_wall_ms;   /**< of the last backup of the history; 0: none */
    const char *backup_file;  /**< "" then */
    int64_t backup_bytes;
    const struct message_device_health *devices;
    size_t device_count;
};
char *message_bridge_health(const struct message_health *health);

/** Something happened. All pointers are borrowed. */
struct message_event {
    const char *type;    /**< a stable word: "online", "chip_reset", "problem_began", ... */
    int64_t wall_ms;     /**< when it happened, milliseconds since 1970 */
    const char *device;  /**< id; NULL: about the bridge */
    const char *channel; /**< NULL: about the whole device */
    const char *message; /**< one sentence for people */
    const json_t *data;  /**< more, depending on the type; NULL: {} */
};
char *message_bridge_event(const struct message_event *event);

char *message_bridge_logging(enum log_level level, const char *message);

#endif
