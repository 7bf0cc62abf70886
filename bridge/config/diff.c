/* SPDX-License-Identifier: MIT */
#include "bridge/config/diff.h"

#include "bridge/config/field_json.h"
#include "bridge/config/fields.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <string.h>

/* Where two structs of one scope are compared: prefix is "" or "devices.house.channels.a.". */
struct comparison {
    enum field_scope scope;
    enum config_reach usual;
    const char *prefix;
    json_t *changed; /* paths; NULL: nobody wants them */
    enum config_reach reach;
};

static void note_change(struct comparison *comparison, const struct field *field)
{
    enum config_reach reach = field->reach == CONFIG_REACH_USUAL ? comparison->usual : field->reach;
    if (reach > comparison->reach)
        comparison->reach = reach;
    char path[200];
    struct text text;
    text_init(&text, path, sizeof path);
    text_append(&text, "%s%s", comparison->prefix, field->path);
    json_array_append_new(comparison->changed, json_string(path));
}

static json_t *items_json(const struct field *list, const void *target);

static json_t *value_json(const struct field *field, const void *target)
{
    return field->type == FIELD_LIST ? items_json(field, target) : field_to_json(field, target);
}

static json_t *struct_json(enum field_scope scope, const void *target)
{
    json_t *result = json_object();
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope &&
            (fields[i].type == FIELD_LIST || field_has_value(&fields[i])))
            json_object_set_new(result, fields[i].path, value_json(&fields[i], target));
    return result;
}

static json_t *items_json(const struct field *list, const void *target)
{
    size_t count;
    const char *items = field_items(list, target, &count);
    json_t *result = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(result, struct_json(list->item_scope, items + i * list->item_size));
    return result;
}

static void compare_structs(struct comparison *comparison, const void *before, const void *after)
{
    for (size_t i = 0; i < field_count; i++) {
        const struct field *field = &fields[i];
        if (field->scope != comparison->scope ||
            !(field->type == FIELD_LIST || field_has_value(field)))
            continue;
        json_t *old = value_json(field, before);
        json_t *new = value_json(field, after);
        if (!json_equal(old, new))
            note_change(comparison, field);
        json_decref(old);
        json_decref(new);
    }
}

static const struct config_channel *find_channel(const struct config_device *device,
                                                 const char *name)
{
    for (size_t i = 0; i < device->channel_count; i++)
        if (strcmp(device->channels[i].name, name) == 0)
            return &device->channels[i];
    return NULL;
}

static void add_path(json_t *changed, const char *device, const char *channel)
{
    char path[200];
    struct text text;
    text_init(&text, path, sizeof path);
    text_append(&text, "devices.%s%s%s", device, channel != NULL ? ".channels." : "",
                channel != NULL ? channel : "");
    json_array_append_new(changed, json_string(path));
}

/* Also when their order changed, on which the numbers of the channels hang. */
static bool same_channels(const struct config_device *before, const struct config_device *after)
{
    if (before->channel_count != after->channel_count)
        return false;
    for (size_t i = 0; i < before->channel_count; i++)
        if (strcmp(before->channels[i].name, after->channels[i].name) != 0)
            return false;
    return true;
}

static enum config_reach compare_channels(const struct config_device *before,
                                          const struct config_device *after, json_t *changed)
{
    enum config_reach reach = CONFIG_REACH_USUAL;
    if (!same_channels(before, after))
        reach = CONFIG_REACH_SOURCE;
    for (size_t i = 0; i < before->channel_count; i++)
        if (find_channel(after, before->channels[i].name) == NULL)
            add_path(changed, before->id, before->channels[i].name);
    for (size_t i = 0; i < after->channel_count; i++) {
        const struct config_channel *channel = &after->channels[i];
        const struct config_channel *old = find_channel(before, channel->name);
        if (old == NULL) {
            add_path(changed, after->id, channel->name);
            continue;
        }
        char prefix[100];
        struct text text;
        text_init(&text, prefix, sizeof prefix);
        text_append(&text, "devices.%s.channels.%s.", after->id, channel->name);
        struct comparison comparison = {.scope = SCOPE_CHANNEL,
                                        .usual = CONFIG_REACH_DEVICE,
                                        .prefix = prefix,
                                        .changed = changed};
        compare_structs(&comparison, old, channel);
        reach = comparison.reach > reach ? comparison.reach : reach;
    }
    return reach;
}

