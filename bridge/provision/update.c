/* SPDX-License-Identifier: MIT */
#include "bridge/provision/update.h"

#include "bridge/provision/obk_advice.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PACKAGE_MAX ((size_t)4 << 20)
#define FIRST_READING_MS 30000 /* from the restart to the first packet of the chip */
#define POLL_MS 500
#define COUNTER_LAG_WH 1.0  /* a module publishes what it counted with about a second's delay */
#define VOLTAGE_CHANGE 0.04 /* more than the mains does within minutes; a lost divisor makes 5 % */

struct run {
    const struct update_options *options;
    struct module *module;
    const struct update_listener *listener;
    struct update_report *report;
    bool stopped;
};

const char *update_stage_name(enum update_stage stage)
{
    static const char *const names[] = {
        [UPDATE_CHECK] = "check",
        [UPDATE_UPLOAD] = "upload",
        [UPDATE_RESTART] = "restart",
        [UPDATE_VERIFY] = "verify",
    };
    return names[stage];
}

enum status update_package_load(const char *path, struct update_package *package,
                                struct error *error)
{
    char *bytes = NULL;
    *package = (struct update_package){.bytes = NULL};
    if (file_read(path, PACKAGE_MAX, &bytes, &package->length, error) != STATUS_OK)
        return STATUS_USAGE;
    package->bytes = (uint8_t *)bytes;
    enum status status = app_of_package(package->bytes, package->length, &package->app, error);
    if (status == STATUS_OK && !package->app.openbeken)
        status = error_set(error, STATUS_REFUSED,
                           "The package holds an app for a %s, but not OpenBeken.",
                           beken_chip_name(package->app.chip));
    if (status == STATUS_OK)
        return STATUS_OK;
    update_package_free(package);
    return error_prefix(error, status, "%s: ", path);
}

void update_package_free(struct update_package *package)
{
    free(package->bytes);
    *package = (struct update_package){.bytes = NULL};
}

__attribute__((format(printf, 2, 3))) static void say(const struct run *run, const char *format,
                                                      ...)
{
    char sentence[400];
    va_list arguments;
    if (run->listener->say == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    run->listener->say(run->listener->context, sentence);
}

static bool progress(const struct run *run, enum update_stage stage, uint64_t done, uint64_t total)
{
    return run->listener->progress == NULL ||
           run->listener->progress(run->listener->context, stage, done, total);
}

__attribute__((format(printf, 2, 3))) static void warn(struct run *run, const char *format, ...)
{
    struct update_report *report = run->report;
    va_list arguments;
    if (report->warning_count == UPDATE_WARNINGS_MAX)
        return;
    va_start(arguments, format);
    (void)vsnprintf(report->warnings[report->warning_count++], sizeof report->warnings[0], format,
                    arguments);
    va_end(arguments);
}

static void pause_ms(int64_t ms)
{
    const struct timespec pause = clock_timespec_us(ms * 1000);
    (void)nanosleep(&pause, NULL);
}

/* ---- before ---- */

static enum status check_chip(const struct run *run, struct error *error)
{
    const struct app *app = &run->options->package->app;
    const char *chipset = run->report->before.chipset;
    enum beken_chip chip = BEKEN_CHIP_UNKNOWN;
    if (!beken_chip_parse(chipset, &chip))
        return error_set(error, STATUS_REFUSED,
                         "The module on %s says that its chip is \"%.40s\", which is not known "
                         "here, so it cannot be told whether the package is for it. Nothing was "
                         "changed.",
                         module_host(run->module), chipset);
    bool fits = beken_chip_runs(chip, app->chip) ||
                (chip == BEKEN_CHIP_BK7231M && app->chip == BEKEN_CHIP_BK7231N);
    if (fits)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "The package is for a %s, but the module on %s is a %s and would not start "
                     "with it. Take the .rbl whose name has %s in it. Nothing was changed.",
                     beken_chip_name(app->chip), module_host(run->module), beken_chip_name(chip),
                     beken_chip_name(chip));
}

static enum status check_twin(const struct run *run, struct error *error)
{
    if (run->options->package->app.twin || run->options->lose_channel)
        return STATUS_OK;
    char *script memory_auto = NULL;
    size_t length = 0;
    enum status status = module_read_file(run->module, "autoexec.bat", &script, &length, error);
    if (status != STATUS_OK)
        return status;
    bool used = (script != NULL && obk_reads_two_chips(script)) ||
                obk_reads_two_chips(run->report->before.startup_command);
    if (!used)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "The module on %s reads two BL0942, but the package cannot: it does not know "
                     "BL0942opts, so channel b would be gone. Take a build with ENABLE_BL_TWIN, or "
                     "say --lose-channel. Nothing was changed.",
                     module_host(run->module));
}

