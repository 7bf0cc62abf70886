/* SPDX-License-Identifier: MIT */
/** One sample of a counter, and what it led to: what the two kinds of accounting (energy.h, metered.h) share. */
#ifndef BRIDGE_METER_SAMPLE_H
#define BRIDGE_METER_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/** What a reading says about energy; the clamp's direction is already applied. */
struct energy_sample {
    int64_t wall_ms;
    int64_t boot_ms;
    bool counter_known;
    int64_t counter;
    bool restarted;   /**< the driver knows that the counter restarted since the sample before */
    bool power_known; /**< false also if it cannot be believed */
    double power;     /**< counts per second that the active power makes; positive: consumed */
    bool load_known;
    double load;  /**< the same of the greater of active and apparent power, >= 0 */
    bool reverse; /**< the last energy pulse was exported */
};

enum energy_verdict {
    ENERGY_NOTHING,   /**< nothing to tell; counts may have been credited */
    ENERGY_WRAPPED,   /**< credited across the counter's wrap */
    ENERGY_RESTARTED, /**< the counter restarted; what it counted since is credited */
    ENERGY_REJECTED,  /**< an impossible step; nothing is credited, the baseline moved */
    ENERGY_GLITCH,    /**< new_counter disagreed with its neighbours and was dropped */
    ENERGY_DISPUTED,  /**< several readings in a row disagree; told once until they agree again */
};

/** Why an OpenBeken module's counter did what it did, as far as numbers tell. */
enum energy_reason {
    ENERGY_REASON_NONE,
    ENERGY_REASON_STORED, /**< went on from a stored value after a power cut */
    ENERGY_REASON_RESET,  /**< began again at 0 */
    ENERGY_REASON_LOWER,  /**< set to something lower, or reset long ago */
    ENERGY_REASON_JUMP,   /**< set to something higher, or a chip restart taken for a wrap */
    ENERGY_REASON_UNIT,   /**< 1000 times more or less: Wh and kWh */
};

/** What one sample led to. */
struct energy_outcome {
    enum energy_verdict verdict;
    enum energy_reason reason; /**< with ENERGY_RESTARTED and ENERGY_REJECTED of OpenBeken */
    int64_t old_counter;       /**< the baseline before */
    int64_t new_counter;       /**< what was credited, rejected or dropped */
    int64_t imported;          /**< counts added to the state */
    int64_t exported;
    bool gap_known;     /**< the time between old and new counter is known */
    int64_t gap_ms;     /**< ... and this */
    bool after_gap;     /**< counts were added for a time in which readings were missing: more than
                         a minute, and more than three times the usual distance */
    bool restart_noted; /**< what is to be stored says from this sample on that the counter
                             restarted: it should be on disk soon, as nobody will say it again */
};

#endif
