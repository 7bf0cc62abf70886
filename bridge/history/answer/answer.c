/* SPDX-License-Identifier: MIT */
#include "bridge/history/answer/answer.h"

#include "bridge/history/answer/answer_rows.h"
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/number.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000LL
#define NOMINAL_MV 230000 /* of a device that the configuration has no more */
#define POWER_POINTS 300
/* An event's message in JSON, every byte of it escaped, and the rest of its row. */
#define ROW_SIZE 8192

struct asked {
    const char *device, *channel;
    const char *from, *to, *bucket, *points, *min;
};

/* ---- the options ---- */

#define DEVICE_ROW(is_required)                                                                    \
    {                                                                                              \
        "device", is_required, "The device's id in bridge.yaml."                                   \
    }
#define FROM_ROW                                                                                   \
    {                                                                                              \
        "from", false, "Begin: a date, an ISO 8601 time, now, today or yesterday."                 \
    }
#define TO_ROW                                                                                     \
    {                                                                                              \
        "to", false, "End, not included; now if it is left out."                                   \
    }

static const struct history_option_row energy_options[] = {
    DEVICE_ROW(true),
    {"channel", false, "One channel of it; the sum over its channels if it is left out."},
    FROM_ROW,
    TO_ROW,
    {"bucket", false, "15m, hour, day (default), month or year."},
    {NULL, false, NULL},
};
static const struct history_option_row power_options[] = {
    DEVICE_ROW(true),
    {"channel", false, "One channel of it; the sum over its channels if it is left out."},
    FROM_ROW,
    TO_ROW,
    {"points", false, "At most so many buckets, 1 to 99999; 300 if it is left out."},
    {"bucket", false, "Buckets of this length instead, 1s to 366d."},
    {NULL, false, NULL},
};
static const struct history_option_row cost_options[] = {
    DEVICE_ROW(true),
    {"channel", false, "One channel of it; the sum over its channels if it is left out."},
    FROM_ROW,
    TO_ROW,
    {"bucket", false, "day, month (default) or year."},
    {NULL, false, NULL},
};
static const struct history_option_row gaps_options[] = {
    DEVICE_ROW(false),
    {"channel", false, "One channel of it; all if it is left out."},
    FROM_ROW,
    TO_ROW,
    {"min", false, "Only gaps longer than this; 60s if it is left out."},
    {NULL, false, NULL},
};
static const struct history_option_row events_options[] = {
    DEVICE_ROW(false),
    {"channel", false, "One channel of it; all if it is left out."},
    FROM_ROW,
    TO_ROW,
    {NULL, false, NULL},
};
static const struct history_option_row voltage_options[] = {
    DEVICE_ROW(true),
    {"channel", false, "One channel of it; a row for each if it is left out."},
    FROM_ROW,
    TO_ROW,
    {"bucket", false, "day or week (default)."},
    {NULL, false, NULL},
};

static const struct {
    const char *name;
    const struct history_option_row *options;
} kinds[HISTORY_KINDS] = {
    [HISTORY_ENERGY] = {"energy", energy_options}, [HISTORY_POWER] = {"power", power_options},
    [HISTORY_COST] = {"cost", cost_options},       [HISTORY_GAPS] = {"gaps", gaps_options},
    [HISTORY_EVENTS] = {"events", events_options}, [HISTORY_VOLTAGE] = {"voltage", voltage_options},
};

bool history_kind_find(const char *name, enum history_kind *kind)
{
    for (size_t i = 0; i < HISTORY_KINDS; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        *kind = (enum history_kind)i;
        return true;
    }
    return false;
}

const struct history_option_row *history_kind_options(enum history_kind kind)
{
    return kinds[kind].options;
}

