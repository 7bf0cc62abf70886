/* SPDX-License-Identifier: MIT */
/**
 * The drivers at work: one for each serial line, simulated channel and device on MQTT, and one for all
 * OpenBeken modules. Devices come and go one by one; chips that share a port share a line, so only the lines
 * of the device that comes or goes are opened anew. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_SOURCES_H
#define BRIDGE_SERVICE_SOURCES_H

#include "bridge/config/config.h"
#include "bridge/mqtt/publisher.h"
#include "drivers/driver.h"

#include <uv.h>

struct sources;

/** sink is copied, and is what the drivers call; sources_owner() says for whom. Its context, publisher and log are borrowed. discovery_prefix is copied. */
struct sources *sources_create(uv_loop_t *loop, const char *discovery_prefix,
                               const struct driver_sink *sink, struct publisher *publisher,
                               struct log *log);

/** Begins to read a device, with the next sources_apply, and returns the number by which it is known here.
 *  config is borrowed until sources_remove, or until sources_rebind replaces it. The publisher is told to
 *  subscribe to what it needs. */
size_t sources_add(struct sources *sources, void *owner, const struct config_device *config);
/** Stops reading it at once; with the next sources_apply the lines that it shared go on without it. Not
 *  inside a callback of the sink. */
void sources_remove(struct sources *sources, size_t number);
/** Another configuration of the same device, with the same channels in the same order, takes the place of the
 *  previous one; reading goes on. */
void sources_rebind(struct sources *sources, size_t number, const struct config_device *config);
/** Opens the serial lines that changed, and what was added. */
void sources_apply(struct sources *sources);

/** The loop must run once more for libuv to let go of the handles. NULL is allowed. */
void sources_close(struct sources *sources);

/** True if it was a message of a device. Connection edges are taken note of. */
bool sources_incoming(struct sources *sources, const struct publisher_incoming *incoming);

/** The owner that sources_add was given, and the index of the channel in its device, of the number that a
 *  driver calls the sink with. */
void *sources_owner(const struct sources *sources, unsigned number, size_t *channel);

/** Counters of a channel since the device was added; they only grow. False: it is not read. */
bool sources_statistics(const struct sources *sources, size_t number, size_t channel,
                        struct driver_statistics *statistics);

#endif
