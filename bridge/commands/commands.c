/* SPDX-License-Identifier: MIT */
/* The table of all subcommands, in the order in which `bl2mqtt --help` lists them. */
#include "bridge/commands/command.h"

#include <stddef.h>

const struct command commands[] = {
    {"flash probe", "which BK7231 module this is and what is on it", command_flash_probe},
    {"flash link-test", "how good adapter and wires are, at which rate", command_flash_link_test},
    {"flash backup", "the module's whole flash into a file", command_flash_backup},
    {"flash write", "firmware onto a module, with a backup first", command_flash_write},
    {"flash verify", "does the module hold this file?", command_flash_verify},
    {"flash restore", "a backup back onto its module", command_flash_restore},
    {"flash erase", "make a part of the flash blank", command_flash_erase},
    {"flash image", "what a firmware file is", command_flash_image},
    {"simulate meter", "simulated BL0942 chips on a pseudo terminal", command_simulate_meter},
    {"simulate module", "a simulated BK7231 module on a pseudo terminal", command_simulate_module},
    {NULL, NULL, NULL},
};
