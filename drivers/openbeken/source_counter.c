/* SPDX-License-Identifier: MIT */
/* The unit of the energy counter, and what is believed of it. */
#include "drivers/openbeken/source_internal.h"

/* What was believed in the other unit is neither compared with nor delivered any more. */
static void forget_counters(struct openbeken_source *source, struct module *module)
{
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++) {
        struct chip *chip = &module->chips[i];
        chip->counter.known = false;
        chip->counter.suspects = 0;
        if (chip->fresh == READING_ENERGY)
            source_dequeue(source, chip);
        chip->fresh &= ~(unsigned)READING_ENERGY;
    }
}

static const char *unit_name(enum openbeken_unit unit)
{
    return unit == OPENBEKEN_KWH ? "kWh" : "Wh";
}

static enum openbeken_unit other_unit(enum openbeken_unit unit)
{
    return unit == OPENBEKEN_KWH ? OPENBEKEN_WH : OPENBEKEN_KWH;
}

/* Once, until the unit is proven. */
void source_doubt_unit(const struct openbeken_source *source, struct module *module,
                       const char *sentence)
{
    if (module->unit_doubted)
        return;
    module->unit_doubted = true;
    source_report(source, module, DRIVER_UNIT_DOUBTFUL, "%s", sentence);
}

static void take_unit(struct openbeken_source *source, struct module *module,
                      enum openbeken_unit unit)
{
    bool changed = module->unit != OPENBEKEN_UNIT_UNKNOWN;
    module->unit = unit;
    module->unit_waits_ms = NEVER;
    forget_counters(source, module);
    if (changed)
        source_report(
            source, module, DRIVER_UNIT_CHANGED,
            "The module sends its energy counter in %s from now on (OpenBeken's flag 40); the "
            "total goes on.",
            unit_name(unit));
}

/* Something says what the unit is. What weighs less than what is known changes nothing, but is a reason
 * to ask the module again. */
void source_weigh_unit(struct openbeken_source *source, struct module *module,
                       enum openbeken_unit unit, enum openbeken_unit_source from, int64_t boot_ms)
{
    if (unit == OPENBEKEN_UNIT_UNKNOWN)
        return;
    bool proof = from == OPENBEKEN_UNIT_PROVEN;
    bool contradicts = module->unit != OPENBEKEN_UNIT_UNKNOWN && unit != module->unit;
    if (proof && !contradicts)
        module->unit_doubted = false;
    if (from >= module->unit_from) {
        module->unit_from = from;
        if (unit != module->unit)
            take_unit(source, module, unit);
    } else if (contradicts && proof) {
        source_doubt_unit(
            source, module,
            "By its own total (Status 8) the module sends its energy counter in the other unit "
            "than energy_unit says. Correct energy_unit, or set it to auto.");
    }
    if (contradicts && !proof && module->unit_from != OPENBEKEN_UNIT_CONFIGURED)
        source_ask_at(module, boot_ms);
}

void source_believe_counter(struct openbeken_source *source, struct chip *chip, int64_t mwh,
                            const struct message *message)
{
    chip->counter.known = true;
    chip->counter.waits = false;
    chip->counter.mwh = mwh;
    chip->counter.boot_ms = message->boot_ms;
    source_take_value(source, chip, OPENBEKEN_ENERGY, mwh, message);
}

/* Active power may be hidden (flag 25) while the counter runs, so apparent power bounds it. */
static int64_t load_of(const struct chip *chip, int64_t boot_ms)
{
    static const unsigned both = READING_VOLTAGE | READING_CURRENT;
    const struct source_value *voltage = &chip->values[OPENBEKEN_VOLTAGE];
    const struct source_value *current = &chip->values[OPENBEKEN_CURRENT];
    if ((chip->known & both) != both || boot_ms - voltage->boot_ms > OPENBEKEN_STALE_MS ||
        boot_ms - current->boot_ms > OPENBEKEN_STALE_MS)
        return -1;
    return (int64_t)((double)voltage->milli * (double)current->milli / 1e3);
}

/* The unit became known: what waited for it counts as come now. */
void source_release_counters(struct openbeken_source *source, struct module *module,
                             const struct message *message)
{
    if (module->unit == OPENBEKEN_UNIT_UNKNOWN)
        return;
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++) {
        struct chip *chip = &module->chips[i];
        if (chip->counter.waits)
            source_believe_counter(source, chip, openbeken_mwh(chip->counter.raw, module->unit),
                                   message);
    }
}

void source_take_counter(struct openbeken_source *source, struct chip *chip, int64_t raw,
                         const struct message *message)
{
    struct module *module = chip->module;
    chip->counter_topic_ms = message->boot_ms;
    chip->counter.raw = raw;
    chip->counter.raw_known = true;
    if (module->unit == OPENBEKEN_UNIT_UNKNOWN && chip->index == 0 && module->json_known) {
        source_weigh_unit(source, module,
                          openbeken_unit_of_total(raw, module->json.milli[OPENBEKEN_ENERGY]),
                          OPENBEKEN_UNIT_PROVEN, message->boot_ms);
        source_release_counters(source, module, message);
    }
    if (module->unit == OPENBEKEN_UNIT_UNKNOWN) {
        chip->counter.waits = true;
        if (module->unit_waits_ms == NEVER)
            module->unit_waits_ms = message->boot_ms;
        return;
    }
    if (module->unit_from != OPENBEKEN_UNIT_CONFIGURED) {
        switch (openbeken_unit_follow(&chip->counter, module->unit, raw, message->boot_ms,
                                      load_of(chip, message->boot_ms))) {
        case OPENBEKEN_STEP_PLAIN:
            break;
        case OPENBEKEN_STEP_SUSPECT:
            source_ask_at(module, message->boot_ms);
            return;
        case OPENBEKEN_STEP_CHANGED:
            module->unit_from = OPENBEKEN_UNIT_FOLLOWED;
            take_unit(source, module, other_unit(module->unit));
            break;
        }
    }
    source_believe_counter(source, chip, openbeken_mwh(raw, module->unit), message);
}
