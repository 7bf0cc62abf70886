/* SPDX-License-Identifier: MIT */
#include "bridge/provision/profile.h"

#include "bridge/config/yaml_tree.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/beken/obk_role.h"

#include <string.h>

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

static enum status read_calibration(const struct source *source, const struct yaml_node *node,
                                    struct profile_calibration *calibration)
{
    static const char *const keys[] = {"voltage", "current", "power", NULL};
    enum status status = check_keys(source, node, keys);
    if (status == STATUS_OK)
        status = read_number(source, node, "voltage", 1, 1e8, &calibration->voltage);
    if (status == STATUS_OK)
        status = read_number(source, node, "current", 1, 1e8, &calibration->current);
    if (status == STATUS_OK)
        status = read_number(source, node, "power", 1, 1e8, &calibration->power);
    calibration->given = status == STATUS_OK;
    return status;
}

static enum status read_channel(const struct source *source, const struct yaml_node *node)
{
    static const char *const keys[] = {"name", "uart", "calibration", NULL};
    const struct yaml_node *calibration = yaml_node_child(node, "calibration");
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
    if (status == STATUS_OK && calibration != NULL)
        status = read_calibration(source, calibration, &channel->calibration);
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

static enum status read_pin(const struct source *source, const struct yaml_node *node)
{
    static const char *const keys[] = {"pin", "role", "channel", NULL};
    struct profile *profile = source->profile;
    if (profile->pin_count == PROFILE_PINS_MAX)
        return wrong(source, node, "There are too many pins");
    struct profile_pin *pin = &profile->pins[profile->pin_count];
    const char *role = "";
    int number = 0, channel = 0;
    enum status status = check_keys(source, node, keys);
    if (status == STATUS_OK)
        status = read_integer(source, node, "pin", 0, 31, &number);
    if (status == STATUS_OK)
        status = read_text(source, node, "role", 20, &role);
    if (status == STATUS_OK)
        status = read_integer(source, node, "channel", 0, 63, &channel);
    if (status != STATUS_OK)
        return status;
    if (!obk_role_parse(role, strlen(role), &pin->role_number) ||
        obk_role_name(pin->role_number) == NULL)
        return wrong(source, yaml_node_child(node, "role"),
                     "This is not the name of a role that is known here; docs/profiles.md has the "
                     "usual ones");
    pin->role = obk_role_name(pin->role_number);
    pin->pin = (unsigned)number;
    pin->channel = (unsigned)channel;
    for (size_t i = 0; i < profile->pin_count; i++)
        if (profile->pins[i].pin == pin->pin)
            return wrong(source, node, "This pin is listed twice");
    profile->pin_count++;
    return STATUS_OK;
}

static enum status read_chip(const struct source *source, const struct yaml_node *node)
{
    struct profile_image *image = &source->profile->image;
    if (image->chip_count == PROFILE_CHIPS_MAX)
        return wrong(source, node, "There are too many chips");
    if (node->kind != YAML_SCALAR || node->secret ||
        !beken_chip_parse(node->text, &image->chips[image->chip_count]))
        return wrong(source, node, "This is not the name of a chip; it must be like BK7231N");
    image->chip_count++;
    return STATUS_OK;
}

static enum status read_kind(const struct source *source, const struct yaml_node *node)
{
    struct profile_image *image = &source->profile->image;
    if (image->kind_count == PROFILE_KINDS_MAX)
        return wrong(source, node, "There are too many kinds");
    enum image_kind *kind = &image->kinds[image->kind_count];
    if (node->kind == YAML_SCALAR && strcmp(node->text, "QIO") == 0)
        *kind = IMAGE_QIO;
    else if (node->kind == YAML_SCALAR && strcmp(node->text, "UA") == 0)
        *kind = IMAGE_UA;
    else
        return wrong(source, node, "The kind must be QIO or UA");
    image->kind_count++;
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

static enum status read_image(const struct source *source, const struct yaml_node *root)
{
    static const char *const keys[] = {"text", "twin", "chips", "kinds", NULL};
    const struct yaml_node *node = yaml_node_child(root, "image");
    struct profile_image *image = &source->profile->image;
    if (node == NULL)
        return wrong(source, root, "The key image is missing");
    enum status status = check_keys(source, node, keys);
    if (status == STATUS_OK)
        status = read_text(source, node, "text", 200, &image->text);
    if (status == STATUS_OK)
        status = read_bool(source, node, "twin", &image->twin);
    if (status == STATUS_OK)
        status = read_list(source, node, "chips", read_chip);
    if (status == STATUS_OK)
        status = read_list(source, node, "kinds", read_kind);
    if (status == STATUS_OK && image->twin != (source->profile->channel_count == 2))
        return wrong(source, yaml_node_child(node, "twin"),
                     "A module with two channels needs a twin build, one with a single channel "
                     "does not");
    return status;
}

static bool good_name(const char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static enum status read_driver(const struct source *source, const struct yaml_node *root)
{
    static const char *const only_openbeken[] = {"image", "pins", "autoexec", "flags", NULL};
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
        status = read_image(source, root);
        if (status == STATUS_OK)
            status = read_text(source, root, "autoexec", PROFILE_AUTOEXEC_MAX, &profile->autoexec);
        if (status == STATUS_OK && yaml_node_child(root, "pins") != NULL)
            status = read_list(source, root, "pins", read_pin);
        return status == STATUS_OK ? read_list(source, root, "flags", read_flag) : status;
    }
    for (const char *const *key = only_openbeken; *key != NULL; key++)
        if (yaml_node_child(root, *key) != NULL)
            return wrong(source, yaml_node_child(root, *key), "This is for openbeken only");
    return STATUS_OK;
}

/* Start values stand once, and the lines for bridge.yaml take them from there. */
static enum status check_calibrations(const struct source *source, const struct yaml_node *root)
{
    static const char *const variables[] = {"@CALIBRATION_A@", "@CALIBRATION_B@"};
    const struct profile *profile = source->profile;
    for (size_t i = 0; i < PROFILE_CHANNELS_MAX; i++) {
        bool given = i < profile->channel_count && profile->channels[i].calibration.given;
        if (given != (strstr(profile->bridge, variables[i]) != NULL))
            return wrong(source, yaml_node_child(root, "bridge"),
                         "A channel with a calibration needs its @CALIBRATION_A@ or "
                         "@CALIBRATION_B@ here, and only such a channel");
    }
    return STATUS_OK;
}

static enum status read_profile(const struct source *source, const struct yaml_node *root)
{
    static const char *const keys[] = {"name",        "title",    "driver", "image",
                                       "wiring",      "channels", "pins",   "autoexec",
                                       "max_current", "flags",    "bridge", NULL};
    struct profile *profile = source->profile;
    enum status status = check_keys(source, root, keys);
    if (status == STATUS_OK)
        status = read_text(source, root, "name", 32, &profile->name);
    if (status == STATUS_OK && !good_name(profile->name))
        return wrong(source, yaml_node_child(root, "name"), "The name must be of a-z, 0-9 and -");
    if (status == STATUS_OK)
        status = read_text(source, root, "title", 100, &profile->title);
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
    return status == STATUS_OK ? check_calibrations(source, root) : status;
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
    owned->profile.image.text = owned->profile.autoexec = "";
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
