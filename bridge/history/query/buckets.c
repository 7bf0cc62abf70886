/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/buckets.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static time_t seconds_of(int64_t wall_ms)
{
    int64_t seconds = wall_ms / 1000;
    return (time_t)(wall_ms % 1000 < 0 ? seconds - 1 : seconds);
}

/* From some Monday before 1970 on. */
#define DAYS_BEFORE (7 * 1000 + 3)
#define WEEK_DAYS 7

/* Days, weeks, months and years as numbers that grow with time. */
static int64_t period_of(enum history_bucket bucket, time_t when)
{
    struct tm local = {0};
    (void)localtime_r(&when, &local); /* fails only for years that do not fit into an int */
    if (bucket == BUCKET_YEAR)
        return local.tm_year;
    if (bucket == BUCKET_WEEK) {
        struct tm date = {
            .tm_year = local.tm_year, .tm_mon = local.tm_mon, .tm_mday = local.tm_mday};
        return ((int64_t)timegm(&date) / 86400 + DAYS_BEFORE) / WEEK_DAYS;
    }
    int64_t month = (int64_t)local.tm_year * 12 + local.tm_mon;
    return bucket == BUCKET_MONTH ? month : month * 31 + local.tm_mday - 1;
}

/* mktime's answer for midnight, which is the first moment of the period except where midnight does
 * not exist or exists twice. */
static time_t midnight_after(enum history_bucket bucket, time_t when)
{
    struct tm local = {0};
    (void)localtime_r(&when, &local);
    struct tm next = {.tm_year = local.tm_year, .tm_mday = 1, .tm_isdst = -1};
    if (bucket == BUCKET_YEAR) {
        next.tm_year = local.tm_year + 1;
    } else if (bucket == BUCKET_MONTH) {
        next.tm_mon = local.tm_mon + 1;
    } else if (bucket == BUCKET_WEEK) {
        int since_monday = (local.tm_wday + WEEK_DAYS - 1) % WEEK_DAYS;
        next.tm_mon = local.tm_mon;
        next.tm_mday = local.tm_mday + WEEK_DAYS - since_monday;
    } else {
        next.tm_mon = local.tm_mon;
        next.tm_mday = local.tm_mday + 1;
    }
    return mktime(&next);
}

static bool is_first_moment(enum history_bucket bucket, time_t candidate, int64_t period)
{
    return period_of(bucket, candidate) > period && period_of(bucket, candidate - 1) <= period;
}

/* The first moment of a later period than the one that holds `when`. */
static time_t next_period(enum history_bucket bucket, time_t when)
{
    int64_t period = period_of(bucket, when);
    time_t candidate = midnight_after(bucket, when);
    if (candidate > when && is_first_moment(bucket, candidate, period))
        return candidate;
    time_t low = when;
    time_t high = (candidate > when ? candidate : when) + (time_t)2 * 86400;
    while (high - low > 1) {
        time_t middle = low + (high - low) / 2;
        if (period_of(bucket, middle) > period)
            high = middle;
        else
            low = middle;
    }
    return high;
}

static int64_t next_hour(time_t when)
{
    struct tm local = {0};
    (void)localtime_r(&when, &local);
    return (int64_t)when + 3600 - (int64_t)local.tm_min * 60 - local.tm_sec;
}

int64_t bucket_next(enum history_bucket bucket, int64_t wall_ms)
{
    time_t when = seconds_of(wall_ms);
    if (bucket == BUCKET_QUARTER)
        return ((int64_t)when - (when % 900 + 900) % 900 + 900) * 1000;
    int64_t next = bucket == BUCKET_HOUR ? next_hour(when) : (int64_t)next_period(bucket, when);
    return next * 1000;
}

int64_t bucket_start(enum history_bucket bucket, int64_t wall_ms)
{
    /* From a moment that is certainly before, step by step: at most two or three steps. */
    static const int64_t back_ms[] = {
        [BUCKET_HOUR] = 2LL * 3600 * 1000,    [BUCKET_DAY] = 2LL * 86400 * 1000,
        [BUCKET_MONTH] = 32LL * 86400 * 1000, [BUCKET_YEAR] = 367LL * 86400 * 1000,
        [BUCKET_QUARTER] = 1800LL * 1000,     [BUCKET_WEEK] = 9LL * 86400 * 1000,
    };
    int64_t start = bucket_next(bucket, wall_ms - back_ms[bucket]);
    for (;;) {
        int64_t next = bucket_next(bucket, start);
        if (next > wall_ms)
            return start;
        start = next;
    }
}

void bucket_zone(char name[BUCKET_ZONE_SIZE])
{
    const char *zone = getenv("TZ");
    if (zone != NULL && zone[0] != '\0') {
        (void)snprintf(name, BUCKET_ZONE_SIZE, "%s", zone[0] == ':' ? zone + 1 : zone);
        return;
    }
    char link[256];
    ssize_t length = readlink("/etc/localtime", link, sizeof link - 1);
    link[length < 0 ? 0 : length] = '\0';
    const char *found = strstr(link, "zoneinfo/");
    (void)snprintf(name, BUCKET_ZONE_SIZE, "%s", found == NULL ? "" : found + strlen("zoneinfo/"));
}

/* Rules have digits, and a name of three letters or more, or <...>, before these. */
static bool looks_like_rule(const char *zone)
{
    size_t letters = strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    if (zone[0] == '<')
        letters = strcspn(zone, ">") + 1;
    if (letters < 3 || letters >= strlen(zone))
        return false;
    const char *offset = zone + letters;
    offset += *offset == '+' || *offset == '-' ? 1 : 0;
    return *offset >= '0' && *offset <= '9';
}

bool bucket_zone_usable(const char *zone)
{
    char path[PATH_MAX];
    if (zone == NULL || zone[0] == '\0')
        return true;
    const char *name = zone[0] == ':' ? zone + 1 : zone;
    int length =
        snprintf(path, sizeof path, "%s%s", name[0] == '/' ? "" : "/usr/share/zoneinfo/", name);
    if (length > 0 && (size_t)length < sizeof path && access(path, R_OK) == 0)
        return true;
    return zone[0] != ':' && looks_like_rule(zone);
}

void bucket_use_zone(const char *name, const char *own)
{
    const char *zone = strcmp(name, "system") == 0 ? own : name;
    if (zone != NULL)
        (void)setenv("TZ", zone, 1); /* without memory nothing would go on anyway */
    else
        (void)unsetenv("TZ");
    tzset();
}
