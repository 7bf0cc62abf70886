/* SPDX-License-Identifier: MIT */
/**
 * From one reading to volts, amperes and watts, and a judgement whether they can be true. Pure, and
 * without memory: what is done about a doubtful reading is the meter's business.
 */
#ifndef BRIDGE_METER_VALUES_H
#define BRIDGE_METER_VALUES_H

#include "bridge/meter/meter.h"

enum values_verdict {
    VALUES_GOOD,
    VALUES_NO_VOLTAGE, /**< true if it lasts; for a moment also after the chip restarted */
    VALUES_UNLIKELY,   /**< more active than apparent power: damage, or factors that do not fit */
    VALUES_ABSURD,     /**< outside what the installation can have: voltage over 1.5 times nominal,
                            current over 1.5 times or power over 1.2 times the maximum, frequency
                            outside 40..70 Hz; true if it lasts */
};

/**
 * Fills everything but energy and flow. Fields that the reading does not have are unknown, and so
 * is what follows from them; likewise numbers that the source cannot send. Rounded to the nearest
 * milli-unit.
 *
 *   apparent S = V * I, reactive Q = sqrt(S^2 - P^2) or 0 (its sign is not measured),
 *   power factor = P / S, limited to -1..1, unknown if S is under 1 VA or the noise floor.
 */
enum values_verdict values_measure(const struct meter_options *options,
                                   const struct reading *reading, struct channel_values *values);

/** A sentence about the value that makes a reading VALUES_ABSURD; "" if none does. */
void values_describe_excess(const struct meter_options *options, const struct reading *reading,
                            char *sentence, size_t size);

/** Signed power in milliwatts as measured, before the noise floor; false if not measured. */
bool values_power_mw(const struct meter_options *options, const struct reading *reading,
                     double *power_mw);

/** The greater of active and apparent power in milliwatts; false unless both are measured. */
bool values_load_mw(const struct meter_options *options, const struct reading *reading,
                    double *load_mw);

/**
 * True if an OpenBeken module shows a power of exactly 0 although a current flows: without its flag 25
 * it shows negative power as 0, while its counter runs on. No real load is exactly 0.
 */
bool values_power_hidden(const struct reading *reading);

#endif
