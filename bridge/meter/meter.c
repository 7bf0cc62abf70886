/* SPDX-License-Identifier: MIT */
#include "bridge/meter/meter.h"

#include "bridge/meter/diagnosis.h"
#include "bridge/meter/energy_check.h"
#include "bridge/meter/values.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static const int doubtful_readings = 3;
static const int64_t doubtful_ms = 2000;
static const int64_t flow_least_mw = 5000;

struct meter {
    struct meter_options options;
    char boot_id[40];
    struct energy_counter *energy;
    struct energy_state stored;   /**< what meter_state gives out */
    struct channel_values values; /**< energy is filled in when asked for */
    int doubtful;                 /**< readings in a row whose values are doubtful */
    int64_t doubtful_since_boot_ms;
    struct diagnosis diagnosis;
    unsigned problems;
    struct energy_check check; /**< OpenBeken: the counter against the power */
    char excess[200];          /**< what is wrong when values are implausible */
};

static double maximum_rate(const struct meter_options *options)
{
    double maximum_power_w = options->max_current_a * options->mains_voltage_v;
    return calibration_counts_per_second(&options->calibration, options->kind, maximum_power_w);
}

struct meter *meter_create(const struct meter_options *options, const struct energy_state *state)
{
    struct meter *meter = memory_new(1, sizeof *meter);
    meter->options = *options;
    const char *boot_id = options->boot_id == NULL ? "" : options->boot_id;
    (void)snprintf(meter->boot_id, sizeof meter->boot_id, "%s", boot_id);
    meter->options.boot_id = meter->boot_id;
    meter->energy =
        energy_counter_create(options->kind, maximum_rate(options), meter->boot_id, state);
    energy_counter_set_whole(meter->energy, options->whole);
    energy_counter_begin_at_source(meter->energy, options->begin_at_source);
    return meter;
}

void meter_free(struct meter *meter)
{
    if (meter == NULL)
        return;
    energy_counter_free(meter->energy);
    free(meter);
}

/* ---- Events -------------------------------------------------------------------------------- */

static struct meter_event *add_event(struct meter_result *result, enum meter_event_kind kind)
{
    if (result->event_count == METER_EVENTS_MAX) /* cannot be: see METER_EVENTS_MAX */
        return &result->events[METER_EVENTS_MAX - 1];
    struct meter_event *event = &result->events[result->event_count++];
    *event = (struct meter_event){.kind = kind};
    return event;
}

static void __attribute__((format(printf, 2, 3)))
say(struct meter_event *event, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(event->text, sizeof event->text, format, arguments);
    va_end(arguments);
}

static enum meter_event_kind event_of(enum energy_verdict verdict)
{
    switch (verdict) {
    case ENERGY_NOTHING:
        return METER_EVENT_NONE;
    case ENERGY_WRAPPED:
        return METER_EVENT_COUNTER_WRAPPED;
    case ENERGY_RESTARTED:
        return METER_EVENT_COUNTER_RESET;
    case ENERGY_REJECTED:
        return METER_EVENT_STEP_REJECTED;
    case ENERGY_GLITCH:
    case ENERGY_DISPUTED:
        return METER_EVENT_GLITCH_DROPPED;
    }
    return METER_EVENT_NONE;
}

static void say_counter(struct meter_event *event, enum energy_verdict verdict)
{
    int64_t old = event->old_counter;
    int64_t new = event->new_counter;
    int64_t added = event->credited;
    if (verdict == ENERGY_WRAPPED)
        say(event,
            "The energy counter wrapped from %" PRId64 " to %" PRId64 "; %" PRId64
            " counts were added.",
            old, new, added);
    else if (verdict == ENERGY_RESTARTED)
        say(event,
            "The energy counter restarted: it was %" PRId64 " and is %" PRId64 " now. %" PRId64
            " counts were added; what it counted just before the restart is lost.",
            old, new, added);
    else if (verdict == ENERGY_REJECTED)
        say(event,
            "The energy counter went from %" PRId64 " to %" PRId64 ", more than the maximum "
            "load could do. %" PRId64 " counts were added, for what came since. Check "
            "mains.max_current, and whether the meter was exchanged.",
            old, new, added);
    else if (verdict == ENERGY_GLITCH)
        say(event,
            "A reading with energy counter %" PRId64 " disagreed with those around it (%" PRId64
            ") and was ignored.",
            new, old);
    else
        say(event,
            "The energy counter's readings disagree with each other (%" PRId64 ", %" PRId64
            "); energy waits until they agree. Check the cable and mains.max_current.",
            old, new);
}

