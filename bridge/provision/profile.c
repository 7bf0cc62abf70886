/* SPDX-License-Identifier: MIT */
#include "bridge/provision/profile.h"

#include "bridge/config/yaml_tree.h"
#include "bridge/provision/profile_table.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#define FILE_MAX ((size_t)64 * 1024)
#define DEVICE_ID_MAX 32

struct owned_profile {
    struct profile profile; /* first, so that a pointer to one is a pointer to the other */
    struct yaml_tree *tree; /* owns the texts */
};

/* What reading needs: the first problem stops it. */
struct source {
    const char *file;
    struct profile *profile;
    struct error *error;
};

static enum status wrong(const struct source *source, const struct yaml_node *node,
                         const char *what)
{
    return error_set(source->error, STATUS_USAGE, "%s:%d:%d: %s.", source->file, node->place.line,
                     node->place.column, what);
}

static bool one_of(const char *key, const char *const *keys)
{
    for (; *keys != NULL; keys++)
        if (strcmp(key, *keys) == 0)
            return true;
    return false;
}

static enum status check_keys(const struct source *source, const struct yaml_node *node,
                              const char *const *keys)
{
    if (node->kind != YAML_MAPPING)
        return wrong(source, node, "Here must be keys with values");
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next)
        if (!one_of(child->key, keys))
            return error_set(source->error, STATUS_USAGE,
                             "%s:%d:%d: There is no key \"%.40s\" in a profile; docs/profiles.md "
                             "lists them.",
                             source->file, child->key_place.line, child->key_place.column,
                             child->key);
    return STATUS_OK;
}

static enum status read_text(const struct source *source, const struct yaml_node *node,
                             const char *key, size_t longest, const char **value)
{
    const struct yaml_node *child = yaml_node_child(node, key);
    if (child == NULL)
        return error_set(source->error, STATUS_USAGE, "%s:%d:%d: The key %s is missing.",
                         source->file, node->place.line, node->place.column, key);
    if (child->kind != YAML_SCALAR || child->secret || child->text[0] == '\0' ||
        strlen(child->text) > longest)
        return error_set(source->error, STATUS_USAGE,
                         "%s:%d:%d: %s must be a text of 1 to %zu bytes.", source->file,
                         child->place.line, child->place.column, key, longest);
    *value = child->text;
    return STATUS_OK;
}

static enum status read_bool(const struct source *source, const struct yaml_node *node,
                             const char *key, bool *value)
{
    const char *text = "";
    enum status status = read_text(source, node, key, 5, &text);
    if (status != STATUS_OK)
        return status;
    *value = strcmp(text, "true") == 0;
    return *value || strcmp(text, "false") == 0
               ? STATUS_OK
               : wrong(source, yaml_node_child(node, key), "Here must be true or false");
}

static enum status read_number(const struct source *source, const struct yaml_node *node,
                               const char *key, double low, double high, double *value)
{
    const char *text = "";
    enum status status = read_text(source, node, key, 20, &text);
    if (status != STATUS_OK)
        return status;
    if (number_parse_double(text, strlen(text), low, high, value))
        return STATUS_OK;
    return error_set(source->error, STATUS_USAGE, "%s:%d: %s must be a number from %g to %g.",
                     source->file, yaml_node_child(node, key)->place.line, key, low, high);
}

static enum status read_integer(const struct source *source, const struct yaml_node *node,
                                const char *key, int low, int high, int *value)
{
    double number = 0;
    enum status status = read_number(source, node, key, low, high, &number);
    *value = (int)number;
    if (status == STATUS_OK && (double)*value != number)
        return wrong(source, yaml_node_child(node, key), "Here must be a whole number");
    return status;
}

static enum status read_channel(const struct source *source, const struct yaml_node *node)
{
    static const char *const keys[] = {"name", "uart", NULL};
    struct profile *profile = source->profile;
    if (profile->channel_count == PROFILE_CHANNELS_MAX)
        return wrong(source, node, "There are more channels than a and b");
    struct profile_channel *channel = &profile->channels[profile->channel_count];
    const char *name = "";
    enum status status = check_keys(source, node, keys);
    if (status == STATUS_OK)
        status = read_text(source, node, "name", 1, &name);
    if (status == STATUS_OK && name[0] != (char)('a' + (int)profile->channel_count))
        return wrong(source, node, "The channels must be a, or a and b, in this order");
    if (status == STATUS_OK)
        status = read_integer(source, node, "uart", 1, 2, &channel->uart);
    if (status != STATUS_OK)
        return status;
    channel->name = name[0];
    profile->channel_count++;
    return STATUS_OK;
}

