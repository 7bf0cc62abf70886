/* SPDX-License-Identifier: MIT */
#include "bridge/meter/diagnosis.h"

static const int64_t longest_step_ms = 60000;
static const int64_t noticeable_mw = 20000;
static const int64_t consumed_before_uwh = INT64_C(100) * 1000 * 1000;
static const int64_t produced_long_uwh = INT64_C(20) * 1000 * 1000 * 1000;

/* Power factors in permille. */
static const int64_t reversed_factor = -800;
static const int64_t right_factor = 700;
static const int64_t near_zero_factor = 200;
static const int64_t third_of_a_turn_low = -650;
static const int64_t third_of_a_turn_high = -350;

enum evidence { EVIDENCE_NONE, EVIDENCE_FOR, EVIDENCE_AGAINST };

static const struct {
    unsigned problem;
    int64_t begin_ms;
    int64_t end_ms;
} rules[CONDITION_COUNT] = {
    [CONDITION_REVERSED] = {PROBLEM_CLAMP_REVERSED, 600000, 0},
    [CONDITION_OTHER_PHASE] = {PROBLEM_CLAMP_OTHER_PHASE, 300000, 60000},
    [CONDITION_NO_VOLTAGE] = {PROBLEM_NO_VOLTAGE, 10000, 5000},
    [CONDITION_IMPLAUSIBLE] = {PROBLEM_IMPLAUSIBLE, 0, 10000},
    [CONDITION_POWER_HIDDEN] = {PROBLEM_POWER_HIDDEN, 60000, 10000},
    [CONDITION_ENERGY_UNIT] = {PROBLEM_ENERGY_UNIT, 0, 0},
};

static void weigh(struct diagnosis *diagnosis, enum diagnosis_condition which,
                  enum evidence evidence, int64_t ms)
{
    if (evidence == EVIDENCE_NONE)
        return;
    bool active = diagnosis->conditions[which].active;
    bool confirms = active == (evidence == EVIDENCE_FOR);
    int64_t *evidence_ms = &diagnosis->conditions[which].evidence_ms;
    *evidence_ms = confirms ? 0 : *evidence_ms + ms;
    int64_t needed_ms = active ? rules[which].end_ms : rules[which].begin_ms;
    if (confirms || *evidence_ms < needed_ms)
        return;
    diagnosis->conditions[which].active = !active;
    *evidence_ms = 0;
}

static bool new_channel(const struct diagnosis *diagnosis, const struct channel_values *values)
{
    return !diagnosis->consumed && values->energy_uwh.value < consumed_before_uwh &&
           values->energy_produced_uwh.value < produced_long_uwh;
}

static enum evidence reversed(struct diagnosis *diagnosis, const struct channel_values *values)
{
    if (values->power_mw.known && values->power_mw.value > noticeable_mw)
        diagnosis->consumed = true;
    if (!new_channel(diagnosis, values))
        return EVIDENCE_AGAINST;
    if (!values->power_mw.known || !values->power_factor_permille.known)
        return EVIDENCE_NONE;
    bool produces = values->power_mw.value < -noticeable_mw &&
                    values->power_factor_permille.value < reversed_factor;
    return produces ? EVIDENCE_FOR : EVIDENCE_NONE;
}

static bool phase_suspicious(int64_t factor)
{
    bool quarter_turn = factor > -near_zero_factor && factor < near_zero_factor;
    bool third_of_a_turn = factor > third_of_a_turn_low && factor < third_of_a_turn_high;
    return quarter_turn || third_of_a_turn;
}

static enum evidence other_phase(struct diagnosis *diagnosis, const struct finding *finding)
{
    const struct channel_values *values = &finding->values;
    if (finding->power_hidden) /* explains it better */
        return EVIDENCE_AGAINST;
    if (!values->current_ma.known || !values->power_factor_permille.known)
        return EVIDENCE_NONE;
    if ((double)values->current_ma.value < finding->max_current_a * 1e3 / 20)
        return EVIDENCE_NONE;
    int64_t factor = values->power_factor_permille.value;
    if (factor > right_factor)
        diagnosis->right_phase = true;
    bool suspicious = !diagnosis->right_phase && phase_suspicious(factor);
    return suspicious ? EVIDENCE_FOR : EVIDENCE_AGAINST;
}

