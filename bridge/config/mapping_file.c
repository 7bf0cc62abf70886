/* SPDX-License-Identifier: MIT */
#include "bridge/config/mapping_file.h"

#include "bridge/config/mapping_table.h"
#include "bridge/config/yaml_tree.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <string.h>

#define FILE_MAX ((size_t)64 * 1024)
#define STALE_MS 600000

struct parser {
    struct mapping *mapping;
    struct config_problems *problems;
};

static const struct {
    const char *name;
    enum mapping_quantity quantity;
    double scale; /* to V, A, W, Hz, kWh */
} units[] = {
    {"V", MAPPING_VOLTAGE, 1},     {"mV", MAPPING_VOLTAGE, 1e-3}, {"A", MAPPING_CURRENT, 1},
    {"mA", MAPPING_CURRENT, 1e-3}, {"W", MAPPING_POWER, 1},       {"kW", MAPPING_POWER, 1e3},
    {"Hz", MAPPING_FREQUENCY, 1},  {"kWh", MAPPING_ENERGY, 1},    {"Wh", MAPPING_ENERGY, 1e-3},
};

/* ---- one key at a time ---- */

static void complain(const struct parser *parser, const struct yaml_node *node, const char *what)
{
    problems_add(parser->problems, CONFIG_ERROR, node->place, "%s", what);
}

/* keys: the ones that may stand in the group, ended by NULL. */
static void check_keys(const struct parser *parser, const struct yaml_node *group,
                       const char *const *keys)
{
    for (const struct yaml_node *node = group->first; node != NULL; node = node->next) {
        const char *const *key = keys;
        while (*key != NULL && (node->key == NULL || strcmp(*key, node->key) != 0))
            key++;
        if (*key == NULL)
            problems_add(parser->problems, CONFIG_ERROR, node->key_place,
                         "There is no such key here; docs/mappings.md lists them.");
    }
}

static const char *text_of(const struct parser *parser, const struct yaml_node *group,
                           const char *key, bool required)
{
    const struct yaml_node *node = yaml_node_child(group, key);
    if (node != NULL && node->kind == YAML_SCALAR)
        return node->text;
    if (node != NULL || required)
        problems_add(parser->problems, CONFIG_ERROR, node != NULL ? node->place : group->place,
                     "%s must be given here, as a text.", key);
    return NULL;
}

static char *copy_of(const struct parser *parser, const struct yaml_node *group, const char *key,
                     bool required)
{
    const char *text = text_of(parser, group, key, required);
    return text != NULL ? memory_copy_text(text) : NULL;
}

static double number_of(const struct parser *parser, const struct yaml_node *group, const char *key,
                        double otherwise)
{
    double value = otherwise;
    const char *text = text_of(parser, group, key, false);
    if (text != NULL && !number_parse_double(text, strlen(text), -1e9, 1e9, &value))
        complain(parser, group, "A number is malformed here.");
    return value;
}

