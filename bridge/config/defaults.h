/* SPDX-License-Identifier: MIT */
/** The table of keys as a file to start from. */
#ifndef BRIDGE_CONFIG_DEFAULTS_H
#define BRIDGE_CONFIG_DEFAULTS_H

#include <stdio.h>

/** A bridge.yaml with every key, its default, its range and its meaning, and one example device per
 *  driver. It is itself a valid configuration, and beside the examples it sets nothing but defaults. */
void config_print_defaults(FILE *out);

#endif
