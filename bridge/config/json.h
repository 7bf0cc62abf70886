/* SPDX-License-Identifier: MIT */
/** The configuration and its table as JSON. */
#ifndef BRIDGE_CONFIG_JSON_H
#define BRIDGE_CONFIG_JSON_H

#include "bridge/config/config.h"

#include <jansson.h>

/**
 * The configuration in force, in the shape of bridge.yaml with every key that applies: durations as
 * "5s", what is not set as null. redact: user, password and whatever came from secrets.yaml become
 * "********" (for bridge/info). The caller owns the result.
 */
json_t *config_to_json(const struct config *config, bool redact);

/**
 * JSON Schema (draft-07) of bridge.yaml; schema/bridge.schema.json is its text. Beside the standard
 * words it uses x-otherwise (what holds if there is no default), x-range (of durations), x-unit and
 * x-drivers, from which the reference in docs/configuration.md and bridge.yaml(5) is made.
 * The caller owns the result.
 */
json_t *config_schema(void);

#endif
