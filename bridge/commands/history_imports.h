/* SPDX-License-Identifier: MIT */
/** The imports that were made: `history import --list` and `--undo`. */
#ifndef BRIDGE_COMMANDS_HISTORY_IMPORTS_H
#define BRIDGE_COMMANDS_HISTORY_IMPORTS_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum status history_imports_list(const char *path, bool json, struct error *error);
enum status history_imports_undo(const char *path, int64_t id, bool json, struct error *error);

#endif
