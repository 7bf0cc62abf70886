/* SPDX-License-Identifier: MIT */
/* bl2mqtt history import: energy that others counted, from their files. */
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/commands/history_print.h"
#include "bridge/history/import/foreign_import.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME "history import"
#define MAX_POWER_W 100000

struct options {
    struct foreign_import_options import;
    bool json;
    bool list;
    int64_t undo; /* 0: not asked for */
    const char *database;
    bool help;
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt history import FILE --device D --channel C [OPTION...]\n"
        "       bl2mqtt history import --list | --undo ID\n\n"
        "Puts energy that others counted into the history, all of a file or nothing; the service "
        "may\n"
        "run. It is added to the answers of history energy and history cost and marked there; "
        "totals\n"
        "do not change. What was measured here goes first. Importing twice changes nothing.\n\n"
        "  --device D       the device whose energy it is\n"
        "  --channel C      its channel\n"
        "  --format F       auto (default); bl2mqtt: CSV of history export; ha: Home Assistant's\n"
        "                   statistics, JSON or CSV with start and sum; kwh: CSV of a counter, "
        "time\n"
        "                   and total\n"
        "  --source S       which of several in the file: DEVICE/CHANNEL, or a statistic's id\n"
        "  --unit U         kWh (default) or Wh, where the file does not say\n"
        "  --produced       it is energy fed back\n"
        "  --max-power W    a counter that rises faster did not count (default %d)\n"
        "  --fill-gaps      also into quarters of an hour without readings after the first one\n"
        "  --dry-run        only say what would be done\n"
        "  --list           the imports that were made\n"
        "  --undo ID        take one out again\n"
        "  --json           one JSON document on stdout\n"
        "  --database FILE  the history file (default: history.path of the configuration)\n",
        MAX_POWER_W);
}

static enum status take_format(struct options *options, const char *text)
{
    for (int i = FOREIGN_AUTO; i <= FOREIGN_KWH; i++) {
        if (strcmp(text, foreign_format_name((enum foreign_format)i)) != 0)
            continue;
        options->import.parse.format = (enum foreign_format)i;
        return STATUS_OK;
    }
    return command_bad_value(NAME, "format", text, "auto, bl2mqtt, ha or kwh");
}

static enum status take_unit(struct options *options, const char *text)
{
    options->import.parse.watt_hours = strcasecmp(text, "Wh") == 0;
    if (options->import.parse.watt_hours || strcasecmp(text, "kWh") == 0)
        return STATUS_OK;
    return command_bad_value(NAME, "unit", text, "kWh or Wh");
}

/* Those with a value. */
static enum status take_value(int option, struct options *options)
{
    switch (option) {
    case 'd':
        options->import.device = optarg;
        return STATUS_OK;
    case 'c':
        options->import.channel = optarg;
        return STATUS_OK;
    case 's':
        options->import.parse.source = optarg;
        return STATUS_OK;
    case 'F':
        return take_format(options, optarg);
    case 'u':
        return take_unit(options, optarg);
    case 'm':
        if (number_parse_double(optarg, strlen(optarg), 1, 1e9, &options->import.parse.max_power_w))
            return STATUS_OK;
        return command_bad_value(NAME, "max-power", optarg, "watts from 1 to 1000000000");
    case 'U':
        if (number_parse_int(optarg, strlen(optarg), 1, INT64_MAX, &options->undo))
            return STATUS_OK;
        return command_bad_value(NAME, "undo", optarg, "the id of an import, see --list");
    case 'D':
        options->database = optarg;
        return STATUS_OK;
    default:
        return command_bad_option(NAME);
    }
}

static enum status take_option(int option, struct options *options)
{
    switch (option) {
    case 'p':
        options->import.produced = true;
        return STATUS_OK;
    case 'g':
        options->import.fill_gaps = true;
        return STATUS_OK;
    case 'n':
        options->import.dry_run = true;
        return STATUS_OK;
    case 'l':
        options->list = true;
        return STATUS_OK;
    case 'j':
        options->json = true;
        return STATUS_OK;
    case 'h':
        options->help = true;
        return STATUS_OK;
    default:
        return take_value(option, options);
    }
}

