/* SPDX-License-Identifier: MIT */
/* bl2mqtt history cost: money per day, month or year, from the history and the tariffs of bridge.yaml.
 * See bl2mqtt-history-cost(1). */
#include "bridge/commands/history_ask.h"
#include "bridge/commands/history_print.h"
#include "bridge/commands/table.h"
#include "bridge/config/tariffs.h"
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/time_text.h"
#include "bridge/options/layout.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "history cost"

struct options {
    struct history_asked asked;
    int bucket; /* index in buckets */
};

static const char *const buckets[] = {"day", "month", "year", NULL};
static const enum history_bucket bucket_kinds[] = {BUCKET_DAY, BUCKET_MONTH, BUCKET_YEAR};

/* ---- the table ---- */

enum { COLUMNS = 9, CURRENCY_COLUMN = 6, CO2_COLUMN = 7 };
static const struct table_column columns[COLUMNS] = {
    {.cell = "start", .title = "from", .left = true},
    {.cell = "energy_kwh", .title = "kWh", .decimals = 3},
    {.cell = "energy_produced_kwh", .title = "produced", .decimals = 3},
    {.cell = "energy_cost", .title = "energy", .decimals = 2},
    {.cell = "standing_charge", .title = "standing", .decimals = 2},
    {.cell = "feed_in", .title = "feed-in", .decimals = 2},
    {.cell = "cost", .title = "cost", .decimals = 2},
    {.cell = "co2_kg", .title = "CO2 kg", .decimals = 3}, /* where it is configured */
    {.cell = "coverage", .title = "covered %", .decimals = 1, .scale = 1},
};
enum {
    CELL_START = 0,
    CELL_UNPRICED = 4,
    CELL_FROM_FILES = 5,
    CELL_MISSING = 13,
    CELL_UNPRICED_FROM = 14,
    CELL_UNPRICED_TO = 15,
    CELL_CO2_MISSING = 17,
    CELL_CO2_FROM = 18,
    CELL_CO2_TO = 19
}; /* answer_cost_cells() */

struct work {
    enum history_bucket bucket;
    struct table *table;
    int64_t missing_uwh, unpriced_from_ms, unpriced_to_ms;
    bool tariffs, co2; /* configured */
    int64_t co2_missing_uwh, co2_from_ms, co2_to_ms;
    int64_t unpriced_uwh, from_files_uwh; /* of the sum */
};

static bool take_row(void *context, const struct answer_cell *cells, size_t count)
{
    struct work *work = context;
    char start[HISTORY_PRINT_SIZE];
    table_add(work->table, cells, count,
              history_print_start(work->bucket, cells[CELL_START].value, start), NULL, 0);
    return true;
}

static bool take_total(void *context, const struct answer_cell *cells, size_t count)
{
    struct work *work = context;
    work->unpriced_uwh = cells[CELL_UNPRICED].value;
    work->missing_uwh = cells[CELL_MISSING].value;
    work->unpriced_from_ms = cells[CELL_UNPRICED_FROM].value;
    work->unpriced_to_ms = cells[CELL_UNPRICED_TO].value;
    if (work->co2) {
        work->co2_missing_uwh = cells[CELL_CO2_MISSING].value;
        work->co2_from_ms = cells[CELL_CO2_FROM].value;
        work->co2_to_ms = cells[CELL_CO2_TO].value;
    }
    work->from_files_uwh = cells[CELL_FROM_FILES].value;
    table_add(work->table, cells, count, "sum", NULL, 0);
    return true;
}

static void print_missing(int64_t uwh, int64_t from_ms, int64_t to_ms, const char *what)
{
    char span[80];
    struct text text;
    if (uwh == 0)
        return;
    text_init(&text, span, sizeof span);
    time_text_append(&text, from_ms);
    text_append(&text, " to ");
    time_text_append(&text, to_ms);
    (void)fprintf(stderr, "For %.3f kWh from %s %s\n", (double)uwh / 1e9, span, what);
}