static enum status read_flag(const struct source *source, const struct yaml_node *node)
{
    static const char *const keys[] = {"flag", "set", "why", NULL};
    struct profile *profile = source->profile;
    if (profile->flag_count == PROFILE_FLAGS_MAX)
        return wrong(source, node, "There are too many flags");
    struct profile_flag *flag = &profile->flags[profile->flag_count];
    int number = 0;
    enum status status = check_keys(source, node, keys);
    if (status == STATUS_OK)
        status = read_integer(source, node, "flag", 0, 63, &number);
    if (status == STATUS_OK)
        status = read_bool(source, node, "set", &flag->set);
    if (status == STATUS_OK)
        status = read_text(source, node, "why", 200, &flag->why);
    if (status != STATUS_OK)
        return status;
    flag->flag = (unsigned)number;
    for (size_t i = 0; i < profile->flag_count; i++)
        if (profile->flags[i].flag == flag->flag)
            return wrong(source, node, "This flag is listed twice");
    profile->flag_count++;
    return STATUS_OK;
}

static enum status
read_list(const struct source *source, const struct yaml_node *node, const char *key,
          enum status (*read_item)(const struct source *, const struct yaml_node *))
{
    const struct yaml_node *list = yaml_node_child(node, key);
    if (list == NULL || list->kind != YAML_SEQUENCE || list->count == 0)
        return error_set(source->error, STATUS_USAGE, "%s: %s must be a list, and not empty.",
                         source->file, key);
    enum status status = STATUS_OK;
    for (const struct yaml_node *item = list->first; item != NULL && status == STATUS_OK;
         item = item->next)
        status = read_item(source, item);
    return status;
}

static bool good_name(const char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static enum status read_driver(const struct source *source, const struct yaml_node *root)
{
    static const char *const only_openbeken[] = {"image", "autoexec", "flags", NULL};
    struct profile *profile = source->profile;
    const char *driver = "";
    enum status status = read_text(source, root, "driver", 16, &driver);
    if (status != STATUS_OK)
        return status;
    profile->openbeken = strcmp(driver, "openbeken") == 0;
    if (!profile->openbeken && strcmp(driver, "bl0942") != 0)
        return wrong(source, yaml_node_child(root, "driver"),
                     "The driver must be openbeken or bl0942");
    if (profile->openbeken) {
        status = read_text(source, root, "image", 200, &profile->image);
        if (status == STATUS_OK)
            status = read_text(source, root, "autoexec", PROFILE_AUTOEXEC_MAX, &profile->autoexec);
        return status == STATUS_OK ? read_list(source, root, "flags", read_flag) : status;
    }
    for (const char *const *key = only_openbeken; *key != NULL; key++)
        if (yaml_node_child(root, *key) != NULL)
            return wrong(source, yaml_node_child(root, *key), "This is for openbeken only");
    return STATUS_OK;
}

static enum status read_profile(const struct source *source, const struct yaml_node *root)
{
    static const char *const keys[] = {"name",        "title",  "driver",   "image",
                                       "twin",        "wiring", "channels", "autoexec",
                                       "max_current", "flags",  "bridge",   NULL};
    struct profile *profile = source->profile;
    enum status status = check_keys(source, root, keys);
    if (status == STATUS_OK)
        status = read_text(source, root, "name", 32, &profile->name);
    if (status == STATUS_OK && !good_name(profile->name))
        return wrong(source, yaml_node_child(root, "name"), "The name must be of a-z, 0-9 and -");
    if (status == STATUS_OK)
        status = read_text(source, root, "title", 100, &profile->title);
    if (status == STATUS_OK)
        status = read_bool(source, root, "twin", &profile->twin);
    if (status == STATUS_OK)
        status = read_number(source, root, "max_current", 0.1, 1000, &profile->max_current_a);
    if (status == STATUS_OK)
        status = read_text(source, root, "wiring", 1000, &profile->wiring);
    if (status == STATUS_OK)
        status = read_text(source, root, "bridge", 2000, &profile->bridge);
    if (status == STATUS_OK)
        status = read_list(source, root, "channels", read_channel);
    if (status == STATUS_OK)
        status = read_driver(source, root);
    if (status == STATUS_OK && profile->openbeken && profile->twin != (profile->channel_count == 2))
        return wrong(source, yaml_node_child(root, "twin"),
                     "A module with two channels needs a twin build, one with a single channel "
                     "does not");
    return status;
}

static enum status report_problem(const struct config_problems *problems, struct error *error)
{
    const struct config_problem *problem = &problems->list[0];
    return error_set(error, STATUS_USAGE, "%s:%d:%d: %s", problem->file, problem->line,
                     problem->column, problem->message);
}

enum status profile_parse(const char *file, const char *bytes, size_t length,
                          struct profile **profile, struct error *error)
{
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct owned_profile *owned = memory_new(1, sizeof *owned);
    owned->profile.image = owned->profile.autoexec = "";
    owned->tree = yaml_tree_load(file, bytes, length, problems);
    const struct source source = {.file = file, .profile = &owned->profile, .error = error};
    enum status status = problems->errors > 0 ? report_problem(problems, error)
                                              : read_profile(&source, yaml_tree_root(owned->tree));
    if (status == STATUS_OK)
        *profile = &owned->profile;
    else
        profile_free(&owned->profile);
    return status;
}

void profile_free(struct profile *profile)
{
    if (profile == NULL)
        return;
    struct owned_profile *owned = (struct owned_profile *)profile;
    yaml_tree_free(owned->tree);
    free(owned);
}

const char *profile_name(size_t i)
{
    return profile_files[i].name;
}

static enum status load_file(const char *path, struct profile **profile, struct error *error)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    if (file_read(path, FILE_MAX, &bytes, &length, error) != STATUS_OK)
        return STATUS_USAGE;
    return profile_parse(path, bytes, length, profile, error);
}

