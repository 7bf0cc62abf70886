/* SPDX-License-Identifier: MIT */
/** The state of all devices for Prometheus and its kin, in OpenMetrics or in the text format before it. */
#ifndef BRIDGE_WEB_METRICS_H
#define BRIDGE_WEB_METRICS_H

#include "bridge/hub/hub.h"

#include <stddef.h>

enum metrics_format {
    METRICS_OPEN, /**< OpenMetrics 1.0.0 */
    METRICS_TEXT, /**< Prometheus's text format 0.0.4, which `promtool check metrics` reads */
};

/** What a client gets: OpenMetrics, unless it names text/plain and does not want OpenMetrics at least as much.
 *  accept: NULL if it says nothing. */
enum metrics_format metrics_format_for(const char *accept);

/** The Content-Type. */
const char *metrics_type(enum metrics_format format);

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
char *metrics_text(const struct hub *hub, const struct metrics_process *process,
                   enum metrics_format format, size_t *length);

#endif
