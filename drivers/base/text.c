/* SPDX-License-Identifier: MIT */
#include "drivers/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

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
    const char *sign = negative && magnitude != 0 ? "-" : "";
    if (decimals == 0) {
        text_append(text, "%s%" PRIu64, sign, magnitude);
        return;
    }
    uint64_t unit = power_of_ten(decimals);
    text_append(text, "%s%" PRIu64 ".%0*" PRIu64, sign, magnitude / unit, (int)decimals,
                magnitude % unit);
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
    text_append(text, "%04d-%02d-%02dT%02d:%02d:%02d", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    if (with_ms)
        text_append(text, ".%03d", (int)ms);
    text_append(text, "+00:00");
}
