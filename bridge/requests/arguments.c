/* SPDX-License-Identifier: MIT */
#include "bridge/requests/arguments.h"

#include "bridge/config/suggest.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TEXT_MAX 255
#define WHOLE_MAX 9007199254740992.0 /* 2^53: beyond, a double is no exact integer */

static bool is_bounded(const struct request_argument *row)
{
    return row->low < row->high || row->low > row->high;
}

static double text_max(const struct request_argument *row)
{
    return row->high > 0 ? row->high : TEXT_MAX;
}

/* ---- one argument ---- */

static bool within(const struct request_argument *row, double number)
{
    return !is_bounded(row) || (number >= row->low && number <= row->high);
}

/* "hour|day|month" has the word, without regard to case; *start and *length say where. */
static bool find_word(const char *words, const char *word, const char **start, size_t *length)
{
    size_t wanted = strlen(word);
    for (const char *at = words; *at != '\0';) {
        *start = at;
        *length = strcspn(at, "|");
        if (*length == wanted && strncasecmp(at, word, wanted) == 0)
            return true;
        at += *length + (at[*length] == '|' ? 1 : 0);
    }
    return false;
}

static json_t *take_text(const struct request_argument *row, json_t *value, struct error *error)
{
    size_t length = json_string_length(value);
    if (json_is_string(value) && (double)length >= row->low && (double)length <= text_max(row))
        return json_incref(value);
    (void)error_set(error, STATUS_USAGE, "\"%s\" must be a text of %s%.0f bytes.", row->key,
                    row->low > 0 ? "1 to " : "at most ", text_max(row));
    return NULL;
}

static json_t *take_choice(const struct request_argument *row, const json_t *value,
                           struct error *error)
{
    const char *start = NULL;
    size_t length = 0;
    if (json_is_string(value) && find_word(row->words, json_string_value(value), &start, &length))
        return json_stringn(start, length);
    (void)error_set(error, STATUS_USAGE, "\"%s\" must be one of %s.", row->key, row->words);
    return NULL;
}

static json_t *take_number(const struct request_argument *row, json_t *value, struct error *error)
{
    bool good = json_is_number(value) && within(row, json_number_value(value));
    if (good && row->type == REQUEST_NUMBER)
        return json_incref(value);
    double real = json_number_value(value);
    if (good && (json_is_integer(value) ||
                 (real >= floor(real) && real <= floor(real) && fabs(real) <= WHOLE_MAX)))
        return json_is_integer(value) ? json_incref(value) : json_integer((json_int_t)real);
    const char *kind = row->type == REQUEST_INTEGER ? "an integer" : "a number";
    if (is_bounded(row))
        (void)error_set(error, STATUS_USAGE, "\"%s\" must be %s from %.10g to %.10g.", row->key,
                        kind, row->low, row->high);
    else
        (void)error_set(error, STATUS_USAGE, "\"%s\" must be %s.", row->key, kind);
    return NULL;
}

static json_t *take_list(const struct request_argument *row, json_t *value, struct error *error)
{
    size_t index;
    const json_t *item;
    bool good = json_is_array(value) && within(row, (double)json_array_size(value));
    json_array_foreach(value, index, item)
    {
        good = good && json_is_string(item);
    }
    if (good)
        return json_incref(value);
    (void)error_set(error, STATUS_USAGE, "\"%s\" must be a list of %.0f to %.0f texts.", row->key,
                    row->low, row->high);
    return NULL;
}

static json_t *take_one(const struct request_argument *row, json_t *value, struct error *error)
{
    switch (row->type) {
    case REQUEST_TEXT:
    case REQUEST_DEVICE:
        return take_text(row, value, error);
    case REQUEST_CHOICE:
        return take_choice(row, value, error);
    case REQUEST_NUMBER:
    case REQUEST_INTEGER:
        return take_number(row, value, error);
    case REQUEST_LIST:
        return take_list(row, value, error);
    case REQUEST_FLAG:
        if (json_is_boolean(value))
            return json_incref(value);
        (void)error_set(error, STATUS_USAGE, "\"%s\" must be true or false.", row->key);
        return NULL;
    case REQUEST_OBJECT:
        if (json_is_object(value))
            return json_incref(value);
        (void)error_set(error, STATUS_USAGE, "\"%s\" must be an object, {\"key\": value}.",
                        row->key);
        return NULL;
    case REQUEST_ANY:
        break;
    }
    return json_incref(value);
}

/* ---- all of a request ---- */

static const struct request_argument *find_row(const struct request_argument *rows, const char *key)
{
    for (; rows != NULL && rows->key != NULL; rows++)
        if (strcmp(rows->key, key) == 0 || (rows->also != NULL && strcmp(rows->also, key) == 0))
            return rows;
    return NULL;
}

