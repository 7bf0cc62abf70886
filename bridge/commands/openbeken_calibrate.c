/* SPDX-License-Identifier: MIT */
/* `bl2mqtt openbeken calibrate`: gives a module the true values. See bl2mqtt-openbeken-calibrate(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/openbeken_shared.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME "openbeken calibrate"

#define SETTLE_LIMIT_MS 6000 /* a frame comes once a second */
#define POLL_MS 500

struct quantity {
    const char *command, *name, *unit;
    double low, high;      /* what a reference can say */
    double tolerance;      /* part of the value by which it may differ afterwards: loads move */
    double correction_max; /* more than this is a mistake, not a calibration */
    double smallest;       /* readings below are too coarse to calibrate with */
};

/* A mains divider is off by per cents; a clamp's ratio may be anything. */
enum { VOLTAGE, CURRENT, POWER, QUANTITIES };
static const struct quantity quantities[QUANTITIES] = {
    [VOLTAGE] = {"VoltageSet", "voltage", "V", 50, 500, 0.02, 2, 20},
    [CURRENT] = {"CurrentSet", "current", "A", 0.01, 1000, 0.05, 1000, 0.01},
    [POWER] = {"PowerSet", "power", "W", 1, 300000, 0.05, 1000, 1},
};

struct options {
    struct openbeken_target target;
    const char *text[QUANTITIES];
    double value[QUANTITIES]; /* 0: not to be set */
};

static enum status parse_values(struct options *options, struct error *error)
{
    bool any = false;
    for (size_t i = 0; i < QUANTITIES; i++) {
        const struct quantity *quantity = &quantities[i];
        const char *text = options->text[i];
        if (text == NULL)
            continue;
        any = true;
        if (!number_parse_double(text, strlen(text), quantity->low, quantity->high,
                                 &options->value[i]))
            return error_set(error, STATUS_USAGE, "--%s must be a number from %g to %g %s.",
                             quantity->name, quantity->low, quantity->high, quantity->unit);
    }
    const double *value = options->value;
    if (!any)
        return error_set(error, STATUS_USAGE,
                         "Say the true values with --voltage, --current or --power.");
    if (value[VOLTAGE] > 0 && value[CURRENT] > 0 &&
        value[POWER] > 1.02 * value[VOLTAGE] * value[CURRENT])
        return error_set(error, STATUS_USAGE,
                         "%g W cannot be: %g V times %g A is less. Look at the reference again.",
                         value[POWER], value[VOLTAGE], value[CURRENT]);
    return STATUS_OK;
}

static double measured(const struct obk_energy *energy, size_t i)
{
    const double values[QUANTITIES] = {
        [VOLTAGE] = energy->voltage_v, [CURRENT] = energy->current_a, [POWER] = energy->power_w};
    return values[i];
}

static enum status check_readings(const struct options *options, const struct obk_status *before,
                                  struct error *error)
{
    if (!before->has_energy)
        return error_set(error, STATUS_REFUSED,
                         "No energy driver runs on the module, so there is nothing to calibrate; "
                         "`bl2mqtt openbeken provision --profile ...` sets one up.");
    for (size_t i = 0; i < QUANTITIES; i++) {
        const struct quantity *quantity = &quantities[i];
        double now = measured(&before->energy, i);
        if (options->value[i] <= 0)
            continue;
        if (!(now >= quantity->smallest))
            return error_set(
                error, STATUS_REFUSED,
                "The module measures %.3f %s now, which is too little to calibrate the "
                "%s with%s Nothing was changed.",
                now, quantity->unit, quantity->name,
                i == VOLTAGE ? ": does the chip answer?"
                             : ": connect a steady load; if there is one, the clamp "
                               "is reversed or flag 38 hides the values.");
        double factor = options->value[i] / now;
        if (factor > quantity->correction_max || factor < 1 / quantity->correction_max)
            return error_set(error, STATUS_REFUSED,
                             "The module measures %.3f %s and %g %s are given: that is more than a "
                             "calibration repairs. Check the wiring and the reference. Nothing was "
                             "changed.",
                             now, quantity->unit, options->value[i], quantity->unit);
    }
    return STATUS_OK;
}

static enum status send_values(struct module *module, const struct options *options,
                               struct error *error)
{
    size_t sent = 0;
    for (size_t i = 0; i < QUANTITIES; i++) {
        if (options->value[i] <= 0)
            continue;
        char command[64];
        struct text text;
        text_init(&text, command, sizeof command);
        text_append(&text, "%s %s", quantities[i].command, options->text[i]);
        enum status status = module_command(module, command, NULL, error);
        if (status != STATUS_OK)
            return error_prefix(error, status, "The %s was not set%s. ", quantities[i].name,
                                sent > 0 ? ", but what came before it was" : "");
        sent++;
    }
    return STATUS_OK;
}

