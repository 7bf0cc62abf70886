/* SPDX-License-Identifier: MIT */
/* bridge/meter/intervals and bridge/service/interval_message: what other programs send about prices. */
#include "bridge/service/interval_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define AT INT64_C(1792886400000) /* 2026-10-25T00:00Z: clocks go back in Berlin an hour later */

static void test_messages(void **unused)
{
    (void)unused;
    static const struct {
        const char *json;
        int divisor;
        size_t count;                  /* quarters; 0: refused */
        int64_t first_ms, first, last; /* start of the first; values of the first and the last */
    } table[] = {
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"price\":0.3}]", 1, 4, AT, 300000, 300000},
        {"{\"start\":\"2026-10-25T00:00:00Z\",\"end\":\"2026-10-25T00:15:00Z\",\"value\":-0.01}", 1,
         1, AT, -10000, -10000},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"price\":1},{\"start\":\"2026-10-25T00:15:00Z\","
         "\"price\":2}]",
         1, 2, AT, 1000000, 2000000},
        {"{\"data\":[{\"start_timestamp\":1792886400000,\"end_timestamp\":1792890000000,"
         "\"marketprice\":42.09,\"unit\":\"Eur/MWh\"}]}",
         1000, 4, AT, 42090, 42090},
        {"{\"rates\":[{\"start\":1792886400,\"end\":1792890000,\"price\":\"0.5\"}]}", 1, 4, AT,
         500000, 500000},
        {"{\"today\":[{\"startsAt\":\"2026-10-25T02:00:00.000+02:00\",\"total\":0.1}],"
         "\"tomorrow\":[{\"startsAt\":\"2026-10-25T02:00:00.000+01:00\",\"total\":0.2}]}",
         1, 8, AT, 100000, 200000},
        {"{\"raw_today\":[{\"start\":\"2026-10-25T00:00:00Z\",\"end\":\"2026-10-25T01:00:00Z\","
         "\"value\":12.5}],\"raw_tomorrow\":[]}",
         100, 4, AT, 125000, 125000},
        {"[]", 1, 0, 0, 0, 0},
        {"{}", 1, 0, 0, 0, 0},
        {"{\"prices\":[]}", 1, 0, 0, 0, 0},
        {"{\"other\":[]}", 1, 0, 0, 0, 0},
        {"7", 1, 0, 0, 0, 0},
        {"{", 1, 0, 0, 0, 0},
        {"[{\"start\":\"2026-10-25T00:05:00Z\",\"price\":1}]", 1, 0, 0, 0, 0},
        {"[{\"start\":\"now\",\"price\":1}]", 1, 0, 0, 0, 0},
        {"[{\"start\":\"2026-10-25T00:00:00Z\"}]", 1, 0, 0, 0, 0},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"price\":null}]", 1, 0, 0, 0, 0},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"price\":1001}]", 1, 0, 0, 0, 0},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"price\":\"1x\"}]", 1, 0, 0, 0, 0},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"end\":\"2026-10-24T00:00:00Z\",\"price\":1}]", 1,
         0, 0, 0, 0},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"end\":\"2026-10-27T00:00:00Z\",\"price\":1}]", 1,
         0, 0, 0, 0},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"price\":1},7]", 1, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct intervals intervals = {.list = NULL};
        struct error error = {""};
        enum status status =
            interval_message_parse(table[i].json, strlen(table[i].json), INTERVAL_PRICE,
                                   table[i].divisor, &intervals, &error);
        if (intervals.count != table[i].count || (status == STATUS_OK) != (error.text[0] == '\0') ||
            (status == STATUS_OK) != (table[i].count > 0))
            fail_msg("%s: %zu intervals, %s", table[i].json, intervals.count, error.text);
        if (table[i].count > 0) {
            assert_int_equal(status, STATUS_OK);
            assert_int_equal(intervals.list[0].quarter, table[i].first_ms / INTERVAL_MS);
            assert_int_equal(intervals.list[0].value_micro, table[i].first);
            assert_int_equal(intervals.list[intervals.count - 1].value_micro, table[i].last);
        }
        intervals_free(&intervals);
    }
}

