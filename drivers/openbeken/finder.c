/* SPDX-License-Identifier: MIT */
#include "drivers/openbeken/finder.h"

#include "drivers/base/memory.h"
#include "drivers/base/plain.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 4
#define BUCKETS 4096U

struct entry {
    struct openbeken_found found;
    size_t next; /* in the bucket: index + 1; 0 ends */
    char *announcements[OPENBEKEN_ANNOUNCEMENTS_MAX];
};

struct openbeken_finder {
    char *prefix;
    struct entry *entries[OPENBEKEN_FOUND_MAX];
    size_t count;
    size_t buckets[BUCKETS]; /* index + 1 */
};

struct openbeken_finder *openbeken_finder_create(const char *discovery_prefix)
{
    struct openbeken_finder *finder = memory_new(1, sizeof *finder);
    finder->prefix = memory_copy_text(discovery_prefix);
    return finder;
}

void openbeken_finder_free(struct openbeken_finder *finder)
{
    if (finder == NULL)
        return;
    for (size_t i = 0; i < finder->count; i++) {
        for (size_t a = 0; a < finder->entries[i]->found.announcement_count; a++)
            free(finder->entries[i]->announcements[a]);
        free(finder->entries[i]);
    }
    free(finder->prefix);
    free(finder);
}

void openbeken_finder_filters(const struct openbeken_finder *finder,
                              void (*subscribe)(void *context, const char *filter), void *context)
{
    static const char any[] = "+/+/+/+/";
    char filter[OPENBEKEN_TOPIC_MAX];
    for (int depth = 1; depth <= DEPTH_MAX; depth++) {
        (void)snprintf(filter, sizeof filter, "%.*sconnected", 2 * depth, any);
        subscribe(context, filter);
        (void)snprintf(filter, sizeof filter, "%.*sbuild", 2 * depth, any);
        subscribe(context, filter);
        (void)snprintf(filter, sizeof filter, "%.*s+/get", 2 * depth, any);
        subscribe(context, filter);
        (void)snprintf(filter, sizeof filter, "tele/%.*sSENSOR", 2 * depth, any);
        subscribe(context, filter);
    }
    (void)snprintf(filter, sizeof filter, "%s/sensor/+/config", finder->prefix);
    subscribe(context, filter);
}

static uint32_t bucket_of(const char *client, size_t length)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)client[i]) * 16777619U;
    return hash % BUCKETS;
}

/* NULL if there is no room for another. */
static struct entry *entry_of(struct openbeken_finder *finder, const char *client, size_t length)
{
    size_t *bucket = &finder->buckets[bucket_of(client, length)];
    for (size_t at = *bucket; at != 0; at = finder->entries[at - 1]->next) {
        const char *known = finder->entries[at - 1]->found.client;
        if (strlen(known) == length && memcmp(known, client, length) == 0)
            return finder->entries[at - 1];
    }
    if (finder->count == OPENBEKEN_FOUND_MAX || !plain_is(client, length))
        return NULL;
    struct entry *entry = memory_new(1, sizeof *entry);
    (void)snprintf(entry->found.client, sizeof entry->found.client, "%.*s", (int)length, client);
    entry->next = *bucket;
    finder->entries[finder->count++] = entry;
    *bucket = finder->count;
    return entry;
}

static void remember_announcement(struct entry *entry, const char *topic)
{
    struct openbeken_found *found = &entry->found;
    for (size_t i = 0; i < found->announcement_count; i++)
        if (strcmp(entry->announcements[i], topic) == 0)
            return;
    if (found->announcement_count < OPENBEKEN_ANNOUNCEMENTS_MAX)
        entry->announcements[found->announcement_count++] = memory_copy_text(topic);
}

static void take_discovery(struct openbeken_finder *finder, const char *topic, const char *payload,
                           size_t length)
{
    struct openbeken_discovery discovery;
    if (!openbeken_discovery(payload, length, &discovery))
        return;
    struct entry *entry = entry_of(finder, discovery.client, strlen(discovery.client));
    if (entry == NULL)
        return;
    struct openbeken_found *found = &entry->found;
    found->is_module = true;
    (void)snprintf(found->name, sizeof found->name, "%s", discovery.name);
    (void)snprintf(found->long_name, sizeof found->long_name, "%s", discovery.long_name);
    (void)snprintf(found->chipset, sizeof found->chipset, "%s", discovery.chipset);
    (void)snprintf(found->page, sizeof found->page, "%s", discovery.page);
    if (discovery.is_value)
        found->chips[discovery.chip] = true;
    if (discovery.unit != OPENBEKEN_UNIT_UNKNOWN)
        found->unit = discovery.unit;
    remember_announcement(entry, topic);
}

static bool ends_with_get(const char *topic)
{
    size_t length = strlen(topic);
    return length > 4 && strcmp(topic + length - 4, "/get") == 0;
}

static void take_value(struct openbeken_found *found, const struct openbeken_topic *topic,
                       const char *payload, size_t length, bool retained)
{
    int64_t milli;
    if (openbeken_value(topic->quantity, payload, length, &milli) != OPENBEKEN_GOOD)
        return;
    found->is_module = true;
    found->chips[topic->chip] = true;
    if (retained)
        found->values_retained = true;
    else
        found->values_received = true;
}

static void take_build(struct openbeken_found *found, const char *payload, size_t length)
{
    if (length < 4 || length >= sizeof found->build || memcmp(payload, "Open", 4) != 0 ||
        !plain_is(payload, length))
        return;
    found->is_module = true;
    (void)snprintf(found->build, sizeof found->build, "%.*s", (int)length, payload);
}

void openbeken_finder_message(struct openbeken_finder *finder, const char *topic,
                              const char *payload, size_t length, bool retained)
{
    if (openbeken_discovery_topic(finder->prefix, topic)) {
        take_discovery(finder, topic, payload, length);
        return;
    }
    struct openbeken_topic candidates[OPENBEKEN_CANDIDATES];
    if (openbeken_topic_read(topic, candidates) == 0)
        return;
    const struct openbeken_topic *read = &candidates[0];
    if ((read->kind == OPENBEKEN_VALUE && !ends_with_get(topic)) ||
        read->kind == OPENBEKEN_CHANNEL_0)
        return;
    struct entry *entry = entry_of(finder, read->client, read->client_length);
    if (entry == NULL)
        return;
    struct openbeken_energy energy;
    switch (read->kind) {
    case OPENBEKEN_VALUE:
        take_value(&entry->found, read, payload, length, retained);
        break;
    case OPENBEKEN_CONNECTED:
        entry->found.connected_known =
            openbeken_connected(payload, length, &entry->found.connected) == OPENBEKEN_GOOD;
        break;
    case OPENBEKEN_BUILD:
        take_build(&entry->found, payload, length);
        break;
    case OPENBEKEN_SENSOR:
        entry->found.speaks_tele =
            openbeken_sensor_json(payload, length, &energy) == OPENBEKEN_GOOD;
        break;
    case OPENBEKEN_UPTIME:
    case OPENBEKEN_STATUS:
    case OPENBEKEN_TELE:
    case OPENBEKEN_CHANNEL_0:
        break;
    }
}

size_t openbeken_finder_count(const struct openbeken_finder *finder)
{
    return finder->count;
}

const struct openbeken_found *openbeken_finder_get(const struct openbeken_finder *finder,
                                                   size_t index)
{
    return &finder->entries[index]->found;
}

const char *openbeken_finder_announcement(const struct openbeken_finder *finder, size_t index,
                                          size_t announcement)
{
    return finder->entries[index]->announcements[announcement];
}
