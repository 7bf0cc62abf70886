/* SPDX-License-Identifier: MIT */
/** `simulate module`: what was asked for, and the run. */
#ifndef BRIDGE_COMMANDS_SIMULATE_MODULE_H
#define BRIDGE_COMMANDS_SIMULATE_MODULE_H

#include "drivers/base/status.h"
#include "drivers/simulator/module_contents.h"
#include "drivers/simulator/module_port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct simulate_module {
    struct module_options module;
    struct module_contents_options contents;
    struct module_port_options port;
    struct module_faults faults;
    const char *flash_path, *vault_path, *stats_path, *on_boot; /**< NULL: none */
    bool control, json;
};

/** Fills the flash with what it is to hold at power-on. */
enum status simulate_module_contents(const struct simulate_module *simulate, uint8_t *flash,
                                     size_t size, struct error *error);

/** Starts a program with the name of a file; what it prints goes to standard error, because standard
 *  output speaks JSON. */
enum status simulate_module_spawn(const char *program, const char *file, pid_t *pid,
                                  struct error *error);

/** Runs until a signal, or the end of standard input if that controls it. */
enum status simulate_module_run(struct simulate_module *simulate);

#endif
