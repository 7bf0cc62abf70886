/* SPDX-License-Identifier: MIT */
/**
 * How much a counter can have counted: a budget that fills with time at the rate of the maximum load
 * and is spent by what is credited. Whatever the distance of the readings, no more can be credited
 * over any time than the load allows in it, plus the slack once. Pure.
 */
#ifndef BRIDGE_METER_BUDGET_H
#define BRIDGE_METER_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
    double spare;          /**< counts that were left when it was last spent from, >= 0 */
    double kept;           /**< of these, what a gap in the readings left over */
    int64_t kept_until_ms; /**< boot clock: until then a reading may still use it */
    int64_t distance_ms;   /**< between the last two times it was spent from; 0: unknown */
};

/** What one spending is judged by. */
struct budget_terms {
    double rate;         /**< counts per second, > 0 */
    double slack;        /**< counts that jitter and rounding may add once, >= 0 */
    bool repeats;        /**< after a gap the source may first repeat an old counter */
    int64_t boot_ms;     /**< now */
    int64_t interval_ms; /**< since it was last spent from; negative counts as 0 */
};

/** Starts with the slack and nothing else. */
void budget_start(struct budget *budget, double slack);

/** The most that can have been counted in the interval. */
double budget_limit(const struct budget *budget, const struct budget_terms *terms);

/**
 * Spends counts. What is left above the slack is lost, except over a gap: an interval of more than a
 * minute and more than three times the one before. Then it stays for 130 s if the source repeats,
 * because its first counter after the gap may be an old one.
 */
void budget_spend(struct budget *budget, const struct budget_terms *terms, double counts);

#endif
