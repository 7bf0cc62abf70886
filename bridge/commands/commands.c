/* SPDX-License-Identifier: MIT */
/* The table of all subcommands, in the order in which `bl2mqtt --help` lists them. */
#include "bridge/commands/command.h"

#include <stddef.h>

const struct command commands[] = {
    {"check", "validate bridge.yaml, reporting all problems at once", command_check},
    {"simulate meter", "simulated BL0942 chips on a pseudo terminal", command_simulate_meter},
    {"history energy", "energy and power per hour, day or month", command_history_energy},
    {NULL, NULL, NULL},
};