static size_t first_wrong(const struct options *options, const struct obk_energy *energy)
{
    for (size_t i = 0; i < QUANTITIES; i++)
        if (options->value[i] > 0 && !(fabs(measured(energy, i) - options->value[i]) <=
                                       quantities[i].tolerance * options->value[i]))
            return i;
    return QUANTITIES;
}

/* The new factor shows from the chip's next frame on. */
static enum status check_result(struct module *module, const struct options *options,
                                struct obk_status *after, struct error *error)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    int64_t deadline = clock_boot_ms() + SETTLE_LIMIT_MS;
    for (;;) {
        enum status status = module_status(module, 8, after, error);
        size_t wrong = status == STATUS_OK ? first_wrong(options, &after->energy) : QUANTITIES;
        if (status != STATUS_OK || wrong == QUANTITIES)
            return status;
        if (clock_boot_ms() >= deadline)
            return error_set(
                error, STATUS_MISMATCH,
                "The module accepted the %s, but measures %.3f %s instead of %g. Has "
                "the load changed, or does the chip no longer answer? Repeat it with a "
                "steady load.",
                quantities[wrong].name, measured(&after->energy, wrong), quantities[wrong].unit,
                options->value[wrong]);
        (void)nanosleep(&pause, NULL);
    }
}

static enum status print_result(const struct options *options, const char *host,
                                const struct obk_status *before, const struct obk_status *after,
                                struct error *error)
{
    if (options->target.json) {
        json_t *set = json_object();
        for (size_t i = 0; i < QUANTITIES; i++)
            if (options->value[i] > 0)
                (void)json_object_set_new(set, quantities[i].name, json_real(options->value[i]));
        return openbeken_print_json(json_pack("{s:s, s:o, s:o, s:o}", "host", host, "set", set,
                                              "before", openbeken_energy_json(&before->energy),
                                              "after", openbeken_energy_json(&after->energy)),
                                    error);
    }
    for (size_t i = 0; i < QUANTITIES; i++)
        if (options->value[i] > 0)
            (void)printf("%s: %.3f %s before, %.3f %s now\n", quantities[i].name,
                         measured(&before->energy, i), quantities[i].unit,
                         measured(&after->energy, i), quantities[i].unit);
    if (options->value[POWER] > 0)
        (void)printf("Energy is counted with the new factor from now on; what was counted before "
                     "stays as it is.\n");
    return STATUS_OK;
}

static enum status calibrate(const struct options *options, struct error *error)
{
    struct module *module = NULL;
    struct obk_status before, after;
    enum status status = openbeken_open(&options->target, &module, error);
    if (status == STATUS_OK)
        status = openbeken_refuse_two_chips(module, error);
    if (status == STATUS_OK)
        status = module_status(module, 8, &before, error);
    if (status == STATUS_OK)
        status = check_readings(options, &before, error);
    if (status == STATUS_OK)
        status = send_values(module, options, error);
    if (status == STATUS_OK)
        status = check_result(module, options, &after, error);
    if (status == STATUS_OK)
        status = print_result(options, module_host(module), &before, &after, error);
    module_close(module);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    struct options *options = own;
    struct error error = {.text = ""};
    enum status status = parse_values(options, &error);
    if (status == STATUS_OK)
        status = calibrate(options, &error);
    return command_end(NAME, status, &error);
}

/* The module gets the texts as they were given. */
static const struct option_row rows[] = {
    {.name = "voltage",
     .argument = "V",
     .at = offsetof(struct options, text[VOLTAGE]),
     .help = "the true voltage"},
    {.name = "current",
     .argument = "A",
     .at = offsetof(struct options, text[CURRENT]),
     .help = "the true current"},
    {.name = "power",
     .argument = "W",
     .at = offsetof(struct options, text[POWER]),
     .help = "the true power"},
    {.name = NULL},
};

const struct command command_openbeken_calibrate = {
    .line =
        {.name = NAME,
         .summary = "give an OpenBeken module the true values",
         .purpose =
             "Gives an OpenBeken module the true values of what it measures at this moment, from "
             "a reference meter. The load must be steady. Refuses modules that read two chips, "
             "because they have one calibration for both.",
         .tables = {openbeken_target_rows, rows, openbeken_json_rows},
         .size = sizeof(struct options)},
    .run = run,
};
