/* SPDX-License-Identifier: MIT */
#include "bridge/config/fields.h"

#include "bridge/config/suggest.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The members that hold whole numbers are int64_t, int, enum or bool. */
static void store_integer(const struct field *field, void *target, int64_t value)
{
    char *member = (char *)target + field->offset;
    int as_int = (int)value;
    bool as_bool = value != 0;
    if (field->size == sizeof value)
        memcpy(member, &value, sizeof value);
    else if (field->size == sizeof as_int)
        memcpy(member, &as_int, sizeof as_int);
    else
        memcpy(member, &as_bool, sizeof as_bool);
}

int64_t field_load_integer(const struct field *field, const void *target)
{
    const char *member = (const char *)target + field->offset;
    int64_t value;
    int as_int;
    bool as_bool;
    if (field->size == sizeof value) {
        memcpy(&value, member, sizeof value);
        return value;
    }
    if (field->size == sizeof as_int) {
        memcpy(&as_int, member, sizeof as_int);
        return as_int;
    }
    memcpy(&as_bool, member, sizeof as_bool);
    return as_bool;
}

double field_load_number(const struct field *field, const void *target)
{
    double value;
    memcpy(&value, (const char *)target + field->offset, sizeof value);
    return value;
}

static char **text_member(const struct field *field, const void *target)
{
    return (char **)((char *)target + field->offset);
}

static bool holds_text(const struct field *field)
{
    return field->type == FIELD_TEXT || field->type == FIELD_WORD || field->type == FIELD_TEXTS;
}

const char *field_load_text(const struct field *field, const void *target)
{
    return *text_member(field, target);
}

static void store_text(const struct field *field, void *target, const char *text)
{
    char **member = text_member(field, target);
    free(*member);
    *member = memory_copy_text(text);
}

static bool read_text(const struct field *field, const char *text, void *target, struct text *hint)
{
    size_t size = strlen(text) + 16; /* room for a port to be added */
    char *normal memory_auto = memory_new(1, size);
    if (!text_rule_check(field->rule, text, (size_t)field->high, normal, size, hint))
        return false;
    store_text(field, target, normal);
    return true;
}

static bool read_bool(const struct field *field, const char *text, bool quoted, void *target,
                      struct text *hint)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "on", "On", "1"};
    static const char *const no[] = {"false", "False", "FALSE", "no", "No", "off", "Off", "0"};
    if (!quoted && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
        store_integer(field, target, text[0] == 't');
        return true;
    }
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(text, yes[i]) == 0)
            text_append(hint, "Write true%s.", quoted ? " without quotes" : "");
        if (strcmp(text, no[i]) == 0)
            text_append(hint, "Write false%s.", quoted ? " without quotes" : "");
    }
    return false;
}

/* A number in quotes is a text; says so if that is all that is wrong. */
static bool refuse_quotes(bool quoted, const char *text, struct text *hint)
{
    double value;
    if (!quoted)
        return false;
    if (number_parse_double(text, strlen(text), -1e300, 1e300, &value))
        text_append(hint, "Take the quotes away.");
    return true;
}

static bool read_integer(const struct field *field, const char *text, bool quoted, void *target,
                         struct text *hint)
{
    int64_t value;
    if (refuse_quotes(quoted, text, hint) ||
        !number_parse_int(text, strlen(text), (int64_t)field->low, (int64_t)field->high, &value))
        return false;
    store_integer(field, target, value);
    return true;
}

/* "0,5" and "80 A" are what people write. */
static void hint_at_number(const struct field *field, const char *text, struct text *hint)
{
    double value;
    size_t digits = strspn(text, "0123456789.-");
    if (strchr(text, ',') != NULL)
        text_append(hint, "Decimals are written with a point.");
    else if (digits > 0 && text[digits] != '\0' && text[digits] != 'e' && text[digits] != 'E' &&
             number_parse_double(text, digits, field->low, field->high, &value))
        text_append(hint, "Write the number alone: %.*s.", (int)digits, text);
}

