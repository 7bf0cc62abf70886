/* SPDX-License-Identifier: MIT */
/** The tariffs of a checked configuration, in the form that costs are calculated with. */
#ifndef BRIDGE_CONFIG_TARIFFS_H
#define BRIDGE_CONFIG_TARIFFS_H

#include "bridge/config/config.h"
#include "bridge/meter/tariff.h"

/** config->tariff_count of them, in their order; tariffs_release() them. */
struct tariffs *config_tariffs(const struct config *config);

#endif
