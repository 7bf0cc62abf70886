/* SPDX-License-Identifier: MIT */
/**
 * The present state of the whole bridge, and who is informed when it changes.
 *
 * Producers (the devices at work, the history's notices, the log) write into the hub. Outputs (MQTT, the
 * web page, and so on) subscribe with a struct of callbacks and read the state from the hub when they
 * want it. No output knows another, and the hub includes none.
 *
 * The JSON documents that outputs publish are made here, so that MQTT and HTTP cannot differ.
 *
 * Loop thread only. Callbacks run inside the producer's call, except devices, info and health: those are
 * collected and delivered once per hub_flush. A callback may read the hub but must not change it, and must
 * not take longer than formatting one message does.
 */
#ifndef BRIDGE_HUB_HUB_H
#define BRIDGE_HUB_HUB_H

#include "bridge/device/properties.h"
#include "bridge/hub/messages.h"
#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HUB_OUTPUTS_MAX 16
/** Bytes that hold the state of any device: 26 channels with some room. */
#define HUB_STATE_SIZE 32768

struct hub;
struct
    hub_device; /**< one device in the hub; valid from device_added until device_removed returns */

/** Why a state is reported, in the order of their urgency. */
enum hub_reason {
    HUB_READING_PART, /**< a new reading, while other channels of the same round are awaited */
    HUB_READING,      /**< a new reading, and the round over all online channels is complete */
    HUB_TOTALS,       /**< a commit moved a published total: to be published within a second */
    HUB_URGENT, /**< availability, a setting, a problem or an alarm changed: publish at once */
};

/** What an output wants to be informed of. Members may be NULL. */
struct hub_output {
    void *context; /**< also identifies the output for hub_unsubscribe */
    /** The state of a device was written; hub_device_state and hub_state_json have it. Called with each
     *  reading: an output that has a pace of its own keeps it here. */
    void (*state)(void *context, struct hub_device *device, enum hub_reason reason);
    /** The device went online or offline, or was enabled or disabled. A state follows (HUB_URGENT). */
    void (*availability)(void *context, struct hub_device *device);
    /** The device is now in the hub; its first state may be all unknown. Also called for every device that
     *  is there already when an output subscribes. */
    void (*device_added)(void *context, struct hub_device *device);
    /** Its description was changed in place: name, channels, retain. devices follows. */
    void (*device_changed)(void *context, struct hub_device *device);
    /** The device leaves. It can be read for the last time, and not be found any more. */
    void (*device_removed)(void *context, struct hub_device *device);
    /** hub_devices_json has changed. By hub_flush. */
    void (*devices)(void *context);
    /** Something happened, on a device or on the bridge itself. */
    void (*event)(void *context, const struct message_event *event);
    /** A line of the log, level warning, info or error; debug lines are not passed on. */
    void (*log)(void *context, enum log_level level, const char *message);
    /** hub_job_json has changed: what a long job on a module does. */
    void (*job)(void *context, const char *json);
    /** hub_health_json has changed in more than its counters, or a minute has passed. By hub_flush. */
    void (*health)(void *context);
    /** hub_info_json has changed: configuration, log level, restart_required. By hub_flush. */
    void (*info)(void *context);
};

/** Where the hub gets what only the whole bridge knows, at the moment a document is made. */
struct hub_sources {
    void *context;
    /** Fills everything but devices and device_count; texts stay valid until the next call. */
    void (*health)(void *context, struct message_health *health);
    /** The counters of one device; owner is that of hub_add. */
    void (*device_health)(void *context, void *owner, struct message_device_health *health);
    /** config is a new reference, which the hub releases; the rest is borrowed. */
    void (*info)(void *context, struct message_info *info, json_t **config);
};

/** wake is called when hub_flush has something to deliver; it may be called often. */
struct hub *hub_create(void (*wake)(void *context), void *context);
/** The outputs are not called any more. NULL is allowed. */
void hub_free(struct hub *hub);
void hub_set_sources(struct hub *hub, const struct hub_sources *sources);

