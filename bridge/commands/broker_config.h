/* SPDX-License-Identifier: MIT */
/** The broker of a command: that of bridge.yaml, or one that options name. */
#ifndef BRIDGE_COMMANDS_BROKER_CONFIG_H
#define BRIDGE_COMMANDS_BROKER_CONFIG_H

#include "bridge/commands/command.h"
#include "bridge/config/config.h"

/** The options of such a command begin with this; NULL where not given. */
struct broker_options_given {
    const char *server, *user, *password_file, *ca, *base_topic;
    const char *discovery_prefix; /**< has no row here */
};

extern const struct option_row broker_rows[]; /**< server, user, password-file, ca, base-topic */

/** A configuration with that broker; NULL with a sentence in *error. Asks for a password that is missing. */
struct config *broker_config(const struct command_context *context,
                             const struct broker_options_given *given, struct error *error);

#endif
