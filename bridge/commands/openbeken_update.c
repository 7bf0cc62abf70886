/* SPDX-License-Identifier: MIT */
/* `bl2mqtt openbeken update`: new firmware for a module over the network. See
 * bl2mqtt-openbeken-update(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/openbeken_shared.h"

#include "bridge/provision/update.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "openbeken update"

enum progress_mode { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_JSON, PROGRESS_NONE };

struct options {
    struct openbeken_target target;
    const char *image, *wait, *progress;
    bool reinstall, lose_channel, dry_run, json, help;
};

/* The only thing a signal handler may touch. */
static volatile sig_atomic_t stop_asked;

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt openbeken update --host H IMAGE.rbl [OPTION...]\n\n"
        "Gives an OpenBeken module new firmware over the network. The package is looked into: one\n"
        "for another chip is refused. Settings, calibration and the energy counter stay; the\n"
        "counter is read before and after.\n\n" OPENBEKEN_TARGET_HELP
        "  --wait S                 seconds to wait for the restart (default %d)\n"
        "  --reinstall              also if the module has this version already\n"
        "  --lose-channel           also if the second chip is in use and the package cannot read\n"
        "                           it\n"
        "  --dry-run                look and check, change nothing\n"
        "  --progress KIND          auto (default), bar, json or none\n"
        "  --json                   one JSON document instead of text\n"
        "  --help                   this text\n",
        UPDATE_WAIT_DEFAULT_MS / 1000);
}

static enum status parse(int argc, char **argv, struct options *options)
{
    const struct words_row own[] = {
        {"wait", &options->wait, NULL},
        {"progress", &options->progress, NULL},
        {"reinstall", NULL, &options->reinstall},
        {"lose-channel", NULL, &options->lose_channel},
        {"dry-run", NULL, &options->dry_run},
        {"json", NULL, &options->json},
        {NULL, NULL, NULL},
    };
    enum status status =
        openbeken_parse(NAME, own, argc, argv, &options->target, &options->help, &options->image);
    if (status != STATUS_OK || options->help || options->image != NULL)
        return status;
    return command_missing(NAME, "which package: a file that ends with .rbl");
}

static enum status read_numbers(const struct options *options, int64_t *wait_ms,
                                enum progress_mode *mode, struct error *error)
{
    static const char *const modes[] = {"auto", "bar", "json", "none"};
    int64_t seconds = UPDATE_WAIT_DEFAULT_MS / 1000;
    *mode = PROGRESS_AUTO;
    if (options->wait != NULL &&
        !number_parse_int(options->wait, strlen(options->wait), 1, 3600, &seconds))
        return error_set(error, STATUS_USAGE, "--wait must be whole seconds from 1 to 3600.");
    *wait_ms = seconds * 1000;
    if (options->progress == NULL)
        return STATUS_OK;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(options->progress, modes[i]) != 0)
            continue;
        *mode = (enum progress_mode)i;
        return STATUS_OK;
    }
    return error_set(error, STATUS_USAGE, "--progress must be auto, bar, json or none.");
}

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
    if (display->mode != PROGRESS_JSON) {
        (void)fprintf(stderr, "%s\n", sentence);
        return;
    }
    json_t *line = json_pack("{s:s}", "message", sentence);
    if (line != NULL && json_dumpf(line, stderr, JSON_COMPACT) == 0)
        (void)fputc('\n', stderr);
    json_decref(line);
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
    return stop_asked == 0;
}

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
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
                          struct module *module, int64_t wait_ms, enum progress_mode mode,
                          struct error *error)
{
    struct update_report *report memory_auto = memory_new(1, sizeof *report);
    struct display display = {.mode = mode, .percent = -1};
    if (mode == PROGRESS_AUTO)
        display.mode = isatty(STDERR_FILENO) != 0 ? PROGRESS_BAR : PROGRESS_NONE;
    const struct update_listener listener = {
        .context = &display, .say = print_sentence, .progress = show_progress};
    const struct update_options prepared = {
        .package = package,
        .reinstall = options->reinstall,
        .lose_channel = options->lose_channel,
        .dry_run = options->dry_run,
        .wait_ms = wait_ms,
    };
    enum status status = update_run(&prepared, module, &listener, report, error);
    if (options->json) {
        enum status printed = openbeken_print_json(
            report_json(module_host(module), package, report, options->dry_run, status, error),
            status == STATUS_OK ? error : NULL);
        return status == STATUS_OK ? printed : status;
    }
    if (status == STATUS_OK)
        print_report(report);
    return status;
}

static enum status run(const struct options *options, struct error *error)
{
    int64_t wait_ms = 0;
    enum progress_mode mode = PROGRESS_AUTO;
    struct update_package package = {.bytes = NULL};
    struct module *module = NULL;
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    enum status status = read_numbers(options, &wait_ms, &mode, error);
    if (status == STATUS_OK)
        status = openbeken_open(&options->target, &module, error);
    if (status == STATUS_OK)
        status = update_package_load(options->image, &package, error);
    if (status == STATUS_OK) {
        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
        status = update(options, &package, module, wait_ms, mode, error);
    }
    update_package_free(&package);
    module_close(module);
    return status;
}

enum status command_openbeken_update(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    struct options options = {.image = NULL};
    struct error error = {.text = ""};
    enum status status = parse(argc, argv, &options);
    if (status != STATUS_OK)
        return status;
    if (options.help) {
        print_help();
        return STATUS_OK;
    }
    status = run(&options, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(NAME, status, &error);
}