/* ---- for outputs ---- */

/** Copies output, then calls its device_added for each device, and devices, info and health with the next
 *  hub_flush. False if there are HUB_OUTPUTS_MAX already. */
bool hub_subscribe(struct hub *hub, const struct hub_output *output);
/** Allowed inside a callback. */
void hub_unsubscribe(struct hub *hub, const void *context);

size_t hub_device_count(const struct hub *hub);
/** In the order of bridge/devices. index < hub_device_count. */
struct hub_device *hub_device_at(const struct hub *hub, size_t index);
/** NULL if there is none with that id. */
struct hub_device *hub_find(const struct hub *hub, const char *id);

/** The device that a word means: its id, or else the name that no other device has. NULL if there is none,
 *  or, with *error filled, if several have that name. */
struct hub_device *hub_find_named(const struct hub *hub, const char *word, struct error *error);

/** The nominal voltage of a device's mains; 0: not known, or no such device. id may be NULL. */
int64_t hub_nominal_mv(const struct hub *hub, const char *id);

/** Borrowed; its texts live as long as the device is in the hub. */
const struct device_description *hub_device_description(const struct hub_device *device);
/** Borrowed, until the next state of this device. Never NULL: all unknown before the first reading. */
const struct device_state *hub_device_state(const struct hub_device *device);
/** Small, and of no other device at the same time: for outputs that keep something about each device in an
 *  array. The lowest free one is taken, so it is less than the most devices there ever were at a time. */
size_t hub_device_number(const struct hub_device *device);
bool hub_device_online(const struct hub_device *device);

/** The whole state of a device as one JSON object, appended to text (HUB_STATE_SIZE is enough): the payload
 *  of <base>/<device>. False, with text.cut set, if it did not fit. */
bool hub_state_json(const struct hub_device *device, struct text *text);
/** The documents bridge/devices, bridge/health, bridge/info and the one of an event, as text to be freed;
 *  NULL if memory is out. hub_event_json is the payload of bridge/event, hub_log_json of bridge/logging. */
char *hub_devices_json(const struct hub *hub);
char *hub_health_json(struct hub *hub);
char *hub_info_json(struct hub *hub);
char *hub_event_json(const struct message_event *event);
char *hub_log_json(enum log_level level, const char *message);
/** The job on a module that runs, or ran last; "null": none since the start. Borrowed until the next hub_job. */
const char *hub_job_json(const struct hub *hub);
/** MESSAGE_ONLINE or MESSAGE_OFFLINE: the payload of <base>/<device>/availability. Static. */
const char *hub_availability_json(const struct hub_device *device);

/* ---- for producers ---- */

/** description is borrowed until hub_remove. owner comes back in hub_sources.device_health. */
struct hub_device *hub_add(struct hub *hub, const struct device_description *description,
                           void *owner);
void hub_remove(struct hub *hub, struct hub_device *device);
/** The owner given to hub_add. */
void *hub_device_owner(const struct hub_device *device);
/** The description was changed in place. If it has another number of channels, the state is all unknown
 *  again until the next hub_state. */
void hub_described(struct hub *hub, struct hub_device *device);

/** Copies state, values included. */
void hub_state(struct hub *hub, struct hub_device *device, const struct device_state *state,
               enum hub_reason reason);
/** Reports edges only. */
void hub_availability(struct hub *hub, struct hub_device *device, bool online);
void hub_set_disabled(struct hub *hub, struct hub_device *device, bool disabled);

/** Health is reported with the next hub_flush as well: most events are about it. */
void hub_event(struct hub *hub, const struct message_event *event);
/** json is copied. */
void hub_job(struct hub *hub, const char *json);
void hub_log(struct hub *hub, enum log_level level, const char *message);
void hub_health_changed(struct hub *hub);
void hub_info_changed(struct hub *hub);

/** Delivers what was collected: devices, info, health. To be called when wake was, and after a batch. */
void hub_flush(struct hub *hub);

#endif
