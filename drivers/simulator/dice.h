/* SPDX-License-Identifier: MIT */
/** Seeded chance for simulators (splitmix64): the same seed gives the same run on every machine. */
#ifndef DRIVERS_SIMULATOR_DICE_H
#define DRIVERS_SIMULATOR_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state; /**< the seed at first */
};

static inline uint64_t dice_next(struct dice *dice)
{
    uint64_t z = (dice->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/** 0 <= result < 1. */
static inline double dice_unit(struct dice *dice)
{
    return (double)(dice_next(dice) >> 11) * 0x1.0p-53;
}

/** 0 <= result < limit; limit must not be 0. */
static inline uint32_t dice_below(struct dice *dice, uint32_t limit)
{
    return (uint32_t)((dice_next(dice) >> 32) * limit >> 32);
}

/** True with the given probability. A probability of 0 draws nothing. */
static inline bool dice_chance(struct dice *dice, double probability)
{
    return probability > 0 && dice_unit(dice) < probability;
}

#endif
