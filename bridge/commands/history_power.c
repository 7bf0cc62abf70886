/* SPDX-License-Identifier: MIT */
/* bl2mqtt history power: the power of a channel over time, its peaks included. See
 * bl2mqtt-history-power(1). */
#include "bridge/commands/history_ask.h"
#include "bridge/commands/history_print.h"
#include "bridge/commands/table.h"
#include "bridge/history/query/power.h"
#include "bridge/options/layout.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "history power"
#define DAY_MS 86400000LL
#define PLOT_COLUMNS 68 /* at most: the numbers at the left take 11 */
#define PLOT_LINES 12

struct options {
    struct history_asked asked;
    int64_t points;     /* 0: not given */
    const char *bucket; /* NULL: follows from the points */
};

/* ---- plot ---- */

struct plot {
    struct history_power_row *rows;
    size_t count, capacity;
    bool estimated; /* a column is */
};
enum {
    CELL_START,
    CELL_END,
    CELL_MIN,
    CELL_MEAN,
    CELL_MAX,
    CELL_COVERAGE,
    CELL_ESTIMATED
}; /* answer_power_cells() */

static bool take_row(void *context, const struct answer_cell *cells, size_t count)
{
    struct plot *plot = context;
    bool range = cells[CELL_MIN].known; /* of sums from before it was kept it is not */
    (void)count;
    plot->rows = memory_grow(plot->rows, plot->count, &plot->capacity, sizeof *plot->rows);
    plot->rows[plot->count++] =
        (struct history_power_row){.start_ms = cells[CELL_START].value,
                                   .end_ms = cells[CELL_END].value,
                                   .known = cells[CELL_MEAN].known,
                                   .min_mw = cells[range ? CELL_MIN : CELL_MEAN].value,
                                   .mean_mw = cells[CELL_MEAN].value,
                                   .max_mw = cells[range ? CELL_MAX : CELL_MEAN].value};
    struct history_power_row *row = &plot->rows[plot->count - 1];
    if (row->known || !cells[CELL_ESTIMATED].known)
        return true;
    row->known = row->estimated = plot->estimated = true;
    row->min_mw = row->mean_mw = row->max_mw = cells[CELL_ESTIMATED].value;
    return true;
}

/* The full part reaches from 0 to the mean, the light one over what there was from the minimum to the maximum. */
static const char *cell(const struct history_power_row *row, int64_t low_mw, int64_t high_mw,
                        bool utf8)
{
    int64_t middle_mw = low_mw + (high_mw - low_mw) / 2;
    if (!row->known)
        return " ";
    bool full = middle_mw >= 0 ? row->mean_mw >= middle_mw : row->mean_mw <= middle_mw;
    if (full && row->estimated)
        return utf8 ? "▒" : "~";
    if (full)
        return utf8 ? "█" : "#";
    if (row->max_mw > low_mw && row->min_mw < high_mw)
        return utf8 ? "░" : ":";
    return " ";
}

static void print_line(const struct plot *plot, int64_t low_mw, int64_t high_mw, bool utf8)
{
    char number[32], buffer[PLOT_COLUMNS * 4 + 64];
    struct text text;
    text_init(&text, number, sizeof number);
    text_append_decimal(&text, high_mw, 3, 0, false);
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, "%8s W ", number);
    for (size_t i = 0; i < plot->count; i++)
        text_append(&text, "%s", cell(&plot->rows[i], low_mw, high_mw, utf8));
    (void)puts(buffer);
}

static void print_legend(const struct plot *plot, int64_t bucket_ms, bool utf8)
{
    char from[HISTORY_PRINT_SIZE], to[HISTORY_PRINT_SIZE];
    (void)printf("%11s%s to %s\n%11s%s mean, %s minimum to maximum; a column is %" PRId64 " s\n",
                 "", history_print_local(plot->rows[0].start_ms, from),
                 history_print_local(plot->rows[plot->count - 1].end_ms, to), "", utf8 ? "█" : "#",
                 utf8 ? "░" : ":", bucket_ms / 1000);
    if (plot->estimated)
        (void)printf("%11s%s estimated: counted while nobody read the meter, spread over that "
                     "time\n",
                     "", utf8 ? "▒" : "~");
}

