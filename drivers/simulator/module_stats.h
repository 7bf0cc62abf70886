/* SPDX-License-Identifier: MIT */
/** What happened to a simulated module as JSON (bl2mqtt-simulate-module(1), CONTROL). */
#ifndef DRIVERS_SIMULATOR_MODULE_STATS_H
#define DRIVERS_SIMULATOR_MODULE_STATS_H

#include "drivers/simulator/module.h"

#include <jansson.h>

/** The caller owns the document. */
json_t *module_stats(struct module *module);

#endif
