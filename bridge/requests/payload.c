/* SPDX-License-Identifier: MIT */
#include "bridge/requests/payload.h"

#include "bridge/requests/requests.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

static bool name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '/';
}

bool payload_name(const char *text, char *name, size_t size)
{
    size_t length = strlen(text);
    if (length == 0 || length >= size)
        return false;
    for (size_t i = 0; i <= length; i++) {
        char c = text[i];
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

static enum status take_object(struct payload *payload, const char *bytes, size_t length,
                               struct error *error)
{
    if (too_deep(bytes, length))
        return error_set(error, STATUS_USAGE,
                         "The payload is nested more than %d levels deep; nothing here needs that.",
                         REQUEST_DEPTH_MAX);
    json_error_t problem;
    payload->body = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &problem);
    if (payload->body == NULL)
        return error_set(error, STATUS_USAGE,
                         "The payload is not valid JSON: %s (line %d, column %d).", problem.text,
                         problem.line, problem.column);
    json_t *transaction = json_object_get(payload->body, "transaction");
    if (transaction == NULL || json_is_null(transaction))
        return STATUS_OK;
    if (json_is_integer(transaction) ||
        (json_is_string(transaction) &&
         json_string_length(transaction) <= REQUEST_TRANSACTION_MAX)) {
        payload->transaction = json_incref(transaction);
        return STATUS_OK;
    }
    return error_set(error, STATUS_USAGE,
                     "The transaction must be an integer or a text of at most %d bytes.",
                     REQUEST_TRANSACTION_MAX);
}

/* A JSON string is taken for its text; anything else that is no object stays as it is. */
static enum status take_plain(struct payload *payload, const char *bytes, size_t length,
                              struct error *error)
{
    json_t *text = length > 0 && bytes[0] == '"' ? json_loadb(bytes, length, JSON_DECODE_ANY, NULL)
                                                 : json_stringn(bytes, length);
    bool good = json_is_string(text) && memchr(bytes, '\0', length) == NULL;
    if (good)
        payload->plain = memory_copy_text(json_string_value(text));
    json_decref(text);
    return good ? STATUS_OK
                : error_set(error, STATUS_USAGE,
                            "The payload is neither a JSON object nor UTF-8 text.");
}

enum status payload_parse(const char *bytes, size_t length, struct payload *payload,
                          struct error *error)
{
    *payload = (struct payload){.body = NULL};
    if (length > REQUEST_PAYLOAD_MAX)
        return error_set(error, STATUS_USAGE, "The payload has %zu bytes; at most %d are accepted.",
                         length, REQUEST_PAYLOAD_MAX);
    while (length > 0 && is_blank(bytes[0])) {
        bytes++;
        length--;
    }
    while (length > 0 && is_blank(bytes[length - 1]))
        length--;
    return length > 0 && bytes[0] == '{' ? take_object(payload, bytes, length, error)
                                         : take_plain(payload, bytes, length, error);
}

void payload_free(struct payload *payload)
{
    json_decref(payload->body);
    json_decref(payload->transaction);
    free(payload->plain);
    *payload = (struct payload){.body = NULL};
}

/* An error text may quote the request, cut in the middle of a character. */
static json_t *words_json(const char *text)
{
    size_t length = strlen(text);
    for (size_t cut = 0; cut < 4 && cut <= length; cut++) {
        json_t *words = json_stringn(text, length - cut);
        if (words != NULL)
            return words;
    }
    return json_string("The request was refused.");
}

static void write_member(FILE *out, const char *key, const json_t *value)
{
    (void)fprintf(out, ",\"%s\":", key);
    (void)json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

char *payload_response(enum status status, const char *data, size_t data_length,
                       const struct error *error, const json_t *transaction)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return memory_copy_text("{\"status\":\"error\",\"data\":{}}");
    (void)fprintf(out, "{\"status\":\"%s\",\"data\":", status == STATUS_OK ? "ok" : "error");
    if (data != NULL)
        (void)fwrite(data, 1, data_length, out);
    else
        (void)fputs("{}", out);
    if (status != STATUS_OK) {
        json_t *words = words_json(error != NULL ? error->text : "");
        write_member(out, "error", words);
        json_decref(words);
    }
    if (transaction != NULL)
        write_member(out, "transaction", transaction);
    (void)fputc('}', out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return memory_copy_text("{\"status\":\"error\",\"data\":{}}");
}