static enum status complete(int argc, char **argv, struct options *options)
{
    struct error error = {""};
    if (options->list || options->undo != 0)
        return optind < argc ? command_extra_word(NAME, argv[optind]) : STATUS_OK;
    if (argc - optind > 1)
        return command_extra_word(NAME, argv[optind + 1]);
    if (optind == argc)
        (void)error_set(&error, STATUS_USAGE, "Say which file to import; - is standard input.");
    else if (options->import.device == NULL || options->import.channel == NULL)
        (void)error_set(&error, STATUS_USAGE,
                        "Say whose energy it is, with --device and --channel.");
    else
        options->import.file = argv[optind];
    return error.text[0] == '\0' ? STATUS_OK : command_fail(NAME, STATUS_USAGE, &error);
}

static enum status parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"device", required_argument, NULL, 'd'},
        {"channel", required_argument, NULL, 'c'},
        {"format", required_argument, NULL, 'F'},
        {"source", required_argument, NULL, 's'},
        {"unit", required_argument, NULL, 'u'},
        {"produced", no_argument, NULL, 'p'},
        {"max-power", required_argument, NULL, 'm'},
        {"fill-gaps", no_argument, NULL, 'g'},
        {"dry-run", no_argument, NULL, 'n'},
        {"list", no_argument, NULL, 'l'},
        {"undo", required_argument, NULL, 'U'},
        {"json", no_argument, NULL, 'j'},
        {"database", required_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while (!options->help && (option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        enum status status = take_option(option, options);
        if (status != STATUS_OK)
            return status;
    }
    return options->help ? STATUS_OK : complete(argc, argv, options);
}

/* A file without energy has no span. */
static const char *span_of(const struct foreign_parsed *parsed, int64_t wall_ms,
                           char buffer[HISTORY_PRINT_SIZE])
{
    return parsed->last_ms == 0 ? NULL : history_print_time(wall_ms, buffer);
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
        json_pack("{s:s, s:s, s:b, s:o, s:s?, s:s?, s:o, s:o, s:f, s:f, s:f}", "file",
                  options->import.file, "format", foreign_format_name(parsed->format), "dry_run",
                  (int)options->import.dry_run, "id",
                  report->id == 0 ? json_null() : json_integer(report->id), "from",
                  span_of(parsed, parsed->first_ms, first), "to",
                  span_of(parsed, parsed->last_ms, last), "rows", rows, "quarters", quarters,
                  "new_kwh", kwh(report->new_uwh), "known_kwh", kwh(report->same_uwh),
                  "measured_kwh", kwh(report->measured_uwh)),
        JSON_INDENT(2));
}

static void print_count(int64_t count, const char *what)
{
    if (count > 0)
        (void)printf("  %" PRId64 " %s\n", count, what);
}

static enum status print_text(const struct options *options,
                              const struct foreign_import_report *report, struct error *error)
{
    const struct foreign_parsed *parsed = &report->parsed;
    char first[HISTORY_PRINT_SIZE], last[HISTORY_PRINT_SIZE];
    (void)printf("%s, format %s", options->import.file, foreign_format_name(parsed->format));
    if (parsed->last_ms != 0)
        (void)printf(", %s to %s", history_print_time(parsed->first_ms, first),
                     history_print_time(parsed->last_ms, last));
    (void)printf(":\n");
    print_count(parsed->rows, "rows with a time and a value");
    print_count(parsed->unreadable, "rows without");
    print_count(parsed->others, "rows of other sources");
    print_count(parsed->unsorted, "rows that are not later than the one before, left out");
    print_count(parsed->glitches, "single values that cannot be, left out");
    print_count(parsed->resets, "times the counter began anew");
    print_count(parsed->jumps, "jumps of the counter that are no energy");
    (void)printf("%s %.3f kWh in %" PRId64 " quarters of an hour.\n",
                 options->import.dry_run ? "New would be" : "New in the history are",
                 kwh(report->new_uwh), report->quarters_new + report->quarters_raised);
    if (report->quarters_same > 0)
        (void)printf("It had %.3f kWh in %" PRId64 " quarters already.\n", kwh(report->same_uwh),
                     report->quarters_same);
    if (report->quarters_measured > 0)
        (void)printf("%.3f kWh in %" PRId64 " quarters are left out, as they were measured here.\n",
                     kwh(report->measured_uwh), report->quarters_measured);
    if (report->id != 0)
        (void)printf("`bl2mqtt history import --undo %" PRId64 "` takes them out again.\n",
                     report->id);
    return command_flush(error);
}

