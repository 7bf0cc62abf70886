/* SPDX-License-Identifier: MIT */
/* bl2mqtt history energy: kilowatt hours and watts per hour, day, month or year. See
 * bl2mqtt-history-energy(1). */
#include "bridge/commands/history_ask.h"
#include "bridge/commands/history_print.h"
#include "bridge/commands/table.h"
#include "bridge/options/layout.h"

#include <unistd.h>

#define NAME "history energy"

struct options {
    struct history_asked asked;
    int bucket; /* index in buckets */
};

static const char *const buckets[] = {"15m", "hour", "day", "month", "year", NULL};
static const enum history_bucket bucket_kinds[] = {BUCKET_QUARTER, BUCKET_HOUR, BUCKET_DAY,
                                                   BUCKET_MONTH, BUCKET_YEAR};

static const struct table_column columns[] = {
    {.cell = "start", .title = "from", .left = true},
    {.cell = "energy_kwh", .title = "kWh", .decimals = 3},
    {.cell = "energy_produced_kwh", .title = "produced", .decimals = 3, .only_if_any = true},
    {.cell = "power_min_w", .title = "min W", .decimals = 1, .only_if_any = true},
    {.cell = "power_mean_w", .title = "mean W", .decimals = 1},
    {.cell = "power_max_w", .title = "max W", .decimals = 1, .only_if_any = true},
    {.cell = "coverage", .title = "covered %", .decimals = 1, .scale = 1},
};
enum {
    CELL_START = 0,
    CELL_ENERGY = 2,
    CELL_FROM_FILES = 8,
    CELL_ESTIMATED = 10
}; /* answer_energy_cells() */

struct work {
    enum history_bucket bucket;
    struct table *table;
    bool from_files, estimated;
};

static bool take_row(void *context, const struct answer_cell *cells, size_t count)
{
    struct work *work = context;
    char start[HISTORY_PRINT_SIZE];
    bool from_files = !cells[CELL_FROM_FILES].json_skip;
    int64_t bar = cells[CELL_ENERGY].known ? cells[CELL_ENERGY].value : 0;
    (void)history_print_start(work->bucket, cells[CELL_START].value, start);
    bool estimated = !cells[CELL_ESTIMATED].json_skip;
    const char *mark = from_files ? "*" : estimated ? "~" : NULL;
    table_add(work->table, cells, count, start, mark, bar > 0 ? bar : 0);
    if (estimated)
        table_estimate(work->table, cells[CELL_ESTIMATED].value);
    work->estimated = work->estimated || estimated;
    work->from_files = work->from_files || from_files;
    return true;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {""};
    struct work work = {.bucket = bucket_kinds[options->bucket]};
    const struct history_ask ask = {.command = NAME,
                                    .kind = HISTORY_ENERGY,
                                    .asked = &options->asked,
                                    .bucket = buckets[options->bucket],
                                    .row = take_row,
                                    .context = &work};
    work.table = table_new(columns, sizeof columns / sizeof columns[0]);
    enum status status = history_ask(context, NULL, &ask);
    if (status == STATUS_OK && !options->asked.json && !options->asked.csv)
        table_print(work.table, stdout, layout_terminal_width(STDOUT_FILENO), "kWh", 9);
    if (status == STATUS_OK && work.from_files)
        (void)puts("* with energy that was imported from files");
    if (status == STATUS_OK && work.estimated)
        (void)puts(
            "~ partly estimated: counted while nobody read the meter, spread over that time");
    table_free(work.table);
    return status == STATUS_OK ? command_end(NAME, command_flush(&error), &error) : status;
}

static const struct option_row rows[] = {
    HISTORY_DEVICE_ROW(HISTORY_NEEDS_DEVICE, "the device's id in bridge.yaml"),
    HISTORY_CHANNEL_ROW(NULL, "one channel of it (default: the sum over its channels)"),
    HISTORY_FROM_ROW(
        "beginning (default: so that there are 24 hours, 7 days, 12 months or 10 years)"),
    HISTORY_TO_ROW("end, not included (default: now)"),
    {.name = "bucket",
     .kind = OPTION_CHOICE,
     .argument = "B",
     .at = offsetof(struct options, bucket),
     .choices = buckets,
     .preset = "day",
     .help = "the time that a row stands for"},
    {.name = NULL},
};

const struct command command_history_energy = {
    .line = {.name = NAME,
             .summary = "energy and power per hour, day, month or year",
             .purpose =
                 "Energy and power per 15 minutes, hour, day, month or year. The service may run.",
             .notes = HISTORY_TIMES,
             .tables = {rows, history_json_rows, history_csv_rows, history_database_rows},
             .size = sizeof(struct options)},
    .run = run,
};
