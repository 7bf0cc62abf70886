/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/foreign_parse.h"

#include "bridge/history/import/foreign_columns.h"
#include "bridge/history/import/foreign_table.h"
#include "drivers/base/memory.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000LL
#define JSON_MAX_BYTES ((size_t)256 * 1024 * 1024)
#define KWH_MAX 9e6 /* nine gigawatt hours still fit microwatt hours in 64 bits */

const char *foreign_format_name(enum foreign_format format)
{
    static const char *const names[] = {"auto", "bl2mqtt", "ha", "kwh"};
    return names[format];
}

/* ---- JSON ---- */

/* kWh, or Wh if scale is 1e6, to microwatt hours. */
static bool energy_of(double value, double scale, int64_t *uwh)
{
    double scaled = value * scale;
    if (!(scaled >= 0 && scaled <= KWH_MAX * 1e9))
        return false;
    *uwh = llround(scaled);
    return true;
}

static bool json_time(const json_t *value, int64_t *wall_ms)
{
    char number[32];
    if (json_is_string(value))
        return foreign_time(json_string_value(value), FOREIGN_DATES_AUTO, -1, wall_ms);
    (void)snprintf(number, sizeof number, "%.3f", json_number_value(value));
    return json_is_number(value) && foreign_time(number, FOREIGN_DATES_AUTO, -1, wall_ms);
}

static void take_statistics(struct foreign_counter *counter, const json_t *rows, double scale)
{
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row)
    {
        int64_t start_ms;
        int64_t uwh;
        const json_t *sum = json_object_get(row, "sum");
        if (!json_time(json_object_get(row, "start"), &start_ms) || !json_is_number(sum) ||
            !energy_of(json_number_value(sum), scale, &uwh))
            counter->parsed->unreadable++;
        else
            foreign_counter_total(counter, start_ms + HOUR_MS, uwh);
    }
}

static double json_scale(const struct foreign_parse_options *options, const json_t *statistic)
{
    const char *unit = json_string_value(json_object_get(statistic, "unit_of_measurement"));
    double scale = unit == NULL ? 0 : foreign_unit_scale(unit);
    return scale > 0 ? scale : options->watt_hours ? 1e6 : 1e9;
}

/* What one statistic is, in either shape. */
struct statistic {
    const json_t *rows;
    double scale;
    unsigned count;
};

/* The statistics of a file: who is asked for, and what was found. */
struct search {
    const struct foreign_parse_options *options;
    struct foreign_parsed *parsed;
    struct statistic found;
};

static void offer(struct search *search, const char *id, const json_t *rows, double scale)
{
    const char *source = search->options->source;
    if (id == NULL || !json_is_array(rows))
        return;
    foreign_note_source(search->parsed, id);
    if (source != NULL && strcmp(source, id) != 0) {
        search->parsed->others += (int64_t)json_array_size(rows);
        return;
    }
    search->found = (struct statistic){rows, scale, search->found.count + 1};
}

static void find_statistics(struct search *search, json_t *document)
{
    size_t index;
    const char *key;
    json_t *value;
    json_t *result = json_object_get(document, "result"); /* as the websocket wraps it */
    if (json_is_object(result))
        document = result;
    json_array_foreach(document, index, value)
    {
        const json_t *metadata =
            json_object_get(value, "metadata"); /* as import_statistics takes it */
        const json_t *names = json_is_object(metadata) ? metadata : value;
        offer(search, json_string_value(json_object_get(names, "statistic_id")),
              json_object_get(value, "stats"), json_scale(search->options, names));
    }
    if (!json_is_object(document))
        return;
    const json_t *metadata = json_object_get(document, "metadata");
    if (json_is_object(metadata))
        offer(search, json_string_value(json_object_get(metadata, "statistic_id")),
              json_object_get(document, "stats"), json_scale(search->options, metadata));
    json_object_foreach(document, key, value)
    {
        if (strcmp(key, "stats") != 0)
            offer(search, key, value, json_scale(search->options, NULL));
    }
}

