/* SPDX-License-Identifier: MIT */
/**
 * Questions to a history file, read-only, usable while the service writes it. Buckets follow the
 * process's time zone (TZ); a day may have 23 or 25 hours.
 *
 * Answers are made from days and quarters of an hour where those are made and fit, from minutes and
 * readings at the ends of the span and for what is not over (segments.h); so a question about years is
 * as cheap as one about days.
 *
 * Energy: a bucket has the counts that the readings stamped within it credited, each converted with
 * the calibration, as corrected, that held at its time. What is converted is the running sum of
 * counts since these factors began to hold, and a bucket gets its increase. So a span has the same
 * energy to the microwatt hour however it is cut into buckets and whatever else is asked for, and it
 * is what the total grew by meanwhile. Energy counted while nobody read the meter is in the bucket
 * of the reading after.
 *
 * Coverage: a reading stands for the time until the channel's next one, but for no longer than 2.5
 * times the channel's typical interval at that time (the median of its last nine) and for 10 s at
 * least. Mean, minimum and maximum power are those of the readings that stand within the bucket, the
 * mean weighed by time; the last reading before it may be one.
 */
#ifndef BRIDGE_HISTORY_QUERY_ENERGY_H
#define BRIDGE_HISTORY_QUERY_ENERGY_H

#include "bridge/history/query/buckets.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** More buckets than this are refused: 22 years of hours. */
#define HISTORY_BUCKETS_MAX 200000

struct history_energy_row {
    int64_t start_ms, end_ms; /**< wall clock, end exclusive; the first and the last bucket are
                                   cut to the span that was asked for */
    bool
        measured; /**< false: no channel has readings in this bucket; energy is 0 for want of any */
    int64_t imported_uwh, exported_uwh;
    int64_t estimated_imported_uwh, estimated_exported_uwh; /**< how much of them was counted while
                                                                 nobody read the counter (estimates.h) */
    int64_t foreign_imported_uwh, foreign_exported_uwh; /**< how much of them was not measured here
                                                             but imported (foreign.h); its quarters
                                                             are in the bucket that they begin in */
    bool power_known; /**< false: a channel had no power reading in this bucket */
    int64_t power_mean_mw;
    bool power_range_known; /**< power_known, and the question is about one channel */
    int64_t power_min_mw, power_max_mw;
    int coverage_permille; /**< how much of the bucket had readings */
};

/** Return false to stop. */
typedef bool (*history_energy_callback)(void *context, const struct history_energy_row *row);

struct history_query;

/** STATUS_USAGE: no such file, not a history, or of another version. */
enum status history_query_open(const char *path, struct history_query **query, struct error *error);
void history_query_close(struct history_query *query);

/**
 * One row for each bucket between from_ms and to_ms, in order, empty ones too.
 *
 * channel NULL: the sum over the device's channels: power is the sum of the channels' means and
 * coverage that of the least covered channel, where a channel that is no longer read counts only up
 * to its last reading. STATUS_USAGE if there is no such device or channel (the sentence names those
 * there are), if the span is empty or has too many buckets.
 */
enum status history_query_energy(struct history_query *query, const char *device,
                                 const char *channel, int64_t from_ms, int64_t to_ms,
                                 enum history_bucket bucket, history_energy_callback callback,
                                 void *context, struct error *error);

/** The zone that the file's days are made in: an IANA name, or whatever TZ said. False if there is no
 *  such file, or no service has written to it. */
bool history_file_zone(const char *path, char *name, size_t size);

/** Whether a service holds readings in memory until the clock of the machine is set: they are in no answer
 *  yet. */
bool history_clock_awaited(const char *path);

#endif
