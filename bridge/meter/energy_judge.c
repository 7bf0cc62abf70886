/* SPDX-License-Identifier: MIT */
#include "bridge/meter/energy_judge.h"

#include <math.h>

static const int64_t bl0942_size = INT64_C(1) << 24;
static const int64_t openbeken_size = INT64_C(1) << 53; /* what a double holds exactly */
static const double openbeken_slack_seconds = 10.0;     /* a message may be late */
static const double load_believed = 2.0;                /* times the configured load, at most */
static const int64_t openbeken_rollback_mwh = 10000;
static const int64_t openbeken_reset_gap_ms = 3600000;
static const int64_t openbeken_kwh_step_mwh = 1000; /* three decimals of a kWh */
static const int64_t openbeken_unit_minimum_mwh = 2000;
static const int64_t openbeken_unit_gap_ms = 130000; /* over a longer one a reset may look alike */
static const int64_t believable_wall_ms = INT64_C(1704067200000); /* 2024-01-01 */
static const int64_t clock_settles_ms = INT64_C(600000);
static const int64_t unknown_gap_ms = INT64_C(5) * 86400 * 1000;

bool energy_counter_possible(enum reading_kind kind, int64_t counter)
{
    if (kind == READING_METERED)
        return counter >= 0 && counter < READING_COUNTER_RANGE << 31;
    return counter >= 0 && counter < (kind == READING_BL0942 ? bl0942_size : openbeken_size);
}

/** What the measured load makes: the greater one at both ends, and as much as can be believed. */
double energy_measured_rate(const struct energy_counter *counter)
{
    double load = fmax(counter->load, counter->load_before);
    return headroom * fmin(load, load_believed * counter->counts_per_second);
}

/**
 * The maximum rate within an interval. A load that is measured at both ends needs no headroom over
 * the configured one, and may exceed it.
 */
static double rate_within(const struct energy_counter *counter, int64_t ms)
{
    double rate = headroom * counter->counts_per_second;
    if (counter->load_known) {
        bool measured = ms <= missing_readings_ms;
        double minimum = measured ? counter->counts_per_second : rate;
        rate = fmax(minimum, energy_measured_rate(counter));
    }
    bool limited = counter->kind == READING_BL0942 && !(rate <= bl0942_maximum_rate);
    return limited ? bl0942_maximum_rate : rate;
}

/** What jitter and late messages can add to a step, once. */
static double slack_of(const struct energy_counter *counter)
{
    if (counter->kind == READING_BL0942)
        return bl0942_slack_counts;
    double rate = counter->load_known ? energy_measured_rate(counter) : counter->counts_per_second;
    return openbeken_slack_seconds * rate + openbeken_slack_mwh;
}

struct budget_terms energy_terms(const struct energy_counter *counter, int64_t ms, int64_t boot_ms)
{
    return (struct budget_terms){
        .rate = rate_within(counter, ms),
        .slack = slack_of(counter),
        .repeats = counter->kind == READING_OPENBEKEN,
        .boot_ms = boot_ms,
        .interval_ms = ms,
    };
}

/** The most that can have been counted since the baseline. */
static double maximum_step(const struct energy_counter *counter, int64_t ms)
{
    struct budget_terms terms = energy_terms(counter, ms, 0);
    return budget_limit(&counter->budget, &terms);
}

/** The most by which two readings in a row may differ and still agree. */
static double maximum_agreeing(const struct energy_counter *counter, int64_t ms)
{
    double rate = rate_within(counter, ms);
    double slack = counter->kind == READING_BL0942
                       ? bl0942_slack_counts
                       : openbeken_slack_seconds * rate + openbeken_slack_mwh;
    return rate * (double)(ms < 0 ? 0 : ms) / 1000.0 + slack;
}

/** A step down that only the number's format made: the module writes a float, cut to mWh or Wh. */
static bool format_costs(int64_t from, int64_t to)
{
    int64_t drop = from - to;
    bool last_bit = drop <= 1 + from / (INT64_C(1) << 23);
    bool whole_wh = drop < openbeken_kwh_step_mwh && to % openbeken_kwh_step_mwh == 0 && to > 0;
    return last_bit || whole_wh;
}

/** Counts from one counter value to a later one if it ran forward; -1 if it cannot have. */
int64_t energy_forward_step(enum reading_kind kind, int64_t from, int64_t to)
{
    if (to >= from)
        return to - from;
    if (kind == READING_BL0942)
        return to - from + bl0942_size;
    return format_costs(from, to) ? 0 : -1;
}

