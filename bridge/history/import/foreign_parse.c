/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/foreign_parse.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000LL
#define COLUMNS_MAX 64
#define LINE_MAX_BYTES 65536
#define JSON_MAX_BYTES ((size_t)256 * 1024 * 1024)
#define KWH_MAX 9e6 /* nine gigawatt hours still fit microwatt hours in 64 bits */

const char *foreign_format_name(enum foreign_format format)
{
    static const char *const names[] = {"auto", "bl2mqtt", "ha", "kwh"};
    return names[format];
}

/* ---- counters ---- */

struct counter {
    const struct foreign_parse_options *options;
    struct foreign_parsed *parsed;
    foreign_piece piece;
    void *context;
    bool full;

    bool any;
    int64_t at_ms; /* the last value that is believed */
    int64_t uwh;
    bool waits; /* one that does not fit; the next decides */
    int64_t waits_ms;
    int64_t waits_uwh;
};

static void emit(struct counter *counter, int64_t from_ms, int64_t to_ms, int64_t imported_uwh,
                 int64_t exported_uwh)
{
    struct foreign_parsed *parsed = counter->parsed;
    if (parsed->last_ms == 0 || from_ms < parsed->first_ms)
        parsed->first_ms = from_ms;
    if (to_ms > parsed->last_ms)
        parsed->last_ms = to_ms;
    if (!counter->piece(counter->context, from_ms, to_ms, imported_uwh, exported_uwh))
        counter->full = true;
}

/* Whether that much energy is possible in that time; a minute more, as stamps are not exact. */
static bool possible(const struct counter *counter, int64_t from_ms, int64_t to_ms, int64_t uwh)
{
    double hours = (double)(to_ms - from_ms + 60000) / 3.6e6;
    return (double)uwh <= counter->options->max_power_w * hours * 1e6;
}

static void believe(struct counter *counter, int64_t at_ms, int64_t uwh, int64_t energy_uwh)
{
    emit(counter, counter->at_ms, at_ms, energy_uwh, 0);
    counter->at_ms = at_ms;
    counter->uwh = uwh;
}

/* The value that waited is taken for what it shows: a counter that began anew, or another one. */
static void accept_waiting(struct counter *counter)
{
    bool reset = counter->waits_uwh < counter->uwh &&
                 possible(counter, counter->at_ms, counter->waits_ms, counter->waits_uwh);
    if (reset)
        counter->parsed->resets++;
    else
        counter->parsed->jumps++;
    believe(counter, counter->waits_ms, counter->waits_uwh, reset ? counter->waits_uwh : 0);
    counter->waits = false;
}

static bool fits(const struct counter *counter, int64_t at_ms, int64_t uwh)
{
    return uwh >= counter->uwh && possible(counter, counter->at_ms, at_ms, uwh - counter->uwh);
}

static void feed(struct counter *counter, int64_t at_ms, int64_t uwh)
{
    int64_t last_ms = counter->waits ? counter->waits_ms : counter->at_ms;
    counter->parsed->rows++;
    if (counter->any && at_ms <= last_ms) {
        counter->parsed->unsorted++;
        return;
    }
    if (!counter->any) {
        counter->any = true;
        counter->at_ms = at_ms;
        counter->uwh = uwh;
        return;
    }
    if (counter->waits && fits(counter, at_ms, uwh)) {
        counter->parsed->glitches++;
        counter->waits = false;
    } else if (counter->waits) {
        accept_waiting(counter);
    }
    if (fits(counter, at_ms, uwh)) {
        believe(counter, at_ms, uwh, uwh - counter->uwh);
        return;
    }
    counter->waits = true;
    counter->waits_ms = at_ms;
    counter->waits_uwh = uwh;
}

static void end_counter(struct counter *counter)
{
    if (counter->waits)
        accept_waiting(counter);
}

/* ---- numbers and times ---- */

static bool number_of(const char *text, bool decimal_comma, double *value)
{
    char copy[64];
    size_t length = strlen(text);
    if (length == 0 || length >= sizeof copy)
        return false;
    memcpy(copy, text, length + 1);
    char *comma = strchr(copy, ',');
    if (comma != NULL && decimal_comma)
        *comma = '.';
    return number_parse_double(copy, length, -1e15, 1e15, value);
}

