/* SPDX-License-Identifier: MIT */
/**
 * What a device looks like whose readings come as MQTT messages: one object per configured device,
 * a state machine over messages and time. The router (router.h) holds all of them and finds the
 * ones that a topic belongs to. A source knows no MQTT library and no clock.
 *
 * A kind of source embeds struct message_source as its first member and fills in the table.
 */
#ifndef DRIVERS_MESSAGES_SOURCE_H
#define DRIVERS_MESSAGES_SOURCE_H

#include "drivers/driver.h"
#include "drivers/messages/message.h"

struct message_source;

typedef void (*message_topic_visitor)(void *context, const char *topic);

struct message_source_kind {
    /** Calls visit for each topic that the source takes: exact topics, no wildcards. */
    void (*topics)(const struct message_source *source, message_topic_visitor visit, void *context);
    /** Calls visit for each filter to subscribe to; together they cover all topics. */
    void (*filters)(const struct message_source *source, message_topic_visitor visit,
                    void *context);
    /** A message on one of its topics. */
    void (*message)(struct message_source *source, const struct message *message);
    /** The broker is there, or no longer there. */
    void (*connection)(struct message_source *source, bool connected, int64_t boot_ms);
    /** Time passes: called about four times a second. */
    void (*tick)(struct message_source *source, int64_t boot_ms);
    /** False if the channel is not one of the source's. */
    bool (*statistics)(const struct message_source *source, unsigned channel,
                       struct driver_statistics *statistics);
    void (*release)(struct message_source *source);
};

struct message_source {
    const struct message_source_kind *kind;
};

#endif
