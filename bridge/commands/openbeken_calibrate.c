/* SPDX-License-Identifier: MIT */
/* `bl2mqtt openbeken calibrate`: tells a module the true values. See bl2mqtt-openbeken-calibrate(1). */
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
    bool json, help;
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt openbeken calibrate --host H [--voltage V] [--current A] [--power W]\n\n"
        "Tells an OpenBeken module the true values of what it measures at this moment, from a\n"
        "reference meter. The load must be steady. Refuses modules that read two chips, because\n"
        "they have one calibration for both.\n\n" OPENBEKEN_TARGET_HELP
        "  --voltage V              the true voltage\n"
        "  --current A              the true current\n"
        "  --power W                the true power\n"
        "  --json                   one JSON document instead of text\n"
        "  --help                   this text\n");
}

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

static enum status parse(int argc, char **argv, struct options *options)
{
    const struct words_row own[] = {
        {"voltage", &options->text[VOLTAGE], NULL},
        {"current", &options->text[CURRENT], NULL},
        {"power", &options->text[POWER], NULL},
        {"json", NULL, &options->json},
        {NULL, NULL, NULL},
    };
    return openbeken_parse(NAME, own, argc, argv, &options->target, &options->help, NULL);
}

static double measured(const struct obk_energy *energy, size_t i)
{
    const double values[QUANTITIES] = {
        [VOLTAGE] = energy->voltage_v, [CURRENT] = energy->current_a, [POWER] = energy->power_w};
    return values[i];
}

/* A twin build that reads both chips has one set of factors for them, and takes as "now" what the
 * second chip measured last (OpenBK7231T_App, src/driver/drv_pwrCal.c). */
static enum status check_twin(struct module *module, struct error *error)
{
    struct obk_info info;
    bool twin = false;
    char *script memory_auto = NULL;
    size_t length = 0;
    enum status status = module_info(module, &info, error);
    if (status == STATUS_OK)
        status = module_has_twin(module, &twin, error);
    if (status == STATUS_OK && twin)
        status = module_read_file(module, "autoexec.bat", &script, &length, error);
    if (status != STATUS_OK || !twin)
        return status;
    if (!obk_reads_two_chips(script != NULL ? script : "") &&
        !obk_reads_two_chips(info.startup_command))
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "%s reads two chips and has one calibration for both: what is set here would "
                     "be right for one channel and spoil the other. Calibrate each channel in "
                     "bridge.yaml instead (calibration: {voltage: ..., current: ..., power: ...}).",
                     module_host(module));
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
                             "calibration mends. Check the wiring and the reference. Nothing was "
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
    if (options->json) {
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
        status = check_twin(module, error);
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

enum status command_openbeken_calibrate(const struct command_context *context, int argc,
                                        char **argv)
{
    (void)context;
    struct options options = {.json = false};
    struct error error = {.text = ""};
    enum status status = parse(argc, argv, &options);
    if (status != STATUS_OK)
        return status;
    if (options.help) {
        print_help();
        return STATUS_OK;
    }
    status = parse_values(&options, &error);
    if (status == STATUS_OK)
        status = calibrate(&options, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(NAME, status, &error);
}
