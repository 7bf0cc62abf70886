/* SPDX-License-Identifier: MIT */
/** Handing a module that was set up to the running service. */
#ifndef BRIDGE_COMMANDS_ADOPT_H
#define BRIDGE_COMMANDS_ADOPT_H

#include "bridge/commands/command.h"
#include "bridge/provision/profile.h"

#include <jansson.h>

/**
 * Asks the service of the command's configuration to adopt a module with OpenBeken, then, if it is new there, to
 * begin with the profile's factors; or, with esphome, one with ESPHome as a device of driver esphome. profile NULL
 * (OpenBeken only): with the channels that the service knows of. name "" leaves it to the service. *answer
 * (json_decref) is the service's: "id", "topic", "name", "channels", "new". STATUS_NO_ANSWER: no service runs with
 * this configuration.
 */
enum status adopt(const struct command_context *context, bool esphome,
                  const struct profile *profile, const char *client_id, const char *name,
                  json_t **answer, struct error *error);

#endif
