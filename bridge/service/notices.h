/* SPDX-License-Identifier: MIT */
/**
 * What happens to the bridge itself: the history's and the sinks' problems, and the machine's clock. They
 * become events in the hub and, where they explain something later, rows in the history. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_NOTICES_H
#define BRIDGE_SERVICE_NOTICES_H

#include "bridge/history/history.h"
#include "bridge/hub/hub.h"
#include "bridge/service/event_gate.h"
#include "bridge/sinks/sinks.h"
#include "drivers/base/log.h"

struct notices_options {
    struct history *history;
    struct hub *hub;
    struct sinks *sinks;
    struct event_gate *events;
    struct log *log;
};

struct notices;

/** All borrowed. */
struct notices *notices_create(const struct notices_options *options);
/** NULL is allowed. */
void notices_free(struct notices *notices);

/** When the history woke its owner, and about once a second. */
void notices_history(struct notices *notices);
/** About once a second. */
void notices_sinks(struct notices *notices);
/** About once a second and with each reading: a clock that was set, a machine that was suspended. What
 *  explains a gap must not stand behind the reading that ends it. */
void notices_clock(struct notices *notices);

/** Puts an event of the bridge on record, in the log unless level is LOG_LEVEL_DEBUG, and in the hub. */
void notices_event(struct notices *notices, enum log_level level, const char *kind,
                   const char *message);

#endif
