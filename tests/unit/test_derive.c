/* SPDX-License-Identifier: MIT */
/* bridge/meter/derive: days, months, costs and demand against sums made from every reading of a year, in
 * four time zones, over both clock changes, with restarts and totals that were set. */
#include "bridge/history/query/buckets.h"
#include "bridge/meter/derive.h"
#include "bridge/meter/tariff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define YEAR_START INT64_C(1767225600000) /* 2026-01-01 in UTC */
#define STEP_MS 400000                    /* no divisor of a quarter of an hour */

static uint64_t dice = 88172645463325252u;

static int64_t between(int64_t low, int64_t high)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return low + (int64_t)(dice % (uint64_t)(high - low + 1));
}

static struct derive_calendar calendar_of(int64_t wall_ms)
{
    return (struct derive_calendar){
        .day_start_ms = bucket_start(BUCKET_DAY, wall_ms),
        .day_end_ms = bucket_next(BUCKET_DAY, wall_ms),
        .month_start_ms = bucket_start(BUCKET_MONTH, wall_ms),
        .month_end_ms = bucket_next(BUCKET_MONTH, wall_ms),
    };
}

/* What every reading adds to its day and month, added up apart. */
struct truth {
    int64_t day_ms, month_ms;
    int64_t imported[2], exported[2]; /* day, month */
    struct derive_money money[2];
};

static void add_truth(struct truth *truth, const struct derive_calendar *calendar, int64_t imported,
                      int64_t exported, const struct derive_prices *prices)
{
    bool new_day = truth->day_ms != calendar->day_start_ms;
    bool fresh[2] = {new_day, truth->month_ms != calendar->month_start_ms};
    for (int i = 0; i < 2; i++) {
        if (fresh[i]) {
            truth->imported[i] = truth->exported[i] = 0;
            truth->money[i] = (struct derive_money){.standing_micro = 0};
        }
        truth->imported[i] += imported;
        truth->exported[i] += exported;
        struct derive_money *money = &truth->money[i];
        money->standing_micro += new_day ? prices->standing_charge_micro : 0;
        money->drawn = wide_add(money->drawn, wide_multiply(imported, prices->price_micro));
        money->fed = wide_add(money->fed, wide_multiply(exported, prices->feed_in_micro));
    }
    truth->day_ms = calendar->day_start_ms;
    truth->month_ms = calendar->month_start_ms;
}

static void check(const struct derive *derive, const struct truth *truth, int64_t wall_ms)
{
    struct derived_values values;
    derive_values(derive, &values);
    bool same = values.energy_today_uwh.value == truth->imported[0] &&
                values.energy_month_uwh.value == truth->imported[1] &&
                values.produced_today_uwh.value == truth->exported[0] &&
                values.produced_month_uwh.value == truth->exported[1];
    int64_t cost[2];
    for (int i = 0; i < 2; i++)
        cost[i] = tariff_money(truth->money[i].drawn) + truth->money[i].standing_micro -
                  tariff_money(truth->money[i].fed);
    bool paid =
        values.cost_today_micro.value == cost[0] && values.cost_month_micro.value == cost[1];
    if (!same || !paid)
        fail_msg("at %lld: today %lld of %lld, cost %lld of %lld", (long long)wall_ms,
                 (long long)values.energy_today_uwh.value, (long long)truth->imported[0],
                 (long long)values.cost_today_micro.value, (long long)cost[0]);
}

