/* SPDX-License-Identifier: MIT */
/* bl2mqtt history cost: money per day, month or year, from the history and the tariffs of bridge.yaml. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/buckets.h"
#include "bridge/history/cost.h"
#include "bridge/history/time_text.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME "history cost"

enum layout { LAYOUT_TABLE, LAYOUT_JSON, LAYOUT_CSV };

struct options {
    const char *device;
    const char *channel;
    const char *from;
    const char *to;
    enum history_bucket bucket;
    enum layout layout;
    const char *database;
    bool help;
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt history cost --device D [OPTION...]\n\n"
        "What the energy cost, by the tariffs of bridge.yaml; the service may run.\n\n"
        "  --device D       the device's id in bridge.yaml\n"
        "  --channel C      one channel of it; without: the sum over its channels\n"
        "  --from T         begin (default: 7 days, 12 months or 5 years up to now)\n"
        "  --to T           end, not included (default: now)\n"
        "  --bucket B       day, month (default) or year\n"
        "  --json           one JSON document on stdout\n"
        "  --csv            comma-separated values\n"
        "  --database FILE  the history file (default: history.path of the configuration)\n\n"
        "T is a date (2026-10-01, its beginning), a time (2026-10-01T14:30, with an offset if "
        "need\n"
        "be), now, today, yesterday or tomorrow.\n");
}

static enum status take_bucket(struct options *options, const char *text)
{
    static const struct {
        const char *name;
        enum history_bucket bucket;
    } buckets[] = {{"day", BUCKET_DAY}, {"month", BUCKET_MONTH}, {"year", BUCKET_YEAR}};
    for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++) {
        if (strcmp(text, buckets[i].name) != 0)
            continue;
        options->bucket = buckets[i].bucket;
        return STATUS_OK;
    }
    return command_bad_value(NAME, "bucket", text, "day, month or year");
}

static enum status take_option(int option, struct options *options)
{
    switch (option) {
    case 'd':
        options->device = optarg;
        return STATUS_OK;
    case 'c':
        options->channel = optarg;
        return STATUS_OK;
    case 'f':
        options->from = optarg;
        return STATUS_OK;
    case 't':
        options->to = optarg;
        return STATUS_OK;
    case 'b':
        return take_bucket(options, optarg);
    case 'j':
        options->layout = LAYOUT_JSON;
        return STATUS_OK;
    case 'v':
        options->layout = LAYOUT_CSV;
        return STATUS_OK;
    case 'D':
        options->database = optarg;
        return STATUS_OK;
    case 'h':
        options->help = true;
        return STATUS_OK;
    default:
        return command_bad_option(NAME);
    }
}

static enum status parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"device", required_argument, NULL, 'd'}, {"channel", required_argument, NULL, 'c'},
        {"from", required_argument, NULL, 'f'},   {"to", required_argument, NULL, 't'},
        {"bucket", required_argument, NULL, 'b'}, {"json", no_argument, NULL, 'j'},
        {"csv", no_argument, NULL, 'v'},          {"database", required_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int option;
    while (!options->help && (option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        enum status status = take_option(option, options);
        if (status != STATUS_OK)
            return status;
    }
    if (options->help)
        return STATUS_OK;
    if (optind < argc)
        return command_extra_word(NAME, argv[optind]);
    if (options->device == NULL)
        return command_fail(NAME, STATUS_USAGE, &(struct error){"Say which device with --device."});
    return STATUS_OK;
}

/* ---- tariffs, from texts that the configuration's check has found good ---- */

static void take_window(const struct config_tariff_window *from, struct tariff_window *to)
{
    (void)tariff_parse_minute(from->from, &to->from_minute);
    (void)tariff_parse_minute(from->to, &to->to_minute);
    (void)tariff_parse_days(from->days, &to->days);
    (void)tariff_parse_months(from->months, &to->months);
    to->price_micro = from->price_micro;
    to->feed_in_micro = from->feed_in_micro;
}

static struct tariff *make_tariffs(const struct config *config)
{
    struct tariff *tariffs = memory_new(config->tariff_count, sizeof *tariffs);
    for (size_t i = 0; i < config->tariff_count; i++) {
        const struct config_tariff *from = &config->tariffs[i];
        struct tariff *to = &tariffs[i];
        (void)snprintf(to->currency, sizeof to->currency, "%s", from->currency);
        if (from->valid_from[0] != '\0')
            (void)tariff_parse_date(from->valid_from, &to->valid_from);
        to->price_micro = from->price_micro;
        to->feed_in_micro = from->feed_in_micro;
        to->standing_charge_micro = from->standing_charge_micro;
        to->window_count = from->window_count;
        to->windows = memory_new(from->window_count, sizeof *to->windows);
        for (size_t w = 0; w < from->window_count; w++)
            take_window(&from->windows[w], &to->windows[w]);
    }
    return tariffs;
}

static void free_tariffs(struct tariff *tariffs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(tariffs[i].windows);
    free(tariffs);
}

/* ---- output ---- */

struct answer {
    const struct options *options;
    const char *currency;
    bool first;
    struct history_cost_row total;
};

