/* SPDX-License-Identifier: MIT */
/** Modules that a search found (bridge/service/search.h), printed for people. */
#ifndef BRIDGE_COMMANDS_OPENBEKEN_FOUND_H
#define BRIDGE_COMMANDS_OPENBEKEN_FOUND_H

#include <jansson.h>

/** The text behind a key; "" if there is none. */
const char *found_text(const json_t *module, const char *key);

/** The lines for bridge.yaml, with what else is known of each module in comments. */
void found_print(const json_t *modules);

#endif
