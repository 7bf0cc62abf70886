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

/* json_number_value of a 64-bit integer may round, so integers stay integers. */
static bool whole_number(const json_t *value, int64_t *whole)
{
    if (json_is_integer(value)) {
        *whole = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || real != floor(real) || fabs(real) > 9007199254740992.0 /* 2^53 */)
        return false;
    *whole = (int64_t)real;
    return true;
}

static enum status take_setting(const char *key, const json_t *value, struct settings *settings,
                                struct error *error)
{
    const char *name = strcmp(key, "update_frequency") == 0 ? "report_interval" : key;
    const struct property *property = property_find(name);
    if (property == NULL || !property->settable)
        return error_set(error, STATUS_USAGE,
                         "\"%.40s\" cannot be set; what can be set is report_interval.", key);
    int64_t whole;
    if (!whole_number(value, &whole) || whole < property->low || whole > property->high)
        return error_set(error, STATUS_USAGE, "\"%s\" must be an integer from %lld to %lld %s.",
                         key, (long long)property->low, (long long)property->high, property->unit);
    settings->has_report_interval = true;
    settings->report_interval_ms = whole * 1000;
    (void)json_object_set_new(settings->options, property->name,
                              json_sprintf("%llds", (long long)whole));
    return STATUS_OK;
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
