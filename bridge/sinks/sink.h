/* SPDX-License-Identifier: MIT */
/** One sink at work: its thread, its batch, its HTTP client. */
#ifndef BRIDGE_SINKS_SINK_H
#define BRIDGE_SINKS_SINK_H

#include "bridge/sinks/sinks.h"

struct sink;

/** number: its outbox in the history. */
struct sink *sink_create(const struct sinks_options *options, const struct config_sink *config,
                         unsigned number);
enum status sink_start(struct sink *sink, struct error *error);
/** Tells the thread to end, without waiting. */
void sink_stop(struct sink *sink);
/** Waits for the end of the thread, if there is one, and frees. */
void sink_close(struct sink *sink);
void sink_health(struct sink *sink, struct sink_health *health);

#endif
