/* SPDX-License-Identifier: MIT */
/**
 * The latest payload per topic and the order in which they are to be sent: the publisher's whole
 * memory of what the broker should know. A new value replaces an unsent old one in its place in the
 * order, so that an outage of any length leaves one message per topic. Only an empty retained payload,
 * which clears the topic, is still sent if a value that is not retained takes its place. Pure and not thread-safe; the
 * publisher holds its lock around every call.
 */
#ifndef BRIDGE_MQTT_LATEST_H
#define BRIDGE_MQTT_LATEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Immutable bytes shared between the table and a message on its way. */
struct payload {
    size_t references;
    size_t length;
    char bytes[];
};

struct payload *payload_new(const char *bytes, size_t length);
/** Drops one reference; NULL is allowed. */
void payload_release(struct payload *payload);

struct latest;
struct latest_item;

/** One message to send; to be ended with latest_done. topic lives until then. */
struct latest_message {
    struct latest_item *item;
    uint64_t version;
    const char *topic;
    struct payload *payload; /**< the caller's reference */
    bool retained;
    int qos;
};

enum latest_outcome {
    LATEST_DELIVERED,
    LATEST_FAILED, /**< not known to have arrived: sent again unless a newer value takes its place */
    LATEST_REFUSED, /**< the broker does not want it; trying again would change nothing */
};

/** Bounds: number of topics, and bytes of topics and payloads together. */
struct latest *latest_create(size_t topics_max, size_t bytes_max);
void latest_free(struct latest *latest);

enum latest_keeping {
    LATEST_UNRETAINED,    /**< the broker does not keep it; sent until it has arrived once */
    LATEST_RETAINED,      /**< ... and again after every connect */
    LATEST_RETAINED_ONCE, /**< the broker keeps it, but here it is forgotten once it has arrived */
};

/** False if there is no room for it; an older value of the topic then stays. */
bool latest_put(struct latest *latest, const char *topic, const char *bytes, size_t length,
                enum latest_keeping keeping, int qos);

/** The message that has waited longest. False if nothing waits. */
bool latest_take(struct latest *latest, struct latest_message *message);
void latest_done(struct latest *latest, struct latest_message *message,
                 enum latest_outcome outcome);

/** A new connection: every retained value is to be sent again, behind what already waits. */
void latest_resend(struct latest *latest);

enum latest_echo {
    LATEST_UNKNOWN, /**< the topic has no retained value */
    LATEST_SAME,    /**< it is the topic's value */
    LATEST_EARLIER, /**< it was, and was replaced before it came back: an echo on its way, or the broker
                          did not deliver the newer one */
    LATEST_DIFFERENT /**< it is somebody else's */
};
/** What came in on a topic, compared with what was put there. */
enum latest_echo latest_came_back(struct latest *latest, const char *topic, const char *bytes,
                                  size_t length);
/** Sends the topic's value once more. */
void latest_repeat(struct latest *latest, const char *topic);
/** Calls visit for each retained value, but for those that the broker refused. */
void latest_visit_retained(const struct latest *latest,
                           void (*visit)(void *context, const char *topic, size_t length),
                           void *context);

bool latest_waiting(const struct latest *latest);
/** True unless the topic's latest value waits or is on its way. */
bool latest_settled(const struct latest *latest, const char *topic);
size_t latest_topics(const struct latest *latest);
size_t latest_bytes(const struct latest *latest);

#endif
