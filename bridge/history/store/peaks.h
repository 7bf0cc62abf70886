/* SPDX-License-Identifier: MIT */
/**
 * The minimum and maximum of the sum over a device's channels: not the sum of their minima and maxima,
 * which were at different times. Each channel's row of a bucket has its own raw power at the moment at
 * which the device's sum was minimal, and maximal (rollup.h); so calibration can be applied on the way
 * out, and buckets combine into longer ones. Pure.
 */
#ifndef BRIDGE_HISTORY_STORE_PEAKS_H
#define BRIDGE_HISTORY_STORE_PEAKS_H

#include "bridge/history/store/key.h"
#include "bridge/history/store/rollup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A channel of the device in the moment under way, and in the best ones so far. */
struct peak_member {
    unsigned number;
    size_t next; /* of the same device: index plus 1 */
    bool in_moment;
    int64_t now_min, now_max; /* raw */
    bool known;
    int64_t best_min, best_max; /* raw */
};

struct peak_device {
    unsigned device;
    size_t first;    /* member: index plus 1 */
    bool touched;    /* it has rows of the moment under way */
    bool incomplete; /* one of these does not know */
    double now_min, now_max;
    bool known;
    double min_mw, max_mw;
};

/** Zero-initialised: empty. A device is named by the number of one of its channels, the same for all. */
struct peaks {
    struct peak_member *members;
    size_t member_count, member_capacity;
    struct peak_device *devices;
    size_t device_count, device_capacity;
    uint16_t *member_by_number; /* index plus 1 */
    uint16_t *device_by_number;
    int64_t moment_ms;
    bool any;
};

void peaks_free(struct peaks *peaks);

/** A new bucket begins: nothing is known. */
void peaks_begin(struct peaks *peaks);

/** Adds a channel's row, in order of start_ms. Rows that begin at the same time are of the same moment.
 *  mw_per_raw converts its power. */
void peaks_add(struct peaks *peaks, unsigned device, const struct rollup_row *row,
               double mw_per_raw);

/** The bucket ends: what was added is complete. */
void peaks_end(struct peaks *peaks);

/** After peaks_end: gives a channel's row of the bucket its device_min and device_max, if known. */
void peaks_give(const struct peaks *peaks, struct rollup_row *row);

/** After peaks_end: false if the sum was never known. */
bool peaks_of(const struct peaks *peaks, unsigned device, double *min_mw, double *max_mw);

#endif
