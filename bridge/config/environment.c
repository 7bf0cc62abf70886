/* SPDX-License-Identifier: MIT */
#include "bridge/config/environment.h"

#include "bridge/config/fields.h"
#include "bridge/config/suggest.h"

#include <ctype.h>
#include <string.h>

#define PREFIX "BL2MQTT_"
#define PATH_SIZE 128

struct overrides {
    struct yaml_tree *tree;
    struct config_problems *problems;
};

/* MAINS__MAX_CURRENT -> mains.max_current. False if it is too long or not in capitals. */
static bool variable_to_path(const char *variable, char *path, size_t size)
{
    size_t length = 0;
    for (const char *c = variable; *c != '\0'; c++) {
        if (length + 1 >= size || islower((unsigned char)*c))
            return false;
        if (c[0] == '_' && c[1] == '_') {
            path[length++] = '.';
            c++;
        } else {
            path[length++] = (char)tolower((unsigned char)*c);
        }
    }
    path[length] = '\0';
    return true;
}

/* The way back, appended to out. */
static void append_variable(struct text *out, const char *path)
{
    for (const char *c = path; *c != '\0'; c++) {
        if (*c == '.')
            text_append(out, "__");
        else
            text_append(out, "%c", *c == '-' ? '_' : toupper((unsigned char)*c));
    }
}

/* If variable begins with name in capitals and "__", how long that is; else 0. */
static size_t match_name(const char *variable, const char *name)
{
    size_t length = 0;
    for (; name[length] != '\0'; length++) {
        int expected = name[length] == '-' ? '_' : toupper((unsigned char)name[length]);
        if (variable[length] != expected)
            return 0;
    }
    return length > 0 && variable[length] == '_' && variable[length + 1] == '_' ? length + 2 : 0;
}

/* The element that a variable means: the one with the longest matching name, as "a" and "a__b" may
   both be ids. */
struct match {
    struct yaml_node *node;
    size_t length;
    bool ambiguous;
};

static void match_offer(struct match *match, struct yaml_node *node, const char *name,
                        const char *variable)
{
    size_t length = match_name(variable, name);
    if (length == 0 || length < match->length)
        return;
    match->ambiguous = length == match->length;
    match->node = node;
    match->length = length;
}

/* An element of a list, by its id. */
static struct match match_element(const struct yaml_node *list, const char *variable)
{
    struct match match = {0};
    if (list == NULL || list->kind != YAML_SEQUENCE)
        return match;
    for (struct yaml_node *element = list->first; element != NULL; element = element->next) {
        const struct yaml_node *id = yaml_node_child(element, "id");
        if (id != NULL && id->kind == YAML_SCALAR)
            match_offer(&match, element, id->text, variable);
    }
    return match;
}

static struct match match_channel(const struct yaml_node *device, const char *variable)
{
    struct match match = {0};
    const struct yaml_node *channels = yaml_node_child(device, "channels");
    if (channels == NULL || channels->kind != YAML_MAPPING)
        return match;
    for (struct yaml_node *channel = channels->first; channel != NULL; channel = channel->next)
        match_offer(&match, channel, channel->key, variable);
    return match;
}

static void report_unknown(const struct overrides *overrides, struct place place,
                           enum field_scope scope, const char *path, const char *before)
{
    if (problems_full(overrides->problems)) {
        problems_add(overrides->problems, CONFIG_ERROR, place, "unknown");
        return;
    }
    char sentence[300];
    struct text text;
    text_init(&text, sentence, sizeof sentence);
    struct suggestion suggestion = {.word = path};
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope && field_has_value(&fields[i]))
            suggestion_offer(&suggestion, fields[i].path);
    if (suggestion.best != NULL) {
        text_append(&text, "Did you mean %s", before);
        append_variable(&text, suggestion.best);
        text_append(&text, "?");
    } else {
        text_append(&text, "Two underscores stand for a step down, as in BL2MQTT_MQTT__SERVER or "
                           "BL2MQTT_DEVICES__HOUSE__NAME.");
    }
    problems_add(overrides->problems, CONFIG_ERROR, place,
                 "This variable names no key of the configuration. %s", sentence);
}

/* A value in the place of a group that may be one: homeassistant: false. It becomes the key that it stands for. */
static struct yaml_node *spell_out(const struct overrides *overrides, enum field_scope scope,
                                   struct yaml_node *parent, struct yaml_node *child)
{
    const struct field *group = field_by_path(scope, child->key);
    if (child->kind != YAML_SCALAR || group == NULL || group->shorthand == NULL)
        return child;
    const char *text = child->text;
    struct place place = child->place;
    child = yaml_tree_set(overrides->tree, parent, child->key, NULL, place);
    (void)yaml_tree_set(overrides->tree, child, field_key(field_by_path(scope, group->shorthand)),
                        text, place);
    return child;
}

/* Sets a key that may be some groups down. Where the file has something else in a group's place,
   the reader will complain about that. */
