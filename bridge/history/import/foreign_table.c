/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/foreign_table.h"

#include "bridge/history/import/foreign_columns.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS 3600000LL
#define KWH_MAX 9e6 /* nine gigawatt hours still fit microwatt hours in 64 bits */
#define TIME_SIZE 96
#define SAMPLE_ROWS 5000
#define FEW_MOVES 8 /* so many values of consumption hardly ever rise in a row */
#define DAY_MS (24 * HOUR_MS)

struct table {
    struct foreign_source *source;
    const struct foreign_parse_options *options;
    struct foreign_counter *counter;
    struct foreign_columns columns;
    struct foreign_row row;
    char separator;
    char decimal;
    enum foreign_date_order order;
    int64_t head_lines; /* in front of the first row */
    int64_t last_ms;    /* of the row before; -1: none */
    char only[FOREIGN_NAME_SIZE];
    bool several;
};

/* A line that can be read in two ways, for the message. */
struct doubt {
    int64_t line;
    char text[64];
};

/* What the first rows show of the values. */
struct shape {
    int64_t rises, falls;
    int64_t first_line; /* of the first value */
    int64_t first_fall; /* its line */
    int64_t first_ms, last_ms;
    int64_t steps; /* from one value's time to the next one's */
    int64_t largest_uwh;
    int64_t distance_ms; /* the smallest */
};

/* ---- rows ---- */

static char *next_row(struct table *table)
{
    char *line;
    do
        line = foreign_source_line(table->source);
    while (line != NULL && (foreign_source_line_number(table->source) <= table->head_lines ||
                            line[strspn(line, " \t\r;,")] == '\0' || line[0] == '#'));
    if (line != NULL)
        foreign_split(&table->row, table->separator, line);
    return line;
}

/* With the clock behind the day where they stand in two columns. */
static void time_cell(const struct table *table, int column, char text[TIME_SIZE])
{
    const char *day = foreign_cell(&table->row, column);
    if (table->columns.clock >= 0 && column == table->columns.time)
        (void)snprintf(text, TIME_SIZE, "%.40s %.40s", day,
                       foreign_cell(&table->row, table->columns.clock));
    else
        (void)snprintf(text, TIME_SIZE, "%.80s", day);
}

static bool uwh_of_cell(const struct table *table, int column, int64_t *uwh)
{
    double value;
    double scale = foreign_unit_scale(foreign_cell(&table->row, table->columns.unit));
    if (scale <= 0)
        scale = table->columns.scale > 0     ? table->columns.scale
                : table->options->watt_hours ? 1e6
                                             : 1e9;
    if (!foreign_number(foreign_cell(&table->row, column), table->decimal, &value))
        return false;
    double scaled = value * scale;
    if (!(scaled >= 0 && scaled <= KWH_MAX * 1e9))
        return false;
    *uwh = llround(scaled);
    return true;
}

/* ---- which source ---- */

void foreign_note_source(struct foreign_parsed *parsed, const char *name)
{
    size_t length = strlen(parsed->sources);
    const char *found = strstr(parsed->sources, name);
    size_t own = strlen(name);
    if (found != NULL && (found[own] == '\0' || found[own] == ',') &&
        (found == parsed->sources || found[-1] == ' '))
        return;
    (void)snprintf(parsed->sources + length, sizeof parsed->sources - length, "%s%s",
                   length == 0 ? "" : ", ", name);
}

enum status foreign_choose_source(const struct foreign_parsed *parsed, struct error *error)
{
    return error_set(error, STATUS_USAGE,
                     "The file has several sources; choose one of them with --source: %.300s.",
                     parsed->sources);
}

