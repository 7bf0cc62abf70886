/* SPDX-License-Identifier: MIT */
#include "drivers/mapping/extract.h"

#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTER_STEP_MAX 64
#define NUMBER_LIMIT 1e15

struct mapping_payload {
    json_t *json; /* NULL: no JSON */
    char *text;   /* the payload itself */
    size_t length;
};

static const struct {
    double low, high;
} ranges[MAPPING_QUANTITY_COUNT] = {
    [MAPPING_VOLTAGE] = {0, 2000}, [MAPPING_CURRENT] = {0, 10000},
    [MAPPING_POWER] = {-2e6, 2e6}, [MAPPING_FREQUENCY] = {0, 1000},
    [MAPPING_ENERGY] = {0, 1e7},   [MAPPING_ENERGY_PRODUCED] = {0, 1e7},
};

struct mapping_payload *mapping_payload_read(const char *bytes, size_t length)
{
    if (length > MAPPING_PAYLOAD_MAX)
        return NULL;
    struct mapping_payload *payload = memory_new(1, sizeof *payload);
    payload->text = memory_new(length + 1, 1);
    payload->length = length;
    if (length > 0)
        memcpy(payload->text, bytes, length);
    if (length > 0 && (bytes[0] == '{' || bytes[0] == '['))
        payload->json = json_loadb(bytes, length, JSON_DECODE_INT_AS_REAL, NULL);
    return payload;
}

void mapping_payload_free(struct mapping_payload *payload)
{
    if (payload == NULL)
        return;
    json_decref(payload->json);
    free(payload->text);
    free(payload);
}

/* One step of a JSON pointer, with ~1 and ~0 replaced; false if it is too long. */
static bool read_step(const char **at, char step[POINTER_STEP_MAX])
{
    size_t length = 0;
    const char *from = *at + 1;
    for (; *from != '\0' && *from != '/'; from++) {
        char c = *from;
        if (c == '~' && (from[1] == '0' || from[1] == '1'))
            c = *++from == '0' ? '~' : '/';
        if (length + 1 >= POINTER_STEP_MAX)
            return false;
        step[length++] = c;
    }
    step[length] = '\0';
    *at = from;
    return true;
}

static const json_t *find(const json_t *json, const char *at)
{
    char step[POINTER_STEP_MAX];
    while (json != NULL && *at == '/') {
        int64_t index;
        if (!read_step(&at, step))
            return NULL;
        if (json_is_object(json))
            json = json_object_get(json, step);
        else if (json_is_array(json) && number_parse_int(step, strlen(step), 0, 1000, &index))
            json = json_array_get(json, (size_t)index);
        else
            json = NULL;
    }
    return *at == '\0' ? json : NULL;
}

static enum mapping_verdict number_of_text(const char *text, size_t length, double *number)
{
    static const char *const unknown[] = {"",     "nan",  "-nan",    "inf",        "-inf",
                                          "null", "None", "unknown", "unavailable"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        if (length == strlen(unknown[i]) && memcmp(text, unknown[i], length) == 0)
            return MAPPING_ABSENT;
    return number_parse_double(text, length, -NUMBER_LIMIT, NUMBER_LIMIT, number) ? MAPPING_GOOD
                                                                                  : MAPPING_BAD;
}

static enum mapping_verdict number_of_json(const json_t *json, double *number)
{
    if (json == NULL || json_is_null(json))
        return MAPPING_ABSENT;
    if (json_is_string(json))
        return number_of_text(json_string_value(json), json_string_length(json), number);
    if (!json_is_number(json))
        return MAPPING_BAD;
    *number = json_number_value(json);
    return isfinite(*number) ? MAPPING_GOOD : MAPPING_BAD;
}

static enum mapping_verdict raw_number(const struct mapping_value *value,
                                       const struct mapping_payload *payload, double *number)
{
    if (value->at == NULL)
        return number_of_text(payload->text, payload->length, number);
    const json_t *json = find(payload->json, value->at);
    if (value->element < 0 || json == NULL)
        return number_of_json(json, number);
    if (json_is_array(json))
        return number_of_json(json_array_get(json, (size_t)value->element), number);
    if (!value->shared && json_is_number(json))
        return MAPPING_REFUSED;
    return number_of_json(json, number);
}

/* Which way: the text beside an unsigned number. Without that text the number stands as it is. */
static double with_sign(const struct mapping_value *value, const struct mapping_payload *payload,
                        double number)
{
    char text[32];
    if (value->sign_at == NULL || !mapping_text_extract(payload, value->sign_at, text, sizeof text))
        return number;
    if (value->sign_signed != NULL && strcmp(text, value->sign_signed) == 0)
        return number;
    return strcmp(text, value->sign_negative) == 0 ? -fabs(number) : fabs(number);
}

enum mapping_verdict mapping_value_extract(const struct mapping_value *value,
                                           const struct mapping_payload *payload, double *number)
{
    double raw;
    enum mapping_verdict verdict = raw_number(value, payload, &raw);
    if (verdict != MAPPING_GOOD)
        return verdict;
    double scaled = with_sign(value, payload, raw * value->scale);
    if (value->quantity == MAPPING_CURRENT) /* some give it the sign of the power */
        scaled = fabs(scaled);
    if (!(scaled >= ranges[value->quantity].low && scaled <= ranges[value->quantity].high))
        return MAPPING_BAD;
    *number = scaled;
    return MAPPING_GOOD;
}

bool mapping_text_extract(const struct mapping_payload *payload, const char *at, char *text,
                          size_t size)
{
    int length = -1;
    const json_t *json = at == NULL ? NULL : find(payload->json, at);
    if (at == NULL)
        length = snprintf(text, size, "%s", payload->text);
    else if (json_is_string(json))
        length = snprintf(text, size, "%s", json_string_value(json));
    else if (json_is_number(json))
        length = snprintf(text, size, "%.17g", json_number_value(json));
    else if (json_is_boolean(json))
        length = snprintf(text, size, "%s", json_is_true(json) ? "true" : "false");
    return length >= 0 && (size_t)length < size;
}

bool mapping_is_newer(const char *before, const char *now)
{
    double old, new;
    if (number_parse_double(before, strlen(before), -NUMBER_LIMIT, NUMBER_LIMIT, &old) &&
        number_parse_double(now, strlen(now), -NUMBER_LIMIT, NUMBER_LIMIT, &new))
        return new > old;
    return strcmp(now, before) > 0;
}
