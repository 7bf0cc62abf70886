/* SPDX-License-Identifier: MIT */
#include "bridge/config/json.h"

#include "bridge/config/field_json.h"

#include <string.h>

/* A default as a JSON value, by the way that it takes into a config. */
static json_t *initial_json(const struct field *field)
{
    union {
        struct config file;
        struct config_device device;
        struct config_channel channel;
        struct config_tariff tariff;
        struct config_tariff_window window;
        struct config_sink sink;
        struct config_alarm alarm;
        struct config_entity entity;
    } target;
    char unused[200];
    struct text hint;
    memset(&target, 0, sizeof target);
    text_init(&hint, unused, sizeof unused);
    json_t *result = NULL;
    if (field->type == FIELD_DURATION) /* 60s is nicer than the 1m that it becomes */
        result = json_string(field->initial);
    else if (field_store(field, field->initial, false, &target, &hint))
        result = field_to_json(field, &target);
    fields_release(field->scope, &target);
    return result;
}

static void describe_text(const struct field *field, json_t *schema)
{
    /* Free texts may look like numbers: password: 12345 */
    bool any = field->rule == TEXT_ANY || field->rule == TEXT_NAME;
    json_object_set_new(schema, "type",
                        any ? json_pack("[s,s]", "string", "number") : json_string("string"));
    if (field->rule != TEXT_ANY)
        json_object_set_new(schema, "minLength", json_integer(1));
    json_object_set_new(schema, "maxLength", json_integer((json_int_t)field->high));
    if (!any && text_rule_pattern(field->rule) != NULL)
        json_object_set_new(schema, "pattern", json_string(text_rule_pattern(field->rule)));
}

/* A choice that reads like a number may be written as one: version: 5 */
static void describe_choices(const struct field *field, json_t *schema)
{
    bool numbers = field_choices_are_numbers(field);
    json_t *values = json_array();
    for (const struct field_choice *choice = field->choices; choice->name != NULL; choice++) {
        json_array_append_new(values, field_choice_json(field, choice->name, choice->value));
        if (!numbers && strspn(choice->name, "0123456789") == strlen(choice->name))
            json_array_append_new(values, json_integer(choice->value));
    }
    json_object_set_new(schema, "enum", values);
}

static void describe_duration(const struct field *field, json_t *schema)
{
    json_object_set_new(schema, "type", json_string("string"));
    json_object_set_new(schema, "pattern",
                        json_string(field->forever ? "^([0-9]+(ms|s|m|h|d|y)|forever)$"
                                                   : "^[0-9]+(ms|s|m|h|d|y)$"));
    json_object_set_new(schema, "x-range",
                        json_pack("[o,o]", field_duration_json((int64_t)field->low),
                                  field_duration_json((int64_t)field->high)));
}

static void describe_number(const struct field *field, json_t *schema)
{
    json_object_set_new(schema, "type",
                        json_string(field->type == FIELD_INTEGER ? "integer" : "number"));
    json_object_set_new(schema, "minimum", field_number_json(field->low));
    json_object_set_new(schema, "maximum", field_number_json(field->high));
}

/* Also as the text that an environment variable has. */
static void describe_set(const struct field *field, json_t *schema)
{
    char pattern[200];
    char words[100];
    struct text text;
    text_init(&text, words, sizeof words);
    for (const struct field_choice *choice = field->choices; choice->name != NULL; choice++)
        text_append(&text, "%s%s", choice == field->choices ? "" : "|", choice->name);
    text_init(&text, pattern, sizeof pattern);
    text_append(&text, "^(%s)( *, *(%s))*$", words, words);
    json_t *item = json_object();
    describe_choices(field, item);
    json_object_set_new(schema, "type", json_pack("[s,s]", "array", "string"));
    json_object_set_new(schema, "items", item);
    json_object_set_new(schema, "minItems", json_integer(1));
    json_object_set_new(schema, "uniqueItems", json_true());
    json_object_set_new(schema, "pattern", json_string(pattern));
}

