/* SPDX-License-Identifier: MIT */
/** The tariffs of a checked configuration, in the form that costs are calculated with. */
#ifndef BRIDGE_CONFIG_TARIFFS_H
#define BRIDGE_CONFIG_TARIFFS_H

#include "bridge/config/config.h"
#include "bridge/meter/tariff.h"

/** config->tariff_count of them, in their order; to be freed with config_tariffs_free. */
struct tariff *config_tariffs(const struct config *config);
void config_tariffs_free(struct tariff *tariffs, size_t count);

#endif
