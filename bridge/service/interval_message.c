/* SPDX-License-Identifier: MIT */
#include "bridge/service/interval_message.h"

#include "bridge/history/query/time_text.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t least_ms = INT64_C(1577836800000);  /* 2020 */
static const int64_t most_ms = INT64_C(4102444800000);   /* 2100 */
static const int64_t longest_ms = INT64_C(24) * 3600000; /* of one interval */
static const int64_t usual_ms = INT64_C(3600000);

/* Where a word stands depends on who sends it. */
static const char *const lists[] = {"prices",       "intervals", "data",     "rates", "raw_today",
                                    "raw_tomorrow", "today",     "tomorrow", NULL};
static const char *const starts[] = {"start",           "startsAt", "start_time",
                                     "start_timestamp", "from",     "starts_at",
                                     "datetime",        "time",     NULL};
static const char *const ends[] = {"end", "end_time", "end_timestamp", "till", "to", NULL};
static const char *const values[] = {"total",       "price",         "value",
                                     "marketprice", "price_per_kwh", NULL};
static const char *const intensities[] = {
    "carbonIntensity", "carbon_intensity", "intensity", "co2", "value", NULL};

/* What is read, with the bounds of its values. */
struct kind {
    const char *const *words;
    const char *value; /* for sentences */
    double minimum_micro, most_micro;
    int64_t divisor;
};

static const json_t *find(const json_t *object, const char *const *words)
{
    const json_t *found = NULL;
    for (; *words != NULL && found == NULL; words++)
        found = json_object_get(object, *words);
    return json_is_null(found) ? NULL : found;
}

/* Seconds and milliseconds since 1970 are distinguished by their size. */
static bool read_time(const json_t *json, int64_t *ms)
{
    if (json_is_string(json)) {
        const char *text = json_string_value(json);
        if (strlen(text) < sizeof "2026-01-01T00:00" - 1 ||
            time_text_parse(text, 0, ms, NULL) != STATUS_OK)
            return false;
    } else if (json_is_integer(json)) {
        json_int_t number = json_integer_value(json);
        if (number < 0 || number > most_ms)
            return false;
        *ms = number < least_ms / 10 ? number * 1000 : number;
    } else {
        return false;
    }
    return *ms >= least_ms && *ms < most_ms && *ms % INTERVAL_MS == 0;
}

static bool read_value(const json_t *json, const struct kind *kind, int64_t *micro)
{
    char *rest = NULL;
    double value = json_number_value(json);
    if (json_is_string(json))
        value = strtod(json_string_value(json), &rest);
    if (json_is_string(json) ? rest == json_string_value(json) || *rest != '\0'
                             : !json_is_number(json))
        return false;
    value = value * 1e6 / (double)kind->divisor;
    if (!isfinite(value) || value < kind->minimum_micro || value > kind->most_micro)
        return false;
    *micro = llround(value);
    return true;
}

struct row {
    int64_t start_ms, end_ms; /* end 0: not given */
    int64_t micro;
};

static enum status read_row(const json_t *json, size_t number, const struct kind *kind,
                            struct row *row, struct error *error)
{
    const json_t *end = find(json, ends);
    *row = (struct row){.end_ms = 0};
    if (!json_is_object(json))
        return error_set(error, STATUS_USAGE, "Interval %zu is no object.", number);
    if (!read_time(find(json, starts), &row->start_ms))
        return error_set(error, STATUS_USAGE,
                         "Interval %zu has no start that is an ISO 8601 time at a quarter of an "
                         "hour, such as \"2026-10-25T02:00:00+01:00\".",
                         number);
    if (end != NULL && (!read_time(end, &row->end_ms) || row->end_ms <= row->start_ms ||
                        row->end_ms - row->start_ms > longest_ms))
        return error_set(error, STATUS_USAGE,
                         "The end of interval %zu is no quarter of an hour within a day after its "
                         "start.",
                         number);
    if (!read_value(find(json, kind->words), kind, &row->micro))
        return error_set(error, STATUS_USAGE, "Interval %zu has no %s per kilowatt hour.", number,
                         kind->value);
    return STATUS_OK;
}