/* Whether the row is of the source that is wanted. */
static bool is_wanted(struct table *table)
{
    char name[FOREIGN_NAME_SIZE];
    const char *source = table->options->source;
    if (table->columns.device >= 0)
        (void)snprintf(name, sizeof name, "%.120s/%.120s",
                       foreign_cell(&table->row, table->columns.device),
                       foreign_cell(&table->row, table->columns.channel));
    else if (table->columns.id >= 0)
        (void)snprintf(name, sizeof name, "%.250s", foreign_cell(&table->row, table->columns.id));
    else
        return true;
    foreign_note_source(table->counter->parsed, name);
    if (source != NULL)
        return strcmp(name, source) == 0;
    if (table->only[0] == '\0')
        (void)snprintf(table->only, sizeof table->only, "%s", name);
    if (strcmp(table->only, name) != 0)
        table->several = true;
    return !table->several;
}

/* ---- how numbers and times are to be read ---- */

static void note_doubt(struct doubt *doubt, bool in_doubt, int64_t line, const char *text)
{
    if (!in_doubt || doubt->line != 0)
        return;
    doubt->line = line;
    (void)snprintf(doubt->text, sizeof doubt->text, "%.60s", text);
}

static void look_at_row(struct table *table, struct foreign_evidence *evidence,
                        struct doubt *number, struct doubt *date)
{
    char time[TIME_SIZE];
    int64_t line = foreign_source_line_number(table->source);
    const char *value = foreign_cell(&table->row, table->columns.value);
    struct foreign_evidence own = {0};
    time_cell(table, table->columns.time, time);
    foreign_evidence_number(&own, value);
    foreign_evidence_time(&own, time);
    note_doubt(number, own.either_points + own.either_commas > 0, line, value);
    note_doubt(date, own.either_dates > 0, line, time);
    evidence->decimal_points += own.decimal_points;
    evidence->decimal_commas += own.decimal_commas;
    evidence->either_points += own.either_points;
    evidence->either_commas += own.either_commas;
    evidence->day_first += own.day_first;
    evidence->month_first += own.month_first;
    evidence->either_dates += own.either_dates;
}

static enum status choose_decimal(struct table *table, const struct foreign_evidence *evidence,
                                  const struct doubt *doubt, struct error *error)
{
    table->decimal = table->options->decimal;
    if (table->decimal != 0)
        return STATUS_OK;
    if (evidence->decimal_points > 0 && evidence->decimal_commas > 0)
        return error_set(
            error, STATUS_USAGE,
            "Some numbers of the file have a decimal point and some a decimal comma. "
            "Choose one with --decimal; the others are then refused with their lines.");
    table->decimal = evidence->decimal_commas > 0 ? ',' : '.';
    if (evidence->decimal_points + evidence->decimal_commas > 0)
        return STATUS_OK;
    bool local = table->separator == ';'; /* of a country with a decimal comma */
    if (evidence->either_commas > 0 && local)
        table->decimal = ',';
    bool open = (evidence->either_commas > 0 && !local) || (evidence->either_points > 0 && local);
    if (!open)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "Line %lld: \"%s\" can be read with or without decimals. Say which mark is in "
                     "front of the decimals: --decimal point or --decimal comma.",
                     (long long)doubt->line, doubt->text);
}

static enum status choose_order(struct table *table, const struct foreign_evidence *evidence,
                                const struct doubt *doubt, struct error *error)
{
    table->order = table->options->date_order;
    if (table->order != FOREIGN_DATES_AUTO)
        return STATUS_OK;
    if (evidence->day_first > 0 && evidence->month_first > 0)
        return error_set(error, STATUS_USAGE,
                         "Some dates of the file have the day first and some the month. Choose one "
                         "with --date-format; the others are then refused with their lines.");
    if (evidence->day_first > 0)
        table->order = FOREIGN_DATES_DMY;
    else if (evidence->month_first > 0)
        table->order = FOREIGN_DATES_MDY;
    else if (evidence->either_dates > 0)
        return error_set(error, STATUS_USAGE,
                         "Line %lld: \"%s\" can be read in two ways. Say which comes first: "
                         "--date-format dmy or --date-format mdy.",
                         (long long)doubt->line, doubt->text);
    return STATUS_OK;
}

/* ---- totals or intervals ---- */

