/* SPDX-License-Identifier: MIT */
/**
 * What the rows of a channel add up to within a bucket: time covered, power, energy; and what the
 * channels of a device add up to. The one place for both, whatever question is asked. Pure.
 */
#ifndef BRIDGE_HISTORY_QUERY_ACCUMULATOR_H
#define BRIDGE_HISTORY_QUERY_ACCUMULATOR_H

#include "bridge/history/query/conversion.h"
#include "bridge/history/store/peaks.h"

#include <stdbool.h>
#include <stdint.h>

/** A quantity that is averaged, weighed by time or by readings. Zero-initialised: unknown. */
struct blend {
    double weight, sum, min, max;
};

/** one and other: the range, in either order. weight > 0. */
void blend_add(struct blend *blend, double weight, double mean, double one, double other);
/** The mean, within the range; only of a blend with weight. */
double blend_mean(const struct blend *blend);

/** A channel's part of a bucket. Zero-initialised: nothing. */
struct accumulator {
    bool any; /**< it has rows */
    int64_t covered_ms;
    int64_t imported_uwh, exported_uwh;
    struct blend power; /**< mW, weighed by time; fed back is negative */
};

/** Adds a row's time and power, with the calibration that holds at its beginning. */
void accumulator_add(struct accumulator *accumulator, const struct converted *converted,
                     const struct rollup_row *row);
/** Adds a row's energy, as what it makes the running sums grow by. */
void accumulator_credit(struct accumulator *accumulator, struct converted *converted,
                        const struct rollup_row *row);

/** Whole milliwatts; bounded, because a damaged file may say anything. */
int64_t accumulator_mw(double mw);
/** In thousandths of the length. */
int accumulator_coverage(int64_t covered_ms, int64_t length_ms);

/** A channel of the device that is asked about, whatever kinds of source have read it. */
struct accumulator_channel {
    int64_t since_ms, last_ms; /**< known since; the last reading known of */
    struct accumulator sum;
};

/** Whether a sum is incomplete without it: it has rows, or was known and still read then. */
bool accumulator_is_expected(const struct accumulator_channel *channel, int64_t start_ms,
                             int64_t end_ms);

struct accumulator_total {
    bool any; /**< a channel has rows */
    int64_t imported_uwh, exported_uwh;
    bool power_known; /**< of every channel that is expected */
    int64_t power_mean_mw;
    bool range_known;
    int64_t power_min_mw, power_max_mw;
    int coverage_permille; /**< of the channel with the minimum */
};

/** Adds the channels up. The range of several is that of their sum, from peaks of device, which end here. */
void accumulator_total(const struct accumulator_channel *channels, size_t count, int64_t start_ms,
                       int64_t end_ms, struct peaks *peaks, unsigned device,
                       struct accumulator_total *total);
/** Sets a range that is known from elsewhere; the mean is made part of it. */
void accumulator_set_range(struct accumulator_total *total, double min_mw, double max_mw);

#endif
