/* SPDX-License-Identifier: MIT */
#include "drivers/openbeken/discovery.h"

#include "drivers/base/plain.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

bool openbeken_discovery_topic(const char *prefix, const char *topic)
{
    size_t length = strlen(prefix);
    if (strncmp(topic, prefix, length) != 0 || strncmp(topic + length, "/sensor/", 8) != 0)
        return false;
    const char *object = topic + length + 8;
    const char *slash = strchr(object, '/');
    return slash != NULL && slash > object && strcmp(slash, "/config") == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

bool openbeken_discovery_of_total(const char *topic)
{
    return ends_with(topic, "_sensor_3/config") || ends_with(topic, "_sensor_b_3/config");
}

/* False if the text is longer than fits or not clean; a missing one is "". */
static bool copy_text(const json_t *object, const char *key, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));
    text[0] = '\0';
    if (value == NULL)
        return true;
    if (strlen(value) >= size || !plain_is(value, strlen(value)))
        return false;
    (void)snprintf(text, size, "%s", value);
    return true;
}

static enum openbeken_unit unit_of(const json_t *root)
{
    const char *unit = json_string_value(json_object_get(root, "unit_of_meas"));
    if (unit != NULL && strcmp(unit, "Wh") == 0)
        return OPENBEKEN_WH;
    if (unit != NULL && strcmp(unit, "kWh") == 0)
        return OPENBEKEN_KWH;
    return OPENBEKEN_UNIT_UNKNOWN;
}

/* "~/voltage/get" reads like a topic of the client "~". */
static void read_value(const json_t *root, struct openbeken_discovery *discovery)
{
    struct openbeken_topic candidates[OPENBEKEN_CANDIDATES];
    const char *topic = json_string_value(json_object_get(root, "stat_t"));
    if (topic == NULL || strncmp(topic, "~/", 2) != 0 ||
        openbeken_topic_read(topic, candidates) != 1 || candidates[0].kind != OPENBEKEN_VALUE)
        return;
    discovery->is_value = true;
    discovery->chip = candidates[0].chip;
    discovery->quantity = candidates[0].quantity;
    if (discovery->quantity != OPENBEKEN_ENERGY)
        return;
    discovery->unit = unit_of(root);
    discovery->unit_foreign =
        discovery->unit == OPENBEKEN_UNIT_UNKNOWN && json_object_get(root, "unit_of_meas") != NULL;
}

static bool read_device(const json_t *root, struct openbeken_discovery *discovery)
{
    const json_t *device = json_object_get(root, "dev");
    const char *id = json_string_value(json_array_get(json_object_get(device, "ids"), 0));
    const char *unique = json_string_value(json_object_get(root, "uniq_id"));
    /* OpenBeken's mark: unique ids begin with the device's only id. */
    if (id == NULL || *id == '\0' || unique == NULL || strncmp(unique, id, strlen(id)) != 0 ||
        unique[strlen(id)] != '_' || strlen(id) > OPENBEKEN_NAME_MAX || !plain_is(id, strlen(id)))
        return false;
    (void)snprintf(discovery->long_name, sizeof discovery->long_name, "%s", id);
    return copy_text(device, "name", discovery->name, sizeof discovery->name) &&
           copy_text(device, "mf", discovery->chipset, sizeof discovery->chipset) &&
           copy_text(device, "cu", discovery->page, sizeof discovery->page);
}

bool openbeken_discovery(const char *payload, size_t length, struct openbeken_discovery *discovery)
{
    *discovery = (struct openbeken_discovery){.client = ""};
    if (length == 0 || length > OPENBEKEN_JSON_MAX)
        return false;
    json_t *root = json_loadb(payload, length, JSON_REJECT_DUPLICATES, NULL);
    if (root == NULL)
        return false;
    bool good = copy_text(root, "~", discovery->client, sizeof discovery->client) &&
                discovery->client[0] != '\0' && strpbrk(discovery->client, "+#") == NULL &&
                read_device(root, discovery);
    if (good)
        read_value(root, discovery);
    json_decref(root);
    return good;
}
