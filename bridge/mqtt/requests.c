/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/requests.h"

#include "bridge/device/properties.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <string.h>

#define REQUEST_LEVELS "bridge/request/"

static bool name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '/';
}

bool request_topic(const char *base_topic, const char *topic, char name[REQUEST_NAME_SIZE])
{
    size_t base = strlen(base_topic);
    if (strncmp(topic, base_topic, base) != 0 || topic[base] != '/')
        return false;
    topic += base + 1;
    if (strncmp(topic, REQUEST_LEVELS, sizeof REQUEST_LEVELS - 1) != 0)
        return false;
    topic += sizeof REQUEST_LEVELS - 1;

    size_t length = strlen(topic);
    if (length == 0 || length >= REQUEST_NAME_SIZE)
        return false;
    for (size_t i = 0; i <= length; i++) {
        char c = topic[i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (i < length && !name_character(name[i]))
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Jansson's parser is recursive, so the depth is bounded before it sees the text. Brackets inside
 * strings do not count. */
static bool too_deep(const char *text, size_t length)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > REQUEST_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

/* NULL with *error filled unless payload is one JSON object within all bounds. */
static json_t *parse_object(const char *payload, size_t length, struct error *error)
{
    if (too_deep(payload, length)) {
        (void)error_set(error, STATUS_USAGE,
                        "The payload is nested more than %d levels deep; nothing here needs that.",
                        REQUEST_DEPTH_MAX);
        return NULL;
    }
    json_error_t problem;
    json_t *object = json_loadb(payload, length, JSON_REJECT_DUPLICATES, &problem);
    if (object == NULL) {
        (void)error_set(error, STATUS_USAGE,
                        "The payload is not valid JSON: %s (line %d, column %d).", problem.text,
                        problem.line, problem.column);
        return NULL;
    }
    if (!json_is_object(object)) {
        (void)error_set(error, STATUS_USAGE,
                        "The payload must be a JSON object, {\"key\": value}.");
        json_decref(object);
        return NULL;
    }
    return object;
}

static enum status check_length(size_t length, struct error *error)
{
    if (length <= REQUEST_PAYLOAD_MAX)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE, "The payload has %zu bytes; at most %d are accepted.",
                     length, REQUEST_PAYLOAD_MAX);
}

static enum status take_transaction(struct request *request, struct error *error)
{
    json_t *transaction = json_object_get(request->body, "transaction");
    if (transaction == NULL || json_is_null(transaction))
        return STATUS_OK;
    if (json_is_integer(transaction) ||
        (json_is_string(transaction) &&
         json_string_length(transaction) <= REQUEST_TRANSACTION_MAX)) {
        request->transaction = json_incref(transaction);
        return STATUS_OK;
    }
    return error_set(error, STATUS_USAGE,
                     "The transaction must be an integer or a text of at most %d bytes.",
                     REQUEST_TRANSACTION_MAX);
}

static enum status take_plain(struct request *request, const char *payload, size_t length,
                              struct error *error)
{
    json_t *check = json_stringn(payload, length); /* NULL unless it is UTF-8 */
    bool good = check != NULL && memchr(payload, '\0', length) == NULL;
    json_decref(check);
    if (!good)
        return error_set(error, STATUS_USAGE, "The payload is neither JSON nor UTF-8 text.");
    request->plain = memory_new(length + 1, 1);
    memcpy(request->plain, payload, length);
    return STATUS_OK;
}

enum status request_parse(const char *name, const char *payload, size_t length,
                          struct request *request, struct error *error)
{
    *request = (struct request){.body = NULL};
    struct text text;
    text_init(&text, request->name, sizeof request->name);
    text_append(&text, "%s", name);
    if (check_length(length, error) != STATUS_OK)
        return STATUS_USAGE;

    while (length > 0 && is_blank(payload[0])) {
        payload++;
        length--;
    }
    while (length > 0 && is_blank(payload[length - 1]))
        length--;
    if (length == 0 || payload[0] != '{')
        return take_plain(request, payload, length, error);

    request->body = parse_object(payload, length, error);
    if (request->body == NULL)
        return STATUS_USAGE;
    return take_transaction(request, error);
}

void request_free(struct request *request)
{
    json_decref(request->body);
    json_decref(request->transaction);
    free(request->plain);
    *request = (struct request){.body = NULL};
}

static enum status find_value(const struct request *request, const char *key, json_t **value,
                              struct error *error)
{
    *value = json_object_get(request->body, key);
    if (*value == NULL)
        return error_set(error, STATUS_USAGE, "The request lacks \"%s\".", key);
    return STATUS_OK;
}

/* json_number_value of a 64-bit integer may round, so integers stay integers. */
static bool whole_number(const json_t *value, int64_t *whole)
{
    if (json_is_integer(value)) {
        *whole = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || real != floor(real) || fabs(real) > 9007199254740992.0 /* 2^53 */)
        return false;
    *whole = (int64_t)real;
    return true;
}

enum status request_number(const struct request *request, const char *key, double low, double high,
                           double *value, struct error *error)
{
    json_t *json;
    if (find_value(request, key, &json, error) != STATUS_OK)
        return STATUS_USAGE;
    double number = json_number_value(json);
    if (!json_is_number(json) || !(number >= low && number <= high))
        return error_set(error, STATUS_USAGE, "\"%s\" must be a number from %.0f to %.0f.", key,
                         low, high);
    *value = number;
    return STATUS_OK;
}

enum status request_text(const struct request *request, const char *key, char *text, size_t size,
                         struct error *error)
{
    json_t *json;
    if (find_value(request, key, &json, error) != STATUS_OK)
        return STATUS_USAGE;
    if (!json_is_string(json) || json_string_length(json) >= size)
        return error_set(error, STATUS_USAGE, "\"%s\" must be a text of at most %zu bytes.", key,
                         size - 1);
    memcpy(text, json_string_value(json), json_string_length(json) + 1);
    return STATUS_OK;
}

char *response_format(const struct request *request, enum status status, const json_t *data,
                      const struct error *error)
{
    json_t *response = json_object();
    json_object_set_new(response, "status", json_string(status == STATUS_OK ? "ok" : "error"));
    json_object_set_new(response, "data", data != NULL ? json_deep_copy(data) : json_object());
    if (status != STATUS_OK) {
        /* An error text may quote the request, cut in the middle of a character. */
        json_t *words = json_string(error->text);
        json_object_set_new(response, "error",
                            words != NULL ? words : json_string("The request was refused."));
    }
    if (request->transaction != NULL)
        json_object_set(response, "transaction", request->transaction);
    char *text = json_dumps(response, JSON_COMPACT);
    json_decref(response);
    return text != NULL ? text : memory_copy_text("{\"status\":\"error\",\"data\":{}}");
}

static enum status take_setting(const char *key, const json_t *value, struct settings *settings,
                                struct error *error)
{
    const char *name = strcmp(key, "update_frequency") == 0 ? "report_interval" : key;
    const struct property *property = property_find(name);
    if (property == NULL || !property->settable)
        return error_set(error, STATUS_USAGE,
                         "\"%.40s\" cannot be set; what can be set is report_interval.", key);
    int64_t whole;
    if (!whole_number(value, &whole) || whole < property->low || whole > property->high)
        return error_set(error, STATUS_USAGE, "\"%s\" must be an integer from %lld to %lld %s.",
                         key, (long long)property->low, (long long)property->high, property->unit);
    settings->has_report_interval = true;
    settings->report_interval_ms = whole * 1000;
    return STATUS_OK;
}

enum status settings_parse(const char *payload, size_t length, struct settings *settings,
                           struct error *error)
{
    *settings = (struct settings){.has_report_interval = false};
    if (check_length(length, error) != STATUS_OK)
        return STATUS_USAGE;
    json_t *object = parse_object(payload, length, error);
    if (object == NULL)
        return STATUS_USAGE;

    enum status status = STATUS_OK;
    struct settings wanted = {.has_report_interval = false};
    if (json_object_size(object) == 0)
        status = error_set(error, STATUS_USAGE, "The payload sets nothing.");
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        status = take_setting(key, value, &wanted, error);
        if (status != STATUS_OK)
            break;
    }
    json_decref(object);
    if (status == STATUS_OK)
        *settings = wanted;
    return status;
}
