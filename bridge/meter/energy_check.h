/* SPDX-License-Identifier: MIT */
/**
 * Compares an energy counter with the power measured beside it, over windows of a minute or more. A
 * counter that is read in the wrong unit (Wh for kWh) is off by 1000 and stands out at any load. Pure.
 */
#ifndef BRIDGE_METER_ENERGY_CHECK_H
#define BRIDGE_METER_ENERGY_CHECK_H

#include <stdbool.h>
#include <stdint.h>

/** Zero-initialise it. */
struct energy_check {
    bool started;
    int64_t since_ms; /**< boot clock, begin of the window */
    int64_t counter;  /**< at its begin */
    int64_t latest;   /**< counter as it last came */
    int64_t largest;  /**< step between two readings: one of them may be a jump, not a rate */
    unsigned steps;
    double expected; /**< counts that the power has made since */
    double rate;     /**< counts per second, at the last reading */
    int64_t boot_ms;
};

enum energy_check_verdict {
    ENERGY_CHECK_NOTHING, /**< the window is not over, or there was too little load to judge by */
    ENERGY_CHECK_FITS,
    ENERGY_CHECK_SCALED, /**< about 1000 times more or less than the power makes, or no count at all */
};

/**
 * counter: counts of a milliwatt hour, < 0 if this reading has none. rate: counts per second that the
 * active power makes, whatever its direction; negative if unknown, which begins a new window.
 */
enum energy_check_verdict energy_check(struct energy_check *check, int64_t boot_ms, int64_t counter,
                                       double rate);

#endif
