/* SPDX-License-Identifier: MIT */
/**
 * How often a channel is read, learned from the distances of its readings; and so for how long a
 * reading stands when none follows. Pure.
 */
#ifndef BRIDGE_HISTORY_CADENCE_H
#define BRIDGE_HISTORY_CADENCE_H

#include <stddef.h>
#include <stdint.h>

#define CADENCE_INTERVALS 9
/** Two intervals alone would let one gap decide. */
#define CADENCE_KNOWN 3

/** Zero-initialised: nothing known yet. */
struct cadence {
    int64_t intervals[CADENCE_INTERVALS];
    size_t count;
    size_t next;
    size_t long_ones;
};

void cadence_note(struct cadence *cadence, int64_t interval_ms);

/** 2.5 times the median of the last nine distances, 10 s at least. */
int64_t cadence_reach_ms(const struct cadence *cadence);

#endif
