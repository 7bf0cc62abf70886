/* SPDX-License-Identifier: MIT */
/**
 * From stored counts to energy: the calibration that held at each reading's time, corrected where
 * the past was recalibrated, and what its counts make in microwatt hours. What is converted is the
 * running sum of counts since these factors began to hold, and each reading gets its increase. So
 * sums over readings are exact, and they are what a meter's total grew by meanwhile, which is
 * counted in the same way (energy_fold).
 */
#ifndef BRIDGE_HISTORY_QUERY_CONVERSION_H
#define BRIDGE_HISTORY_QUERY_CONVERSION_H

#include "bridge/history/store/channels.h"

#include <sqlite3.h>

/** The prepared look-ups of one connection. */
struct conversion {
    sqlite3_stmt *at;
    sqlite3_stmt *corrections;
    sqlite3_stmt *since;
    sqlite3_stmt *next;
    sqlite3_stmt *device;
};

/** SQLite's code. conversion_close is right after a failure, too. */
int conversion_open(sqlite3 *db, struct conversion *conversion);
void conversion_close(struct conversion *conversion);

/** One number of the file on its way through time. Begin with number and kind set, all else 0. */
struct converted {
    unsigned number;
    enum reading_kind kind;
    struct known_calibration calibration; /**< as of the last conversion_at */
    bool calibrated;
    int64_t since_ms;        /**< since when it holds; INT64_MIN: always */
    int64_t recalibrated_ms; /**< when the next one begins to hold */
    int64_t imported;        /**< counts since the beginning, or since other factors held */
    int64_t exported;
};

/** Finds the calibration that holds at wall_ms. Before the first one the first one holds, without any
 *  the default. SQLite's code. For running sums times must not decrease. */
int conversion_at(struct conversion *conversion, struct converted *converted, int64_t wall_ms);

/** The first number of the channel's device, and how many channels the device has. SQLite's code. */
int conversion_device(struct conversion *conversion, unsigned number, unsigned *device,
                      unsigned *channels);

/** Milliwatts of a raw power of 1, negative where the clamp sits the other way round. */
double conversion_mw_per_raw(const struct known_calibration *calibration);

/** Since when the factors that hold at wall_ms have been the same (0: always), whatever row they come
 *  from: from there on conversion_credit counts. */
int conversion_anchor(struct conversion *conversion, const struct converted *converted,
                      int64_t wall_ms, int64_t *anchor_ms);

/** What that many more counts add to the running sum (&converted->imported or exported), in
 *  microwatt hours. */
int64_t conversion_credit(const struct converted *converted, int64_t *running, int64_t counts);

/** *sum += more, saturating: a damaged file may say anything. */
void conversion_add(int64_t *sum, int64_t more);

#endif
