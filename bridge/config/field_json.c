/* SPDX-License-Identifier: MIT */
#include "bridge/config/field_json.h"

#include <string.h>

json_t *field_choice_json(const struct field *field, const char *name, int64_t value)
{
    return field_choices_are_numbers(field) ? json_integer(value) : json_string(name);
}

json_t *field_number_json(double value)
{
    if (value >= -1e15 && value <= 1e15 && (double)(int64_t)value == value)
        return json_integer((int64_t)value);
    return json_real(value);
}

json_t *field_duration_json(int64_t ms)
{
    char shown[40];
    struct text text;
    text_init(&text, shown, sizeof shown);
    append_duration(&text, ms);
    return json_string(shown);
}

static json_t *set_json(const struct field *field, int64_t value)
{
    json_t *words = json_array();
    for (const struct field_choice *choice = field->choices; choice->name != NULL; choice++)
        if ((value & choice->value) != 0)
            json_array_append_new(words, json_string(choice->name));
    return words;
}

static json_t *texts_json(const char *texts)
{
    if (texts[0] == '\0')
        return json_null();
    json_t *result = json_array();
    for (;; texts++) {
        size_t length = strcspn(texts, ",");
        json_array_append_new(result, json_stringn(texts, length));
        texts += length;
        if (*texts == '\0')
            return result;
    }
}

json_t *field_to_json(const struct field *field, const void *target)
{
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_WORD: {
        const char *text = field_load_text(field, target);
        return text[0] == '\0' ? json_null() : json_string(text);
    }
    case FIELD_BOOL: {
        int64_t value = field_load_integer(field, target);
        return value < 0 ? json_null() : json_boolean(value != 0);
    }
    case FIELD_INTEGER: {
        int64_t value = field_load_integer(field, target);
        return value < (int64_t)field->low ? json_null() : json_integer(value);
    }
    case FIELD_NUMBER:
        return field_number_json(field_load_number(field, target));
    case FIELD_MILLI:
        return field_number_json((double)field_load_integer(field, target) / 1000);
    case FIELD_MICRO: {
        int64_t value = field_load_integer(field, target);
        return value == INT64_MIN ? json_null() : field_number_json((double)value / 1e6);
    }
    case FIELD_DURATION: {
        int64_t value = field_load_integer(field, target);
        bool absent = field->initial == NULL && value == 0;
        return absent ? json_null() : field_duration_json(value);
    }
    case FIELD_CHOICE: {
        const struct field_choice *choice =
            field_choice_of(field, field_load_integer(field, target));
        return choice == NULL ? json_null() : field_choice_json(field, choice->name, choice->value);
    }
    case FIELD_TEXTS:
        return texts_json(field_load_text(field, target));
    case FIELD_SET:
        return set_json(field, field_load_integer(field, target));
    case FIELD_GROUP:
    case FIELD_DEVICES:
    case FIELD_CHANNELS:
    case FIELD_LIST:
    case FIELD_SINKS:
        break;
    }
    return json_null();
}
