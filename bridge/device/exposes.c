/* SPDX-License-Identifier: MIT */
#include "bridge/device/exposes.h"

#include <string.h>

static bool is_binary(const struct property *property)
{
    return property->platform == PLATFORM_BINARY_SENSOR || property->platform == PLATFORM_SWITCH;
}

static const char *type_name(const struct property *property)
{
    if (is_binary(property))
        return "binary";
    if (property->platform == PLATFORM_UPDATE)
        return "update";
    if (property->options[0] != NULL)
        return "enum";
    bool text =
        property->source == SOURCE_PROBLEM_TEXT ||
        (property->device_class != NULL && strcmp(property->device_class, "timestamp") == 0);
    return text ? "text" : "numeric";
}

static const char *category_name(const struct property *property)
{
    if (property->settable)
        return "config";
    return property->diagnostic ? "diagnostic" : NULL;
}

static void add_text(json_t *object, const char *key, const char *value)
{
    if (value != NULL)
        json_object_set_new(object, key, json_string(value));
}

/* Integers stay integers: 1, but 0.1. */
static json_t *thousandths(int64_t milli)
{
    return milli % 1000 == 0 ? json_integer((json_int_t)(milli / 1000))
                             : json_real((double)milli / 1000);
}

static void add_values(json_t *object, const struct property *property)
{
    if (is_binary(property)) {
        json_object_set_new(object, "value_on", json_true());
        json_object_set_new(object, "value_off", json_false());
    }
    if (property->platform == PLATFORM_NUMBER) {
        json_object_set_new(object, "value_min", thousandths(property->low_milli));
        json_object_set_new(object, "value_max", thousandths(property->high_milli));
        json_object_set_new(object, "value_step", thousandths(property->step_milli));
    }
    if (property->options[0] == NULL)
        return;
    json_t *values = json_array();
    for (size_t i = 0; i < PROPERTY_OPTIONS_MAX && property->options[i] != NULL; i++)
        json_array_append_new(values, json_string(property->options[i]));
    json_object_set_new(object, "values", values);
}

struct list_writer {
    const struct device_description *device;
    json_t *list;
};

static void add_property(void *context, const struct property *property, int channel,
                         const char *key)
{
    struct list_writer *writer = context;
    char label[64];
    property_label(property, writer->device, channel, label, sizeof label);

    json_t *object = json_object();
    add_text(object, "type", type_name(property));
    add_text(object, "name", key);
    add_text(object, "property", key);
    add_text(object, "label", label);
    add_text(object, "description", property->description);
    json_object_set_new(
        object, "access",
        json_integer(EXPOSES_PUBLISHED | (property->settable ? EXPOSES_SETTABLE : 0)));
    add_text(object, "unit", property_unit(property, writer->device));
    add_text(object, "category", category_name(property));
    add_values(object, property);
    json_array_append_new(writer->list, object);
}

json_t *exposes_list(const struct device_description *device)
{
    struct list_writer writer = {.device = device, .list = json_array()};
    properties_visit(device, add_property, &writer);
    return writer.list;
}
