/* SPDX-License-Identifier: MIT */
#include "bridge/history/queue.h"

#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Rings larger than this are freed when they run empty. */
#define RING_KEEP 1024
/* How far a dropped reading looks for the next one of its channel, before its credits are carried
 * to one that is still to come. */
#define LOOK_AHEAD 256
/* Room for a channel number and two counts. */
#define UNCREDITED_SIZE 50

void queue_init(struct queue *queue, size_t limit)
{
    *queue = (struct queue){.limit = limit == 0 ? 1 : limit};
}

void queue_free(struct queue *queue)
{
    free(queue->readings.items);
    free(queue->events.items);
    free(queue->channels);
    *queue = (struct queue){0};
}

static struct queued_reading *slot(const struct reading_ring *ring, size_t index)
{
    size_t at = ring->start + index;
    return &ring->items[at >= ring->capacity ? at - ring->capacity : at];
}

struct queued_reading *ring_at(const struct reading_ring *ring, size_t index)
{
    return slot(ring, index);
}

void ring_clear(struct reading_ring *ring)
{
    ring->start = 0;
    ring->count = 0;
    if (ring->capacity <= RING_KEEP)
        return;
    free(ring->items);
    *ring = (struct reading_ring){0};
}

void events_clear(struct event_list *events)
{
    events->count = 0;
}

static void ring_grow(struct reading_ring *ring)
{
    size_t capacity = ring->capacity == 0 ? 16 : ring->capacity * 2;
    struct queued_reading *items = memory_new(capacity, sizeof *items);
    for (size_t i = 0; i < ring->count; i++)
        items[i] = *slot(ring, i);
    free(ring->items);
    ring->items = items;
    ring->capacity = capacity;
    ring->start = 0;
}

static struct queue_channel *channel_of(struct queue *queue, unsigned number)
{
    if (number < queue->channel_count)
        return &queue->channels[number];
    size_t count = (size_t)number + 1 + number / 2;
    struct queue_channel *grown = memory_new(count, sizeof *grown);
    if (queue->channel_count > 0)
        memcpy(grown, queue->channels, queue->channel_count * sizeof *grown);
    free(queue->channels);
    queue->channels = grown;
    queue->channel_count = count;
    return &grown[number];
}

static void drop_oldest(struct queue *queue, struct reading_ring *ring)
{
    const struct queued_reading *oldest = slot(ring, 0);
    size_t reach = ring->count < LOOK_AHEAD ? ring->count : LOOK_AHEAD;
    struct queued_reading *heir = NULL;
    for (size_t i = 1; i < reach && heir == NULL; i++)
        if (slot(ring, i)->number == oldest->number)
            heir = slot(ring, i);
    if (heir != NULL) {
        heir->imported += oldest->imported;
        heir->exported += oldest->exported;
        if (heir->counted_since_ms == 0 && heir->counted_for_ms == 0) {
            heir->counted_since_ms = oldest->counted_since_ms;
            heir->counted_for_ms = heir->reading.boot_ms - oldest->reading.boot_ms +
                                   (oldest->counted_since_ms == 0 ? oldest->counted_for_ms : 0);
        }
    } else {
        struct queue_channel *channel = channel_of(queue, oldest->number);
        channel->imported += oldest->imported;
        channel->exported += oldest->exported;
    }
    ring->start = ring->start + 1 == ring->capacity ? 0 : ring->start + 1;
    ring->count--;
    queue->dropped++;
}

static void append(struct queue *queue, struct reading_ring *ring,
                   const struct queued_reading *item)
{
    while (ring->count >= queue->limit)
        drop_oldest(queue, ring);
    if (ring->count == ring->capacity)
        ring_grow(ring);
    ring->count++;
    *slot(ring, ring->count - 1) = *item;
}

static bool is_too_fast(struct queue_channel *channel, int64_t wall_ms)
{
    int64_t second = wall_ms / 1000;
    if (second != channel->second)
        channel->count = 0;
    channel->second = second;
    return ++channel->count > QUEUE_RATE_MAX;
}

