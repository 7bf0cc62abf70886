/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/foreign_values.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TEXT_SIZE 64
#define HOUR_MS 3600000LL

bool foreign_is_absent(const char *text)
{
    static const char *const words[] = {"",     "-",   "--",   "n/a",     "na",          "nan",
                                        "null", "nil", "none", "unknown", "unavailable", "NaN"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

/* ---- numbers ---- */

/* Spaces of all kinds and apostrophes, which only ever group digits. */
static size_t grouping(const char *text)
{
    static const char *const marks[] = {" ", "'", "\xc2\xa0", "\xe2\x80\xaf", "\xe2\x80\x99"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (strncmp(text, marks[i], strlen(marks[i])) == 0 &&
            isdigit((unsigned char)text[strlen(marks[i])]))
            return strlen(marks[i]);
    return 0;
}

/* Digits, points, commas and a sign without what only groups, and without a unit. */
static bool bare_number(const char *text, char bare[TEXT_SIZE])
{
    static const char *const units[] = {"", "kWh", "Wh", "MWh"};
    size_t length = 0;
    while (*text == ' ')
        text++;
    if (*text == '+')
        text++;
    while (length + 1 < TEXT_SIZE) {
        size_t skipped = length > 0 ? grouping(text) : 0;
        text += skipped;
        if (strchr("0123456789.,-eE+", *text) == NULL || *text == '\0')
            break;
        bare[length++] = *text++;
    }
    bare[length] = '\0';
    while (*text == ' ')
        text++;
    for (size_t i = 0; length > 0 && i < sizeof units / sizeof units[0]; i++)
        if (strcasecmp(text, units[i]) == 0)
            return true;
    return false;
}

static size_t count_of(const char *text, char wanted)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += *text == wanted ? 1 : 0;
    return count;
}

void foreign_evidence_number(struct foreign_evidence *evidence, const char *text)
{
    char bare[TEXT_SIZE];
    if (!bare_number(text, bare))
        return;
    size_t points = count_of(bare, '.');
    size_t commas = count_of(bare, ',');
    const char *point = strrchr(bare, '.');
    const char *comma = strrchr(bare, ',');
    if (points == 0 && commas == 0)
        return;
    if (points > 0 && commas > 0) {
        bool comma_last = comma > point;
        evidence->decimal_commas += comma_last ? 1 : 0;
        evidence->decimal_points += comma_last ? 0 : 1;
        return;
    }
    if (points > 1)
        evidence->decimal_commas++;
    if (commas > 1)
        evidence->decimal_points++;
    if (points + commas > 1)
        return;
    const char *mark = point != NULL ? point : comma;
    size_t before = (size_t)(mark - bare) - (bare[0] == '-' ? 1 : 0);
    size_t after = strspn(mark + 1, "0123456789");
    bool either = after == 3 && mark[4] == '\0' && before >= 1 && before <= 3 &&
                  bare[bare[0] == '-' ? 1 : 0] != '0';
    if (point != NULL)
        *(either ? &evidence->either_points : &evidence->decimal_points) += 1;
    else
        *(either ? &evidence->either_commas : &evidence->decimal_commas) += 1;
}

/* Groups of thousands have three digits each, and stand in front of the decimals. */
static bool groups_are_right(const char *bare, char decimal, char group)
{
    const char *end = strchr(bare, decimal);
    end = end != NULL ? end : bare + strlen(bare);
    const char *at = strchr(bare, group);
    if (at == NULL)
        return true;
    size_t first = (size_t)(at - bare) - (bare[0] == '-' ? 1 : 0);
    if (first < 1 || first > 3)
        return false;
    while (at != NULL) {
        if (at > end || strspn(at + 1, "0123456789") != 3)
            return false;
        at = strchr(at + 1, group);
    }
    return true;
}

bool foreign_number(const char *text, char decimal, double *value)
{
    char bare[TEXT_SIZE];
    char plain[TEXT_SIZE];
    char group = decimal == '.' ? ',' : '.';
    size_t length = 0;
    if (!bare_number(text, bare) || !groups_are_right(bare, decimal, group))
        return false;
    for (const char *c = bare; *c != '\0'; c++)
        if (*c != group)
            plain[length++] = *c == decimal ? '.' : *c;
    plain[length] = '\0';
    return number_parse_double(plain, length, -1e15, 1e15, value);
}

/* ---- times ---- */

/* Three numbers with one mark between them, in the order in which they stand; what follows is the time of
 * day. */
struct date {
    int numbers[3];
    size_t digits[3];
    char mark;
    const char *rest;
};

static bool read_date(const char *text, struct date *date)
{
    *date = (struct date){.rest = text};
    for (size_t i = 0; i < 3; i++) {
        date->digits[i] = strspn(date->rest, "0123456789");
        if (date->digits[i] < 1 || date->digits[i] > 4 ||
            sscanf(date->rest, "%4d", &date->numbers[i]) != 1)
            return false;
        date->rest += date->digits[i];
        if (i == 2)
            break;
        if (strchr("./-", *date->rest) == NULL || *date->rest == '\0' ||
            (i == 1 && *date->rest != date->mark))
            return false;
        date->mark = *date->rest++;
    }
    return date->digits[0] == 4 || date->digits[2] == 4 || date->mark == '.';
}

static bool is_year_first(const struct date *date)
{
    return date->digits[0] == 4;
}

void foreign_evidence_time(struct foreign_evidence *evidence, const char *text)
{
    struct date date;
    if (!read_date(text, &date) || is_year_first(&date) || date.mark == '.')
        return;
    if (date.numbers[0] > 12)
        evidence->day_first++;
    else if (date.numbers[1] > 12)
        evidence->month_first++;
    else if (date.numbers[0] != date.numbers[1])
        evidence->either_dates++;
}

/* "12:15 AM" and "0:15" as 00:15. False if the time of day cannot be. */
static bool append_time_of_day(struct text *iso, const char *rest)
{
    int hour = 0;
    int length = 0;
    while (*rest == ' ' || *rest == 'T' || *rest == ',')
        rest++;
    if (*rest == '\0')
        return true;
    if (sscanf(rest, "%2d%n", &hour, &length) != 1 || rest[length] != ':')
        return false;
    const char *minutes = rest + length;
    size_t clock = strspn(minutes, ":0123456789.");
    const char *half = minutes + clock;
    while (*half == ' ')
        half++;
    bool is_am = strncasecmp(half, "am", 2) == 0;
    bool is_pm = strncasecmp(half, "pm", 2) == 0;
    if (is_am || is_pm) {
        if (hour < 1 || hour > 12 || half[2] != '\0')
            return false;
        hour = hour % 12 + (is_pm ? 12 : 0);
        half += 2;
    }
    text_append(iso, "T%02d%.*s%s", hour, (int)clock, minutes, half);
    return true;
}

/* To the form that time_text_parse takes: milliseconds have three digits at most. */
static bool parse_iso(const char *text, int64_t *wall_ms)
{
    char copy[TEXT_SIZE];
    size_t whole = strcspn(text, ".");
    size_t digits = text[whole] == '\0' ? 0 : strspn(text + whole + 1, "0123456789");
    const char *rest = text + whole + (digits > 0 ? digits + 1 : 0);
    struct text stamp;
    text_init(&stamp, copy, sizeof copy);
    text_append(&stamp, "%.*s", (int)(whole < sizeof copy ? whole : sizeof copy), text);
    if (digits > 0)
        text_append(&stamp, ".%.*s%.*s", (int)(digits < 3 ? digits : 3), text + whole + 1,
                    (int)(digits < 3 ? 3 - digits : 0), "00");
    text_append(&stamp, "%s", rest);
    return !stamp.cut && time_text_parse(copy, 0, wall_ms, NULL) == STATUS_OK;
}

static bool parse_ordered(const struct date *date, enum foreign_date_order order, int64_t *wall_ms)
{
    char iso[TEXT_SIZE];
    struct text text;
    int year = date->numbers[2], month = date->numbers[1], day = date->numbers[0];
    if (is_year_first(date)) {
        year = date->numbers[0];
        day = date->numbers[2];
    } else if (date->mark != '.' && order == FOREIGN_DATES_MDY) {
        month = date->numbers[0];
        day = date->numbers[1];
    } else if (date->mark != '.' && order != FOREIGN_DATES_DMY) {
        return false;
    }
    if (!is_year_first(date) && date->digits[2] == 2)
        year += 2000;
    text_init(&text, iso, sizeof iso);
    text_append(&text, "%04d-%02d-%02d", year, month, day);
    return append_time_of_day(&text, date->rest) && !text.cut && parse_iso(iso, wall_ms);
}

/* 20250720 or 202507200015: as seconds or milliseconds they would be in the seventies. */
static bool parse_compact(const char *text, int64_t *wall_ms)
{
    char iso[TEXT_SIZE];
    size_t length = strlen(text);
    if ((length != 8 && length != 12 && length != 14) || strspn(text, "0123456789") != length ||
        (strncmp(text, "19", 2) != 0 && strncmp(text, "20", 2) != 0))
        return false;
    (void)snprintf(iso, sizeof iso, "%.4s-%.2s-%.2s%s%.2s%s%.2s%s%.2s", text, text + 4, text + 6,
                   length > 8 ? "T" : "", length > 8 ? text + 8 : "", length > 8 ? ":" : "",
                   length > 8 ? text + 10 : "", length > 12 ? ":" : "",
                   length > 12 ? text + 12 : "");
    return parse_iso(iso, wall_ms);
}

/* Numbers of seconds below 1973 are days since 1900, or no times at all. */
#define SECONDS_MIN 1e8

/* Up to the year 5138 numbers of seconds are smaller than those of milliseconds from 1973 on. */
static bool parse_number(const char *text, int64_t *wall_ms)
{
    double value;
    if (!foreign_number(text, strchr(text, ',') != NULL ? ',' : '.', &value))
        return false;
    double ms = value < 1e11 ? value * 1000 : value;
    if (!(value >= SECONDS_MIN && ms <= (double)BUCKET_TIME_MAX_MS))
        return false;
    *wall_ms = llround(ms);
    return true;
}

static bool parse_any(const char *text, enum foreign_date_order order, int64_t *wall_ms)
{
    struct date date;
    if (!isdigit((unsigned char)text[0])) /* not "now" and the like */
        return false;
    if (parse_compact(text, wall_ms))
        return true;
    if (strchr(text, '-') == NULL && strchr(text, '/') == NULL && strchr(text, ':') == NULL &&
        parse_number(text, wall_ms))
        return true;
    if (read_date(text, &date) && !(is_year_first(&date) && date.mark == '-'))
        return parse_ordered(&date, order, wall_ms);
    return parse_iso(text, wall_ms);
}

/* Whether the local clock shows the same an hour later. */
static bool occurs_twice(int64_t wall_ms)
{
    time_t first = (time_t)(wall_ms / 1000);
    time_t second = (time_t)((wall_ms + HOUR_MS) / 1000);
    struct tm a, b;
    return localtime_r(&first, &a) != NULL && localtime_r(&second, &b) != NULL &&
           a.tm_hour == b.tm_hour && a.tm_min == b.tm_min && a.tm_mday == b.tm_mday;
}

bool foreign_time(const char *text, enum foreign_date_order order, int64_t after_ms,
                  int64_t *wall_ms)
{
    if (!parse_any(text, order, wall_ms) || *wall_ms < 0 || *wall_ms > BUCKET_TIME_MAX_MS)
        return false;
    if (*wall_ms <= after_ms && *wall_ms + HOUR_MS > after_ms && occurs_twice(*wall_ms))
        *wall_ms += HOUR_MS;
    return true;
}