static void print_plot(const struct plot *plot, int64_t bucket_ms)
{
    int64_t low_mw = 0;
    int64_t high_mw = 0;
    bool any = false;
    for (size_t i = 0; i < plot->count; i++) {
        const struct history_power_row *row = &plot->rows[i];
        any = any || row->known;
        low_mw = row->known && row->min_mw < low_mw ? row->min_mw : low_mw;
        high_mw = row->known && row->max_mw > high_mw ? row->max_mw : high_mw;
    }
    if (!any) {
        (void)puts("There are no readings of power in that time.");
        return;
    }
    int64_t step_mw = (high_mw - low_mw) / PLOT_LINES + 1;
    int64_t below = low_mw == 0 ? 0 : (-low_mw + step_mw - 1) / step_mw;
    int64_t above = (high_mw + step_mw - 1) / step_mw;
    bool utf8 = table_utf8();
    for (int64_t line = above; line > -below; line--)
        print_line(plot, (line - 1) * step_mw, line * step_mw, utf8);
    print_legend(plot, bucket_ms, utf8);
}

/* ---- the command ---- */

static bool parse_bucket(const char *text, int64_t *bucket_ms)
{
    return number_parse_duration(text, strlen(text), 1000, 366 * DAY_MS, bucket_ms) &&
           *bucket_ms % 1000 == 0;
}

/* The plot has no more columns than fit: longer buckets then. */
static enum status plan_plot(const struct options *options, int64_t *bucket_ms, struct error *error)
{
    int64_t from_ms = 0;
    int64_t to_ms = clock_wall_ms();
    int64_t columns = layout_terminal_width(STDOUT_FILENO) - 12;
    columns = columns > PLOT_COLUMNS ? PLOT_COLUMNS : columns;
    int64_t points = options->points != 0 && options->points < columns ? options->points : columns;
    enum status status = command_history_span(&options->asked, DAY_MS, &from_ms, &to_ms, error);
    if (status == STATUS_OK && from_ms < to_ms &&
        (*bucket_ms == 0 || (to_ms - from_ms) / *bucket_ms >= columns))
        *bucket_ms = history_power_length(to_ms - from_ms, points);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    bool for_people = !options->asked.json && !options->asked.csv;
    char points[24], bucket[32];
    char *path memory_auto = NULL;
    int64_t bucket_ms = 0;
    struct plot plot = {.rows = NULL};
    struct error error = {""};
    if (options->bucket != NULL && !parse_bucket(options->bucket, &bucket_ms))
        return command_bad_value(NAME, "bucket", options->bucket,
                                 "whole seconds with a unit, such as 10s, 5m, 1h or 1d");
    /* The zone of times is that of the configuration, which is read for the file's name. */
    enum status status = command_history_path(context, options->asked.database, &path, &error);
    if (status == STATUS_OK && for_people)
        status = plan_plot(options, &bucket_ms, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    (void)snprintf(points, sizeof points, "%" PRId64, options->points);
    (void)snprintf(bucket, sizeof bucket, "%" PRId64 "s", bucket_ms / 1000);
    const struct history_ask ask = {.command = NAME,
                                    .kind = HISTORY_POWER,
                                    .asked = &options->asked,
                                    .points = options->points != 0 ? points : NULL,
                                    .bucket = bucket_ms != 0 ? bucket : NULL,
                                    .row = take_row,
                                    .context = &plot};
    status = history_ask(context, path, &ask);
    if (status == STATUS_OK && for_people)
        print_plot(&plot, bucket_ms);
    free(plot.rows);
    return status == STATUS_OK ? command_end(NAME, command_flush(&error), &error) : status;
}

static const struct option_row rows[] = {
    HISTORY_DEVICE_ROW(HISTORY_NEEDS_DEVICE, "the device's id in bridge.yaml"),
    HISTORY_CHANNEL_ROW(NULL, "one channel of it (default: the sum over its channels)"),
    HISTORY_FROM_ROW("beginning (default: a day before the end)"),
    HISTORY_TO_ROW("end, not included (default: now)"),
    {.name = "points",
     .kind = OPTION_INTEGER,
     .argument = "N",
     .at = offsetof(struct options, points),
     .low = 1,
     .high = HISTORY_POWER_PIECES_MAX - 1,
     .help = "at most so many buckets (default 300; the plot has as many as fit)"},
    {.name = "bucket",
     .argument = "TIME",
     .at = offsetof(struct options, bucket),
     .help = "buckets of this length instead, 1s to 366d"},
    {.name = NULL},
};

const struct command command_history_power = {
    .line = {.name = NAME,
             .summary = "the power over time, its peaks included",
             .purpose =
                 "The power over time, in buckets with their minimum, mean and maximum, so that "
                 "no peak is lost; as a plot, JSON or CSV. The service may run.",
             .notes = HISTORY_TIMES,
             .tables = {rows, history_json_rows, history_csv_rows, history_database_rows},
             .size = sizeof(struct options)},
    .run = run,
};
