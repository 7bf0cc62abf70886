/* SPDX-License-Identifier: MIT */
/**
 * The time-series engines that get what is measured (sinks of bridge.yaml), each served by a thread of
 * its own that reads the history like any other reader and sends what is behind its cursors, one for
 * the readings, and one for each level of what is aggregated from them. The history is the outbox: an
 * outage of days costs no memory, and what was not confirmed is sent again.
 */
#ifndef BRIDGE_SINKS_SINKS_H
#define BRIDGE_SINKS_SINKS_H

#include "bridge/config/config.h"
#include "bridge/history/history.h"
#include "drivers/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct sinks_options {
    const struct config *config; /**< borrowed; must outlive the sinks */
    const char *history_path;    /**< copied */
    struct history *history;     /**< not started yet; must outlive the sinks */
};

struct sinks;

/** Registers the sinks with the history. Without any, *sinks is an empty one that costs nothing. */
enum status sinks_create(const struct sinks_options *options, struct sinks **sinks,
                         struct error *error);

/** Starts the threads. */
enum status sinks_start(struct sinks *sinks, struct error *error);

/** Breaks off what is being sent and ends the threads, within about a second. NULL is allowed. */
void sinks_close(struct sinks *sinks);

struct sink_health {
    const char *id;     /**< borrowed */
    uint64_t delivered; /**< lines (readings, minutes ...), since the start */
    uint64_t refused;   /**< lines that the engine would not take, since the start */
    int64_t
        behind_ms; /**< about how long the oldest that it has not got has been there; 0: it has all */
    char problem[256]; /**< a sentence, "" when all is well */
    char refusal[256]; /**< the last line that was refused, and why; "" if none was */
};

size_t sinks_count(const struct sinks *sinks);
void sinks_health(struct sinks *sinks, size_t number, struct sink_health *health);

#endif
