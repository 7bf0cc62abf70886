/* SPDX-License-Identifier: MIT */
/**
 * Mapping files: those built in (schema/mappings) and the user's own. The keys are described in
 * docs/mappings.md and schema/mapping.schema.json.
 */
#ifndef BRIDGE_CONFIG_MAPPING_FILE_H
#define BRIDGE_CONFIG_MAPPING_FILE_H

#include "drivers/base/status.h"
#include "drivers/mapping/mapping.h"

/** The i-th built-in mapping's name, NULL behind the last. */
const char *mapping_builtin(size_t i);

/** By a built-in name, or the path of a file (it holds a slash or ends with .yaml). Free the result with
 *  mapping_free(). STATUS_USAGE with the place and a sentence if there is none, or something is wrong. */
enum status mapping_load(const char *name, struct mapping **mapping, struct error *error);

/** From memory; file is for messages. */
enum status mapping_parse(const char *file, const char *bytes, size_t length,
                          struct mapping **mapping, struct error *error);

#endif
