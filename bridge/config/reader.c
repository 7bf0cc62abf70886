/* SPDX-License-Identifier: MIT */
#include "bridge/config/reader.h"

#include "bridge/config/report.h"
#include "drivers/base/memory.h"

#include <stdlib.h>
#include <string.h>

static void read_devices(struct target *target, const struct field *field, struct yaml_node *node);
static void read_channels(struct target *target, const struct field *field, struct yaml_node *node);
static void read_sinks(struct target *target, const struct field *field, struct yaml_node *node);

static void read_list(struct target *target, const struct field *field, struct yaml_node *node);

static void read_value(struct target *target, const struct field *field,
                       const struct yaml_node *node)
{
    char reason[200];
    struct text hint;
    text_init(&hint, reason, sizeof reason);
    if (node->kind != YAML_SCALAR ||
        !field_store(field, node->text, node->quoted, target->memory, &hint)) {
        report_value(target, field, node, reason);
        return;
    }
    if (node->secret)
        *target->from_secret |= field_bit(field);
}

static void read_set(struct target *target, const struct field *field, const struct yaml_node *node)
{
    char reason[200];
    char words[200];
    struct text hint;
    struct text text;
    int64_t value = 0;
    text_init(&text, words, sizeof words);
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        text_init(&hint, reason, sizeof reason);
        if (child->kind == YAML_BROKEN) {
            target->notes->failed |= field_bit(field);
        } else if (child->kind != YAML_SCALAR ||
                   !field_set_add(field, child->text, &value, &hint)) {
            report_value(target, field, child, reason);
        } else {
            text_append(&text, "%s%s", text.length == 0 ? "" : ",", child->text);
            if (child->secret)
                *target->from_secret |= field_bit(field);
        }
    }
    if (node->count == 0)
        report_value(target, field, node, "It is empty.");
    text_init(&hint, reason, sizeof reason);
    if (text.length > 0)
        (void)field_store(field, words, false, target->memory, &hint); /* each word is good */
}

/* Each element is judged by itself, so that a problem stands at its own place. */
static void read_texts(struct target *target, const struct field *field,
                       const struct yaml_node *node)
{
    char reason[200];
    struct text hint;
    size_t size = 1;
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next)
        size += child->kind == YAML_SCALAR ? strlen(child->text) + 1 : 0;
    char *joined memory_auto = memory_new(1, size);
    struct text text;
    text_init(&text, joined, size);
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        text_init(&hint, reason, sizeof reason);
        if (child->kind == YAML_SCALAR && strchr(child->text, ',') == NULL &&
            field_store(field, child->text, child->quoted, target->memory, &hint))
            text_append(&text, "%s%s", text.length == 0 ? "" : ",", child->text);
        else if (child->kind != YAML_BROKEN)
            report_value(target, field, child, reason);
    }
    if (node->count == 0)
        report_value(target, field, node, "It is empty.");
    text_init(&hint, reason, sizeof reason);
    if (text.length > 0)
        (void)field_store(field, joined, false, target->memory, &hint); /* each text is good */
}

static void read_group(struct target *target, const char *prefix, struct yaml_node *node);

static void read_field(struct target *target, const struct field *field, struct yaml_node *node)
{
    target->notes->given |= field_bit(field);
    if (node->kind == YAML_BROKEN) { /* reported already */
        target->notes->failed |= field_bit(field);
        return;
    }
    switch (field->type) {
    case FIELD_GROUP:
        if (node->kind == YAML_MAPPING)
            read_group(target, field->path, node);
        else if (node->kind == YAML_SCALAR && field->shorthand != NULL)
            read_field(target, field_by_path(field->scope, field->shorthand), node);
        else if (node->kind != YAML_NOTHING) /* all of its keys may be commented out */
            report_value(target, field, node, "");
        break;
    case FIELD_DEVICES:
        read_devices(target, field, node);
        break;
    case FIELD_CHANNELS:
        read_channels(target, field, node);
        break;
    case FIELD_SINKS:
        read_sinks(target, field, node);
        break;
    case FIELD_LIST:
        read_list(target, field, node);
        break;
    case FIELD_TEXTS:
        if (node->kind == YAML_SEQUENCE)
            read_texts(target, field, node);
        else
            read_value(target, field, node);
        break;
    case FIELD_SET:
        if (node->kind == YAML_SEQUENCE)
            read_set(target, field, node);
        else
            read_value(target, field, node);
        break;
    default:
        read_value(target, field, node);
    }
}

