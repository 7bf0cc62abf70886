/* SPDX-License-Identifier: MIT */
/**
 * How a counter can have got from one value to another: what energy.h's rules call possible, and how much
 * time lies between. Judges only; energy.c credits. Shared by the two, nobody else includes it.
 */
#ifndef BRIDGE_METER_ENERGY_JUDGE_H
#define BRIDGE_METER_ENERGY_JUDGE_H

#include "bridge/meter/budget.h"
#include "bridge/meter/direction.h"
#include "bridge/meter/energy.h"
#include "bridge/meter/metered.h"

static const double bl0942_maximum_rate = 20.0;
static const double bl0942_slack_counts = 3.0;    /**< jitter of a reading's stamp */
static const double headroom = 1.2;               /**< over the configured or the measured load */
static const double openbeken_slack_mwh = 2000.0; /**< steps of 0.2 Wh, or 1 Wh with flag 40 */
static const int64_t missing_readings_ms = INT64_C(60000);

/** A counter reading that is not credited yet. */
struct energy_point {
    int64_t counter;
    int64_t wall_ms;
    int64_t boot_ms;
    double rate;    /**< counts per second that the measured power makes; 0 if unknown */
    bool restarted; /**< the driver reported a restart somewhere between the baseline and here */
    bool reverse;
};

struct energy_counter {
    enum reading_kind kind;
    bool whole; /**< readings arrive undamaged */
    bool begin_at_source;
    struct metered metered; /**< of a READING_METERED only */
    double counts_per_second;
    char boot_id[40];
    struct energy_state state; /**< the baseline is in here */
    bool baseline_in_this_boot;

    unsigned agreeing; /**< readings in a row, up to pending, that agree; 0: none pending */
    struct energy_point pending;
    bool restart_reported; /**< the driver said it, and no sample came since */
    unsigned disputes;     /**< readings that agreed with nothing since the last credit */

    int64_t run_counts;     /**< counted within the agreeing readings, up to pending */
    int64_t run_boot_ms;    /**< when the first of them was read */
    struct direction run;   /**< direction of these counts */
    bool run_from_baseline; /**< the baseline is one of them */

    struct budget budget;
    bool over_budget; /**< possible steps exceeded the budget together, and that was reported */
    int64_t over_budget_boot_ms; /**< when they last did */
    bool load_known;
    double load; /**< counts per second, of the latest sample, and of the one before */
    double load_before;

    bool power_known;
    double power;
    int64_t power_boot_ms;
    struct direction before_pending; /**< since the baseline */
    struct direction after_pending;
};

/** How much time lies between the baseline and a point. */
struct energy_gap {
    int64_t ms;
    bool assumed; /**< nobody knows; ms is a bound that was chosen */
    bool settled; /**< it will not be known better later */
};

enum energy_move {
    MOVE_FORWARD,
    MOVE_RESTART,
    MOVE_ROLLBACK,
    MOVE_RESCALED,
    MOVE_IMPOSSIBLE,
    MOVE_UNDECIDED,
};

/** False for a value that a counter of this kind cannot show. */
bool energy_counter_possible(enum reading_kind kind, int64_t counter);

/** Counts per second that the measured load makes, as far as it can be believed. */
double energy_measured_rate(const struct energy_counter *counter);

/** The budget's terms for a step that took ms and ends at boot_ms. */
struct budget_terms energy_terms(const struct energy_counter *counter, int64_t ms, int64_t boot_ms);

/** Counts from one value to a later one if the counter ran forward; -1 if it cannot have. */
int64_t energy_forward_step(enum reading_kind kind, int64_t from, int64_t to);

/** The point's wall time as the clock stood at `now`, when it knew best. */
int64_t energy_wall_of(const struct energy_point *point, const struct energy_point *now);

/** From the baseline to the point, by what is known at `now`. */
struct energy_gap energy_gap_to(const struct energy_counter *counter,
                                const struct energy_point *point, const struct energy_point *now);

/** How the counter got from the baseline to the point, by what is known at `now`. */
enum energy_move energy_judge(const struct energy_counter *counter,
                              const struct energy_point *point, const struct energy_point *now);

/** The counter ran forward from the baseline to the point. */
bool energy_follows_baseline(const struct energy_counter *counter,
                             const struct energy_point *point);

/** The pending reading and `now` agree. */
bool energy_follows_pending(const struct energy_counter *counter, const struct energy_point *now);

#endif