static bool flag_of(const struct parser *parser, const struct yaml_node *group, const char *key)
{
    const char *text = text_of(parser, group, key, false);
    if (text != NULL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        problems_add(parser->problems, CONFIG_ERROR, group->place, "%s must be true or false.",
                     key);
    return text != NULL && strcmp(text, "true") == 0;
}

static int64_t duration_of(const struct parser *parser, const struct yaml_node *group,
                           const char *key, int64_t otherwise)
{
    int64_t ms = otherwise;
    const char *text = text_of(parser, group, key, false);
    if (text != NULL && !number_parse_duration(text, strlen(text), 0, 86400000, &ms))
        problems_add(parser->problems, CONFIG_ERROR, group->place,
                     "%s must be a duration such as 2s or 10m, at most a day.", key);
    return ms;
}

static char *pointer_of(const struct parser *parser, const struct yaml_node *group, const char *key,
                        bool required)
{
    char *pointer = copy_of(parser, group, key, required);
    if (pointer != NULL && pointer[0] != '/')
        problems_add(parser->problems, CONFIG_ERROR, group->place,
                     "%s must be a JSON pointer, which begins with /.", key);
    return pointer;
}

static char *topic_of(const struct parser *parser, const struct yaml_node *group)
{
    char *topic = copy_of(parser, group, "topic", true);
    if (topic != NULL && (strpbrk(topic, "#+") != NULL || topic[0] == '\0'))
        complain(parser, group, "A topic has no wildcards: what varies is {base}.");
    return topic;
}

/* Empty for all channels. */
static void read_channel(const struct parser *parser, const struct yaml_node *group, bool required,
                         char channel[MAPPING_NAME_MAX + 1])
{
    const struct mapping *mapping = parser->mapping;
    const char *name = text_of(parser, group, "channel", required);
    for (size_t i = 0; name != NULL && i < mapping->channel_count; i++)
        if (strcmp(mapping->channels[i], name) == 0) {
            memcpy(channel, mapping->channels[i], sizeof mapping->channels[i]);
            return;
        }
    if (name != NULL)
        complain(parser, group, "There is no such channel in this file's channels.");
}

typedef void (*element_reader)(const struct parser *parser, const struct yaml_node *group);

static void read_list(const struct parser *parser, const struct yaml_node *root, const char *key,
                      size_t limit, element_reader read)
{
    const struct yaml_node *list = yaml_node_child(root, key);
    size_t count = 0;
    if (list == NULL)
        return;
    if (list->kind != YAML_SEQUENCE || list->count > limit) {
        problems_add(parser->problems, CONFIG_ERROR, list->place,
                     "%s must be a list of at most %zu groups.", key, limit);
        return;
    }
    for (const struct yaml_node *node = list->first; node != NULL && count < limit;
         node = node->next, count++) {
        if (node->kind == YAML_MAPPING)
            read(parser, node);
        else
            complain(parser, node, "A group of keys must stand here.");
    }
}

/* ---- the parts of a file ---- */

static void read_channels(const struct parser *parser, const struct yaml_node *root)
{
    struct mapping *mapping = parser->mapping;
    const struct yaml_node *list = yaml_node_child(root, "channels");
    if (list == NULL || list->kind != YAML_SEQUENCE || list->count == 0 ||
        list->count > MAPPING_CHANNELS_MAX) {
        complain(parser, root, "channels must be a list of 1 to 8 names, for example [a, b].");
        return;
    }
    for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
        size_t length = node->kind == YAML_SCALAR ? strlen(node->text) : 0;
        if (length == 0 || length > MAPPING_NAME_MAX ||
            strspn(node->text, "abcdefghijklmnopqrstuvwxyz0123456789") != length)
            complain(parser, node, "A channel's name is 1 to 8 of a-z and 0-9.");
        else
            memcpy(mapping->channels[mapping->channel_count++], node->text, length + 1);
    }
}

static void read_sign(const struct parser *parser, const struct yaml_node *group,
                      struct mapping_value *value)
{
    static const char *const keys[] = {"at", "negative", "signed", NULL};
    const struct yaml_node *sign = yaml_node_child(group, "sign");
    if (sign == NULL)
        return;
    check_keys(parser, sign, keys);
    value->sign_at = pointer_of(parser, sign, "at", true);
    value->sign_negative = copy_of(parser, sign, "negative", true);
    value->sign_signed = copy_of(parser, sign, "signed", false);
}

static enum mapping_quantity quantity_base(enum mapping_quantity quantity)
{
    return quantity == MAPPING_ENERGY_PRODUCED ? MAPPING_ENERGY : quantity;
}

