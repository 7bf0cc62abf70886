/* SPDX-License-Identifier: MIT */
/** What BL2MQTT_* variables change in a configuration before it is read. */
#ifndef BRIDGE_CONFIG_ENVIRONMENT_H
#define BRIDGE_CONFIG_ENVIRONMENT_H

#include "bridge/config/yaml_tree.h"

/** Puts the values into the tree, where they are checked like any other; variables that name
 * nothing are problems. environment may be NULL. See config.h for the spelling. */
void environment_apply(struct yaml_tree *tree, char *const *environment,
                       struct config_problems *problems);

#endif
