/* SPDX-License-Identifier: MIT */
/**
 * Which way energy flowed: the source's counter only says how much. Between two readings power is
 * taken as a straight line; the areas above and below zero are the weights by which the counter's
 * step is split into import and export. Only their ratio matters, so any unit of power will do.
 */
#ifndef BRIDGE_METER_DIRECTION_H
#define BRIDGE_METER_DIRECTION_H

#include <stdbool.h>
#include <stdint.h>

/** Zero-initialise it: nothing is known. */
struct direction {
    double imported; /**< power times time, never negative */
    double exported;
};

/** Power went from `from` to `to` (positive: consumed) within ms; adds nothing unless ms > 0. */
void direction_add(struct direction *direction, double from, double to, double ms);

void direction_join(struct direction *direction, const struct direction *more);

/**
 * Splits a step of 0..2^53 counts, rounded to whole counts; *imported + *exported == step exactly.
 * reverse decides when no weight is known: the direction of the source's last energy pulse.
 */
void direction_split(const struct direction *direction, bool reverse, int64_t step,
                     int64_t *imported, int64_t *exported);

#endif
