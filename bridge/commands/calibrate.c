/* SPDX-License-Identifier: MIT */
/* bl2mqtt calibrate: from fresh readings and true values to factors, and these into use. See
 * bl2mqtt-calibrate(1). */
#include "bridge/commands/calibrate.h"

#include "bridge/commands/ask_service.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/history.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "calibrate"
#define ASK_MS 10000
#define CLOSE_MS 10000

static enum status find_channel(struct calibrate_work *work, struct error *error)
{
    const struct config *config = work->config;
    for (size_t i = 0; i < config->device_count; i++)
        if (strcmp(config->devices[i].id, work->options->device) == 0)
            work->device = &config->devices[i];
    if (work->device == NULL) {
        (void)error_set(error, STATUS_USAGE, "The configuration has no device \"%.60s\".",
                        work->options->device);
        return STATUS_USAGE;
    }
    for (size_t i = 0; i < work->device->channel_count; i++) {
        if (strcmp(work->device->channels[i].name, work->options->channel) != 0)
            continue;
        work->channel = &work->device->channels[i];
        work->channel_index = i;
        return STATUS_OK;
    }
    (void)error_set(error, STATUS_USAGE, "Device %s has no channel \"%.20s\".", work->device->id,
                    work->options->channel);
    return STATUS_USAGE;
}

/* ---- into use ---- */

static enum status hand_to_service(struct calibrate_work *work, struct error *error)
{
    const struct calibration *factors = &work->result.factors;
    json_t *body = json_pack("{s:s, s:s, s:f, s:f, s:f}", "id", work->device->id, "channel",
                             work->channel->name, "voltage", factors->voltage, "current",
                             factors->current, "power", factors->power);
    json_t *data = NULL;
    enum status status =
        ask_service(work->config, "device/calibration/set", body, ASK_MS, &data, error);
    if (status != STATUS_OK)
        return error_prefix(
            error, status,
            "The running service could not be told the new factors, so nothing was "
            "changed (write the line above into bridge.yaml, or stop the service and "
            "calibrate again). ");
    work->valid_from_ms = clock_wall_ms();
    const char *time = json_string_value(json_object_get(data, "valid_from"));
    if (time != NULL)
        (void)command_history_time("valid_from", time, &work->valid_from_ms, NULL);
    json_decref(data);
    return STATUS_OK;
}

/* Without the service the history is this process's: its factors first, then the chip's readings,
 * then the new factors. What was counted until then is folded by the service when it starts. */
static enum status open_history(struct calibrate_work *work, struct history **history,
                                unsigned *number, struct error *error)
{
    const struct history_options options = {.path = work->history_path};
    struct energy_state state;
    bool changed;
    enum status status = file_make_folder(work->config->bridge.data_dir, error);
    if (status == STATUS_OK)
        status = history_open(&options, history, error);
    if (status == STATUS_OK)
        status = history_channel(*history, work->device->id, work->channel->name,
                                 calibrate_kind(work), number, &state, error);
    if (status == STATUS_OK)
        status = history_calibration(*history, *number, &work->channel->calibration,
                                     work->channel->invert, clock_wall_ms(), NULL, &changed, error);
    if (status != STATUS_OK)
        return status;
    bool measured;
    int64_t since_ms;
    history_calibration_in_use(*history, *number, &work->old, &measured, &since_ms);
    return STATUS_OK;
}

static enum status store(struct calibrate_work *work, struct history *history, unsigned number,
                         struct error *error)
{
    work->valid_from_ms = clock_wall_ms();
    enum status status =
        history_measured(history, number, &work->result.factors, work->valid_from_ms, error);
    if (status != STATUS_OK)
        return status;
    history_put_event(history, number, work->valid_from_ms, "calibrated",
                      "The channel was calibrated while the service did not run.");
    return history_start(history, error);
}

static enum status judge(struct calibrate_work *work, struct error *error)
{
    return reference_calibrate(&work->samples, &work->options->reference, calibrate_kind(work),
                               &work->old, work->invert, &work->result, error);
}

/* ---- the command ---- */

/* Before anything is changed, so that a person sees what is about to be stored, and has the line
 * for bridge.yaml also when it cannot be. */
static void show(const struct calibrate_work *work)
{
    if (!work->options->json)
        calibrate_print_text(work);
    calibrate_warn(work);
}

static enum status with_service(struct calibrate_work *work, struct error *error)
{
    enum status status = calibrate_from_service(work, error);
    if (status == STATUS_OK)
        status = judge(work, error);
    if (status != STATUS_OK)
        return status;
    show(work);
    if (work->options->dry_run)
        return STATUS_OK;
    status = hand_to_service(work, error);
    work->stored = status == STATUS_OK;
    return status;
}

