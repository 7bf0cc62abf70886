/* SPDX-License-Identifier: MIT */
#include "bridge/history/cadence.h"

#define REACH_MIN_MS 10000
/* Up to this median interval, 2.5 times of it is no more than REACH_MIN_MS. */
#define SHORT_INTERVAL_MS 4000

static int64_t median(const struct cadence *cadence)
{
    int64_t sorted[CADENCE_INTERVALS] = {0};
    for (size_t i = 0; i < cadence->count; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > cadence->intervals[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = cadence->intervals[i];
    }
    return sorted[cadence->count / 2];
}

void cadence_note(struct cadence *cadence, int64_t interval_ms)
{
    int64_t *place = &cadence->intervals[cadence->next];
    if (cadence->count == CADENCE_INTERVALS)
        cadence->long_ones -= *place > SHORT_INTERVAL_MS ? 1 : 0;
    else
        cadence->count++;
    *place = interval_ms;
    cadence->long_ones += interval_ms > SHORT_INTERVAL_MS ? 1 : 0;
    cadence->next = (cadence->next + 1) % CADENCE_INTERVALS;
}

/* Two intervals alone would let one gap decide. */
int64_t cadence_reach_ms(const struct cadence *cadence)
{
    if (cadence->count < CADENCE_KNOWN || cadence->long_ones * 2 < cadence->count)
        return REACH_MIN_MS;
    int64_t reach = median(cadence) / 2 * 5;
    return reach < REACH_MIN_MS ? REACH_MIN_MS : reach;
}
