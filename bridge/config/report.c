/* SPDX-License-Identifier: MIT */
#include "bridge/config/report.h"

#include "bridge/config/suggest.h"

#include <string.h>

/* An address may have a password in it where none belongs. */
static bool is_confidential(const struct field *field, const struct yaml_node *node)
{
    bool address = field->rule == TEXT_SERVER || field->rule == TEXT_URL;
    return field->secret || node->secret || (address && strchr(node->text, '@') != NULL);
}

static void append_found(struct text *out, const struct field *field, const struct yaml_node *node)
{
    switch (node->kind) {
    case YAML_NOTHING:
        text_append(out, "has no value");
        break;
    case YAML_MAPPING:
        text_append(out, "is a group of keys");
        break;
    case YAML_SEQUENCE:
        text_append(out, "is a list");
        break;
    case YAML_BROKEN: /* reported when it was read, so never here */
        break;
    case YAML_SCALAR:
        if (is_confidential(field, node)) {
            text_append(out, "cannot be what it is (not shown, as it is secret)");
        } else {
            text_append(out, "is ");
            append_quoted(out, node->text);
        }
        break;
    }
}

static const char *hint_at_kind(const struct field *field, const struct yaml_node *node)
{
    if (node->kind == YAML_NOTHING && field_has_value(field))
        return " If it begins with a '#', put it in quotes; if none is wanted, remove the key.";
    if (field->type == FIELD_DEVICES && node->kind == YAML_MAPPING)
        return " Write `- id: name` and indent the device's other keys like id.";
    if (field->type == FIELD_SINKS && node->kind == YAML_MAPPING)
        return " Write `- id: name` and indent the sink's other keys like id.";
    if (field->type == FIELD_CHANNELS && node->kind == YAML_SEQUENCE)
        return " Write `a:` where the list has `-`.";
    return "";
}

/* "mqtt.keepalive is "60", but it must be a duration ... A number needs its unit." */
void report_value(const struct target *target, const struct field *field,
                  const struct yaml_node *node, const char *hint)
{
    target->notes->failed |= field_bit(field);
    if (node->secret)
        hint = ""; /* it may quote the value */
    char found[200];
    char expected[250];
    struct text text;
    text_init(&text, found, sizeof found);
    append_found(&text, field, node);
    text_init(&text, expected, sizeof expected);
    field_append_expectation(field, &text);
    problems_add(target->reader->problems, CONFIG_ERROR, node->place,
                 "%s%s %s; it must be %s.%s%s%s", target->label, field->path, found, expected,
                 hint_at_kind(field, node), hint[0] != '\0' ? " " : "", hint);
}

/* Keys that other programs have, and what they are here. */
static const struct {
    const char *prefix;
    const char *key;
    const char *sentence;
} advice[] = {
    {"mqtt", "port", "The port is a part of server: mqtt://host:port."},
    {"mqtt", "host", "It is a part of server: mqtt://host:port."},
    {"mqtt", "broker", "It is a part of server: mqtt://host:port."},
    {"mqtt", "url", "It is called server."},
    {"mqtt", "username", "It is called user."},
    {"mqtt", "tls", "TLS is switched on by mqtts:// in server."},
    {"mqtt", "topic", "It is called base_topic."},
    {"mqtt", "topic_prefix", "It is called base_topic."},
    {"mqtt", "reject_unauthorized", "It is called insecure and means the opposite."},
    {"", "friendly_name", "It is called name."},
    {"", "type", "It is called driver."},
    {"", "calibrate", "It is called calibration."},
    {"mains", "current", "It is called max_current."},
};

static void append_scope(struct text *out, const struct field *field)
{
    size_t length = (size_t)(field_key(field) - field->path);
    if (length > 0)
        text_append(out, "%.*s", (int)length - 1, field->path);
    if (field->scope == SCOPE_FILE && length == 0)
        text_append(out, "the top level of the file");
    if (field->scope == SCOPE_DEVICE)
        text_append(out, length > 0 ? " of a device" : "a device");
    if (field->scope == SCOPE_SINK)
        text_append(out, length > 0 ? " of a sink" : "a sink");
    if (field->scope == SCOPE_CHANNEL)
        text_append(out, length > 0 ? " of a channel" : "a channel");
    if (field->scope == SCOPE_TARIFF)
        text_append(out, "a tariff");
    if (field->scope == SCOPE_WINDOW)
        text_append(out, "a tariff's window");
}

/* A field of the same name elsewhere, the same scope first; NULL where several groups have one, as
 * any of them would be a guess. */
