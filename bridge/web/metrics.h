/* SPDX-License-Identifier: MIT */
/** The state of all devices in the OpenMetrics text format, for Prometheus and its kin. */
#ifndef BRIDGE_WEB_METRICS_H
#define BRIDGE_WEB_METRICS_H

#include "bridge/hub/hub.h"

#include <stddef.h>

#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/** What is known of the process itself. */
struct metrics_process {
    const char *version;
    double uptime_s;
    double memory_bytes; /**< resident */
};

/**
 * The whole document, to be freed. Each property of the devices is a metric family: bl2mqtt_, its name and
 * its unit. Channels have the label channel; sums over channels are left out, as whoever reads this can
 * add, and would count twice. Unknown values have no sample.
 */
char *metrics_text(const struct hub *hub, const struct metrics_process *process, size_t *length);

#endif
