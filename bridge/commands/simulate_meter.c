/* SPDX-License-Identifier: MIT */
/* `bl2mqtt simulate meter`: simulated BL0942 chips on a pseudo terminal, for people to try the
 * bridge without hardware and for tests to compare with. See bl2mqtt-simulate-meter(1). */
#include "bridge/commands/simulate_meter.h"

#include "bridge/commands/command.h"
#include "drivers/base/number.h"
#include "drivers/simulator/console.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NAME "simulate meter"

struct options {
    struct simulate_meter run;
    struct option_list addresses, faults;
    const char *calibration, *control;
    int baud;                                  /* index in bauds */
    int load;                                  /* index in loads; 0: not given */
    double voltage, current, power, frequency; /* NAN: not given */
    int64_t first_count, seed;
};

static const char *const bauds[] = {"4800", "9600", NULL};
static const char *const loads[] = {"auto", "household", "solar", "idle", "constant", NULL};

static void initialise(void *own)
{
    struct options *options = own;
    options->voltage = options->current = options->power = NAN;
}

static bool given(double value)
{
    return !isnan(value);
}

static enum status usage(const char *option, const char *value, const char *wanted)
{
    return command_bad_value(NAME, option, value, wanted);
}

/* ---- lists ---- */

static enum status take_addresses(struct options *options)
{
    struct simulator_meter_options *meter = &options->run.meter;
    for (size_t n = 0; n < options->addresses.count; n++) {
        int64_t address;
        const char *text = options->addresses.items[n].value;
        if (!number_parse_int(text, strlen(text), 0, SIMULATOR_CHIPS_MAX - 1, &address))
            return usage("address", text, "0, 1, 2 or 3");
        for (size_t i = 0; i < meter->chip_count; i++)
            if (meter->chips[i].chip.address == (unsigned)address)
                return usage("address", text, "each address once");
        meter->chips[meter->chip_count++].chip.address = (unsigned)address;
    }
    if (meter->chip_count == 0)
        meter->chip_count = 1; /* at address 0 */
    return STATUS_OK;
}

static enum status parse_calibration(struct chip_options *chip, const char *text)
{
    double *const factors[] = {&chip->counts_per_volt, &chip->counts_per_ampere,
                               &chip->counts_per_watt};
    const char *at = text;
    for (int i = 0; i < 3; i++) {
        size_t length = strcspn(at, ",");
        bool last = at[length] == '\0';
        if (last != (i == 2) || !number_parse_double(at, length, 1, 1e8, factors[i]))
            return usage("calibration", text, "three factors from 1 to 1e8, VOLTAGE,CURRENT,POWER");
        at += length + 1;
    }
    return STATUS_OK;
}

static enum status take_faults(const struct options *options, struct chip_faults *faults)
{
    for (size_t i = 0; i < options->faults.count; i++) {
        const char *text = options->faults.items[i].value;
        const char *equals = strchr(text, '=');
        if (equals == NULL || !console_set_fault(faults, text, (size_t)(equals - text), equals + 1))
            return usage("fault", text,
                         "a fault's name (see --help), \"=\" and a probability from 0 to 1");
    }
    return STATUS_OK;
}

/* ---- the load ---- */

static enum status settle_load(const struct options *options, struct load_options *load)
{
    bool constant_given = given(options->current) || given(options->power);
    load->profile = LOAD_HOUSEHOLD;
    if (options->load > 0)
        (void)load_profile_parse(loads[options->load], &load->profile);
    else if (constant_given)
        load->profile = LOAD_CONSTANT;
    if (constant_given && load->profile != LOAD_CONSTANT)
        return usage("load", load_profile_name(load->profile), "no --current or --power with it");
    double voltage = given(options->voltage) ? options->voltage : 230;
    bool nominal = voltage >= 90 && voltage <= 300; /* else a later profile has the usual one */
    if (load->profile != LOAD_CONSTANT && !nominal)
        return usage("load", load_profile_name(load->profile),
                     "a --voltage from 90 to 300 with it");
    load->constant.voltage_v = voltage;
    load->nominal_voltage_v = nominal ? voltage : 230;
    load->nominal_frequency_hz = load->constant.frequency_hz = options->frequency;
    load->constant.current_a = given(options->current) ? options->current : 0;
    load->constant.power_w =
        given(options->power) ? options->power : voltage * load->constant.current_a;
    if (!given(options->current) && voltage > 0)
        load->constant.current_a = fabs(load->constant.power_w) / voltage;
    return STATUS_OK;
}

/* ---- the command ---- */

