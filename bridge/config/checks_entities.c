/* SPDX-License-Identifier: MIT */
#include "bridge/config/checks.h"

#include "bridge/config/suggest.h"
#include "bridge/device/properties.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

/* Looks a key up among the entities that a device has, or may have. */
struct search {
    const char *key;
    bool found;
    struct suggestion suggestion;
    char best[PROPERTY_KEY_SIZE]; /* a key lives no longer than its visit */
};

static void look(void *context, const struct property *property, int channel, const char *key)
{
    struct search *search = context;
    (void)property;
    (void)channel;
    search->found = search->found || strcmp(key, search->key) == 0;
    suggestion_offer(&search->suggestion, key);
    if (search->suggestion.best == key) {
        (void)snprintf(search->best, sizeof search->best, "%s", key);
        search->suggestion.best = search->best;
    }
}

/* A device of one channel may once have had several, and then keeps its suffixes. Costs and updates hang on
 * what stands elsewhere. */
static void search_device(const struct config_device *device, struct search *search)
{
    const char **channels memory_auto = memory_new(device->channel_count + 1, sizeof *channels);
    const char *alarms[DEVICE_ALARMS_MAX];
    struct device_description description = {
        .id = device->id,
        .channel_count = device->channel_count,
        .channel_names = channels,
        .alarm_names = alarms,
        .currency = "EUR",
        .updatable = true,
    };
    for (size_t i = 0; i < device->channel_count; i++)
        channels[i] = device->channels[i].name;
    for (size_t i = 0; i < device->alarm_count && i < DEVICE_ALARMS_MAX; i++)
        alarms[description.alarm_count++] = device->alarms[i].name;
    properties_visit(&description, look, search);
    buttons_visit(&description, look, search);
    description.keeps_suffixes = true;
    properties_visit(&description, look, search);
    buttons_visit(&description, look, search);
}

static void check_key(const struct config_device *device, const char *key, struct place place,
                      struct config_problems *problems)
{
    struct search search = {.key = key, .suggestion = {.word = key}};
    if (key[0] == '\0')
        return; /* reported already */
    search_device(device, &search);
    if (search.found)
        return;
    problems_add(problems, CONFIG_ERROR, place, "The device %s has no property %s.%s%s%s",
                 device->id, key, search.suggestion.best != NULL ? " Did you mean " : "",
                 search.suggestion.best != NULL ? search.suggestion.best : "",
                 search.suggestion.best != NULL
                     ? "?"
                     : " Its properties are the keys of its state; docs/mqtt.md lists them.");
}

static void check_excluded(const struct config_device *device, struct yaml_node *node,
                           struct config_problems *problems)
{
    struct yaml_node *list = yaml_node_at(node, "homeassistant.exclude");
    struct yaml_node *child = list != NULL && list->kind == YAML_SEQUENCE ? list->first : NULL;
    struct place place = list != NULL ? list->place : node->place;
    for (const char *at = device->homeassistant.exclude; *at != '\0';) {
        char key[PROPERTY_KEY_SIZE];
        size_t length = strcspn(at, ",");
        (void)snprintf(key, sizeof key, "%.*s", (int)length, at);
        check_key(device, key, child != NULL ? child->place : place, problems);
        child = child != NULL ? child->next : NULL;
        at += length + (at[length] == ',' ? 1 : 0);
    }
}

static void check_entities(const struct config_device *device, struct yaml_node *node,
                           struct config_problems *problems)
{
    const struct config_device_homeassistant *there = &device->homeassistant;
    const struct yaml_node *list = yaml_node_at(node, "homeassistant.entities");
    const struct yaml_node *child =
        list != NULL && list->kind == YAML_SEQUENCE ? list->first : NULL;
    for (size_t i = 0; i < there->entity_count; i++) {
        const struct yaml_node *property =
            child != NULL ? yaml_node_child(child, "property") : NULL;
        struct place place = property != NULL ? property->place : node->place;
        check_key(device, there->entities[i].property, place, problems);
        for (size_t j = 0; j < i; j++)
            if (there->entities[i].property[0] != '\0' &&
                strcmp(there->entities[i].property, there->entities[j].property) == 0)
                problems_add(problems, CONFIG_ERROR, place, "%s stands there twice.",
                             there->entities[i].property);
        child = child != NULL ? child->next : NULL;
    }
}

void checks_entities(const struct config *config, const struct device_notes *devices,
                     struct config_problems *problems)
{
    for (size_t i = 0; i < config->device_count; i++) {
        const struct config_device *device = &config->devices[i];
        struct yaml_node *node = devices[i].own.node;
        bool something =
            device->homeassistant.exclude[0] != '\0' || device->homeassistant.entity_count > 0;
        if (!something || node == NULL || device->channel_count > DEVICE_CHANNELS_MAX)
            continue;
        check_excluded(device, node, problems);
        check_entities(device, node, problems);
    }
}
