/* SPDX-License-Identifier: MIT */
/** What a pin of an OpenBeken module can be for: names and numbers. Pure. Source: OpenBK7231T_App,
 *  src/new_pins.h; the first of them never changed their numbers. */
#ifndef BRIDGE_PROVISION_OBK_ROLES_H
#define BRIDGE_PROVISION_OBK_ROLES_H

#include <stdbool.h>

/** By its exact name ("Rel_n"); the name is the table's. */
bool obk_role_find(const char *name, const char **known, unsigned *number);

#endif