static void append_json_row(struct text *text, const struct history_cost_row *row)
{
    text_append(text, "{\"start\":\"");
    time_text_append(text, row->start_ms);
    text_append(text, "\",\"end\":\"");
    time_text_append(text, row->end_ms);
    text_append(text, "\",\"energy_kwh\":");
    text_append_decimal(text, row->imported_uwh, 9, 9, false);
    text_append(text, ",\"energy_produced_kwh\":");
    text_append_decimal(text, row->exported_uwh, 9, 9, false);
    text_append(text, ",\"unpriced_kwh\":");
    text_append_decimal(text, row->unpriced_uwh, 9, 9, false);
    text_append(text, ",\"from_files_kwh\":");
    text_append_decimal(text, row->foreign_uwh, 9, 9, false);
    text_append(text, ",\"energy_cost\":");
    text_append_decimal(text, row->energy_micro, 6, 6, false);
    text_append(text, ",\"standing_charge\":");
    text_append_decimal(text, row->standing_micro, 6, 6, false);
    text_append(text, ",\"feed_in\":");
    text_append_decimal(text, row->feed_in_micro, 6, 6, false);
    text_append(text, ",\"cost\":");
    text_append_decimal(text, row->cost_micro, 6, 6, false);
    text_append(text, ",\"coverage\":");
    text_append_decimal(text, row->coverage_permille, 3, 3, false);
    text_append(text, "}");
}

static void append_csv_row(struct text *text, const struct history_cost_row *row,
                           const char *currency)
{
    time_text_append(text, row->start_ms);
    text_append(text, ",");
    time_text_append(text, row->end_ms);
    const int64_t kwh[] = {row->imported_uwh, row->exported_uwh, row->unpriced_uwh,
                           row->foreign_uwh};
    for (size_t i = 0; i < sizeof kwh / sizeof kwh[0]; i++) {
        text_append(text, ",");
        text_append_decimal(text, kwh[i], 9, 9, false);
    }
    const int64_t money[] = {row->energy_micro, row->standing_micro, row->feed_in_micro,
                             row->cost_micro};
    for (size_t i = 0; i < sizeof money / sizeof money[0]; i++) {
        text_append(text, ",");
        text_append_decimal(text, money[i], 6, 6, false);
    }
    text_append(text, ",%s,", currency);
    text_append_decimal(text, row->coverage_permille, 3, 3, false);
}

static void append_column(struct text *text, int width, int64_t value, unsigned scale,
                          unsigned decimals)
{
    char buffer[64];
    struct text number;
    text_init(&number, buffer, sizeof buffer);
    text_append_decimal(&number, value, scale, decimals, false);
    text_append(text, " %*s", width, buffer);
}

static void append_table_row(struct text *text, const struct history_cost_row *row,
                             const char *start)
{
    text_append(text, "%-14s", start);
    append_column(text, 11, row->imported_uwh, 9, 3);
    append_column(text, 11, row->exported_uwh, 9, 3);
    append_column(text, 11, row->energy_micro, 6, 2);
    append_column(text, 10, row->standing_micro, 6, 2);
    append_column(text, 10, row->feed_in_micro, 6, 2);
    append_column(text, 11, row->cost_micro, 6, 2);
    append_column(text, 9, row->coverage_permille, 1, 1);
}

static const char *start_of(const struct answer *answer, int64_t wall_ms, char buffer[32])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local = {0};
    (void)localtime_r(&seconds, &local); /* the span was checked to be within years that exist */
    size_t length;
    if (answer->options->bucket == BUCKET_DAY)
        length = strftime(buffer, 32, "%Y-%m-%d %a", &local);
    else if (answer->options->bucket == BUCKET_MONTH)
        length = strftime(buffer, 32, "%Y-%m", &local);
    else
        length = strftime(buffer, 32, "%Y", &local);
    return length == 0 ? "?" : buffer;
}

static void add_up(struct history_cost_row *total, const struct history_cost_row *row)
{
    if (total->start_ms == total->end_ms)
        total->start_ms = row->start_ms;
    int64_t before_ms = total->end_ms == 0 ? 0 : total->end_ms - total->start_ms;
    int64_t length_ms = row->end_ms - row->start_ms;
    total->coverage_permille =
        (int)((total->coverage_permille * before_ms + row->coverage_permille * length_ms) /
              (before_ms + length_ms));
    total->end_ms = row->end_ms;
    total->imported_uwh += row->imported_uwh;
    total->exported_uwh += row->exported_uwh;
    total->unpriced_uwh += row->unpriced_uwh;
    total->foreign_uwh += row->foreign_uwh;
    total->energy_micro += row->energy_micro;
    total->feed_in_micro += row->feed_in_micro;
    total->standing_micro += row->standing_micro;
    total->cost_micro += row->cost_micro;
}

