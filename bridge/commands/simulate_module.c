/* SPDX-License-Identifier: MIT */
/* `bl2mqtt simulate module`: a simulated BK7231 module on a pseudo terminal, for people to try the
 * flasher without a module to lose and for tests to break. See bl2mqtt-simulate-module(1). */
#include "bridge/commands/simulate_module.h"

#include "bridge/commands/command.h"
#include "bridge/options/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "simulate module"
#define FLASH_SIZE_MIN 0x200000
#define FLASH_SIZE_MAX 0x1000000

struct options {
    struct simulate_module run;
    int chip, contents; /* indices in chips and kinds */
    int64_t flash_size, status, seed;
    double reset_every_s;
    struct option_list faults;
    const char *control;
};

static const char *const chips[] = {"BK7231N", "BK7231T", "BK7231M", NULL};
static const char *const kinds[] = {"vendor", "openbeken", "blank", NULL};

static enum status usage(const char *option, const char *value, const char *wanted)
{
    return command_bad_value(NAME, option, value, wanted);
}

static enum status take_faults(struct options *options)
{
    for (size_t i = 0; i < options->faults.count; i++) {
        char name[64];
        const char *text = options->faults.items[i].value;
        const char *equals = strchr(text, '=');
        struct error error = {""};
        if (equals == NULL || equals - text >= 64)
            return usage("fault", text, "a knob's name (see --help), \"=\" and a number");
        memcpy(name, text, (size_t)(equals - text));
        name[equals - text] = '\0';
        enum status status = module_fault_set(&options->run.faults, name, equals + 1, &error);
        if (status != STATUS_OK)
            return command_fail(NAME, status, &error);
    }
    return STATUS_OK;
}

/* ---- the command ---- */

static enum status settle(struct options *options)
{
    struct simulate_module *run = &options->run;
    (void)module_chip_parse(chips[options->chip], &run->module.chip);
    (void)module_contents_parse(kinds[options->contents], &run->contents.kind);
    run->contents.chip = run->module.chip;
    run->module.status = (uint32_t)options->status;
    run->module.flash_size = (uint32_t)options->flash_size;
    run->module.seed = run->contents.seed = (uint64_t)options->seed;
    run->port.power_cycle_ms = (int64_t)(options->reset_every_s * 1000);
    run->module.window_scale = run->port.speed;
    run->control = options->control != NULL;
    module_faults_default(run->module.chip, &run->faults); /* they hang on the chip */
    char size[24];
    (void)snprintf(size, sizeof size, "%lld", (long long)options->flash_size);
    if (options->flash_size % NOR_BLOCK != 0)
        return usage("flash-size", size, "a multiple of 65536 from 2097152 to 16777216");
    if (options->control != NULL && strcmp(options->control, "-") != 0)
        return usage("control", options->control, "\"-\" (standard input)");
    if (run->on_boot != NULL && run->flash_path == NULL)
        return usage("on-boot", run->on_boot, "--flash FILE too, which the program is to read");
    return take_faults(options);
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    struct options *options = own;
    enum status status = settle(options);
    return status == STATUS_OK ? simulate_module_run(&options->run) : status;
}

