/* SPDX-License-Identifier: MIT */
/* Dice for tests, and what the environment may say about them. *dice is the seed at first. */
#ifndef TESTS_UNIT_RANDOM_HELPER_H
#define TESTS_UNIT_RANDOM_HELPER_H

#include "drivers/base/clock.h"
#include "drivers/base/number.h"
#include "drivers/simulator/dice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A whole number from the environment; anything else there fails the test. */
static inline int64_t test_setting(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    int64_t value = otherwise;
    if (text != NULL && !number_parse_int(text, strlen(text), 0, INT64_MAX, &value))
        fail_msg("%s=%s is not a whole number", name, text);
    return value;
}

/* TEST_SEED, or a fresh one; printed, so that a failure can be repeated. */
static inline uint64_t test_seed(void)
{
    int64_t seed = test_setting("TEST_SEED", clock_wall_ms() % 1000000000);
    (void)printf("seed %lld (repeat with TEST_SEED=%lld)\n", (long long)seed, (long long)seed);
    return (uint64_t)seed;
}

/* Both ends included. */
static inline int64_t between(uint64_t *dice, int64_t low, int64_t high)
{
    return low + (int64_t)(dice_next(dice) % (uint64_t)(high - low + 1));
}

/* 0 <= result < limit. */
static inline int64_t below(uint64_t *dice, int64_t limit)
{
    return between(dice, 0, limit - 1);
}

/* 0 <= result < 1. */
static inline double fraction(uint64_t *dice)
{
    return dice_unit(dice_next(dice));
}

#endif
