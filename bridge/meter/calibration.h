/* SPDX-License-Identifier: MIT */
/**
 * Calibration: the factors that turn a channel's raw values into volts, amperes and watts, and what
 * follows from them for energy. Pure.
 *
 * For a BL0942 (datasheet V1.10 3.2 and application note V1.04, gain x16, Vref 1.218 V):
 *   V = V_RMS / voltage, A = I_RMS / current, W = WATT / power
 *   one CF count is 419430.4 / power joule, that is 419430.4 / (3.6 * power) milliwatt hours
 *   identity: power = current * voltage * 3537 / (305978 * 73989)
 * For OpenBeken the same factors apply to milli-units (so 1000 is "leave it as it is"), and one
 * energy count is a milliwatt hour times 1000 / power.
 */
#ifndef BRIDGE_METER_CALIBRATION_H
#define BRIDGE_METER_CALIBRATION_H

#include "drivers/base/status.h"
#include "drivers/reading.h"

#include <stdbool.h>
#include <stdint.h>

struct calibration {
    double voltage; /**< raw per volt, > 0 */
    double current; /**< raw per ampere, > 0 */
    double power;   /**< raw per watt, > 0 (a reversed clamp is `invert`, not a negative factor) */
};

/** What a channel starts with when nothing is configured: the 80 A clamp's datasheet example for a
 *  BL0942 (5 x 390k / 510 R divider, 2000:1 clamp with 1.02 R burden), identity for OpenBeken. */
struct calibration calibration_default(enum reading_kind kind);

/** Power factor that follows from voltage and current by the identity above (BL0942 only). */
double calibration_power_from(double voltage, double current);

/** power / calibration_power_from(voltage, current); 1 is consistent. */
double calibration_consistency(const struct calibration *calibration);

/** How far the factors of a set may be from that identity: boards differ by less. */
#define CALIBRATION_TOLERANCE 0.02

/**
 * STATUS_REFUSED with a sentence that names the right power factor if the factors contradict each other
 * (then power disagrees with voltage times current, and the power factor is wrong). OpenBeken's factors
 * are corrections of a calibrated module and may be any.
 */
enum status calibration_consistent(const struct calibration *calibration, enum reading_kind kind,
                                   struct error *error);

/** STATUS_USAGE with a sentence unless every factor is finite and within what a BL0942 board can
 *  have (1..1e8). */
enum status calibration_check(const struct calibration *calibration, struct error *error);

/** True if all factors are the same to the last bit. */
bool calibration_equal(const struct calibration *one, const struct calibration *other);

/** Energy of that many counts in microwatt hours, rounded towards zero. Monotonic in counts. */
int64_t calibration_energy_uwh(const struct calibration *calibration, enum reading_kind kind,
                               int64_t counts);

/** How fast the source's energy counter runs at that many watts, in counts per second. */
double calibration_counts_per_second(const struct calibration *calibration, enum reading_kind kind,
                                     double power_w);

#endif
