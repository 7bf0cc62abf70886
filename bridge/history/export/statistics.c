/* SPDX-License-Identifier: MIT */
#include "bridge/history/export/statistics.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/energy.h"
#include "bridge/history/query/readings.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000LL
#define SPAN_MS (366 * 24 * HOUR_MS)
#define AFTER_MS (4 * HOUR_MS)
#define ANSWER_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define ENTITY_SIZE 128

/* An hour that Home Assistant has: its state and sum are those at its end. */
struct present {
    int64_t start_ms;
    int64_t state_uwh, sum_uwh;
};

/* One statistic on its way. */
struct hours {
    const struct statistics_options *options;
    FILE *out;
    bool *failed;
    bool produced;
    bool first;
    bool any;
    int64_t hour_ms;     /* begin of the one that is being filled */
    int64_t counted_uwh; /* from the channel's first reading on */
    struct present *present;
    size_t present_count, next; /* those before `next` are over */
    int64_t anchor_counted_uwh; /* counted at the end of the last of them */
    int64_t walk_from_ms;       /* what was counted before is of no interest */
    int64_t walk_on_ms;         /* behind the span, to see what was measured after it */
    int64_t hour_began_uwh;     /* counted at the begin of the hour */
    size_t written;             /* rows, the first and the last of them, and the energy in them */
    int64_t first_ms, last_ms, written_uwh;
};

/* ---- what Home Assistant has ---- */

static bool read_time(const json_t *value, int64_t *wall_ms)
{
    if (json_is_string(value))
        return time_text_parse(json_string_value(value), 0, wall_ms, NULL) == STATUS_OK;
    double number = json_number_value(value);
    *wall_ms = llround(number < 1e11 ? number * 1000 : number);
    return json_is_number(value);
}

static int by_start(const void *left, const void *right)
{
    const struct present *a = left, *b = right;
    return (a->start_ms > b->start_ms) - (a->start_ms < b->start_ms);
}

static void take_present(struct hours *hours, const json_t *rows)
{
    size_t index;
    const json_t *row;
    hours->present = memory_new(json_array_size(rows), sizeof *hours->present);
    json_array_foreach(rows, index, row)
    {
        int64_t start_ms;
        const json_t *sum = json_object_get(row, "sum");
        const json_t *state = json_object_get(row, "state");
        if (!read_time(json_object_get(row, "start"), &start_ms) || !json_is_number(sum) ||
            fabs(json_number_value(sum)) > 9e6 || fabs(json_number_value(state)) > 9e6)
            continue;
        hours->present[hours->present_count++] =
            (struct present){.start_ms = start_ms,
                             .state_uwh = llround(json_number_value(state) * 1e9),
                             .sum_uwh = llround(json_number_value(sum) * 1e9)};
    }
    if (hours->present_count > 1)
        qsort(hours->present, hours->present_count, sizeof *hours->present, by_start);
}

/* As the WebSocket answers, or just its result. */
static enum status read_answer(const char *path, json_t **answer, struct error *error)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    json_error_t problem;
    enum status status = file_read(path, ANSWER_BYTES_MAX, &bytes, &length, error);
    if (status != STATUS_OK)
        return status;
    json_t *document = json_loadb(bytes, length, 0, &problem);
    if (document == NULL)
        return error_set(error, STATUS_USAGE, "Line %d of %s is no JSON: %.100s.", problem.line,
                         path, problem.text);
    json_t *result = json_object_get(document, "result");
    *answer = json_incref(json_is_object(result) ? result : document);
    json_decref(document);
    if (json_is_object(*answer))
        return STATUS_OK;
    json_decref(*answer);
    *answer = NULL;
    return error_set(error, STATUS_USAGE,
                     "%s is no answer of recorder/statistics_during_period: that has the ids of "
                     "statistics as keys.",
                     path);
}

/* ---- writing ---- */

static void put(struct hours *hours, const struct text *text)
{
    if (text->cut || fwrite(text->buffer, 1, text->length, hours->out) != text->length)
        *hours->failed = true;
}

static void write_row(struct hours *hours, int64_t state_uwh, int64_t sum_uwh)
{
    char buffer[256];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, "%s\n{\"start\":\"", hours->first ? "" : ",");
    text_append_time(&text, hours->hour_ms, false);
    text_append(&text, "\",\"state\":");
    text_append_decimal(&text, state_uwh, 9, 9, false);
    text_append(&text, ",\"sum\":");
    text_append_decimal(&text, sum_uwh, 9, 9, false);
    text_append(&text, "}");
    hours->first = false;
    if (hours->written++ == 0)
        hours->first_ms = hours->hour_ms;
    hours->last_ms = hours->hour_ms;
    hours->written_uwh += hours->counted_uwh - hours->hour_began_uwh;
    put(hours, &text);
}

