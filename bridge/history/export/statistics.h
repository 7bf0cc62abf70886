/* SPDX-License-Identifier: MIT */
/**
 * The energy of whole hours in the shape that Home Assistant's WebSocket command
 * `recorder/import_statistics` takes, for the entities that MQTT discovery made (source "recorder").
 *
 * With what Home Assistant has already (its answer to `recorder/statistics_during_period`), only the hours
 * are written that it lacks, and their sums continue those of its hour before: so the hours of an absence
 * get what was consumed in them, and the tall bar of the return shrinks by as much. Doing it again changes
 * nothing. Without that the sums begin at the channel's first reading, for an entity that has no statistics
 * yet.
 *
 * Hours are those of UTC, as Home Assistant's are, so that zones with half hours and changes of the clock
 * make no difference.
 */
#ifndef BRIDGE_HISTORY_EXPORT_STATISTICS_H
#define BRIDGE_HISTORY_EXPORT_STATISTICS_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct statistics_options {
    const char *path, *device;
    const char *channel; /**< NULL: all of the device */
    int64_t from_ms, to_ms;
    const char *present; /**< file with Home Assistant's answer; NULL: it has nothing */
    const char *entity;  /**< its id, with one channel; NULL: as discovery proposed it */
    bool produced_only, consumed_only; /**< of the two directions */
    bool has_mean;                     /**< the metadata of Home Assistant before 2025.11 */
};

/** Writes a JSON list of {"metadata", "stats"}. *failed: the output takes no more. STATUS_USAGE: the file
 *  is no such answer. */
enum status statistics_write(const struct statistics_options *options, FILE *out, bool *failed,
                             struct error *error);

#endif
