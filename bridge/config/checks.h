/* SPDX-License-Identifier: MIT */
/** The rules that hold between values: what must be unique, what must go together. */
#ifndef BRIDGE_CONFIG_CHECKS_H
#define BRIDGE_CONFIG_CHECKS_H

#include "bridge/config/notes.h"

/** Values that were reported already (notes: failed) are left out. devices: one for each device. */
void checks_run(const struct config *config, const struct notes *file,
                const struct device_notes *devices, const struct notes *sinks,
                struct config_problems *problems);

/** What only virtual devices can have wrong: members that are not there. Called by checks_run. */
void checks_virtual(const struct config *config, const struct device_notes *devices,
                    struct config_problems *problems);
/** Properties in a device's block `homeassistant` that it does not have. Called by checks_run. */
void checks_entities(const struct config *config, const struct device_notes *devices,
                     struct config_problems *problems);

#endif
