/* SPDX-License-Identifier: MIT */
/** The configuration and its table told to others: as JSON, as JSON Schema, as a commented file. */
#ifndef BRIDGE_CONFIG_DESCRIBE_H
#define BRIDGE_CONFIG_DESCRIBE_H

#include "bridge/config/config.h"

#include <jansson.h>
#include <stdio.h>

/**
 * The configuration in force, in the shape of bridge.yaml with every key that applies: durations as
 * "5s", what is not set as null. redact: user, password and whatever came from secrets.yaml become
 * "********" (for bridge/info). The caller owns the result.
 */
json_t *config_to_json(const struct config *config, bool redact);

/** JSON Schema (draft-07) of bridge.yaml; schema/bridge.schema.json is its text. Owned by the
 * caller. Beside the standard words it uses x-initial, x-otherwise, x-range, x-unit, x-drivers and
 *  x-required, from which docs/configuration.md and bridge.yaml(5) are made. */
json_t *config_schema(void);

/** A bridge.yaml with every key, its default, its range and its meaning, and one example device per
 *  driver. It is itself a valid configuration that sets nothing but defaults. */
void config_print_defaults(FILE *out);

#endif
