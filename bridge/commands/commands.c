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
    {"history power", "the power over time, its peaks included", command_history_power},
    {"history cost", "what the energy cost, by the tariffs of bridge.yaml", command_history_cost},
    {"history gaps", "when nothing was measured, and why", command_history_gaps},
    {"history events", "what happened to the bridge and its channels", command_history_events},
    {"history export", "readings as CSV or JSON, energy for Home Assistant",
     command_history_export},
    {"history import", "energy that others counted, from their files", command_history_import},
    {"history backup", "copy the history while it is in use", command_history_backup},
    {"history restore", "put a copy in the history's place", command_history_restore},
    {"history verify", "check the history or a copy of it", command_history_verify},
    {"flash probe", "which BK7231 module this is and what is on it", command_flash_probe},
    {"flash link-test", "how good adapter and wires are, at which rate", command_flash_link_test},
    {"flash backup", "the module's whole flash into a file", command_flash_backup},
    {"flash write", "firmware onto a module, with a backup first", command_flash_write},
    {"flash verify", "does the module hold this file?", command_flash_verify},
    {"flash restore", "a backup back onto its module", command_flash_restore},
    {"flash erase", "make a part of the flash blank", command_flash_erase},
    {"flash image", "what a firmware file is", command_flash_image},
    {"flash tuya", "the vendor's settings in a dump", command_flash_tuya},
    {"flash obk-config", "OpenBeken's configuration: show, build, write", command_flash_obk_config},
    {"openbeken find", "list OpenBeken modules on the broker, with their lines for bridge.yaml",
     command_openbeken_find},
    {"openbeken info", "what an OpenBeken module is, and how it is set", command_openbeken_info},
    {"openbeken provision", "set up an OpenBeken module", command_openbeken_provision},
    {"openbeken calibrate", "tell an OpenBeken module the true values",
     command_openbeken_calibrate},
    {"simulate meter", "simulated BL0942 chips on a pseudo terminal", command_simulate_meter},
    {"simulate module", "a simulated BK7231 module on a pseudo terminal", command_simulate_module},
    {NULL, NULL, NULL},
};
