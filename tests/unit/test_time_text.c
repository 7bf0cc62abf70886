/* SPDX-License-Identifier: MIT */
/* bridge/history: times as text, and where hours, days and months begin in zones with surprises. */
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/time_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void use_zone(const char *zone)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", zone);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("tzdata has no zone %s", zone);
    (void)fclose(file);
    (void)setenv("TZ", zone, 1);
    tzset();
}

static int64_t at(const char *text)
{
    struct error error = {""};
    int64_t ms = -1;
    if (time_text_parse(text, 0, &ms, &error) != STATUS_OK)
        fail_msg("%s: %s", text, error.text);
    return ms;
}

static void check_text(int64_t ms, const char *wanted)
{
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    time_text_append(&text, ms);
    assert_string_equal(buffer, wanted);
}

static void test_times_with_an_offset(void **state)
{
    (void)state;
    use_zone("Europe/Berlin");
    static const struct {
        const char *text;
        int64_t ms;
    } table[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-10-25T02:30:00+02:00", 1792888200000},
        {"2026-10-25T02:30:00+01:00", 1792891800000},
        {"2026-10-25 02:30+0100", 1792891800000},
        {"2026-10-25t02:30:00.125+01", 1792891800125},
        {"2026-10-24T19:15-05:15", 1792888200000},
        {"2000-02-29T00:00Z", 951782400000},
        {"9999-12-31T23:59:59.999Z", BUCKET_TIME_MAX_MS},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (at(table[i].text) != table[i].ms)
            fail_msg("%s gave %lld", table[i].text, (long long)at(table[i].text));
}

static void test_local_times(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        const char *text;
        const char *means;
    } table[] = {
        {"Europe/Berlin", "2026-07-01", "2026-07-01T00:00:00+02:00"},
        {"Europe/Berlin", "2026-07-01T12:00", "2026-07-01T12:00:00+02:00"},
        {"Europe/Berlin", "2026-12-01 12:00:30", "2026-12-01T12:00:30+01:00"},
        {"Europe/Berlin", "1970-01-01", "1970-01-01T01:00:00+01:00"}, /* not before 1970 UTC */
        /* twice: the earlier one; skipped: later by the skip */
        {"Europe/Berlin", "2026-10-25T02:30", "2026-10-25T02:30:00+02:00"},
        {"Europe/Berlin", "2026-03-29T02:30", "2026-03-29T03:30:00+02:00"},
        /* summer time skips midnight, and repeats the hour before it */
        {"America/Santiago", "2026-09-06", "2026-09-06T01:00:00-03:00"},
        {"America/Santiago", "2026-04-04T23:30", "2026-04-04T23:30:00-03:00"},
        {"America/Santiago", "2026-04-05", "2026-04-05T00:00:00-04:00"},
        /* half an hour of summer time */
        {"Australia/Lord_Howe", "2026-10-04T02:10", "2026-10-04T02:40:00+11:00"},
        {"Australia/Lord_Howe", "2026-04-05T01:40", "2026-04-05T01:40:00+11:00"},
        {"Asia/Kathmandu", "2026-05-01", "2026-05-01T00:00:00+05:45"},
        {"Asia/Kathmandu", "2026-05-01T18:20", "2026-05-01T18:20:00+05:45"},
        {"America/St_Johns", "2026-01-05T06:00", "2026-01-05T06:00:00-03:30"},
        {"UTC", "2026-05-01", "2026-05-01T00:00:00+00:00"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        use_zone(table[i].zone);
        check_text(at(table[i].text), table[i].means);
    }
    check_text(1792891800125, "2026-10-25T01:30:00.125+00:00");
}

static void test_words(void **state)
{
    (void)state;
    use_zone("Europe/Berlin");
    int64_t now = at("2026-10-25T14:30:05");
    static const struct {
        const char *word;
        const char *means;
    } table[] = {
        {"now", "2026-10-25T14:30:05+01:00"},
        {"today", "2026-10-25T00:00:00+02:00"},
        {"yesterday", "2026-10-24T00:00:00+02:00"},
        {"tomorrow", "2026-10-26T00:00:00+01:00"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t ms;
        assert_int_equal(time_text_parse(table[i].word, now, &ms, NULL), STATUS_OK);
        check_text(ms, table[i].means);
    }
}

static void test_what_is_no_time(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "2026",
        "2026-1-1",
        "2026-13-01",
        "2026-02-29",
        "1900-02-28",
        "2100-02-29",
        "2026-04-31",
        "2026-00-10",
        "2026-10-00",
        "+026-10-01",
        "2026--1-01",
        "10000-01-01",
        "2026-10-01T",
        "2026-10-01T24:00",
        "2026-10-01T12:60",
        "2026-10-01T12:00:60",
        "2026-10-01T12:00:00.1",
        "2026-10-01T12",
        "2026-10-01T12:00+",
        "2026-10-01T12:00+16:00",
        "2026-10-01T12:00+01:60",
        "2026-10-01T12:00Zx",
        "2026-10-01x",
        "2026-10-01 ",
        "2026-10-01T-1:00",
        "1970-01-01T00:00+01:00",
        "Today",
        "1792888200",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms;
        struct error error = {""};
        if (time_text_parse(bad[i], 0, &ms, &error) != STATUS_USAGE)
            fail_msg("\"%s\" was taken for a time", bad[i]);
        assert_non_null(strstr(error.text, "2026-10-01"));
    }
}

/* What was appended is read back as the same moment, around every change of the clock. */
static void test_there_and_back(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin",  "America/Santiago", "Australia/Lord_Howe",
                                        "Asia/Kathmandu", "Pacific/Apia",     "America/St_Johns"};
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        use_zone(zones[i]);
        int64_t ms = at("2026-01-01T00:00Z");
        for (; ms < at("2027-01-01T00:00Z"); ms += 4321567) {
            char buffer[64];
            struct text text;
            text_init(&text, buffer, sizeof buffer);
            time_text_append(&text, ms);
            if (at(buffer) != ms)
                fail_msg("%s: %s is not %lld", zones[i], buffer, (long long)ms);
        }
    }
}

