/* SPDX-License-Identifier: MIT */
/**
 * What came from the broker and waits for the loop: messages, bounded, and connection edges, which are
 * never refused. Pure and not thread-safe; the publisher holds its lock.
 */
#ifndef BRIDGE_MQTT_INBOX_H
#define BRIDGE_MQTT_INBOX_H

#include "bridge/mqtt/publisher.h"

struct inbox_item {
    struct inbox_item *next;
    struct publisher_incoming incoming; /**< points into bytes */
    char bytes[];
};

struct inbox {
    struct inbox_item *first, *last;
    size_t messages;
    size_t bytes;
};

/** False if it is full. */
bool inbox_message(struct inbox *inbox, const char *topic, const char *payload, size_t length,
                   bool retained);
void inbox_edge(struct inbox *inbox, enum publisher_incoming_kind kind);

/** Takes everything out, oldest first; to be freed with inbox_free_items. */
struct inbox_item *inbox_take(struct inbox *inbox);
void inbox_free_items(struct inbox_item *items);

#endif
