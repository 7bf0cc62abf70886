/* SPDX-License-Identifier: MIT */
/* bl2mqtt history import: energy that others counted, from their files. See bl2mqtt-history-import(1). */
#include "bridge/commands/history_imports.h"
#include "bridge/commands/history_options.h"
#include "bridge/commands/history_print.h"
#include "bridge/history/import/foreign_import.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME "history import"

struct options {
    struct history_asked asked;
    const char *file, *source;
    int format;  /* index in formats, as enum foreign_format */
    int unit;    /* index in units */
    int values;  /* as enum foreign_kind */
    int dates;   /* as enum foreign_date_order */
    int decimal; /* index in decimals */
    double max_power_w;
    bool produced, fill_gaps, dry_run, list;
    int64_t undo; /* 0: not asked for */
};

static const char *const formats[] = {"auto", "bl2mqtt", "ha", "kwh", NULL};
static const char *const units[] = {"kWh", "Wh", NULL};
static const char *const kinds[] = {"auto", "total", "interval", NULL};
static const char *const date_orders[] = {"auto", "ymd", "dmy", "mdy", NULL};
static const char *const decimals[] = {"auto", "point", "comma", NULL};

/* A file without energy has no span. */
static const char *span_of(const struct foreign_parsed *parsed, int64_t wall_ms,
                           char buffer[HISTORY_PRINT_SIZE])
{
    return parsed->last_ms == 0 ? NULL : history_print_time(wall_ms, buffer);
}

static const char *buckets_word(int64_t count)
{
    return COMMAND_PLURAL(count, "bucket", "buckets");
}

static double kwh(int64_t uwh)
{
    return (double)uwh / 1e9;
}

/* ---- an import ---- */

static enum status print_json(const struct options *options,
                              const struct foreign_import_report *report)
{
    const struct foreign_parsed *parsed = &report->parsed;
    char first[HISTORY_PRINT_SIZE], last[HISTORY_PRINT_SIZE];
    json_t *rows = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "used", (json_int_t)parsed->rows, "unreadable",
        (json_int_t)parsed->unreadable, "other_sources", (json_int_t)parsed->others, "unsorted",
        (json_int_t)parsed->unsorted, "glitches", (json_int_t)parsed->glitches, "resets",
        (json_int_t)parsed->resets, "jumps", (json_int_t)parsed->jumps);
    json_t *quarters =
        json_pack("{s:I, s:I, s:I, s:I}", "new", (json_int_t)report->quarters_new, "raised",
                  (json_int_t)report->quarters_raised, "known", (json_int_t)report->quarters_same,
                  "measured", (json_int_t)report->quarters_measured);
    return command_print_json(
        NAME,
        json_pack("{s:s, s:s, s:s, s:b, s:o, s:s?, s:s?, s:o, s:o, s:f, s:f, s:f}", "file",
                  options->file, "format", foreign_format_name(parsed->format), "values",
                  parsed->intervals ? "interval" : "total", "dry_run", (int)options->dry_run, "id",
                  report->id == 0 ? json_null() : json_integer(report->id), "from",
                  span_of(parsed, parsed->first_ms, first), "to",
                  span_of(parsed, parsed->last_ms, last), "rows", rows, "quarters", quarters,
                  "new_kwh", kwh(report->new_uwh), "known_kwh", kwh(report->same_uwh),
                  "measured_kwh", kwh(report->measured_uwh)),
        JSON_INDENT(2));
}

static void print_count(int64_t count, const char *one, const char *many)
{
    if (count > 0)
        (void)printf("  %" PRId64 " %s\n", count, COMMAND_PLURAL(count, one, many));
}

static enum status print_text(const struct options *options,
                              const struct foreign_import_report *report, struct error *error)
{
    const struct foreign_parsed *parsed = &report->parsed;
    char first[HISTORY_PRINT_SIZE], last[HISTORY_PRINT_SIZE];
    (void)printf("%s, format %s%s", options->file, foreign_format_name(parsed->format),
                 parsed->intervals ? " (each value is what was consumed)" : "");
    if (parsed->last_ms != 0)
        (void)printf(", %s to %s", history_print_time(parsed->first_ms, first),
                     history_print_time(parsed->last_ms, last));
    (void)printf(":\n");
    print_count(parsed->rows, "row with a time and a value", "rows with a time and a value");
    print_count(parsed->unreadable, "row without", "rows without");
    print_count(parsed->others, "row of another source", "rows of other sources");
    print_count(parsed->unsorted, "row that is not later than the one before, left out",
                "rows that are not later than the one before, left out");
    print_count(parsed->glitches, "single value that cannot be, left out",
                "single values that cannot be, left out");
    print_count(parsed->resets, "time the counter began anew", "times the counter began anew");
    print_count(parsed->jumps, "jump of the counter that is no energy",
                "jumps of the counter that are no energy");
    int64_t new_buckets = report->quarters_new + report->quarters_raised;
    (void)printf("%s %.3f kWh in %" PRId64 " 15-minute %s.\n",
                 options->dry_run ? "New would be" : "New in the history are", kwh(report->new_uwh),
                 new_buckets, buckets_word(new_buckets));
    if (report->quarters_same > 0)
        (void)printf("It had %.3f kWh in %" PRId64 " 15-minute %s already.\n",
                     kwh(report->same_uwh), report->quarters_same,
                     buckets_word(report->quarters_same));
    if (report->quarters_measured > 0)
        (void)printf("%.3f kWh in %" PRId64
                     " 15-minute %s left out: there are readings of that time.\n",
                     kwh(report->measured_uwh), report->quarters_measured,
                     report->quarters_measured == 1 ? "bucket is" : "buckets are");
    if (report->id != 0)
        (void)printf("`bl2mqtt history import --undo %" PRId64 "` takes it out again.\n",
                     report->id);
    return command_flush(error);
}

