/* SPDX-License-Identifier: MIT */
/**
 * What the values of a channel say about its wiring. Each problem needs evidence over time before
 * it begins and before it ends, so that one odd reading does neither. Time is the boot clock; a
 * reading stands for at most a minute, however long none came.
 *
 *   problem       begins after                              ends after
 *   reversed      10 min of producing over 20 W with a      it consumes over 20 W, or the channel
 *                 power factor under -0.8                   is no longer new (see below)
 *   other phase   5 min with a twentieth of the maximum    1 min of a current that fits better
 *                 current or more and a power factor of
 *                 about 0 (90 degrees) or -0.5 (120)
 *   no voltage    10 s                                      5 s
 *   implausible   the meter's own rule, at once             10 s of good values
 *   power hidden  1 min of a current with a power of 0      10 s with power
 *   energy unit   a minute off by 1000 (energy_check.h)     a minute that fits
 *
 * A solar feeder looks exactly like a reversed clamp. So that it does not show a problem forever,
 * the advice is only given to a new channel: one that was never seen consuming (over 20 W since
 * start, over 0.1 kWh in all) and has not yet produced 20 kWh. Likewise a channel that once showed
 * a power factor over 0.7 at such a current is on the right phase and is not suspected again until
 * restart.
 */
#ifndef BRIDGE_METER_DIAGNOSIS_H
#define BRIDGE_METER_DIAGNOSIS_H

#include "bridge/meter/energy_check.h"
#include "bridge/meter/meter.h"

/** The conditions, in the order of their bits in the result. */
enum diagnosis_condition {
    CONDITION_REVERSED,
    CONDITION_OTHER_PHASE,
    CONDITION_NO_VOLTAGE,
    CONDITION_IMPLAUSIBLE,
    CONDITION_POWER_HIDDEN,
    CONDITION_ENERGY_UNIT,
    CONDITION_COUNT,
};

/** Zero-initialise it: healthy. */
struct diagnosis {
    struct {
        bool active;
        int64_t evidence_ms; /**< for the opposite of active */
    } conditions[CONDITION_COUNT];
    bool consumed;    /**< seen consuming since start */
    bool right_phase; /**< seen with a good power factor since start */
    bool started;
    int64_t boot_ms;
};

/** What is known after one reading. */
struct finding {
    int64_t boot_ms;
    bool no_voltage;
    bool implausible;
    bool power_hidden;                /**< values_power_hidden(), OpenBeken only */
    enum energy_check_verdict energy; /**< OpenBeken only */
    double max_current_a;
    struct channel_values values;
};

/** Returns the problems that hold now, as bits of enum meter_problem. */
unsigned diagnosis_update(struct diagnosis *diagnosis, const struct finding *finding);

#endif
