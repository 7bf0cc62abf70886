/* SPDX-License-Identifier: MIT */
/* The table of all subcommands, in the order in which `bl2mqtt --help` lists them. */
#include "bridge/commands/command.h"

#include <stddef.h>

const struct command commands[] = {
    {"simulate meter", "simulated BL0942 chips on a pseudo terminal", command_simulate_meter},
    {NULL, NULL, NULL},
};
