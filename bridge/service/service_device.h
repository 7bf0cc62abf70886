/* SPDX-License-Identifier: MIT */
/**
 * One device at work: takes its channels' readings through the meter into the history, and keeps its state
 * and availability in the hub. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_SERVICE_DEVICE_H
#define BRIDGE_SERVICE_SERVICE_DEVICE_H

#include "bridge/config/config.h"
#include "bridge/device/properties.h"
#include "bridge/history/history.h"
#include "bridge/hub/hub.h"
#include "bridge/meter/tariff.h"
#include "bridge/service/preferences.h"
#include "drivers/driver.h"

struct service_device;

/** What all devices share; borrowed. */
struct service_outputs {
    struct history *history;
    struct hub *hub;
    struct preferences *preferences;
    struct log *log;
    struct event_gate *events; /**< bounds how many events input can cause */
    const char *boot_id;
    struct past_reader *pasts;
    struct tariffs *const *tariffs; /**< where those in force are kept */
    const struct intervals *market; /**< prices that tariffs may follow */
    bool updates; /**< there is a folder of firmware: OpenBeken modules can be updated */
    /** Counters of a channel (by its index in the device), for frame_errors and health; source is that of
     *  service_device_set_source. */
    bool (*statistics)(void *context, size_t source, size_t channel,
                       struct driver_statistics *statistics);
    /** A channel's totals were set or recalibrated by so much. */
    void (*shifted)(void *context, const struct service_device *device, size_t channel,
                    int64_t imported_uwh, int64_t exported_uwh);
    void *context;
};

struct event_gate;
struct past_reader;

/** Registers the channels with the history, loads their totals, and adds the device to the hub.
 *  config and outputs are borrowed and must outlive the device. */
enum status service_device_create(const struct config_device *config,
                                  const struct service_outputs *outputs,
                                  struct service_device **device, struct error *error);
/** Removes it from the hub as well. NULL is allowed. */
void service_device_free(struct service_device *device);

/** The same device with an equal configuration at another place: what is at work stays untouched. */
void service_device_rebind(struct service_device *device, const struct config_device *config);
/** ... with another name, or other settings that are taken over while everything goes on. */
void service_device_changed(struct service_device *device, const struct config_device *config);
/** ... with other channels, calibrations or limits: meters begin anew from what the history knows, totals and
 *  availability stay. After an error the device is as it was. config is borrowed as in create. */
enum status service_device_reconfigure(struct service_device *device,
                                       const struct config_device *config, struct error *error);

/** Prices of the past are others. */
void service_device_repriced(struct service_device *device);
/** Other tariffs are in force: outputs->tariffs has them. */
void service_device_tariffs_changed(struct service_device *device);

#define DEVICE_NO_SOURCE SIZE_MAX
/** The number that the sources know it by; DEVICE_NO_SOURCE: it is not read. */
size_t service_device_source(const struct service_device *device);
void service_device_set_source(struct service_device *device, size_t source);

const struct config_device *service_device_config(const struct service_device *device);
/** What is known of the module itself; "" unknown. The hub's description has it. */
void service_device_set_facts(struct service_device *device, const char *version, const char *url);

struct hub_device *service_device_in_hub(const struct service_device *device);

void service_device_reading(struct service_device *device, size_t channel,
                            const struct reading *reading);
void service_device_availability(struct service_device *device, size_t channel, bool online,
                                 const char *reason);
void service_device_driver_event(struct service_device *device, size_t channel,
                                 enum driver_event event, const char *message);

/** The latest values of a channel, with the totals as counted. Borrowed. */
const struct channel_values *service_device_values(const struct service_device *device,
                                                   size_t channel);

/* ---- of a virtual device: its channels are sums of others, their members ---- */

/** A member of a channel has this reading and these values, with its totals as counted. */
void service_device_member(struct service_device *device, size_t channel, size_t member,
                           const struct reading *reading, const struct channel_values *values);
/** A member does not answer, so the channel waits; waits_for names it. */
void service_device_member_lost(struct service_device *device, size_t channel, size_t member,
                                const char *waits_for);
/** A member's totals were set or recalibrated by so much. */
void service_device_member_shifted(struct service_device *device, size_t channel, size_t member,
                                   int64_t imported_uwh, int64_t exported_uwh);

/** Its readings end here (a stop, a removal): what is under way goes on record. */
void service_device_readings_end(struct service_device *device);
/** About once a second: lets short-lived problems fade. */
void service_device_tick(struct service_device *device);

/** Totals have reached the disk, with the readings that they count (committed) or ahead of them: those that moved
 *  by it are reported to the hub. */
void service_device_stored(struct service_device *device, bool committed);

/** Holds at once, and over a restart: in the preferences until bridge.yaml has it. */
enum status service_device_set_report_interval(struct service_device *device, int64_t interval_ms,
                                               struct error *error);
/** What was set on the device was written to bridge.yaml and holds, or could not be. */
void service_device_written(struct service_device *device, bool written);
/** *_uwh < 0 leaves that total alone. */
enum status service_device_set_totals(struct service_device *device, const char *channel,
                                      int64_t imported_uwh, int64_t exported_uwh,
                                      struct error *error);

/** From now on the channel is measured with these factors, after a restart too unless the
 *  configuration changes; the totals go on from where they are. Factors that are 0 stay as they are
 *  and are filled in. Factors that contradict each other are refused unless forced. */
enum status service_device_set_calibration(struct service_device *device, const char *channel,
                                           struct calibration *factors, bool force,
                                           int64_t *valid_from_ms, struct error *error);

/** What is known of its firmware has changed. */
void service_device_set_update(struct service_device *device, const struct device_update *update);
/** The past of one of its channels was recalibrated, or (undone) that was taken back. False if the
 *  history's number is none of them. */
bool service_device_recalibrated(struct service_device *device,
                                 const struct history_recalibrated *done, bool undone);

/** What the source of each channel delivered last, before any calibration, and how its line does: the answer of
 *  device/raw. New reference. */
json_t *service_device_raw(const struct service_device *device);

/** The device's line in bridge/health. */
void service_device_health(const struct service_device *device,
                           struct message_device_health *health);

#endif
