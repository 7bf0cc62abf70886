/* SPDX-License-Identifier: MIT */
#include "bridge/config/json.h"

#include "bridge/config/field_json.h"

#include <string.h>

#define REDACTED "********"

/* The object in which field belongs, below root: created on the way for its groups. */
static json_t *object_for(json_t *root, const char *path)
{
    json_t *object = root;
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(path, '.')) {
        char key[64];
        struct text text;
        text_init(&text, key, sizeof key);
        text_append(&text, "%.*s", (int)(dot - path), path);
        json_t *child = json_object_get(object, key);
        if (child == NULL) {
            child = json_object();
            json_object_set_new(object, key, child);
        }
        object = child;
        path = dot + 1;
    }
    return object;
}

static json_t *scope_json(enum field_scope scope, const void *target, unsigned drivers,
                          uint64_t from_secret, bool redact);

static json_t *list_json(const struct field *field, const void *target, bool redact)
{
    size_t count;
    const char *items = field_items(field, target, &count);
    json_t *result = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(result, scope_json(field->item_scope, items + i * field->item_size,
                                                 FOR_ALL, 0, redact));
    return result;
}

static json_t *scope_json(enum field_scope scope, const void *target, unsigned drivers,
                          uint64_t from_secret, bool redact)
{
    json_t *result = json_object();
    for (size_t i = 0; i < field_count; i++) {
        const struct field *field = &fields[i];
        bool list = field->type == FIELD_LIST;
        if (field->scope != scope || !(list || field_has_value(field)) ||
            (field->drivers & drivers) == 0)
            continue;
        json_t *value = list ? list_json(field, target, redact) : field_to_json(field, target);
        if (redact && (field->secret || (from_secret & field_bit(field)) != 0) &&
            !json_is_null(value)) {
            json_decref(value);
            value = json_string(REDACTED);
        }
        json_object_set_new(object_for(result, field->path), field_key(field), value);
    }
    return result;
}

static json_t *device_json(const struct config_device *device, bool redact)
{
    unsigned driver = 1u << device->driver;
    json_t *result = scope_json(SCOPE_DEVICE, device, driver, device->from_secret, redact);
    json_t *channels = json_object();
    for (size_t i = 0; i < device->channel_count; i++) {
        const struct config_channel *channel = &device->channels[i];
        json_object_set_new(
            channels, channel->name,
            scope_json(SCOPE_CHANNEL, channel, driver, channel->from_secret, redact));
    }
    json_object_set_new(result, "channels", channels);
    return result;
}

json_t *config_to_json(const struct config *config, bool redact)
{
    json_t *result = scope_json(SCOPE_FILE, config, FOR_ALL, config->from_secret, redact);
    json_t *devices = json_array();
    for (size_t i = 0; i < config->device_count; i++)
        json_array_append_new(devices, device_json(&config->devices[i], redact));
    json_object_set_new(result, "devices", devices);
    json_t *sinks = json_array();
    for (size_t i = 0; i < config->sink_count; i++)
        json_array_append_new(sinks, scope_json(SCOPE_SINK, &config->sinks[i], FOR_ALL,
                                                config->sinks[i].from_secret, redact));
    json_object_set_new(result, "sinks", sinks);
    return result;
}
