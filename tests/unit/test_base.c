/* SPDX-License-Identifier: MIT */
/* drivers/base: numbers from text, decimals to text, errors. */
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/status.h"
#include "drivers/base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_clock_by_timesyncd(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/bl2mqtt-base-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    (void)snprintf(path, sizeof path, "%s/synchronized", folder);
    assert_int_equal(clock_sync_of_folder(folder), CLOCK_UNSYNCHRONISED);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(clock_sync_of_folder(folder), CLOCK_SYNCHRONISED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(clock_sync_of_folder(folder), CLOCK_SYNC_UNKNOWN);
}

static void test_integers(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } table[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"42", true, 42},
        {"007", true, 7},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x10", false, 0},
        {"1e3", false, 0},
        {"1.0", false, 0},
        {"nan", false, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t value = -99;
        bool good =
            number_parse_int(table[i].text, strlen(table[i].text), INT64_MIN, INT64_MAX, &value);
        if (good != table[i].good || (good && value != table[i].value))
            fail_msg("\"%s\" gave %d, %lld", table[i].text, good, (long long)value);
    }
    int64_t value = 5;
    assert_false(number_parse_int("11", 2, 0, 10, &value));
    assert_int_equal(value, 5);
    assert_true(number_parse_int("123", 2, 0, 99, &value)); /* the length rules, not a NUL */
    assert_int_equal(value, 12);
}

static void test_hexadecimal(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int64_t value; /* -1: refused */
    } table[] = {
        {"16", 16},
        {"0x10", 16},
        {"0xfF", 255},
        {"0x7fffffffffffffff", INT64_MAX},
        {"0x8000000000000000", -1},
        {"0x10000000000000000", -1},
        {"0x", -1},
        {"0xg", -1},
        {"0X10", -1},
        {"-0x1", -1},
        {"x1", -1},
        {"0x1 ", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t value = -1;
        bool good = number_parse_whole(table[i].text, strlen(table[i].text), 0, INT64_MAX, &value);
        if (good != (table[i].value >= 0) || value != table[i].value)
            fail_msg("\"%s\" gave %d, %lld", table[i].text, good, (long long)value);
    }
    int64_t value = 5;
    assert_false(number_parse_whole("0x11", 4, 0, 16, &value));
    assert_false(number_parse_whole("0x0f", 4, 16, 99, &value));
    assert_int_equal(value, 5);
    assert_true(number_parse_whole("0x123", 4, 0, 99, &value));
    assert_int_equal(value, 0x12);
}

static void test_a_list_grows(void **unused)
{
    (void)unused;
    int *list = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        size_t before = capacity;
        int *grown = memory_grow(list, i, &capacity, sizeof *list);
        assert_true(capacity > i);
        assert_true(i >= before || grown == list); /* only moves when it is full */
        list = grown;
        assert_int_equal(list[i], 0);
        list[i] = (int)i + 1;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(list[i], i + 1);
    assert_true(capacity < 2000);
    free(list);
}

static void test_doubles(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"",     ".",     "1.", ".5",    "nan",      "NaN", "inf",
                                      "-inf", "0x1",   "1e", "1e999", "1,5",      "1 ",  "--1",
                                      "1.5f", "1e5.0", "+1", "1_0",   "infinity", "1e-"};
    double value = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (number_parse_double(bad[i], strlen(bad[i]), -1e12, 1e12, &value))
            fail_msg("\"%s\" was taken for a number", bad[i]);
    assert_true(number_parse_double("-15883.34e-1", 12, -1e12, 1e12, &value));
    assert_true(value > -1588.3341 && value < -1588.3339);
    assert_false(number_parse_double("2", 1, 0, 1, &value));
}

static void test_durations(void **unused)
{
    (void)unused;
    int64_t ms = 0;
    assert_true(number_parse_duration("250ms", 5, 0, INT64_MAX, &ms));
    assert_int_equal(ms, 250);
    assert_true(number_parse_duration("2y", 2, 0, INT64_MAX, &ms));
    assert_int_equal(ms, 2 * 365 * 86400000LL);
    assert_false(number_parse_duration("5", 1, 0, INT64_MAX, &ms));
    assert_false(number_parse_duration("5x", 2, 0, INT64_MAX, &ms));
    assert_false(number_parse_duration("s", 1, 0, INT64_MAX, &ms));
    assert_false(number_parse_duration("-5s", 3, 0, INT64_MAX, &ms));
    assert_false(number_parse_duration("9999999999999999d", 17, 0, INT64_MAX, &ms));
}

static void check_decimal(int64_t value, unsigned scale, unsigned decimals, bool down,
                          const char *wanted)
{
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append_decimal(&text, value, scale, decimals, down);
    assert_string_equal(buffer, wanted);
}

static void test_decimals(void **unused)
{
    (void)unused;
    check_decimal(231449, 3, 1, false, "231.4");
    check_decimal(231450, 3, 1, false, "231.5");
    check_decimal(-231450, 3, 1, false, "-231.5");
    check_decimal(-49, 3, 1, false, "0.0"); /* never "-0.0" */
    check_decimal(4711203999, 9, 3, true, "4.711");
    check_decimal(5, 0, 2, false, "5.00");
    check_decimal(1499, 3, 0, false, "1");
    check_decimal(INT64_MIN, 0, 0, false, "-9223372036854775808");
}

