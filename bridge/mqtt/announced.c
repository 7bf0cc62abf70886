/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/announced.h"

#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX (8 << 20)

json_t *announced_record(const char *bridge_id, const char *device_id, const char *prefix,
                         bool device_mode, const json_t *components)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:o}", "bridge", bridge_id, "device", device_id, "prefix",
                     prefix, "mode", device_mode ? "device" : "component", "components",
                     json_deep_copy(components));
}

/* Ids and keys become levels of topics, which are then cleared: only harmless ones are believed. */
static bool good_word(const char *word, size_t longest)
{
    size_t length = word == NULL ? 0 : strlen(word);
    return length > 0 && length <= longest &&
           strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               length;
}

static bool good_prefix(const char *prefix)
{
    return prefix != NULL && *prefix != '\0' && strlen(prefix) <= 200 &&
           strpbrk(prefix, "+#") == NULL;
}

static bool good_components(json_t *components)
{
    if (!json_is_object(components))
        return false;
    const char *key;
    json_t *platform;
    json_object_foreach(components, key, platform)
    {
        if (!good_word(key, 64) || !good_word(json_string_value(platform), 32))
            return false;
    }
    return true;
}

static const char *text_of(const json_t *record, const char *key)
{
    return json_string_value(json_object_get(record, key));
}

static bool good_record(const json_t *record)
{
    const char *mode = text_of(record, "mode");
    return good_word(text_of(record, "bridge"), 64) && good_word(text_of(record, "device"), 64) &&
           good_prefix(text_of(record, "prefix")) && mode != NULL &&
           (strcmp(mode, "device") == 0 || strcmp(mode, "component") == 0) &&
           (json_object_get(record, "id") == NULL || good_word(text_of(record, "id"), 64)) &&
           good_components(json_object_get(record, "components"));
}

static bool good_records(const json_t *records)
{
    if (!json_is_array(records))
        return false;
    size_t index;
    json_t *record;
    json_array_foreach(records, index, record)
    {
        if (!good_record(record))
            return false;
    }
    return true;
}

json_t *announced_in_message(const char *payload, size_t length)
{
    json_t *root = json_loadb(payload, length, JSON_REJECT_DUPLICATES, NULL);
    json_t *announced = json_object();
    const char *key;
    json_t *component;
    json_object_foreach(json_object_get(root, "components"), key, component)
    {
        if (json_object_size(component) > 1)
            json_object_set(announced, key, json_object_get(component, "platform"));
    }
    if (json_object_size(announced) == 0 || !good_components(announced)) {
        json_decref(announced);
        announced = NULL;
    }
    json_decref(root);
    return announced;
}

static enum status quarantined(const char *path, const char *problem, struct error *error)
{
    char aside[PATH_MAX];
    struct text text;
    text_init(&text, aside, sizeof aside);
    text_append(&text, "%s.damaged", path);
    bool moved = !text.cut && rename(path, aside) == 0;
    return error_set(
        error, STATUS_FAILED,
        "%s, the memory of what Home Assistant was reported, is damaged (%s). It was %s; "
        "entities that have been removed since may have to be deleted in Home Assistant "
        "by hand.",
        path, problem, moved ? "quarantined as *.damaged" : "left and will be replaced");
}

enum status announced_load(const char *path, json_t **records, struct error *error)
{
    *records = json_array();
    char *bytes memory_auto = NULL;
    size_t length = 0;
    struct error problem = {.text = ""};
    enum status status = file_read(path, FILE_BYTES_MAX, &bytes, &length, &problem);
    if (status == STATUS_NO_ANSWER)
        return STATUS_OK;
    if (status != STATUS_OK)
        return quarantined(path, problem.text, error);

    json_error_t place;
    json_t *root = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &place);
    if (root == NULL)
        return quarantined(path, place.text, error);
    json_t *list = json_object_get(root, "devices");
    if (!good_records(list)) {
        json_decref(root);
        return quarantined(path, "it is not what this program wrote", error);
    }
    json_decref(*records);
    *records = json_incref(list);
    json_decref(root);
    return STATUS_OK;
}

char *announced_format(const json_t *records)
{
    json_t *root = json_pack("{s:i,s:O}", "version", 1, "devices", records);
    char *text = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    return text;
}

enum status announced_write(const char *path, const char *text, struct error *error)
{
    enum status status = file_replace(path, text, strlen(text), 0640, error);
    if (status == STATUS_OK)
        return STATUS_OK;
    return error_prefix(
        error, status,
        "What Home Assistant was told could not be remembered, so entities that are "
        "removed now may have to be deleted there by hand. ");
}