static void describe_type(const struct field *field, json_t *schema)
{
    switch (field->type) {
    case FIELD_TEXT:
        describe_text(field, schema);
        break;
    case FIELD_BOOL:
        json_object_set_new(schema, "type", json_string("boolean"));
        break;
    case FIELD_INTEGER:
    case FIELD_NUMBER:
    case FIELD_MILLI:
    case FIELD_MICRO:
        describe_number(field, schema);
        break;
    case FIELD_DURATION:
        describe_duration(field, schema);
        break;
    case FIELD_CHOICE:
    case FIELD_WORD:
        describe_choices(field, schema);
        break;
    case FIELD_TEXTS:
        json_object_set_new(schema, "type", json_pack("[s,s]", "array", "string"));
        json_object_set_new(
            schema, "items",
            json_pack("{s:s,s:s}", "type", "string", "pattern", text_rule_pattern(field->rule)));
        json_object_set_new(schema, "minItems", json_integer(1));
        break;
    case FIELD_SET:
        describe_set(field, schema);
        break;
    case FIELD_GROUP:
    case FIELD_DEVICES:
    case FIELD_CHANNELS:
    case FIELD_LIST:
    case FIELD_SINKS:
        break;
    }
}

static json_t *drivers_json(unsigned drivers)
{
    json_t *result = json_array();
    const struct field *driver = field_by_path(SCOPE_DEVICE, "driver");
    for (const struct field_choice *choice = driver->choices; choice->name != NULL; choice++)
        if ((drivers & (1u << choice->value)) != 0)
            json_array_append_new(result, json_string(choice->name));
    return result;
}

static void describe_value(const struct field *field, json_t *schema)
{
    describe_type(field, schema);
    if (field->initial != NULL)
        json_object_set_new(schema, "default", initial_json(field));
    if (field->example != NULL)
        json_object_set_new(schema, "examples", json_pack("[s]", field->example));
    if (field->otherwise != NULL)
        json_object_set_new(schema, "x-otherwise", json_string(field->otherwise));
    if (field->unit != NULL)
        json_object_set_new(schema, "x-unit", json_string(field->unit));
    if (field->drivers != FOR_ALL)
        json_object_set_new(schema, "x-drivers", drivers_json(field->drivers));
}

/* Keys that everybody must give; those of one driver come by `if`. */
static json_t *required_json(enum field_scope scope, unsigned drivers)
{
    json_t *result = json_array();
    for (size_t i = 0; i < field_count; i++) {
        bool wanted = drivers == FOR_ALL
                          ? fields[i].required == FOR_ALL
                          : fields[i].required != FOR_ALL && (fields[i].required & drivers) != 0;
        if (fields[i].scope == scope && wanted)
            json_array_append_new(result, json_string(field_key(&fields[i])));
    }
    return result;
}

/* Keys that a driver does not have. */
static json_t *forbidden_json(enum field_scope scope, unsigned driver)
{
    json_t *result = json_object();
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope && (fields[i].drivers & driver) == 0)
            json_object_set_new(result, field_key(&fields[i]), json_false());
    return result;
}

/* {"if": the driver is so, "then": these keys must, those must not be there} */
static json_t *driver_rule(const struct field_choice *driver)
{
    unsigned bit = 1u << driver->value;
    json_t *device = forbidden_json(SCOPE_DEVICE, bit);
    json_t *channel = json_pack("{s:o}", "properties", forbidden_json(SCOPE_CHANNEL, bit));
    json_t *needed = required_json(SCOPE_CHANNEL, bit);
    /* A channel may be written as nothing at all, but not if there is something it must have. */
    if (json_array_size(needed) > 0)
        json_object_set_new(channel, "type", json_string("object"));
    json_object_set_new(channel, "required", needed);
    json_object_set_new(device, "channels", json_pack("{s:o}", "additionalProperties", channel));
    return json_pack("{s:{s:{s:{s:s}},s:[s]},s:{s:o,s:o}}", "if", "properties", "driver", "const",
                     driver->name, "required", "driver", "then", "properties", device, "required",
                     required_json(SCOPE_DEVICE, bit));
}

static json_t *scope_schema(enum field_scope scope);

static json_t *devices_schema(void)
{
    json_t *rules = json_array();
    const struct field *driver = field_by_path(SCOPE_DEVICE, "driver");
    for (const struct field_choice *choice = driver->choices; choice->name != NULL; choice++)
        json_array_append_new(rules, driver_rule(choice));
    json_t *item = scope_schema(SCOPE_DEVICE);
    json_object_set_new(item, "required", required_json(SCOPE_DEVICE, FOR_ALL));
    json_object_set_new(item, "allOf", rules);
    return json_pack("{s:s,s:i,s:o}", "type", "array", "maxItems", CONFIG_DEVICES_MAX, "items",
                     item);
}

