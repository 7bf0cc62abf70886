/* SPDX-License-Identifier: MIT */
/**
 * What users set through MQTT and expect to find again after a restart (so far: a device's report
 * interval), as a small JSON file in the data directory. Written at once, atomically. A damaged
 * file is reported and treated as empty: these are comforts, never measurements.
 */
#ifndef BRIDGE_SERVICE_PREFERENCES_H
#define BRIDGE_SERVICE_PREFERENCES_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct preferences;

struct preferences *preferences_open(const char *path, struct log *log);
void preferences_close(struct preferences *preferences);

/** The stored report interval of a device, or otherwise. */
int64_t preferences_report_interval_ms(const struct preferences *preferences, const char *device,
                                       int64_t otherwise);
enum status preferences_set_report_interval_ms(struct preferences *preferences, const char *device,
                                               int64_t interval_ms, struct error *error);

#endif