static void print_heading(const struct answer *answer)
{
    if (answer->options->layout == LAYOUT_JSON)
        (void)printf("{\"currency\":\"%s\",\"rows\":[", answer->currency);
    else if (answer->options->layout == LAYOUT_CSV)
        (void)printf(
            "start,end,energy_kwh,energy_produced_kwh,unpriced_kwh,from_files_kwh,energy_cost,"
            "standing_charge,feed_in,cost,currency,coverage\n");
    else
        (void)printf("%-14s %11s %11s %11s %10s %10s %11s %9s\n", "from", "kWh", "produced",
                     "energy", "standing", "feed-in", answer->currency, "covered %");
}

static bool print_row(void *context, const struct history_cost_row *row)
{
    struct answer *answer = context;
    char buffer[1024], start[32];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    if (answer->first)
        print_heading(answer);
    if (answer->options->layout == LAYOUT_JSON) {
        text_append(&text, answer->first ? "\n" : ",\n");
        append_json_row(&text, row);
    } else if (answer->options->layout == LAYOUT_CSV) {
        append_csv_row(&text, row, answer->currency);
        text_append(&text, "\n");
    } else {
        append_table_row(&text, row, start_of(answer, row->start_ms, start));
        text_append(&text, "\n");
    }
    answer->first = false;
    add_up(&answer->total, row);
    return fputs(buffer, stdout) >= 0;
}

static void print_end(const struct answer *answer)
{
    char buffer[1024];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    if (answer->options->layout == LAYOUT_JSON) {
        append_json_row(&text, &answer->total);
        (void)printf("\n],\"total\":%s}\n", buffer);
    } else if (answer->options->layout == LAYOUT_TABLE) {
        append_table_row(&text, &answer->total, "sum");
        (void)puts(buffer);
    }
    if (answer->options->layout == LAYOUT_TABLE && answer->total.foreign_uwh != 0)
        (void)printf("%.3f kWh of it were imported from files.\n",
                     (double)answer->total.foreign_uwh / 1e9);
    if (answer->options->layout != LAYOUT_JSON && answer->total.unpriced_uwh != 0)
        (void)fprintf(stderr,
                      "For %.3f kWh no tariff holds; give one an earlier valid_from, or none.\n",
                      (double)answer->total.unpriced_uwh / 1e9);
}

/* ---- the command ---- */

static int64_t default_from(enum history_bucket bucket, int64_t to_ms)
{
    int count = bucket == BUCKET_DAY ? 7 : bucket == BUCKET_MONTH ? 12 : 5;
    int64_t from_ms = to_ms;
    for (int i = 0; i < count; i++)
        from_ms = bucket_start(bucket, from_ms - 1);
    return from_ms < 0 ? 0 : from_ms;
}

static enum status parse_span(const struct options *options, int64_t *from_ms, int64_t *to_ms,
                              struct error *error)
{
    enum status status = command_history_time("--to", options->to, to_ms, error);
    if (status == STATUS_OK && options->from == NULL)
        *from_ms = default_from(options->bucket, *to_ms);
    else if (status == STATUS_OK)
        status = command_history_time("--from", options->from, from_ms, error);
    return status;
}

static enum status answer_with(const char *path, const struct options *options,
                               const struct tariff *tariffs, size_t count, struct error *error)
{
    struct answer answer = {.options = options, .currency = tariffs[0].currency, .first = true};
    struct history_cost_question question = {.device = options->device,
                                             .channel = options->channel,
                                             .now_ms = clock_wall_ms(),
                                             .bucket = options->bucket,
                                             .tariffs = tariffs,
                                             .tariff_count = count};
    struct history_query *query = NULL;
    enum status status = parse_span(options, &question.from_ms, &question.to_ms, error);
    if (status == STATUS_OK)
        status = history_query_open(path, &query, error);
    if (status == STATUS_OK)
        status = history_query_cost(query, &question, print_row, &answer, error);
    history_query_close(query);
    if (status != STATUS_OK)
        return status;
    print_end(&answer);
    return command_flush(error);
}

static enum status answer_from(const struct config *config, const struct options *options,
                               struct error *error)
{
    if (config->tariff_count == 0)
        return error_set(error, STATUS_USAGE,
                         "The configuration has no tariffs; docs/history.md shows how they are "
                         "written, and `bl2mqtt check --print-defaults` lists the keys.");
    bucket_use_zone(config->history.time_zone, getenv("TZ"));
    struct tariff *tariffs = make_tariffs(config);
    char *path memory_auto = options->database != NULL ? memory_copy_text(options->database)
                                                       : command_history_of(config);
    enum status status = answer_with(path, options, tariffs, config->tariff_count, error);
    free_tariffs(tariffs, config->tariff_count);
    return status;
}

enum status command_history_cost(const struct command_context *context, int argc, char **argv)
{
    struct options options = {.to = "now", .bucket = BUCKET_MONTH};
    enum status status = parse(argc, argv, &options);
    if (status != STATUS_OK)
        return status;
    if (options.help) {
        print_help();
        return STATUS_OK;
    }
    struct error error = {""};
    struct config *config =
        command_config(context, "it says what energy costs. Correct it.", &error);
    if (config == NULL)
        return command_fail(NAME, STATUS_USAGE, &error);
    status = answer_from(config, &options, &error);
    config_free(config);
    return status == STATUS_OK ? STATUS_OK : command_fail(NAME, status, &error);
}
