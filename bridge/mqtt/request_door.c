/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/request_door.h"

#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

#define REQUEST_LEVELS "bridge/request/"

struct mqtt_door {
    struct request_door_options options;
    char *base_topic;
};

static void subscribe(const struct mqtt_door *door, const char *rest)
{
    char filter[256];
    (void)snprintf(filter, sizeof filter, "%s/%s", door->base_topic, rest);
    publisher_subscribe(door->options.publisher, filter, 1);
}

struct mqtt_door *mqtt_door_create(const struct request_door_options *options)
{
    struct mqtt_door *door = memory_new(1, sizeof *door);
    door->options = *options;
    door->base_topic = memory_copy_text(options->base_topic);
    subscribe(door, REQUEST_LEVELS "#");
    subscribe(door, "+/set");
    subscribe(door, "+/set/+");
    subscribe(door, "+/get");
    return door;
}

void mqtt_door_free(struct mqtt_door *door)
{
    if (door == NULL)
        return;
    free(door->base_topic);
    free(door);
}

static void on_answer(void *context, const struct request_answer *answer)
{
    const struct mqtt_door *door = context;
    char topic[256 + REQUEST_NAME_SIZE];
    (void)snprintf(topic, sizeof topic, "%s/bridge/response/%s", door->base_topic, answer->name);
    publisher_event(door->options.publisher, topic, answer->text, answer->length, 1);
}

static void submit(struct mqtt_door *door, const char *name,
                   const struct publisher_incoming *incoming)
{
    const struct request_door own = {
        .name = "MQTT",
        .answer = on_answer,
        .context = door,
        .answer_max = REQUEST_DOOR_ANSWER_MAX,
    };
    (void)requests_submit(door->options.requests, name, incoming->payload, incoming->payload_length,
                          &own);
}

static bool take_part(const char *from, size_t length, char part[64])
{
    if (length == 0 || length >= 64)
        return false;
    memcpy(part, from, length);
    part[length] = '\0';
    return true;
}

enum device_order mqtt_door_device_order(const char *rest, char device[64], char key[64])
{
    const char *slash = strchr(rest, '/');
    key[0] = '\0';
    if (slash == NULL || !take_part(rest, (size_t)(slash - rest), device))
        return DEVICE_ORDER_NONE;
    if (strcmp(slash, "/get") == 0)
        return DEVICE_ORDER_GET;
    if (strcmp(slash, "/set") == 0)
        return DEVICE_ORDER_SET;
    if (strncmp(slash, "/set/", 5) == 0 && strchr(slash + 5, '/') == NULL &&
        take_part(slash + 5, strlen(slash + 5), key))
        return DEVICE_ORDER_SET;
    return DEVICE_ORDER_NONE;
}

static bool carry_out(struct mqtt_door *door, const char *rest,
                      const struct publisher_incoming *incoming)
{
    char device[64], key[64];
    const struct request_door_options *options = &door->options;
    switch (mqtt_door_device_order(rest, device, key)) {
    case DEVICE_ORDER_SET:
        return options->set(options->context, device, key[0] == '\0' ? NULL : key,
                            incoming->payload, incoming->payload_length);
    case DEVICE_ORDER_GET:
        return options->get(options->context, device);
    case DEVICE_ORDER_NONE:
        break;
    }
    return false;
}

/* What follows the base topic; NULL: it is not below it. */
static const char *below_base(const struct mqtt_door *door, const char *topic)
{
    size_t length = strlen(door->base_topic);
    return strncmp(topic, door->base_topic, length) == 0 && topic[length] == '/'
               ? topic + length + 1
               : NULL;
}

bool mqtt_door_incoming(struct mqtt_door *door, const struct publisher_incoming *incoming)
{
    const char *rest =
        incoming->kind == PUBLISHER_MESSAGE ? below_base(door, incoming->topic) : NULL;
    if (rest == NULL)
        return false;
    bool request = strncmp(rest, REQUEST_LEVELS, sizeof REQUEST_LEVELS - 1) == 0;
    char device[64], key[64];
    if (!request && mqtt_door_device_order(rest, device, key) == DEVICE_ORDER_NONE)
        return false;
    if (incoming->retained)
        log_repeating(door->options.log, LOG_LEVEL_WARNING, "request retained",
                      "The retained message on %s is ignored; requests must not be retained.",
                      incoming->topic);
    else if (request)
        submit(door, rest + sizeof REQUEST_LEVELS - 1, incoming);
    else if (!carry_out(door, rest, incoming))
        log_repeating(door->options.log, LOG_LEVEL_WARNING, "no such device",
                      "The message on %s is for no device of this bridge.", incoming->topic);
    return true;
}