/* What is made digit by digit says what printf says, for numbers of every length. */
static void test_digits_are_those_of_printf(void **unused)
{
    (void)unused;
    uint64_t value = 88172645463325252U;
    for (int i = 0; i < 20000; i++) {
        value ^= value << 13; /* xorshift */
        value ^= value >> 7;
        value ^= value << 17;
        uint64_t number = i < 64 ? (uint64_t)1 << i : value >> (value & 63);
        unsigned digits = (unsigned)(i % 21);
        char wanted[96];
        char buffer[96];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        text_append_digits(&text, number, digits);
        text_append_plain(&text, " ");
        text_append_integer(&text, (int64_t)number);
        (void)snprintf(wanted, sizeof wanted, "%0*" PRIu64 " %" PRId64,
                       (int)(digits == 0 ? 1 : digits), number, (int64_t)number);
        assert_string_equal(buffer, wanted);

        unsigned decimals = 1 + (unsigned)(i % 9);
        int64_t scaled = (int64_t)(number >> 1);
        int64_t unit = 1;
        for (unsigned j = 0; j < decimals; j++)
            unit *= 10;
        check_decimal(
            -scaled, decimals, decimals, false,
            (snprintf(wanted, sizeof wanted, "%s%" PRId64 ".%0*" PRId64, scaled != 0 ? "-" : "",
                      scaled / unit, (int)decimals, scaled % unit),
             wanted));
    }
}

static void test_calendar_is_that_of_printf(void **unused)
{
    (void)unused;
    for (int i = 0; i < 3000; i++) {
        struct tm time = {.tm_year = i % 9000 - 1900,
                          .tm_mon = i % 12,
                          .tm_mday = i % 31 + 1,
                          .tm_hour = i % 24,
                          .tm_min = i % 60,
                          .tm_sec = i % 61};
        char wanted[96];
        char buffer[64];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        text_append_calendar(&text, &time, i % 1000);
        text_append_calendar(&text, &time, -1);
        char day[32];
        (void)snprintf(day, sizeof day, "%04d-%02d-%02dT%02d:%02d:%02d", i % 9000, i % 12 + 1,
                       i % 31 + 1, i % 24, i % 60, i % 61);
        (void)snprintf(wanted, sizeof wanted, "%s.%03d%s", day, i % 1000, day);
        assert_string_equal(buffer, wanted);
    }
}

static void test_text_is_cut_not_overrun(void **unused)
{
    (void)unused;
    for (int way = 0; way < 3; way++) {
        char buffer[8] = "xxxxxxx";
        struct text text;
        text_init(&text, buffer, 5);
        if (way == 0)
            text_append(&text, "%s", "abcdefgh");
        else if (way == 1)
            text_append_plain(&text, "abcdefgh");
        else
            text_append_digits(&text, 12345678, 0);
        text_append(&text, "more");
        text_append_plain(&text, "more");
        assert_true(text.cut);
        assert_string_equal(buffer, way == 2 ? "1234" : "abcd");
        assert_int_equal(buffer[5], 'x');
    }
}

static void test_error_prefix(void **unused)
{
    (void)unused;
    struct error error = {""};
    assert_int_equal(error_set(&error, STATUS_NO_ANSWER, "No %s.", "reply"), STATUS_NO_ANSWER);
    assert_int_equal(error_prefix(&error, STATUS_FAILED, "Channel %c: ", 'a'), STATUS_FAILED);
    assert_string_equal(error.text, "Channel a: No reply.");
    char big[2 * ERROR_TEXT_SIZE];
    memset(big, 'y', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    (void)error_set(&error, STATUS_FAILED, "%s", big);
    (void)error_prefix(&error, STATUS_FAILED, "P: ");
    assert_int_equal(strlen(error.text), ERROR_TEXT_SIZE - 1);
    (void)error_append(&error, STATUS_FAILED, "S");
    assert_int_equal(strlen(error.text), ERROR_TEXT_SIZE - 1);
    assert_int_equal(error_set(NULL, STATUS_USAGE, "x"), STATUS_USAGE);
    assert_int_equal(error_append(NULL, STATUS_USAGE, "x"), STATUS_USAGE);
    (void)error_set(&error, STATUS_FAILED, "Lost.");
    assert_int_equal(error_append(&error, STATUS_NO_ANSWER, " %d of 3.", 2), STATUS_NO_ANSWER);
    assert_string_equal(error.text, "Lost. 2 of 3.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_hexadecimal),
        cmocka_unit_test(test_a_list_grows),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_digits_are_those_of_printf),
        cmocka_unit_test(test_calendar_is_that_of_printf),
        cmocka_unit_test(test_text_is_cut_not_overrun),
        cmocka_unit_test(test_clock_by_timesyncd),
        cmocka_unit_test(test_error_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