/* clang-format off */
static const struct option_row rows[] = {
    {.name = "chip", .kind = OPTION_CHOICE, .argument = "CHIP",
     .at = offsetof(struct options, chip), .choices = chips, .preset = "BK7231N",
     .help = "what it is"},
    {.name = "link", .argument = "PATH", .at = offsetof(struct options, run.port.link),
     .file = true, .help = "also make a symbolic link to the pseudo terminal"},
    {.name = "flash", .argument = "FILE", .at = offsetof(struct options, run.flash_path),
     .file = true, .help = "the flash's contents, if FILE exists, and stored there at the end"},
    {.name = "contents", .kind = OPTION_CHOICE, .argument = "KIND",
     .at = offsetof(struct options, contents), .choices = kinds, .preset = "vendor",
     .help = "what the flash holds without that file"},
    {.name = "vault", .argument = "FILE", .at = offsetof(struct options, run.vault_path),
     .file = true, .help = "the vendor's settings, put where they belong"},
    {.name = "flash-size", .kind = OPTION_ADDRESS, .argument = "BYTES",
     .at = offsetof(struct options, flash_size), .low = FLASH_SIZE_MIN, .high = FLASH_SIZE_MAX,
     .preset = "2097152", .wanted = "a multiple of 65536 from 2097152 to 16777216",
     .help = "2 MiB to 16 MiB"},
    {.name = "status", .kind = OPTION_ADDRESS, .argument = "N",
     .at = offsetof(struct options, status), .high = 0xFFFFFF, .preset = "0x7C",
     .wanted = "a number from 0 to 0xFFFFFF", .help = "the flash's status registers at power-on"},
    {.name = "boot-version", .argument = "TEXT",
     .at = offsetof(struct options, run.module.boot_version), .high = 16,
     .wanted = "at most 16 characters", .help = "what a BK7231T answers (default BK7231S_1.0.5)"},
    {.name = "unknown-bootloader", .kind = OPTION_FLAG,
     .at = offsetof(struct options, run.contents.unknown_bootloader),
     .help = "one whose checksum no tool knows"},
    {.name = "seed", .kind = OPTION_INTEGER, .argument = "N", .at = offsetof(struct options, seed),
     .low = 0, .high = 9e18, .preset = "1", .wanted = "a whole number",
     .help = "of contents and faults"},
    {.name = "fault", .kind = OPTION_LIST, .argument = "NAME=VALUE",
     .at = offsetof(struct options, faults), .help = "turn a knob, see below; repeatable"},
    {.name = "speed", .kind = OPTION_NUMBER, .argument = "X",
     .at = offsetof(struct options, run.port.speed), .low = 0.1, .high = 1000, .preset = "1",
     .wanted = "a factor from 0.1 to 1000", .help = "module and line are X times as fast"},
    {.name = "reset-every", .kind = OPTION_NUMBER, .argument = "S",
     .at = offsetof(struct options, reset_every_s), .low = 0, .high = 86400, .preset = "2",
     .wanted = "seconds from 0 to 86400",
     .help = "unless linked, power-cycle every S seconds; 0: never"},
    {.name = "power-cycle-on-open", .kind = OPTION_FLAG,
     .at = offsetof(struct options, run.port.power_cycle_on_open),
     .help = "power-cycle whenever the port is opened"},
    {.name = "control", .argument = "-", .at = offsetof(struct options, control),
     .help = "take commands from standard input, one a line, and end with it: power-cycle, unplug "
             "SECONDS, fault NAME VALUE, stats, dump FILE, quit"},
    {.name = "on-boot", .argument = "PROGRAM", .at = offsetof(struct options, run.on_boot),
     .file = true,
     .help = "the application: run with the flash's FILE, which is written first, when one that "
             "runs on this chip starts; ended when it stops"},
    {.name = "stats", .argument = "FILE", .at = offsetof(struct options, run.stats_path),
     .file = true, .help = "write what happened there every second and at the end"},
    {.name = "json", .kind = OPTION_FLAG, .at = offsetof(struct options, run.json),
     .help = "print port, link and chip as one JSON document"},
    {.name = NULL},
};
/* clang-format on */

/* The knobs, with their values for the usual chip. */
static void print_knobs(FILE *out, int width)
{
    struct module_faults faults;
    const char *name, *help;
    double value;
    module_faults_default(MODULE_BK7231N, &faults);
    (void)fprintf(out, "\nFaults, with their values for a BK7231N:\n");
    for (size_t i = 0; module_fault_describe(i, &faults, &name, &value, &help); i++) {
        int column = fprintf(out, "  %-20s %8.7g  ", name, value);
        layout_wrap(out, help, column, 33, width);
    }
}

const struct command command_simulate_module = {
    .line =
        {.name = NAME,
         .summary = "a simulated BK7231 module on a pseudo terminal",
         .purpose =
             "A simulated BK7231 module with a USB adapter on a pseudo terminal. Prints its path "
             "and runs until Ctrl-C.",
         .more = print_knobs,
         .tables = {rows},
         .size = sizeof(struct options)},
    .run = run,
};
