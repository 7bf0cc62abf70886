/* SPDX-License-Identifier: MIT */
/**
 * The memory of what was announced: a small JSON file, replaced as a whole (written beside, synced,
 * renamed) so that a power cut leaves the old or the new one.
 *
 * {"version":1,"devices":[{"bridge":"home","device":"house","prefix":"homeassistant",
 *   "mode":"device","components":{"power":"sensor",...}}, ...]}
 *
 * device: as Home Assistant knows it. A device that has another id now has that as "id", too.
 */
#ifndef BRIDGE_MQTT_ANNOUNCED_H
#define BRIDGE_MQTT_ANNOUNCED_H

#include "drivers/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** Reads the records (a new array of objects in the form above, every field checked). No file: an
 *  empty array. A damaged file: STATUS_FAILED, and an empty array all the same; it has been renamed
 *  to path.damaged. */
enum status announced_load(const char *path, json_t **records, struct error *error);

/** The file's text, to be freed; and the writing of it, which waits for the disk: not for the loop. */
char *announced_format(const json_t *records);
enum status announced_write(const char *path, const char *text, struct error *error);

/** What a discovery message of a device announces: key -> platform, without the components that it
 *  takes back. For the message that the broker kept from an earlier run, so wary: NULL if it is not one
 *  of ours. New reference. */
json_t *announced_in_message(const char *payload, size_t length);

/** One record; the components are copied. New reference. */
json_t *announced_record(const char *bridge_id, const char *device_id, const char *prefix,
                         bool device_mode, const json_t *components);

#endif
