/* SPDX-License-Identifier: MIT */
/**
 * When discovery is sent: at connect, after Home Assistant's birth message (with jitter), and when
 * devices change; what was announced is kept in a file, so that what is no longer there is removed
 * for real (Home Assistant does not drop a component that is merely omitted). Runs on the loop.
 */
#ifndef BRIDGE_MQTT_ANNOUNCER_H
#define BRIDGE_MQTT_ANNOUNCER_H

#include "bridge/mqtt/discovery.h"
#include "bridge/mqtt/publisher.h"

#include <uv.h>

struct announcer_options {
    struct discovery_context context; /**< texts are borrowed and must outlive the announcer */
    const char *status_topic;
    const char *memory_path; /**< data_dir/announced.json */
    size_t device_count;
    const struct device_description *const *devices;
    /** Called after a birth was answered: publish availability and full states again. */
    void (*refresh)(void *context);
    void *refresh_context;
    struct log *log;
};

struct announcer;

struct announcer *announcer_create(uv_loop_t *loop, const struct announcer_options *options,
                                   struct publisher *publisher);
void announcer_close(struct announcer *announcer);

/** To be given every incoming item; returns true if it was the announcer's. */
bool announcer_incoming(struct announcer *announcer, const struct publisher_incoming *incoming);

#endif
