/* SPDX-License-Identifier: MIT */
/**
 * The alarms of one device: evaluates its conditions with every state, reports each change as an event, and
 * keeps what is on over a restart (preferences.h). Loop thread only.
 */
#ifndef BRIDGE_SERVICE_DEVICE_ALARMS_H
#define BRIDGE_SERVICE_DEVICE_ALARMS_H

#include "bridge/config/config.h"
#include "bridge/device/properties.h"
#include "bridge/service/preferences.h"

struct device_alarms;

/** What an alarm did: for bridge/event, the history's events and the log. */
typedef void (*device_alarm_report)(void *context, const char *alarm, bool began,
                                    const char *message);

/** config, preferences and log are borrowed. A condition that cannot be read is an error in the log, and its
 *  alarm stays unknown. */
struct device_alarms *device_alarms_create(const struct config_device *config,
                                           struct preferences *preferences, struct log *log);
void device_alarms_free(struct device_alarms *alarms);

/** The names in order, for the description. Borrowed. */
const char *const *device_alarms_names(const struct device_alarms *alarms, size_t *count);

/** Fills in state->alarms from the rest of the state; true if one changed. boot_ms: now. */
bool device_alarms_update(struct device_alarms *alarms,
                          const struct device_description *description, struct device_state *state,
                          int64_t boot_ms, device_alarm_report report, void *context);

/** Whether a hold time is over by time alone: the state is to be evaluated again. */
bool device_alarms_due(const struct device_alarms *alarms, int64_t boot_ms);

#endif
