/* SPDX-License-Identifier: MIT */
/**
 * What a search for OpenBeken modules found, as JSON: each module with what a person should know before it is
 * adopted, and the lines for bridge.yaml. The work grows with the number of modules and no faster, because
 * anybody on the broker can invent thousands of them.
 */
#ifndef BRIDGE_SERVICE_FOUND_H
#define BRIDGE_SERVICE_FOUND_H

#include "bridge/config/config.h"
#include "drivers/openbeken/finder.h"

#include <jansson.h>

/** The devices and ids that exist already. It copies what it needs of the configuration, and belongs to one
 *  search: ids that found_modules proposes are taken from then on. */
struct found_known;
struct found_known *found_known_create(const struct config *config);
void found_known_free(struct found_known *known);

/**
 * A new list of the modules, those that are devices already at its end; docs/openbeken.md says what is in one.
 * modules_max: how many at most, 0 for all; *left_out is the number of the others.
 */
json_t *found_modules(struct found_known *known, const struct openbeken_finder *finder,
                      size_t modules_max, size_t *left_out);

#endif