static enum status parse_json(struct foreign_source *source,
                              const struct foreign_parse_options *options,
                              struct foreign_counter *counter, struct error *error)
{
    char *text memory_auto = NULL;
    size_t length = 0;
    enum status status = foreign_source_all(source, JSON_MAX_BYTES, &text, &length, error);
    if (status != STATUS_OK)
        return status;
    json_error_t problem;
    json_t *document = json_loadb(text, length, 0, &problem);
    if (document == NULL)
        return error_set(error, STATUS_USAGE, "Line %d of the file is no JSON: %.100s.",
                         problem.line, problem.text);
    struct search search = {.options = options, .parsed = counter->parsed};
    find_statistics(&search, document);
    if (search.found.count == 1)
        take_statistics(counter, search.found.rows, search.found.scale);
    else if (search.found.count > 1)
        status = foreign_choose_source(counter->parsed, error);
    else
        status = error_set(
            error, STATUS_USAGE, "The file has no statistics%s%.100s. What it has: %.300s.",
            options->source == NULL ? "" : " of ", options->source == NULL ? "" : options->source,
            counter->parsed->sources[0] == '\0' ? "nothing known here" : counter->parsed->sources);
    json_decref(document);
    return status;
}

/* ---- the whole ---- */

static enum status check_rows(const struct foreign_parse_options *options,
                              const struct foreign_parsed *parsed, struct error *error)
{
    if (parsed->rows > 0)
        return STATUS_OK;
    return error_set(
        error, STATUS_USAGE, "The file has no row%s%.100s with a time and a value%s%.300s.",
        options->source == NULL ? "" : " of ", options->source == NULL ? "" : options->source,
        parsed->sources[0] == '\0' ? "" : "; what it has: ", parsed->sources);
}

/* A counter that begins anew all the time is none: what it shows is what was consumed. */
static enum status check_resets(const struct foreign_parse_options *options,
                                const struct foreign_parsed *parsed, struct error *error)
{
    if (options->kind == FOREIGN_KIND_TOTAL || parsed->intervals || parsed->resets < 3 ||
        parsed->resets * 10 < parsed->rows)
        return STATUS_OK;
    return error_set(
        error, STATUS_USAGE,
        "As a counter it would have begun anew %lld times in %lld rows. If each value "
        "is what was consumed, use --values interval; if it is a counter all the same, "
        "--values total.",
        (long long)parsed->resets, (long long)parsed->rows);
}

/* Energy that the connection cannot carry: most likely the numbers are of another unit. */
static enum status check_power(const struct foreign_counter *counter, struct error *error)
{
    const struct foreign_parsed *parsed = counter->parsed;
    if (counter->too_much_line != 0)
        return error_set(error, STATUS_USAGE,
                         "Line %lld: %.6g kWh within %.6g minutes are more than --max-power %.6g "
                         "allows. If the numbers are watt hours, say --unit Wh; if it was so much, "
                         "a greater --max-power.",
                         (long long)counter->too_much_line, (double)counter->too_much_uwh / 1e9,
                         (double)counter->too_much_ms / 6e4, counter->max_power_w);
    if (parsed->jumps * 2 <= parsed->rows)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "In %lld of %lld rows the counter moves more than --max-power %.6g allows. If "
                     "the numbers are watt hours, say --unit Wh; if it was so much, a greater "
                     "--max-power.",
                     (long long)parsed->jumps, (long long)parsed->rows, counter->max_power_w);
}

enum status foreign_parse(FILE *file, const struct foreign_parse_options *options,
                          foreign_piece piece, void *context, struct foreign_parsed *parsed,
                          struct error *error)
{
    struct foreign_source *source = NULL;
    *parsed = (struct foreign_parsed){.format = FOREIGN_HA};
    struct foreign_counter counter = {
        .max_power_w = options->max_power_w, .parsed = parsed, .piece = piece, .context = context};
    enum status status = foreign_source_open(file, &source, error);
    if (status != STATUS_OK)
        return status;
    int first = foreign_source_first(source);
    bool json = (first == '[' || first == '{') &&
                (options->format == FOREIGN_AUTO || options->format == FOREIGN_HA);
    status = json ? parse_json(source, options, &counter, error)
                  : foreign_table_read(source, options, &counter, error);
    foreign_source_close(source);
    if (status == STATUS_OK && !foreign_counter_end(&counter))
        status = error_set(error, STATUS_USAGE,
                           "The file has one interval only, and nothing says how long it is. Add a "
                           "column `end`, or the next interval.");
    if (status == STATUS_OK && counter.full)
        status = error_set(error, STATUS_USAGE, "The file spans more time than can be imported.");
    if (status == STATUS_OK)
        status = check_rows(options, parsed, error);
    if (status == STATUS_OK)
        status = check_power(&counter, error);
    return status == STATUS_OK ? check_resets(options, parsed, error) : status;
}
