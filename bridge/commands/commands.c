/* SPDX-License-Identifier: MIT */
#include "bridge/commands/command.h"

#include <stddef.h>

const struct command *const commands[] = {
#define COMMAND(id) &command_##id,
#include "bridge/commands/commands.def"
    NULL,
};
