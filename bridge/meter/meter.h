/* SPDX-License-Identifier: MIT */
/**
 * The meter of one channel: takes readings as measured, gives calibrated values, energy totals and
 * a diagnosis in words. Pure: no I/O, no clock of its own, no threads; same input, same output.
 */
#ifndef BRIDGE_METER_METER_H
#define BRIDGE_METER_METER_H

#include "bridge/meter/calibration.h"
#include "bridge/meter/energy.h"
#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct meter_options {
    enum reading_kind kind;
    struct calibration calibration;
    bool invert;            /**< the clamp sits the other way round: flips the sign of power */
    int mains_frequency_hz; /**< 50 or 60 */
    double mains_voltage_v; /**< nominal */
    double max_current_a;   /**< maximum possible; bounds energy per second and plausible power */
    int64_t noise_floor_mw; /**< |power| below it is shown as 0 (energy is not touched) */
    bool begin_at_source;   /**< READING_METERED: totals begin at the source's own counters */
    bool whole;             /**< readings come as messages, undamaged (energy_counter_set_whole) */
    const char *boot_id;    /**< this boot's id, for energy_state; copied */
};

/** A value that may be unknown; unknown is published as null. */
struct amount {
    bool known;
    int64_t value;
};

enum energy_flow { FLOW_UNKNOWN, FLOW_CONSUMING, FLOW_PRODUCING };

/** What follows from measured values over time, of a channel or of a device's sum; periods.h, demand.h.
 *  The meter leaves it unknown. */
struct derived_values {
    struct amount energy_today_uwh, energy_month_uwh;
    struct amount produced_today_uwh, produced_month_uwh;
    struct amount cost_today_micro, cost_month_micro; /**< millionths of the currency's unit */
    struct amount demand_mw;     /**< mean power of what was measured in the running 15 minutes */
    struct amount demand_max_mw; /**< the highest that ended in the running month */
    int64_t demand_max_wall_ms;  /**< when it ended; 0: unknown */
};

/** Calibrated values in milli-units; power is positive when consumed from the grid. */
struct channel_values {
    struct amount voltage_mv;
    struct amount current_ma;
    struct amount power_mw;
    struct amount power_apparent_mva;
    struct amount power_reactive_mvar;
    struct amount power_factor_permille; /**< -1000..1000, null below the noise floor */
    struct amount frequency_mhz;         /**< millihertz */
    struct amount energy_uwh;            /**< imported total, microwatt hours, never goes down */
    struct amount energy_produced_uwh;   /**< exported total, likewise */
    enum energy_flow flow;
    struct derived_values derived;
};

/** What is wrong with a channel's data, as bits; 0 is healthy. Words: meter_problem_text(). */
enum meter_problem {
    PROBLEM_CLAMP_REVERSED = 1 << 0, /**< power negative for long although nothing was configured */
    PROBLEM_CLAMP_OTHER_PHASE = 1 << 1, /**< current without active power: clamp and VP differ */
    PROBLEM_NO_VOLTAGE = 1 << 2,        /**< no voltage reference at the chip */
    PROBLEM_SILENT = 1 << 3,            /**< set by the caller: the source does not answer */
    PROBLEM_NOISY = 1 << 4,             /**< set by the caller: the line is noisy */
    PROBLEM_IMPLAUSIBLE = 1 << 5,       /**< values outside what the installation can have */
    PROBLEM_POWER_HIDDEN = 1 << 6,      /**< OpenBeken shows negative power as 0 */
    PROBLEM_ENERGY_UNIT = 1 << 7,       /**< energy is off by 1000 against power times time */
};

enum meter_event_kind {
    METER_EVENT_NONE,
    METER_EVENT_COUNTER_RESET, /**< the source's counter restarted; old, new, credited are set */
    METER_EVENT_COUNTER_WRAPPED,
    METER_EVENT_STEP_REJECTED,    /**< an impossible step; nothing was credited */
    METER_EVENT_GLITCH_DROPPED,   /**< one reading disagreed with its neighbours; ignored */
    METER_EVENT_DOWNTIME_COUNTED, /**< energy counted while nobody read the chip was added */
    METER_EVENT_PROBLEM_BEGAN,    /**< problem is set */
    METER_EVENT_PROBLEM_ENDED,
};

struct meter_event {
    enum meter_event_kind kind;
    int64_t old_counter;
    int64_t new_counter;
    int64_t credited; /**< counts added to the totals by this event */
    unsigned problem;
    char text[200]; /**< a sentence for people */
};

/** One about the counter, one about downtime, one edge for each of the meter's own problems. */
#define METER_EVENTS_MAX 9

/** What one reading led to. */
struct meter_result {
    struct channel_values values;
    unsigned problems;
    int64_t imported_counts; /**< credited by this reading; stored beside it in the history */
    int64_t exported_counts;
    bool
        restart_noted; /**< meter_state says from now on that the counter restarted; store it soon */
    size_t event_count;
    struct meter_event events[METER_EVENTS_MAX];
};

struct meter;

/**
 * state NULL: the channel was never seen. Both arguments are copied. options->calibration must be
 * the one the state was counted with; if another is configured now, create with the old one and
 * call meter_set_calibration(), so that the past keeps its value.
 */
struct meter *meter_create(const struct meter_options *options, const struct energy_state *state);
void meter_free(struct meter *meter);

/**
 * Energy is credited one reading later than read, so that no single damaged reading moves a total;
 * energy.h has the rules. A reading with doubtful values is ignored for a moment: the values before
 * stay. Doubtful is what the installation cannot have, no mains voltage, or more active than
 * apparent power. After three in a row and 2 s the values are shown as they are; with what the
 * installation cannot have stands PROBLEM_IMPLAUSIBLE. What the source cannot send is unknown.
 */
void meter_accept(struct meter *meter, const struct reading *reading, struct meter_result *result);

/** The driver says that the source's counter restarted; the next reading comes later. Then the state is
 *  to be stored at once: a kill must not make that forgotten (energy.h). */
void meter_restarted(struct meter *meter);

/**
 * The state to store with the last reading. Borrowed, valid until the next call. Its counter is 0 while
 * it is known that the source's counter restarted and nothing of what it shows is credited yet.
 *
 * Totals that must never be seen to go down, not even after a power cut that also takes the chip's
 * counter, are published from a state that is already on disk: energy_totals_uwh() of it.
 */
const struct energy_state *meter_state(struct meter *meter);
/** energy_counter_known_until_ms. */
int64_t meter_known_until_ms(const struct meter *meter);

/** Values as of the last reading, everything but energy unknown when stale (source offline). */
void meter_values(const struct meter *meter, bool stale, struct channel_values *values);

/** The factors it counts with. Borrowed. */
const struct calibration *meter_calibration(const struct meter *meter);

/** Folds what was counted into the base, then counts with the new factors: totals do not jump. */
void meter_set_calibration(struct meter *meter, const struct calibration *calibration);

/** The user's explicit act: the only way a total can go down. Negative: leave that one alone. */
void meter_set_totals(struct meter *meter, int64_t imported_uwh, int64_t exported_uwh);

/** The past was recalibrated. */
void meter_adjust_totals(struct meter *meter, const struct energy_adjustment *adjustment);

/** The sentence for a problem that this meter has now, with its numbers where it has any. Borrowed, valid
 *  until the next reading. */
const char *meter_problem_sentence(const struct meter *meter, enum meter_problem problem);
/** A sentence for one problem bit: what it means and what to do. */
const char *meter_problem_text(enum meter_problem problem);
/** A stable word for machines: "clamp_reversed". */
const char *meter_problem_name(enum meter_problem problem);

#endif