static const char **option_member(struct asked *asked, const char *name)
{
    const struct {
        const char *name;
        const char **member;
    } members[] = {
        {"device", &asked->device}, {"channel", &asked->channel}, {"from", &asked->from},
        {"to", &asked->to},         {"bucket", &asked->bucket},   {"points", &asked->points},
        {"min", &asked->min},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (strcmp(members[i].name, name) == 0)
            return members[i].member;
    return NULL;
}

static bool row_has(const struct history_option_row *rows, const char *name)
{
    for (; rows->name != NULL; rows++)
        if (strcmp(rows->name, name) == 0)
            return true;
    return false;
}

static enum status take_options(const struct history_question *question, struct asked *asked,
                                struct error *error)
{
    const struct history_option_row *rows = kinds[question->kind].options;
    for (size_t i = 0; i < question->option_count; i++) {
        const struct history_option *option = &question->options[i];
        const char **member = NULL;
        if (row_has(rows, option->name))
            member = option_member(asked, option->name);
        if (member == NULL)
            return error_set(error, STATUS_USAGE, "history/%s has no option \"%.40s\".",
                             kinds[question->kind].name, option->name);
        if (*member != NULL)
            return error_set(error, STATUS_USAGE, "The option %s stands twice.", option->name);
        *member = option->value;
    }
    for (; rows->name != NULL; rows++) {
        const char **member = option_member(asked, rows->name);
        if (rows->required && (member == NULL || *member == NULL || (*member)[0] == '\0'))
            return error_set(error, STATUS_USAGE, "Say which %s, with the option \"%s\".",
                             rows->name, rows->name);
    }
    return STATUS_OK;
}

static enum status bad_value(struct error *error, const char *option, const char *value,
                             const char *expected)
{
    return error_set(error, STATUS_USAGE, "%s cannot be \"%.40s\"; it is %s.", option, value,
                     expected);
}

struct bucket_word {
    const char *name;
    enum history_bucket bucket;
    int usual; /* so many of them make the span without `from` */
};

static const struct bucket_word energy_buckets[] = {
    {"15m", BUCKET_QUARTER, 96}, {"hour", BUCKET_HOUR, 24}, {"day", BUCKET_DAY, 7},
    {"month", BUCKET_MONTH, 12}, {"year", BUCKET_YEAR, 10}, {NULL, BUCKET_DAY, 0},
};
static const struct bucket_word cost_buckets[] = {
    {"day", BUCKET_DAY, 7},
    {"month", BUCKET_MONTH, 12},
    {"year", BUCKET_YEAR, 5},
    {NULL, BUCKET_DAY, 0},
};
static const struct bucket_word voltage_buckets[] = {
    {"day", BUCKET_DAY, 7},
    {"week", BUCKET_WEEK, 4},
    {NULL, BUCKET_DAY, 0},
};

static const struct bucket_word *find_bucket(const struct bucket_word *words, const char *name)
{
    while (words->name != NULL && strcmp(words->name, name) != 0)
        words++;
    return words->name == NULL ? NULL : words;
}

/* ---- the span ---- */

struct span {
    int64_t from_ms, to_ms;
};

static enum status parse_time(const char *option, const char *text, int64_t now_ms,
                              int64_t *wall_ms, struct error *error)
{
    enum status status = time_text_parse(text, now_ms / 1000 * 1000, wall_ms, error);
    return status == STATUS_OK ? status : error_prefix(error, status, "%s: ", option);
}

/* length_ms holds without `from`. */
static enum status parse_span(const struct asked *asked, int64_t now_ms, int64_t end_ms,
                              int64_t length_ms, struct span *span, struct error *error)
{
    enum status status = STATUS_OK;
    span->to_ms = end_ms;
    if (asked->to != NULL)
        status = parse_time("to", asked->to, now_ms, &span->to_ms, error);
    if (status != STATUS_OK)
        return status;
    span->from_ms = span->to_ms < length_ms ? 0 : span->to_ms - length_ms;
    if (asked->from != NULL)
        status = parse_time("from", asked->from, now_ms, &span->from_ms, error);
    if (status == STATUS_OK && span->from_ms >= span->to_ms)
        return error_set(error, STATUS_USAGE,
                         "The span ends before it begins, or where it begins; `from` must be "
                         "before `to`.");
    return status;
}

static enum status parse_bucket_span(const struct asked *asked, int64_t now_ms,
                                     const struct bucket_word *bucket, struct span *span,
                                     struct error *error)
{
    enum status status = parse_span(asked, now_ms, now_ms, 1, span, error);
    if (status != STATUS_OK || asked->from != NULL)
        return status;
    span->from_ms = span->to_ms;
    for (int i = 0; i < bucket->usual; i++)
        span->from_ms = bucket_start(bucket->bucket, span->from_ms - 1);
    span->from_ms = span->from_ms < 0 ? 0 : span->from_ms;
    return STATUS_OK;
}

/* ---- rows ---- */

struct output {
    const struct history_question *question;
    history_write write;
    void *context;
    bool begun;
    bool stopped;
    bool survey;                 /* only finds out which columns there are */
    bool used[ANSWER_CELLS_MAX]; /* columns that JSON has in some row */
    const char *currency;
    struct history_cost_row total; /* of the costs */
};

static bool put(struct output *output, const char *bytes, size_t length)
{
    if (!output->stopped && !output->write(output->context, bytes, length))
        output->stopped = true;
    return !output->stopped;
}

static void append_opening(struct output *output, struct text *text)
{
    if (output->question->kind == HISTORY_COST)
        text_append(text, "{\"currency\":\"%s\",\"rows\":[\n", output->currency);
    else
        text_append(text, "[\n");
}

/* A row for whoever asked for rows. */
static bool hand_over(struct output *output, history_row take, const struct answer_cell *cells,
                      size_t count)
{
    if (take != NULL && !output->stopped && !take(output->context, cells, count))
        output->stopped = true;
    return !output->stopped;
}

static bool put_cells(struct output *output, struct answer_cell *cells, size_t count)
{
    if (output->question->row != NULL)
        return hand_over(output, output->question->row, cells, count);
    for (size_t i = 0; i < count && output->survey; i++)
        output->used[i] = output->used[i] || !cells[i].json_skip;
    if (output->survey)
        return true;
    char buffer[ROW_SIZE];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    bool json = output->question->format == HISTORY_JSON;
    if (!json)
        count = answer_drop_unused(cells, count, output->used);
    if (!json && !output->begun)
        answer_append_csv_header(&text, cells, count);
    else if (json && !output->begun)
        append_opening(output, &text);
    else if (json)
        text_append_plain(&text, ",\n");
    output->begun = true;
    if (json)
        answer_append_json(&text, cells, count);
    else
        answer_append_csv(&text, cells, count);
    return put(output, buffer, text.length);
}

static bool put_energy(void *context, const struct history_energy_row *row)
{
    struct answer_cell cells[ANSWER_CELLS_MAX];
    return put_cells(context, cells, answer_energy_cells(row, cells));
}

static bool put_power(void *context, const struct history_power_row *row)
{
    struct answer_cell cells[ANSWER_CELLS_MAX];
    return put_cells(context, cells, answer_power_cells(row, cells));
}

static bool put_gap(void *context, const struct history_gap *gap)
{
    struct answer_cell cells[ANSWER_CELLS_MAX];
    return put_cells(context, cells, answer_gap_cells(gap, cells));
}

static bool put_event(void *context, const struct history_event *event)
{
    struct answer_cell cells[ANSWER_CELLS_MAX];
    return put_cells(context, cells, answer_event_cells(event, cells));
}

static bool put_voltage(void *context, const struct history_voltage_row *row)
{
    struct answer_cell cells[ANSWER_CELLS_MAX];
    return put_cells(context, cells, answer_voltage_cells(row, cells));
}

/* The total's coverage is the mean over the time. */
static void add_up(struct history_cost_row *total, const struct history_cost_row *row)
{
    int64_t before_ms = total->end_ms - total->start_ms;
    int64_t length_ms = row->end_ms - row->start_ms;
    if (before_ms == 0)
        total->start_ms = row->start_ms;
    total->end_ms = row->end_ms;
    total->coverage_permille =
        (int)((total->coverage_permille * before_ms + (int64_t)row->coverage_permille * length_ms) /
              (before_ms + length_ms));
    total->imported_uwh += row->imported_uwh;
    total->exported_uwh += row->exported_uwh;
    total->unpriced_uwh += row->unpriced_uwh;
    total->missing_uwh += row->missing_uwh;
    if (total->unpriced_from_ms == 0)
        total->unpriced_from_ms = row->unpriced_from_ms;
    if (row->unpriced_to_ms != 0)
        total->unpriced_to_ms = row->unpriced_to_ms;
    total->co2_ug += row->co2_ug;
    total->co2_missing_uwh += row->co2_missing_uwh;
    if (total->co2_from_ms == 0)
        total->co2_from_ms = row->co2_from_ms;
    if (row->co2_to_ms != 0)
        total->co2_to_ms = row->co2_to_ms;
    total->foreign_uwh += row->foreign_uwh;
    total->estimated_uwh += row->estimated_uwh;
    total->energy_micro += row->energy_micro;
    total->feed_in_micro += row->feed_in_micro;
    total->standing_micro += row->standing_micro;
    total->cost_micro += row->cost_micro;
}

static bool put_cost(void *context, const struct history_cost_row *row)
{
    struct output *output = context;
    struct answer_cell cells[ANSWER_CELLS_MAX];
    add_up(&output->total, row);
    return put_cells(output, cells, answer_cost_cells(row, output->currency, cells));
}

/* What closes the document, and the whole of it where there was no row. */
static bool put_end(struct output *output, struct answer_cell *columns, size_t count)
{
    if (output->survey)
        return true;
    char buffer[ROW_SIZE];
    struct text text;
    if (output->question->row != NULL && output->question->kind == HISTORY_COST) {
        struct answer_cell cells[ANSWER_CELLS_MAX];
        size_t total = answer_cost_cells(&output->total, output->currency, cells);
        return hand_over(output, output->question->total, cells, total);
    }
    if (output->question->row != NULL)
        return true;
    text_init(&text, buffer, sizeof buffer);
    if (output->question->format == HISTORY_CSV) {
        if (!output->begun)
            answer_append_csv_header(&text, columns,
                                     answer_drop_unused(columns, count, output->used));
        return put(output, buffer, text.length);
    }
    if (!output->begun)
        append_opening(output, &text);
    text_append(&text, output->begun ? "\n]" : "]");
    if (output->question->kind == HISTORY_COST) {
        struct answer_cell cells[ANSWER_CELLS_MAX];
        text_append(&text, ",\"total\":");
        answer_append_json(&text, cells,
                           answer_cost_cells(&output->total, output->currency, cells));
        text_append(&text, "}");
    }
    text_append(&text, "\n");
    return put(output, buffer, text.length);
}

/* ---- the questions ---- */

static enum status ask_energy(const struct asked *asked, struct output *output, struct error *error)
{
    const struct history_question *question = output->question;
    struct answer_cell columns[ANSWER_CELLS_MAX];
    const struct history_energy_row none = {0};
    const char *name = asked->bucket == NULL ? "day" : asked->bucket;
    const struct bucket_word *bucket = find_bucket(energy_buckets, name);
    if (bucket == NULL)
        return bad_value(error, "bucket", name, "15m, hour, day, month or year");
    struct span span;
    enum status status = parse_bucket_span(asked, question->now_ms, bucket, &span, error);
    struct history_query *query = NULL;
    if (status == STATUS_OK)
        status = history_query_open(question->path, &query, error);
    if (status == STATUS_OK)
        status = history_query_energy(query, asked->device, asked->channel, span.from_ms,
                                      span.to_ms, bucket->bucket, put_energy, output, error);
    history_query_close(query);
    if (status == STATUS_OK)
        (void)put_end(output, columns, answer_energy_cells(&none, columns));
    return status;
}

static enum status ask_cost(const struct asked *asked, struct output *output, struct error *error)
{
    const struct history_question *question = output->question;
    struct answer_cell columns[ANSWER_CELLS_MAX];
    const struct history_cost_row none = {.co2 = question->co2};
    const char *name = asked->bucket == NULL ? "month" : asked->bucket;
    const struct bucket_word *bucket = find_bucket(cost_buckets, name);
    if (bucket == NULL)
        return bad_value(error, "bucket", name, "day, month or year");
    if (question->tariff_count == 0 && !question->co2)
        return error_set(error, STATUS_USAGE,
                         "The configuration has no tariffs, so nothing has a price, and no CO2 "
                         "intensities; the keys `tariffs` and `co2` of bridge.yaml hold them.");
    struct span span;
    enum status status = parse_bucket_span(asked, question->now_ms, bucket, &span, error);
    struct history_query *query = NULL;
    if (status == STATUS_OK)
        status = history_query_open(question->path, &query, error);
    const struct history_cost_question priced = {
        .device = asked->device,
        .channel = asked->channel,
        .from_ms = span.from_ms,
        .to_ms = span.to_ms,
        .now_ms = question->now_ms,
        .bucket = bucket->bucket,
        .tariffs = question->tariffs,
        .tariff_count = question->tariff_count,
        .co2 = question->co2,
    };
    output->currency = question->tariff_count == 0 ? "" : question->tariffs[0].currency;
    output->total.co2 = question->co2;
    if (status == STATUS_OK)
        status = history_query_cost(query, &priced, put_cost, output, error);
    history_query_close(query);
    if (status == STATUS_OK)
        (void)put_end(output, columns, answer_cost_cells(&none, output->currency, columns));
    return status;
}

static enum status parse_piece(const struct asked *asked, const struct span *span,
                               int64_t *piece_ms, struct error *error)
{
    int64_t points = POWER_POINTS;
    if (asked->points != NULL && !number_parse_int(asked->points, strlen(asked->points), 1,
                                                   HISTORY_POWER_PIECES_MAX - 1, &points))
        return bad_value(error, "points", asked->points, "a number from 1 to 99999");
    *piece_ms = history_power_length(span->to_ms - span->from_ms, points);
    if (asked->bucket == NULL)
        return STATUS_OK;
    if (!number_parse_duration(asked->bucket, strlen(asked->bucket), 1000, 366 * DAY_MS,
                               piece_ms) ||
        *piece_ms % 1000 != 0)
        return bad_value(error, "bucket", asked->bucket,
                         "whole seconds with a unit, such as 10s, 5m, 1h or 1d");
    return STATUS_OK;
}

static enum status ask_power(const struct asked *asked, struct output *output, struct error *error)
{
    const struct history_question *question = output->question;
    struct answer_cell columns[ANSWER_CELLS_MAX];
    const struct history_power_row none = {0};
    struct span span;
    int64_t piece_ms = 0;
    enum status status =
        parse_span(asked, question->now_ms, question->now_ms, DAY_MS, &span, error);
    if (status == STATUS_OK)
        status = parse_piece(asked, &span, &piece_ms, error);
    if (status == STATUS_OK)
        status = history_power(question->path, asked->device, asked->channel, span.from_ms,
                               span.to_ms, piece_ms, put_power, output, error);
    if (status == STATUS_OK)
        (void)put_end(output, columns, answer_power_cells(&none, columns));
    return status;
}

static enum status ask_gaps(const struct asked *asked, struct output *output, struct error *error)
{
    const struct history_question *question = output->question;
    struct answer_cell columns[ANSWER_CELLS_MAX];
    const struct history_gap none = {.device = "", .channel = "", .reason = ""};
    const char *min = asked->min == NULL ? "60s" : asked->min;
    int64_t min_ms = 0;
    struct span span;
    if (!number_parse_duration(min, strlen(min), 1000, 3650 * DAY_MS, &min_ms))
        return bad_value(error, "min", min, "a time with its unit, from 1s on, such as 60s or 5m");
    enum status status =
        parse_span(asked, question->now_ms, question->now_ms, 7 * DAY_MS, &span, error);
    if (status != STATUS_OK)
        return status;
    span.to_ms = span.to_ms > question->now_ms ? question->now_ms : span.to_ms;
    if (span.from_ms < span.to_ms) /* nothing is missing in the future */
        status = history_gaps(question->path, asked->device, asked->channel, span.from_ms,
                              span.to_ms, min_ms, put_gap, output, error);
    if (status == STATUS_OK)
        (void)put_end(output, columns, answer_gap_cells(&none, columns));
    return status;
}

static enum status ask_events(const struct asked *asked, struct output *output, struct error *error)
{
    const struct history_question *question = output->question;
    struct answer_cell columns[ANSWER_CELLS_MAX];
    const struct history_event none = {.device = "", .channel = "", .kind = "", .message = ""};
    struct span span;
    /* What has just happened is in. */
    enum status status =
        parse_span(asked, question->now_ms, question->now_ms + 1, 7 * DAY_MS, &span, error);
    if (status == STATUS_OK)
        status = history_events(question->path, asked->device, asked->channel, span.from_ms,
                                span.to_ms, put_event, output, error);
    if (status == STATUS_OK)
        (void)put_end(output, columns, answer_event_cells(&none, columns));
    return status;
}

static enum status ask_voltage(const struct asked *asked, struct output *output,
                               struct error *error)
{
    const struct history_question *question = output->question;
    struct answer_cell columns[ANSWER_CELLS_MAX];
    const struct history_voltage_row none = {.channel = ""};
    const char *name = asked->bucket == NULL ? "week" : asked->bucket;
    const struct bucket_word *bucket = find_bucket(voltage_buckets, name);
    if (bucket == NULL)
        return bad_value(error, "bucket", name, "day or week");
    struct span span;
    enum status status = parse_bucket_span(asked, question->now_ms, bucket, &span, error);
    if (status != STATUS_OK)
        return status;
    span.to_ms = span.to_ms > question->now_ms ? question->now_ms : span.to_ms;
    const struct history_voltage_question asked_voltage = {
        .device = asked->device,
        .channel = asked->channel,
        .from_ms = span.from_ms,
        .to_ms = span.to_ms,
        .bucket = bucket->bucket,
        .nominal_mv = question->nominal_mv > 0 ? question->nominal_mv : NOMINAL_MV,
    };
    if (span.from_ms < span.to_ms) /* the future has no voltage */
        status = history_voltage(question->path, &asked_voltage, put_voltage, output, error);
    if (status == STATUS_OK)
        (void)put_end(output, columns, answer_voltage_cells(&none, columns));
    return status;
}

/* Apart from other faults of the question, so that the caller can say "not found". */
static enum status check_channel(const struct history_question *question, const struct asked *asked,
                                 struct error *error)
{
    if (asked->device == NULL && asked->channel == NULL)
        return STATUS_OK;
    sqlite3 *db = NULL;
    struct reader_channels channels = {.list = NULL};
    enum status status = reader_open(question->path, &db, error);
    if (status == STATUS_OK) {
        status =
            reader_channels(db, question->path, asked->device, asked->channel, &channels, error);
        status = status == STATUS_USAGE ? STATUS_NO_ANSWER : status;
    } else {
        status = STATUS_FAILED;
    }
    free(channels.list);
    (void)sqlite3_close(db);
    return status;
}

enum status history_answer(const struct history_question *question, history_write write,
                           void *context, struct error *error)
{
    static enum status (*const ask[HISTORY_KINDS])(const struct asked *, struct output *,
                                                   struct error *) = {
        [HISTORY_ENERGY] = ask_energy, [HISTORY_POWER] = ask_power,
        [HISTORY_COST] = ask_cost,     [HISTORY_GAPS] = ask_gaps,
        [HISTORY_EVENTS] = ask_events, [HISTORY_VOLTAGE] = ask_voltage,
    };
    struct asked asked = {.device = NULL};
    struct output output = {.question = question, .write = write, .context = context};
    enum status status = take_options(question, &asked, error);
    if (status != STATUS_OK)
        return status;
    /* Energy and its cost may be there from files only, of a channel that was never read. */
    bool may_be_imported = question->kind == HISTORY_ENERGY || question->kind == HISTORY_COST;
    enum status known = check_channel(question, &asked, error);
    if (known != STATUS_OK && !(known == STATUS_NO_ANSWER && may_be_imported))
        return known;
    /* The header of CSV is what JSON names in some row; JSON itself needs no header. */
    output.survey = question->format == HISTORY_CSV && question->row == NULL;
    status = ask[question->kind](&asked, &output, error);
    if (output.survey && status == STATUS_OK) {
        output.survey = false;
        output.total = (struct history_cost_row){.co2 = false};
        status = ask[question->kind](&asked, &output, error);
    }
    if (status == STATUS_USAGE && known == STATUS_NO_ANSWER)
        return STATUS_NO_ANSWER;
    if (status == STATUS_OK && output.stopped)
        return error_set(error, STATUS_FAILED, "The answer was not taken to its end.");
    return status;
}
