/* SPDX-License-Identifier: MIT */
/** The values of fields as JSON. Results are the caller's. */
#ifndef BRIDGE_CONFIG_FIELD_JSON_H
#define BRIDGE_CONFIG_FIELD_JSON_H

#include "bridge/config/fields.h"

#include <jansson.h>

/** The stored value as one would write it in the file; null for what is not set. */
json_t *field_to_json(const struct field *field, const void *target);

/** One of the field's choices: a number if all of them are. */
json_t *field_choice_json(const struct field *field, const char *name, int64_t value);

/** A number as short as it was written: 80 and not 80.0. */
json_t *field_number_json(double value);

json_t *field_duration_json(int64_t ms);

#endif
