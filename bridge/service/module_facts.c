/* SPDX-License-Identifier: MIT */
#include "bridge/service/module_facts.h"

#include "bridge/provision/obk_answer.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define CLIENT_SIZE 257
#define PAUSE_MS 10000

struct entry {
    char *device_id;
    bool has_host; /* bridge.yaml names it */
    char version[40];
    char url[300];
    int64_t reported_ms; /* boot clock; 0: never */
};

struct module_facts {
    struct publisher *publisher;
    void (*changed)(void *context, const char *device_id, const char *version, const char *url);
    void *context;
    struct entry *entries;
    size_t count, room;
    json_t *by_client, *by_device; /* client id, device id -> index of the entry */
};

struct module_facts *module_facts_create(struct publisher *publisher,
                                         void (*changed)(void *context, const char *device_id,
                                                         const char *version, const char *url),
                                         void *context)
{
    struct module_facts *facts = memory_new(1, sizeof *facts);
    facts->publisher = publisher;
    facts->changed = changed;
    facts->context = context;
    facts->by_client = json_object();
    facts->by_device = json_object();
    return facts;
}

void module_facts_free(struct module_facts *facts)
{
    if (facts == NULL)
        return;
    for (size_t i = 0; i < facts->count; i++)
        free(facts->entries[i].device_id);
    free(facts->entries);
    json_decref(facts->by_client);
    json_decref(facts->by_device);
    free(facts);
}

/* Each report is an announcement: whoever publishes new facts all the time is not followed at that pace. */
static bool is_too_soon(const struct entry *entry, const char *known)
{
    return known[0] != '\0' && clock_boot_ms() - entry->reported_ms < PAUSE_MS;
}

static void report(const struct module_facts *facts, struct entry *entry)
{
    entry->reported_ms = clock_boot_ms();
    facts->changed(facts->context, entry->device_id, entry->version, entry->url);
}

static void subscribe(const struct module_facts *facts, const char *client, const char *leaf)
{
    char filter[CLIENT_SIZE + 8];
    struct text text;
    text_init(&text, filter, sizeof filter);
    text_append(&text, "%s/%s", client, leaf);
    if (!text.cut)
        publisher_subscribe(facts->publisher, filter, 1);
}

/* The device's entry, a new one if there is none. */
static struct entry *entry_of(struct module_facts *facts, const char *device_id)
{
    const json_t *index = json_object_get(facts->by_device, device_id);
    if (index != NULL)
        return &facts->entries[json_integer_value(index)];
    facts->entries =
        memory_grow(facts->entries, facts->count, &facts->room, sizeof *facts->entries);
    (void)json_object_set_new(facts->by_device, device_id, json_integer((json_int_t)facts->count));
    struct entry *entry = &facts->entries[facts->count++];
    *entry = (struct entry){.device_id = memory_copy_text(device_id)};
    return entry;
}

void module_facts_add(struct module_facts *facts, const struct config_device *config)
{
    if (config->driver != DRIVER_OPENBEKEN)
        return;
    struct entry *entry = entry_of(facts, config->id);
    entry->has_host = config->host[0] != '\0';
    (void)json_object_set_new(facts->by_client, config->topic,
                              json_integer((json_int_t)(entry - facts->entries)));
    subscribe(facts, config->topic, "build");
    subscribe(facts, config->topic, "ip");
    if (!entry->has_host)
        return;
    (void)snprintf(entry->url, sizeof entry->url, "http://%s/", config->host);
    report(facts, entry);
}

static void take_build(const struct module_facts *facts, struct entry *entry, const char *payload,
                       size_t length)
{
    char chip[16], version[40];
    if (!obk_parse_build(payload, length, chip, version) || strcmp(version, entry->version) == 0 ||
        is_too_soon(entry, entry->version))
        return;
    memcpy(entry->version, version, sizeof version);
    report(facts, entry);
}

static void take_ip(const struct module_facts *facts, struct entry *entry, const char *payload,
                    size_t length)
{
    char ip[INET_ADDRSTRLEN] = "", url[sizeof entry->url];
    struct in_addr address;
    if (entry->has_host || length == 0 || length >= sizeof ip ||
        memchr(payload, '\0', length) != NULL)
        return;
    memcpy(ip, payload, length);
    (void)snprintf(url, sizeof url, "http://%s/", ip);
    if (inet_pton(AF_INET, ip, &address) != 1 || strcmp(url, entry->url) == 0 ||
        is_too_soon(entry, entry->url))
        return;
    memcpy(entry->url, url, sizeof url);
    report(facts, entry);
}

void module_facts_incoming(struct module_facts *facts, const struct publisher_incoming *incoming)
{
    if (incoming->kind != PUBLISHER_MESSAGE)
        return;
    const char *slash = strrchr(incoming->topic, '/');
    bool build = slash != NULL && strcmp(slash, "/build") == 0;
    char client[CLIENT_SIZE];
    if (slash == NULL || (!build && strcmp(slash, "/ip") != 0) ||
        (size_t)(slash - incoming->topic) >= sizeof client)
        return;
    (void)snprintf(client, sizeof client, "%.*s", (int)(slash - incoming->topic), incoming->topic);
    const json_t *index = json_object_get(facts->by_client, client);
    if (index == NULL)
        return;
    struct entry *entry = &facts->entries[json_integer_value(index)];
    if (build)
        take_build(facts, entry, incoming->payload, incoming->payload_length);
    else
        take_ip(facts, entry, incoming->payload, incoming->payload_length);
}
