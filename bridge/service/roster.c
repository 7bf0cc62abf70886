/* SPDX-License-Identifier: MIT */
#include "bridge/service/roster.h"

#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <jansson.h>
#include <string.h>

#define ROSTER_SIZE_MAX ((size_t)1 << 20)
#define FORMER_MAX 8
#define BRIDGE "/bridge"
#define DISCOVERY ROSTER_DISCOVERY

static json_t *load(const char *path, struct log *log)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    struct error error = {""};
    enum status status = file_read(path, ROSTER_SIZE_MAX, &bytes, &length, &error);
    if (status == STATUS_NO_ANSWER)
        return json_array();
    json_t *topics = status == STATUS_OK ? json_loadb(bytes, length, 0, NULL) : NULL;
    if (json_is_array(topics))
        return topics;
    json_decref(topics);
    log_warning(log,
                "The list of device topics in %s could not be read and is begun anew; retained "
                "messages of devices removed meanwhile stay on the broker. %s",
                path, error.text);
    return json_array();
}

/* Topics as the keys of an object, so that looking one up does not depend on how many there are. */
static json_t *topics_of(const struct config *config)
{
    json_t *topics = json_object();
    json_t *own = json_sprintf("%s/bridge", config->mqtt.base_topic);
    (void)json_object_set_new(topics, json_string_value(own), json_true());
    json_decref(own);
    own = json_sprintf("%s" DISCOVERY, config->homeassistant.discovery_prefix);
    (void)json_object_set_new(topics, json_string_value(own), json_true());
    json_decref(own);
    for (size_t i = 0; i < config->device_count; i++) {
        json_t *topic = json_sprintf("%s/%s", config->mqtt.base_topic, config->devices[i].id);
        (void)json_object_set_new(topics, json_string_value(topic), json_true());
        json_decref(topic);
    }
    return topics;
}

static json_t *list_of(json_t *topics)
{
    json_t *list = json_array();
    const char *topic;
    json_t *unused;
    json_object_foreach(topics, topic, unused)
    {
        (void)json_array_append_new(list, json_string(topic));
    }
    return list;
}

/* Takes the list. */
static void store(const char *path, json_t *list, struct log *log)
{
    char *text memory_auto = json_dumps(list, JSON_INDENT(1));
    json_decref(list);
    struct error error = {""};
    if (text == NULL || file_replace(path, text, strlen(text), 0640, &error) != STATUS_OK)
        log_warning(log, "The list of device topics is not kept. %s", error.text);
}

static bool ends_in(const char *topic, const char *end)
{
    size_t length = strlen(topic), own = strlen(end);
    return length > own && strcmp(topic + length - own, end) == 0;
}

void roster_update(const char *path, const struct config *config,
                   void (*gone)(void *context, const char *topic), void *context, struct log *log)
{
    json_t *before = load(path, log);
    json_t *now = topics_of(config);
    bool changed = json_array_size(before) != json_object_size(now);
    size_t i, former = 0;
    json_t *entry;
    json_array_foreach(before, i, entry)
    {
        const char *topic = json_string_value(entry);
        if (topic == NULL || json_object_get(now, topic) != NULL)
            continue;
        changed = true;
        gone(context, topic);
        /* A broker may be put back to the time of that base topic: it is looked at with every start. */
        if ((ends_in(topic, BRIDGE) || ends_in(topic, DISCOVERY)) && former++ < FORMER_MAX)
            (void)json_object_set_new(now, topic, json_true());
    }
    if (changed)
        store(path, list_of(now), log);
    json_decref(before);
    json_decref(now);
}

void roster_add(const char *path, const char *base_topic, const char *device, struct log *log)
{
    json_t *topics = load(path, log);
    (void)json_array_append_new(topics, json_sprintf("%s/%s", base_topic, device));
    store(path, topics, log);
}
