/* SPDX-License-Identifier: MIT */
/* bridge/meter/price: which price holds, and until when, over nights, weekends and changes of the clock. */
#include "bridge/meter/price.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)

static struct tariff_window night = {.from_minute = 22 * 60,
                                     .to_minute = 6 * 60,
                                     .days = 0x7f,
                                     .months = 0xfff,
                                     .price_micro = 200000,
                                     .feed_in_micro = TARIFF_ABSENT};
static struct tariff_window weekend = {.from_minute = 0,
                                       .to_minute = 1440,
                                       .days = 0x60,
                                       .months = 0xfff,
                                       .price_micro = 250000,
                                       .feed_in_micro = 70000};

static const struct {
    const char *name;
    struct tariff tariff;
    int64_t wall_ms;
    int64_t price_micro, feed_in_micro, until_ms; /* price -1: none */
} table[] = {
    {"one price: a week ahead",
     {.currency = "EUR", .price_micro = 300000, .feed_in_micro = 80000},
     INT64_C(1795525500000),
     300000,
     80000,
     INT64_C(1795525200000) + 168 * HOUR},
    {"day",
     {.currency = "EUR", .price_micro = 300000, .windows = &night, .window_count = 1},
     INT64_C(1795525500000), /* Tuesday 2026-11-24 14:05 in Berlin */
     300000,
     0,
     INT64_C(1795554000000) /* 22:00 */},
    {"night",
     {.currency = "EUR", .price_micro = 300000, .windows = &night, .window_count = 1},
     INT64_C(1795554000000),
     200000,
     0,
     INT64_C(1795554000000) + 8 * HOUR},
    {"the night that the clock is put back is an hour longer",
     {.currency = "EUR", .price_micro = 300000, .windows = &night, .window_count = 1},
     INT64_C(1792872000000), /* 2026-10-24 22:00, summer time */
     200000,
     0,
     INT64_C(1792872000000) + 9 * HOUR},
    {"a weekend",
     {.currency = "EUR", .price_micro = 300000, .windows = &weekend, .window_count = 1},
     INT64_C(1795820400000), /* Saturday 2026-11-28 00:00 */
     250000,
     70000,
     INT64_C(1795820400000) + 48 * HOUR},
    {"none yet",
     {.valid_from = 20270101, .currency = "EUR", .price_micro = 300000},
     INT64_C(1798754400000), /* 2026-12-31 23:00 */
     -1,
     0,
     INT64_C(1798758000000)},
};

static void test_table(void **unused)
{
    (void)unused;
    assert_int_equal(setenv("TZ", "Europe/Berlin", 1), 0);
    tzset();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct price price;
        price_at(&table[i].tariff, 1, NULL, table[i].wall_ms, &price);
        bool known = table[i].price_micro >= 0;
        if (price.known != known || (known && price.price_micro != table[i].price_micro) ||
            (known && price.feed_in_micro != table[i].feed_in_micro) ||
            price.until_ms != table[i].until_ms)
            fail_msg("%s: %lld until %lld", table[i].name, (long long)price.price_micro,
                     (long long)price.until_ms);
    }
}

static void test_json(void **unused)
{
    (void)unused;
    char buffer[200];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    struct price price = {.known = true,
                          .price_micro = 312500,
                          .feed_in_micro = -80000,
                          .currency = "EUR",
                          .until_ms = 1795554000000};
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    price_json(&price, &text);
    assert_non_null(strstr(buffer, "{\"price\":0.312500,\"feed_in\":-0.080000,\"currency\":\"EUR\","
                                   "\"until\":\"2026-11-24T21:00:00+00:00\"}"));
    text_init(&text, buffer, sizeof buffer);
    price.known = false; /* a tariff holds, and its price is missing */
    price_json(&price, &text);
    assert_non_null(strstr(buffer, "{\"price\":null,\"feed_in\":null,\"currency\":\"EUR\","));
    text_init(&text, buffer, sizeof buffer);
    price.currency[0] = '\0';
    price_json(&price, &text);
    assert_non_null(strstr(buffer, "{\"price\":null,\"feed_in\":null,\"currency\":null,"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
