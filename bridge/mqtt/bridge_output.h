/* SPDX-License-Identifier: MIT */
/**
 * Publishes what the hub knows of the bridge itself below <base>/bridge/: info, devices and health
 * (retained), events and log lines. Loop thread only.
 *
 * Without a connection events and log lines are dropped, but for the last events about the bridge itself:
 * those are sent as soon as there is one, as many of them happen before the first connection.
 */
#ifndef BRIDGE_MQTT_BRIDGE_OUTPUT_H
#define BRIDGE_MQTT_BRIDGE_OUTPUT_H

#include "bridge/hub/hub.h"
#include "bridge/mqtt/publisher.h"
#include "drivers/base/log.h"

struct bridge_output;

/** Subscribes to the hub. base_topic is copied, the rest borrowed. */
struct bridge_output *bridge_output_create(struct hub *hub, struct publisher *publisher,
                                           const char *base_topic, struct log *log);

/** To be given every connection edge: after a connect what was kept is sent, and health anew. */
void bridge_output_incoming(struct bridge_output *output,
                            const struct publisher_incoming *incoming);

/** Before publisher_close and hub_free. NULL is allowed. */
void bridge_output_free(struct bridge_output *output);

#endif
