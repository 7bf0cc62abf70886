/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/accumulator.h"

#include <math.h>

#define POWER_MAX_MW 1e12 /* no installation has more; keeps nonsense from overflowing */

void blend_add(struct blend *blend, double weight, double mean, double one, double other)
{
    double min = one < other ? one : other; /* the other way round where the sign is turned */
    double max = one < other ? other : one;
    bool first = blend->weight == 0;
    blend->min = first || min < blend->min ? min : blend->min;
    blend->max = first || max > blend->max ? max : blend->max;
    blend->sum += mean * weight;
    blend->weight += weight;
}

double blend_mean(const struct blend *blend)
{
    return fmin(fmax(blend->sum / blend->weight, blend->min), blend->max);
}

int64_t accumulator_mw(double mw)
{
    return llround(fmin(fmax(mw, -POWER_MAX_MW), POWER_MAX_MW));
}

int accumulator_coverage(int64_t covered_ms, int64_t length_ms)
{
    covered_ms = covered_ms < 0 ? 0 : covered_ms > length_ms ? length_ms : covered_ms;
    return (int)(covered_ms * 1000 / length_ms);
}

void accumulator_add(struct accumulator *accumulator, const struct converted *converted,
                     const struct rollup_row *row)
{
    accumulator->any = true;
    conversion_add(&accumulator->covered_ms, row->covered_ms);
    if (row->power_covered_ms <= 0)
        return;
    double factor = conversion_mw_per_raw(&converted->calibration);
    double time = (double)row->power_covered_ms;
    blend_add(&accumulator->power, time, (double)row->power_ms / time * factor,
              (double)row->power_min * factor, (double)row->power_max * factor);
}

void accumulator_credit(struct accumulator *accumulator, struct converted *converted,
                        const struct rollup_row *row)
{
    conversion_add(&accumulator->imported_uwh,
                   conversion_credit(converted, &converted->imported, row->imported));
    conversion_add(&accumulator->exported_uwh,
                   conversion_credit(converted, &converted->exported, row->exported));
}

bool accumulator_is_expected(const struct accumulator_channel *channel, int64_t start_ms,
                             int64_t end_ms)
{
    return channel->sum.any || (channel->since_ms < end_ms && channel->last_ms >= start_ms);
}

void accumulator_set_range(struct accumulator_total *total, double min_mw, double max_mw)
{
    int64_t min = accumulator_mw(min_mw);
    int64_t max = accumulator_mw(max_mw);
    total->range_known = true;
    total->power_min_mw = min < total->power_mean_mw ? min : total->power_mean_mw;
    total->power_max_mw = max > total->power_mean_mw ? max : total->power_mean_mw;
}

/* The mean is of all the time, the range of the moments at which all channels were known. */
static void find_range(const struct accumulator_channel *channels, size_t count,
                       struct peaks *peaks, unsigned device, struct accumulator_total *total)
{
    double min_mw;
    double max_mw;
    peaks_end(peaks);
    if (count == 1)
        accumulator_set_range(total, channels[0].sum.power.min, channels[0].sum.power.max);
    else if (peaks_of(peaks, device, &min_mw, &max_mw))
        accumulator_set_range(total, min_mw, max_mw);
}

void accumulator_total(const struct accumulator_channel *channels, size_t count, int64_t start_ms,
                       int64_t end_ms, struct peaks *peaks, unsigned device,
                       struct accumulator_total *total)
{
    *total = (struct accumulator_total){.power_known = true, .coverage_permille = 1000};
    bool expected = false;
    for (size_t i = 0; i < count; i++) {
        const struct accumulator *sum = &channels[i].sum;
        total->any = total->any || sum->any;
        if (!accumulator_is_expected(&channels[i], start_ms, end_ms))
            continue;
        expected = true;
        conversion_add(&total->imported_uwh, sum->imported_uwh);
        conversion_add(&total->exported_uwh, sum->exported_uwh);
        int permille = accumulator_coverage(sum->covered_ms, end_ms - start_ms);
        if (permille < total->coverage_permille)
            total->coverage_permille = permille;
        if (sum->power.weight > 0)
            total->power_mean_mw += accumulator_mw(blend_mean(&sum->power));
        else
            total->power_known = false;
    }
    total->power_known = total->power_known && expected;
    total->coverage_permille = expected ? total->coverage_permille : 0;
    if (total->power_known)
        find_range(channels, count, peaks, device, total);
    else
        total->power_mean_mw = 0;
}
