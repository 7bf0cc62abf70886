/* SPDX-License-Identifier: MIT */
/**
 * Single settings that come over MQTT, as often as somebody likes, on their way into bridge.yaml: what comes
 * within a second shares one change of the file. The changes themselves go the way of all changes
 * (settings.h). Loop thread only.
 */
#ifndef BRIDGE_SERVICE_WRITE_BACK_H
#define BRIDGE_SERVICE_WRITE_BACK_H

#include "bridge/service/settings.h"

struct write_back;

/** What became of a setting: after STATUS_OK it stands in the file. device: as given to write_back_put; options:
 *  all that was written with it for this device. Both borrowed. */
typedef void (*write_back_done)(void *context, const char *device, const json_t *options,
                                enum status status, const struct error *error);

struct write_back *write_back_create(uv_loop_t *loop, struct settings *settings);

/**
 * options (taken) is a piece of bridge.yaml, or of the block of one device (NULL: none). A later value of a key
 * replaces one that still waits. alone: the device has a file of its own (config_device.adopted). done is called
 * once for each different context; not at all if write_back_close comes first.
 */
void write_back_put(struct write_back *write_back, const char *device, bool alone, json_t *options,
                    write_back_done done, void *context);

/** What waits is dropped. After settings_close; frees itself in the loop's next turn. NULL is allowed. */
void write_back_close(struct write_back *write_back);

#endif