/* Only whole hours in the span. What Home Assistant has stays; in front of all that it has there is no sum
 * to continue. */
static void end_hour(struct hours *hours)
{
    const struct statistics_options *options = hours->options;
    if (!hours->any)
        return;
    bool has_it = hours->next < hours->present_count &&
                  hours->present[hours->next].start_ms == hours->hour_ms;
    bool wanted = hours->hour_ms >= options->from_ms && hours->hour_ms + HOUR_MS <= options->to_ms;
    if (wanted && !has_it && options->present == NULL)
        write_row(hours, hours->counted_uwh, hours->counted_uwh);
    if (wanted && !has_it && hours->next > 0) {
        const struct present *anchor = &hours->present[hours->next - 1];
        int64_t since_uwh = hours->counted_uwh - hours->anchor_counted_uwh;
        write_row(hours, anchor->state_uwh + since_uwh, anchor->sum_uwh + since_uwh);
    }
    if (has_it) {
        hours->next++;
        hours->anchor_counted_uwh = hours->counted_uwh;
    }
}

/* Hours of Home Assistant in which nothing was read here end with what was counted before. */
static void pass_present(struct hours *hours, int64_t until_ms)
{
    for (; hours->next < hours->present_count && hours->present[hours->next].start_ms < until_ms;
         hours->next++)
        hours->anchor_counted_uwh = hours->counted_uwh;
}

static bool is_foreign(const struct history_energy_row *row)
{
    return row->imported_uwh == row->foreign_imported_uwh &&
           row->exported_uwh == row->foreign_exported_uwh &&
           (row->imported_uwh > 0 || row->exported_uwh > 0);
}

static bool add_to_hour(void *context, const struct history_energy_row *row)
{
    struct hours *hours = context;
    int64_t hour_ms = row->start_ms / HOUR_MS * HOUR_MS;
    if (!row->measured || (row->coverage_permille == 0 && is_foreign(row)))
        return true;
    if (!hours->any || hour_ms != hours->hour_ms) {
        end_hour(hours);
        pass_present(hours, hour_ms);
        hours->hour_began_uwh = hours->counted_uwh;
    }
    hours->any = true;
    hours->hour_ms = hour_ms;
    int64_t uwh = hours->produced ? row->exported_uwh - row->foreign_exported_uwh
                                  : row->imported_uwh - row->foreign_imported_uwh;
    if (__builtin_add_overflow(hours->counted_uwh, uwh, &hours->counted_uwh))
        hours->counted_uwh = INT64_MAX;
    return !*hours->failed;
}

/* ---- which statistic ---- */