static const char *reason_words(enum energy_reason reason)
{
    switch (reason) {
    case ENERGY_REASON_NONE:
        break;
    case ENERGY_REASON_STORED:
        return "went on from the value stored before a power cut";
    case ENERGY_REASON_RESET:
        return "was reset";
    case ENERGY_REASON_LOWER:
        return "was set lower, or reset while nobody listened";
    case ENERGY_REASON_JUMP:
        return "was set higher, or its BL0942 restarted and the module took that for a wrap";
    case ENERGY_REASON_UNIT:
        return "changed between Wh and kWh (flag 40; see energy_unit)";
    }
    return "did something odd";
}

/** Counters of OpenBeken modules are in mWh; people know them in Wh. */
static void say_openbeken(struct meter_event *event, enum energy_reason reason)
{
    struct text text;
    text_init(&text, event->text, sizeof event->text);
    text_append(&text, "The module's counter %s: ", reason_words(reason));
    text_append_decimal(&text, event->old_counter, 3, 3, true);
    text_append(&text, " to ");
    text_append_decimal(&text, event->new_counter, 3, 3, true);
    text_append(&text, " Wh; ");
    text_append_decimal(&text, event->credited, 3, 3, true);
    text_append(&text, " Wh were added.");
}

static void report_counter(const struct energy_outcome *outcome, struct meter_result *result)
{
    enum meter_event_kind kind = event_of(outcome->verdict);
    if (kind == METER_EVENT_NONE)
        return;
    struct meter_event *event = add_event(result, kind);
    event->old_counter = outcome->old_counter;
    event->new_counter = outcome->new_counter;
    event->credited = outcome->imported + outcome->exported;
    if (outcome->reason != ENERGY_REASON_NONE)
        say_openbeken(event, outcome->reason);
    else
        say_counter(event, outcome->verdict);
}

static void report_downtime(const struct energy_outcome *outcome, struct meter_result *result)
{
    if (!outcome->after_gap)
        return;
    struct meter_event *event = add_event(result, METER_EVENT_DOWNTIME_COUNTED);
    event->old_counter = outcome->old_counter;
    event->new_counter = outcome->new_counter;
    event->credited = outcome->imported + outcome->exported;
    if (outcome->gap_known)
        say(event,
            "%" PRId64 " counts were added for %" PRId64 " minutes in which the meter was not "
            "read.",
            event->credited, outcome->gap_ms / 60000);
    else
        say(event,
            "%" PRId64 " counts were added for the time in which the meter was not read; the "
            "clock does not tell how long that was.",
            event->credited);
}

static void report_problems(const struct meter *meter, unsigned now, struct meter_result *result)
{
    unsigned before = meter->problems;
    for (unsigned bit = 1; bit <= (before | now); bit <<= 1) {
        if (((before ^ now) & bit) == 0)
            continue;
        bool began = (now & bit) != 0;
        struct meter_event *event =
            add_event(result, began ? METER_EVENT_PROBLEM_BEGAN : METER_EVENT_PROBLEM_ENDED);
        event->problem = bit;
        if (began)
            say(event, "%s", meter_problem_sentence(meter, bit));
        else
            say(event, "The problem \"%s\" is over.", meter_problem_name(bit));
    }
}

/* ---- Values -------------------------------------------------------------------------------- */

