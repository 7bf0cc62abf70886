/* SPDX-License-Identifier: MIT */
#include "drivers/messages/router.h"

#include "drivers/base/memory.h"

#include <string.h>

#define SLOTS_FIRST 64 /* a power of two */

struct route {
    struct route *next; /* with the same slot */
    struct message_source *source;
    uint32_t hash;
    char topic[];
};

struct message_router {
    struct message_source **sources;
    size_t source_count, source_room;
    struct route **slots;
    size_t slot_count, route_count;
    bool connected;
};

static uint32_t hash_of(const char *topic)
{
    uint32_t hash = 2166136261U;
    for (; *topic != '\0'; topic++)
        hash = (hash ^ (unsigned char)*topic) * 16777619U;
    return hash;
}

static void put(struct message_router *router, struct route *route)
{
    struct route **slot = &router->slots[route->hash & (router->slot_count - 1)];
    while (*slot != NULL) /* at the end: sources get a message in the order they were added */
        slot = &(*slot)->next;
    route->next = NULL;
    *slot = route;
}

static void grow(struct message_router *router)
{
    struct route **old = router->slots;
    size_t count = router->slot_count;
    router->slot_count = count * 2;
    router->slots = memory_new(router->slot_count, sizeof(struct route *));
    for (size_t i = 0; i < count; i++) {
        struct route *route = old[i];
        while (route != NULL) {
            struct route *next = route->next;
            put(router, route);
            route = next;
        }
    }
    free(old);
}

struct adding {
    struct message_router *router;
    struct message_source *source;
};

static void add_topic(void *context, const char *topic)
{
    const struct adding *adding = context;
    struct message_router *router = adding->router;
    size_t size = strlen(topic) + 1;
    struct route *route = memory_new(1, sizeof *route + size);
    route->source = adding->source;
    route->hash = hash_of(topic);
    memcpy(route->topic, topic, size);
    if (router->route_count >= router->slot_count)
        grow(router);
    router->route_count++;
    put(router, route);
}

void message_router_add(struct message_router *router, struct message_source *source,
                        int64_t boot_ms)
{
    router->sources = memory_grow(router->sources, router->source_count, &router->source_room,
                                  sizeof(struct message_source *));
    router->sources[router->source_count++] = source;
    struct adding adding = {router, source};
    source->kind->topics(source, add_topic, &adding);
    if (router->connected)
        source->kind->connection(source, true, boot_ms);
}

static void remove_routes(struct message_router *router, const struct message_source *source)
{
    for (size_t i = 0; i < router->slot_count; i++) {
        struct route **link = &router->slots[i];
        while (*link != NULL) {
            struct route *route = *link;
            if (route->source != source) {
                link = &route->next;
                continue;
            }
            *link = route->next;
            free(route);
            router->route_count--;
        }
    }
}

void message_router_remove(struct message_router *router, struct message_source *source)
{
    remove_routes(router, source);
    for (size_t i = 0; i < router->source_count; i++) {
        if (router->sources[i] != source)
            continue;
        router->source_count--;
        memmove(router->sources + i, router->sources + i + 1,
                (router->source_count - i) * sizeof(struct message_source *));
        break;
    }
    source->kind->release(source);
}

bool message_router_message(struct message_router *router, const struct message *message)
{
    uint32_t hash = hash_of(message->topic);
    bool taken = false;
    for (struct route *route = router->slots[hash & (router->slot_count - 1)]; route != NULL;
         route = route->next) {
        if (route->hash != hash || strcmp(route->topic, message->topic) != 0)
            continue;
        taken = true;
        route->source->kind->message(route->source, message);
    }
    return taken;
}

void message_router_connection(struct message_router *router, bool connected, int64_t boot_ms)
{
    router->connected = connected;
    for (size_t i = 0; i < router->source_count; i++)
        router->sources[i]->kind->connection(router->sources[i], connected, boot_ms);
}

void message_router_tick(struct message_router *router, int64_t boot_ms)
{
    for (size_t i = 0; i < router->source_count; i++)
        router->sources[i]->kind->tick(router->sources[i], boot_ms);
}

struct message_router *message_router_create(void)
{
    struct message_router *router = memory_new(1, sizeof *router);
    router->slot_count = SLOTS_FIRST;
    router->slots = memory_new(router->slot_count, sizeof(struct route *));
    return router;
}

void message_router_free(struct message_router *router)
{
    if (router == NULL)
        return;
    for (size_t i = 0; i < router->slot_count; i++) {
        struct route *route = router->slots[i];
        while (route != NULL) {
            struct route *next = route->next;
            free(route);
            route = next;
        }
    }
    for (size_t i = 0; i < router->source_count; i++)
        router->sources[i]->kind->release(router->sources[i]);
    free(router->sources);
    free(router->slots);
    free(router);
}