static bool read_number(const struct field *field, const char *text, bool quoted, void *target,
                        struct text *hint)
{
    double value;
    if (refuse_quotes(quoted, text, hint))
        return false;
    if (!number_parse_double(text, strlen(text), field->low, field->high, &value)) {
        hint_at_number(field, text, hint);
        return false;
    }
    if (field->type == FIELD_MILLI)
        store_integer(field, target, (int64_t)(value * 1000 + (value < 0 ? -0.5 : 0.5)));
    else
        memcpy((char *)target + field->offset, &value, sizeof value);
    return true;
}

/* Money is exact: what has more than six decimals is refused, not rounded. */
static bool read_micro(const struct field *field, const char *text, bool quoted, void *target,
                       struct text *hint)
{
    double value;
    if (refuse_quotes(quoted, text, hint))
        return false;
    if (!number_parse_double(text, strlen(text), field->low, field->high, &value)) {
        hint_at_number(field, text, hint);
        return false;
    }
    const char *point = strchr(text, '.');
    if (strpbrk(text, "eE") != NULL || (point != NULL && strlen(point) > 7)) {
        text_append(hint, "It may have six decimals, and no exponent.");
        return false;
    }
    store_integer(field, target, llround(value * 1e6));
    return true;
}

static bool read_duration(const struct field *field, const char *text, void *target,
                          struct text *hint)
{
    int64_t value;
    if (field->forever && strcmp(text, "forever") == 0) {
        store_integer(field, target, -1);
        return true;
    }
    if (number_parse_duration(text, strlen(text), (int64_t)field->low, (int64_t)field->high,
                              &value)) {
        store_integer(field, target, value);
        return true;
    }
    if (number_parse_int(text, strlen(text), 0, INT64_MAX, &value))
        text_append(hint, "A number needs its unit: ms, s, m, h, d or y.");
    return false;
}

static bool read_choice(const struct field *field, const char *text, bool quoted, void *target,
                        struct text *hint)
{
    bool numbers = field_choices_are_numbers(field);
    if (numbers && refuse_quotes(quoted, text, hint))
        return false;
    struct suggestion suggestion = {.word = text};
    for (const struct field_choice *choice = field->choices; choice->name != NULL; choice++) {
        if (strcmp(choice->name, text) != 0) {
            suggestion_offer(&suggestion, choice->name);
            continue;
        }
        if (holds_text(field))
            store_text(field, target, choice->name);
        else
            store_integer(field, target, choice->value);
        return true;
    }
    if (!numbers && suggestion.best != NULL)
        text_append(hint, "Did you mean %s?", suggestion.best);
    return false;
}

bool field_set_add(const struct field *field, const char *word, int64_t *value, struct text *hint)
{
    struct suggestion suggestion = {.word = word};
    for (const struct field_choice *choice = field->choices; choice->name != NULL; choice++) {
        if (strcmp(choice->name, word) != 0) {
            suggestion_offer(&suggestion, choice->name);
            continue;
        }
        bool twice = (*value & choice->value) != 0;
        *value |= choice->value;
        if (twice)
            text_append(hint, "%s stands there twice.", word);
        return !twice;
    }
    if (suggestion.best != NULL)
        text_append(hint, "Did you mean %s?", suggestion.best);
    return false;
}

/* "[minutes, days]" or "minutes,days", as a default or an environment variable has it. */
static bool read_set(const struct field *field, const char *text, void *target, struct text *hint)
{
    char word[32];
    int64_t value = 0;
    size_t length = strlen(text);
    bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    const char *end = text + length - (bracketed ? 1 : 0);
    for (const char *at = text + (bracketed ? 1 : 0); at <= end; at++) {
        at += strspn(at, " ");
        size_t part = strcspn(at, " ,]");
        (void)snprintf(word, sizeof word, "%.*s", (int)(part < sizeof word ? part : 0), at);
        if (!field_set_add(field, word, &value, hint))
            return false;
        at += part;
        at += strspn(at, " ");
        if (at < end && *at != ',')
            return false;
    }
    store_integer(field, target, value);
    return true;
}