static void fill_energy(const struct meter *meter, struct channel_values *values)
{
    const struct energy_state *state = energy_counter_state(meter->energy);
    int64_t imported_uwh;
    int64_t exported_uwh;
    energy_totals_uwh(state, &meter->options.calibration, meter->options.kind, &imported_uwh,
                      &exported_uwh);
    bool known = state->known || imported_uwh != 0 || exported_uwh != 0;
    values->energy_uwh = (struct amount){.known = known, .value = imported_uwh};
    values->energy_produced_uwh = (struct amount){.known = known, .value = exported_uwh};
}

/** What is below the noise floor is 0 here, so it does not turn the flow either. */
static void follow_flow(struct channel_values *values)
{
    if (!values->power_mw.known)
        return;
    if (values->power_mw.value >= flow_least_mw)
        values->flow = FLOW_CONSUMING;
    else if (values->power_mw.value <= -flow_least_mw)
        values->flow = FLOW_PRODUCING;
}

/** True if doubtful values have lasted long enough to be the truth. */
static bool doubt_lasts(struct meter *meter, enum values_verdict verdict, int64_t boot_ms)
{
    if (verdict == VALUES_GOOD) {
        meter->doubtful = 0;
        return false;
    }
    if (meter->doubtful == 0)
        meter->doubtful_since_boot_ms = boot_ms;
    if (meter->doubtful < doubtful_readings)
        meter->doubtful++;
    return meter->doubtful == doubtful_readings &&
           boot_ms - meter->doubtful_since_boot_ms >= doubtful_ms;
}

/**
 * Takes the reading's values over, unless they are doubtful: then the values before stay for a
 * moment. If the doubt lasts, they are shown as they are. Returns whether the reading's power can be
 * believed.
 */
static bool take_values(struct meter *meter, const struct reading *reading, struct finding *finding)
{
    struct channel_values values = {.flow = meter->values.flow};
    enum values_verdict verdict = values_measure(&meter->options, reading, &values);
    bool lasts = doubt_lasts(meter, verdict, reading->boot_ms);
    finding->no_voltage = verdict == VALUES_NO_VOLTAGE;
    finding->implausible = verdict == VALUES_ABSURD && lasts;
    if (finding->implausible && (meter->problems & PROBLEM_IMPLAUSIBLE) == 0)
        values_describe_excess(&meter->options, reading, meter->excess, sizeof meter->excess);
    if (verdict != VALUES_GOOD && !lasts)
        return false;
    follow_flow(&values);
    meter->values = values;
    return true;
}

/** Power and load as the rates at which they make the counter run. */
static void follow_sample_power(const struct meter *meter, const struct reading *reading,
                                bool believable, struct energy_sample *sample)
{
    const struct meter_options *options = &meter->options;
    double counts_per_mw =
        calibration_counts_per_second(&options->calibration, options->kind, 1e-3);
    double power_mw, load_mw;
    sample->power_known = values_power_mw(options, reading, &power_mw) && believable;
    sample->power = power_mw * counts_per_mw;
    sample->load_known = values_load_mw(options, reading, &load_mw) && believable;
    sample->load = load_mw * counts_per_mw;
}

static void count_energy(struct meter *meter, const struct reading *reading, bool believable,
                         struct meter_result *result)
{
    bool inverted = meter->options.invert;
    struct energy_sample sample = {
        .wall_ms = reading->wall_ms,
        .boot_ms = reading->boot_ms,
        .counter_known = (reading->present & READING_ENERGY) != 0,
        .counter = reading->energy,
        .restarted = (reading->flags & READING_CHIP_RESET) != 0,
        .reverse = ((reading->flags & READING_REVERSE) != 0) != inverted,
    };
    follow_sample_power(meter, reading, believable, &sample);
    if (meter->options.kind == READING_OPENBEKEN)
        sample.reverse = values_power_hidden(reading) != inverted;
    if (meter->options.kind == READING_METERED) {
        sample.reverse = (reading->flags & READING_REVERSE) != 0;
        if (inverted)
            sample.counter =
                reading_counters(reading_fed_back(sample.counter), reading_drawn(sample.counter));
    }
    struct energy_outcome outcome;
    energy_counter_accept(meter->energy, &sample, &outcome);
    result->imported_counts = outcome.imported;
    result->exported_counts = outcome.exported;
    result->restart_noted = outcome.restart_noted;
    report_counter(&outcome, result);
    report_downtime(&outcome, result);
}

