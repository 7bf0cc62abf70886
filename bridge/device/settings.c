/* SPDX-License-Identifier: MIT */
#include "bridge/device/settings.h"

#include "bridge/device/properties.h"

#include <math.h>
#include <string.h>

#define DEPTH_MAX 8 /* jansson's parser is recursive */

/* Brackets inside strings count as well: no setting has any. */
static bool too_deep(const char *text, size_t length)
{
    size_t depth = 0;
    for (size_t i = 0; i < length; i++)
        if (text[i] == '{' || text[i] == '[')
            depth++;
    return depth > DEPTH_MAX;
}

/* In thousandths; finer than that is none. */
static bool read_milli(const json_t *value, const struct property *property, int64_t *milli)
{
    double number = json_number_value(value) * 1000;
    if (!json_is_number(value) || number < (double)property->low_milli ||
        number > (double)property->high_milli || fabs(number - round(number)) > 1e-6)
        return false;
    *milli = llround(number);
    return true;
}

static enum status take_number(const char *key, const struct property *property,
                               const json_t *value, struct settings *settings, struct error *error)
{
    int64_t milli;
    if (!read_milli(value, property, &milli))
        return error_set(error, STATUS_USAGE, "\"%s\" must be a number from %g to %g %s.", key,
                         (double)property->low_milli / 1000, (double)property->high_milli / 1000,
                         property->unit);
    if (property->source == SOURCE_REPORT_INTERVAL) {
        settings->has_report_interval = true;
        settings->report_interval_ms = milli;
    }
    bool whole = milli % 1000 == 0;
    json_int_t shown = (json_int_t)(whole ? milli / 1000 : milli);
    (void)json_object_set_new(
        settings->options, property->name,
        json_sprintf("%" JSON_INTEGER_FORMAT "%s", shown, whole ? "s" : "ms"));
    return STATUS_OK;
}

static enum status take_choice(const char *key, const struct property *property,
                               const json_t *value, struct settings *settings, struct error *error)
{
    const char *word = json_string_value(value);
    char words[80];
    struct text text;
    text_init(&text, words, sizeof words);
    for (size_t i = 0; i < PROPERTY_OPTIONS_MAX && property->options[i] != NULL; i++) {
        text_append(&text, "%s%s", i == 0 ? "" : ", ", property->options[i]);
        if (word == NULL || strcmp(word, property->options[i]) != 0)
            continue;
        (void)json_object_set_new(settings->options, property->name, json_string(word));
        return STATUS_OK;
    }
    return error_set(error, STATUS_USAGE, "\"%s\" must be one of %s.", key, words);
}

static enum status take_flag(const char *key, const struct property *property, const json_t *value,
                             struct settings *settings, struct error *error)
{
    if (!json_is_boolean(value))
        return error_set(error, STATUS_USAGE, "\"%s\" must be true or false.", key);
    (void)json_object_set_new(settings->options, property->name, json_boolean(json_is_true(value)));
    return STATUS_OK;
}

static enum status refuse(const char *key, struct error *error)
{
    char names[120];
    struct text text;
    text_init(&text, names, sizeof names);
    for (size_t i = 0; i < property_count; i++)
        if (properties[i].settable)
            text_append(&text, "%s%s", text.length == 0 ? "" : ", ", properties[i].name);
    return error_set(error, STATUS_USAGE, "\"%.40s\" cannot be set; what can be set is %s.", key,
                     names);
}

static enum status take_setting(const char *key, const json_t *value, struct settings *settings,
                                struct error *error)
{
    const char *name = strcmp(key, "update_frequency") == 0 ? "report_interval" : key;
    const struct property *property = property_find(name);
    if (property == NULL || !property->settable)
        return refuse(key, error);
    if (property->platform == PLATFORM_SELECT)
        return take_choice(key, property, value, settings, error);
    if (property->platform == PLATFORM_SWITCH)
        return take_flag(key, property, value, settings, error);
    return take_number(key, property, value, settings, error);
}

static enum status take_object(json_t *object, struct settings *settings, struct error *error)
{
    const char *key;
    json_t *value;
    if (json_object_size(object) == 0)
        return error_set(error, STATUS_USAGE, "The payload sets nothing.");
    json_object_foreach(object, key, value)
    {
        enum status status = take_setting(key, value, settings, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* set/output takes the bare word, too. */
static bool takes_words(const char *key)
{
    const struct property *property = key == NULL ? NULL : property_find(key);
    return property != NULL && property->platform == PLATFORM_SELECT;
}

enum status settings_parse(const char *key, const char *payload, size_t length,
                           struct settings *settings, struct error *error)
{
    *settings = (struct settings){.has_report_interval = false};
    if (length > SETTINGS_PAYLOAD_MAX || too_deep(payload, length))
        return error_set(error, STATUS_USAGE,
                         "The payload is longer than %d bytes or nested more than %d levels deep.",
                         SETTINGS_PAYLOAD_MAX, DEPTH_MAX);
    struct settings wanted = {.options = json_object()};
    json_error_t problem;
    json_t *json = json_loadb(
        payload, length, JSON_REJECT_DUPLICATES | (key != NULL ? JSON_DECODE_ANY : 0), &problem);
    if (json == NULL && takes_words(key))
        json = json_stringn(payload, length);
    enum status status = STATUS_USAGE;
    if (json == NULL)
        (void)error_set(error, STATUS_USAGE,
                        "The payload is not valid JSON: %s (line %d, column %d).", problem.text,
                        problem.line, problem.column);
    else if (key != NULL)
        status = take_setting(key, json, &wanted, error);
    else if (!json_is_object(json))
        (void)error_set(error, STATUS_USAGE,
                        "The payload must be a JSON object, {\"report_interval\": 10}.");
    else
        status = take_object(json, &wanted, error);
    json_decref(json);
    if (status == STATUS_OK)
        *settings = wanted;
    else
        json_decref(wanted.options);
    return status;
}
