/* SPDX-License-Identifier: MIT */
/**
 * Which totals of a channel may be published. Pure.
 *
 * Totals are published as they are on disk, so that not even a power cut that also takes the chip's counter
 * makes them fall. While the disk refuses, the present is worth more than that: then they are taken from
 * memory. Neither way do they fall while this process runs. If the previous process may have published
 * later ones than it could store, they are unknown until the meter has counted on from there: Home Assistant
 * would take the drop for an exchanged meter and count all of it again.
 */
#ifndef BRIDGE_SERVICE_TOTALS_H
#define BRIDGE_SERVICE_TOTALS_H

#include "bridge/meter/meter.h"

struct totals {
    int64_t imported_uwh, exported_uwh; /**< the highest that were shown */
    int64_t set_ms; /**< boot clock: a commit after this moment has what the user set */
    enum { TOTALS_CURRENT, TOTALS_LAGGING, TOTALS_CAUGHT_UP } phase;
    int64_t loaded_counter_ms; /**< boot clock: of the baseline that was loaded */
    int64_t caught_up_imported_uwh, caught_up_exported_uwh;
};

/** lagging: the previous process may have published more than is stored. */
void totals_begin(struct totals *totals, bool lagging, int64_t loaded_counter_ms);

/** After each reading: counter_boot_ms is meter_known_until_ms. The first credit since the start says
 *  what was counted until now: more than all that the previous process can have published. */
void totals_follow(struct totals *totals, int64_t counter_boot_ms,
                   const struct channel_values *values);

/** The user set them: they may fall now, and wait for a commit after this moment. */
void totals_set(struct totals *totals, int64_t boot_ms);

/** What the disk has. */
struct totals_stored {
    bool usable; /**< false: the disk refuses, and the meter's own are shown */
    int64_t imported_uwh, exported_uwh;
};

/** Puts the totals that may be published into values, where the meter's are. */
void totals_show(struct totals *totals, const struct totals_stored *stored,
                 struct channel_values *values);

/** Whether they differ in what is published of them: watt hours, or known and unknown. */
bool totals_moved(const struct channel_values *before, const struct channel_values *after);

#endif
