/* SPDX-License-Identifier: MIT */
/**
 * The drivers at work: groups the configured channels by serial line, starts one driver per line and
 * one for all OpenBeken modules, and hands what they deliver to the devices. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_SOURCES_H
#define BRIDGE_SERVICE_SOURCES_H

#include "bridge/config/config.h"
#include "bridge/mqtt/publisher.h"
#include "drivers/driver.h"

#include <uv.h>

/** Called with the device's and the channel's index in the configuration. */
struct sources_sink {
    void *context;
    void (*reading)(void *context, size_t device, size_t channel, const struct reading *reading);
    void (*availability)(void *context, size_t device, size_t channel, bool online,
                         const char *reason);
    void (*event)(void *context, size_t device, size_t channel, enum driver_event event,
                  const char *message);
};

struct sources;

/** config, sink, publisher and log are borrowed and must outlive the sources. With OpenBeken modules,
 *  the publisher is told to subscribe to their topics. */
struct sources *sources_create(uv_loop_t *loop, const struct config *config,
                               const struct sources_sink *sink, struct publisher *publisher,
                               struct log *log);
/** One more OpenBeken module: the last of the configuration's devices. */
void sources_add_module(struct sources *sources);

/** The loop must run once more for libuv to let go of the handles. */
void sources_close(struct sources *sources);

/** True if it was a message of a configured OpenBeken module. Connection edges are taken note of. */
bool sources_incoming(struct sources *sources, const struct publisher_incoming *incoming);

bool sources_statistics(const struct sources *sources, const struct config_device *device,
                        size_t channel, struct driver_statistics *statistics);

#endif
