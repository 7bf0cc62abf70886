/* SPDX-License-Identifier: MIT */
/* bl2mqtt history energy: kilowatt hours and watts per hour, day, month or year, from the history. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/buckets.h"
#include "bridge/history/query.h"
#include "bridge/history/time_text.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME "history energy"
#define BAR_WIDTH 24

struct options {
    const char *device;
    const char *channel;
    const char *from;
    const char *to;
    enum history_bucket bucket;
    bool json;
    bool csv;
    const char *database;
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
        "  --csv            comma separated values on stdout\n"
        "  --database FILE  the history file (default: history.path of the configuration)\n\n"
        "T is a date (2026-10-01, its beginning), a time (2026-10-01T14:30, with an offset if "
        "need\n"
        "be), now, today, yesterday or tomorrow.\n");
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

/* *help: --help was asked for. */
static enum status parse_options(int argc, char **argv, struct options *options, bool *help)
{
    static const struct option known[] = {
        {"device", required_argument, NULL, 'd'}, {"channel", required_argument, NULL, 'c'},
        {"from", required_argument, NULL, 'f'},   {"to", required_argument, NULL, 't'},
        {"bucket", required_argument, NULL, 'b'}, {"json", no_argument, NULL, 'j'},
        {"csv", no_argument, NULL, 'C'},          {"database", required_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    *options = (struct options){.to = "now", .bucket = BUCKET_DAY};
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (option) {
        case 'd':
            options->device = optarg;
            break;
        case 'c':
            options->channel = optarg;
            break;
        case 'f':
            options->from = optarg;
            break;
        case 't':
            options->to = optarg;
            break;
        case 'b':
            if (!parse_bucket(optarg, &options->bucket))
                return command_bad_value(NAME, "bucket", optarg, "hour, day, month or year");
            break;
        case 'j':
            options->json = true;
            break;
        case 'C':
            options->csv = true;
            break;
        case 'D':
            options->database = optarg;
            break;
        case 'h':
            *help = true;
            return STATUS_OK;
        default:
            return command_bad_option(NAME);
        }
    }
    if (optind < argc)
        return command_extra_word(NAME, argv[optind]);
    if (options->json && options->csv)
        return command_fail(NAME, STATUS_USAGE,
                            &(struct error){"Choose one of --json and --csv, not both."});
    if (options->device == NULL && !*help)
        return command_fail(NAME, STATUS_USAGE, &(struct error){"Say which device with --device."});
    return STATUS_OK;
}

/* A day of hours, a week of days, a year of months, ten years, with the one that is not over as the last. */
static int64_t default_from(enum history_bucket bucket, int64_t to_ms)
{
    static const int counts[] = {
        [BUCKET_HOUR] = 24, [BUCKET_DAY] = 7, [BUCKET_MONTH] = 12, [BUCKET_YEAR] = 10};
    int64_t from_ms = to_ms;
    for (int i = 0; i < counts[bucket]; i++)
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

/* The bars need the greatest value first. */
struct table {
    enum history_bucket bucket;
    struct history_energy_row *rows;
    size_t count;
    size_t capacity;
    int64_t greatest_uwh;
    bool produced;
    bool range;
};

static bool keep_row(void *context, const struct history_energy_row *row)
{
    struct table *table = context;
    /* Bounded by HISTORY_BUCKETS_MAX. */
    table->rows = memory_grow(table->rows, table->count, &table->capacity, sizeof *table->rows);
    table->rows[table->count++] = *row;
    if (row->imported_uwh > table->greatest_uwh)
        table->greatest_uwh = row->imported_uwh;
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

static void append_start(struct text *text, enum history_bucket bucket, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local = {0};
    char buffer[64] = "";
    (void)localtime_r(&seconds, &local); /* the span was checked to be within years that exist */
    size_t length = 0;
    if (bucket == BUCKET_HOUR)
        length = strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M %Z", &local);
    else if (bucket == BUCKET_DAY)
        length = strftime(buffer, sizeof buffer, "%Y-%m-%d %a", &local);
    else if (bucket == BUCKET_MONTH)
        length = strftime(buffer, sizeof buffer, "%Y-%m", &local);
    else
        length = strftime(buffer, sizeof buffer, "%Y", &local);
    text_append(text, "%-*s", start_width(bucket), length == 0 ? "?" : buffer);
}

static void append_column(struct text *text, int width, bool known, int64_t value, unsigned scale,
                          unsigned decimals)
{
    char buffer[64];
    struct text number;
    text_init(&number, buffer, sizeof buffer);
    if (known)
        text_append_decimal(&number, value, scale, decimals, false);
    else
        text_append(&number, "-");
    text_append(text, " %*s", width, buffer);
}

static bool terminal_speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
    }
    return false;
}

static void append_bar(struct text *text, int64_t value, int64_t greatest, bool utf8)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    if (greatest <= 0 || value <= 0)
        return;
    int length = (int)((__int128)value * BAR_WIDTH * 8 / greatest);
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
    if (table->greatest_uwh > 0) {
        text_append(&text, "  full bar: ");
        text_append_decimal(&text, table->greatest_uwh, 9, 3, true);
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
    bool utf8 = terminal_speaks_utf8();
    bool foreign = false;
    for (size_t i = 0; i < table->count; i++)
        foreign = foreign || has_foreign(&table->rows[i]);
    print_heading(table);
    for (size_t i = 0; i < table->count; i++) {
        const struct history_energy_row *row = &table->rows[i];
        char buffer[512];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        append_start(&text, table->bucket, row->start_ms);
        append_column(&text, 11, row->measured, row->imported_uwh, 9, 3);
        if (table->produced)
            append_column(&text, 11, row->measured, row->exported_uwh, 9, 3);
        if (table->range)
            append_column(&text, 10, row->power_range_known, row->power_min_mw, 3, 1);
        append_column(&text, 10, row->power_known, row->power_mean_mw, 3, 1);
        if (table->range)
            append_column(&text, 10, row->power_range_known, row->power_max_mw, 3, 1);
        append_column(&text, 9, true, row->coverage_permille, 1, 1);
        text_append(&text, has_foreign(row) ? " *" : foreign ? "  " : "");
        append_bar(&text, row->imported_uwh, table->greatest_uwh, utf8);
        (void)puts(buffer);
    }
    if (foreign)
        (void)puts("* with energy that was imported from files");
}

/* ---- the command ---- */

static enum status answer(struct history_query *query, const struct options *options,
                          struct error *error)
{
    int64_t from_ms = 0;
    int64_t to_ms = 0;
    enum status status = parse_span(options, &from_ms, &to_ms, error);
    if (status != STATUS_OK)
        return status;
    bool first = true;
    bool as_table = !options->json && !options->csv;
    struct table table = {.bucket = options->bucket};
    status = history_query_energy(query, options->device, options->channel, from_ms, to_ms,
                                  options->bucket,
                                  options->json  ? print_json_row
                                  : options->csv ? print_csv_row
                                                 : keep_row,
                                  as_table ? (void *)&table : (void *)&first, error);
    if (status == STATUS_OK && options->json)
        (void)puts("\n]");
    if (status == STATUS_OK && as_table)
        print_table(&table);
    free(table.rows);
    return status == STATUS_OK ? command_flush(error) : status;
}

enum status command_history_energy(const struct command_context *context, int argc, char **argv)
{
    struct options options = {0};
    struct error error = {""};
    bool help = false;
    enum status status = parse_options(argc, argv, &options, &help);
    if (status != STATUS_OK)
        return status;
    if (help) {
        print_help();
        return STATUS_OK;
    }
    char *path memory_auto = NULL;
    struct history_query *query = NULL;
    status = command_history_path(context, options.database, &path, &error);
    if (status == STATUS_OK)
        status = history_query_open(path, &query, &error);
    if (status == STATUS_OK)
        status = answer(query, &options, &error);
    history_query_close(query);
    return status == STATUS_OK ? status : command_fail(NAME, status, &error);
}
