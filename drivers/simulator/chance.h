/* SPDX-License-Identifier: MIT */
/** One stream of dice that several parts of a simulated module throw in turn. */
#ifndef DRIVERS_SIMULATOR_CHANCE_H
#define DRIVERS_SIMULATOR_CHANCE_H

#include "drivers/simulator/dice.h"

#include <stdbool.h>
#include <stdint.h>

struct chance {
    uint64_t state; /**< the seed at first */
};

static inline uint64_t chance_next(struct chance *chance)
{
    return dice_next(&chance->state);
}

/** 0 <= result < 1. */
static inline double chance_unit(struct chance *chance)
{
    return dice_unit(dice_next(&chance->state));
}

/** 0 <= result < limit; limit must not be 0. */
static inline uint32_t chance_below(struct chance *chance, uint32_t limit)
{
    return (uint32_t)((dice_next(&chance->state) >> 32) * limit >> 32);
}

/** True with the given probability. A probability of 0 draws nothing. */
static inline bool chance_strikes(struct chance *chance, double probability)
{
    return probability > 0 && chance_unit(chance) < probability;
}

#endif
