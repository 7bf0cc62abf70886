/* SPDX-License-Identifier: MIT */
/* bl2mqtt history energy: kilowatt hours and watts per hour, day, month or year, from the history. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/commands/history_print.h"
#include "bridge/history/query/energy.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"
#include "drivers/base/wide.h"

#include <stdio.h>
#include <string.h>

#define NAME "history energy"
#define BAR_WIDTH 24

struct options {
    struct history_asked asked;
    enum history_bucket bucket;
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt history energy --device D [OPTION...]\n\n"
        "Energy and power per hour, day, month or year; the service may run.\n\n"
        "  --device D       the device's id in bridge.yaml\n"
        "  --channel C      one channel of it; without: the sum over its channels\n"
        "  --from T         begin (default: 24 hours, 7 days, 12 months or 10 years up to now)\n"
        "  --to T           end, not included (default: now)\n"
        "  --bucket B       hour, day (default), month or year\n"
        "  --json           one JSON list on stdout\n"
        "  --csv            comma separated values on stdout\n" HISTORY_DATABASE_HELP
            HISTORY_TIMES_HELP);
}

static bool parse_bucket(const char *text, enum history_bucket *bucket)
{
    static const char *const names[] = {"hour", "day", "month", "year"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *bucket = (enum history_bucket)i;
            return true;
        }
    }
    return false;
}

static enum status parse(int argc, char **argv, struct options *options)
{
    const char *bucket = "day";
    const struct words_row own[] = {
        {"bucket", &bucket, NULL},
        {"json", NULL, &options->asked.json},
        {"csv", NULL, &options->asked.csv},
        {NULL, NULL, NULL},
    };
    enum status status = command_history_parse(&options->asked, own, argc, argv);
    if (status == STATUS_OK && !options->asked.help && !parse_bucket(bucket, &options->bucket))
        return command_bad_value(NAME, "bucket", bucket, "hour, day, month or year");
    return status;
}

/* A day of hours, a week of days, a year of months, ten years. */
static int usual_count(enum history_bucket bucket)
{
    static const int counts[] = {
        [BUCKET_HOUR] = 24, [BUCKET_DAY] = 7, [BUCKET_MONTH] = 12, [BUCKET_YEAR] = 10};
    return counts[bucket];
}

/* ---- JSON ---- */

static void append_number(struct text *text, const char *key, bool known, int64_t value,
                          unsigned scale)
{
    text_append(text, ",\"%s\":", key);
    if (known)
        text_append_decimal(text, value, scale, scale, false);
    else
        text_append(text, "null");
}

/* Whether some of the energy was not measured here. */
static bool has_foreign(const struct history_energy_row *row)
{
    return row->foreign_imported_uwh > 0 || row->foreign_exported_uwh > 0;
}

/* Rows are written as they come: a question about years needs no more memory than one about hours.
 * Numbers are written from integers, so that microwatt hours add up. */
static bool print_json_row(void *context, const struct history_energy_row *row)
{
    bool *first = context;
    char buffer[512];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, "%s\n{\"start\":\"", *first ? "[" : ",");
    time_text_append(&text, row->start_ms);
    text_append(&text, "\",\"end\":\"");
    time_text_append(&text, row->end_ms);
    text_append(&text, "\"");
    append_number(&text, "energy_kwh", row->measured, row->imported_uwh, 9);
    append_number(&text, "energy_produced_kwh", row->measured, row->exported_uwh, 9);
    append_number(&text, "power_min_w", row->power_range_known, row->power_min_mw, 3);
    append_number(&text, "power_mean_w", row->power_known, row->power_mean_mw, 3);
    append_number(&text, "power_max_w", row->power_range_known, row->power_max_mw, 3);
    append_number(&text, "coverage", true, row->coverage_permille, 3);
    if (has_foreign(row)) { /* only then: nearly nobody has any */
        append_number(&text, "energy_from_files_kwh", true, row->foreign_imported_uwh, 9);
        append_number(&text, "energy_produced_from_files_kwh", true, row->foreign_exported_uwh, 9);
    }
    text_append(&text, "}");
    *first = false;
    return fputs(buffer, stdout) >= 0;
}

/* ---- CSV ---- */

static void append_field(struct text *text, bool known, int64_t value, unsigned scale)
{
    text_append(text, ",");
    if (known)
        text_append_decimal(text, value, scale, scale, false);
}

static bool print_csv_row(void *context, const struct history_energy_row *row)
{
    bool *first = context;
    char buffer[512];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    if (*first)
        text_append(&text, "start,end,energy_kwh,energy_produced_kwh,power_min_w,power_mean_w,"
                           "power_max_w,coverage,energy_from_files_kwh,"
                           "energy_produced_from_files_kwh\n");
    *first = false;
    time_text_append(&text, row->start_ms);
    text_append(&text, ",");
    time_text_append(&text, row->end_ms);
    append_field(&text, row->measured, row->imported_uwh, 9);
    append_field(&text, row->measured, row->exported_uwh, 9);
    append_field(&text, row->power_range_known, row->power_min_mw, 3);
    append_field(&text, row->power_known, row->power_mean_mw, 3);
    append_field(&text, row->power_range_known, row->power_max_mw, 3);
    append_field(&text, true, row->coverage_permille, 3);
    append_field(&text, row->measured, row->foreign_imported_uwh, 9);
    append_field(&text, row->measured, row->foreign_exported_uwh, 9);
    return puts(buffer) >= 0;
}

