/* SPDX-License-Identifier: MIT */
/**
 * What this broker accepts: packet size, retained messages, quality of service. MQTT 5 announces it; what
 * 3.1.1 leaves unsaid is learned from how connections end. Pure, with the outcome of each attempt as input;
 * not thread-safe.
 *
 * - A connection in 3.1.1 that breaks soon and without a reason twice in a row is tried in MQTT 5 once: if the
 *   broker speaks it, it names its limits, and MQTT 5 is kept.
 * - If it does not, and three short connections in a row end behind the same large message, messages of that
 *   size are held back. This is forgotten when a connection that stood for a while ends.
 */
#ifndef BRIDGE_MQTT_BROKER_LIMITS_H
#define BRIDGE_MQTT_BROKER_LIMITS_H

#include "bridge/mqtt/connection.h"

#include <stdint.h>

#define BROKER_LIMITS_STABLE_MS 10000 /**< a connection that stood this long was a good one */
#define BROKER_LIMITS_PROBLEMS 3
#define BROKER_LIMITS_SENTENCE 400
#define BROKER_LIMITS_TOPIC 256

struct broker_limits {
    int configured_version; /**< 4 or 5 */
    bool wants_retain;      /**< mqtt.retain */

    /* The rest belongs to the functions below. */
    struct connection_limits announced; /* of this connection, and what refusals said */
    bool seen_retained;                 /* the broker has sent a retained message */
    enum { LIMITS_AS_CONFIGURED, LIMITS_ASK_IN_5, LIMITS_KEEP_5, LIMITS_NOT_IN_5 } asking;
    unsigned short_losses; /* in a row, without a reason */
    char suspect[BROKER_LIMITS_TOPIC];
    unsigned suspect_losses;
    size_t held_size; /* packets of this size and more are held back; 0: none */
    char longest[BROKER_LIMITS_TOPIC];
    size_t longest_size; /* of what was held back on this connection */
};

/** How an attempt ended. */
struct broker_limits_end {
    enum connection_end_kind kind;
    int code;
    bool was_connected;
    int64_t stood_ms;
    bool packet_refused; /**< packet_guard has refused a packet of the broker's */
    /** The largest message that waited for its acknowledgement; NULL: none. */
    const char *topic;
    size_t size; /**< of its packet */
};

void broker_limits_init(struct broker_limits *limits, int version, bool wants_retain);

/** 4 or 5: what the next attempt is to speak. */
int broker_limits_version(const struct broker_limits *limits);

/** True if MQTT 5 is spoken from now on although 3.1.1 is configured, and was not before. */
bool broker_limits_connected(struct broker_limits *limits,
                             const struct connection_limits *announced);
void broker_limits_ended(struct broker_limits *limits, const struct broker_limits_end *end);

/** False if the message must not be sent; it is then noted. size: of the packet. */
bool broker_limits_admit(struct broker_limits *limits, const char *topic, size_t size);
/** The quality of service to use in place of qos. */
int broker_limits_qos(const struct broker_limits *limits, int qos);
/** Whether to mark a message as retained. */
bool broker_limits_retain(const struct broker_limits *limits);
/** Whether an empty retained message, which clears a topic, may be sent although nothing else is retained. */
bool broker_limits_may_clear(const struct broker_limits *limits);

/** A sentence for each limit that is in force, for health; returns how many. */
size_t broker_limits_problems(const struct broker_limits *limits,
                              char sentences[BROKER_LIMITS_PROBLEMS][BROKER_LIMITS_SENTENCE]);

#endif
