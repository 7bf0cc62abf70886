/* SPDX-License-Identifier: MIT */
/**
 * What waits for the disk: readings in a ring that grows up to a limit, and events. Pure; the
 * caller locks. What is taken is bounded, so that a transaction is, and the lock is held shortly.
 *
 * When the limit is reached the oldest reading is dropped; of a channel that sends more than
 * QUEUE_RATE_MAX readings stamped with one second, the newest. Its counts of energy move to the next
 * reading of the same channel: the sum over the stored readings stays the total, whatever is dropped.
 */
#ifndef BRIDGE_HISTORY_QUEUE_H
#define BRIDGE_HISTORY_QUEUE_H

#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_EVENTS_MAX 1024

/** Readings of one channel that are stored of one second. No meter has more to say. */
#define QUEUE_RATE_MAX 100
#define EVENT_KIND_SIZE 32
#define EVENT_MESSAGE_SIZE 256

struct queued_reading {
    struct reading reading;
    int64_t imported;
    int64_t exported;
    unsigned number;
    enum reading_kind kind; /**< of the channel; whether its counters are kept (samples.h) */
    /** Since when its counts were counted, if that is worth an estimate (schema/history.sql): a time by the
     *  wall clock, or so long before the reading's own stamp; 0: neither. */
    int64_t counted_since_ms;
    int64_t counted_for_ms;
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

/** A channel: counts of dropped readings, for its next one, and its readings of the current second. */
struct queue_channel {
    int64_t imported;
    int64_t exported;
    int64_t second;
    unsigned count;
};

struct queue {
    struct reading_ring readings;
    struct event_list events;
    size_t limit; /**< readings, at least 1 */
    uint64_t dropped;
    uint64_t dropped_by_rate;       /**< how many of them came too fast */
    unsigned last_by_rate;          /**< the channel of the last of those */
    struct queue_channel *channels; /**< by channel number */
    size_t channel_count;
};

void queue_init(struct queue *queue, size_t limit);
void queue_free(struct queue *queue);

void queue_put_reading(struct queue *queue, const struct queued_reading *item);
void queue_put_event(struct queue *queue, const struct queued_event *event);

/** Counts of readings that were lost elsewhere, for the channel's next reading. */
void queue_credit(struct queue *queue, unsigned number, int64_t imported, int64_t exported);

/** The counts that no reading has yet, and with_readings those of the readings that wait, as
 *  meta_put_uncredited wants them. To be freed; NULL if there are none. */
char *queue_uncredited(const struct queue *queue, bool with_readings);

/** Moves the oldest `most` readings and all events into the two, which must be empty (their memory is
 *  used again). */
void queue_take(struct queue *queue, size_t most, struct reading_ring *readings,
                struct event_list *events);

/** Puts what was taken back before what came since; both are empty afterwards. */
void queue_return(struct queue *queue, struct reading_ring *readings, struct event_list *events);

struct queued_reading *ring_at(const struct reading_ring *ring, size_t index);

/** Empties, and gives memory back that only a long outage needs. */
void ring_clear(struct reading_ring *ring);
void events_clear(struct event_list *events);

#endif
