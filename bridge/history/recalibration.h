/* SPDX-License-Identifier: MIT */
/**
 * Correcting the factors that a channel was measured with in the past. Readings and rollups are raw,
 * so a correction is a row of the table `recalibration`, rows of rollups cut where it begins and ends,
 * and the difference in the channel's total; undoing it is a mark on that row.
 *
 * A published total does not go down: what a correction takes away from it is held as an offset
 * (total.held_*), which later corrections use up first. Other programs, which know nothing of it,
 * then count on from where they were.
 */
#ifndef BRIDGE_HISTORY_RECALIBRATION_H
#define BRIDGE_HISTORY_RECALIBRATION_H

#include "bridge/history/store/channels.h"
#include "bridge/meter/calibration.h"
#include "bridge/meter/energy.h"

#include <stdbool.h>
#include <stdint.h>

struct history_recalibration {
    char device[CHANNEL_TEXT_MAX];
    char channel[CHANNEL_TEXT_MAX];
    int64_t since_ms;
    int64_t until_ms;           /**< at most the last reading's; INT64_MAX: that */
    struct calibration factors; /**< those that are 0 stay as they were */
    int64_t calibration_id;     /**< not 0: all three of that row of `calibration` */
    bool undo;    /**< the last one of the channel that is in force; nothing else counts */
    bool dry_run; /**< nothing is changed */
};

struct history_recalibrated {
    int64_t id; /**< row of `recalibration` */
    unsigned number;
    int64_t since_ms, until_ms;
    bool rounded; /**< begin or end was moved to where rows begin, as no readings are left there */
    struct calibration old_factors, new_factors; /**< at since_ms */
    bool in_use_differs; /**< the channel goes on with other factors than new_factors */
    struct calibration in_use;
    int64_t imported_before_uwh, imported_after_uwh; /**< from since_ms to until_ms */
    int64_t exported_before_uwh, exported_after_uwh;
    int64_t total_imported_before_uwh, total_imported_after_uwh; /**< as published */
    int64_t total_exported_before_uwh, total_exported_after_uwh;
    int64_t held_imported_uwh, held_exported_uwh; /**< of the total after */
    /** What the channel's energy_state changes by, whatever was counted since. */
    struct energy_adjustment adjustment;
};

#endif
