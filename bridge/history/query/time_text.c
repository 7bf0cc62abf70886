/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/time_text.h"

#include "bridge/history/query/buckets.h"
#include "drivers/base/number.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

/* What is left to read; every function takes what it knows from the front. */
struct cursor {
    const char *text;
    size_t length;
};

static bool take_char(struct cursor *cursor, const char *any_of)
{
    if (cursor->length == 0 || strchr(any_of, cursor->text[0]) == NULL)
        return false;
    cursor->text++;
    cursor->length--;
    return true;
}

/* Exactly that many digits. */
static bool take_number(struct cursor *cursor, size_t digits, int low, int high, int *value)
{
    int64_t number;
    if (cursor->length < digits || cursor->text[0] == '-' ||
        !number_parse_int(cursor->text, digits, low, high, &number))
        return false;
    *value = (int)number;
    cursor->text += digits;
    cursor->length -= digits;
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool take_date(struct cursor *cursor, struct tm *when)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!take_number(cursor, 4, 1970, 9999, &year) || !take_char(cursor, "-") ||
        !take_number(cursor, 2, 1, 12, &month) || !take_char(cursor, "-") ||
        !take_number(cursor, 2, 1, 31, &day))
        return false;
    int last = days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
    when->tm_year = year - 1900;
    when->tm_mon = month - 1;
    when->tm_mday = day;
    return day <= last;
}

/* hh:mm[:ss[.mmm]] */
static bool take_clock(struct cursor *cursor, struct tm *when, int *ms)
{
    *ms = 0;
    if (!take_number(cursor, 2, 0, 23, &when->tm_hour) || !take_char(cursor, ":") ||
        !take_number(cursor, 2, 0, 59, &when->tm_min))
        return false;
    if (!take_char(cursor, ":"))
        return true;
    if (!take_number(cursor, 2, 0, 59, &when->tm_sec))
        return false;
    return !take_char(cursor, ".") || take_number(cursor, 3, 0, 999, ms);
}

/* Z, +hh:mm, +hhmm, +hh; *given is false at the end of the text. */
static bool take_offset(struct cursor *cursor, bool *given, int64_t *seconds)
{
    int hours;
    int minutes = 0;
    *given = cursor->length > 0;
    *seconds = 0;
    if (!*given || take_char(cursor, "Zz"))
        return cursor->length == 0;
    bool west = cursor->text[0] == '-';
    if (!take_char(cursor, "+-") || !take_number(cursor, 2, 0, 15, &hours))
        return false;
    if (cursor->length > 0) {
        (void)take_char(cursor, ":");
        if (!take_number(cursor, 2, 0, 59, &minutes))
            return false;
    }
    *seconds = INT64_C(60) * (hours * 60 + minutes) * (west ? -1 : 1);
    return cursor->length == 0;
}

static bool same_clock(const struct tm *a, const struct tm *b)
{
    return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday &&
           a->tm_hour == b->tm_hour && a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

/* The moment at which the local clock shows `when`, read as summer time (1), standard time (0) or
 * as the C library decides (-1). False if it never does. */
static bool local_moment(const struct tm *when, int summer, time_t *moment)
{
    struct tm copy = *when;
    copy.tm_isdst = summer;
    *moment = mktime(&copy);
    return same_clock(&copy, when);
}

static time_t local_time(const struct tm *when)
{
    time_t summer;
    time_t standard;
    bool in_summer = local_moment(when, 1, &summer);
    bool in_standard = local_moment(when, 0, &standard);
    if (in_summer && in_standard)
        return summer < standard ? summer : standard;
    if (in_summer)
        return summer;
    if (in_standard)
        return standard;
    /* Skipped: reading it as standard time, which was in force before, moves it on by the skip. */
    return standard;
}

static bool parse_iso(const char *input, int64_t *wall_ms)
{
    struct cursor cursor = {input, strlen(input)};
    struct tm when = {0};
    int ms = 0;
    if (!take_date(&cursor, &when))
        return false;
    if (cursor.length == 0) {
        /* Noon exists on every day; midnight does not. */
        when.tm_hour = 12;
        *wall_ms = bucket_start(BUCKET_DAY, (int64_t)local_time(&when) * 1000);
        if (*wall_ms < 0) /* 1 January 1970 east of Greenwich */
            *wall_ms = 0;
        return true;
    }
    bool given;
    int64_t offset;
    if (!take_char(&cursor, "Tt ") || !take_clock(&cursor, &when, &ms) ||
        !take_offset(&cursor, &given, &offset))
        return false;
    int64_t seconds = given ? (int64_t)timegm(&when) - offset : (int64_t)local_time(&when);
    *wall_ms = seconds * 1000 + ms;
    return *wall_ms >= 0;
}

static bool parse_word(const char *text, int64_t now_ms, int64_t *wall_ms)
{
    int64_t today = bucket_start(BUCKET_DAY, now_ms);
    if (strcmp(text, "now") == 0)
        *wall_ms = now_ms;
    else if (strcmp(text, "today") == 0)
        *wall_ms = today;
    else if (strcmp(text, "yesterday") == 0)
        *wall_ms = bucket_start(BUCKET_DAY, today - 1);
    else if (strcmp(text, "tomorrow") == 0)
        *wall_ms = bucket_next(BUCKET_DAY, today);
    else
        return false;
    return true;
}

enum status time_text_parse(const char *text, int64_t now_ms, int64_t *wall_ms, struct error *error)
{
    if (parse_word(text, now_ms, wall_ms) || parse_iso(text, wall_ms))
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "\"%.40s\" is not a time. Write a date (2026-10-01), a date with a time "
                     "(2026-10-01T14:30, if need be with an offset like +02:00 or Z), now, today, "
                     "yesterday or tomorrow.",
                     text);
}

void time_text_append(struct text *text, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    int ms = (int)(wall_ms % 1000);
    struct tm local;
    if (wall_ms < 0 || localtime_r(&seconds, &local) == NULL) {
        text_append_time(text, wall_ms, ms != 0);
        return;
    }
    text_append_calendar(text, &local, ms != 0 ? ms : -1);
    long minutes = local.tm_gmtoff / 60;
    uint64_t distance = (uint64_t)(minutes < 0 ? -minutes : minutes);
    text_append_plain(text, minutes < 0 ? "-" : "+");
    text_append_digits(text, distance / 60, 2);
    text_append_plain(text, ":");
    text_append_digits(text, distance % 60, 2);
}
