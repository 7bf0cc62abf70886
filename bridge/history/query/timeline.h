/* SPDX-License-Identifier: MIT */
/**
 * What happened, and when nothing was measured. Read-only, usable while the service writes; each
 * transaction is short.
 */
#ifndef BRIDGE_HISTORY_QUERY_TIMELINE_H
#define BRIDGE_HISTORY_QUERY_TIMELINE_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>

/** Borrowed while the callback runs. */
struct history_event {
    int64_t wall_ms;
    const char *device; /**< NULL: about the bridge */
    const char *channel;
    const char *kind; /**< a stable word */
    const char *message;
};

/** Return false to stop. */
typedef bool (*history_event_callback)(void *context, const struct history_event *event);

/** In order of time, from_ms <= time < to_ms. device NULL: of all devices and of the bridge. channel
 *  NULL: of all channels. STATUS_USAGE: no such file, device or channel, or an empty span. */
enum status history_events(const char *path, const char *device, const char *channel,
                           int64_t from_ms, int64_t to_ms, history_event_callback callback,
                           void *context, struct error *error);

/** Borrowed while the callback runs. */
struct history_gap {
    int64_t start_ms; /**< the last reading before it, or the begin of the span */
    int64_t end_ms;   /**< the first reading after it, or the end of the span */
    const char *device;
    const char *channel;
    const char *reason; /**< port_gone, offline, service_stopped, history_not_written, clock_set,
                             suspended or unknown, as the events tell */
};

typedef bool (*history_gap_callback)(void *context, const struct history_gap *gap);

/**
 * The times without readings within from_ms..to_ms (not after now), in order of their ends. Those
 * count that are longer than min_ms and than cadence.h says a reading stands for. A channel is
 * expected from the moment it was first configured. device NULL: all; channel NULL: all of the
 * device. STATUS_USAGE as above.
 */
enum status history_gaps(const char *path, const char *device, const char *channel, int64_t from_ms,
                         int64_t to_ms, int64_t min_ms, history_gap_callback callback,
                         void *context, struct error *error);

#endif
