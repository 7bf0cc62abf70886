/* SPDX-License-Identifier: MIT */
#include "bridge/config/adopted.h"

#include "bridge/config/fields.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)65536) /* of one device */

struct adopted {
    struct yaml_tree **trees;
    size_t tree_count;
    size_t devices;
};

/* The last one counts, as in environ itself. */
static const char *from_environment(char *const *environment)
{
    static const char variable[] = "BL2MQTT_BRIDGE__DATA_DIR=";
    const char *found = NULL;
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, variable, sizeof variable - 1) == 0)
            found = *environment + sizeof variable - 1;
    return found;
}

static const char *find_data_dir(struct yaml_tree *tree, const char *standard,
                                 char *const *environment)
{
    const char *named = from_environment(environment);
    const struct yaml_node *node = yaml_node_at(yaml_tree_root(tree), "bridge.data_dir");
    if (named != NULL)
        return named;
    return node != NULL && node->kind == YAML_SCALAR && !node->secret ? node->text : standard;
}

static int is_device_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 5 &&
           strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

static void graft_one(struct adopted *adopted, struct yaml_node *list, const char *path,
                      struct config_problems *problems)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    struct error error = {""};
    if (file_read(path, FILE_BYTES_MAX, &bytes, &length, &error) != STATUS_OK) {
        problems_add(problems, CONFIG_ERROR, (struct place){path, 0, 0}, "%s", error.text);
        return;
    }
    struct yaml_tree *tree = yaml_tree_load(path, bytes, length, problems);
    adopted->trees[adopted->tree_count++] = tree;
    struct yaml_node *root = yaml_tree_root(tree);
    if (root->kind == YAML_BROKEN)
        return;
    if (root->kind != YAML_MAPPING) {
        problems_add(problems, CONFIG_ERROR, root->place,
                     "This file must hold the keys of one device, such as `id: house`, without a "
                     "`-` in front. If the device is no longer wanted, delete the file.");
        return;
    }
    yaml_node_append(list, root);
    adopted->devices++;
}

static void graft_folder(struct adopted *adopted, struct yaml_node *list, const char *folder,
                         struct config_problems *problems)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_device_file, alphasort);
    if (count < 0 && errno != ENOENT && errno != ENOTDIR)
        problems_add(problems, CONFIG_ERROR, (struct place){folder, 0, 0},
                     "The folder of adopted devices cannot be read: %s.", strerrordesc_np(errno));
    if (count > CONFIG_DEVICES_MAX)
        problems_add(problems, CONFIG_ERROR, (struct place){folder, 0, 0},
                     "There are more than %d adopted devices; one bridge cannot have so many.",
                     CONFIG_DEVICES_MAX);
    adopted->trees = memory_new(count > 0 ? (size_t)count : 0, sizeof(struct yaml_tree *));
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        if (count <= CONFIG_DEVICES_MAX &&
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) < (int)sizeof path)
            graft_one(adopted, list, path, problems);
        free(entries[i]);
    }
    free(entries);
}

struct adopted *adopted_graft(struct yaml_tree *tree, const char *data_dir,
                              char *const *environment, struct config_problems *problems)
{
    struct adopted *adopted = memory_new(1, sizeof *adopted);
    struct yaml_node *list = yaml_node_child(yaml_tree_root(tree), "devices");
    char folder[PATH_MAX];
    if (list != NULL && list->kind == YAML_SEQUENCE &&
        snprintf(folder, sizeof folder, "%s/" ADOPTED_FOLDER,
                 find_data_dir(tree, data_dir, environment)) < (int)sizeof folder)
        graft_folder(adopted, list, folder, problems);
    return adopted;
}

void adopted_free(struct adopted *adopted)
{
    for (size_t i = 0; i < adopted->tree_count; i++)
        yaml_tree_free(adopted->trees[i]);
    free(adopted->trees);
    free(adopted);
}

size_t adopted_count(const struct adopted *adopted)
{
    return adopted->devices;
}

/* ---- as JSON ---- */

static json_t *scalar_json(const struct yaml_node *node)
{
    json_t *value = node->quoted ? NULL : json_loads(node->text, JSON_DECODE_ANY, NULL);
    bool plain = json_is_number(value) || json_is_boolean(value);
    if (plain)
        return value;
    json_decref(value);
    return json_string(node->text);
}

/* The depth is bounded by the tree. */
static json_t *node_json(const struct yaml_node *node)
{
    json_t *value = NULL;
    switch (node->kind) {
    case YAML_SCALAR:
        return node->secret ? NULL : scalar_json(node);
    case YAML_NOTHING:
        return json_object();
    case YAML_BROKEN:
        return NULL;
    case YAML_MAPPING:
        value = json_object();
        for (const struct yaml_node *child = node->first; child != NULL; child = child->next)
            if (json_object_set_new(value, child->key, node_json(child)) != 0)
                break;
        break;
    case YAML_SEQUENCE:
        value = json_array();
        for (const struct yaml_node *child = node->first; child != NULL; child = child->next)
            if (json_array_append_new(value, node_json(child)) != 0)
                break;
        break;
    }
    size_t size = node->kind == YAML_MAPPING ? json_object_size(value) : json_array_size(value);
    if (size == node->count)
        return value;
    json_decref(value);
    return NULL;
}

json_t *adopted_device_json(const char *path, struct error *error)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    if (file_read(path, FILE_BYTES_MAX, &bytes, &length, error) != STATUS_OK)
        return NULL;
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct yaml_tree *tree = yaml_tree_load(path, bytes, length, problems);
    json_t *device = node_json(yaml_tree_root(tree));
    yaml_tree_free(tree);
    if (!json_is_object(device))
        (void)error_set(error, STATUS_USAGE,
                        "%s cannot be moved into bridge.yaml. Move its lines there by hand.", path);
    return device;
}