static double read_unit(const struct parser *parser, const struct yaml_node *group,
                        enum mapping_quantity quantity)
{
    const char *unit = text_of(parser, group, "unit", true);
    for (size_t i = 0; unit != NULL && i < sizeof units / sizeof units[0]; i++)
        if (units[i].quantity == quantity_base(quantity) && strcmp(units[i].name, unit) == 0)
            return units[i].scale;
    if (unit != NULL)
        complain(parser, group,
                 "The unit does not fit: voltage has V or mV, current A or mA, power W or kW, "
                 "frequency Hz, energy kWh or Wh.");
    return 1;
}

static void read_value(const struct parser *parser, const struct yaml_node *group)
{
    static const char *const keys[] = {"topic", "at",    "element", "shared", "is", "channel",
                                       "unit",  "scale", "negate",  "sign",   NULL};
    struct mapping_value *value = &parser->mapping->values[parser->mapping->value_count++];
    check_keys(parser, group, keys);
    value->topic = topic_of(parser, group);
    value->at = pointer_of(parser, group, "at", false);
    double element = number_of(parser, group, "element", -1);
    value->element = element >= -1 && element <= 100 ? (int)element : -1;
    value->shared = flag_of(parser, group, "shared");
    const char *is = text_of(parser, group, "is", true);
    if (is != NULL && !mapping_quantity_find(is, &value->quantity))
        complain(parser, group,
                 "is: voltage, current, power, frequency, energy or energy_produced.");
    else
        value->scale =
            read_unit(parser, group, value->quantity) * number_of(parser, group, "scale", 1);
    read_channel(parser, group, false, value->channel);
    if (flag_of(parser, group, "negate"))
        value->scale = -value->scale;
    read_sign(parser, group, value);
}

static void read_fresh(const struct parser *parser, const struct yaml_node *group)
{
    static const char *const keys[] = {"channel", "at", NULL};
    struct mapping_fresh *fresh = &parser->mapping->fresh[parser->mapping->fresh_count++];
    check_keys(parser, group, keys);
    read_channel(parser, group, true, fresh->channel);
    fresh->at = pointer_of(parser, group, "at", true);
}

static void read_availability(const struct parser *parser, const struct yaml_node *group)
{
    static const char *const keys[] = {"topic", "at", "online", "offline", NULL};
    struct mapping_availability *rule =
        &parser->mapping->availability[parser->mapping->availability_count++];
    check_keys(parser, group, keys);
    rule->topic = topic_of(parser, group);
    rule->at = pointer_of(parser, group, "at", false);
    rule->online = copy_of(parser, group, "online", true);
    rule->offline = copy_of(parser, group, "offline", true);
}

static void read_expected(const struct parser *parser, const struct yaml_node *expected,
                          struct mapping_test *test)
{
    for (const struct yaml_node *channel = expected->first; channel != NULL;
         channel = channel->next)
        for (const struct yaml_node *node = channel->first; node != NULL; node = node->next) {
            enum mapping_quantity quantity;
            double value;
            size_t length = strlen(channel->key);
            if (test->expected_count == MAPPING_VALUES_MAX || length > MAPPING_NAME_MAX ||
                !mapping_quantity_find(node->key, &quantity) || node->kind != YAML_SCALAR ||
                !number_parse_double(node->text, strlen(node->text), -1e9, 1e9, &value)) {
                complain(parser, node, "This must be a quantity and its number.");
                return;
            }
            memcpy(test->expected[test->expected_count].channel, channel->key, length + 1);
            test->expected[test->expected_count].quantity = quantity;
            test->expected[test->expected_count++].value = value;
        }
}

static void read_test(const struct parser *parser, const struct yaml_node *group)
{
    static const char *const keys[] = {"topic", "payload", "retained", "expect", NULL};
    struct mapping_test *test = &parser->mapping->tests[parser->mapping->test_count++];
    check_keys(parser, group, keys);
    test->topic = topic_of(parser, group);
    test->payload = copy_of(parser, group, "payload", true);
    test->retained = flag_of(parser, group, "retained");
    const struct yaml_node *expected = yaml_node_child(group, "expect");
    if (expected != NULL)
        read_expected(parser, expected, test);
}

