/* SPDX-License-Identifier: MIT */
/** Listing the device profiles, for every command that takes one. */
#ifndef BRIDGE_COMMANDS_PROFILES_H
#define BRIDGE_COMMANDS_PROFILES_H

#include "drivers/base/status.h"

#include <stdbool.h>

/** All that are built in, on standard output. command: for messages. */
enum status profiles_list(const char *command, bool json, struct error *error);

#endif
