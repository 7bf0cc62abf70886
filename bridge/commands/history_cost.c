/* SPDX-License-Identifier: MIT */
/* bl2mqtt history cost: money per day, month or year, from the history and the tariffs of bridge.yaml. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/commands/history_print.h"
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/cost.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "history cost"

struct options {
    struct history_asked asked;
    enum history_bucket bucket;
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
        "  --csv            comma-separated values\n" HISTORY_DATABASE_HELP HISTORY_TIMES_HELP);
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

static enum status parse(int argc, char **argv, struct options *options)
{
    const char *bucket = "month";
    const struct words_row own[] = {
        {"bucket", &bucket, NULL},
        {"json", NULL, &options->asked.json},
        {"csv", NULL, &options->asked.csv},
        {NULL, NULL, NULL},
    };
    enum status status = command_history_parse(&options->asked, own, argc, argv);
    return status == STATUS_OK && !options->asked.help ? take_bucket(options, bucket) : status;
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

static void append_table_row(struct text *text, const struct history_cost_row *row,
                             const char *start)
{
    text_append(text, "%-14s", start);
    history_print_column(text, 11, true, row->imported_uwh, 9, 3);
    history_print_column(text, 11, true, row->exported_uwh, 9, 3);
    history_print_column(text, 11, true, row->energy_micro, 6, 2);
    history_print_column(text, 10, true, row->standing_micro, 6, 2);
    history_print_column(text, 10, true, row->feed_in_micro, 6, 2);
    history_print_column(text, 11, true, row->cost_micro, 6, 2);
    history_print_column(text, 9, true, row->coverage_permille, 1, 1);
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
    if (answer->options->asked.json)
        (void)printf("{\"currency\":\"%s\",\"rows\":[", answer->currency);
    else if (answer->options->asked.csv)
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
    char buffer[1024], start[HISTORY_PRINT_SIZE];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    if (answer->first)
        print_heading(answer);
    if (answer->options->asked.json) {
        text_append(&text, answer->first ? "\n" : ",\n");
        append_json_row(&text, row);
    } else if (answer->options->asked.csv) {
        append_csv_row(&text, row, answer->currency);
        text_append(&text, "\n");
    } else {
        append_table_row(&text, row,
                         history_print_start(answer->options->bucket, row->start_ms, start));
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
    bool as_table = !answer->options->asked.json && !answer->options->asked.csv;
    if (answer->options->asked.json) {
        append_json_row(&text, &answer->total);
        (void)printf("\n],\"total\":%s}\n", buffer);
    } else if (as_table) {
        append_table_row(&text, &answer->total, "sum");
        (void)puts(buffer);
    }
    if (as_table && answer->total.foreign_uwh != 0)
        (void)printf("%.3f kWh of it were imported from files.\n",
                     (double)answer->total.foreign_uwh / 1e9);
    if (!answer->options->asked.json && answer->total.unpriced_uwh != 0)
        (void)fprintf(stderr,
                      "For %.3f kWh no tariff holds; give one an earlier valid_from, or none.\n",
                      (double)answer->total.unpriced_uwh / 1e9);
}

/* ---- the command ---- */

static enum status answer_with(const char *path, const struct options *options,
                               const struct tariff *tariffs, size_t count, struct error *error)
{
    struct answer answer = {.options = options, .currency = tariffs[0].currency, .first = true};
    struct history_cost_question question = {.device = options->asked.device,
                                             .channel = options->asked.channel,
                                             .now_ms = clock_wall_ms(),
                                             .bucket = options->bucket,
                                             .tariffs = tariffs,
                                             .tariff_count = count};
    struct history_query *query = NULL;
    int buckets = options->bucket == BUCKET_DAY ? 7 : options->bucket == BUCKET_MONTH ? 12 : 5;
    enum status status = command_history_span_of(&options->asked, options->bucket, buckets,
                                                 &question.from_ms, &question.to_ms, error);
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
    char *path memory_auto = options->asked.database != NULL
                                 ? memory_copy_text(options->asked.database)
                                 : command_history_of(config);
    enum status status = answer_with(path, options, tariffs, config->tariff_count, error);
    free_tariffs(tariffs, config->tariff_count);
    return status;
}

enum status command_history_cost(const struct command_context *context, int argc, char **argv)
{
    struct options options = {
        .asked = {
            .command = NAME, .needs = HISTORY_NEEDS_DEVICE, .print_help = print_help, .to = "now"}};
    enum status status = parse(argc, argv, &options);
    if (status != STATUS_OK || options.asked.help)
        return status;
    struct error error = {""};
    struct config *config =
        command_config(context, "it says what energy costs. Correct it.", &error);
    if (config == NULL)
        return command_fail(NAME, STATUS_USAGE, &error);
    status = answer_from(config, &options, &error);
    config_free(config);
    return status == STATUS_OK ? STATUS_OK : command_fail(NAME, status, &error);
}