/* kWh, or Wh if scale is 1e6, to microwatt hours. */
static bool energy_of(double value, double scale, int64_t *uwh)
{
    double scaled = value * scale;
    if (!(scaled >= 0 && scaled <= KWH_MAX * 1e9))
        return false;
    *uwh = llround(scaled);
    return true;
}

static bool time_in_range(double ms, int64_t *wall_ms)
{
    if (!(ms >= 0 && ms <= (double)BUCKET_TIME_MAX_MS))
        return false;
    *wall_ms = llround(ms);
    return true;
}

/* Up to the year 5138 numbers of seconds are smaller than those of milliseconds from 1973 on. */
static bool time_of_number(double value, int64_t *wall_ms)
{
    return time_in_range(value < 1e11 ? value * 1000 : value, wall_ms);
}

static bool time_of(const char *text, bool decimal_comma, int64_t *wall_ms)
{
    double number;
    char copy[64];
    if (strchr(text, '-') == NULL && number_of(text, decimal_comma, &number))
        return time_of_number(number, wall_ms);
    if (!isdigit((unsigned char)text[0])) /* not "now" and the like */
        return false;
    /* Databases write microseconds, others a tenth: to milliseconds. */
    size_t whole = strcspn(text, ".,");
    size_t digits = text[whole] == '\0' ? 0 : strspn(text + whole + 1, "0123456789");
    const char *rest = text + whole + (digits > 0 ? digits + 1 : 0);
    struct text stamp;
    text_init(&stamp, copy, sizeof copy);
    text_append(&stamp, "%.*s", (int)(whole < sizeof copy ? whole : sizeof copy), text);
    if (digits > 0)
        text_append(&stamp, ".%.*s%.*s", (int)(digits < 3 ? digits : 3), text + whole + 1,
                    (int)(digits < 3 ? 3 - digits : 0), "00");
    text_append(&stamp, "%s", rest);
    if (stamp.cut)
        return false;
    return time_text_parse(copy, 0, wall_ms, NULL) == STATUS_OK && *wall_ms >= 0 &&
           *wall_ms <= BUCKET_TIME_MAX_MS;
}

/* ---- which source ---- */

static void note_source(struct foreign_parsed *parsed, const char *name)
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

/* ---- CSV ---- */

struct table {
    struct counter *counter;
    enum foreign_format format;
    char separator;
    char *cells[COLUMNS_MAX];
    size_t count;
    int time, value, produced, device, channel, id, unit; /* columns; -1: none */
    double scale;
    bool ends_an_hour; /* the value is that of the end of the hour which begins at the time */
    char only[FOREIGN_NAME_SIZE];
    bool several;
};

static size_t occurrences(const char *line, char wanted)
{
    size_t count = 0;
    for (; *line != '\0'; line++)
        count += *line == wanted ? 1 : 0;
    return count;
}

static char separator_of(const char *line)
{
    size_t semicolons = occurrences(line, ';');
    size_t tabs = occurrences(line, '\t');
    if (tabs > 0 && tabs >= semicolons)
        return '\t';
    return semicolons > 0 ? ';' : ',';
}

/* Cuts a line into cells, in place; quotes are taken away, doubled ones become one. */
static void split(struct table *table, char *line)
{
    char *at = line;
    table->count = 0;
    while (table->count < COLUMNS_MAX) {
        while (*at == ' ')
            at++;
        char *out = at;
        table->cells[table->count++] = out;
        bool quoted = *at == '"';
        if (quoted)
            at++;
        while (*at != '\0' && (quoted || *at != table->separator)) {
            if (quoted && at[0] == '"' && at[1] != '"') {
                quoted = false;
                at++;
                continue;
            }
            if (quoted && at[0] == '"')
                at++;
            *out++ = *at++;
        }
        bool more = *at != '\0';
        while (out > table->cells[table->count - 1] && (out[-1] == ' ' || out[-1] == '\r'))
            out--;
        *out = '\0';
        if (!more)
            return;
        at++;
    }
}