static bool is_file(const char *name)
{
    size_t length = strlen(name);
    return strchr(name, '/') != NULL || (length > 5 && strcmp(name + length - 5, ".yaml") == 0);
}

enum status profile_load(const char *name, struct profile **profile, struct error *error)
{
    if (is_file(name))
        return load_file(name, profile, error);
    char known[512];
    struct text text;
    text_init(&text, known, sizeof known);
    for (const struct profile_file *file = profile_files; file->name != NULL; file++) {
        if (strcmp(file->name, name) == 0)
            return profile_parse(name, (const char *)file->bytes, *file->length, profile, error);
        text_append(&text, "%s%s", text.length > 0 ? ", " : "", file->name);
    }
    return error_set(error, STATUS_USAGE,
                     "There is no profile \"%.40s\". There are: %s. A profile of your own is named "
                     "by its file, which ends with .yaml.",
                     name, known);
}

/* As an id in bridge.yaml may be: utilities/Sensor9 -> utilities_sensor9. */
static void device_id(const char *client_id, char id[DEVICE_ID_MAX + 1])
{
    size_t length = 0;
    for (const char *c = client_id; *c != '\0' && length < DEVICE_ID_MAX; c++) {
        unsigned char byte = (unsigned char)*c;
        id[length++] = (char)(byte < 0x80 && (isalnum(byte) || byte == '-') ? tolower(byte) : '_');
    }
    id[length] = '\0';
}

/* JSON's text is also YAML's. */
static void append_quoted_yaml(struct text *text, const char *value)
{
    json_t *json = json_string(value);
    char *quoted memory_auto = json != NULL ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
    text_append(text, "%s", quoted != NULL ? quoted : "\"\"");
    json_decref(json);
}

static bool append_variable(const char *at, const char *variable, const char *value,
                            struct text *text, size_t *length)
{
    *length = strlen(variable);
    if (strncmp(at, variable, *length) != 0)
        return false;
    append_quoted_yaml(text, value);
    return true;
}

void profile_append_bridge(const struct profile *profile, const char *client_id, const char *name,
                           struct text *text)
{
    char id[DEVICE_ID_MAX + 1];
    device_id(client_id, id);
    text_append(text, "devices:\n");
    bool line_begins = true;
    for (const char *at = profile->bridge; *at != '\0';) {
        size_t length = 1;
        if (line_begins)
            text_append(text, "  ");
        line_begins = *at == '\n';
        if (!append_variable(at, "@ID@", id, text, &length) &&
            !append_variable(at, "@NAME@", name[0] != '\0' ? name : id, text, &length) &&
            !append_variable(at, "@TOPIC@", client_id, text, &length)) {
            length = 1;
            text_append(text, "%c", *at);
        }
        at += length;
    }
}