static void read_group(struct target *target, const char *prefix, struct yaml_node *node)
{
    for (struct yaml_node *child = node->first; child != NULL; child = child->next) {
        const struct field *field = field_find(target->scope, prefix, child->key);
        if (field == NULL)
            report_unknown_key(target, prefix, child);
        else if ((field->drivers & target->drivers) == 0)
            report_other_driver(target, field, child);
        else
            read_field(target, field, child);
    }
}

/* Reads a mapping into a scope's struct and reports what is required and not there. */
static void read_scope(struct target *target, struct yaml_node *node)
{
    target->notes->node = node;
    read_group(target, "", node);
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].scope == target->scope &&
            (fields[i].required & target->drivers) == target->drivers &&
            (target->notes->given & field_bit(&fields[i])) == 0)
            report_missing(target, &fields[i]);
    }
}

/* ---- lists ---- */

static void read_item(struct target *list, const struct field *field, void *memory, size_t number,
                      struct yaml_node *node)
{
    uint64_t from_secret = 0;
    struct notes notes = {.node = node};
    struct target target = {
        .reader = list->reader,
        .scope = field->item_scope,
        .memory = memory,
        .from_secret = &from_secret,
        .notes = &notes,
        .drivers = FOR_ALL,
    };
    struct text label;
    text_init(&label, target.label, sizeof target.label);
    text_append(&label, "%s%s[%zu].", list->label, field->path, number + 1);
    if (node->kind == YAML_MAPPING)
        read_scope(&target, node);
    else if (node->kind != YAML_BROKEN)
        problems_add(
            list->reader->problems, CONFIG_ERROR, node->place,
            "%.*s must be a group of keys: `- key: value`, and below, indented like it, its "
            "other keys.",
            (int)label.length - 1, target.label);
    if (from_secret != 0) /* which element's, and which value, is not kept: all of it is secret */
        *list->from_secret |= field_bit(field);
}

static void read_list(struct target *target, const struct field *field, struct yaml_node *node)
{
    if (node->kind == YAML_NOTHING) /* all of it may be commented out */
        return;
    if (node->kind != YAML_SEQUENCE) {
        report_value(target, field, node, "");
        return;
    }
    if (node->count > field->item_limit) {
        target->notes->failed |= field_bit(field);
        problems_add(target->reader->problems, CONFIG_ERROR, node->place,
                     "%s%s has %zu elements; at most %zu are possible.", target->label, field->path,
                     node->count, field->item_limit);
        return;
    }
    size_t count;
    size_t number = 0;
    field_make_items(field, target->memory, node->count);
    char *items = field_items(field, target->memory, &count);
    for (struct yaml_node *child = node->first; child != NULL; child = child->next, number++)
        read_item(target, field, items + number * field->item_size, number, child);
}

/* ---- channels ---- */

static bool is_reserved(const char *name)
{
    for (const char *const *reserved = channel_names_reserved; *reserved != NULL; reserved++)
        if (strcmp(*reserved, name) == 0)
            return true;
    return false;
}

static void check_channel_name(const struct target *device, const struct yaml_node *node)
{
    const char *name = node->key;
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
    char shown[200];
    struct text text;
    text_init(&text, shown, sizeof shown);
    append_quoted(&text, name);
    if (length == 0 || name[length] != '\0' || length > CHANNEL_NAME_MAX)
        problems_add(device->reader->problems, CONFIG_ERROR, node->key_place,
                     "%s is no name for a channel; it must be 1 to %d of a-z and 0-9, for example "
                     "a.",
                     shown, CHANNEL_NAME_MAX);
    else if (is_reserved(name))
        problems_add(device->reader->problems, CONFIG_ERROR, node->key_place,
                     "A channel cannot be called %s: power_%s or energy_%s already means something "
                     "else.",
                     shown, name, name);
}

/* What was not given follows from what was. */
static void complete_calibration(const struct target *channel, enum config_driver driver)
{
    struct config_channel *memory = channel->memory;
    uint64_t given = channel->notes->given;
    bool voltage = notes_has(given, SCOPE_CHANNEL, "calibration.voltage");
    bool current = notes_has(given, SCOPE_CHANNEL, "calibration.current");
    bool power = notes_has(given, SCOPE_CHANNEL, "calibration.power");
    enum reading_kind kind = config_reading_kind(driver);
    struct calibration standard = calibration_default(kind);
    struct calibration *calibration = &memory->calibration;

    memory->calibrated = voltage || current || power;
    if (!voltage)
        calibration->voltage = standard.voltage;
    if (!current)
        calibration->current = standard.current;
    if (power)
        return;
    /* The identity holds for the chip; a module's own numbers are corrected one by one. */
    if (kind == READING_BL0942 && (voltage || current))
        calibration->power = calibration_power_from(calibration->voltage, calibration->current);
    else
        calibration->power = standard.power;
}

