/* SPDX-License-Identifier: MIT */
/* The table of all subcommands, in the order in which `bl2mqtt --help` lists them. */
#include "bridge/commands/command.h"

#include <stddef.h>

const struct command commands[] = {
    {"check", "validate bridge.yaml, reporting all problems at once", command_check},
    {NULL, NULL, NULL},
};