static int column(const struct table *table, const char *const *names)
{
    for (; *names != NULL; names++)
        for (size_t i = 0; i < table->count; i++)
            if (strcasecmp(table->cells[i], *names) == 0)
                return (int)i;
    return -1;
}

static const char *cell(const struct table *table, int index)
{
    return index < 0 || (size_t)index >= table->count ? "" : table->cells[index];
}

/* Wh, kWh or MWh to microwatt hours; 0 if it is none of them. */
static double scale_of_unit(const char *unit)
{
    if (strcasecmp(unit, "Wh") == 0)
        return 1e6;
    if (strcasecmp(unit, "kWh") == 0)
        return 1e9;
    return strcasecmp(unit, "MWh") == 0 ? 1e12 : 0;
}

static const char *const no_columns[] = {NULL};

/* False if the line is no head. */
static bool read_head(struct table *table)
{
    static const char *const times[] = {"time",  "timestamp",    "datetime",     "date", "start_ts",
                                        "start", "last_changed", "last_updated", NULL};
    static const char *const starts[] = {"start_ts", "start", NULL};
    static const char *const sums[] = {"sum", NULL};
    static const char *const values[] = {
        "total",     "sum",        "state",        "value",    "energy",    "kwh", "wh",
        "total_kwh", "energy_kwh", "energy_total", "total_wh", "energy_wh", NULL};
    static const char *const watt_hours[] = {"wh", "total_wh", "energy_wh", NULL};
    static const char *const kwhs[] = {"energy_kwh", NULL};
    static const char *const produced[] = {"energy_produced_kwh", NULL};
    static const char *const devices[] = {"device", NULL};
    static const char *const channels[] = {"channel", NULL};
    static const char *const counts[] = {"counts", NULL};
    static const char *const ids[] = {"statistic_id", "entity_id", "metadata_id", NULL};
    static const char *const units[] = {"unit_of_measurement", "unit", NULL};
    bool own = column(table, counts) >= 0 && column(table, kwhs) >= 0;
    bool ha = column(table, starts) >= 0 && column(table, sums) >= 0;
    if (table->format == FOREIGN_AUTO)
        table->format = own ? FOREIGN_BL2MQTT : ha ? FOREIGN_HA : FOREIGN_KWH;
    bool hours = table->format == FOREIGN_HA;
    table->ends_an_hour = hours;
    table->time = column(table, hours ? starts : times);
    table->value = column(table, own ? kwhs : hours ? sums : values);
    table->produced = column(table, own ? produced : no_columns);
    table->device = column(table, own ? devices : no_columns);
    table->channel = column(table, own ? channels : no_columns);
    table->id = column(table, own ? no_columns : ids);
    table->unit = column(table, units);
    if (column(table, watt_hours) == table->value && table->value >= 0)
        table->scale = 1e6;
    return table->time >= 0 && table->value >= 0;
}

/* Whether the row is of the source that is wanted. */
static bool is_wanted(struct table *table)
{
    char name[FOREIGN_NAME_SIZE];
    const char *source = table->counter->options->source;
    if (table->device >= 0)
        (void)snprintf(name, sizeof name, "%.120s/%.120s", cell(table, table->device),
                       cell(table, table->channel));
    else if (table->id >= 0)
        (void)snprintf(name, sizeof name, "%.250s", cell(table, table->id));
    else
        return true;
    note_source(table->counter->parsed, name);
    if (source != NULL)
        return strcmp(name, source) == 0;
    if (table->only[0] == '\0')
        (void)snprintf(table->only, sizeof table->only, "%s", name);
    if (strcmp(table->only, name) != 0)
        table->several = true;
    return !table->several;
}

static bool uwh_of_cell(const struct table *table, int index, int64_t *uwh)
{
    double value;
    double scale = scale_of_unit(cell(table, table->unit));
    return number_of(cell(table, index), table->separator == ';', &value) &&
           energy_of(value, scale > 0 ? scale : table->scale, uwh);
}

