/* SPDX-License-Identifier: MIT */
#include "drivers/mapping/finder.h"

#include "drivers/base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct meter_finder {
    struct meter_found *found;
    size_t count, room;
};

struct meter_finder *meter_finder_create(void)
{
    return memory_new(1, sizeof(struct meter_finder));
}

void meter_finder_free(struct meter_finder *finder)
{
    if (finder == NULL)
        return;
    free(finder->found);
    free(finder);
}

size_t meter_finder_count(const struct meter_finder *finder)
{
    return finder->count;
}

const struct meter_found *meter_finder_get(const struct meter_finder *finder, size_t index)
{
    return &finder->found[index];
}

void meter_finder_filters(void (*subscribe)(void *context, const char *filter), void *context)
{
    static const char *const filters[] = {
        "+/sensor/+/state", "+/+/sensor/+/state", "tele/+/SENSOR", "shellies/+/emeter/+/power",
        "+/status/+",       "+/+/status/+",       "+/+",
    };
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        subscribe(context, filters[i]);
}

/* ---- what is known ---- */

static struct meter_found *note(struct meter_finder *finder, const char *topic, size_t length,
                                const char *driver, const char *mapping, bool retained)
{
    if (length == 0 || length > METER_TOPIC_MAX || topic[0] == '$')
        return NULL;
    struct meter_found *found = NULL;
    for (size_t i = 0; i < finder->count && found == NULL; i++)
        if (strncmp(finder->found[i].topic, topic, length) == 0 &&
            finder->found[i].topic[length] == '\0')
            found = &finder->found[i];
    if (found == NULL) {
        if (finder->count == METERS_FOUND_MAX)
            return NULL;
        finder->found =
            memory_grow(finder->found, finder->count, &finder->room, sizeof *finder->found);
        found = &finder->found[finder->count++];
        *found = (struct meter_found){.live = false};
        (void)snprintf(found->topic, sizeof found->topic, "%.*s", (int)length, topic);
    }
    found->driver = driver;
    found->mapping = mapping;
    found->live = found->live || !retained;
    return found;
}

static void note_channel(struct meter_found *found, const char *name, size_t length)
{
    if (found == NULL || length == 0 || length > MAPPING_NAME_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") < length ||
        found->channel_count == MAPPING_CHANNELS_MAX)
        return;
    for (size_t i = 0; i < found->channel_count; i++)
        if (strlen(found->channels[i]) == length && memcmp(found->channels[i], name, length) == 0)
            return;
    (void)snprintf(found->channels[found->channel_count++], MAPPING_NAME_MAX + 1, "%.*s",
                   (int)length, name);
}

static void note_channels(struct meter_found *found, const char *letters)
{
    for (; *letters != '\0'; letters++)
        note_channel(found, letters, 1);
}

/* The part of the topic in front of mark; 0 if mark is not in it. *rest stands behind mark. */
static size_t before(const char *topic, const char *mark, const char **rest)
{
    const char *at = strstr(topic, mark);
    if (at == NULL)
        return 0;
    *rest = at + strlen(mark);
    return (size_t)(at - topic);
}

/* ---- kinds of meter ---- */

/* `cf` is the counter of a chip, with settings made for the driver; others are read by a mapping. */
static bool take_esphome(struct meter_finder *finder, const char *topic, bool retained)
{
    const char *object;
    size_t length = before(topic, "/sensor/", &object);
    const char *end = strrchr(object = length > 0 ? object : topic, '/');
    if (length == 0 || end == NULL || strcmp(end, "/state") != 0)
        return false;
    if (strncmp(object, "cf_", 3) == 0) {
        struct meter_found *found = note(finder, topic, length, "esphome", "", retained);
        note_channel(found, object + 3, (size_t)(end - object) - 3);
        return true;
    }
    size_t size = (size_t)(end - object);
    bool single = size == 6 && memcmp(object, "energy", 6) == 0;
    bool dual =
        size == 8 && (memcmp(object, "energy_a", 8) == 0 || memcmp(object, "energy_b", 8) == 0);
    if (!single && !dual)
        return true;
    struct meter_found *found =
        note(finder, topic, length, "mqtt", single ? "esphome" : "esphome-dual", retained);
    note_channels(found, single ? "a" : "ab");
    return true;
}

