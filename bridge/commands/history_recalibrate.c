/* SPDX-License-Identifier: MIT */
/* bl2mqtt history recalibrate: corrects the factors of the past, by the running service or without it.
 * See bl2mqtt-history-recalibrate(1). */
#include "bridge/commands/ask_service.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/history.h"
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/energy.h"
#include "bridge/history/recalibration_json.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "history recalibrate"
#define ASK_MS 60000
#define CLOSE_MS 10000
#define TEXT_SIZE 2000

struct options {
    struct history_asked asked;
    const char *since, *until;
    struct calibration factors; /* 0: not given */
    int64_t calibration_id;     /* 0: not given */
    bool undo, dry_run;
};

struct work {
    const struct options *options;
    struct history_recalibration correction;
};

static enum status check(const struct options *options, struct error *error)
{
    const struct calibration *factors = &options->factors;
    bool any = factors->voltage > 0 || factors->current > 0 || factors->power > 0;
    if (options->asked.device == NULL || options->asked.channel == NULL)
        return error_set(error, STATUS_USAGE, "Say which circuit with --device and --channel.");
    if (options->undo && (any || options->calibration_id != 0 || options->since != NULL))
        return error_set(error, STATUS_USAGE, "--undo stands alone: it takes back the last one.");
    if (!options->undo && options->since == NULL)
        return error_set(error, STATUS_USAGE, "Say from which time on with --since.");
    if (!options->undo && any == (options->calibration_id != 0))
        return error_set(error, STATUS_USAGE,
                         "Say the right factors: --voltage, --current or --power, or else "
                         "--calibration.");
    return STATUS_OK;
}

/* When the time zone of the configuration holds. */
static enum status parse_times(struct work *work, struct error *error)
{
    enum status status = STATUS_OK;
    work->correction.until_ms = INT64_MAX;
    if (work->options->since != NULL)
        status = command_history_time("--since", work->options->since, &work->correction.since_ms,
                                      error);
    if (status == STATUS_OK && work->options->until != NULL)
        status = command_history_time("--until", work->options->until, &work->correction.until_ms,
                                      error);
    return status;
}

static enum status by_service(const struct config *config, const struct work *work, json_t **answer,
                              struct error *error)
{
    enum status status =
        ask_service(config, "history/recalibrate", recalibration_request(&work->correction), ASK_MS,
                    answer, error);
    if (status == STATUS_NO_ANSWER)
        return error_prefix(error, status,
                            "The running service could not be asked (stop it, and this is done "
                            "without it). ");
    return status;
}

static enum status by_itself(const char *path, const struct work *work, json_t **answer,
                             struct error *error)
{
    const struct history_options opening = {.path = path};
    struct history *history = NULL;
    struct history_recalibrated done;
    if (access(path, F_OK) != 0)
        return error_set(error, STATUS_USAGE, "There is no history at %s.", path);
    if (work->correction.dry_run) {
        enum status tried = history_recalibrate_try(path, &work->correction, &done, error);
        if (tried == STATUS_OK)
            *answer = recalibration_answer(&work->correction, &done);
        return tried;
    }
    enum status status = history_open(&opening, &history, error);
    if (status == STATUS_OK)
        status = history_recalibrate(history, &work->correction, &done, error);
    if (status == STATUS_OK)
        *answer = recalibration_answer(&work->correction, &done);
    history_close(history, CLOSE_MS);
    return status;
}

static enum status carry_out(const struct command_context *context, struct work *work,
                             json_t **answer, struct error *error)
{
    if (work->options->asked.database != NULL) {
        char zone[BUCKET_ZONE_SIZE]; /* in another one the file's days would be made anew */
        if (history_file_zone(work->options->asked.database, zone, sizeof zone))
            bucket_use_zone(zone, NULL);
        enum status status = parse_times(work, error);
        return status == STATUS_OK ? by_itself(work->options->asked.database, work, answer, error)
                                   : status;
    }
    struct config *config = command_config(
        context, "it says where the history is. Correct it, or name the file with --database.",
        error);
    if (config == NULL)
        return STATUS_USAGE;
    char *path memory_auto = command_history_of(config);
    bucket_use_zone(config->history.time_zone, getenv("TZ"));
    enum status status = parse_times(work, error);
    if (status == STATUS_OK)
        status = history_in_use(path) ? by_service(config, work, answer, error)
                                      : by_itself(path, work, answer, error);
    config_free(config);
    return status;
}

