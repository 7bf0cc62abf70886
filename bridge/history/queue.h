/* SPDX-License-Identifier: MIT */
/**
 * What waits for the disk: readings in a ring that grows up to a limit, and events. Pure; the
 * caller locks. Taking everything is a swap of two structs, so a lock is held for no longer than
 * it takes to append one reading.
 *
 * When the limit is reached the oldest reading goes. Its counts of credited energy move to the next
 * reading of the same channel: the sum over the stored readings stays the total, whatever is lost.
 */
#ifndef BRIDGE_HISTORY_QUEUE_H
#define BRIDGE_HISTORY_QUEUE_H

#include "drivers/reading.h"

#include <stddef.h>
#include <stdint.h>

#define QUEUE_EVENTS_MAX 1024
#define EVENT_KIND_SIZE 32
#define EVENT_MESSAGE_SIZE 256

struct queued_reading {
    struct reading reading;
    int64_t imported;
    int64_t exported;
    unsigned number;
    enum reading_kind kind; /**< of the channel; whether its counters are kept (samples.h) */
};

/** Zero-initialised: empty. */
struct reading_ring {
    struct queued_reading *items;
    size_t start;
    size_t count;
    size_t capacity;
};

struct queued_event {
    int64_t wall_ms;
    int64_t boot_ms; /**< when it was queued */
    unsigned number;
    char kind[EVENT_KIND_SIZE];
    char message[EVENT_MESSAGE_SIZE];
};

struct event_list {
    struct queued_event *items;
    size_t count;
    size_t capacity;
};

/** Credits of a dropped reading that was the only one of its channel; for that channel's next. */
struct carried {
    int64_t imported;
    int64_t exported;
};

struct queue {
    struct reading_ring readings;
    struct event_list events;
    size_t limit; /**< readings, at least 1 */
    uint64_t dropped;
    struct carried *carried; /**< by channel number */
    size_t carried_count;
};

void queue_init(struct queue *queue, size_t limit);
void queue_free(struct queue *queue);

void queue_put_reading(struct queue *queue, const struct queued_reading *item);
void queue_put_event(struct queue *queue, const struct queued_event *event);

/** Moves everything into the two, which must be empty (their memory is used again). */
void queue_take(struct queue *queue, struct reading_ring *readings, struct event_list *events);

/** Puts what was taken back before what came since; both are empty afterwards. */
void queue_return(struct queue *queue, struct reading_ring *readings, struct event_list *events);

struct queued_reading *ring_at(const struct reading_ring *ring, size_t index);

/** Empties, and gives memory back that only a long outage needs. */
void ring_clear(struct reading_ring *ring);
void events_clear(struct event_list *events);

#endif
