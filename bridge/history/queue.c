/* SPDX-License-Identifier: MIT */
#include "bridge/history/queue.h"

#include "drivers/base/memory.h"

#include <string.h>

/* Rings larger than this are freed when they run empty. */
#define RING_KEEP 1024
/* How far a dropped reading looks for the next one of its channel, before its credits are carried
 * to one that is still to come. */
#define LOOK_AHEAD 256

void queue_init(struct queue *queue, size_t limit)
{
    *queue = (struct queue){.limit = limit == 0 ? 1 : limit};
}

void queue_free(struct queue *queue)
{
    free(queue->readings.items);
    free(queue->events.items);
    free(queue->carried);
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

static struct carried *carried_for(struct queue *queue, unsigned number)
{
    if (number < queue->carried_count)
        return &queue->carried[number];
    size_t count = (size_t)number + 1;
    struct carried *grown = memory_new(count, sizeof *grown);
    if (queue->carried_count > 0)
        memcpy(grown, queue->carried, queue->carried_count * sizeof *grown);
    free(queue->carried);
    queue->carried = grown;
    queue->carried_count = count;
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
    } else if (oldest->imported != 0 || oldest->exported != 0) {
        struct carried *carried = carried_for(queue, oldest->number);
        carried->imported += oldest->imported;
        carried->exported += oldest->exported;
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

void queue_put_reading(struct queue *queue, const struct queued_reading *item)
{
    struct queued_reading whole = *item;
    if (item->number < queue->carried_count) {
        struct carried *carried = &queue->carried[item->number];
        whole.imported += carried->imported;
        whole.exported += carried->exported;
        *carried = (struct carried){0};
    }
    append(queue, &queue->readings, &whole);
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

void queue_take(struct queue *queue, struct reading_ring *readings, struct event_list *events)
{
    struct reading_ring empty_ring = *readings;
    *readings = queue->readings;
    queue->readings = empty_ring;
    struct event_list empty_list = *events;
    *events = queue->events;
    queue->events = empty_list;
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
    queue_take(queue, readings, events); /* a swap works both ways */
}