static void read_root(const struct parser *parser, const struct yaml_node *root)
{
    static const char *const keys[] = {
        "name",       "title", "cannot", "channels",     "retained", "group", "stale",
        "resolution", "reset", "fresh",  "availability", "values",   "tests", NULL};
    struct mapping *mapping = parser->mapping;
    if (root->kind != YAML_MAPPING) {
        complain(parser, root, "A mapping is a group of keys; docs/mappings.md lists them.");
        return;
    }
    check_keys(parser, root, keys);
    mapping->name = copy_of(parser, root, "name", true);
    mapping->title = copy_of(parser, root, "title", true);
    mapping->cannot = copy_of(parser, root, "cannot", false);
    mapping->retained = flag_of(parser, root, "retained");
    mapping->group_ms = duration_of(parser, root, "group", 0);
    mapping->stale_ms = duration_of(parser, root, "stale", STALE_MS);
    mapping->resolution = number_of(parser, root, "resolution", 0);
    mapping->reset_at = pointer_of(parser, root, "reset", false);
    read_channels(parser, root);
    read_list(parser, root, "values", MAPPING_VALUES_MAX, read_value);
    read_list(parser, root, "fresh", MAPPING_CHANNELS_MAX, read_fresh);
    read_list(parser, root, "availability", MAPPING_TOPICS_MAX, read_availability);
    read_list(parser, root, "tests", MAPPING_TESTS_MAX, read_test);
    if (mapping->value_count == 0)
        complain(parser, root, "values is missing or empty: nothing would be read.");
}

/* ---- from outside ---- */

/* FNV-1a: tells edits of one file apart, nothing more. */
static uint64_t digest_of(const char *bytes, size_t length)
{
    uint64_t digest = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < length; i++)
        digest = (digest ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return digest;
}

enum status mapping_parse(const char *file, const char *bytes, size_t length,
                          struct mapping **result, struct error *error)
{
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct mapping *mapping = memory_new(1, sizeof *mapping);
    mapping->file = memory_copy_text(file);
    mapping->digest = digest_of(bytes, length);
    struct yaml_tree *tree = yaml_tree_load(file, bytes, length, problems);
    const struct parser parser = {mapping, problems};
    if (problems->errors == 0)
        read_root(&parser, yaml_tree_root(tree));
    yaml_tree_free(tree);
    if (problems->errors == 0) {
        *result = mapping;
        return STATUS_OK;
    }
    mapping_free(mapping);
    problems_sort(problems);
    const struct config_problem *first = config_problems_first_error(problems);
    return error_set(error, STATUS_USAGE, "%s:%d:%d: %s", first->file, first->line, first->column,
                     first->message);
}

const char *mapping_builtin(size_t i)
{
    return mapping_table[i].name;
}

static bool is_file(const char *name)
{
    size_t length = strlen(name);
    return strchr(name, '/') != NULL || (length > 5 && strcmp(name + length - 5, ".yaml") == 0);
}

static enum status load_file(const char *path, struct mapping **mapping, struct error *error)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    if (file_read(path, FILE_MAX, &bytes, &length, error) != STATUS_OK)
        return STATUS_USAGE;
    return mapping_parse(path, bytes, length, mapping, error);
}

enum status mapping_load(const char *name, struct mapping **mapping, struct error *error)
{
    if (is_file(name))
        return load_file(name, mapping, error);
    char known[500];
    struct text text;
    text_init(&text, known, sizeof known);
    for (const struct mapping_table_row *row = mapping_table; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0)
            return mapping_parse(name, (const char *)row->bytes, *row->length, mapping, error);
        text_append(&text, "%s%s", text.length > 0 ? ", " : "", row->name);
    }
    return error_set(
        error, STATUS_USAGE,
        "There is no mapping \"%.40s\". There are: %s. A mapping of your own is named by "
        "its file, which ends with .yaml.",
        name, known);
}
