/* SPDX-License-Identifier: MIT */
/* bl2mqtt history export: readings as CSV or JSON lines, or energy as Home Assistant imports it. See
 * bl2mqtt-history-export(1). */
#include "bridge/commands/history_options.h"
#include "bridge/history/export/export.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <stdio.h>

#define NAME "history export"

struct options {
    struct history_asked asked;
    int format; /* as enum history_export_format */
    const char *output, *present, *entity;
    bool resume, produced, has_mean;
};

static const char *const formats[] = {"csv", "jsonl", "ha", NULL};

static enum status export(const char *path, const struct options *options, struct error *error) {
    struct history_export_options export = {.path = path,
                                            .device = options->asked.device,
                                            .channel = options->asked.channel,
                                            .format = (enum history_export_format)options->format,
                                            .output = options->output,
                                            .present = options->present,
                                            .entity = options->entity,
                                            .produced = options->produced,
                                            .has_mean = options->has_mean,
                                            .resume = options->resume};
    /* An hour that is not over, or a reading that comes while this runs, is of the next export. */
    int64_t now_ms = clock_wall_ms();
    export.to_ms = now_ms;
    enum status status = command_history_span(&options->asked, INT64_MAX, &export.from_ms,
                                              &export.to_ms, error);
    export.to_ms = export.to_ms > now_ms ? now_ms : export.to_ms;
    return status == STATUS_OK ? history_export(&export, stdout, error) : status;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {""};
    char *path memory_auto = NULL;
    if (options->resume && (options->output == NULL || options->format == (int)HISTORY_EXPORT_HA))
        return command_fail(
            NAME, STATUS_USAGE,
            &(struct error){"--resume works on a file of readings: it needs --output, "
                            "and --format csv or jsonl."});
    if (options->entity != NULL && options->asked.channel == NULL)
        return command_fail(NAME, STATUS_USAGE,
                            &(struct error){"--entity names the entity of one channel: it needs "
                                            "--channel."});
    enum status status = command_history_path(context, options->asked.database, &path, &error);
    if (status == STATUS_OK)
        status = export(path, options, &error);
    return command_end(NAME, status, &error);
}

static const struct option_row rows[] = {
    HISTORY_DEVICE_ROW(HISTORY_NEEDS_DEVICE, "the device's id in bridge.yaml"),
    HISTORY_CHANNEL_ROW(NULL, "one channel of it (default: all)"),
    {.name = "format",
     .kind = OPTION_CHOICE,
     .argument = "F",
     .at = offsetof(struct options, format),
     .choices = formats,
     .required = "how with --format: csv, jsonl or ha",
     .help =
         "csv and jsonl have every reading, calibrated; ha has the energy of whole hours as Home "
         "Assistant imports long-term statistics"},
    HISTORY_FROM_ROW("beginning (default: all there is)"),
    HISTORY_TO_ROW("end, not included (default: now)"),
    {.name = "present",
     .argument = "F",
     .at = offsetof(struct options, present),
     .file = true,
     .help =
         "for ha: what Home Assistant has, its answer to recorder/statistics_during_period; only "
         "the hours that it lacks are written, and continue its sums"},
    {.name = "entity",
     .argument = "ID",
     .at = offsetof(struct options, entity),
     .help = "for ha, with one channel: the entity's id where it was changed (default: as "
             "announced, sensor.house_energy_a)"},
    {.name = "produced",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, produced),
     .help = "--entity is about the energy that is fed back"},
    {.name = "before-2025-11",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, has_mean),
     .help = "for ha: the shape that Home Assistant before 2025.11 takes"},
    {.name = "output",
     .argument = "F",
     .at = offsetof(struct options, output),
     .file = true,
     .help = "a file; it is complete when it is there (default: standard output)"},
    {.name = "resume",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, resume),
     .help = "resume where the file ends: after an interruption, or to add what is new"},
    {.name = NULL},
};

const struct command command_history_export = {
    .line = {.name = NAME,
             .summary = "readings as CSV or JSON, energy for Home Assistant",
             .purpose = "Writes what was measured, row by row. The service may run.",
             .notes = HISTORY_TIMES,
             .tables = {rows, history_database_rows},
             .size = sizeof(struct options)},
    .run = run,
};