/* ---- table ---- */

/* The bars need the maximum value first. */
struct table {
    enum history_bucket bucket;
    struct history_energy_row *rows;
    size_t count;
    size_t capacity;
    int64_t maximum_uwh;
    bool produced;
    bool range;
};

static bool keep_row(void *context, const struct history_energy_row *row)
{
    struct table *table = context;
    /* Bounded by HISTORY_BUCKETS_MAX. */
    table->rows = memory_grow(table->rows, table->count, &table->capacity, sizeof *table->rows);
    table->rows[table->count++] = *row;
    if (row->imported_uwh > table->maximum_uwh)
        table->maximum_uwh = row->imported_uwh;
    table->produced = table->produced || row->exported_uwh > 0;
    table->range = table->range || row->power_range_known;
    return true;
}

static int start_width(enum history_bucket bucket)
{
    static const int widths[] = {
        [BUCKET_HOUR] = 22, [BUCKET_DAY] = 14, [BUCKET_MONTH] = 8, [BUCKET_YEAR] = 6};
    return widths[bucket];
}

static void append_bar(struct text *text, int64_t value, int64_t maximum, bool utf8)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    if (maximum <= 0 || value <= 0)
        return;
    int length = (int)wide_scale(value, BAR_WIDTH * 8, maximum);
    text_append(text, "  ");
    for (int i = 0; i < length / 8; i++)
        text_append(text, "%s", utf8 ? "█" : "#");
    if (utf8)
        text_append(text, "%s", eighths[length % 8]);
}

/* What a full bar stands for. */
static void print_legend(const struct table *table)
{
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    if (table->maximum_uwh > 0) {
        text_append(&text, "  full bar: ");
        text_append_decimal(&text, table->maximum_uwh, 9, 3, false); /* as in its row */
        text_append(&text, " kWh");
    }
    (void)puts(buffer);
}

static void print_heading(const struct table *table)
{
    (void)printf("%-*s %11s", start_width(table->bucket), "from", "kWh");
    if (table->produced)
        (void)printf(" %11s", "produced");
    if (table->range)
        (void)printf(" %10s", "least W");
    (void)printf(" %10s", "mean W");
    if (table->range)
        (void)printf(" %10s", "most W");
    (void)printf(" %9s", "covered %");
    print_legend(table);
}

static void print_table(const struct table *table)
{
    bool utf8 = history_print_utf8();
    bool foreign = false;
    for (size_t i = 0; i < table->count; i++)
        foreign = foreign || has_foreign(&table->rows[i]);
    print_heading(table);
    for (size_t i = 0; i < table->count; i++) {
        const struct history_energy_row *row = &table->rows[i];
        char buffer[512], start[HISTORY_PRINT_SIZE];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        text_append(&text, "%-*s", start_width(table->bucket),
                    history_print_start(table->bucket, row->start_ms, start));
        history_print_column(&text, 11, row->measured, row->imported_uwh, 9, 3);
        if (table->produced)
            history_print_column(&text, 11, row->measured, row->exported_uwh, 9, 3);
        if (table->range)
            history_print_column(&text, 10, row->power_range_known, row->power_min_mw, 3, 1);
        history_print_column(&text, 10, row->power_known, row->power_mean_mw, 3, 1);
        if (table->range)
            history_print_column(&text, 10, row->power_range_known, row->power_max_mw, 3, 1);
        history_print_column(&text, 9, true, row->coverage_permille, 1, 1);
        text_append(&text, has_foreign(row) ? " *" : foreign ? "  " : "");
        append_bar(&text, row->imported_uwh, table->maximum_uwh, utf8);
        (void)puts(buffer);
    }
    if (foreign)
        (void)puts("* with energy that was imported from files");
}

/* ---- the command ---- */

static enum status answer_query(struct history_query *query, const struct options *options,
                                struct error *error)
{
    const struct history_asked *asked = &options->asked;
    int64_t from_ms = 0;
    int64_t to_ms = 0;
    enum status status = command_history_span_of(
        asked, options->bucket, usual_count(options->bucket), &from_ms, &to_ms, error);
    if (status != STATUS_OK)
        return status;
    bool first = true;
    bool as_table = !asked->json && !asked->csv;
    struct table table = {.bucket = options->bucket};
    status =
        history_query_energy(query, asked->device, asked->channel, from_ms, to_ms, options->bucket,
                             asked->json  ? print_json_row
                             : asked->csv ? print_csv_row
                                          : keep_row,
                             as_table ? (void *)&table : (void *)&first, error);
    if (status == STATUS_OK && asked->json)
        (void)puts("\n]");
    if (status == STATUS_OK && as_table)
        print_table(&table);
    free(table.rows);
    return status == STATUS_OK ? command_flush(error) : status;
}

static enum status answer(const char *path, const void *own, struct error *error)
{
    struct history_query *query = NULL;
    enum status status = history_query_open(path, &query, error);
    if (status == STATUS_OK)
        status = answer_query(query, own, error);
    history_query_close(query);
    return status;
}

enum status command_history_energy(const struct command_context *context, int argc, char **argv)
{
    struct options options = {
        .asked = {
            .command = NAME, .needs = HISTORY_NEEDS_DEVICE, .print_help = print_help, .to = "now"}};
    enum status status = parse(argc, argv, &options);
    if (status != STATUS_OK || options.asked.help)
        return status;
    return command_history_answer(context, &options.asked, answer, &options);
}