/* A misspelt key would be an order that is silently not carried out. */
static bool may_ignore(const struct request_argument *rows, const char *request, const char *key,
                       struct log *log, struct error *error)
{
    struct suggestion suggestion = {.word = key};
    for (; rows != NULL && rows->key != NULL; rows++)
        suggestion_offer(&suggestion, rows->key);
    if (suggestion.best != NULL) {
        (void)error_set(error, STATUS_USAGE,
                        "The request %s has no key \"%.40s\"; \"%s\" may be meant.", request, key,
                        suggestion.best);
        return false;
    }
    log_repeating(log, LOG_LEVEL_WARNING, "request key ignored",
                  "The request %s has no key \"%.40s\"; it is ignored.", request, key);
    return true;
}

static bool take_key(const struct request_argument *rows, const char *request, const char *key,
                     json_t *value, bool open, json_t *taken, struct log *log, struct error *error)
{
    const struct request_argument *row = find_row(rows, key);
    if (strcmp(key, "transaction") == 0 || (row != NULL && json_is_null(value)))
        return true;
    if (row == NULL && open)
        return json_object_set(taken, key, value) == 0;
    if (row == NULL)
        return may_ignore(rows, request, key, log, error);
    json_t *argument = take_one(row, value, error);
    if (argument == NULL)
        return false;
    return json_object_set_new(taken, row->key, argument) == 0;
}

json_t *arguments_take(const struct request_argument *rows, const char *request, const json_t *body,
                       bool open, struct log *log, struct error *error)
{
    json_t *taken = json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value)
    {
        if (take_key(rows, request, key, value, open, taken, log, error))
            continue;
        json_decref(taken);
        return NULL;
    }
    for (; rows != NULL && rows->key != NULL; rows++) {
        if (!rows->required || json_object_get(taken, rows->key) != NULL)
            continue;
        (void)error_set(error, STATUS_USAGE, "The request %s needs the key \"%s\".", request,
                        rows->key);
        json_decref(taken);
        return NULL;
    }
    return taken;
}

/* ---- the schema ---- */

static void set_bounds(json_t *schema, const struct request_argument *row, const char *low,
                       const char *high)
{
    if (!is_bounded(row))
        return;
    bool whole = row->type != REQUEST_NUMBER;
    (void)json_object_set_new(schema, low,
                              whole ? json_integer((json_int_t)row->low) : json_real(row->low));
    (void)json_object_set_new(schema, high,
                              whole ? json_integer((json_int_t)row->high) : json_real(row->high));
}

static json_t *words_list(const char *words)
{
    json_t *list = json_array();
    for (const char *at = words; *at != '\0';) {
        size_t length = strcspn(at, "|");
        (void)json_array_append_new(list, json_stringn(at, length));
        at += length + (at[length] == '|' ? 1 : 0);
    }
    return list;
}

static json_t *argument_schema(const struct request_argument *row)
{
    static const char *const types[] = {
        [REQUEST_TEXT] = "string",    [REQUEST_CHOICE] = "string", [REQUEST_NUMBER] = "number",
        [REQUEST_INTEGER] = "number", [REQUEST_FLAG] = "boolean",  [REQUEST_LIST] = "array",
        [REQUEST_OBJECT] = "object",  [REQUEST_DEVICE] = "string",
    };
    json_t *schema = json_pack("{s:s}", "description", row->help);
    if (row->type != REQUEST_ANY)
        (void)json_object_set_new(schema, "type", json_string(types[row->type]));
    switch (row->type) {
    case REQUEST_TEXT:
    case REQUEST_DEVICE:
        (void)json_object_set_new(schema, "maxLength", json_integer((json_int_t)text_max(row)));
        if (row->low > 0)
            (void)json_object_set_new(schema, "minLength", json_integer((json_int_t)row->low));
        break;
    case REQUEST_CHOICE:
        (void)json_object_set_new(schema, "enum", words_list(row->words));
        break;
    case REQUEST_INTEGER:
        (void)json_object_set_new(schema, "multipleOf", json_integer(1));
        set_bounds(schema, row, "minimum", "maximum");
        break;
    case REQUEST_NUMBER:
        set_bounds(schema, row, "minimum", "maximum");
        break;
    case REQUEST_LIST:
        (void)json_object_set_new(schema, "items", json_pack("{s:s}", "type", "string"));
        set_bounds(schema, row, "minItems", "maxItems");
        break;
    case REQUEST_FLAG:
    case REQUEST_OBJECT:
    case REQUEST_ANY:
        break;
    }
    return schema;
}

json_t *arguments_schema(const struct request_argument *rows)
{
    json_t *properties = json_object(), *required = json_array();
    for (; rows != NULL && rows->key != NULL; rows++) {
        (void)json_object_set_new(properties, rows->key, argument_schema(rows));
        if (rows->required)
            (void)json_array_append_new(required, json_string(rows->key));
    }
    return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", properties, "required",
                     required);
}
