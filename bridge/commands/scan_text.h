/* SPDX-License-Identifier: MIT */
/** What `scan` prints: the names of ports, and what a chip measures. */
#ifndef BRIDGE_COMMANDS_SCAN_TEXT_H
#define BRIDGE_COMMANDS_SCAN_TEXT_H

#include "drivers/base/text.h"
#include "drivers/bl0942/codec.h"

#include <stddef.h>

/** The name that still leads to this adapter after it was put back or the machine restarted; the name
 *  that was given where there is none. */
void scan_stable_name(const char *port, char *name, size_t size);

/** Appends a YAML scalar, quoted where a plain one would not do. */
void scan_append_yaml(struct text *text, const char *value);

/** Volts, if the board has the usual divider. */
double scan_volts(const struct bl0942_packet *packet);
/** 0 if the chip does not report it. */
double scan_hertz(const struct bl0942_packet *packet);

#endif
