/* SPDX-License-Identifier: MIT */
/** `!secret name`: values that stand in secrets.yaml beside the configuration. */
#ifndef BRIDGE_CONFIG_SECRETS_H
#define BRIDGE_CONFIG_SECRETS_H

#include "bridge/config/yaml_tree.h"

struct secrets_source {
    const char *path;  /**< to be read, or NULL: bytes are used */
    const char *bytes; /**< NULL with a NULL path: there are none */
    size_t length;
};

/**
 * Replaces the name of every !secret in the tree by its value. What cannot be found is reported
 * where it is used and becomes YAML_BROKEN. The source is only touched if there is something to
 * look up. A world-readable file is a warning. The values point into the returned tree (NULL if
 * nothing was looked up), which the caller frees after the other.
 */
struct yaml_tree *secrets_resolve(struct yaml_tree *tree, const struct secrets_source *source,
                                  struct config_problems *problems);

#endif