static void take_row(struct table *table)
{
    struct counter *counter = table->counter;
    int64_t at_ms;
    int64_t uwh;
    int64_t produced_uwh = 0;
    if (!is_wanted(table)) {
        counter->parsed->others++;
        return;
    }
    if (!time_of(cell(table, table->time), table->separator == ';', &at_ms) ||
        !uwh_of_cell(table, table->value, &uwh) ||
        (table->produced >= 0 && !uwh_of_cell(table, table->produced, &produced_uwh))) {
        counter->parsed->unreadable++;
        return;
    }
    if (table->format == FOREIGN_BL2MQTT) {
        counter->parsed->rows++;
        emit(counter, at_ms, at_ms, uwh, produced_uwh);
    } else {
        feed(counter, table->ends_an_hour ? at_ms + HOUR_MS : at_ms, uwh);
    }
}

/* The first line is a head, or already a row. */
static enum status begin_table(struct table *table, char *line, struct error *error)
{
    int64_t at_ms;
    double value;
    table->separator = separator_of(line);
    split(table, line);
    if (read_head(table))
        return STATUS_OK;
    bool row = table->count >= 2 && time_of(table->cells[0], table->separator == ';', &at_ms) &&
               number_of(table->cells[1], table->separator == ';', &value);
    if (!row || table->format == FOREIGN_BL2MQTT || table->format == FOREIGN_HA)
        return error_set(error, STATUS_USAGE,
                         "The file's first line names no columns that are known here (time and "
                         "total, start and sum, or those of `bl2mqtt history export`).");
    table->format = FOREIGN_KWH;
    table->ends_an_hour = false;
    table->time = 0;
    table->value = 1;
    table->produced = table->device = table->channel = table->id = table->unit = -1;
    take_row(table);
    return STATUS_OK;
}

static enum status choose_one(const struct foreign_parsed *parsed, struct error *error)
{
    return error_set(error, STATUS_USAGE,
                     "The file has several sources; choose one of them with --source: %.300s.",
                     parsed->sources);
}

static enum status parse_table(FILE *file, struct counter *counter, struct error *error)
{
    struct table table = {.counter = counter,
                          .format = counter->options->format,
                          .scale = counter->options->watt_hours ? 1e6 : 1e9};
    char *line memory_auto = memory_new(LINE_MAX_BYTES, 1);
    bool begun = false;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !counter->full && !table.several &&
           fgets(line, LINE_MAX_BYTES, file) != NULL) {
        size_t length = strcspn(line, "\n");
        bool whole = line[length] == '\n' || feof(file) != 0;
        line[length] = '\0';
        char *text = strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
        if (!whole)
            status = error_set(error, STATUS_USAGE,
                               "The file has a line of more than %d bytes; it is no table of "
                               "energy.",
                               LINE_MAX_BYTES);
        else if (text[strspn(text, " \t\r")] == '\0')
            continue;
        else if (!begun)
            status = begin_table(&table, text, error);
        else {
            split(&table, text);
            take_row(&table);
        }
        begun = true;
    }
    counter->parsed->format = table.format;
    if (status == STATUS_OK && table.several)
        status = choose_one(counter->parsed, error);
    if (status == STATUS_OK && !begun)
        status = error_set(error, STATUS_USAGE, "The file is empty.");
    return status;
}

/* ---- JSON ---- */

static bool json_time(const json_t *value, int64_t *wall_ms)
{
    if (json_is_number(value))
        return time_of_number(json_number_value(value), wall_ms);
    return json_is_string(value) && time_of(json_string_value(value), false, wall_ms);
}

static void take_statistics(struct counter *counter, const json_t *rows, double scale)
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
            feed(counter, start_ms + HOUR_MS, uwh);
    }
}

static double json_scale(const struct counter *counter, const json_t *statistic)
{
    const char *unit = json_string_value(json_object_get(statistic, "unit_of_measurement"));
    double scale = unit == NULL ? 0 : scale_of_unit(unit);
    return scale > 0 ? scale : counter->options->watt_hours ? 1e6 : 1e9;
}

/* What one statistic is, in either shape. */
struct statistic {
    const json_t *rows;
    double scale;
    unsigned count;
};

static void offer(struct counter *counter, struct statistic *found, const char *id,
                  const json_t *rows, double scale)
{
    const char *source = counter->options->source;
    if (id == NULL || !json_is_array(rows))
        return;
    note_source(counter->parsed, id);
    if (source != NULL && strcmp(source, id) != 0) {
        counter->parsed->others += (int64_t)json_array_size(rows);
        return;
    }
    *found = (struct statistic){rows, scale, found->count + 1};
}

