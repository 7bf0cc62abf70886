/* SPDX-License-Identifier: MIT */
/**
 * Publishes the state and the availability of each device in the hub. When a state is published is decided by
 * device/publish_policy.h. Where nothing else would show it soon (a report interval is set, or the device is
 * offline), a total that a commit has moved is published within a second.
 * A state is one JSON object on <base>/<device>, or each value on <base>/<device>/<key>, or both, as the
 * device's description says. A value's topic is never retained.
 * Loop thread only.
 */
#ifndef BRIDGE_MQTT_STATE_OUTPUT_H
#define BRIDGE_MQTT_STATE_OUTPUT_H

#include "bridge/hub/hub.h"
#include "bridge/mqtt/own_topics.h"
#include "bridge/mqtt/publisher.h"
#include "drivers/base/log.h"

#include <uv.h>

struct state_output_options {
    struct hub *hub;
    struct publisher *publisher;
    const char *base_topic; /**< copied */
    struct own_topics *own; /**< clears what a removed device had retained on the broker */
    struct log *log;
};

struct state_output;

/** Subscribes to the hub and publishes all devices that are in it. */
struct state_output *state_output_create(uv_loop_t *loop,
                                         const struct state_output_options *options);

/** Availability and state of all devices again, spread over some turns of the loop; as Home Assistant wants
 *  it after its birth message. */
void state_output_refresh(struct state_output *output);
/** The state of one device, now. */
void state_output_publish(struct state_output *output, struct hub_device *device);

/** Publishes all devices as offline: at a clean stop, for whoever does not look at bridge/state. */
void state_output_all_offline(struct state_output *output);

/** Before publisher_close and hub_free. The loop must run once more. NULL is allowed. */
void state_output_close(struct state_output *output);

#endif