/* "[house/a, -solar/a]" or without the brackets, as the reader and an environment variable have it. */
static bool read_texts(const struct field *field, const char *text, void *target, struct text *hint)
{
    size_t length = strlen(text);
    char *joined memory_auto = memory_new(1, length + 1);
    char *normal memory_auto = memory_new(1, length + 16);
    struct text out;
    text_init(&out, joined, length + 1);
    bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    const char *at = text + (bracketed ? 1 : 0);
    for (;;) {
        at += strspn(at, " ");
        size_t part = strcspn(at, bracketed ? " ,]" : " ,");
        char *word memory_auto = memory_new(1, part + 1);
        memcpy(word, at, part);
        if (!text_rule_check(field->rule, word, (size_t)field->high, normal, length + 16, hint))
            return false;
        text_append(&out, "%s%s", out.length > 0 ? "," : "", normal);
        at += part;
        at += strspn(at, " ");
        if (*at != ',')
            break;
        at++;
    }
    if (strcmp(at, bracketed ? "]" : "") != 0)
        return false;
    store_text(field, target, joined);
    return true;
}

bool field_store(const struct field *field, const char *text, bool quoted, void *target,
                 struct text *hint)
{
    switch (field->type) {
    case FIELD_TEXT:
        return read_text(field, text, target, hint);
    case FIELD_BOOL:
        return read_bool(field, text, quoted, target, hint);
    case FIELD_INTEGER:
        return read_integer(field, text, quoted, target, hint);
    case FIELD_NUMBER:
    case FIELD_MILLI:
        return read_number(field, text, quoted, target, hint);
    case FIELD_MICRO:
        return read_micro(field, text, quoted, target, hint);
    case FIELD_DURATION:
        return read_duration(field, text, target, hint);
    case FIELD_CHOICE:
    case FIELD_WORD:
        return read_choice(field, text, quoted, target, hint);
    case FIELD_TEXTS:
        return read_texts(field, text, target, hint);
    case FIELD_SET:
        return read_set(field, text, target, hint);
    case FIELD_GROUP:
    case FIELD_DEVICES:
    case FIELD_CHANNELS:
    case FIELD_LIST:
    case FIELD_SINKS:
        break;
    }
    return false;
}

/* Members without a default: "" for texts, -1 for whole numbers (0 may be a value), else 0. */
static void initialise(const struct field *field, void *target)
{
    if (!field_has_value(field))
        return;
    if (field->initial != NULL) {
        char reason[200];
        struct text hint;
        text_init(&hint, reason, sizeof reason);
        (void)field_store(field, field->initial, false, target, &hint); /* tests check each */
    } else if (holds_text(field)) {
        store_text(field, target, "");
    } else if (field->type == FIELD_INTEGER ||
               (field->type == FIELD_BOOL && field->size == sizeof(int))) {
        store_integer(field, target, -1);
    } else if (field->type == FIELD_MICRO) {
        store_integer(field, target, INT64_MIN);
    }
}

void *field_items(const struct field *field, const void *target, size_t *count)
{
    void *items;
    memcpy(&items, (const char *)target + field->offset, sizeof items);
    memcpy(count, (const char *)target + field->count_offset, sizeof *count);
    return items;
}

void field_make_items(const struct field *field, void *target, size_t count)
{
    char *items = memory_new(count, field->item_size);
    for (size_t i = 0; i < count; i++)
        fields_initialise(field->item_scope, items + i * field->item_size);
    memcpy((char *)target + field->offset, &items, sizeof items);
    memcpy((char *)target + field->count_offset, &count, sizeof count);
}

static void release_items(const struct field *field, const void *target)
{
    size_t count;
    char *items = field_items(field, target, &count);
    for (size_t i = 0; i < count; i++)
        fields_release(field->item_scope, items + i * field->item_size);
    free(items);
}

void fields_initialise(enum field_scope scope, void *target)
{
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope)
            initialise(&fields[i], target);
}

void fields_release(enum field_scope scope, void *target)
{
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope && fields[i].type == FIELD_LIST)
            release_items(&fields[i], target);
        else if (fields[i].scope == scope && field_has_value(&fields[i]) && holds_text(&fields[i]))
            free(*text_member(&fields[i], target));
}
