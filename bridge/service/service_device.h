/* SPDX-License-Identifier: MIT */
/**
 * One device at work: takes its channels' readings through the meter into history and state, keeps
 * availability, and decides when the state is published. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_SERVICE_DEVICE_H
#define BRIDGE_SERVICE_SERVICE_DEVICE_H

#include "bridge/config/config.h"
#include "bridge/device/properties.h"
#include "bridge/history/history.h"
#include "bridge/hub/messages.h"
#include "bridge/mqtt/publisher.h"
#include "bridge/service/preferences.h"
#include "drivers/driver.h"

/** Where a device's results go; all borrowed, shared by all devices. */
struct service_outputs {
    struct history *history;
    struct publisher *publisher;
    struct preferences *preferences;
    struct log *log;
    const char *base_topic;
    const char *boot_id;
    struct event_gate *events; /**< bounds what is put on record */
    bool updates; /**< there is a folder of firmware: OpenBeken modules can be updated */
    /** An event for <base>/bridge/event; channel "" when it is about the whole device. */
    void (*event)(void *context, const char *kind, const char *device, const char *channel,
                  const char *message);
    /** Counters of a channel (by its number in the device), for frame_errors and health. */
    bool (*statistics)(void *context, const struct config_device *device, size_t channel,
                       struct driver_statistics *statistics);
    void *context;
};

struct service_device;
struct event_gate;

/** Registers the channels with the history and loads their totals.
 *  config and outputs are borrowed and must outlive the device. */
enum status service_device_create(const struct config_device *config,
                                  const struct service_outputs *outputs,
                                  struct service_device **device, struct error *error);
void service_device_free(struct service_device *device);

const struct config_device *service_device_config(const struct service_device *device);
const struct device_description *service_device_description(const struct service_device *device);

void service_device_reading(struct service_device *device, size_t channel,
                            const struct reading *reading);
void service_device_availability(struct service_device *device, size_t channel, bool online,
                                 const char *reason);
void service_device_driver_event(struct service_device *device, size_t channel,
                                 enum driver_event event, const char *message);

/** About once a second: publishes what is overdue, lets short-lived problems fade. */
void service_device_tick(struct service_device *device, int64_t boot_ms);

/** Availability and the full state, now. */
void service_device_publish(struct service_device *device);

/** The user's options; *_uwh < 0 leaves that total alone. */
enum status service_device_set_report_interval(struct service_device *device, int64_t interval_ms,
                                               struct error *error);
enum status service_device_set_totals(struct service_device *device, const char *channel,
                                      int64_t imported_uwh, int64_t exported_uwh,
                                      struct error *error);

/** From now on the channel is measured with these factors, after a restart too unless the
 *  configuration changes; the totals go on from where they are. Factors that are 0 stay as they are
 *  and are filled in. Factors that contradict each other are refused unless forced. */
enum status service_device_set_calibration(struct service_device *device, const char *channel,
                                           struct calibration *factors, bool force,
                                           int64_t *valid_from_ms, struct error *error);

/** What is known of its firmware has changed: published with the next state, at once if urgent. */
void service_device_set_update(struct service_device *device, const struct device_update *update,
                               bool urgent);
/** The past of one of its channels was recalibrated, or (undone) that was taken back. False if the
 *  history's number is none of them. */
bool service_device_recalibrated(struct service_device *device,
                                 const struct history_recalibrated *done, bool undone);

/** The device's line in bridge/health. */
void service_device_health(const struct service_device *device,
                           struct message_device_health *health);

#endif
