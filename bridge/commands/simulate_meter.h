/* SPDX-License-Identifier: MIT */
/** `simulate meter`: what was asked for, and the run. */
#ifndef BRIDGE_COMMANDS_SIMULATE_METER_H
#define BRIDGE_COMMANDS_SIMULATE_METER_H

#include "drivers/base/status.h"
#include "drivers/simulator/meter.h"

#include <stdbool.h>

struct simulate_meter {
    struct simulator_meter_options meter;
    double unplug_every_s, unplug_for_s; /**< 0: never */
    const char *truth_path;              /**< NULL: none */
    bool control, json;
};

/** Runs until a signal, or the end of standard input if that controls it. */
enum status simulate_meter_run(const struct simulate_meter *simulate);

#endif
