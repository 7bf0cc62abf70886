/* SPDX-License-Identifier: MIT */
/* bl2mqtt history power: the power of a channel over time, its peaks included. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/commands/history_print.h"
#include "bridge/history/query/power.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "history power"
#define DAY_MS 86400000LL
#define POINTS 300      /* for programs */
#define PLOT_COLUMNS 72 /* at most */
#define PLOT_LINES 12

struct options {
    struct history_asked asked;
    int64_t points;   /* 0: not given */
    int64_t piece_ms; /* 0: follows from the points */
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt history power --device D --channel C [OPTION...]\n\n"
        "The power over time, in pieces with their least, mean and maximum, so that no peak is\n"
        "lost; the service may run.\n\n"
        "  --device D       the device's id in bridge.yaml\n"
        "  --channel C      its channel\n"
        "  --from T         begin (default: a day before the end)\n"
        "  --to T           end, not included (default: now)\n"
        "  --points N       at most so many pieces (default %d, the plot %d)\n"
        "  --bucket TIME    pieces of this length instead, 1s to 366d\n"
        "  --json           one JSON list on stdout; without: a plot\n"
        "  --csv            comma-separated values\n" HISTORY_DATABASE_HELP HISTORY_TIMES_HELP,
        POINTS, PLOT_COLUMNS);
}

static enum status parse(int argc, char **argv, struct options *options)
{
    const char *points = NULL;
    const char *bucket = NULL;
    const struct words_row own[] = {
        {"points", &points, NULL},
        {"bucket", &bucket, NULL},
        {"json", NULL, &options->asked.json},
        {"csv", NULL, &options->asked.csv},
        {NULL, NULL, NULL},
    };
    enum status status = command_history_parse(&options->asked, own, argc, argv);
    if (status != STATUS_OK || options->asked.help)
        return status;
    if (points != NULL && !number_parse_int(points, strlen(points), 1, HISTORY_POWER_PIECES_MAX - 1,
                                            &options->points))
        return command_bad_value(NAME, "points", points, "a number from 1 to 99999");
    if (bucket == NULL)
        return STATUS_OK;
    if (!number_parse_duration(bucket, strlen(bucket), 1000, 366 * DAY_MS, &options->piece_ms) ||
        options->piece_ms % 1000 != 0)
        return command_bad_value(NAME, "bucket", bucket,
                                 "whole seconds with a unit, such as 10s, 5m, 1h or 1d");
    return STATUS_OK;
}

/* ---- rows ---- */

struct answer {
    bool plot;
    bool json;
    bool first;
    struct history_power_row *rows; /* of the plot */
    size_t count;
    size_t capacity;
};

static void append_watts(struct text *text, const char *key, bool known, int64_t mw, bool json)
{
    text_append(text, ",");
    if (json)
        text_append(text, "\"%s\":", key);
    if (known)
        text_append_decimal(text, mw, 3, 3, false);
    else if (json)
        text_append(text, "null");
}

static bool print_row(const struct history_power_row *row, bool json, bool first)
{
    char buffer[512];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    if (json)
        text_append(&text, "%s\n{\"start\":\"", first ? "[" : ",");
    else if (first)
        text_append(&text, "start,end,power_min_w,power_mean_w,power_max_w,coverage\n");
    time_text_append(&text, row->start_ms);
    text_append(&text, json ? "\",\"end\":\"" : ",");
    time_text_append(&text, row->end_ms);
    text_append(&text, json ? "\"" : "");
    append_watts(&text, "power_min_w", row->known, row->min_mw, json);
    append_watts(&text, "power_mean_w", row->known, row->mean_mw, json);
    append_watts(&text, "power_max_w", row->known, row->max_mw, json);
    append_watts(&text, "coverage", true, row->coverage_permille, json);
    text_append(&text, json ? "}" : "\n");
    return fputs(buffer, stdout) >= 0;
}

static bool take_row(void *context, const struct history_power_row *row)
{
    struct answer *answer = context;
    bool first = answer->first;
    answer->first = false;
    if (!answer->plot)
        return print_row(row, answer->json, first);
    answer->rows =
        memory_grow(answer->rows, answer->count, &answer->capacity, sizeof *answer->rows);
    answer->rows[answer->count++] = *row;
    return true;
}