static bool take_tasmota(struct meter_finder *finder, const char *topic, const json_t *json,
                         bool retained)
{
    const char *rest;
    size_t length = before(topic, "/SENSOR", &rest);
    const json_t *energy = json_object_get(json, "ENERGY");
    if (strncmp(topic, "tele/", 5) != 0 || length <= 5 || *rest != '\0')
        return false;
    const json_t *power = json_object_get(energy, "Power");
    if (power == NULL || (json_is_array(power) && json_array_size(power) > 2))
        return true;
    bool dual = json_is_array(power) && json_array_size(power) == 2;
    struct meter_found *found =
        note(finder, topic + 5, length - 5, "mqtt", dual ? "tasmota-dual" : "tasmota", retained);
    note_channels(found, dual ? "ab" : "a");
    return true;
}

static bool take_shelly(struct meter_finder *finder, const char *topic, const json_t *json,
                        bool retained)
{
    const char *rest;
    size_t length = before(topic, "/emeter/", &rest);
    if (length > 0 && strncmp(topic, "shellies/", 9) == 0) {
        bool three = rest[0] == '2';
        struct meter_found *found =
            note(finder, topic, length, "mqtt", three ? "shelly-3em" : "shelly-em", retained);
        if (found != NULL && found->channel_count == 3)
            found->mapping = "shelly-3em";
        note_channels(found, three ? "abc" : "ab");
        return true;
    }
    length = before(topic, "/status/", &rest);
    if (length == 0)
        return false;
    if (strncmp(rest, "em1:", 4) == 0 && json_object_get(json, "act_power") != NULL)
        note_channels(note(finder, topic, length, "mqtt", "shelly-pro-em", retained), "ab");
    else if (strcmp(rest, "em:0") == 0 && json_object_get(json, "a_act_power") != NULL)
        note_channels(note(finder, topic, length, "mqtt", "shelly-pro-3em", retained), "abc");
    return true;
}

/* Any JSON object with powers and energies, as Zigbee2MQTT publishes states. */
static void take_zigbee(struct meter_finder *finder, const char *topic, const json_t *json,
                        bool retained)
{
    bool zigbee = json_object_get(json, "linkquality") != NULL;
    if (json_is_number(json_object_get(json, "power_a")) &&
        json_is_number(json_object_get(json, "energy_a"))) {
        bool stamped = json_object_get(json, "timestamp_a") != NULL;
        bool directed = json_object_get(json, "energy_flow_a") != NULL;
        const char *mapping =
            stamped && directed ? "zigbee2mqtt-pj1203a" : "zigbee2mqtt-ts0601-clamp-dual";
        if (zigbee || stamped)
            note_channels(note(finder, topic, strlen(topic), "mqtt", mapping, retained), "ab");
    } else if (zigbee && json_is_number(json_object_get(json, "power")) &&
               json_is_number(json_object_get(json, "energy"))) {
        note_channels(
            note(finder, topic, strlen(topic), "mqtt", "zigbee2mqtt-ts0601-clamp", retained), "a");
    }
}

void meter_finder_message(struct meter_finder *finder, const char *topic, const char *payload,
                          size_t length, bool retained)
{
    if (length == 0 || length > MAPPING_PAYLOAD_MAX || take_esphome(finder, topic, retained))
        return;
    json_t *json = payload[0] == '{' ? json_loadb(payload, length, 0, NULL) : NULL;
    if (!take_tasmota(finder, topic, json, retained) &&
        !take_shelly(finder, topic, json, retained) && json != NULL)
        take_zigbee(finder, topic, json, retained);
    json_decref(json);
}
