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

#include <jansson.h>
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

/** The same for one statistic of which Home Assistant has rows already. */
struct statistics_question {
    const char *path, *device;
    const char *channel; /**< NULL: the sum over its channels */
    bool produced;
    int64_t to_ms;      /**< only hours that end before it */
    const char *entity; /**< its id */
    bool has_mean;      /**< the metadata of Home Assistant before 2025.11 */
};

/** The hours between Home Assistant's own that it lacks. */
struct statistics_missing {
    json_t *import;            /**< {"metadata", "stats"}, a reference of the caller's */
    size_t hours;              /**< how many; 0: it has all */
    int64_t first_ms, last_ms; /**< begin of the first and of the last */
    int64_t energy_uwh;        /**< in all of them */
};

/** rows: its list for the entity, in kilowatt hours; those in front of them all are left out, and the one
 *  behind which nothing was measured yet. */
enum status statistics_find_missing(const struct statistics_question *question, const json_t *rows,
                                    struct statistics_missing *missing, struct error *error);

/** Writes a JSON list of {"metadata", "stats"}. *failed: the output takes no more. STATUS_USAGE: the file
 *  is no such answer. */
enum status statistics_write(const struct statistics_options *options, FILE *out, bool *failed,
                             struct error *error);

#endif