/* ---- plot ---- */

/* The full part reaches from 0 to the mean, the light one over what there was from least to most. */
static const char *cell(const struct history_power_row *row, int64_t low_mw, int64_t high_mw,
                        bool utf8)
{
    int64_t middle_mw = low_mw + (high_mw - low_mw) / 2;
    if (!row->known)
        return " ";
    bool full = middle_mw >= 0 ? row->mean_mw >= middle_mw : row->mean_mw <= middle_mw;
    if (full)
        return utf8 ? "█" : "#";
    if (row->max_mw > low_mw && row->min_mw < high_mw)
        return utf8 ? "░" : ":";
    return " ";
}

static void print_line(const struct answer *answer, int64_t low_mw, int64_t high_mw, bool utf8)
{
    char number[32], buffer[PLOT_COLUMNS * 4 + 64];
    struct text text;
    text_init(&text, number, sizeof number);
    text_append_decimal(&text, high_mw, 3, 0, false);
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, "%8s W ", number);
    for (size_t i = 0; i < answer->count; i++)
        text_append(&text, "%s", cell(&answer->rows[i], low_mw, high_mw, utf8));
    (void)puts(buffer);
}

static void print_legend(const struct answer *answer, int64_t piece_ms, bool utf8)
{
    char from[HISTORY_PRINT_SIZE], to[HISTORY_PRINT_SIZE];
    (void)printf("%11s%s to %s, a column is %lld s; %s mean, %s least to maximum\n", "",
                 history_print_time(answer->rows[0].start_ms, from),
                 history_print_time(answer->rows[answer->count - 1].end_ms, to),
                 (long long)(piece_ms / 1000), utf8 ? "█" : "#", utf8 ? "░" : ":");
}

static void print_plot(const struct answer *answer, int64_t piece_ms)
{
    int64_t low_mw = 0;
    int64_t high_mw = 0;
    bool any = false;
    for (size_t i = 0; i < answer->count; i++) {
        const struct history_power_row *row = &answer->rows[i];
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
    bool utf8 = history_print_utf8();
    for (int64_t line = above; line > -below; line--)
        print_line(answer, (line - 1) * step_mw, line * step_mw, utf8);
    print_legend(answer, piece_ms, utf8);
}

/* ---- the command ---- */

static enum status answer_power(const char *path, const void *own, struct error *error)
{
    const struct options *options = own;
    const struct history_asked *asked = &options->asked;
    int64_t from_ms = 0;
    int64_t to_ms = 0;
    bool plot = !asked->json && !asked->csv;
    struct answer answer = {.plot = plot, .json = asked->json, .first = true};
    int64_t points = options->points != 0 ? options->points : plot ? PLOT_COLUMNS : POINTS;
    if (plot && points > PLOT_COLUMNS)
        points = PLOT_COLUMNS;
    enum status status = command_history_span(asked, DAY_MS, &from_ms, &to_ms, error);
    if (status != STATUS_OK)
        return status;
    int64_t piece_ms = options->piece_ms;
    if (piece_ms == 0 || (plot && (to_ms - from_ms) / piece_ms >= PLOT_COLUMNS))
        piece_ms = history_power_length(to_ms - from_ms, points);
    status = history_power(path, asked->device, asked->channel, from_ms, to_ms, piece_ms, take_row,
                           &answer, error);
    if (status == STATUS_OK && asked->json)
        (void)puts("\n]");
    if (status == STATUS_OK && plot)
        print_plot(&answer, piece_ms);
    free(answer.rows);
    return status == STATUS_OK ? command_flush(error) : status;
}

enum status command_history_power(const struct command_context *context, int argc, char **argv)
{
    struct options options = {.asked = {.command = NAME,
                                        .needs = HISTORY_NEEDS_CHANNEL,
                                        .print_help = print_help,
                                        .to = "now"}};
    enum status status = parse(argc, argv, &options);
    if (status != STATUS_OK || options.asked.help)
        return status;
    return command_history_answer(context, &options.asked, answer_power, &options);
}
