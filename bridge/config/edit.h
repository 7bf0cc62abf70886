/* SPDX-License-Identifier: MIT */
/**
 * Changes to the text of bridge.yaml that leave everything else as the person wrote it: comments,
 * order, blank lines, quotes, line endings and `!secret`s. Pure: text in, text out.
 *
 *  - A changed value changes its own text and keeps what stands behind it on the line.
 *  - A new key becomes a line at the end of its block; missing groups are added with it.
 *  - A key that is set to null goes away with its lines.
 *  - Lists are compared with what is there, so that an element that stays is not touched.
 *  - A value that equals what is there changes nothing.
 *  - A value tagged `!secret` is never replaced; that is STATUS_REFUSED.
 *
 * The result is not judged: parse it with config_parse before it is kept. A file of thousands of
 * devices takes tens of milliseconds, so the event loop hands this to a worker thread.
 *
 * All functions return STATUS_OK with *result, a new NUL-terminated text to be freed, or an error
 * with a sentence: STATUS_USAGE if the text is no YAML or the place does not exist.
 */
#ifndef BRIDGE_CONFIG_EDIT_H
#define BRIDGE_CONFIG_EDIT_H

#include "drivers/base/status.h"

#include <jansson.h>
#include <stddef.h>

/** Stands for a secret in what is shown to people; a client that sends it back changes nothing. */
#define CONFIG_EDIT_REDACTED "********"

/**
 * Merges a piece of bridge.yaml: {"bridge": {"log_level": "debug"}}. Groups are merged key by key.
 * `devices` may be a list of devices with their ids, or an object with the ids as keys; devices
 * that are not named stay, and those that do not exist yet are STATUS_USAGE.
 * device: NULL for the whole file, or the id of the device that options is a piece of.
 */
enum status config_edit_options(const char *text, const char *device, json_t *options,
                                char **result, struct error *error);

/** Adds a device, an object as in bridge.yaml, at the end of the list `devices`, which is made if it
 *  is missing. STATUS_USAGE if a device with that id is there. */
enum status config_edit_add_device(const char *text, json_t *device, char **result,
                                   struct error *error);

/** Removes a device with its lines. STATUS_NO_ANSWER if the file does not have it. */
enum status config_edit_remove_device(const char *text, const char *id, char **result,
                                      struct error *error);

#endif
