/* SPDX-License-Identifier: MIT */
#include "bridge/meter/energy_judge.h"

#include "drivers/base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int64_t over_budget_ms = INT64_C(600000); /* without, before it is reported again */
static const unsigned agreeing_needed = 3;
static const unsigned disputes_reported = 3;

static int64_t add_saturating(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

void energy_totals_uwh(const struct energy_state *state, const struct calibration *calibration,
                       enum reading_kind kind, int64_t *imported_uwh, int64_t *exported_uwh)
{
    *imported_uwh = add_saturating(state->base_imported_uwh,
                                   calibration_energy_uwh(calibration, kind, state->imported));
    *exported_uwh = add_saturating(state->base_exported_uwh,
                                   calibration_energy_uwh(calibration, kind, state->exported));
}

void energy_fold(struct energy_state *state, const struct calibration *calibration,
                 enum reading_kind kind)
{
    energy_totals_uwh(state, calibration, kind, &state->base_imported_uwh,
                      &state->base_exported_uwh);
    state->imported = 0;
    state->exported = 0;
}

static void adjust_direction(int64_t *counts, int64_t *base_uwh, int64_t more_counts,
                             int64_t more_base_uwh, int64_t more_total_uwh)
{
    bool folded = *counts + more_counts < 0 || *base_uwh + more_base_uwh < 0;
    *counts += folded ? 0 : more_counts;
    *base_uwh = add_saturating(*base_uwh, folded ? more_total_uwh : more_base_uwh);
}

void energy_adjust(struct energy_state *state, const struct energy_adjustment *adjustment)
{
    adjust_direction(&state->imported, &state->base_imported_uwh, adjustment->imported,
                     adjustment->base_imported_uwh, adjustment->total_imported_uwh);
    adjust_direction(&state->exported, &state->base_exported_uwh, adjustment->exported,
                     adjustment->base_exported_uwh, adjustment->total_exported_uwh);
}

static void adopt_state(struct energy_counter *counter, const struct energy_state *state)
{
    counter->state = *state;
    struct energy_state *own = &counter->state;
    own->boot_id[sizeof own->boot_id - 1] = '\0';
    own->known = own->known && energy_counter_possible(counter->kind, own->counter);
    own->imported = own->imported < 0 ? 0 : own->imported;
    own->exported = own->exported < 0 ? 0 : own->exported;
    counter->baseline_in_this_boot = own->counter_boot_ms >= 0 && counter->boot_id[0] != '\0' &&
                                     strcmp(own->boot_id, counter->boot_id) == 0;
}

struct energy_counter *energy_counter_create(enum reading_kind kind, double counts_per_second,
                                             const char *boot_id, const struct energy_state *state)
{
    struct energy_counter *counter = memory_new(1, sizeof *counter);
    counter->kind = kind;
    counter->whole = kind != READING_BL0942;
    (void)snprintf(counter->boot_id, sizeof counter->boot_id, "%s", boot_id);
    energy_counter_set_rate(counter, counts_per_second);
    budget_start(&counter->budget,
                 kind == READING_BL0942 ? bl0942_slack_counts : openbeken_slack_mwh);
    if (state != NULL)
        adopt_state(counter, state);
    return counter;
}

void energy_counter_free(struct energy_counter *counter)
{
    free(counter);
}

void energy_counter_set_rate(struct energy_counter *counter, double counts_per_second)
{
    bool capped = counter->kind == READING_BL0942 && !(counts_per_second < bl0942_maximum_rate);
    counter->counts_per_second = capped ? bl0942_maximum_rate : counts_per_second;
}

void energy_counter_set_whole(struct energy_counter *counter, bool whole)
{
    counter->whole = whole || counter->kind != READING_BL0942;
}

void energy_counter_begin_at_source(struct energy_counter *counter, bool at_source)
{
    counter->begin_at_source = at_source;
}

int64_t energy_counter_known_until_ms(const struct energy_counter *counter)
{
    bool agreed = counter->kind == READING_METERED && counter->metered.agreed;
    return agreed ? counter->metered.agreed_boot_ms : counter->state.counter_boot_ms;
}

struct energy_state *energy_counter_state(struct energy_counter *counter)
{
    return &counter->state;
}

/* ---- What is done about a step ------------------------------------------------------------- */

/**
 * The step from the first of several agreeing readings. Nothing confirms that one, and if it was
 * misread low the step is too large. So of a BL0942, whose frames may arrive damaged, no more is
 * believed than the power at both ends makes.
 */
static int64_t first_step(const struct energy_counter *counter, const struct energy_point *now,
                          int64_t counts)
{
    if (counter->kind != READING_BL0942)
        return counts;
    double rate = fmin(counter->pending.rate, now->rate);
    double believed = rate * (double)(now->boot_ms - counter->pending.boot_ms) / 1000.0;
    return believed >= (double)counts ? counts : (int64_t)fmax(0, believed);
}

/** Adds the step from pending to `now`, which agrees with it, to what the run has counted. */
static void extend_run(struct energy_counter *counter, const struct energy_point *now)
{
    int64_t counts = energy_forward_step(counter->kind, counter->pending.counter, now->counter);
    bool first = counter->agreeing == 1 && !counter->run_from_baseline;
    counts = first ? first_step(counter, now, counts) : counts;
    counter->run_counts = add_saturating(counter->run_counts, counts);
    direction_join(&counter->run, &counter->after_pending);
}

static void begin_run(struct energy_counter *counter, int64_t boot_ms, bool from_baseline)
{
    counter->run_counts = 0;
    counter->run_boot_ms = boot_ms;
    counter->run = (struct direction){0};
    counter->run_from_baseline = from_baseline;
}

static void replace_pending(struct energy_counter *counter, const struct energy_point *now,
                            unsigned agreeing)
{
    if (agreeing == 1)
        begin_run(counter, now->boot_ms, false);
    else
        extend_run(counter, now);
    counter->pending = *now;
    counter->agreeing = agreeing;
    direction_join(&counter->before_pending, &counter->after_pending);
    counter->after_pending = (struct direction){0};
}

/** What was read before the pending reading does not speak for it. */
static void forget_agreement(struct energy_counter *counter)
{
    counter->agreeing = 1;
    begin_run(counter, counter->pending.boot_ms, false);
}

/** The pending reading becomes the baseline, and the one that confirmed it pending. */
static void advance_baseline(struct energy_counter *counter, const struct energy_point *now,
                             bool now_restarted)
{
    struct energy_state *state = &counter->state;
    state->known = true;
    state->counter = counter->pending.counter;
    state->counter_wall_ms = energy_wall_of(&counter->pending, now);
    state->counter_boot_ms = counter->pending.boot_ms;
    memcpy(state->boot_id, counter->boot_id, sizeof state->boot_id);
    counter->baseline_in_this_boot = true;
    counter->disputes = 0;
    counter->before_pending = (struct direction){0};
    begin_run(counter, counter->pending.boot_ms, true);
    replace_pending(counter, now, counter->agreeing + 1);
    counter->pending.restarted = now_restarted;
}

static void add_counts(struct energy_counter *counter, const struct direction *direction,
                       int64_t counts, struct energy_outcome *outcome)
{
    direction_split(direction, counter->pending.reverse, counts, &outcome->imported,
                    &outcome->exported);
    counter->state.imported = add_saturating(counter->state.imported, outcome->imported);
    counter->state.exported = add_saturating(counter->state.exported, outcome->exported);
}

static void describe_gap(const struct energy_counter *counter, const struct energy_point *now,
                         int64_t counts, struct energy_outcome *outcome)
{
    struct energy_gap gap = energy_gap_to(counter, &counter->pending, now);
    int64_t usual_ms = now->boot_ms - counter->pending.boot_ms;
    outcome->gap_known = !gap.assumed;
    outcome->gap_ms = gap.ms;
    outcome->after_gap = counts > 0 && gap.ms > missing_readings_ms && gap.ms / 3 > usual_ms;
}

static enum energy_reason reason_of(const struct energy_counter *counter, enum energy_move move)
{
    if (counter->kind != READING_OPENBEKEN)
        return ENERGY_REASON_NONE;
    bool lower = counter->pending.counter < counter->state.counter;
    switch (move) {
    case MOVE_FORWARD:
        return ENERGY_REASON_NONE;
    case MOVE_RESTART:
        return ENERGY_REASON_RESET;
    case MOVE_ROLLBACK:
        return ENERGY_REASON_STORED;
    case MOVE_RESCALED:
        return ENERGY_REASON_UNIT;
    case MOVE_IMPOSSIBLE:
    case MOVE_UNDECIDED:
        return lower ? ENERGY_REASON_LOWER : ENERGY_REASON_JUMP;
    }
    return ENERGY_REASON_NONE;
}

/**
 * The agreeing readings do not follow the baseline: it moves to the first of them, and what was
 * counted within them is credited, as far as the budget goes.
 */
static int64_t credit_run(struct energy_counter *counter, const struct energy_point *now)
{
    struct budget_terms terms =
        energy_terms(counter, counter->pending.boot_ms - counter->run_boot_ms, now->boot_ms);
    double limit = budget_limit(&counter->budget, &terms);
    int64_t counts = (double)counter->run_counts <= limit ? counter->run_counts : (int64_t)limit;
    budget_spend(&counter->budget, &terms, (double)counts);
    return counts;
}

/** What a move that ends at the pending reading credits; spends it from the budget. */
static int64_t credit(struct energy_counter *counter, enum energy_move move,
                      const struct energy_point *now, int64_t gap_ms)
{
    int64_t counts = 0;
    switch (move) {
    case MOVE_FORWARD:
        counts =
            energy_forward_step(counter->kind, counter->state.counter, counter->pending.counter);
        break;
    case MOVE_RESTART:
        counts = counter->pending.counter;
        break;
    case MOVE_ROLLBACK:
    case MOVE_RESCALED:
    case MOVE_IMPOSSIBLE:
    case MOVE_UNDECIDED:
        if (!counter->run_from_baseline)
            return credit_run(counter, now);
        break; /* every step was possible, but not all of them in that time */
    }
    struct budget_terms terms = energy_terms(counter, gap_ms, now->boot_ms);
    budget_spend(&counter->budget, &terms, (double)counts);
    return counts;
}

/** True once for an episode of steps that are possible but together exceed the budget. */
static bool over_budget_begins(struct energy_counter *counter, int64_t boot_ms)
{
    bool goes_on = counter->over_budget && boot_ms - counter->over_budget_boot_ms <= over_budget_ms;
    counter->over_budget = true;
    counter->over_budget_boot_ms = boot_ms;
    return !goes_on;
}

static enum energy_verdict verdict_of(struct energy_counter *counter, enum energy_move move,
                                      bool wrapped, int64_t boot_ms)
{
    switch (move) {
    case MOVE_FORWARD:
        return wrapped ? ENERGY_WRAPPED : ENERGY_NOTHING;
    case MOVE_RESTART: /* from 0 to 0 and on: nothing is lost, and nobody needs to know */
        return counter->state.counter == 0 ? ENERGY_NOTHING : ENERGY_RESTARTED;
    case MOVE_ROLLBACK:
        return ENERGY_RESTARTED;
    case MOVE_RESCALED:
    case MOVE_IMPOSSIBLE:
    case MOVE_UNDECIDED:
        break;
    }
    bool silent = counter->run_from_baseline && !over_budget_begins(counter, boot_ms);
    return silent ? ENERGY_NOTHING : ENERGY_REJECTED;
}

/** Settles the step to the pending reading, which `now` has confirmed. */
static void settle(struct energy_counter *counter, enum energy_move move,
                   const struct energy_point *now, bool now_restarted,
                   struct energy_outcome *outcome)
{
    outcome->old_counter = counter->state.counter;
    outcome->new_counter = counter->pending.counter;
    outcome->reason = reason_of(counter, move);
    bool wrapped = counter->kind == READING_BL0942 && outcome->new_counter < outcome->old_counter;
    bool run_only = move != MOVE_FORWARD && move != MOVE_RESTART;
    struct energy_gap gap = energy_gap_to(counter, &counter->pending, now);
    int64_t counts = credit(counter, move, now, gap.ms);
    outcome->verdict = verdict_of(counter, move, wrapped, now->boot_ms);
    describe_gap(counter, now, run_only ? 0 : counts, outcome);
    add_counts(counter, run_only ? &counter->run : &counter->before_pending, counts, outcome);
    advance_baseline(counter, now, now_restarted);
    /* Or what the format costs would be counted again with the next step up. */
    if (move == MOVE_FORWARD && counter->kind == READING_OPENBEKEN && counts == 0)
        counter->state.counter = outcome->old_counter;
}

/** A channel that was never seen: the first of three agreeing readings becomes its baseline. */
static void settle_first(struct energy_counter *counter, const struct energy_point *now,
                         bool now_restarted, struct energy_outcome *outcome)
{
    outcome->old_counter = outcome->new_counter = counter->pending.counter;
    add_counts(counter, &counter->run, credit_run(counter, now), outcome);
    advance_baseline(counter, now, now_restarted);
}

/** The baseline and `now` agree and jump over what was pending between them. */
static void drop_pending(struct energy_counter *counter, const struct energy_point *now,
                         struct energy_outcome *outcome)
{
    outcome->verdict = ENERGY_GLITCH;
    outcome->old_counter = counter->state.counter;
    outcome->new_counter = counter->pending.counter;
    counter->disputes = 0;
    replace_pending(counter, now, 1);
}

/** `now` is possible after the pending reading. */
static void accept_agreeing(struct energy_counter *counter, const struct energy_point *now,
                            bool now_restarted, struct energy_outcome *outcome)
{
    bool three = counter->agreeing + 1 >= agreeing_needed;
    if (!counter->state.known) {
        if (three)
            settle_first(counter, now, now_restarted, outcome);
        else
            replace_pending(counter, now, counter->agreeing + 1);
        return;
    }
    enum energy_move move = energy_judge(counter, &counter->pending, now);
    if (move == MOVE_FORWARD) {
        settle(counter, move, now, now_restarted, outcome);
        return;
    }
    if (energy_follows_baseline(counter, now)) {
        drop_pending(counter, now, outcome);
        return;
    }
    if (three && move != MOVE_UNDECIDED) {
        settle(counter, move, now, now_restarted, outcome);
        return;
    }
    counter->disputes = 0;
    replace_pending(counter, now, counter->agreeing + 1);
}

static void accept_disagreeing(struct energy_counter *counter, const struct energy_point *now,
                               struct energy_outcome *outcome)
{
    if (energy_follows_baseline(counter, now)) {
        drop_pending(counter, now, outcome);
        return;
    }
    outcome->old_counter = counter->state.counter;
    outcome->new_counter = now->counter;
    counter->disputes++;
    if (counter->disputes == disputes_reported)
        outcome->verdict = ENERGY_DISPUTED;
    replace_pending(counter, now, 1);
}

/**
 * Messages arrive whole, so what the counter showed last was true, even if the next message is of
 * another world (reset, set, a late message): it is credited before that is looked at. Behind a chip's
 * 8-bit checksum it may still be one misread value that the next one jumps over.
 */
static void credit_unconfirmed(struct energy_counter *counter, const struct energy_point *now,
                               struct energy_outcome *outcome)
{
    bool misread = counter->kind == READING_BL0942 && energy_follows_baseline(counter, now);
    if (counter->whole && !misread && energy_follows_baseline(counter, &counter->pending)) {
        settle(counter, MOVE_FORWARD, now, false, outcome);
        forget_agreement(counter);
    } else {
        accept_disagreeing(counter, now, outcome);
    }
}

/** A source that keeps counters itself (metered.h). */
static void accept_metered(struct energy_counter *counter, const struct energy_sample *sample,
                           struct energy_outcome *outcome)
{
    struct energy_state *state = &counter->state;
    const struct energy_point now = {.wall_ms = sample->wall_ms, .boot_ms = sample->boot_ms};
    bool first = !state->known;
    double rate = fmax(headroom * counter->counts_per_second, energy_measured_rate(counter));
    if (!first && !counter->metered.counters[0].known)
        metered_resume(&counter->metered, state->counter, energy_gap_to(counter, &now, &now).ms,
                       sample->boot_ms, rate);
    bool moved = metered_accept(&counter->metered, sample, rate, outcome);
    if (first && counter->begin_at_source) {
        outcome->imported = reading_drawn(sample->counter);
        outcome->exported = reading_fed_back(sample->counter);
    }
    state->imported = add_saturating(state->imported, outcome->imported);
    state->exported = add_saturating(state->exported, outcome->exported);
    if (!moved)
        return;
    state->known = true;
    state->counter = metered_counter(&counter->metered);
    state->counter_boot_ms = metered_moved_boot_ms(&counter->metered);
    state->counter_wall_ms = sample->wall_ms - (sample->boot_ms - state->counter_boot_ms);
    memcpy(state->boot_id, counter->boot_id, sizeof state->boot_id);
    counter->baseline_in_this_boot = true;
}

static void accept_counter(struct energy_counter *counter, const struct energy_sample *sample,
                           struct energy_outcome *outcome)
{
    struct energy_point now = {
        .counter = sample->counter,
        .wall_ms = sample->wall_ms,
        .boot_ms = sample->boot_ms,
        .rate = sample->power_known ? fabs(sample->power) : 0,
        .restarted = sample->restarted || (counter->agreeing > 0 && counter->pending.restarted),
        .reverse = sample->reverse,
    };
    if (counter->agreeing == 0)
        replace_pending(counter, &now, 1);
    else if (energy_follows_pending(counter, &now))
        accept_agreeing(counter, &now, sample->restarted, outcome);
    else
        credit_unconfirmed(counter, &now, outcome);
    if (sample->restarted) /* what was read before a restart cannot agree with what comes after */
        forget_agreement(counter);
}

static void follow_power(struct energy_counter *counter, const struct energy_sample *sample)
{
    if (!sample->power_known && !counter->power_known)
        return;
    double power = sample->power_known ? sample->power : counter->power;
    if (counter->power_known)
        direction_add(&counter->after_pending, counter->power, power,
                      (double)(sample->boot_ms - counter->power_boot_ms));
    else
        direction_add(&counter->after_pending, power, power, 1.0); /* all there is: its sign */
    counter->power_known = true;
    counter->power = power;
    counter->power_boot_ms = sample->boot_ms;
}

static void follow_load(struct energy_counter *counter, const struct energy_sample *sample)
{
    if (!sample->load_known || !(sample->load >= 0))
        return;
    counter->load_before = counter->load_known ? counter->load : sample->load;
    counter->load = sample->load;
    counter->load_known = true;
}

/** A flag is in force until the baseline moves there, unless the counter shows that it went on. */
static bool restart_known(const struct energy_counter *counter)
{
    if (!counter->state.known)
        return false;
    bool flagged = counter->agreeing > 0 && counter->pending.restarted;
    return counter->restart_reported ||
           (flagged && !energy_follows_baseline(counter, &counter->pending));
}

void energy_counter_accept(struct energy_counter *counter, const struct energy_sample *sample,
                           struct energy_outcome *outcome)
{
    *outcome = (struct energy_outcome){.verdict = ENERGY_NOTHING};
    follow_power(counter, sample);
    follow_load(counter, sample);
    if (!sample->counter_known || !energy_counter_possible(counter->kind, sample->counter))
        return;
    if (counter->kind == READING_METERED) {
        accept_metered(counter, sample, outcome);
        return;
    }
    bool known_before = restart_known(counter);
    int64_t baseline_before_ms = counter->state.counter_boot_ms;
    counter->restart_reported = false;
    accept_counter(counter, sample, outcome);
    bool moved = counter->state.counter_boot_ms != baseline_before_ms;
    outcome->restart_noted = restart_known(counter) && (moved || !known_before);
}

void energy_counter_restarted(struct energy_counter *counter)
{
    counter->restart_reported = true;
}

void energy_counter_stored(const struct energy_counter *counter, struct energy_state *stored)
{
    *stored = counter->state;
    if (restart_known(counter))
        stored->counter = 0;
}
