/* SPDX-License-Identifier: MIT */
/** What the `flash obk-config` commands share. */
#ifndef BRIDGE_COMMANDS_FLASH_OBK_SHARED_H
#define BRIDGE_COMMANDS_FLASH_OBK_SHARED_H

#include "drivers/base/status.h"
#include "drivers/beken/obk_config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** Finds the configuration in a file, which holds it alone or is a dump; *offset: where. */
enum status obk_config_load(const char *path, struct obk_config *config,
                            enum obk_config_state *state, size_t *offset, struct error *error);

/** STATUS_REFUSED if there is such a file. */
enum status obk_config_refuse_existing(const char *path, struct error *error);

json_t *obk_config_describe(const struct obk_config *config, enum obk_config_state state,
                            size_t offset, bool show_secrets);

#endif
