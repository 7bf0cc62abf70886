/* SPDX-License-Identifier: MIT */
/**
 * What an OpenBeken module may use a pin for: the numbers in its configuration and the names in its
 * templates and commands. Only roles that its releases have had for long; others
 * keep their number and have no name. Pure. Source: OpenBK7231T_App,
 * src/new_pins.h and its web pages.
 */
#ifndef DRIVERS_BEKEN_OBK_ROLE_H
#define DRIVERS_BEKEN_OBK_ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** NULL if the number has no name here. */
const char *obk_role_name(unsigned role);

/** By name, in any case, or by number (0 to 255). */
bool obk_role_parse(const char *text, size_t length, uint8_t *role);

#endif