static enum status settle(struct options *options)
{
    struct chip_options chip = {.pin_baud = options->baud == 0 ? 4800 : 9600,
                                .first_count = (uint32_t)options->first_count,
                                .noise = 0.0003};
    struct chip_faults faults = {0};
    struct load_options load = {.profile = LOAD_HOUSEHOLD};
    if (options->control != NULL && strcmp(options->control, "-") != 0)
        return usage("control", options->control, "\"-\" (standard input)");
    options->run.control = options->control != NULL;
    enum status status = take_addresses(options);
    if (status == STATUS_OK)
        status = parse_calibration(&chip, options->calibration);
    if (status == STATUS_OK)
        status = take_faults(options, &faults);
    if (status == STATUS_OK)
        status = settle_load(options, &load);
    if (status != STATUS_OK)
        return status;
    if ((options->run.unplug_every_s > 0) != (options->run.unplug_for_s > 0))
        return command_fail(NAME, STATUS_USAGE,
                            &(struct error){"Give --unplug-every and --unplug-for together."});
    for (size_t i = 0; i < options->run.meter.chip_count; i++) {
        struct simulator_meter_chip *one = &options->run.meter.chips[i];
        uint64_t seed = (uint64_t)options->seed + one->chip.address;
        unsigned address = one->chip.address;
        one->chip = chip;
        one->chip.address = address;
        one->load = load;
        one->faults = faults;
        one->chip.seed = one->load.seed = seed;
    }
    return STATUS_OK;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    struct options *options = own;
    enum status status = settle(options);
    return status == STATUS_OK ? simulate_meter_run(&options->run) : status;
}

/* clang-format off */
static const struct option_row rows[] = {
    {.name = "link", .argument = "PATH", .at = offsetof(struct options, run.meter.link),
     .file = true, .help = "also make a symbolic link to the pseudo terminal"},
    {.name = "address", .kind = OPTION_LIST, .argument = "N",
     .at = offsetof(struct options, addresses),
     .help = "address 0..3 of a chip; may be given up to four times (default 0)"},
    {.name = "baud", .kind = OPTION_CHOICE, .argument = "N", .at = offsetof(struct options, baud),
     .choices = bauds, .preset = "4800", .help = "rate that the chips' pins select"},
    {.name = "load", .kind = OPTION_CHOICE, .argument = "PROFILE",
     .at = offsetof(struct options, load), .choices = loads, .preset = "auto",
     .wanted = "household, solar, idle or constant",
     .help = "auto is constant if a current or power is given, else household"},
    {.name = "voltage", .kind = OPTION_NUMBER, .argument = "V",
     .at = offsetof(struct options, voltage), .low = 0, .high = 400,
     .wanted = "volts from 0 to 400",
     .help = "nominal voltage, or the constant load's (default 230)"},
    {.name = "frequency", .kind = OPTION_NUMBER, .argument = "HZ",
     .at = offsetof(struct options, frequency), .low = 40, .high = 70, .preset = "50",
     .wanted = "hertz from 40 to 70", .help = "nominal frequency, or the constant load's"},
    {.name = "current", .kind = OPTION_NUMBER, .argument = "A",
     .at = offsetof(struct options, current), .low = 0, .high = 1000,
     .wanted = "amperes from 0 to 1000", .help = "a constant load"},
    {.name = "power", .kind = OPTION_NUMBER, .argument = "W",
     .at = offsetof(struct options, power), .low = -400000, .high = 400000,
     .wanted = "watts from -400000 to 400000",
     .help = "a constant load; below 0 it is exported (default: voltage x current)"},
    {.name = "calibration", .argument = "V,A,W", .at = offsetof(struct options, calibration),
     .preset = "15883.3,128118.9,317.9", .help = "counts per volt, ampere, watt"},
    {.name = "first-count", .kind = OPTION_INTEGER, .argument = "N",
     .at = offsetof(struct options, first_count), .low = 0, .high = 0xFFFFFF,
     .wanted = "a count from 0 to 16777215", .help = "the energy counter at power-on"},
    {.name = "seed", .kind = OPTION_INTEGER, .argument = "N", .at = offsetof(struct options, seed),
     .low = 0, .high = 9e18, .preset = "1", .wanted = "a whole number",
     .help = "of load, noise and faults"},
    {.name = "fault", .kind = OPTION_LIST, .argument = "NAME=P",
     .at = offsetof(struct options, faults),
     .help = "probability per answer of junk_before, bit_flip, double_flip, truncate, silence, "
             "late, reset or wrong_address; repeatable"},
    {.name = "unplug-every", .kind = OPTION_NUMBER, .argument = "S",
     .at = offsetof(struct options, run.unplug_every_s), .low = 0.1, .high = 86400,
     .wanted = "seconds from 0.1 to 86400", .help = "pull the adapter out now and then"},
    {.name = "unplug-for", .kind = OPTION_NUMBER, .argument = "S",
     .at = offsetof(struct options, run.unplug_for_s), .low = 0.1, .high = 86400,
     .wanted = "seconds from 0.1 to 86400", .help = "for so long"},
    {.name = "control", .argument = "-", .at = offsetof(struct options, control),
     .help = "take commands from standard input, one a line; ends with it"},
    {.name = "truth", .argument = "FILE", .at = offsetof(struct options, run.truth_path),
     .file = true, .help = "write what really happened there every second and at the end"},
    {.name = "json", .kind = OPTION_FLAG, .at = offsetof(struct options, run.json),
     .help = "print port, link and chips as one JSON document"},
    {.name = NULL},
};
/* clang-format on */

const struct command command_simulate_meter = {
    .line = {.name = NAME,
             .summary = "simulated BL0942 chips on a pseudo terminal",
             .purpose =
                 "Simulated BL0942 chips on a pseudo terminal. Prints its path and runs until "
                 "Ctrl-C.",
             .tables = {rows},
             .size = sizeof(struct options),
             .initialise = initialise},
    .run = run,
};