static void test_bounds(void **unused)
{
    (void)unused;
    struct intervals intervals = {.list = NULL};
    struct error error = {""};
    size_t size = INTERVAL_MESSAGE_BYTES_MAX + 2;
    char *text = malloc(size);
    memset(text, ' ', size);
    assert_int_equal(interval_message_parse(text, size, INTERVAL_PRICE, 1, &intervals, &error),
                     STATUS_USAGE);
    size_t length = 0;
    text[length++] = '[';
    for (int i = 0; i <= INTERVAL_MESSAGE_MAX; i++)
        length += (size_t)snprintf(text + length, size - length, "%s{\"start\":%lld,\"price\":1}",
                                   i == 0 ? "" : ",", 1792886400LL + i * 900LL);
    text[length++] = ']';
    assert_int_equal(interval_message_parse(text, length, INTERVAL_PRICE, 1, &intervals, &error),
                     STATUS_USAGE);
    assert_non_null(strstr(error.text, "more than"));
    assert_int_equal(intervals.count, 0);
    free(text);
}

static void test_co2(void **unused)
{
    (void)unused;
    static const struct {
        const char *json;
        int64_t micro; /* -1: refused */
    } table[] = {
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"price\":0.3,\"carbonIntensity\":412.5}]",
         412500000},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"intensity\":0}]", 0},
        {"{\"data\":[{\"datetime\":1792886400,\"value\":\"5000\"}]}", 5000000000},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"value\":5001}]", -1},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"value\":-1}]", -1},
        {"[{\"start\":\"2026-10-25T00:00:00Z\",\"price\":0.3}]", -1},
        {"[]", -1},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct intervals intervals = {.list = NULL};
        struct error error = {""};
        enum status status = interval_message_parse(table[i].json, strlen(table[i].json),
                                                    INTERVAL_CO2, 1, &intervals, &error);
        assert_int_equal(status, table[i].micro < 0 ? STATUS_USAGE : STATUS_OK);
        assert_int_equal(intervals.count, table[i].micro < 0 ? 0 : 4);
        if (table[i].micro >= 0) {
            assert_int_equal(intervals.list[0].quarter, AT / INTERVAL_MS);
            assert_int_equal(intervals.list[3].value_micro, table[i].micro);
        }
        intervals_free(&intervals);
    }
}

static void test_until(void **unused)
{
    (void)unused;
    struct intervals intervals = {.list = NULL};
    for (int64_t i = 10; i < 18; i++)
        (void)intervals_put(&intervals, &(struct interval){i, i < 14 ? 1 : 2});
    assert_int_equal(intervals_until(&intervals, 5), 10);
    assert_int_equal(intervals_until(&intervals, 11), 14);
    assert_int_equal(intervals_until(&intervals, 14), 18);
    assert_int_equal(intervals_until(&intervals, 18), 18 + 96);
    intervals_free(&intervals);
}

static void test_put_and_find(void **unused)
{
    (void)unused;
    struct intervals intervals = {.list = NULL};
    int64_t value = 0;
    for (int64_t i = 0; i < 1000; i++)
        assert_true(intervals_put(&intervals, &(struct interval){i * 7919 % 1009, i}));
    assert_int_equal(intervals.count, 1000);
    for (size_t i = 1; i < intervals.count; i++)
        assert_true(intervals.list[i - 1].quarter < intervals.list[i].quarter);
    assert_false(intervals_put(&intervals, &(struct interval){7919 % 1009, 1}));
    assert_true(intervals_put(&intervals, &(struct interval){7919 % 1009, 5}));
    assert_true(intervals_find(&intervals, 7919 % 1009, &value));
    assert_int_equal(value, 5);
    assert_false(intervals_find(&intervals, 5000, &value));
    intervals_drop(&intervals, 1008);
    assert_true(intervals.count <= 1);
    intervals_free(&intervals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),     cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_co2),          cmocka_unit_test(test_until),
        cmocka_unit_test(test_put_and_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