static const struct field *find_elsewhere(enum field_scope scope, const char *key)
{
    const struct field *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < field_count; i++) {
        if (strcmp(field_key(&fields[i]), key) != 0)
            continue;
        if (found == NULL || (fields[i].scope == scope && found->scope != scope)) {
            found = &fields[i];
            count = 0;
        }
        count += found->scope == scope ? fields[i].scope == scope : 1;
    }
    bool in_group = found != NULL && strchr(found->path, '.') != NULL;
    return in_group && count > 1 ? NULL : found;
}

static void append_known_keys(struct text *out, const struct target *target, const char *prefix)
{
    text_append(out, "The keys here are");
    const char *separator = " ";
    for (size_t i = 0; i < field_count; i++) {
        if (!field_is_child(&fields[i], target->scope, prefix) ||
            (fields[i].drivers & target->drivers) == 0)
            continue;
        text_append(out, "%s%s", separator, field_key(&fields[i]));
        separator = ", ";
    }
    text_append(out, ".");
}

/* What to do about a key that is not in the table. */
static void append_advice(struct text *out, const struct target *target, const char *prefix,
                          const char *key)
{
    for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++) {
        if (strcmp(advice[i].key, key) == 0 && strcmp(advice[i].prefix, prefix) == 0 &&
            (prefix[0] != '\0' || target->scope != SCOPE_FILE)) {
            text_append(out, "%s", advice[i].sentence);
            return;
        }
    }
    if (key[0] != '\0' && strspn(key, "0123456789") == strlen(key)) {
        text_append(out, "If this is part of a number: decimals are written with a point.");
        return;
    }
    struct suggestion suggestion = {.word = key};
    for (size_t i = 0; i < field_count; i++)
        if (field_is_child(&fields[i], target->scope, prefix))
            suggestion_offer(&suggestion, field_key(&fields[i]));
    if (suggestion.best != NULL) {
        text_append(out, "Did you mean %s?", suggestion.best);
        return;
    }
    const struct field *elsewhere = find_elsewhere(target->scope, key);
    if (elsewhere != NULL) {
        text_append(out, "It belongs into ");
        append_scope(out, elsewhere);
        text_append(out, ".");
        return;
    }
    append_known_keys(out, target, prefix);
}

void report_unknown_key(const struct target *target, const char *prefix,
                        const struct yaml_node *node)
{
    struct config_problems *problems = target->reader->problems;
    if (problems_full(problems)) {
        problems_add(problems, CONFIG_ERROR, node->key_place, "unknown key");
        return;
    }
    char key[200];
    char sentence[300];
    struct text text;
    text_init(&text, key, sizeof key);
    append_quoted(&text, node->key);
    text_init(&text, sentence, sizeof sentence);
    append_advice(&text, target, prefix, node->key);

    int length = (int)strlen(target->label);
    bool in_group = prefix[0] != '\0' || length > 0;
    const char *end = length > 0 && prefix[0] == '\0' ? "" : prefix;
    if (length > 0 && prefix[0] == '\0')
        length--; /* without the dot */
    problems_add(problems, CONFIG_ERROR, node->key_place, "There is no key %s%s%.*s%s. %s", key,
                 in_group ? " in " : "", length, target->label, end, sentence);
}

static void append_drivers(struct text *out, unsigned drivers)
{
    const struct field *driver = field_by_path(SCOPE_DEVICE, "driver");
    const char *separator = "";
    for (const struct field_choice *choice = driver->choices; choice->name != NULL; choice++) {
        if ((drivers & (1u << choice->value)) == 0)
            continue;
        text_append(out, "%s%s", separator, choice->name);
        separator = " and ";
    }
}

void report_other_driver(const struct target *target, const struct field *field,
                         const struct yaml_node *node)
{
    char theirs[100];
    char ours[100];
    struct text text;
    text_init(&text, theirs, sizeof theirs);
    append_drivers(&text, field->drivers);
    text_init(&text, ours, sizeof ours);
    append_drivers(&text, target->drivers);
    problems_add(target->reader->problems, CONFIG_ERROR, node->key_place,
                 "%s%s is only for the driver %s, and this device's is %s; remove it.",
                 target->label, field->path, theirs, ours);
}

void report_missing(const struct target *target, const struct field *field)
{
    char expected[250];
    struct text text;
    text_init(&text, expected, sizeof expected);
    field_append_expectation(field, &text);
    problems_add(target->reader->problems, CONFIG_ERROR, target->notes->node->place,
                 "%s%s is missing here; it must be %s.", target->label, field->path, expected);
}
