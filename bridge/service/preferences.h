/* SPDX-License-Identifier: MIT */
/**
 * What is to be found again after a restart but is no measurement (a report interval that bridge.yaml does not have yet, alarms that
 * are on, which channels a device had), as a small JSON file in the data directory. Written at once, atomically, on a thread of
 * its own, so that the caller never waits for the disk. A file that is damaged or cannot be written is
 * reported and done without: these are comforts, never measurements.
 */
#ifndef BRIDGE_SERVICE_PREFERENCES_H
#define BRIDGE_SERVICE_PREFERENCES_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct preferences;

struct preferences *preferences_open(const char *path, struct log *log);
/** Whether there was no file, or none that could be read. */
bool preferences_are_new(const struct preferences *preferences);
/** Waits 2 s at most for a disk that is still writing. */
void preferences_close(struct preferences *preferences);

/** From now on changes are only noted; preferences_release writes them, once for all. For a change of many
 *  devices at a time. */
void preferences_hold(struct preferences *preferences);
void preferences_release(struct preferences *preferences);

/** The stored report interval of a device, or otherwise. */
int64_t preferences_report_interval_ms(const struct preferences *preferences, const char *device,
                                       int64_t otherwise);
/** Holds at once; a failure to write it comes later, in the log. */
enum status preferences_set_report_interval_ms(struct preferences *preferences, const char *device,
                                               int64_t interval_ms, struct error *error);
/** From now on the configuration's holds. */
void preferences_forget_report_interval(struct preferences *preferences, const char *device);

/** What was stored of a device under that key. Borrowed until the next put; NULL: nothing. */
const json_t *preferences_get(const struct preferences *preferences, const char *device,
                              const char *key);
/** Takes the reference to value. As preferences_set_report_interval_ms. */
enum status preferences_put(struct preferences *preferences, const char *device, const char *key,
                            json_t *value, struct error *error);

/** Whether another device than that has this text under the key. */
bool preferences_other_has(const struct preferences *preferences, const char *device,
                           const char *key, const char *text);
/** All that is stored of a device is stored of another one from now on; nothing may be stored of that. */
void preferences_rename(struct preferences *preferences, const char *from, const char *to);
/** That key is not stored any more. */
void preferences_forget(struct preferences *preferences, const char *device, const char *key);

#endif
