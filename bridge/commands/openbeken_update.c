/* SPDX-License-Identifier: MIT */
/* `bl2mqtt openbeken update`: new firmware for a module over the network. See
 * bl2mqtt-openbeken-update(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/openbeken_shared.h"

#include "bridge/provision/update.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "openbeken update"

enum progress_mode { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_JSON, PROGRESS_NONE };
static const char *const progress_modes[] = {"auto", "bar", "json", "none", NULL};

struct options {
    struct openbeken_target target;
    const char *image;
    int64_t wait_s;
    enum progress_mode progress;
    bool reinstall, lose_channel, dry_run;
};

/* ---- progress ---- */

struct display {
    enum progress_mode mode;
    int percent; /* as shown; -1: nothing yet */
};

static void print_sentence(void *context, const char *sentence)
{
    struct display *display = context;
    if (display->mode == PROGRESS_BAR && display->percent >= 0)
        (void)fputs("\r\033[K", stderr);
    display->percent = -1;
    if (display->mode == PROGRESS_JSON)
        openbeken_print_message(sentence, 0);
    else
        (void)fprintf(stderr, "%s\n", sentence);
}

static bool show_progress(void *context, enum update_stage stage, uint64_t done, uint64_t total)
{
    struct display *display = context;
    int percent = (int)(done * 100 / (total > 0 ? total : 1));
    bool news = percent != display->percent || done == 0 || done == total;
    if (display->mode == PROGRESS_JSON && news)
        (void)fprintf(stderr, "{\"stage\":\"%s\",\"done\":%" PRIu64 ",\"total\":%" PRIu64 "}\n",
                      update_stage_name(stage), done, total);
    if (display->mode == PROGRESS_BAR && news && stage == UPDATE_UPLOAD)
        (void)fprintf(stderr, "\r\033[K%3d %%%s", percent, done == total ? "\n" : "");
    display->percent = percent;
    return !openbeken_stopped(NULL);
}

/* ---- the answer ---- */

static json_t *report_json(const char *host, const struct update_package *package,
                           const struct update_report *report, bool dry_run, enum status status,
                           const struct error *failure)
{
    json_t *warnings = json_array();
    for (size_t i = 0; i < report->warning_count; i++)
        (void)json_array_append_new(warnings, json_string(report->warnings[i]));
    json_t *image = json_pack("{s:s, s:s, s:b, s:I}", "chip", beken_chip_name(package->app.chip),
                              "version", package->app.version, "twin", package->app.twin, "bytes",
                              (json_int_t)package->length);
    json_t *before =
        report->has_energy ? openbeken_energy_json(&report->energy_before) : json_null();
    json_t *after = report->has_energy && report->updated
                        ? openbeken_energy_json(&report->energy_after)
                        : json_null();
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "host", host,
                     "chipset", report->before.chipset, "from", report->from, "to", report->to,
                     "updated", report->updated, "dry_run", dry_run, "image", image,
                     "energy_before", before, "energy_after", after, "warnings", warnings, "error",
                     status == STATUS_OK ? json_null() : json_string(failure->text));
}

static void print_report(const struct update_report *report)
{
    for (size_t i = 0; i < report->warning_count; i++)
        (void)fprintf(stderr, "warning: %s\n", report->warnings[i]);
    if (!report->updated)
        return;
    (void)printf("The module runs version %s; before it was %s.\n", report->to, report->from);
    if (report->has_energy)
        (void)printf("Energy counter: %.3f Wh before, %.3f Wh now.\n",
                     report->energy_before.total_wh, report->energy_after.total_wh);
}

static enum status update(const struct options *options, const struct update_package *package,
                          struct module *module, struct error *error)
{
    struct update_report *report memory_auto = memory_new(1, sizeof *report);
    struct display display = {.mode = options->progress, .percent = -1};
    if (display.mode == PROGRESS_AUTO)
        display.mode = isatty(STDERR_FILENO) != 0 ? PROGRESS_BAR : PROGRESS_NONE;
    const struct update_listener listener = {
        .context = &display, .say = print_sentence, .progress = show_progress};
    const struct update_options prepared = {
        .package = package,
        .reinstall = options->reinstall,
        .lose_channel = options->lose_channel,
        .dry_run = options->dry_run,
        .wait_ms = options->wait_s * 1000,
    };
    enum status status = update_run(&prepared, module, &listener, report, error);
    if (options->target.json) {
        enum status printed = openbeken_print_json(
            report_json(module_host(module), package, report, options->dry_run, status, error),
            status == STATUS_OK ? error : NULL);
        return status == STATUS_OK ? printed : status;
    }
    if (status == STATUS_OK)
        print_report(report);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    struct error error = {.text = ""};
    struct update_package package = {.bytes = NULL};
    struct module *module = NULL;
    enum status status = openbeken_open(&options->target, &module, &error);
    if (status == STATUS_OK)
        status = update_package_load(options->image, &package, &error);
    if (status == STATUS_OK) {
        openbeken_catch_stop();
        status = update(options, &package, module, &error);
    }
    update_package_free(&package);
    module_close(module);
    return command_end(NAME, status, &error);
}

static const struct option_row rows[] = {
    {.name = "IMAGE.rbl",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, image),
     .file = true,
     .required = "which package: a file that ends with .rbl",
     .help = "the package"},
    {.name = "wait-time",
     .kind = OPTION_INTEGER,
     .argument = "S",
     .at = offsetof(struct options, wait_s),
     .low = 1,
     .high = 3600,
     .preset = "180",
     .wanted = "whole seconds from 1 to 3600",
     .help = "seconds to wait for the restart"},
    {.name = "wait", .kind = OPTION_ALIAS, .argument = "wait-time"},
    {.name = "reinstall",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, reinstall),
     .help = "also if the module has this version already"},
    {.name = "lose-channel",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, lose_channel),
     .help = "also if the second chip is in use and the package cannot read it"},
    {.name = "dry-run",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, dry_run),
     .help = "look and check, change nothing"},
    {.name = "progress",
     .kind = OPTION_CHOICE,
     .argument = "KIND",
     .at = offsetof(struct options, progress),
     .choices = progress_modes,
     .preset = "auto",
     .help = "how progress is shown"},
    {.name = NULL},
};
_Static_assert(UPDATE_WAIT_DEFAULT_MS == 180000, "the preset of --wait-time");

const struct command command_openbeken_update = {
    .line =
        {.name = NAME,
         .summary = "new firmware for a module over the network",
         .purpose =
             "Gives an OpenBeken module new firmware over the network. The package is looked into: "
             "one for another chip is refused. Settings, calibration and the energy counter stay; "
             "the counter is read before and after.",
         .tables = {openbeken_target_rows, rows, openbeken_json_rows},
         .size = sizeof(struct options)},
    .run = run,
};