static void look_at_values(struct table *table, struct shape *shape)
{
    int64_t before_uwh = -1, before_ms = -1;
    char time[TIME_SIZE];
    *shape = (struct shape){0};
    foreign_source_rewind(table->source);
    for (size_t i = 0; i < SAMPLE_ROWS && foreign_source_in_sample(table->source); i++) {
        int64_t uwh, at_ms;
        if (next_row(table) == NULL)
            break;
        time_cell(table, table->columns.time, time);
        if (!is_wanted(table) || !uwh_of_cell(table, table->columns.value, &uwh) ||
            !foreign_time(time, table->order, before_ms, &at_ms))
            continue;
        if (before_uwh < 0) {
            shape->first_line = foreign_source_line_number(table->source);
            shape->first_ms = at_ms;
        }
        shape->last_ms = at_ms;
        shape->largest_uwh = uwh > shape->largest_uwh ? uwh : shape->largest_uwh;
        shape->steps += before_ms >= 0 && at_ms > before_ms ? 1 : 0;
        shape->rises += before_uwh >= 0 && uwh > before_uwh ? 1 : 0;
        shape->falls += before_uwh >= 0 && uwh < before_uwh ? 1 : 0;
        if (shape->falls == 1 && shape->first_fall == 0)
            shape->first_fall = foreign_source_line_number(table->source);
        int64_t distance_ms = before_ms >= 0 ? at_ms - before_ms : 0;
        if (distance_ms > 0 && (shape->distance_ms == 0 || distance_ms < shape->distance_ms))
            shape->distance_ms = distance_ms;
        before_uwh = uwh;
        before_ms = at_ms;
    }
}

/* What is consumed follows the day, the week and the year: values that hardly ever fall over so long a time
 * are no consumption. 0: values so far apart say nothing. */
static int64_t cycle_ms(int64_t distance_ms)
{
    if (distance_ms <= 12 * HOUR_MS)
        return 36 * HOUR_MS;
    if (distance_ms <= 2 * DAY_MS)
        return 21 * DAY_MS;
    return distance_ms <= 62 * DAY_MS ? 420 * DAY_MS : 0;
}

/* Values that hardly ever fall: are they a counter's for certain? */
static bool is_counter(const struct shape *shape, double max_power_w)
{
    if (shape->steps == 0)
        return false;
    int64_t span_ms = shape->last_ms - shape->first_ms;
    int64_t distance_ms = span_ms / shape->steps; /* on the average: stamps are not exact */
    double hours = (double)distance_ms / HOUR_MS;
    if ((double)shape->largest_uwh > max_power_w * 1e6 * hours)
        return true; /* nobody consumes so much in that time */
    int64_t cycle = cycle_ms(distance_ms);
    return shape->rises >= FEW_MOVES && cycle > 0 && span_ms >= cycle;
}

/* A column that is named neither way. A counter falls when it begins anew or was misread, once in a while;
 * consumption falls as often as it rises. What is between the two, and values that rise as both may, are not
 * guessed: a wrong sum is worse than a question. */
static enum status judge_shape(const struct shape *shape, double max_power_w,
                               enum foreign_kind *kind, struct error *error)
{
    int64_t moves = shape->rises + shape->falls;
    *kind = FOREIGN_KIND_TOTAL;
    if (shape->falls >= 2 && shape->falls * 4 >= moves) {
        *kind = FOREIGN_KIND_INTERVAL;
        return STATUS_OK;
    }
    if (shape->falls > 0 && shape->falls * 10 >= moves)
        return error_set(error, STATUS_USAGE,
                         "The values fall %lld times, first in line %lld: too often for a counter, "
                         "and too rarely for what was consumed in each interval. Say which they "
                         "are: --values total or --values interval.",
                         (long long)shape->falls, (long long)shape->first_fall);
    if (shape->largest_uwh == 0 || shape->steps == 0 || is_counter(shape, max_power_w))
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "The values from line %lld on may be what a counter shows, or what was "
                     "consumed in each interval. Say which they are: --values total or --values "
                     "interval.",
                     (long long)shape->first_line);
}