/** Only a module's counter comes without its unit; a BL0942 counts and measures with one factor. */
static enum energy_check_verdict check_energy(struct meter *meter, const struct reading *reading)
{
    const struct meter_options *options = &meter->options;
    if (options->kind != READING_OPENBEKEN)
        return ENERGY_CHECK_NOTHING;
    double power_mw;
    bool known = values_power_mw(options, reading, &power_mw) && !values_power_hidden(reading);
    double rate = fabs(power_mw) / 3600.0 / 1000.0 * options->calibration.power;
    int64_t counter = (reading->present & READING_ENERGY) != 0 ? reading->energy : -1;
    return energy_check(&meter->check, reading->boot_ms, counter, known ? rate : -1);
}

void meter_accept(struct meter *meter, const struct reading *reading, struct meter_result *result)
{
    *result = (struct meter_result){0};
    struct finding finding = {
        .boot_ms = reading->boot_ms,
        .max_current_a = meter->options.max_current_a,
        .power_hidden = meter->options.kind == READING_OPENBEKEN && values_power_hidden(reading),
    };
    bool believable = take_values(meter, reading, &finding);
    count_energy(meter, reading, believable, result);
    fill_energy(meter, &meter->values);
    finding.energy = check_energy(meter, reading);

    finding.values = meter->values;
    unsigned problems = diagnosis_update(&meter->diagnosis, &finding);
    report_problems(meter, problems, result);
    meter->problems = problems;
    result->problems = problems;
    result->values = meter->values;
}

const char *meter_problem_sentence(const struct meter *meter, enum meter_problem problem)
{
    bool described = problem == PROBLEM_IMPLAUSIBLE && meter->excess[0] != '\0';
    return described ? meter->excess : meter_problem_text(problem);
}

void meter_restarted(struct meter *meter)
{
    energy_counter_restarted(meter->energy);
}

int64_t meter_known_until_ms(const struct meter *meter)
{
    return energy_counter_known_until_ms(meter->energy);
}

const struct energy_state *meter_state(struct meter *meter)
{
    energy_counter_stored(meter->energy, &meter->stored);
    return &meter->stored;
}

void meter_values(const struct meter *meter, bool stale, struct channel_values *values)
{
    *values = meter->values;
    if (stale)
        *values = (struct channel_values){0};
    fill_energy(meter, values);
}

const struct calibration *meter_calibration(const struct meter *meter)
{
    return &meter->options.calibration;
}

void meter_set_calibration(struct meter *meter, const struct calibration *calibration)
{
    if (calibration_equal(&meter->options.calibration, calibration))
        return; /* the history knows of no change either, and counts on */
    energy_fold(energy_counter_state(meter->energy), &meter->options.calibration,
                meter->options.kind);
    meter->options.calibration = *calibration;
    energy_counter_set_rate(meter->energy, maximum_rate(&meter->options));
}

void meter_set_totals(struct meter *meter, int64_t imported_uwh, int64_t exported_uwh)
{
    struct energy_state *state = energy_counter_state(meter->energy);
    energy_fold(state, &meter->options.calibration, meter->options.kind);
    if (imported_uwh >= 0)
        state->base_imported_uwh = imported_uwh;
    if (exported_uwh >= 0)
        state->base_exported_uwh = exported_uwh;
}

void meter_adjust_totals(struct meter *meter, const struct energy_adjustment *adjustment)
{
    energy_adjust(energy_counter_state(meter->energy), adjustment);
}
