/* SPDX-License-Identifier: MIT */
/** One sink at work: its thread, its batch, its HTTP client, a lane for each level that it gets. */
#ifndef BRIDGE_SINKS_SINK_H
#define BRIDGE_SINKS_SINK_H

#include "bridge/sinks/sinks.h"

struct sink;

/** Registers it with the history. */
enum status sink_create(const struct sinks_options *options, const struct config_sink *config,
                        struct sink **sink, struct error *error);
enum status sink_start(struct sink *sink, struct error *error);
/** Tells the thread to end, without waiting. */
void sink_stop(struct sink *sink);
/** Waits for the end of the thread, if there is one, and frees. */
void sink_close(struct sink *sink);
void sink_health(struct sink *sink, struct sink_health *health);

#endif