static enum config_reach compare_devices(const struct config_device *before,
                                         const struct config_device *after, json_t *changed)
{
    char prefix[80];
    struct text text;
    text_init(&text, prefix, sizeof prefix);
    text_append(&text, "devices.%s.", after->id);
    struct comparison comparison = {
        .scope = SCOPE_DEVICE, .usual = CONFIG_REACH_DEVICE, .prefix = prefix, .changed = changed};
    compare_structs(&comparison, before, after);
    enum config_reach channels = compare_channels(before, after, changed);
    return channels > comparison.reach ? channels : comparison.reach;
}

static int compare_ids(const void *left, const void *right)
{
    const struct config_device *const *a = left;
    const struct config_device *const *b = right;
    return strcmp((*a)->id, (*b)->id);
}

/* By id, so that both lists can be walked side by side. */
static const struct config_device **sorted(const struct config *config)
{
    const struct config_device **list = memory_new(config->device_count, sizeof *list);
    for (size_t i = 0; i < config->device_count; i++)
        list[i] = &config->devices[i];
    if (config->device_count > 1)
        qsort(list, config->device_count, sizeof *list, compare_ids);
    return list;
}

static void add_device(struct config_diff *diff, size_t *room, struct config_device_diff device)
{
    diff->devices = memory_grow(diff->devices, diff->device_count, room, sizeof *diff->devices);
    diff->devices[diff->device_count++] = device;
}

static void compare_lists(struct config_diff *diff, const struct config *before,
                          const struct config *after)
{
    const struct config_device **old memory_auto = sorted(before);
    const struct config_device **new memory_auto = sorted(after);
    size_t room = 0;
    size_t i = 0, j = 0;
    while (i < before->device_count || j < after->device_count) {
        int order = i == before->device_count  ? 1
                    : j == after->device_count ? -1
                                               : strcmp(old[i]->id, new[j]->id);
        struct config_device_diff device = {.reach = CONFIG_REACH_SOURCE};
        if (order < 0) {
            device.change = CONFIG_DEVICE_REMOVED;
            device.before = old[i++];
            add_path(diff->changed, device.before->id, NULL);
        } else if (order > 0) {
            device.change = CONFIG_DEVICE_ADDED;
            device.after = new[j++];
            add_path(diff->changed, device.after->id, NULL);
        } else {
            device.change = CONFIG_DEVICE_CHANGED;
            device.before = old[i++];
            device.after = new[j++];
            device.reach = compare_devices(device.before, device.after, diff->changed);
        }
        if (device.reach != CONFIG_REACH_USUAL)
            add_device(diff, &room, device);
    }
}

static json_t *sinks_json(const struct config *config)
{
    json_t *result = json_array();
    for (size_t i = 0; i < config->sink_count; i++)
        json_array_append_new(result, struct_json(SCOPE_SINK, &config->sinks[i]));
    return result;
}

/* Sinks are started and stopped with the history, all together. */
static void compare_sinks(struct config_diff *diff, const struct config *before,
                          const struct config *after)
{
    json_t *old = sinks_json(before);
    json_t *new = sinks_json(after);
    if (!json_equal(old, new)) {
        json_array_append_new(diff->changed, json_string("sinks"));
        diff->reach = CONFIG_REACH_RESTART;
    }
    json_decref(old);
    json_decref(new);
}

void config_diff(const struct config *before, const struct config *after, struct config_diff *diff)
{
    *diff = (struct config_diff){.changed = json_array()};
    struct comparison comparison = {
        .scope = SCOPE_FILE, .usual = CONFIG_REACH_RESTART, .prefix = "", .changed = diff->changed};
    compare_structs(&comparison, before, after);
    diff->reach = comparison.reach;
    compare_sinks(diff, before, after);
    compare_lists(diff, before, after);
}

void config_diff_release(struct config_diff *diff)
{
    json_decref(diff->changed);
    free(diff->devices);
    *diff = (struct config_diff){0};
}

bool config_diff_restart_required(const struct config_diff *diff)
{
    bool required = diff->reach == CONFIG_REACH_RESTART;
    for (size_t i = 0; i < diff->device_count; i++)
        required = required || diff->devices[i].reach == CONFIG_REACH_RESTART;
    return required;
}
