/* SPDX-License-Identifier: MIT */
/**
 * What users set through MQTT and expect to find again after a restart (so far: a device's report
 * interval), as a small JSON file in the data directory. Written at once, atomically. A damaged
 * file is reported and treated as empty: these are comforts, never measurements.
 */
#ifndef BRIDGE_SERVICE_SETTINGS_H
#define BRIDGE_SERVICE_SETTINGS_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct settings;

struct settings *settings_open(const char *path, struct log *log);
void settings_close(struct settings *settings);

/** The stored report interval of a device, or otherwise. */
int64_t settings_report_interval_ms(const struct settings *settings, const char *device,
                                    int64_t otherwise);
enum status settings_set_report_interval_ms(struct settings *settings, const char *device,
                                            int64_t interval_ms, struct error *error);

#endif