/* Any short name but the reserved ones. */
static json_t *channel_name_schema(void)
{
    char pattern[200];
    struct text text;
    text_init(&text, pattern, sizeof pattern);
    const char *separator = "^(?!(";
    for (const char *const *reserved = channel_names_reserved; *reserved != NULL; reserved++) {
        text_append(&text, "%s%s", separator, *reserved);
        separator = "|";
    }
    text_append(&text, ")$)[a-z0-9]{1,%d}$", CHANNEL_NAME_MAX);
    return json_pack("{s:s}", "pattern", pattern);
}

static json_t *channels_schema(void)
{
    json_t *channel = scope_schema(SCOPE_CHANNEL);
    json_object_set_new(channel, "type", json_pack("[s,s]", "object", "null"));
    return json_pack("{s:s,s:i,s:i,s:o,s:o}", "type", "object", "minProperties", 1, "maxProperties",
                     CONFIG_CHANNELS_MAX, "propertyNames", channel_name_schema(),
                     "additionalProperties", channel);
}

static json_t *list_schema(const struct field *field)
{
    json_t *item = scope_schema(field->item_scope);
    json_object_set_new(item, "required", required_json(field->item_scope, FOR_ALL));
    return json_pack("{s:[s,s],s:I,s:o}", "type", "array", "null", "maxItems",
                     (json_int_t)field->item_limit, "items", item);
}

static json_t *sinks_schema(void)
{
    json_t *item = scope_schema(SCOPE_SINK);
    json_object_set_new(item, "required", required_json(SCOPE_SINK, FOR_ALL));
    return json_pack("{s:[s,s],s:i,s:o}", "type", "array", "null", "maxItems", CONFIG_SINKS_MAX,
                     "items", item);
}

/* The schema of one field, without what stands below it if it is a group. */
static json_t *field_schema(const struct field *field)
{
    json_t *result;
    if (field->type == FIELD_DEVICES) {
        result = devices_schema();
    } else if (field->type == FIELD_CHANNELS) {
        result = channels_schema();
    } else if (field->type == FIELD_LIST) {
        result = list_schema(field);
    } else if (field->type == FIELD_SINKS) {
        result = sinks_schema();
    } else if (field->type == FIELD_GROUP) {
        json_t *types = json_pack("[s,s]", "object", "null");
        if (field->shorthand != NULL)
            json_array_append_new(types, json_string("boolean"));
        result =
            json_pack("{s:o,s:b,s:{}}", "type", types, "additionalProperties", 0, "properties");
    } else {
        result = json_object();
        describe_value(field, result);
    }
    json_object_set_new(result, "description", json_string(field->meaning));
    return result;
}

/* The "properties" of the group that path's parent is, below root's. */
static json_t *properties_for(json_t *root, const char *path)
{
    json_t *properties = json_object_get(root, "properties");
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(path, '.')) {
        char key[64];
        struct text text;
        text_init(&text, key, sizeof key);
        text_append(&text, "%.*s", (int)(dot - path), path);
        properties = json_object_get(json_object_get(properties, key), "properties");
        path = dot + 1;
    }
    return properties;
}

static json_t *scope_schema(enum field_scope scope)
{
    json_t *result =
        json_pack("{s:s,s:b,s:{}}", "type", "object", "additionalProperties", 0, "properties");
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope)
            json_object_set_new(properties_for(result, fields[i].path), field_key(&fields[i]),
                                field_schema(&fields[i]));
    return result;
}

json_t *config_schema(void)
{
    json_t *result =
        json_pack("{s:s,s:s,s:s}", "$schema", "http://json-schema.org/draft-07/schema#", "title",
                  "bridge.yaml", "description",
                  "Configuration of bl2mqtt. Made from the program's own table by "
                  "`bl2mqtt check --print-schema`.");
    json_t *file = scope_schema(SCOPE_FILE);
    json_object_set_new(file, "required", json_pack("[s]", "devices"));
    json_object_update(result, file);
    json_decref(file);
    return result;
}