static void read_channel(struct target *device, struct config_channel *channel, struct notes *notes,
                         struct yaml_node *node)
{
    const struct config_device *owner = device->memory;
    fields_initialise(SCOPE_CHANNEL, channel);
    channel->name = memory_copy_text(node->key);
    struct target target = {
        .reader = device->reader,
        .scope = SCOPE_CHANNEL,
        .memory = channel,
        .from_secret = &channel->from_secret,
        .notes = notes,
        .drivers = device->drivers,
    };
    notes->node = node;
    struct text label;
    text_init(&label, target.label, sizeof target.label);
    text_append(&label, "%schannels.%.*s.", device->label, CHANNEL_NAME_MAX, node->key);
    check_channel_name(device, node);
    if (node->kind == YAML_MAPPING || node->kind == YAML_NOTHING)
        read_scope(&target, node);
    else if (node->kind != YAML_BROKEN)
        problems_add(device->reader->problems, CONFIG_ERROR, node->place,
                     "%.*s must be a group of keys, or {} where there is nothing to set.",
                     (int)label.length - 1, target.label);
    complete_calibration(&target, owner->driver);
}

static void read_channels(struct target *target, const struct field *field, struct yaml_node *node)
{
    struct config_device *device = target->memory;
    struct device_notes *notes = &target->reader->devices[device - target->reader->config->devices];
    if (node->kind != YAML_MAPPING) {
        report_value(target, field, node, "");
        return;
    }
    if (node->count == 0)
        problems_add(target->reader->problems, CONFIG_ERROR, node->place,
                     "%schannels is empty; a device has at least one, for example a.",
                     target->label);
    if (node->count > CONFIG_CHANNELS_MAX) {
        problems_add(target->reader->problems, CONFIG_ERROR, node->place,
                     "%schannels has %zu channels; a device has at most %d.", target->label,
                     node->count, CONFIG_CHANNELS_MAX);
        return;
    }
    device->channels = memory_new(node->count, sizeof *device->channels);
    notes->channels = memory_new(node->count, sizeof *notes->channels);
    for (struct yaml_node *child = node->first; child != NULL; child = child->next) {
        size_t i = device->channel_count++;
        read_channel(target, &device->channels[i], &notes->channels[i], child);
    }
}

/* ---- devices ---- */

/* Which keys are allowed hangs on the driver, wherever it stands. Problems with it are reported
   when the walk comes by. */
static unsigned peek_driver(struct config_device *device, const struct yaml_node *node)
{
    char unused[200];
    struct text hint;
    text_init(&hint, unused, sizeof unused);
    const struct yaml_node *driver = yaml_node_child(node, "driver");
    if (driver == NULL || driver->kind != YAML_SCALAR ||
        !field_store(field_by_path(SCOPE_DEVICE, "driver"), driver->text, driver->quoted, device,
                     &hint))
        return FOR_ALL;
    return 1u << device->driver;
}

static void label_device(struct target *target, const struct yaml_node *node, size_t number)
{
    struct text label;
    text_init(&label, target->label, sizeof target->label);
    const struct yaml_node *id = yaml_node_child(node, "id");
    if (id != NULL && id->kind == YAML_SCALAR && !id->secret && id->text[0] != '\0')
        text_append(&label, "devices.%.32s.", id->text);
    else
        text_append(&label, "devices[%zu].", number + 1);
}

static void read_device(struct reader *reader, size_t number, struct yaml_node *node)
{
    struct config_device *device = &reader->config->devices[number];
    struct target target = {
        .reader = reader,
        .scope = SCOPE_DEVICE,
        .memory = device,
        .from_secret = &device->from_secret,
        .notes = &reader->devices[number].own,
        .drivers = peek_driver(device, node),
    };
    device->line = node->place.line;
    device->column = node->place.column;
    device->adopted = number >= reader->config->device_count - reader->adopted;
    label_device(&target, node, number);
    target.notes->node = node;
    if (node->kind == YAML_MAPPING)
        read_scope(&target, node);
    else if (node->kind != YAML_BROKEN)
        problems_add(reader->problems, CONFIG_ERROR, node->place,
                     "A device is a group of keys: `- id: house`, and below, indented like id, its "
                     "other keys.");
    if (device->name[0] == '\0') {
        free(device->name);
        device->name = memory_copy_text(device->id);
    }
}

