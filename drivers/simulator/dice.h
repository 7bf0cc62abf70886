/* SPDX-License-Identifier: MIT */
/**
 * Repeatable randomness for the simulators: the same seed gives the same noise, load and faults on
 * every machine. splitmix64 (public domain, S. Vigna): small, and every seed is a good one.
 */
#ifndef DRIVERS_SIMULATOR_DICE_H
#define DRIVERS_SIMULATOR_DICE_H

#include <stdint.h>

/** A well mixed value that depends on nothing but its argument. */
static inline uint64_t dice_hash(uint64_t value)
{
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

/** The next value of a sequence; *state is the seed at first. */
static inline uint64_t dice_next(uint64_t *state)
{
    uint64_t value = dice_hash(*state);
    *state += UINT64_C(0x9E3779B97F4A7C15);
    return value;
}

/** 0 <= result < 1. */
static inline double dice_unit(uint64_t value)
{
    return (double)(value >> 11) * 0x1p-53;
}

#endif
