/* SPDX-License-Identifier: MIT */
#include "bridge/config/fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void append_duration(struct text *out, int64_t ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"y", 31536000000}, {"d", 86400000}, {"h", 3600000},
                 {"m", 60000},       {"s", 1000},     {"ms", 1}};
    if (ms < 0) {
        text_append(out, "forever");
        return;
    }
    size_t i = 0;
    while (ms % units[i].ms != 0 || (ms == 0 && units[i].ms > 1000))
        i++;
    text_append(out, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
}

void append_number(struct text *out, double value)
{
    char digits[64];
    (void)snprintf(digits, sizeof digits, "%.9g", value);
    if (strchr(digits, 'e') != NULL)
        (void)snprintf(digits, sizeof digits, "%.0f", value);
    for (char *c = digits; *c != '\0'; c++)
        if (*c == ',') /* whatever the process's locale says */
            *c = '.';
    text_append(out, "%s", digits);
}

static void append_choices(const struct field *field, struct text *out)
{
    for (const struct field_choice *choice = field->choices; choice->name != NULL; choice++) {
        const char *separator = choice == field->choices ? ""
                                : choice[1].name == NULL ? " or "
                                                         : ", ";
        text_append(out, "%s%s", separator, choice->name);
    }
}

static void append_range(const struct field *field, struct text *out)
{
    text_append(out, " from ");
    append_number(out, field->low);
    text_append(out, " to ");
    append_number(out, field->high);
    if (field->unit != NULL)
        text_append(out, " (%s)", field->unit);
}

void field_append_kind(const struct field *field, struct text *out)
{
    switch (field->type) {
    case FIELD_GROUP:
        text_append(out, "a group: keys indented below it");
        break;
    case FIELD_DEVICES:
        text_append(out, "a list: each device begins with `- id:`");
        break;
    case FIELD_SINKS:
        text_append(out, "a list: each sink begins with `- id:`");
        break;
    case FIELD_CHANNELS:
        text_append(out, "a group of channels by name, such as {a: {...}, b: {...}}");
        break;
    case FIELD_LIST:
        text_append(out, "a list: each element begins with `- `");
        break;
    case FIELD_TEXT:
        text_append(out, "%s", text_rule_expectation(field->rule));
        break;
    case FIELD_BOOL:
        text_append(out, "true or false");
        break;
    case FIELD_INTEGER:
        text_append(out, "a whole number");
        append_range(field, out);
        break;
    case FIELD_NUMBER:
    case FIELD_MILLI:
    case FIELD_MICRO:
        text_append(out, "a number");
        append_range(field, out);
        break;
    case FIELD_DURATION:
        text_append(out, "a duration from ");
        append_duration(out, (int64_t)field->low);
        text_append(out, " to ");
        append_duration(out, (int64_t)field->high);
        if (field->forever)
            text_append(out, ", or forever");
        break;
    case FIELD_CHOICE:
    case FIELD_WORD:
        append_choices(field, out);
        break;
    case FIELD_TEXTS:
        text_append(out, "a list, each element %s", text_rule_expectation(field->rule));
        break;
    case FIELD_SET:
        text_append(out, "a list of one or more of ");
        append_choices(field, out);
        break;
    }
}

void field_append_expectation(const struct field *field, struct text *out)
{
    field_append_kind(field, out);
    const char *example = field->initial != NULL ? field->initial : field->example;
    bool obvious = field->type == FIELD_BOOL || field->choices != NULL || field->secret;
    if (example != NULL && !obvious)
        text_append(out, ", for example %s", example);
}
