/* SPDX-License-Identifier: MIT */
#include "drivers/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 20 /* of 64 bits */

void text_init(struct text *text, char *buffer, size_t size)
{
    *text = (struct text){.buffer = buffer, .size = size};
    buffer[0] = '\0';
}

void text_append(struct text *text, const char *format, ...)
{
    size_t room = text->size - text->length;
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text->buffer + text->length, room, format, arguments);
    va_end(arguments);
    if (wanted < 0 || (size_t)wanted >= room) {
        text->cut = true;
        text->length = text->size - 1;
        return;
    }
    text->length += (size_t)wanted;
}

static void append_bytes(struct text *text, const char *bytes, size_t length)
{
    size_t room = text->size - 1 - text->length;
    if (length > room) {
        text->cut = true;
        length = room;
    }
    memcpy(text->buffer + text->length, bytes, length);
    text->length += length;
    text->buffer[text->length] = '\0';
}

void text_append_plain(struct text *text, const char *plain)
{
    append_bytes(text, plain, strlen(plain));
}

void text_append_digits(struct text *text, uint64_t value, unsigned digits)
{
    char bytes[DIGITS_MAX];
    size_t at = sizeof bytes;
    size_t zeros_until = digits < sizeof bytes ? sizeof bytes - digits : 0;
    do {
        bytes[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 && at > 0); /* 64 bits have no more digits than bytes has room for */
    while (at > zeros_until)
        bytes[--at] = '0';
    append_bytes(text, bytes + at, sizeof bytes - at);
}

void text_append_integer(struct text *text, int64_t value)
{
    if (value < 0)
        text_append_plain(text, "-");
    text_append_digits(text, value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value, 0);
}

static uint64_t power_of_ten(unsigned exponent)
{
    uint64_t result = 1;
    while (exponent-- > 0)
        result *= 10;
    return result;
}

void text_append_decimal(struct text *text, int64_t value, unsigned scale, unsigned decimals,
                         bool round_down)
{
    bool negative = value < 0;
    uint64_t magnitude = negative ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
    if (decimals < scale) {
        uint64_t drop = power_of_ten(scale - decimals);
        uint64_t rest = magnitude % drop;
        magnitude /= drop;
        if (!round_down && rest >= drop - rest)
            magnitude++;
    } else {
        magnitude *= power_of_ten(decimals - scale);
    }
    if (negative && magnitude != 0)
        text_append_plain(text, "-");
    uint64_t unit = power_of_ten(decimals);
    text_append_digits(text, magnitude / unit, 0);
    if (decimals == 0)
        return;
    text_append_plain(text, ".");
    text_append_digits(text, magnitude % unit, decimals);
}

void text_append_calendar(struct text *text, const struct tm *time, int ms)
{
    const struct {
        const char *before;
        int value;
        unsigned digits;
    } parts[] = {
        {"", time->tm_year + 1900, 4},
        {"-", time->tm_mon + 1, 2},
        {"-", time->tm_mday, 2},
        {"T", time->tm_hour, 2},
        {":", time->tm_min, 2},
        {":", time->tm_sec, 2},
        {".", ms, 3},
    };
    size_t count = sizeof parts / sizeof parts[0] - (ms < 0 ? 1 : 0);
    for (size_t i = 0; i < count; i++) {
        text_append_plain(text, parts[i].before);
        if (parts[i].value < 0) /* a year before Christ */
            text_append_integer(text, parts[i].value);
        else
            text_append_digits(text, (uint64_t)parts[i].value, parts[i].digits);
    }
}

void text_append_time(struct text *text, int64_t wall_ms, bool with_ms)
{
    int64_t seconds = wall_ms / 1000;
    int64_t ms = wall_ms % 1000;
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    time_t stamp = (time_t)seconds;
    struct tm utc;
    if (gmtime_r(&stamp, &utc) == NULL) {
        text_append(text, "(time out of range)");
        return;
    }
    text_append_calendar(text, &utc, with_ms ? (int)ms : -1);
    text_append_plain(text, "+00:00");
}