/* An address that came over MQTT may be anybody's. */
static enum status check_client_id(const struct run *run, struct error *error)
{
    const char *wanted = run->options->client_id;
    if (wanted == NULL || strcmp(wanted, run->report->before.client_id) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "The module on %s says that its MQTT client id is \"%.80s\", not \"%s\". Give "
                     "the device its `host` in bridge.yaml. Nothing was changed.",
                     module_host(run->module), run->report->before.client_id, wanted);
}

static enum status look(struct run *run, struct error *error)
{
    struct update_report *report = run->report;
    struct obk_status *now memory_auto = memory_new(1, sizeof *now);
    (void)progress(run, UPDATE_CHECK, 0, 1);
    say(run, "Looking at the module on %s ...", module_host(run->module));
    enum status status = module_info(run->module, &report->before, error);
    if (status == STATUS_OK)
        status = check_client_id(run, error);
    if (status == STATUS_OK)
        status = module_status(run->module, 0, now, error);
    if (status != STATUS_OK)
        return status;
    if (!now->is_obk)
        return error_set(error, STATUS_FAILED,
                         "%s does not say that its firmware is OpenBeken. Nothing was changed.",
                         module_host(run->module));
    report->has_energy = now->has_energy;
    report->energy_before = now->energy;
    obk_build_version(report->before.build, report->from, sizeof report->from);
    status = check_chip(run, error);
    if (status == STATUS_OK)
        status = check_twin(run, error);
    if (status == STATUS_OK)
        (void)progress(run, UPDATE_CHECK, 1, 1);
    return status;
}

/* ---- the upload ---- */

static bool on_upload(void *context, uint64_t sent, uint64_t total)
{
    struct run *run = context;
    if (total == 0)
        return true;
    run->stopped = run->stopped || !progress(run, UPDATE_UPLOAD, sent, total);
    return !run->stopped;
}

static enum status order_restart(struct run *run, struct error *error)
{
    struct obk_request *request memory_auto = memory_new(1, sizeof *request);
    obk_request_reboot(request);
    return module_order(run->module, request, error);
}

/* Half a package is none to the bootloader; but MQTT stays off until the restart. */
static enum status upload_failed(struct run *run, enum status status, struct error *error)
{
    struct error reason = *error;
    bool restarted = order_restart(run, NULL) == STATUS_OK;
    return error_set(error, status, "%s%.600s %s", run->stopped ? "Stopped. " : "", reason.text,
                     restarted
                         ? "The module was told to restart and goes on with the firmware it had."
                         : "Its MQTT may be off now: switch the module's power off and on; it goes "
                           "on with the firmware it had.");
}

static enum status upload(struct run *run, struct error *error)
{
    const struct update_package *package = run->options->package;
    say(run, "Sending %zu bytes; the module's MQTT is off meanwhile ...", package->length);
    (void)progress(run, UPDATE_UPLOAD, 0, package->length);
    enum status status =
        module_upload(run->module, package->bytes, package->length, on_upload, run, error);
    if (status != STATUS_OK)
        return upload_failed(run, status, error);
    (void)progress(run, UPDATE_UPLOAD, package->length, package->length);
    return STATUS_OK;
}

/* ---- after ---- */

static bool may_wait(void *context)
{
    return progress(context, UPDATE_RESTART, 0, 1);
}

static enum status restart(struct run *run, struct error *error)
{
    struct update_report *report = run->report;
    say(run, "Restarting the module, which unpacks its new firmware ...");
    (void)progress(run, UPDATE_RESTART, 0, 1);
    enum status status = order_restart(run, error);
    if (status != STATUS_OK)
        return error_prefix(error, status,
                            "The module has taken the package, but not the restart: switch its "
                            "power off and on. ");
    int64_t ordered = clock_boot_ms();
    status = module_wait_return(run->module, ordered, ordered + run->options->wait_ms, may_wait,
                                run, &report->after, error);
    if (status != STATUS_OK)
        return error_prefix(error, status, "The module has taken the package. ");
    (void)progress(run, UPDATE_RESTART, 1, 1);
    return STATUS_OK;
}