static enum status choose_kind(struct table *table, struct error *error)
{
    struct shape shape;
    look_at_values(table, &shape);
    table->counter->usual_ms = shape.distance_ms;
    enum foreign_kind kind =
        table->options->kind != FOREIGN_KIND_AUTO ? table->options->kind : table->columns.kind;
    enum status status = kind == FOREIGN_KIND_AUTO
                             ? judge_shape(&shape, table->options->max_power_w, &kind, error)
                             : STATUS_OK;
    table->counter->parsed->intervals = kind == FOREIGN_KIND_INTERVAL;
    return status;
}

/* ---- the walk ---- */

static enum status refuse_row(const struct table *table, const char *what, const char *text,
                              struct error *error)
{
    return error_set(error, STATUS_USAGE, "Line %lld: \"%.60s\" is no %s that is known here.",
                     (long long)foreign_source_line_number(table->source), text, what);
}

static enum status take_interval(struct table *table, int64_t at_ms, int64_t uwh,
                                 struct error *error)
{
    char time[TIME_SIZE];
    int64_t end_ms = 0;
    time_cell(table, table->columns.end, time);
    if (table->columns.end >= 0 && !foreign_is_absent(time) &&
        (!foreign_time(time, table->order, at_ms, &end_ms) || end_ms <= at_ms))
        return refuse_row(table, "end of an interval", time, error);
    table->counter->line = foreign_source_line_number(table->source);
    if (foreign_counter_interval(table->counter, at_ms, end_ms, uwh))
        return STATUS_OK;
    time_cell(table, table->columns.time, time);
    return error_set(error, STATUS_USAGE,
                     "Line %lld: the interval of \"%s\" does not begin after the one before; the "
                     "file is not in the order of time. Sort it, the oldest row first.",
                     (long long)foreign_source_line_number(table->source), time);
}

/* Since when the row's energy was counted, where nobody read meanwhile. */
static bool counted_from(const struct table *table, int64_t at_ms, int64_t *from_ms)
{
    double seconds;
    const char *text = foreign_cell(&table->row, table->columns.over);
    *from_ms = at_ms;
    if (text[0] == '\0')
        return true;
    if (!foreign_number(text, table->decimal, &seconds) || !(seconds >= 0) ||
        !(seconds * 1000 <= (double)at_ms))
        return false;
    *from_ms = at_ms - llround(seconds * 1000);
    return true;
}

static enum status take_own(struct table *table, int64_t at_ms, int64_t uwh, int64_t produced_uwh,
                            struct error *error)
{
    int64_t from_ms;
    if (!counted_from(table, at_ms, &from_ms))
        return refuse_row(table, "number of seconds",
                          foreign_cell(&table->row, table->columns.over), error);
    table->counter->parsed->rows++;
    foreign_counter_piece(table->counter, from_ms, at_ms, uwh, produced_uwh);
    return STATUS_OK;
}

static enum status take_row(struct table *table, struct error *error)
{
    const struct foreign_columns *columns = &table->columns;
    struct foreign_counter *counter = table->counter;
    char time[TIME_SIZE];
    int64_t at_ms, uwh, produced_uwh = 0;
    if (!is_wanted(table)) {
        counter->parsed->others++;
        return STATUS_OK;
    }
    const char *value = foreign_cell(&table->row, columns->value);
    const char *other = foreign_cell(&table->row, columns->produced);
    time_cell(table, columns->time, time);
    if (foreign_is_absent(value) || foreign_is_absent(time) ||
        (columns->produced >= 0 && foreign_is_absent(other))) {
        counter->parsed->unreadable++;
        return STATUS_OK;
    }
    if (!foreign_time(time, table->order, table->last_ms, &at_ms))
        return refuse_row(table, "time", time, error);
    if (!uwh_of_cell(table, columns->value, &uwh))
        return refuse_row(table, "number of energy", value, error);
    if (columns->produced >= 0 && !uwh_of_cell(table, columns->produced, &produced_uwh))
        return refuse_row(table, "number of energy", other, error);
    if (counter->parsed->intervals && columns->format == FOREIGN_KWH) {
        table->last_ms = at_ms;
        return take_interval(table, at_ms, uwh, error);
    }
    if (columns->format == FOREIGN_BL2MQTT)
        return take_own(table, at_ms, uwh, produced_uwh, error);
    table->last_ms = at_ms;
    foreign_counter_total(counter, columns->ends_an_hour ? at_ms + HOUR_MS : at_ms, uwh);
    return STATUS_OK;
}

