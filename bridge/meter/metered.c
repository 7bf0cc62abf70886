/* SPDX-License-Identifier: MIT */
#include "bridge/meter/metered.h"

#include "drivers/reading.h"

#define AGREEING 3
/* Two steps of 10 Wh, the coarsest that meters have, and ten seconds in which a message may be late. */
#define SLACK_COUNTS 2000.0
#define SLACK_SECONDS 10.0
#define HALF (READING_COUNTER_RANGE / 2)

static int64_t forward(int64_t from, int64_t to)
{
    return (to - from) & (READING_COUNTER_RANGE - 1);
}

/* Whether a step is as small as two readings in a row can make it. */
static bool agrees(int64_t from, int64_t from_ms, int64_t to, int64_t to_ms, double rate)
{
    double seconds = (double)(to_ms - from_ms) / 1000.0;
    return (double)forward(from, to) <= rate * (seconds + SLACK_SECONDS) + SLACK_COUNTS;
}

static struct budget_terms terms_since(int64_t since_ms, int64_t boot_ms, double rate)
{
    return (struct budget_terms){
        .rate = rate,
        .slack = rate * SLACK_SECONDS + SLACK_COUNTS,
        .repeats = true,
        .boot_ms = boot_ms,
        .interval_ms = boot_ms - since_ms,
    };
}

/* The first value, or the first since the start. */
static void begin_base(struct metered_counter *counter, int64_t value, int64_t boot_ms, double rate)
{
    *counter = (struct metered_counter){.known = true, .base = value, .base_boot_ms = boot_ms};
    budget_start(&counter->budget, terms_since(boot_ms, boot_ms, rate).slack);
}

/* Goes on from a value: counts is what is credited for it. */
static void move_base(struct metered_counter *counter, int64_t value, int64_t boot_ms, double rate,
                      int64_t counts)
{
    struct budget_terms terms = terms_since(counter->base_boot_ms, boot_ms, rate);
    budget_spend(&counter->budget, &terms, (double)counts);
    counter->base = value;
    counter->base_boot_ms = boot_ms;
    counter->suspects = 0;
}

static bool within_budget(const struct metered_counter *counter, int64_t step, int64_t boot_ms,
                          double rate)
{
    struct budget_terms terms = terms_since(counter->base_boot_ms, boot_ms, rate);
    return (double)step <= budget_limit(&counter->budget, &terms);
}

/* The counter as it would be if it had not fallen. */
static struct metered_counter before_fall(const struct metered_counter *counter)
{
    struct metered_counter before = *counter;
    before.base = counter->fell_from;
    before.base_boot_ms = counter->fell_boot_ms;
    before.budget = counter->fell_budget;
    return before;
}

/* Whether the value leads back to where the counter fell from, as if it had never fallen. */
static bool is_back(const struct metered_counter *counter, int64_t value, int64_t boot_ms,
                    double rate)
{
    if (!counter->fell || counter->base >= counter->fell_from || value < counter->fell_from)
        return false;
    const struct metered_counter before = before_fall(counter);
    return within_budget(&before, forward(before.base, value), boot_ms, rate);
}

/* Believed at last: from the first of the agreeing readings on, what was counted counts. */
static int64_t believe(struct metered_counter *counter, int64_t value, int64_t boot_ms, double rate,
                       enum energy_verdict *verdict)
{
    bool fell = counter->suspect_first < counter->base;
    *verdict = fell ? ENERGY_RESTARTED : ENERGY_REJECTED;
    int64_t step = forward(counter->suspect_first, value);
    int64_t counts = within_budget(counter, step, boot_ms, rate) ? step : 0;
    counter->fell = fell && step == 0;
    counter->fell_from = counter->base;
    counter->fell_boot_ms = counter->base_boot_ms;
    counter->fell_budget = counter->budget;
    move_base(counter, value, boot_ms, rate, counts);
    return counts;
}