static void test_days_of_odd_length(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        const char *day;
        int minutes;
        const char *next;
    } table[] = {
        {"Europe/Berlin", "2026-03-28", 24 * 60, "2026-03-29T00:00:00+01:00"},
        {"Europe/Berlin", "2026-03-29", 23 * 60, "2026-03-30T00:00:00+02:00"},
        {"Europe/Berlin", "2026-10-25", 25 * 60, "2026-10-26T00:00:00+01:00"},
        {"America/Santiago", "2026-09-05", 24 * 60, "2026-09-06T01:00:00-03:00"},
        {"America/Santiago", "2026-09-06", 23 * 60, "2026-09-07T00:00:00-03:00"},
        {"America/Santiago", "2026-04-04", 25 * 60, "2026-04-05T00:00:00-04:00"},
        {"Australia/Lord_Howe", "2026-04-05", 24 * 60 + 30, "2026-04-06T00:00:00+10:30"},
        {"Australia/Lord_Howe", "2026-10-04", 23 * 60 + 30, "2026-10-05T00:00:00+11:00"},
        {"Asia/Kathmandu", "2026-03-29", 24 * 60, "2026-03-30T00:00:00+05:45"},
        /* Samoa had no 30 December 2011 */
        {"Pacific/Apia", "2011-12-29", 24 * 60, "2011-12-31T00:00:00+14:00"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        use_zone(table[i].zone);
        int64_t day = at(table[i].day);
        int64_t next = bucket_next(BUCKET_DAY, day);
        if (next - day != table[i].minutes * 60000LL)
            fail_msg("%s %s has %lld minutes", table[i].zone, table[i].day,
                     (long long)((next - day) / 60000));
        check_text(next, table[i].next);
        for (int64_t ms = day; ms < next; ms += 599999) {
            assert_int_equal(bucket_start(BUCKET_DAY, ms), day);
            assert_int_equal(bucket_next(BUCKET_DAY, ms), next);
        }
        assert_int_equal(bucket_start(BUCKET_DAY, next - 1), day);
        assert_int_equal(bucket_start(BUCKET_DAY, next), next);
    }
}

/* Buckets tile the time: each begins where the one before ends, none is empty or too long, and days
 * and months begin at the beginning of hours. */
static void check_tiling(enum history_bucket bucket, int64_t shortest_ms, int64_t longest_ms)
{
    int64_t end = at("2027-06-01T00:00Z");
    int64_t start = bucket_start(bucket, at("2026-01-01T00:00Z"));
    for (int i = 0; start < end; i++) {
        int64_t next = bucket_next(bucket, start);
        if (next - start < shortest_ms || next - start > longest_ms)
            fail_msg("a bucket of %lld ms at %lld", (long long)(next - start), (long long)start);
        bool look_closer = bucket != BUCKET_HOUR || next - start < longest_ms || i % 8 == 0;
        if (look_closer) {
            assert_int_equal(bucket_start(bucket, start), start);
            assert_int_equal(bucket_start(bucket, next - 1), start);
            assert_int_equal(bucket_start(BUCKET_HOUR, start), start);
        }
        start = next;
    }
}

static void test_buckets_tile_the_year(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin",  "America/Santiago", "Australia/Lord_Howe",
                                        "Asia/Kathmandu", "America/St_Johns", "Asia/Beirut",
                                        "Africa/Cairo",   "Pacific/Chatham",  "UTC"};
    const int64_t hour = 3600000;
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        use_zone(zones[i]);
        check_tiling(BUCKET_HOUR, hour / 2, hour);
        check_tiling(BUCKET_DAY, 23 * hour, 25 * hour);
        check_tiling(BUCKET_MONTH, (28 * 24 - 1) * hour, (31 * 24 + 1) * hour);
    }
}

static void test_months(void **state)
{
    (void)state;
    use_zone("Europe/Berlin");
    check_text(bucket_start(BUCKET_MONTH, at("2026-10-25T12:00")), "2026-10-01T00:00:00+02:00");
    check_text(bucket_next(BUCKET_MONTH, at("2026-10-25T12:00")), "2026-11-01T00:00:00+01:00");
    check_text(bucket_next(BUCKET_MONTH, at("2026-12-31T23:59")), "2027-01-01T00:00:00+01:00");
    assert_int_equal(bucket_next(BUCKET_MONTH, at("2026-10-01")) - at("2026-10-01"),
                     (31 * 24 + 1) * 3600000LL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_with_an_offset),
        cmocka_unit_test(test_local_times),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_what_is_no_time),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_days_of_odd_length),
        cmocka_unit_test(test_buckets_tile_the_year),
        cmocka_unit_test(test_months),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