static void set_at(const struct overrides *overrides, enum field_scope scope,
                   struct yaml_node *node, const char *path, const char *value, struct place place)
{
    char key[PATH_SIZE];
    const char *rest = path;
    for (const char *dot = strchr(rest, '.'); dot != NULL; dot = strchr(rest, '.')) {
        size_t length = (size_t)(dot - rest);
        memcpy(key, rest, length);
        key[length] = '\0';
        struct yaml_node *child = yaml_node_child(node, key);
        if (child == NULL)
            child = yaml_tree_set(overrides->tree, node, key, NULL, place);
        if (child == NULL)
            return;
        node = spell_out(overrides, scope, node, child);
        rest = dot + 1;
    }
    (void)yaml_tree_set(overrides->tree, node, rest, value, place);
}

/* variable: the part behind what named node, before: that part. */
static void override(const struct overrides *overrides, enum field_scope scope,
                     struct yaml_node *node, const char *variable, const char *value,
                     struct place place)
{
    char path[PATH_SIZE];
    bool fits = variable_to_path(variable, path, sizeof path);
    const struct field *field = fits ? field_by_path(scope, path) : NULL;
    if (field != NULL && field->type == FIELD_GROUP && field->shorthand != NULL)
        field = field_by_path(scope, field->shorthand);
    if (field != NULL && field_has_value(field)) {
        set_at(overrides, scope, node, field->path, value, place);
        return;
    }
    char before[PATH_SIZE];
    struct text text;
    text_init(&text, before, sizeof before);
    text_append(&text, "%.*s", (int)(strlen(place.file) - strlen(variable)), place.file);
    report_unknown(overrides, place, scope, fits ? path : "", before);
}

static void override_device(const struct overrides *overrides, const char *variable,
                            const char *value, struct place place)
{
    struct yaml_node *root = yaml_tree_root(overrides->tree);
    struct match device = match_element(yaml_node_child(root, "devices"), variable);
    if (device.node == NULL) {
        problems_add(
            overrides->problems, CONFIG_ERROR, place,
            "This variable names no device of the configuration. Behind "
            "BL2MQTT_DEVICES__ comes the id in capitals, with _ for -, then __ and a key.");
        return;
    }
    struct match channel = {0};
    const char *rest = variable + device.length;
    size_t step = match_name(rest, "channels");
    if (step > 0) {
        rest += step;
        channel = match_channel(device.node, rest);
        if (channel.node == NULL) {
            problems_add(overrides->problems, CONFIG_ERROR, place,
                         "This variable names no channel that the device has.");
            return;
        }
    }
    if (device.ambiguous || channel.ambiguous) {
        problems_add(overrides->problems, CONFIG_ERROR, place,
                     "This variable could mean two different devices, as - and _ look the same in "
                     "it; set the key in the file.");
        return;
    }
    if (channel.node != NULL)
        override(overrides, SCOPE_CHANNEL, channel.node, rest + channel.length, value, place);
    else
        override(overrides, SCOPE_DEVICE, device.node, rest, value, place);
}

static void override_sink(const struct overrides *overrides, const char *variable,
                          const char *value, struct place place)
{
    struct yaml_node *root = yaml_tree_root(overrides->tree);
    struct match sink = match_element(yaml_node_child(root, "sinks"), variable);
    if (sink.node == NULL)
        problems_add(overrides->problems, CONFIG_ERROR, place,
                     "This variable names no sink of the configuration. Behind BL2MQTT_SINKS__ "
                     "comes the id in capitals, with _ for -, then __ and a key.");
    else if (sink.ambiguous)
        problems_add(overrides->problems, CONFIG_ERROR, place,
                     "This variable could mean two different sinks, as - and _ look the same in "
                     "it; set the key in the file.");
    else
        override(overrides, SCOPE_SINK, sink.node, variable + sink.length, value, place);
}

void environment_apply(struct yaml_tree *tree, char *const *environment,
                       struct config_problems *problems)
{
    const struct overrides overrides = {tree, problems};
    struct yaml_node *root = yaml_tree_root(tree);
    for (; environment != NULL && *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        if (equals == NULL || strncmp(*environment, PREFIX, strlen(PREFIX)) != 0)
            continue;
        const char *name = yaml_tree_copy_text(tree, *environment, (size_t)(equals - *environment));
        struct place place = {name, 0, 0};
        const char *variable = name + strlen(PREFIX);
        if (strcmp(variable, "CONFIG") == 0) /* names the file itself, see bl2mqtt(1) */
            continue;
        size_t devices = match_name(variable, "devices");
        size_t sinks = match_name(variable, "sinks");
        if (devices > 0)
            override_device(&overrides, variable + devices, equals + 1, place);
        else if (sinks > 0)
            override_sink(&overrides, variable + sinks, equals + 1, place);
        else
            override(&overrides, SCOPE_FILE, root, variable, equals + 1, place);
    }
}
