/* SPDX-License-Identifier: MIT */
/**
 * The devices that a running service adopted by request, each in a file of its own:
 * <bridge.data_dir>/devices.d/<id>.yaml holds what would stand behind `- ` in the list `devices` of
 * bridge.yaml. So the service never writes to bridge.yaml, and each of the files may be edited, or
 * moved there, by hand.
 */
#ifndef BRIDGE_CONFIG_ADOPTED_H
#define BRIDGE_CONFIG_ADOPTED_H

#include "bridge/config/yaml_tree.h"

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

/** How many there are: the last ones of the list. */
size_t adopted_count(const struct adopted *adopted);

#endif