/* Without an end it goes to the next start, if that is near; the last is as long as the one before. */
static int64_t end_of(const struct row *row, const struct row *next, int64_t before_ms)
{
    if (row->end_ms != 0)
        return row->end_ms;
    int64_t length_ms = next == NULL ? 0 : next->start_ms - row->start_ms;
    if (length_ms <= 0 || length_ms > usual_ms)
        length_ms = before_ms;
    return row->start_ms + length_ms;
}

static enum status read_list(const json_t *list, const struct kind *kind,
                             struct intervals *intervals, struct error *error)
{
    size_t count = json_array_size(list);
    int64_t length_ms = usual_ms;
    if (count > INTERVAL_MESSAGE_MAX)
        return error_set(error, STATUS_USAGE, "It has more than %d intervals.",
                         INTERVAL_MESSAGE_MAX);
    struct row row, next;
    enum status status =
        count == 0 ? STATUS_OK : read_row(json_array_get(list, 0), 1, kind, &row, error);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        bool last = i + 1 == count;
        if (!last)
            status = read_row(json_array_get(list, i + 1), i + 2, kind, &next, error);
        if (status != STATUS_OK)
            break;
        int64_t end_ms = end_of(&row, last ? NULL : &next, length_ms);
        length_ms = end_ms - row.start_ms;
        for (int64_t at = row.start_ms; at < end_ms; at += INTERVAL_MS)
            (void)intervals_put(intervals, &(struct interval){at / INTERVAL_MS, row.micro});
        row = next;
    }
    return status;
}

static enum status read_any(const json_t *root, const struct kind *kind,
                            struct intervals *intervals, struct error *error)
{
    if (json_is_array(root))
        return read_list(root, kind, intervals, error);
    if (!json_is_object(root))
        return error_set(error, STATUS_USAGE, "It is neither a list of intervals nor an interval.");
    bool any = false;
    enum status status = STATUS_OK;
    for (size_t i = 0; lists[i] != NULL && status == STATUS_OK; i++) {
        const json_t *list = json_object_get(root, lists[i]);
        any = any || json_is_array(list);
        if (json_is_array(list))
            status = read_list(list, kind, intervals, error);
    }
    if (any)
        return status;
    if (find(root, starts) == NULL && find(root, kind->words) == NULL)
        return STATUS_OK; /* without intervals, as an empty list is */
    json_t *alone = json_array();
    json_array_append(alone, (json_t *)root);
    status = read_list(alone, kind, intervals, error);
    json_decref(alone);
    return status;
}

enum status interval_message_parse(const char *bytes, size_t length, enum interval_kind what,
                                   int64_t divisor, struct intervals *intervals,
                                   struct error *error)
{
    struct intervals read = {.list = NULL};
    const struct kind price = {values, "price (value, total) that is a number up to 1000",
                               -(double)INTERVAL_VALUE_MAX_MICRO, (double)INTERVAL_VALUE_MAX_MICRO,
                               divisor};
    const struct kind co2 = {
        intensities,
        "carbonIntensity (intensity, value) that is a number of grams from 0 to "
        "5000",
        0, (double)INTERVAL_CO2_MAX_MICRO, divisor};
    if (length > INTERVAL_MESSAGE_BYTES_MAX)
        return error_set(error, STATUS_USAGE, "It is longer than %d bytes.",
                         INTERVAL_MESSAGE_BYTES_MAX);
    json_t *root = json_loadb(bytes, length, 0, NULL);
    if (root == NULL)
        return error_set(error, STATUS_USAGE, "It is not valid JSON.");
    enum status status = read_any(root, what == INTERVAL_CO2 ? &co2 : &price, &read, error);
    json_decref(root);
    if (status == STATUS_OK && read.count == 0)
        status = error_set(error, STATUS_USAGE, "It has no intervals.");
    for (size_t i = 0; i < read.count && status == STATUS_OK; i++)
        (void)intervals_put(intervals, &read.list[i]);
    intervals_free(&read);
    return status;
}
