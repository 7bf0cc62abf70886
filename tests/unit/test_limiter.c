/* SPDX-License-Identifier: MIT */
/* drivers/base: what repeats is held back and counted; what came from outside is made plain. */
#include "drivers/base/limiter.h"
#include "drivers/base/log.h"
#include "drivers/base/plain.h"
#include "drivers/base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PERIOD_MS 60000

static void test_burst_and_count(void **unused)
{
    (void)unused;
    struct limiter *limiter = limiter_create(3, PERIOD_MS);
    uint64_t held = 9;
    unsigned passed = 0;
    for (int i = 0; i < 1000; i++)
        passed += limiter_pass(limiter, 7, "x", i, &held);
    assert_int_equal(passed, 3);
    assert_true(limiter_pass(limiter, 8, "another cause", 500, &held));
    assert_int_equal(held, 0);
    assert_true(limiter_pass(limiter, 7, "x", PERIOD_MS, &held));
    assert_int_equal(held, 997);
    assert_true(limiter_pass(limiter, 7, "x", PERIOD_MS + 1, &held));
    assert_int_equal(held, 0);
    limiter_free(limiter);
}

static void test_a_count_is_reported_without_another_occurrence(void **unused)
{
    (void)unused;
    struct limiter *limiter = limiter_create(1, PERIOD_MS);
    struct limiter_held report;
    uint64_t held;
    for (int i = 0; i < 5; i++)
        (void)limiter_pass(limiter, 7, i == 4 ? "last" : "earlier", i, &held);
    assert_false(limiter_expired(limiter, PERIOD_MS - 1, &report));
    assert_true(limiter_expired(limiter, PERIOD_MS, &report));
    assert_int_equal(report.count, 4);
    assert_string_equal(report.words, "last");
    assert_false(limiter_expired(limiter, PERIOD_MS, &report));
    limiter_free(limiter);
}

/* A stranger who invents causes gets no memory and few lines. */
static void test_too_many_causes_share(void **unused)
{
    (void)unused;
    struct limiter *limiter = limiter_create(2, PERIOD_MS);
    uint64_t held;
    unsigned passed = 0;
    for (uint64_t cause = 1; cause <= 100000; cause++)
        passed += limiter_pass(limiter, cause, "x", 5, &held);
    assert_int_equal(passed, LIMITER_CAUSES_MAX + 2);
    /* Later their places are free again. */
    for (uint64_t cause = 200000; cause < 200100; cause++)
        assert_true(limiter_pass(limiter, cause, "x", PERIOD_MS + 5, &held));
    limiter_free(limiter);
}

struct lines {
    unsigned count;
    char last[LOG_LINE_SIZE];
};

static void observe(void *context, enum log_level level, const char *message)
{
    struct lines *lines = context;
    (void)level;
    lines->count++;
    (void)snprintf(lines->last, sizeof lines->last, "%s", message);
}

static void test_the_log_cannot_be_flooded(void **unused)
{
    (void)unused;
    struct log *log = log_create(LOG_LEVEL_INFO);
    struct lines lines = {0};
    log_observe(log, observe, &lines);
    for (int i = 0; i < 5000; i++)
        log_warning(log, "refused %d", i);
    assert_int_equal(lines.count, LOG_BURST);
    for (int i = 0; i < 5000; i++)
        log_repeating(log, LOG_LEVEL_WARNING, i % 2 == 0 ? "even" : "odd", "again %d", i);
    assert_int_equal(lines.count, LOG_BURST + 2 * LOG_REPEATING_BURST);
    log_info(log, "another place in the code");
    assert_int_equal(lines.count, LOG_BURST + 2 * LOG_REPEATING_BURST + 1);
    log_free(log);
}

static void test_plain(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *plain, *lines;
    } table[] = {
        {"", "", ""},
        {"Küche 5 µA", "Küche 5 µA", "Küche 5 µA"},
        {"a\nb\tc\x1b[31m", "a b c [31m", "a\nb\tc [31m"},
        {"C1 \xc2\x9b"
         "31m",
         "C1  31m", "C1  31m"},
        {"raw \x9b"
         "31m",
         "raw ?31m", "raw ?31m"},
        {"\xe2\x80\xae"
         "evil\xe2\x80\xac",
         " evil ", " evil "},
        {"\xe2\x81\xa6x\xe2\x81\xa9", " x ", " x "},
        {"\xd8\x9cx", " x", " x"},
        {"line\xe2\x80\xa8sep", "line sep", "line sep"},
        {"zero\xe2\x80\x8bwidth\xef\xbb\xbf", "zero width ", "zero width "},
        {"tag\xf3\xa0\x81\x81", "tag ", "tag "},
        {"overlong \xc0\x9b", "overlong ??", "overlong ??"},
        {"surrogate \xed\xa0\x80", "surrogate ???", "surrogate ???"},
        {"cut \xe2\x80", "cut ", "cut "},
        {"\x7f", " ", " "},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s", table[i].text);
        plain_make(text);
        assert_string_equal(text, table[i].plain);
        assert_true(plain_is(text, strlen(text)));
        assert_int_equal(plain_is(table[i].text, strlen(table[i].text)),
                         strcmp(table[i].text, table[i].plain) == 0);
        (void)snprintf(text, sizeof text, "%s", table[i].text);
        plain_make_lines(text);
        assert_string_equal(text, table[i].lines);
    }
}

/* The two places where foreign words become lines. */
static void test_log_and_errors_are_plain(void **unused)
{
    (void)unused;
    struct log *log = log_create(LOG_LEVEL_INFO);
    struct lines lines = {0};
    log_observe(log, observe, &lines);
    log_warning(log, "%s", "a\xc2\x9b\xe2\x80\xae\n2026 forged");
    assert_string_equal(lines.last, "a   2026 forged");
    struct error error = {""};
    (void)error_set(&error, STATUS_USAGE, "\"%s\"", "x\xc2\x85\xe2\x81\xa7y");
    assert_string_equal(error.text, "\"x  y\"");
    (void)error_prefix(&error, STATUS_USAGE, "%s ", "\xc2\x9b");
    (void)error_append(&error, STATUS_USAGE, "%s", "\xe2\x80\x8f");
    assert_string_equal(error.text, "  \"x  y\" ");
    log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_and_count),
        cmocka_unit_test(test_a_count_is_reported_without_another_occurrence),
        cmocka_unit_test(test_too_many_causes_share),
        cmocka_unit_test(test_the_log_cannot_be_flooded),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_log_and_errors_are_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
