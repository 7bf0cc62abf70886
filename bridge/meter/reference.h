/* SPDX-License-Identifier: MIT */
/**
 * Calibrating against a reference: from readings taken while true volts, amperes or watts were
 * known to the factors that make them agree. Pure.
 *
 * A factor is what the chip counted, averaged, by the true value. That is only as good as the load:
 * too small a one drowns in the chip's noise and its no-load threshold, an unsteady one was not the
 * same for the reference and for the chip. Such are refused, because a wrong factor is worse than
 * an uncalibrated meter that is known to be one.
 */
#ifndef BRIDGE_METER_REFERENCE_H
#define BRIDGE_METER_REFERENCE_H

#include "bridge/meter/calibration.h"
#include "drivers/base/status.h"
#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>

/** The minimum that is accepted. 20 W and 0.05 A are some hundred times the no-load threshold and the
 *  noise of an 80 A channel; a BL0942 shows no frequency, so no sound voltage, below 33 V. */
#define REFERENCE_VOLTAGE_MIN 50.0
#define REFERENCE_CURRENT_MIN 0.05
#define REFERENCE_POWER_MIN 20.0
#define REFERENCE_READINGS_MIN 5
/** Maximum standard deviation by mean. Mains voltage is steadier than a load. */
#define REFERENCE_VOLTAGE_SPREAD 0.005
#define REFERENCE_LOAD_SPREAD 0.01

/** One raw quantity so far. */
struct reference_mean {
    size_t count;
    double mean;
    double squares; /**< sum of squared distances from the mean */
};

/** Zero-initialised: no readings yet. */
struct reference_samples {
    size_t count;
    size_t creeping; /**< readings below the chip's no-load threshold */
    struct reference_mean voltage, current, power;
};

void reference_add(struct reference_samples *samples, const struct reading *reading);

/** True values; 0: not known. Power is positive whichever way it flows. */
struct reference {
    double voltage_v;
    double current_a;
    double power_w;
};

/** Whether these can be calibrated with at all, before anything is measured: STATUS_USAGE if
 *  nothing is known, STATUS_REFUSED if a value is too small. */
enum status reference_check(const struct reference *reference, struct error *error);

struct reference_result {
    struct calibration factors; /**< seven digits each, so that they survive being written down */
    struct reference shown;     /**< what the old factors made of the samples; power has its sign */
    double consistency;         /**< calibration_consistency(&factors); 1 for OpenBeken */
    bool consistent;
    bool reversed; /**< power is counted as fed back with the clamp's present direction */
};

/**
 * The factors of the quantities that the reference knows, the old ones of the others.
 * As reference_check, and STATUS_USAGE: impossible factors would follow. STATUS_NO_ANSWER:
 * too few readings. STATUS_REFUSED: the load is too small or unsteady, or so far from what the meter
 * shows that they cannot be about the same thing. The sentence says which, and what to do.
 */
enum status reference_calibrate(const struct reference_samples *samples,
                                const struct reference *reference, enum reading_kind kind,
                                const struct calibration *old, bool invert,
                                struct reference_result *result, struct error *error);

#endif
