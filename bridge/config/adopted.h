/* SPDX-License-Identifier: MIT */
/**
 * The devices that former versions adopted by request, each in a file of its own:
 * <bridge.data_dir>/devices.d/<id>.yaml holds what would stand behind `- ` in the list `devices` of
 * bridge.yaml. They are still read. A request that changes one of them moves it into bridge.yaml, where
 * devices that are added by request stand today.
 */
#ifndef BRIDGE_CONFIG_ADOPTED_H
#define BRIDGE_CONFIG_ADOPTED_H

#include "bridge/config/yaml_tree.h"
#include "drivers/base/status.h"

#include <jansson.h>

#define ADOPTED_FOLDER "devices.d"

struct adopted;

/**
 * Appends the devices of the folder, in the order of their file names, to the tree's list `devices`; to
 * be done before anything else looks at the tree. data_dir is the default; the tree or the environment may
 * name another. A tree without such a list is left alone: that is an error of its own. Never NULL; to be
 * freed when the tree is.
 */
struct adopted *adopted_graft(struct yaml_tree *tree, const char *data_dir,
                              char *const *environment, struct config_problems *problems);
void adopted_free(struct adopted *adopted);

/** The device of one such file, as an object for config_edit_add_device; a new reference. NULL with *error
 *  filled if the file cannot be read or holds a secret. */
json_t *adopted_device_json(const char *path, struct error *error);

/** How many there are: the last ones of the list. */
size_t adopted_count(const struct adopted *adopted);

#endif