static void find_statistics(struct counter *counter, const json_t *document,
                            struct statistic *found)
{
    size_t index;
    const char *key;
    json_t *value;
    const json_t *result = json_object_get(document, "result"); /* as the websocket wraps it */
    if (json_is_object(result))
        document = result;
    json_array_foreach(document, index, value)
        offer(counter, found, json_string_value(json_object_get(value, "statistic_id")),
              json_object_get(value, "stats"), json_scale(counter, value));
    if (!json_is_object(document))
        return;
    json_object_foreach((json_t *)document, key, value)
        offer(counter, found, key, value, json_scale(counter, NULL));
}

static enum status read_all(FILE *file, char **text, size_t *length, struct error *error)
{
    size_t capacity = 65536;
    char *buffer = memory_new(capacity, 1);
    size_t used = 0;
    size_t got;
    while ((got = fread(buffer + used, 1, capacity - used, file)) > 0) {
        used += got;
        if (used < capacity)
            continue;
        if (capacity >= JSON_MAX_BYTES) {
            free(buffer);
            return error_set(error, STATUS_USAGE,
                             "The JSON file is larger than 256 MiB; export a shorter time.");
        }
        char *grown = memory_new(capacity * 2, 1);
        memcpy(grown, buffer, used);
        free(buffer);
        buffer = grown;
        capacity *= 2;
    }
    *text = buffer;
    *length = used;
    return STATUS_OK;
}

static enum status parse_json(FILE *file, struct counter *counter, struct error *error)
{
    char *text memory_auto = NULL;
    size_t length = 0;
    enum status status = read_all(file, &text, &length, error);
    if (status != STATUS_OK)
        return status;
    json_error_t problem;
    json_t *document = json_loadb(text, length, 0, &problem);
    if (document == NULL)
        return error_set(error, STATUS_USAGE, "Line %d of the file is no JSON: %.100s.",
                         problem.line, problem.text);
    struct statistic found = {NULL, 0, 0};
    find_statistics(counter, document, &found);
    if (found.count == 1)
        take_statistics(counter, found.rows, found.scale);
    else if (found.count > 1)
        status = choose_one(counter->parsed, error);
    else
        status = error_set(
            error, STATUS_USAGE, "The file has no statistics%s%.100s. What it has: %.300s.",
            counter->options->source == NULL ? "" : " of ",
            counter->options->source == NULL ? "" : counter->options->source,
            counter->parsed->sources[0] == '\0' ? "nothing known here" : counter->parsed->sources);
    json_decref(document);
    return status;
}

/* ---- the whole ---- */

enum status foreign_parse(FILE *file, const struct foreign_parse_options *options,
                          foreign_piece piece, void *context, struct foreign_parsed *parsed,
                          struct error *error)
{
    *parsed = (struct foreign_parsed){.format = FOREIGN_HA};
    struct counter counter = {
        .options = options, .parsed = parsed, .piece = piece, .context = context};
    int first;
    do
        first = getc(file);
    while (first == ' ' || first == '\n' || first == '\r' || first == '\t');
    if (first != EOF)
        (void)ungetc(first, file);
    bool json = (first == '[' || first == '{') &&
                (options->format == FOREIGN_AUTO || options->format == FOREIGN_HA);
    enum status status =
        json ? parse_json(file, &counter, error) : parse_table(file, &counter, error);
    if (status == STATUS_OK && ferror(file) != 0)
        status = error_set(error, STATUS_FAILED, "The file could not be read to its end.");
    if (status != STATUS_OK)
        return status;
    end_counter(&counter);
    if (counter.full)
        return error_set(error, STATUS_USAGE, "The file spans more time than can be imported.");
    if (parsed->rows == 0)
        return error_set(
            error, STATUS_USAGE, "The file has no row%s%.100s with a time and a value%s%.300s.",
            options->source == NULL ? "" : " of ", options->source == NULL ? "" : options->source,
            parsed->sources[0] == '\0' ? "" : "; what it has: ", parsed->sources);
    return STATUS_OK;
}
