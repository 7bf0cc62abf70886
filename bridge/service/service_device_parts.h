/* SPDX-License-Identifier: MIT */
/** A device at work from the inside, for the files that make it up: service_device.c (readings and state),
 *  service_device_life.c (making, changing, ending), service_device_set.c (what users set). */
#ifndef BRIDGE_SERVICE_SERVICE_DEVICE_PARTS_H
#define BRIDGE_SERVICE_SERVICE_DEVICE_PARTS_H

#include "bridge/meter/virtual.h"
#include "bridge/meter/voltage.h"
#include "bridge/service/device_alarms.h"
#include "bridge/service/device_periods.h"
#include "bridge/service/device_totals.h"
#include "bridge/service/first_id.h"
#include "bridge/service/service_device.h"
#include "bridge/service/totals.h"

struct service_channel {
    const struct config_channel *config;
    struct meter *meter;
    struct virtual_sum *sum; /* NULL unless the device is virtual: then it counts, not the meter */
    unsigned history_number;
    bool online;
    bool reported;          /* the driver has reported whether it is online */
    bool fresh;             /* has a reading in this round */
    int64_t noisy_until_ms; /* boot clock */
    struct voltage_watch voltage;
    unsigned problems;   /* the meter's, as of the last reading */
    struct reading last; /* as measured; wall_ms 0: none yet */
    struct totals totals;
    int64_t logged_ms;      /* boot clock: when its last reading was in the log */
    int64_t flush_after_ms; /* boot clock: not before, the disk is asked to flush again */
};

struct service_device {
    const struct config_device *config;
    const struct service_outputs *outputs;
    struct hub_device *in_hub;
    struct device_description description;
    char model[64];
    char first_id[FIRST_ID_SIZE];
    const char **channel_names, **channel_labels;
    struct device_entity *entities; /* what is announced otherwise */
    char currency[TARIFF_CURRENCY_SIZE];
    struct device_publishing publishing;
    struct device_alarms *alarms;
    struct device_periods *periods;
    struct device_totals own_totals;
    struct service_channel *channels;
    struct channel_values *values; /* as measured now: the meter's own totals */
    struct channel_values *shown;  /* ... with the totals that may be published */
    int64_t report_interval_ms;
    bool unwritten; /* it was set, and is on its way into bridge.yaml */
    int64_t last_seen_wall_ms;
    bool online;
    size_t source; /* its number towards the sources; DEVICE_NO_SOURCE: it is not read */
    struct device_update update;
    char version[40], url[300]; /* of a module's firmware and page; "" unknown */
};

enum reading_kind service_device_kind(const struct config_device *config);

/** What counts for a channel, and is to be stored. */
const struct energy_state *service_device_state(const struct service_channel *channel);
/** Values as of the last reading; of a sum that waits for a member only the totals. */
void service_device_read_values(const struct service_channel *channel, bool stale,
                                struct channel_values *values);

/** Writes the state into the hub. A problem that begins or ends is urgent, and a total that was committed is
 *  to be published soon. */
void service_device_put_state(struct service_device *device, enum hub_reason reason);
/* service_device_voltage.c: sags, swells and interruptions. */
void service_device_voltage(const struct service_device *device, struct service_channel *channel,
                            const struct reading *reading, const struct channel_values *values);
/** Readings end: an event that is under way goes on record as far as it was seen. */
void service_device_voltage_end(const struct service_device *device,
                                struct service_channel *channel);
/** The chip has restarted, or answers again: what it shows does not count for a moment. */
void service_device_voltage_pause(const struct service_device *device,
                                  struct service_channel *channel);

/** An event about a channel: on record and in the hub. */
void service_device_report(const struct service_device *device,
                           const struct service_channel *channel, const char *kind,
                           const char *words);
/** A line about a channel. A source can repeat what it is about as often as it likes. */
void service_device_log(const struct service_device *device, const struct service_channel *channel,
                        enum log_level level, const char *kind, const char *message);

#endif