static int64_t doubt(struct metered_counter *counter, int64_t value, int64_t boot_ms, double rate,
                     enum energy_verdict *verdict)
{
    bool agreeing = counter->suspects > 0 &&
                    agrees(counter->suspect, counter->suspect_boot_ms, value, boot_ms, rate);
    if (!agreeing) {
        counter->suspects = 0;
        counter->suspect_first = value;
    }
    counter->suspects++;
    counter->suspect = value;
    counter->suspect_boot_ms = boot_ms;
    return counter->suspects >= AGREEING ? believe(counter, value, boot_ms, rate, verdict) : 0;
}

/* A glitch stands still; what counted on since it fell is the counter itself, even where it has meanwhile
 * come to where the old one could be. */
static bool counts_on(const struct metered_counter *counter, int64_t value, int64_t boot_ms,
                      double rate)
{
    return counter->suspects >= AGREEING - 1 && counter->suspect > counter->suspect_first &&
           value > counter->suspect &&
           agrees(counter->suspect, counter->suspect_boot_ms, value, boot_ms, rate);
}

static int64_t take(struct metered_counter *counter, int64_t value,
                    const struct energy_sample *sample, double rate, enum energy_verdict *verdict)
{
    int64_t boot_ms = sample->boot_ms;
    if (!counter->known) {
        begin_base(counter, value, boot_ms, rate);
        return 0;
    }
    if (sample->restarted && value < counter->base) {
        move_base(counter, value, boot_ms, rate, 0);
        counter->fell = false;
        *verdict = ENERGY_RESTARTED;
        return 0;
    }
    bool back = is_back(counter, value, boot_ms, rate);
    bool on = value == counter->base || back ||
              within_budget(counter, forward(counter->base, value), boot_ms, rate);
    if (!on || counts_on(counter, value, boot_ms, rate))
        return doubt(counter, value, boot_ms, rate, verdict);
    if (counter->suspects > 0)
        *verdict = ENERGY_GLITCH;
    counter->suspects = 0;
    if (value == counter->base)
        return 0;
    if (back)
        *counter = before_fall(counter);
    int64_t step = forward(counter->base, value);
    counter->fell = false;
    move_base(counter, value, boot_ms, rate, step);
    return step;
}

void metered_resume(struct metered *metered, int64_t counter, int64_t gap_ms, int64_t boot_ms,
                    double rate)
{
    const int64_t values[2] = {reading_drawn(counter), reading_fed_back(counter)};
    for (int i = 0; i < 2; i++)
        begin_base(&metered->counters[i], values[i], boot_ms - gap_ms, rate);
}

bool metered_accept(struct metered *metered, const struct energy_sample *sample, double rate,
                    struct energy_outcome *outcome)
{
    int64_t before = metered_counter(metered);
    bool known = metered->counters[0].known;
    int64_t drawn = take(&metered->counters[0], reading_drawn(sample->counter), sample, rate,
                         &outcome->verdict);
    int64_t fed_back = take(&metered->counters[1], reading_fed_back(sample->counter), sample, rate,
                            &outcome->verdict);
    if (metered->counters[0].suspects == 0 && metered->counters[1].suspects == 0) {
        metered->agreed = true;
        metered->agreed_boot_ms = sample->boot_ms;
    }
    outcome->old_counter = known ? before : sample->counter;
    outcome->new_counter = sample->counter;
    /* A meter that does not count the two apart counts both as drawn. */
    outcome->imported = sample->reverse ? 0 : drawn;
    outcome->exported = sample->reverse ? fed_back + drawn : fed_back;
    return !known || metered_counter(metered) != before;
}

int64_t metered_counter(const struct metered *metered)
{
    return reading_counters(metered->counters[0].base, metered->counters[1].base);
}

int64_t metered_moved_boot_ms(const struct metered *metered)
{
    int64_t drawn_ms = metered->counters[0].base_boot_ms;
    int64_t fed_back_ms = metered->counters[1].base_boot_ms;
    return drawn_ms < fed_back_ms ? drawn_ms : fed_back_ms;
}
