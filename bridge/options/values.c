/* SPDX-License-Identifier: MIT */
#include "bridge/options/values.h"

#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* ---- what is wanted ---- */

void option_value_choices(const char *const *choices, char *buffer, size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    for (size_t i = 0; choices[i] != NULL; i++) {
        const char *between = i == 0 ? "" : choices[i + 1] == NULL ? " or " : ", ";
        text_append(&text, "%s%s", between, choices[i]);
    }
}

static void append_duration(struct text *text, double ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    int64_t value = (int64_t)ms;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (value % units[i].ms != 0)
            continue;
        text_append(text, "%" PRId64 "%s", value / units[i].ms, units[i].unit);
        return;
    }
}

static void describe_bounds(const struct option_row *row, const char *what, char *buffer,
                            size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    text_append(&text, "%s", what);
    if (row->low == 0 && row->high == 0)
        return;
    if (row->kind == OPTION_DURATION) {
        text_append(&text, " from ");
        append_duration(&text, row->low);
        text_append(&text, " to ");
        append_duration(&text, row->high);
        return;
    }
    if (row->high >= 1e15)
        text_append(&text, " from %.15g on", row->low);
    else
        text_append(&text, " from %.15g to %.15g", row->low, row->high);
}

static void describe(const struct option_row *row, char *buffer, size_t size)
{
    if (buffer == NULL)
        return;
    if (row->wanted != NULL) {
        (void)snprintf(buffer, size, "%s", row->wanted);
        return;
    }
    switch (row->kind) {
    case OPTION_CHOICE:
        option_value_choices(row->choices, buffer, size);
        return;
    case OPTION_INTEGER:
        describe_bounds(row, "a whole number", buffer, size);
        return;
    case OPTION_DURATION:
        describe_bounds(row, "a time with its unit, such as 30s or 5m,", buffer, size);
        return;
    case OPTION_SECONDS:
        describe_bounds(row, "seconds", buffer, size);
        return;
    case OPTION_TEXT:
        describe_bounds(row, "a text, in bytes", buffer, size);
        return;
    case OPTION_ADDRESS:
        (void)snprintf(buffer, size, "a number such as 69632 or 0x11000");
        return;
    default:
        describe_bounds(row, "a number without a unit", buffer, size);
        return;
    }
}

const char *option_value_argument(const struct option_row *row, char *buffer, size_t size)
{
    if (row->kind == OPTION_FLAG || row->kind == OPTION_OPERAND || row->argument == NULL)
        return "";
    (void)snprintf(buffer, size, "%s", row->argument);
    return buffer;
}

/* ---- taking ---- */

static bool take_integer(const struct option_row *row, const char *text, int64_t *value)
{
    bool any = row->low == 0 && row->high == 0;
    int64_t low = any ? INT64_MIN : (int64_t)row->low;
    int64_t high = any || row->high >= 9e18 ? INT64_MAX : (int64_t)row->high;
    size_t length = strlen(text);
    if (row->kind == OPTION_ADDRESS)
        return number_parse_whole(text, length, any ? 0 : low, any ? UINT32_MAX : high, value);
    if (row->kind == OPTION_DURATION)
        return number_parse_duration(text, length, low, high, value);
    return number_parse_int(text, length, low, high, value);
}

static bool take_number(const struct option_row *row, const char *text, double *value)
{
    bool any = row->low == 0 && row->high == 0;
    return number_parse_double(text, strlen(text), any ? -1e300 : row->low, any ? 1e300 : row->high,
                               value);
}

static bool take_choice(const struct option_row *row, const char *text, int *index)
{
    for (int i = 0; row->choices[i] != NULL; i++) {
        if (strcasecmp(row->choices[i], text) != 0)
            continue;
        *index = i;
        return true;
    }
    return false;
}

static void append_item(struct option_list *list, const struct option_row *row, const char *value)
{
    list->items = memory_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = (struct option_item){row->name, value};
}

static bool fits(const struct option_row *row, const char *text)
{
    double length = (double)strlen(text);
    return length >= row->low && (row->high == 0 || length <= row->high);
}

/* Destinations may be enums and pointers of several types, so they are copied into as bytes. */
static bool take(const struct option_row *row, const char *value, char *at)
{
    int64_t integer = 0;
    double number = 0;
    int choice = 0;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)at = true;
        return true;
    case OPTION_INTEGER:
    case OPTION_DURATION:
    case OPTION_ADDRESS:
        if (!take_integer(row, value, &integer))
            return false;
        memcpy(at, &integer, sizeof integer);
        return true;
    case OPTION_SECONDS:
        if (!take_number(row, value, &number))
            return false;
        integer = (int64_t)(number * 1000 + 0.5);
        memcpy(at, &integer, sizeof integer);
        return true;
    case OPTION_NUMBER:
        if (!take_number(row, value, &number))
            return false;
        memcpy(at, &number, sizeof number);
        return true;
    case OPTION_CHOICE:
        if (!take_choice(row, value, &choice))
            return false;
        memcpy(at, &choice, sizeof choice);
        return true;
    case OPTION_LIST:
        append_item((struct option_list *)(void *)at, row, value);
        return true;
    case OPTION_ALIAS:
        return false; /* is followed before */
    case OPTION_TEXT:
        if (!fits(row, value))
            return false;
        memcpy(at, &value, sizeof value);
        return true;
    default:
        memcpy(at, &value, sizeof value);
        return true;
    }
}

bool option_value_take(const struct option_row *row, const char *value, void *options, char *wanted,
                       size_t size)
{
    if (take(row, value, (char *)options + row->at))
        return true;
    describe(row, wanted, size);
    return false;
}

void option_value_begin(const struct option_row *row, void *options)
{
    const int64_t no_address = -1;
    if (row->kind == OPTION_ADDRESS)
        memcpy((char *)options + row->at, &no_address, sizeof no_address);
    if (row->preset != NULL)
        (void)option_value_take(row, row->preset, options, NULL, 0);
}