static void print_text(const struct work *work, const json_t *answer)
{
    char buffer[TEXT_SIZE];
    recalibration_text(answer, buffer, sizeof buffer);
    (void)fputs(buffer, stdout);
    (void)puts(work->correction.dry_run ? "\nNothing was changed (--dry-run)."
               : work->correction.undo
                   ? "\nThe correction is taken back."
                   : "\nCorrected; `bl2mqtt history recalibrate ... --undo` takes it back.");
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {""};
    struct work work = {.options = options,
                        .correction = {.factors = options->factors,
                                       .calibration_id = options->calibration_id,
                                       .undo = options->undo,
                                       .dry_run = options->dry_run}};
    json_t *answer = NULL;
    enum status status = check(options, &error);
    if (status == STATUS_OK) {
        (void)snprintf(work.correction.device, CHANNEL_TEXT_MAX, "%s", options->asked.device);
        (void)snprintf(work.correction.channel, CHANNEL_TEXT_MAX, "%s", options->asked.channel);
        status = carry_out(context, &work, &answer, &error);
    }
    if (status == STATUS_OK && options->asked.json)
        return command_print_json(NAME, answer, JSON_INDENT(2));
    if (status == STATUS_OK) {
        print_text(&work, answer);
        status = command_flush(&error);
    }
    json_decref(answer);
    return command_end(NAME, status, &error);
}

#define FACTOR_ROW(id, text)                                                                       \
    {                                                                                              \
        .name = #id, .kind = OPTION_NUMBER, .argument = "F",                                       \
        .at = offsetof(struct options, factors.id), .low = 1, .high = 1e8, .help = (text)          \
    }
#define NAME_ROW(id, text)                                                                         \
    {                                                                                              \
        .name = #id, .argument = "NAME", .at = offsetof(struct history_asked, id), .low = 1,       \
        .high = CHANNEL_TEXT_MAX - 1, .in_usage = true, .help = (text)                             \
    }

static const struct option_row rows[] = {
    NAME_ROW(device, "the device's id"),
    NAME_ROW(channel, "the channel"),
    {.name = "since",
     .kind = OPTION_TIME,
     .argument = "T",
     .at = offsetof(struct options, since),
     .in_usage = true,
     .help = "from then on the factors were right"},
    {.name = "until",
     .kind = OPTION_TIME,
     .argument = "T",
     .at = offsetof(struct options, until),
     .help = "up to then (default: now)"},
    FACTOR_ROW(voltage, "raw units per volt; without it the factor stays as it was"),
    FACTOR_ROW(current, "raw units per ampere, likewise"),
    FACTOR_ROW(power, "raw units per watt, likewise"),
    {.name = "calibration",
     .kind = OPTION_INTEGER,
     .argument = "N",
     .at = offsetof(struct options, calibration_id),
     .low = 1,
     .high = 9e18,
     .help = "instead of these: the factors of that row of the history's calibrations"},
    {.name = "undo",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, undo),
     .help = "take back the last correction of the channel"},
    {.name = "dry-run",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, dry_run),
     .help = "only show what would change"},
    {.name = NULL},
};

const struct command command_history_recalibrate = {
    .line =
        {.name = NAME,
         .summary = "correct the calibration of the past",
         .purpose =
             "Corrects what a channel was calibrated with in the past: energy and power of that "
             "time change with it. A running service does it itself. Shows what changes. A file "
             "that is named with --database may not be in use by a service.",
         .usage = "--device NAME --channel NAME --undo",
         .notes = HISTORY_TIMES,
         .tables = {rows, history_json_rows, history_database_rows},
         .size = sizeof(struct options)},
    .run = run,
};