static void play_year(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
    struct derive derive = {.begun = false};
    struct truth truth = {.day_ms = 0};
    int64_t imported = 5000000000, exported = 70000000;
    int days = 0;
    for (int64_t wall = YEAR_START; wall < YEAR_START + 366 * INT64_C(86400000); wall += STEP_MS) {
        struct derive_calendar calendar = calendar_of(wall);
        struct derive_prices prices = {.known = true,
                                       .price_micro = 250000 + wall / DERIVE_QUARTER_MS % 7 * 10000,
                                       .feed_in_micro = 80000,
                                       .standing_charge_micro = 400000};
        if (!derive.begun) {
            const struct derive_past nothing = {0};
            derive_begin(&derive, &calendar, imported, exported, &nothing, &nothing, 0, 0);
            truth.day_ms = calendar.day_start_ms;
            truth.month_ms = calendar.month_start_ms;
        }
        int64_t in = between(0, 200000000), out = between(0, 3) == 0 ? between(0, 9000000) : 0;
        days += truth.day_ms != calendar.day_start_ms;
        add_truth(&truth, &calendar, in, out, &prices);
        imported += in;
        exported += out;
        const struct derive_reading reading = {
            .wall_ms = wall, .imported_uwh = imported, .exported_uwh = exported, .hold_ms = 10000};
        derive_accept(&derive, &reading, &calendar, &prices);
        check(&derive, &truth, wall);
        if (between(0, 300) == 0) { /* the user sets a total */
            int64_t jump = between(-1000000, 1000000);
            imported += jump;
            derive_shift(&derive, jump, 0);
        }
        if (between(0, 2000) == 0) { /* a restart: the history has the past */
            struct derive_past day = {truth.imported[0], truth.exported[0], truth.money[0]};
            struct derive_past month = {truth.imported[1], truth.exported[1], truth.money[1]};
            derive_begin(&derive, &calendar, imported, exported, &day, &month, 0, 0);
            derive.priced = true;
            check(&derive, &truth, wall);
        }
    }
    assert_in_range(days, 365, 366);
}

static void test_years(void **unused)
{
    (void)unused;
    static const char *const zones[] = {"UTC", "Europe/Berlin", "America/St_Johns",
                                        "Australia/Lord_Howe"};
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
        play_year(zones[i]);
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
}

static void test_unknown_until_begun(void **unused)
{
    (void)unused;
    struct derive derive = {.begun = false};
    struct derived_values values;
    const struct derive_reading reading = {.wall_ms = YEAR_START, .power_known = true};
    const struct derive_calendar calendar = calendar_of(YEAR_START);
    const struct derive_prices none = {.known = false};
    derive_accept(&derive, &reading, &calendar, &none);
    derive_values(&derive, &values);
    assert_false(values.energy_today_uwh.known || values.demand_mw.known ||
                 values.cost_today_micro.known || values.demand_max_mw.known);
}

/* One reading of power every so often in a quarter that begins at 0, and what is known at the end. */
static void test_demand(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        int64_t every_ms, from_ms, to_ms; /* readings in this part of the quarter */
        int64_t first_mw, then_mw;        /* changes after half of it */
        int64_t mean_mw;
        bool counts; /* for the month */
    } table[] = {
        {"steady", 1000, 0, 900000, 2000000, 2000000, 2000000, true},
        {"half at 3 kW, half at 1 kW", 1000, 0, 900000, 3000000, 1000000, 2000000, true},
        {"produces", 1000, 0, 900000, -500000, -500000, -500000, true},
        {"the second half only", 1000, 450000, 900000, 0, 4000000, 4000000, true},
        {"ten minutes are missing", 1000, 600000, 900000, 0, 4000000, 4000000, false},
        {"one a minute", 60000, 0, 900000, 1000000, 1000000, 1000000, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct derive derive = {.begun = false};
        const struct derive_past nothing = {0};
        const struct derive_calendar calendar = calendar_of(YEAR_START);
        const struct derive_prices none = {.known = false};
        derive_begin(&derive, &calendar, 0, 0, &nothing, &nothing, 0, 0);
        struct derived_values values = {0};
        for (int64_t ms = table[i].from_ms; ms <= table[i].to_ms; ms += table[i].every_ms) {
            const struct derive_reading reading = {.wall_ms = YEAR_START + ms,
                                                   .power_known = true,
                                                   .power_mw = ms < 450000 ? table[i].first_mw
                                                                           : table[i].then_mw,
                                                   .hold_ms = table[i].every_ms * 5 / 2};
            if (ms < 900000) {
                derive_accept(&derive, &reading, &calendar, &none);
                derive_values(&derive, &values);
                continue;
            }
            assert_true(llabs(values.demand_mw.value - table[i].mean_mw) < 10000);
            derive_accept(&derive, &reading, &calendar, &none);
            derive_values(&derive, &values);
        }
        assert_int_equal(values.demand_max_mw.known, table[i].counts);
        if (!table[i].counts)
            continue;
        assert_int_equal(values.demand_max_mw.value, table[i].mean_mw);
        assert_true(values.demand_max_wall_ms == YEAR_START + 900000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_years),
        cmocka_unit_test(test_unknown_until_begun),
        cmocka_unit_test(test_demand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