static enum status check_version(struct run *run, struct error *error)
{
    struct update_report *report = run->report;
    const struct app *app = &run->options->package->app;
    char version[sizeof report->to];
    obk_build_version(report->after.build, version, sizeof version);
    bool changed = strcmp(report->before.build, report->after.build) != 0;
    bool right = app->version[0] == '\0' || strcmp(version, app->version) == 0;
    /* The same release again has the same build text. */
    if (right && (changed || strcmp(report->from, app->version) == 0)) {
        (void)snprintf(report->to, sizeof report->to, "%s", version);
        report->updated = true;
        return STATUS_OK;
    }
    if (!changed)
        return error_set(
            error, STATUS_MISMATCH,
            "The module came back with the firmware it had (%s): its bootloader did "
            "not take the package. Try again; if that does not help, write it over the "
            "cable with `bl2mqtt flash write`.",
            report->from);
    report->updated = true;
    (void)snprintf(report->to, sizeof report->to, "%s", version);
    warn(run, "The module says it is version %s now, the package says %s.", version, app->version);
    return STATUS_OK;
}

/* All zeros until the first packet of the chip has come. */
static enum status read_energy(struct run *run, struct error *error)
{
    struct update_report *report = run->report;
    struct obk_status *now memory_auto = memory_new(1, sizeof *now);
    int64_t deadline = clock_boot_ms() + FIRST_READING_MS;
    bool silent_before = !(report->energy_before.voltage_v > 0);
    enum status status;
    for (;;) {
        status = module_status(run->module, 0, now, error);
        if (status != STATUS_OK || silent_before || now->energy.voltage_v > 0 ||
            clock_boot_ms() >= deadline)
            break;
        pause_ms(POLL_MS);
    }
    if (status == STATUS_OK && !now->has_energy)
        warn(run, "No energy driver runs any more; the script must start it.");
    report->energy_after = now->energy;
    return status;
}

static void compare_energy(struct run *run)
{
    struct update_report *report = run->report;
    double before = report->energy_before.total_wh, after = report->energy_after.total_wh;
    double volts_before = report->energy_before.voltage_v;
    double volts_after = report->energy_after.voltage_v;
    if (after < before - COUNTER_LAG_WH)
        warn(run,
             "The energy counter was %.3f Wh before and is %.3f Wh now. The bridge's total stays "
             "right; `EnergyCntReset %.0f` on the module's console sets its own back.",
             before, after, before);
    if (volts_before > 0 && !(volts_after > 0))
        warn(run, "The chip has not been received since the restart.");
    else if (volts_before > 0 && fabs(volts_after / volts_before - 1) > VOLTAGE_CHANGE)
        warn(run,
             "The voltage was %.1f V before and is %.1f V now: has the module lost its "
             "calibration? Compare with a meter.",
             volts_before, volts_after);
}

static void compare_settings(struct run *run)
{
    const struct obk_info *before = &run->report->before, *after = &run->report->after;
    bool same = before->flags == after->flags && strcmp(before->mqtt_host, after->mqtt_host) == 0 &&
                strcmp(before->client_id, after->client_id) == 0 &&
                strcmp(before->startup_command, after->startup_command) == 0;
    if (!same)
        warn(run, "Some of the module's settings are not what they were: compare with "
                  "`bl2mqtt openbeken info`, or run `bl2mqtt openbeken provision` again.");
}

static enum status verify(struct run *run, struct error *error)
{
    (void)progress(run, UPDATE_VERIFY, 0, 1);
    enum status status = check_version(run, error);
    if (status != STATUS_OK)
        return status;
    compare_settings(run);
    if (run->report->has_energy) {
        status = read_energy(run, error);
        if (status != STATUS_OK)
            return error_prefix(error, status, "The module runs the new firmware, but: ");
        compare_energy(run);
    }
    (void)progress(run, UPDATE_VERIFY, 1, 1);
    return STATUS_OK;
}

enum status update_run(const struct update_options *options, struct module *module,
                       const struct update_listener *listener, struct update_report *report,
                       struct error *error)
{
    *report = (struct update_report){.updated = false};
    struct run run = {.options = options, .module = module, .listener = listener, .report = report};
    const char *version = options->package->app.version;
    (void)snprintf(report->to, sizeof report->to, "%s", version);
    enum status status = look(&run, error);
    if (status != STATUS_OK)
        return status;
    if (!options->reinstall && version[0] != '\0' && strcmp(report->from, version) == 0) {
        say(&run, "The module has version %s already.", version);
        return STATUS_OK;
    }
    if (options->dry_run) {
        say(&run, "The package fits. Nothing was changed.");
        return STATUS_OK;
    }
    status = upload(&run, error);
    if (status == STATUS_OK)
        status = restart(&run, error);
    return status == STATUS_OK ? verify(&run, error) : status;
}