static void read_devices(struct target *target, const struct field *field, struct yaml_node *node)
{
    struct reader *reader = target->reader;
    if (node->kind == YAML_NOTHING) /* reported with the right words when the count is checked */
        return;
    if (node->kind != YAML_SEQUENCE) {
        report_value(target, field, node, "");
        return;
    }
    if (node->count > CONFIG_DEVICES_MAX) {
        target->notes->failed |= field_bit(field);
        problems_add(reader->problems, CONFIG_ERROR, node->place,
                     "There are %zu devices; one bridge can have at most %d.", node->count,
                     CONFIG_DEVICES_MAX);
        return;
    }
    reader->config->devices = memory_new(CONFIG_DEVICES_MAX, sizeof *reader->config->devices);
    reader->devices = memory_new(node->count, sizeof *reader->devices);
    reader->config->device_count = node->count;
    for (size_t i = 0; i < node->count; i++)
        fields_initialise(SCOPE_DEVICE, &reader->config->devices[i]);
    size_t number = 0;
    for (struct yaml_node *child = node->first; child != NULL; child = child->next)
        read_device(reader, number++, child);
}

/* ---- sinks ---- */

static void label_sink(struct target *target, const struct yaml_node *node, size_t number)
{
    struct text label;
    text_init(&label, target->label, sizeof target->label);
    const struct yaml_node *id = yaml_node_child(node, "id");
    if (id != NULL && id->kind == YAML_SCALAR && !id->secret && id->text[0] != '\0')
        text_append(&label, "sinks.%.32s.", id->text);
    else
        text_append(&label, "sinks[%zu].", number + 1);
}

static void read_sink(struct reader *reader, size_t number, struct yaml_node *node)
{
    struct config_sink *sink = &reader->config->sinks[number];
    struct target target = {
        .reader = reader,
        .scope = SCOPE_SINK,
        .memory = sink,
        .from_secret = &sink->from_secret,
        .notes = &reader->sinks[number],
        .drivers = FOR_ALL,
    };
    label_sink(&target, node, number);
    target.notes->node = node;
    if (node->kind == YAML_MAPPING)
        read_scope(&target, node);
    else if (node->kind != YAML_BROKEN)
        problems_add(reader->problems, CONFIG_ERROR, node->place,
                     "A sink is a group of keys: `- id: influx`, and below, indented like id, its "
                     "other keys.");
}

static void read_sinks(struct target *target, const struct field *field, struct yaml_node *node)
{
    struct reader *reader = target->reader;
    if (node->kind == YAML_NOTHING) /* all may be commented out */
        return;
    if (node->kind != YAML_SEQUENCE) {
        report_value(target, field, node, "");
        return;
    }
    if (node->count > CONFIG_SINKS_MAX) {
        target->notes->failed |= field_bit(field);
        problems_add(reader->problems, CONFIG_ERROR, node->place,
                     "There are %zu sinks; one bridge can have at most %d.", node->count,
                     CONFIG_SINKS_MAX);
        return;
    }
    reader->config->sinks = memory_new(node->count, sizeof *reader->config->sinks);
    reader->sinks = memory_new(node->count, sizeof *reader->sinks);
    reader->config->sink_count = node->count;
    for (size_t i = 0; i < node->count; i++)
        fields_initialise(SCOPE_SINK, &reader->config->sinks[i]);
    size_t number = 0;
    for (struct yaml_node *child = node->first; child != NULL; child = child->next)
        read_sink(reader, number++, child);
}

/* ---- the whole ---- */

void reader_read(struct reader *reader, struct yaml_node *root)
{
    struct target target = {
        .reader = reader,
        .scope = SCOPE_FILE,
        .memory = reader->config,
        .from_secret = &reader->config->from_secret,
        .notes = &reader->file,
        .drivers = FOR_ALL,
    };
    reader->file.node = root;
    if (root->kind == YAML_SCALAR || root->kind == YAML_SEQUENCE)
        problems_add(reader->problems, CONFIG_ERROR, root->place,
                     "A configuration consists of lines such as `mqtt:` with indented `key: value` "
                     "lines below; this begins with something else.");
    else
        read_group(&target, "", root);
}

void reader_release(struct reader *reader)
{
    for (size_t i = 0; reader->devices != NULL && i < reader->config->device_count; i++)
        free(reader->devices[i].channels);
    free(reader->devices);
    free(reader->sinks);
}