static enum status without_service(struct calibrate_work *work, struct error *error)
{
    struct history *history = NULL;
    unsigned number = 0;
    enum status status = STATUS_OK;
    work->old = work->channel->calibration;
    work->invert = work->channel->invert;
    if (!work->options->dry_run || access(work->history_path, F_OK) == 0)
        status = open_history(work, &history, &number, error);
    if (status == STATUS_OK)
        status = calibrate_from_chip(work, error);
    if (status == STATUS_OK)
        status = judge(work, error);
    if (status == STATUS_OK)
        show(work);
    if (status == STATUS_OK && !work->options->dry_run) {
        status = store(work, history, number, error);
        work->stored = status == STATUS_OK;
    }
    history_close(history, CLOSE_MS); /* writes it */
    return status;
}

static enum status calibrate(const struct command_context *context,
                             const struct calibrate_options *options, struct error *error)
{
    struct config *config =
        command_config(context, "calibrate needs it to find the device. Correct it first.", error);
    if (config == NULL)
        return STATUS_USAGE;
    char *path memory_auto = command_history_of(config);
    struct calibrate_work work = {.options = options, .config = config, .history_path = path};
    enum status status = find_channel(&work, error);
    if (status == STATUS_OK) {
        work.service_runs = history_in_use(path);
        (void)fprintf(stderr, "Averaging readings of %s %s for %lld s, %s ...\n", options->device,
                      options->channel, (long long)options->seconds,
                      work.service_runs ? "as the running service stores them"
                                        : "from the chip, as no service runs");
        status = work.service_runs ? with_service(&work, error) : without_service(&work, error);
    }
    if (status == STATUS_OK && options->json)
        calibrate_print_json(&work);
    else if (status == STATUS_OK)
        (void)puts(work.stored ? "Stored; the new factors hold from now on."
                               : "Nothing was stored (--dry-run).");
    config_free(config);
    return status == STATUS_OK ? command_flush(error) : status;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct calibrate_options *options = own;
    struct error error = {""};
    enum status status = STATUS_OK;
    if (options->device == NULL || options->channel == NULL)
        status = error_set(&error, STATUS_USAGE,
                           "Say which circuit with --device and --channel, as in bridge.yaml.");
    if (status == STATUS_OK)
        status = reference_check(&options->reference, &error);
    if (status == STATUS_OK)
        status = calibrate(context, options, &error);
    return command_end(NAME, status, &error);
}

/* Only a constant that is cast at once makes a constant expression for every compiler. */
_Static_assert((int)REFERENCE_VOLTAGE_MIN == 50 && (int)REFERENCE_POWER_MIN == 20,
               "what help says");

/* clang-format off */
static const struct option_row rows[] = {
    {.name = "device", .argument = "D", .at = offsetof(struct calibrate_options, device),
     .in_usage = true, .help = "the device's id in bridge.yaml"},
    {.name = "channel", .argument = "C", .at = offsetof(struct calibrate_options, channel),
     .in_usage = true, .help = "the channel"},
    {.name = "voltage", .kind = OPTION_NUMBER, .argument = "V", .low = 0.001, .high = 1000,
     .at = offsetof(struct calibrate_options, reference.voltage_v),
     .help = "true voltage, at least 50 V"},
    {.name = "current", .kind = OPTION_NUMBER, .argument = "A", .low = 0.001, .high = 10000,
     .at = offsetof(struct calibrate_options, reference.current_a),
     .help = "true current, at least 0.05 A"},
    {.name = "power", .kind = OPTION_NUMBER, .argument = "W", .low = 0.001, .high = 1e7,
     .at = offsetof(struct calibrate_options, reference.power_w),
     .help = "true active power, at least 20 W; positive also when it is fed back"},
    {.name = "seconds", .kind = OPTION_INTEGER, .argument = "N", .low = 2, .high = 3600,
     .at = offsetof(struct calibrate_options, seconds), .preset = "15",
     .help = "how long readings are averaged, 2 to 3600"},
    {.name = "dry-run", .kind = OPTION_FLAG, .at = offsetof(struct calibrate_options, dry_run),
     .help = "only show what would be stored"},
    {.name = "json", .kind = OPTION_FLAG, .at = offsetof(struct calibrate_options, json),
     .help = "one JSON document on standard output"},
    {.name = NULL},
};
/* clang-format on */

const struct command command_calibrate = {
    .line = {.name = NAME,
             .summary = "calibrate a channel against a reference",
             .purpose =
                 "Calibrates a channel against what a trusted instrument shows. Averages fresh "
                 "readings, from the running service or, without it, from the chip itself. Use a "
                 "load that does not change, such as a heater. The new factors hold from now on; "
                 "totals do not jump.",
             .tables = {rows},
             .size = sizeof(struct calibrate_options)},
    .run = run,
};