static enum evidence energy_unit(enum energy_check_verdict verdict)
{
    switch (verdict) {
    case ENERGY_CHECK_SCALED:
        return EVIDENCE_FOR;
    case ENERGY_CHECK_FITS:
        return EVIDENCE_AGAINST;
    case ENERGY_CHECK_NOTHING:
        break;
    }
    return EVIDENCE_NONE;
}

static int64_t time_since_last(struct diagnosis *diagnosis, int64_t boot_ms)
{
    int64_t ms = diagnosis->started ? boot_ms - diagnosis->boot_ms : 0;
    diagnosis->started = true;
    diagnosis->boot_ms = boot_ms;
    if (ms < 0)
        return 0;
    return ms < longest_step_ms ? ms : longest_step_ms;
}

unsigned diagnosis_update(struct diagnosis *diagnosis, const struct finding *finding)
{
    int64_t ms = time_since_last(diagnosis, finding->boot_ms);
    weigh(diagnosis, CONDITION_REVERSED, reversed(diagnosis, &finding->values), ms);
    weigh(diagnosis, CONDITION_OTHER_PHASE, other_phase(diagnosis, finding), ms);
    weigh(diagnosis, CONDITION_NO_VOLTAGE, finding->no_voltage ? EVIDENCE_FOR : EVIDENCE_AGAINST,
          ms);
    weigh(diagnosis, CONDITION_IMPLAUSIBLE, finding->implausible ? EVIDENCE_FOR : EVIDENCE_AGAINST,
          ms);
    weigh(diagnosis, CONDITION_POWER_HIDDEN,
          finding->power_hidden ? EVIDENCE_FOR : EVIDENCE_AGAINST, ms);
    weigh(diagnosis, CONDITION_ENERGY_UNIT, energy_unit(finding->energy), ms);

    unsigned problems = 0;
    for (size_t i = 0; i < CONDITION_COUNT; i++)
        if (diagnosis->conditions[i].active)
            problems |= rules[i].problem;
    return problems;
}

const char *meter_problem_name(enum meter_problem problem)
{
    switch (problem) {
    case PROBLEM_CLAMP_REVERSED:
        return "clamp_reversed";
    case PROBLEM_CLAMP_OTHER_PHASE:
        return "clamp_other_phase";
    case PROBLEM_NO_VOLTAGE:
        return "no_voltage";
    case PROBLEM_SILENT:
        return "silent";
    case PROBLEM_NOISY:
        return "noisy";
    case PROBLEM_IMPLAUSIBLE:
        return "implausible";
    case PROBLEM_POWER_HIDDEN:
        return "power_hidden";
    case PROBLEM_ENERGY_UNIT:
        return "energy_unit";
    }
    return "unknown";
}

const char *meter_problem_text(enum meter_problem problem)
{
    switch (problem) {
    case PROBLEM_CLAMP_REVERSED:
        return "Power is always negative, as if this circuit only fed energy back. If it cannot "
               "produce, the clamp sits the wrong way round: turn it or set invert: true.";
    case PROBLEM_CLAMP_OTHER_PHASE:
        return "Current flows but almost no power, or a third of a turn off: the clamp is on "
               "another "
               "phase than the voltage. Move the clamp, or the voltage wire, to the same phase.";
    case PROBLEM_NO_VOLTAGE:
        return "The chip answers but measures no mains voltage, so it can measure no power: check "
               "the wires between the mains and the meter's voltage input.";
    case PROBLEM_SILENT:
        return "The meter does not answer: check its supply, the cable, RX and TX, and the "
               "address.";
    case PROBLEM_NOISY:
        return "Many answers arrive damaged: shorten the cable, keep it away from mains wires, "
               "check "
               "ground and the pull-up at RX, or lower the baud rate.";
    case PROBLEM_IMPLAUSIBLE:
        return "The values are outside what the installation can have by mains.voltage and "
               "mains.max_current. If they are real, correct these; if not, check the calibration.";
    case PROBLEM_POWER_HIDDEN:
        return "Current flows but the module shows 0 W: it hides negative power. If the circuit "
               "feeds back, switch on its flag 25 (SetFlag 25 1); if not, turn the clamp.";
    case PROBLEM_ENERGY_UNIT:
        return "For a minute the energy counter ran about 1000 times slower or faster than the "
               "power "
               "makes it, or stood still. Set energy_unit to what the module sends: Wh or kWh.";
    }
    return "The problem is unknown.";
}
