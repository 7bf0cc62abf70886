/* SPDX-License-Identifier: MIT */
/** Handing a module that was set up to the running service. */
#ifndef BRIDGE_COMMANDS_ADOPT_H
#define BRIDGE_COMMANDS_ADOPT_H

#include "bridge/config/config.h"
#include "bridge/provision/profile.h"

#include <jansson.h>

/**
 * Asks the service to adopt the module, then, if it is new there, to begin with the profile's factors. name
 * "" leaves it to the service. *answer (json_decref) is the service's: "id", "topic", "name", "channels",
 * "new". STATUS_NO_ANSWER: no service runs with this configuration.
 */
enum status adopt_module(const struct config *config, const struct profile *profile,
                         const char *client_id, const char *name, json_t **answer,
                         struct error *error);

/** The same of a module with ESPHome: the service is given it as a device of driver esphome. */
enum status adopt_esphome(const struct config *config, const struct profile *profile,
                          const char *node, const char *name, json_t **answer, struct error *error);

#endif