static bool forward_possible(const struct energy_counter *counter, int64_t from, int64_t to,
                             const struct energy_gap *gap, double limit)
{
    int64_t step = energy_forward_step(counter->kind, from, to);
    if (step < 0 || (double)step > limit)
        return false;
    bool wrapped = counter->kind == READING_BL0942 && to < from;
    return !wrapped || (!gap->assumed && limit < (double)bl0942_size / 2);
}

/** When `now` was read the clock knew best, so the point's wall time is counted back from there. */
int64_t energy_wall_of(const struct energy_point *point, const struct energy_point *now)
{
    return now->wall_ms - (now->boot_ms - point->boot_ms);
}

struct energy_gap energy_gap_to(const struct energy_counter *counter,
                                const struct energy_point *point, const struct energy_point *now)
{
    const struct energy_state *baseline = &counter->state;
    if (counter->baseline_in_this_boot && point->boot_ms >= baseline->counter_boot_ms)
        return (struct energy_gap){.ms = point->boot_ms - baseline->counter_boot_ms,
                                   .settled = true};

    int64_t wall_ms = energy_wall_of(point, now);
    struct energy_gap gap = {.ms = point->boot_ms, .settled = now->boot_ms >= clock_settles_ms};
    bool believable =
        baseline->counter_wall_ms >= believable_wall_ms && wall_ms >= baseline->counter_wall_ms;
    int64_t wall_gap_ms = believable ? wall_ms - baseline->counter_wall_ms : 0;
    if (wall_gap_ms > gap.ms)
        gap.ms = wall_gap_ms;
    if (!believable && gap.settled && gap.ms < unknown_gap_ms) {
        gap.ms = unknown_gap_ms;
        gap.assumed = true;
    }
    return gap;
}

/** 1000 times less or more, give or take what can have been counted meanwhile. */
static bool rescaled(const struct energy_counter *counter, int64_t from, int64_t to, int64_t gap_ms)
{
    if (from < openbeken_unit_minimum_mwh || to <= 0 || gap_ms > openbeken_unit_gap_ms)
        return false;
    double limit = (double)from + maximum_step(counter, gap_ms);
    double up = (double)to / 1000.0, down = (double)to * 1000.0;
    return (up >= (double)from && up <= limit) ||
           (down > (double)(from - openbeken_kwh_step_mwh) && down <= limit);
}

/** A step of an OpenBeken counter that is not forward. */
static enum energy_move judge_openbeken(const struct energy_counter *counter, int64_t to,
                                        const struct energy_gap *gap)
{
    int64_t from = counter->state.counter;
    if (rescaled(counter, from, to, gap->ms))
        return MOVE_RESCALED;
    if (to < from && from - to <= openbeken_rollback_mwh)
        return MOVE_ROLLBACK;
    bool counted_since_reset = (double)to <= maximum_step(counter, gap->ms);
    if (to < from && counted_since_reset && gap->ms <= openbeken_reset_gap_ms)
        return MOVE_RESTART;
    return gap->settled ? MOVE_IMPOSSIBLE : MOVE_UNDECIDED;
}

/** How the counter got from the baseline to the point, judged with what is known at `now`. */
enum energy_move energy_judge(const struct energy_counter *counter,
                              const struct energy_point *point, const struct energy_point *now)
{
    const struct energy_state *baseline = &counter->state;
    struct energy_gap gap = energy_gap_to(counter, point, now);
    bool counted_since_restart = (double)point->counter <= maximum_step(counter, gap.ms);
    if (point->restarted && counted_since_restart)
        return MOVE_RESTART;
    if (point->restarted && !gap.settled)
        return MOVE_UNDECIDED;
    double limit = maximum_step(counter, gap.ms);
    if (forward_possible(counter, baseline->counter, point->counter, &gap, limit))
        return MOVE_FORWARD;
    if (counter->kind == READING_OPENBEKEN)
        return judge_openbeken(counter, point->counter, &gap);
    if (counted_since_restart)
        return MOVE_RESTART;
    return gap.settled ? MOVE_IMPOSSIBLE : MOVE_UNDECIDED;
}

bool energy_follows_baseline(const struct energy_counter *counter, const struct energy_point *point)
{
    return counter->state.known && energy_judge(counter, point, point) == MOVE_FORWARD;
}

bool energy_follows_pending(const struct energy_counter *counter, const struct energy_point *now)
{
    struct energy_gap gap = {.ms = now->boot_ms - counter->pending.boot_ms, .settled = true};
    double limit = maximum_agreeing(counter, gap.ms);
    return forward_possible(counter, counter->pending.counter, now->counter, &gap, limit);
}