void queue_put_reading(struct queue *queue, const struct queued_reading *item)
{
    struct queue_channel *channel = channel_of(queue, item->number);
    struct queued_reading whole = *item;
    whole.imported += channel->imported;
    whole.exported += channel->exported;
    channel->imported = channel->exported = 0;
    if (!is_too_fast(channel, item->reading.wall_ms)) {
        append(queue, &queue->readings, &whole);
        return;
    }
    channel->imported = whole.imported;
    channel->exported = whole.exported;
    queue->dropped++;
    queue->dropped_by_rate++;
    queue->last_by_rate = item->number;
}

void queue_credit(struct queue *queue, unsigned number, int64_t imported, int64_t exported)
{
    struct queue_channel *channel = channel_of(queue, number);
    channel->imported += imported;
    channel->exported += exported;
}

char *queue_uncredited(const struct queue *queue, bool with_readings)
{
    struct queue sums = {.limit = 1};
    size_t count = 0;
    for (size_t i = 0; i < queue->channel_count; i++)
        if (queue->channels[i].imported != 0 || queue->channels[i].exported != 0)
            queue_credit(&sums, (unsigned)i, queue->channels[i].imported,
                         queue->channels[i].exported);
    for (size_t i = 0; with_readings && i < queue->readings.count; i++) {
        const struct queued_reading *item = slot(&queue->readings, i);
        if (item->imported != 0 || item->exported != 0)
            queue_credit(&sums, item->number, item->imported, item->exported);
    }
    for (size_t i = 0; i < sums.channel_count; i++)
        count += sums.channels[i].imported != 0 || sums.channels[i].exported != 0 ? 1 : 0;
    char *buffer = NULL;
    if (count > 0) {
        size_t size = count * UNCREDITED_SIZE + 1;
        size_t used = 0;
        buffer = memory_new(size, 1);
        for (size_t i = 0; i < sums.channel_count; i++)
            if (sums.channels[i].imported != 0 || sums.channels[i].exported != 0)
                used += (size_t)snprintf(buffer + used, size - used, "%zu %" PRId64 " %" PRId64 ";",
                                         i, sums.channels[i].imported, sums.channels[i].exported);
    }
    queue_free(&sums);
    return buffer;
}

static void append_event(struct event_list *events, const struct queued_event *event)
{
    if (events->count == QUEUE_EVENTS_MAX) {
        events->count--;
        memmove(events->items, events->items + 1, events->count * sizeof *events->items);
    }
    events->items =
        memory_grow(events->items, events->count, &events->capacity, sizeof *events->items);
    events->items[events->count++] = *event;
}

void queue_put_event(struct queue *queue, const struct queued_event *event)
{
    if (queue->events.count == QUEUE_EVENTS_MAX)
        queue->dropped++;
    append_event(&queue->events, event);
}

static void swap_rings(struct reading_ring *a, struct reading_ring *b)
{
    struct reading_ring kept = *a;
    *a = *b;
    *b = kept;
}

static void swap_events(struct event_list *a, struct event_list *b)
{
    struct event_list kept = *a;
    *a = *b;
    *b = kept;
}

void queue_take(struct queue *queue, size_t most, struct reading_ring *readings,
                struct event_list *events)
{
    struct reading_ring *waiting = &queue->readings;
    swap_events(events, &queue->events);
    if (waiting->count <= most) {
        swap_rings(readings, waiting);
        return;
    }
    while (readings->count < most) {
        if (readings->count == readings->capacity)
            ring_grow(readings);
        *slot(readings, readings->count) = *slot(waiting, readings->count);
        readings->count++;
    }
    waiting->start = (waiting->start + most) % waiting->capacity;
    waiting->count -= most;
}

void queue_return(struct queue *queue, struct reading_ring *readings, struct event_list *events)
{
    for (size_t i = 0; i < queue->readings.count; i++)
        append(queue, readings, slot(&queue->readings, i));
    ring_clear(&queue->readings);
    for (size_t i = 0; i < queue->events.count; i++) {
        if (events->count == QUEUE_EVENTS_MAX)
            queue->dropped++;
        append_event(events, &queue->events.items[i]);
    }
    events_clear(&queue->events);
    swap_rings(readings, &queue->readings);
    swap_events(events, &queue->events);
}
