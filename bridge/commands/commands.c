/* SPDX-License-Identifier: MIT */
/* The table of all subcommands, in the order in which `bl2mqtt --help` lists them. */
#include "bridge/commands/command.h"

#include <stddef.h>

const struct command commands[] = {
    {"run", "the service: reads meters, keeps history, publishes", command_run},
    {"check", "validate bridge.yaml, reporting all problems at once", command_check},
    {"ports", "serial ports with their stable names and who holds them", command_ports},
    {"scan", "find BL0942 chips on a port: every baud rate, every address", command_scan},
    {"calibrate", "calibrate a channel against a reference", command_calibrate},
    {"history energy", "energy and power per hour, day or month", command_history_energy},
    {"history gaps", "when nothing was measured, and why", command_history_gaps},
    {"history events", "what happened to the bridge and its channels", command_history_events},
    {"history export", "readings as CSV or JSON, energy for Home Assistant",
     command_history_export},
    {"history backup", "copy the history while it is in use", command_history_backup},
    {"history verify", "check the history or a copy of it", command_history_verify},
    {"simulate meter", "simulated BL0942 chips on a pseudo terminal", command_simulate_meter},
    {"simulate module", "a simulated BK7231 module on a pseudo terminal", command_simulate_module},
    {NULL, NULL, NULL},
};