static enum status import(const struct options *options, struct error *error)
{
    struct foreign_import_report report;
    enum status status = foreign_import(&options->import, &report, error);
    if (status != STATUS_OK)
        return status;
    return options->json ? print_json(options, &report) : print_text(options, &report, error);
}

/* ---- imports that were made ---- */

struct listing {
    json_t *list; /* NULL: as text */
    bool any;
};

static bool list_file(void *context, const struct foreign_file *file)
{
    struct listing *listing = context;
    char made[HISTORY_PRINT_SIZE], first[HISTORY_PRINT_SIZE], end[HISTORY_PRINT_SIZE];
    (void)history_print_time(file->made_ms, made);
    (void)history_print_time(file->first_ms, first);
    (void)history_print_time(file->end_ms, end);
    listing->any = true;
    if (listing->list == NULL)
        return printf("%4" PRId64 "  %s  %s %s  %s (%s): %.3f kWh, produced %.3f, %s to %s\n",
                      file->id, made, file->device, file->channel, file->file, file->format,
                      kwh(file->imported_uwh), kwh(file->exported_uwh),
                      file->quarters == 0 ? "-" : first, file->quarters == 0 ? "-" : end) > 0;
    json_t *object = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:s?, s:s?, s:f, s:f}", "id", (json_int_t)file->id,
        "time", made, "device", file->device, "channel", file->channel, "file", file->file,
        "format", file->format, "quarters", (json_int_t)file->quarters, "from",
        file->quarters == 0 ? NULL : first, "to", file->quarters == 0 ? NULL : end, "energy_kwh",
        kwh(file->imported_uwh), "energy_produced_kwh", kwh(file->exported_uwh));
    return object == NULL || json_array_append_new(listing->list, object) == 0;
}

static enum status list(const struct options *options, struct error *error)
{
    struct listing listing = {options->json ? json_array() : NULL, false};
    enum status status = foreign_files(options->import.path, list_file, &listing, error);
    if (status != STATUS_OK) {
        json_decref(listing.list);
        return status;
    }
    if (options->json)
        return command_print_json(NAME, listing.list, JSON_INDENT(2));
    if (!listing.any)
        (void)puts("Nothing was imported.");
    return command_flush(error);
}

static enum status undo(const struct options *options, struct error *error)
{
    int64_t quarters = 0;
    enum status status = foreign_undo(options->import.path, options->undo, &quarters, error);
    if (status != STATUS_OK)
        return status;
    if (options->json)
        return command_print_json(NAME,
                                  json_pack("{s:I, s:I}", "id", (json_int_t)options->undo,
                                            "quarters", (json_int_t)quarters),
                                  JSON_INDENT(2));
    (void)printf("Import %" PRId64 " is taken out: %" PRId64 " quarters of an hour.\n",
                 options->undo, quarters);
    return command_flush(error);
}

enum status command_history_import(const struct command_context *context, int argc, char **argv)
{
    struct options options = {.import.parse.max_power_w = MAX_POWER_W};
    enum status status = parse(argc, argv, &options);
    if (status != STATUS_OK)
        return status;
    if (options.help) {
        print_help();
        return STATUS_OK;
    }
    struct error error = {""};
    char *path memory_auto = NULL;
    status = command_history_path(context, options.database, &path, &error);
    options.import.path = path;
    if (status == STATUS_OK && options.list)
        status = list(&options, &error);
    else if (status == STATUS_OK && options.undo != 0)
        status = undo(&options, &error);
    else if (status == STATUS_OK)
        status = import(&options, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(NAME, status, &error);
}