static enum status import(const struct options *options, const char *path, struct error *error)
{
    struct foreign_import_report report;
    const struct foreign_import_options import = {
        .path = path,
        .file = options->file,
        .device = options->asked.device,
        .channel = options->asked.channel,
        .produced = options->produced,
        .fill_gaps = options->fill_gaps,
        .dry_run = options->dry_run,
        .parse = {.format = (enum foreign_format)options->format,
                  .source = options->source,
                  .watt_hours = options->unit == 1,
                  .max_power_w = options->max_power_w,
                  .kind = (enum foreign_kind)options->values,
                  .date_order = (enum foreign_date_order)options->dates,
                  .decimal = options->decimal == 0   ? '\0'
                             : options->decimal == 1 ? '.'
                                                     : ','},
    };
    enum status status = foreign_import(&import, &report, error);
    if (status != STATUS_OK)
        return status;
    return options->asked.json ? print_json(options, &report) : print_text(options, &report, error);
}

/* ---- the command ---- */

static enum status check(const struct options *options, struct error *error)
{
    if ((options->list || options->undo != 0) && options->file != NULL)
        return error_set(error, STATUS_USAGE, "\"%.200s\" is one word too many: %s takes no file.",
                         options->file, options->list ? "--list" : "--undo");
    if (options->list || options->undo != 0)
        return STATUS_OK;
    if (options->file == NULL)
        return error_set(error, STATUS_USAGE, "Say which file to import; - is standard input.");
    if (options->asked.device == NULL || options->asked.channel == NULL)
        return error_set(error, STATUS_USAGE,
                         "Say whose energy it is, with --device and --channel.");
    return STATUS_OK;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {""};
    char *path memory_auto = NULL;
    enum status status = check(options, &error);
    if (status == STATUS_OK)
        status = command_history_path(context, options->asked.database, &path, &error);
    if (status == STATUS_OK && options->list)
        status = history_imports_list(path, options->asked.json, &error);
    else if (status == STATUS_OK && options->undo != 0)
        status = history_imports_undo(path, options->undo, options->asked.json, &error);
    else if (status == STATUS_OK)
        status = import(options, path, &error);
    return command_end(NAME, status, &error);
}

/* clang-format off */
static const struct option_row rows[] = {
    {.name = "FILE", .kind = OPTION_OPERAND, .at = offsetof(struct options, file), .file = true,
     .help = "the file; - is standard input"},
    HISTORY_DEVICE_ROW(NULL, "the device whose energy it is"),
    HISTORY_CHANNEL_ROW(NULL, "its channel"),
    {.name = "format", .kind = OPTION_CHOICE, .argument = "F",
     .at = offsetof(struct options, format), .choices = formats, .preset = "auto",
     .help = "bl2mqtt is CSV of history export; ha is Home Assistant's statistics, JSON or CSV "
             "with start and sum; kwh is CSV of a counter, time and total"},
    {.name = "source", .argument = "S", .at = offsetof(struct options, source),
     .help = "which of several in the file: DEVICE/CHANNEL, or a statistic's id"},
    {.name = "unit", .kind = OPTION_CHOICE, .argument = "U", .at = offsetof(struct options, unit),
     .choices = units, .preset = "kWh", .help = "where the file does not say"},
    {.name = "values", .kind = OPTION_CHOICE, .argument = "V",
     .at = offsetof(struct options, values), .choices = kinds, .preset = "auto",
     .help = "total: what a counter shows; interval: what was consumed from each row's time on"},
    {.name = "date-format", .kind = OPTION_CHOICE, .argument = "O",
     .at = offsetof(struct options, dates), .choices = date_orders, .preset = "auto",
     .help = "the order of year, month and day in dates such as 05/06/2026"},
    {.name = "decimal", .kind = OPTION_CHOICE, .argument = "M",
     .at = offsetof(struct options, decimal), .choices = decimals, .preset = "auto",
     .help = "the mark in front of the decimals of a number"},
    {.name = "produced", .kind = OPTION_FLAG, .at = offsetof(struct options, produced),
     .help = "it is energy that was fed back"},
    {.name = "max-power", .kind = OPTION_NUMBER, .argument = "W",
     .at = offsetof(struct options, max_power_w), .low = 1, .high = 1e9, .preset = "100000",
     .wanted = "watts from 1 to 1000000000", .help = "a counter that rises faster did not count"},
    {.name = "fill-gaps", .kind = OPTION_FLAG, .at = offsetof(struct options, fill_gaps),
     .help = "also into 15-minute buckets without readings after the first reading"},
    {.name = "dry-run", .kind = OPTION_FLAG, .at = offsetof(struct options, dry_run),
     .help = "only say what would be done"},
    {.name = "list", .kind = OPTION_FLAG, .at = offsetof(struct options, list),
     .help = "list the imports that were made"},
    {.name = "undo", .kind = OPTION_INTEGER, .argument = "ID",
     .at = offsetof(struct options, undo), .low = 1, .high = 9e18,
     .wanted = "the id of an import, see --list", .help = "take one out again"},
    {.name = NULL},
};
/* clang-format on */

const struct command command_history_import = {
    .line =
        {.name = NAME,
         .summary = "energy that others counted, from their files",
         .purpose =
             "Puts energy that others counted into the history, all of a file or nothing. It is "
             "added to the answers of history energy and history cost and marked there; totals "
             "do not change. What was measured here has precedence. Importing twice changes "
             "nothing. The service may run.",
         .usage = "--list | --undo ID",
         .tables = {rows, history_json_rows, history_database_rows},
         .size = sizeof(struct options)},
    .run = run,
};