/* ---- the beginning ---- */

static bool is_row(const struct table *table)
{
    double value;
    int64_t at_ms;
    const char *time = foreign_cell(&table->row, 0);
    const char *cell = foreign_cell(&table->row, 1);
    bool is_number = foreign_number(cell, '.', &value) || foreign_number(cell, ',', &value);
    return table->row.count >= 2 && is_number &&
           (foreign_time(time, FOREIGN_DATES_DMY, -1, &at_ms) ||
            foreign_time(time, FOREIGN_DATES_MDY, -1, &at_ms));
}

/* The first line is a head, or already a row. */
static enum status read_head(struct table *table, struct error *error)
{
    char *line;
    do
        line = foreign_source_line(table->source);
    while (line != NULL && (line[strspn(line, " \t\r")] == '\0' || line[0] == '#'));
    if (line == NULL) {
        enum status status = foreign_source_status(table->source, error);
        return status != STATUS_OK ? status : error_set(error, STATUS_USAGE, "The file is empty.");
    }
    enum foreign_format wanted = table->options->format;
    table->separator = foreign_separator(line);
    foreign_split(&table->row, table->separator, line);
    table->head_lines = foreign_source_line_number(table->source);
    if (foreign_columns_read(&table->row, wanted, &table->columns))
        return STATUS_OK;
    table->head_lines--;
    if (!is_row(table) || wanted == FOREIGN_BL2MQTT || wanted == FOREIGN_HA)
        return error_set(error, STATUS_USAGE,
                         "Line %lld names no columns that are known here (time and total, time and "
                         "consumption, start and sum, or those of `bl2mqtt history export`).",
                         (long long)table->head_lines + 1);
    foreign_columns_default(&table->columns);
    return STATUS_OK;
}

static enum status look(struct table *table, struct error *error)
{
    struct foreign_evidence evidence = {0};
    struct doubt number = {0}, date = {0};
    foreign_source_rewind(table->source);
    for (size_t i = 0; i < SAMPLE_ROWS && foreign_source_in_sample(table->source); i++) {
        if (next_row(table) == NULL)
            break;
        look_at_row(table, &evidence, &number, &date);
    }
    enum status status = choose_decimal(table, &evidence, &number, error);
    if (status == STATUS_OK)
        status = choose_order(table, &evidence, &date, error);
    if (status == STATUS_OK && table->columns.format == FOREIGN_KWH)
        status = choose_kind(table, error);
    foreign_source_rewind(table->source);
    table->only[0] = '\0';
    table->several = false;
    return status;
}

enum status foreign_table_read(struct foreign_source *source,
                               const struct foreign_parse_options *options,
                               struct foreign_counter *counter, struct error *error)
{
    struct table *table memory_auto = memory_new(1, sizeof *table);
    *table = (struct table){
        .source = source, .options = options, .counter = counter, .decimal = '.', .last_ms = -1};
    enum status status = read_head(table, error);
    if (status == STATUS_OK)
        status = look(table, error);
    if (status != STATUS_OK)
        return status;
    while (status == STATUS_OK && !counter->full && !table->several && next_row(table) != NULL)
        status = take_row(table, error);
    counter->parsed->format = table->columns.format;
    if (status == STATUS_OK && table->several)
        status = foreign_choose_source(counter->parsed, error);
    return status == STATUS_OK ? foreign_source_status(source, error) : status;
}