/* Home Assistant makes ids of a-z, 0-9 and single underscores. */
static void append_slug(struct text *id, const char *name)
{
    for (; *name != '\0'; name++) {
        bool good = (*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9');
        char last = id->length == 0 ? '.' : id->buffer[id->length - 1];
        if (good)
            text_append(id, "%c", *name);
        else if (last != '_' && last != '.')
            text_append(id, "_");
    }
}

/* As discovery proposes it: "sensor.house_energy_produced_a"; no suffix with one channel. */
static void name_entity(const struct statistics_options *options, const char *device,
                        const char *channel, bool alone, bool produced, char name[ENTITY_SIZE])
{
    struct text text;
    text_init(&text, name, ENTITY_SIZE);
    if (options->entity != NULL) {
        text_append(&text, "%s", options->entity);
        return;
    }
    text_append(&text, "sensor.");
    append_slug(&text, device);
    text_append(&text, "_energy%s", produced ? "_produced" : "");
    if (!alone)
        text_append(&text, "_");
    if (!alone)
        append_slug(&text, channel);
}

struct statistics {
    const struct statistics_options *options;
    FILE *out;
    bool *failed;
    json_t *answer;
    bool alone; /* the device has one channel */
    bool first;
    enum status status;
    struct error *error;
};

static void write_head(struct hours *hours, const char *entity, bool first)
{
    char buffer[512];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append(&text,
                "%s\n{\"metadata\":{\"has_sum\":true,%s\"unit_of_measurement\":\"kWh\","
                "\"name\":null,\"source\":\"recorder\",\"statistic_id\":\"%s\"},\"stats\":[",
                first ? "" : ",",
                hours->options->has_mean ? "\"has_mean\":false,"
                                         : "\"mean_type\":0,\"unit_class\":\"energy\",",
                entity);
    put(hours, &text);
}

/* In spans of a year, so that memory is bounded. What is not measured here is not written: a quarter with
 * energy from files alone makes an hour of nothing. */
static enum status walk_quarters(struct hours *hours, const char *device, const char *channel,
                                 struct error *error)
{
    const struct statistics_options *options = hours->options;
    struct history_query *query = NULL;
    int64_t to_ms = options->to_ms < BUCKET_TIME_MAX_MS - hours->walk_on_ms
                        ? options->to_ms + hours->walk_on_ms
                        : BUCKET_TIME_MAX_MS;
    enum status status = history_query_open(options->path, &query, error);
    for (int64_t from_ms = hours->walk_from_ms;
         from_ms < to_ms && status == STATUS_OK && !*hours->failed; from_ms += SPAN_MS)
        status = history_query_energy(query, device, channel, from_ms,
                                      from_ms + SPAN_MS < to_ms ? from_ms + SPAN_MS : to_ms,
                                      BUCKET_QUARTER, add_to_hour, hours, error);
    history_query_close(query);
    return status;
}

/* A pass for each direction: with both in one the rows of one would have to wait in memory. */
static void write_direction(struct statistics *statistics, const char *device, const char *channel,
                            bool produced)
{
    const struct statistics_options *options = statistics->options;
    char entity[ENTITY_SIZE];
    struct hours hours = {.options = options,
                          .out = statistics->out,
                          .failed = statistics->failed,
                          .produced = produced,
                          .first = true};
    name_entity(options, device, channel, statistics->alone, produced, entity);
    if (statistics->answer != NULL)
        take_present(&hours, json_object_get(statistics->answer, entity));
    write_head(&hours, entity, statistics->first);
    statistics->first = false;
    statistics->status = walk_quarters(&hours, device, channel, statistics->error);
    end_hour(&hours);
    if (fputs("\n]}", statistics->out) < 0)
        *statistics->failed = true;
    free(hours.present);
}

enum status statistics_find_missing(const struct statistics_question *question, const json_t *rows,
                                    struct statistics_missing *missing, struct error *error)
{
    char *document memory_auto = NULL;
    size_t size = 0;
    bool failed = false;
    const struct statistics_options options = {
        .path = question->path,
        .from_ms = INT64_MIN,
        .to_ms = question->to_ms,
        .present = "", /* there are rows */
        .has_mean = question->has_mean,
    };
    struct hours hours = {.options = &options, .produced = question->produced, .first = true};
    *missing = (struct statistics_missing){.import = NULL};
    take_present(&hours, rows);
    if (hours.present_count < 2) { /* nothing lies between them */
        free(hours.present);
        return STATUS_OK;
    }
    hours.walk_from_ms = hours.present[0].start_ms / HOUR_MS * HOUR_MS;
    hours.walk_on_ms = AFTER_MS;
    hours.out = open_memstream(&document, &size);
    hours.failed = &failed;
    if (hours.out == NULL) {
        free(hours.present);
        return error_set(error, STATUS_FAILED, "There is no memory for an import of statistics.");
    }
    write_head(&hours, question->entity, true);
    enum status status = walk_quarters(&hours, question->device, question->channel, error);
    /* The last hour that was measured is not ended: what is counted until the next reading may belong to it. */
    failed = fputs("\n]}", hours.out) < 0 || failed;
    failed = fclose(hours.out) != 0 || failed;
    free(hours.present);
    if (status != STATUS_OK)
        return status;
    missing->import = failed ? NULL : json_loadb(document, size, 0, NULL);
    if (missing->import == NULL)
        return error_set(error, STATUS_FAILED, "There is no memory for an import of statistics.");
    missing->hours = hours.written;
    missing->first_ms = hours.first_ms;
    missing->last_ms = hours.last_ms;
    missing->energy_uwh = hours.written_uwh;
    return STATUS_OK;
}

static bool write_channel(void *context, const char *device, const char *channel)
{
    struct statistics *statistics = context;
    const struct statistics_options *options = statistics->options;
    if (!options->produced_only)
        write_direction(statistics, device, channel, false);
    if (!options->consumed_only && statistics->status == STATUS_OK)
        write_direction(statistics, device, channel, true);
    return statistics->status == STATUS_OK && !*statistics->failed;
}

static bool count_channel(void *context, const char *device, const char *channel)
{
    size_t *count = context;
    (void)device;
    (void)channel;
    (*count)++;
    return true;
}

enum status statistics_write(const struct statistics_options *options, FILE *out, bool *failed,
                             struct error *error)
{
    size_t channels = 0;
    struct statistics statistics = {
        .options = options, .out = out, .failed = failed, .first = true, .error = error};
    enum status status = STATUS_OK;
    if (options->present != NULL)
        status = read_answer(options->present, &statistics.answer, error);
    if (status == STATUS_OK)
        status =
            history_channels(options->path, options->device, NULL, count_channel, &channels, error);
    statistics.alone = channels == 1;
    if (status == STATUS_OK && fputs("[", out) < 0)
        *failed = true;
    if (status == STATUS_OK)
        status = history_channels(options->path, options->device, options->channel, write_channel,
                                  &statistics, error);
    if (status == STATUS_OK && fputs("\n]\n", out) < 0)
        *failed = true;
    json_decref(statistics.answer);
    return status != STATUS_OK ? status : statistics.status;
}
