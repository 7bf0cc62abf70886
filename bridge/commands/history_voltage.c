/* SPDX-License-Identifier: MIT */
/* bl2mqtt history voltage: the voltage by day or week as EN 50160 asks. See bl2mqtt-history-voltage(1). */
#include "bridge/commands/history_ask.h"
#include "bridge/commands/history_print.h"
#include "bridge/commands/table.h"
#include "bridge/history/query/buckets.h"
#include "bridge/options/layout.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "history voltage"

struct options {
    struct history_asked asked;
    int bucket; /* index in buckets */
};

static const char *const buckets[] = {"day", "week", NULL};
static const enum history_bucket bucket_kinds[] = {BUCKET_DAY, BUCKET_WEEK};

enum { COLUMNS = 11 };
static const struct table_column columns[COLUMNS] = {
    {.cell = "start", .title = "from", .left = true},
    {.cell = "channel", .title = "ch", .left = true},
    {.cell = "within_limits", .title = "in %", .decimals = 1, .scale = 2},
    {.cell = "voltage_min_v", .title = "min V", .decimals = 1},
    {.cell = "voltage_max_v", .title = "max V", .decimals = 1},
    {.cell = "sags", .title = "sags"},
    {.cell = "swells", .title = "swells"},
    {.cell = "interruptions", .title = "out"},
    {.cell = "deepest_v", .title = "worst", .decimals = 1},
    {.cell = "longest_s", .title = "secs", .decimals = 1},
    {.cell = "coverage", .title = "cov %", .decimals = 1, .scale = 1},
};
enum { CELL_START }; /* answer_voltage_cells() */

struct work {
    enum history_bucket bucket;
    struct table *table;
};

static bool take_row(void *context, const struct answer_cell *cells, size_t count)
{
    const struct work *work = context;
    char start[HISTORY_PRINT_SIZE];
    table_add(work->table, cells, count,
              history_print_start(work->bucket, cells[CELL_START].value, start), NULL, 0);
    return true;
}

static int64_t nominal_of(const struct config *config, const char *id)
{
    for (size_t i = 0; i < config->device_count; i++)
        if (strcmp(config->devices[i].id, id) == 0)
            return llround(config->devices[i].mains_voltage_v * 1000);
    return 0;
}

/* With --database no configuration is needed; the zone is that of the machine then. */
static enum status find(const struct command_context *context, const struct history_asked *asked,
                        char **path, int64_t *nominal_mv, struct error *error)
{
    if (asked->database != NULL) {
        *path = memory_copy_text(asked->database);
        return STATUS_OK;
    }
    struct config *config = command_config(
        context, "it says where the history is. Correct it, or name the file with --database.",
        error);
    if (config == NULL)
        return STATUS_USAGE;
    *path = command_history_of(config);
    *nominal_mv = nominal_of(config, asked->device);
    bucket_use_zone(config->history.time_zone, getenv("TZ"));
    config_free(config);
    return STATUS_OK;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {""};
    char *path memory_auto = NULL;
    int64_t nominal_mv = 0;
    struct work work = {.bucket = bucket_kinds[options->bucket]};
    enum status status = history_ask_check(NAME, &options->asked);
    if (status != STATUS_OK)
        return status;
    status = find(context, &options->asked, &path, &nominal_mv, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    work.table = table_new(columns, COLUMNS);
    const struct history_ask ask = {.command = NAME,
                                    .kind = HISTORY_VOLTAGE,
                                    .asked = &options->asked,
                                    .bucket = buckets[options->bucket],
                                    .nominal_mv = nominal_mv,
                                    .row = take_row,
                                    .context = &work};
    status = history_ask(context, path, &ask);
    if (status == STATUS_OK && !options->asked.json && !options->asked.csv)
        table_print(work.table, stdout, layout_terminal_width(STDOUT_FILENO), NULL, 0);
    table_free(work.table);
    return status == STATUS_OK ? command_end(NAME, command_flush(&error), &error) : status;
}

static const struct option_row rows[] = {
    HISTORY_DEVICE_ROW(HISTORY_NEEDS_DEVICE, "the device's id in bridge.yaml"),
    HISTORY_CHANNEL_ROW(NULL, "one channel of it (default: a row for each)"),
    HISTORY_FROM_ROW("beginning (default: so that there are 4 weeks or 7 days)"),
    HISTORY_TO_ROW("end, not included; at most now, which is the default"),
    {.name = "bucket",
     .kind = OPTION_CHOICE,
     .argument = "B",
     .at = offsetof(struct options, bucket),
     .choices = buckets,
     .preset = "week",
     .help = "the time that a row stands for"},
    {.name = NULL},
};

const struct command command_history_voltage = {
    .line = {.name = NAME,
             .summary = "the quality of the voltage by week, as EN 50160 asks",
             .purpose =
                 "By week or day: the share of 10-minute means of the voltage within 10 % of "
                 "mains.voltage, of which EN 50160 wants 95 % in a week; the lowest and "
                 "highest of them; sags, swells and interruptions. The service may run.",
             .notes = HISTORY_TIMES,
             .tables = {rows, history_json_rows, history_csv_rows, history_database_rows},
             .size = sizeof(struct options)},
    .run = run,
};