static void print_table(const struct work *work)
{
    table_print(work->table, stdout, layout_terminal_width(STDOUT_FILENO), NULL, 0);
    if (work->from_files_uwh != 0)
        (void)printf("%.3f kWh of it were imported from files.\n",
                     (double)work->from_files_uwh / 1e9);
    if (work->tariffs && work->unpriced_uwh != work->missing_uwh)
        (void)fprintf(stderr,
                      "For %.3f kWh no tariff holds; give one an earlier valid_from, or none.\n",
                      (double)(work->unpriced_uwh - work->missing_uwh) / 1e9);
    print_missing(work->missing_uwh, work->unpriced_from_ms, work->unpriced_to_ms,
                  "prices are missing, and they are not in the costs; put them into prices.file.");
    print_missing(work->co2_missing_uwh, work->co2_from_ms, work->co2_to_ms,
                  "CO2 intensities are missing; put them into co2.file.");
}

/* ---- the command ---- */

static enum status answer(const struct command_context *context, const struct config *config,
                          const struct options *options)
{
    struct error error = {""};
    struct work work = {.bucket = bucket_kinds[options->bucket]};
    struct table_column own[COLUMNS];
    struct tariffs *tariffs = config_tariffs(config);
    char *path memory_auto = options->asked.database != NULL
                                 ? memory_copy_text(options->asked.database)
                                 : command_history_of(config);
    memcpy(own, columns, sizeof own);
    own[CURRENCY_COLUMN].title = tariffs->count == 0 ? "cost" : tariffs->list[0].currency;
    work.tariffs = tariffs->count > 0;
    work.co2 = tariffs->co2;
    if (!work.co2)
        own[CO2_COLUMN] = own[COLUMNS - 1];
    work.table = table_new(own, work.co2 ? COLUMNS : COLUMNS - 1);
    const struct history_ask ask = {.command = NAME,
                                    .kind = HISTORY_COST,
                                    .asked = &options->asked,
                                    .bucket = buckets[options->bucket],
                                    .tariffs = tariffs->list,
                                    .tariff_count = tariffs->count,
                                    .co2 = tariffs->co2,
                                    .row = take_row,
                                    .total = take_total,
                                    .context = &work};
    enum status status = history_ask(context, path, &ask);
    if (status == STATUS_OK && !options->asked.json && !options->asked.csv)
        print_table(&work);
    table_free(work.table);
    tariffs_release(tariffs);
    return status == STATUS_OK ? command_end(NAME, command_flush(&error), &error) : status;
}

static enum status run(const struct command_context *context, void *own)
{
    struct error error = {""};
    const struct options *options = own;
    enum status status = history_ask_check(NAME, &options->asked);
    if (status != STATUS_OK)
        return status;
    struct config *config =
        command_config(context, "it says what energy costs. Correct it.", &error);
    if (config == NULL)
        return command_fail(NAME, STATUS_USAGE, &error);
    bool co2 = config->co2.topic[0] != '\0' || config->co2.file[0] != '\0';
    if (config->tariff_count == 0 && !co2) {
        status = error_set(&error, STATUS_USAGE,
                           "The configuration has no tariffs; docs/history.md shows how they are "
                           "written, and `bl2mqtt check --print-defaults` lists the keys.");
        status = command_fail(NAME, status, &error);
    } else {
        bucket_use_zone(config->history.time_zone, getenv("TZ"));
        status = answer(context, config, options);
    }
    config_free(config);
    return status;
}

static const struct option_row rows[] = {
    HISTORY_DEVICE_ROW(HISTORY_NEEDS_DEVICE, "the device's id in bridge.yaml"),
    HISTORY_CHANNEL_ROW(NULL, "one channel of it (default: the sum over its channels)"),
    HISTORY_FROM_ROW("beginning (default: so that there are 7 days, 12 months or 5 years)"),
    HISTORY_TO_ROW("end, not included (default: now)"),
    {.name = "bucket",
     .kind = OPTION_CHOICE,
     .argument = "B",
     .at = offsetof(struct options, bucket),
     .choices = buckets,
     .preset = "month",
     .help = "the time that a row stands for"},
    {.name = NULL},
};

const struct command command_history_cost = {
    .line = {.name = NAME,
             .summary = "what the energy cost, by the tariffs of bridge.yaml",
             .purpose = "What the energy cost, by the tariffs of bridge.yaml. The service may run.",
             .notes = HISTORY_TIMES,
             .tables = {rows, history_json_rows, history_csv_rows, history_database_rows},
             .size = sizeof(struct options)},
    .run = run,
};
