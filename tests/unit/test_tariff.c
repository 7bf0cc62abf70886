/* SPDX-License-Identifier: MIT */
/* bridge/meter/tariff: texts, which tariff holds when, and at what price. */
#include "bridge/meter/tariff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int minute;
    } minutes[] = {{"00:00", 0},  {"06:15", 375}, {"23:45", 1425}, {"24:00", 1440}, {"24:15", -1},
                   {"25:00", -1}, {"6:00", -1},   {"06:10", -1},   {"06:60", -1},   {"", -1},
                   {"-1:00", -1}, {"06:-1", -1},  {"06:00 ", -1},  {"ab:cd", -1},   {"0600", -1}};
    for (size_t i = 0; i < sizeof minutes / sizeof minutes[0]; i++) {
        int minute = -1;
        bool good = tariff_parse_minute(minutes[i].text, &minute);
        if (good != (minutes[i].minute >= 0) || (good && minute != minutes[i].minute))
            fail_msg("%s: %d", minutes[i].text, minute);
    }
    static const struct {
        const char *text;
        unsigned set;
    } days[] = {{"mon", 1},        {"mon-fri", 31},  {"sat,sun", 96},  {"sat, sun", 96},
                {"fri-mon", 0x71}, {"mon-sun", 127}, {"sun-sat", 127}, {"mon,wed-thu", 13},
                {"", 0},           {"mon-", 0},      {"mon,", 0},      {"Mon", 0},
                {"monday", 0},     {"mon fri", 0},   {"mon--fri", 0},  {"mo", 0}};
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        unsigned set = 0;
        bool good = tariff_parse_days(days[i].text, &set);
        if (good != (days[i].set != 0) || (good && set != days[i].set))
            fail_msg("%s: %x", days[i].text, set);
    }
    unsigned months;
    assert_true(tariff_parse_months("oct-mar", &months));
    assert_int_equal(months, 0xe07);
    assert_true(tariff_parse_months("jul", &months));
    assert_int_equal(months, 0x40);
    assert_false(tariff_parse_months("mon", &months));
    int date;
    assert_true(tariff_parse_date("2024-02-29", &date));
    assert_int_equal(date, 20240229);
    static const char *const no_dates[] = {"2026-02-29", "2026-13-01", "2026-00-10",  "2026-04-31",
                                           "26-01-01",   "2026-1-1",   "2026-01-01T", "2100-02-29",
                                           "1969-12-31", "",           "2026/01/01"};
    for (size_t i = 0; i < sizeof no_dates / sizeof no_dates[0]; i++)
        assert_false(tariff_parse_date(no_dates[i], &date));
}

static struct tm moment(int year, int month, int day, int hour, int minute)
{
    struct tm local = {.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute};
    struct tm copy = local;
    (void)timegm(&copy);
    local.tm_wday = copy.tm_wday;
    return local;
}

static void test_which_one_holds(void **state)
{
    (void)state;
    const struct tariff tariffs[] = {
        {.valid_from = 20270101}, {.valid_from = 0}, {.valid_from = 20260701}};
    struct tm local = moment(2026, 6, 30, 23, 59);
    assert_ptr_equal(tariff_at(tariffs, 3, &local), &tariffs[1]);
    local = moment(2026, 7, 1, 0, 0);
    assert_ptr_equal(tariff_at(tariffs, 3, &local), &tariffs[2]);
    local = moment(2026, 12, 31, 23, 59);
    assert_ptr_equal(tariff_at(tariffs, 3, &local), &tariffs[2]);
    local = moment(2040, 1, 1, 0, 0);
    assert_ptr_equal(tariff_at(tariffs, 3, &local), &tariffs[0]);
    local = moment(2026, 12, 31, 23, 59);
    assert_null(tariff_at(tariffs, 1, &local));
    assert_null(tariff_at(NULL, 0, &local));
}

static void test_windows(void **state)
{
    (void)state;
    struct tariff_window windows[] = {
        /* nights in winter, over midnight, on working days */
        {.from_minute = 1320,
         .to_minute = 360,
         .days = 31,
         .months = 0xe07,
         .price_micro = 1,
         .feed_in_micro = TARIFF_ABSENT},
        /* weekends */
        {.from_minute = 0,
         .to_minute = 1440,
         .days = 96,
         .months = 0xfff,
         .price_micro = TARIFF_ABSENT,
         .feed_in_micro = 20},
        /* noon, all the time; comes third */
        {.from_minute = 720,
         .to_minute = 780,
         .days = 127,
         .months = 0xfff,
         .price_micro = 3,
         .feed_in_micro = 30},
    };
    const struct tariff tariff = {
        .price_micro = 9, .feed_in_micro = 90, .windows = windows, .window_count = 3};
    static const struct {
        int month, day, hour, minute;
        int64_t price, feed_in;
    } rows[] = {
        {11, 24, 21, 59, 9, 90}, /* a Tuesday */
        {11, 24, 22, 0, 1, 90},  {11, 24, 0, 0, 1, 90},  {11, 24, 5, 59, 1, 90},
        {11, 24, 6, 0, 9, 90},   {11, 24, 12, 0, 3, 30}, {11, 24, 12, 59, 3, 30},
        {11, 24, 13, 0, 9, 90},  {11, 27, 23, 0, 1, 90}, /* Friday's end */
        {11, 28, 1, 0, 9, 20},  /* Saturday: the night before is over with its day */
        {11, 28, 12, 0, 9, 20}, /* the weekend comes first */
        {7, 7, 23, 0, 9, 90},   /* summer */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t price;
        int64_t feed_in;
        struct tm local = moment(2026, rows[i].month, rows[i].day, rows[i].hour, rows[i].minute);
        tariff_prices(&tariff, &local, &price, &feed_in);
        if (price != rows[i].price || feed_in != rows[i].feed_in)
            fail_msg("row %zu: %lld %lld", i, (long long)price, (long long)feed_in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_which_one_holds),
        cmocka_unit_test(test_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
