/* SPDX-License-Identifier: MIT */
/* The load profiles: pure, within their limits, and shaped like a day. */
#include "drivers/simulator/load.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define MIDSUMMER (INT64_C(20625) * DAY) /* 21 June 2026 */
#define MIDWINTER (INT64_C(20808) * DAY) /* 21 December 2026 */

static const struct load_options european = {
    .profile = LOAD_HOUSEHOLD,
    .seed = 7,
    .nominal_voltage_v = 230,
    .nominal_frequency_hz = 50,
};

static struct load_options with(enum load_profile profile, uint64_t seed)
{
    struct load_options options = european;
    options.profile = profile;
    options.seed = seed;
    return options;
}

/* Mean power and extremes from a moment on, every five seconds. */
struct summary {
    double mean_w, min_w, max_w, max_a;
};

static struct summary summarise(const struct load_options *options, int64_t from_ms,
                                int64_t length_ms)
{
    struct summary summary = {.min_w = 1e9, .max_w = -1e9};
    for (int64_t at = 0; at < length_ms; at += 5000) {
        struct chip_load load;
        load_at(options, from_ms + at, &load);
        summary.mean_w += load.power_w;
        summary.min_w = fmin(summary.min_w, load.power_w);
        summary.max_w = fmax(summary.max_w, load.power_w);
        summary.max_a = fmax(summary.max_a, load.current_a);
    }
    summary.mean_w /= (double)(length_ms / 5000);
    return summary;
}

static void test_names(void **unused)
{
    (void)unused;
    enum load_profile profile;
    int count = 0;
    for (; load_profile_name((enum load_profile)count) != NULL; count++) {
        assert_true(load_profile_parse(load_profile_name((enum load_profile)count), &profile));
        assert_int_equal(profile, count);
    }
    assert_int_equal(count, 4);
    assert_false(load_profile_parse("", &profile));
    assert_false(load_profile_parse("House", &profile));
}

static void test_pure(void **unused)
{
    (void)unused;
    for (int profile = LOAD_CONSTANT; profile <= LOAD_SOLAR; profile++) {
        struct load_options options = with((enum load_profile)profile, 3);
        struct chip_load one, two, other;
        load_at(&options, MIDSUMMER + 12 * HOUR, &one);
        load_at(&options, MIDSUMMER + 3 * HOUR, &other);
        load_at(&options, MIDSUMMER + 12 * HOUR, &two);
        assert_memory_equal(&one, &two, sizeof one);
        struct load_options reseeded = with((enum load_profile)profile, 4);
        load_at(&reseeded, MIDSUMMER + 12 * HOUR, &two);
        if (profile != LOAD_CONSTANT)
            assert_true(one.voltage_v != two.voltage_v);
    }
}

static void test_constant_and_idle(void **unused)
{
    (void)unused;
    struct load_options options = with(LOAD_CONSTANT, 1);
    options.constant = (struct chip_load){229.5, 3.25, -700, 49.98};
    struct chip_load load;
    for (int64_t at = 0; at < DAY; at += 17 * MINUTE) {
        load_at(&options, at, &load);
        assert_memory_equal(&load, &options.constant, sizeof load);
    }
    options = with(LOAD_IDLE, 1);
    load_at(&options, 0, &load);
    assert_true(load.current_a == 0 && load.power_w == 0 && load.voltage_v > 220);
}

static void check_limits(const struct load_options *options)
{
    double v_low = 1e9, v_high = 0, f_low = 1e9, f_high = 0;
    for (int64_t at = 0; at < 3 * DAY; at += 11000) {
        struct chip_load load;
        load_at(options, MIDSUMMER + at, &load);
        v_low = fmin(v_low, load.voltage_v / options->nominal_voltage_v);
        v_high = fmax(v_high, load.voltage_v / options->nominal_voltage_v);
        f_low = fmin(f_low, load.frequency_hz - options->nominal_frequency_hz);
        f_high = fmax(f_high, load.frequency_hz - options->nominal_frequency_hz);
        assert_true(isfinite(load.power_w) && load.current_a >= 0);
        assert_true(fabs(load.power_w) <= load.voltage_v * load.current_a * (1 + 1e-12));
        assert_true(load.current_a < 60);
    }
    assert_true(v_low >= 226 / 230.0 && v_low < 228.5 / 230.0);
    assert_true(v_high <= 236 / 230.0 && v_high > 233.5 / 230.0);
    assert_true(f_low >= -0.0501 && f_low < -0.03);
    assert_true(f_high <= 0.0501 && f_high > 0.03);
}

static void test_limits(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 3; seed++)
        for (int profile = LOAD_IDLE; profile <= LOAD_SOLAR; profile++) {
            struct load_options options = with((enum load_profile)profile, seed);
            check_limits(&options);
            options.nominal_voltage_v = 120;
            options.nominal_frequency_hz = 60;
            check_limits(&options);
        }
}

/* The voltage of one second is nearly that of the next. */
static void test_voltage_wanders_slowly(void **unused)
{
    (void)unused;
    struct load_options options = with(LOAD_IDLE, 11);
    struct chip_load before, after;
    load_at(&options, MIDSUMMER, &before);
    for (int64_t at = 1000; at < 6 * HOUR; at += 1000) {
        load_at(&options, MIDSUMMER + at, &after);
        assert_true(fabs(after.voltage_v - before.voltage_v) < 0.3);
        before = after;
    }
}

static void test_household(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct load_options options = with(LOAD_HOUSEHOLD, seed);
        struct summary week = summarise(&options, MIDSUMMER, 7 * DAY);
        double kwh_per_day = week.mean_w * 24 / 1000;
        if (kwh_per_day < 4 || kwh_per_day > 14)
            fail_msg("seed %llu uses %.1f kWh a day", (unsigned long long)seed, kwh_per_day);
        assert_true(week.min_w > 50 && week.min_w < 110);
        assert_true(week.max_w > 2000 &&
                    week.max_w < 8000); /* a kettle, but not everything at once */
        double night = 0, evening = 0;
        for (int day = 0; day < 7; day++) {
            night += summarise(&options, MIDSUMMER + day * DAY + 2 * HOUR, 2 * HOUR).mean_w;
            evening += summarise(&options, MIDSUMMER + day * DAY + 18 * HOUR, 4 * HOUR).mean_w;
        }
        assert_true(evening > 2 * night);
    }
}

/* Evening is where the clock says so. */
static void test_time_zone(void **unused)
{
    (void)unused;
    struct load_options utc = with(LOAD_HOUSEHOLD, 5), east = utc;
    east.utc_offset_s = 2 * 3600;
    struct chip_load one, two;
    load_at(&utc, MIDSUMMER + 20 * HOUR, &one);
    load_at(&east, MIDSUMMER + 18 * HOUR, &two);
    assert_memory_equal(&one, &two, sizeof one);
}

static void test_power_factors_differ(void **unused)
{
    (void)unused;
    struct load_options options = with(LOAD_HOUSEHOLD, 1);
    double low = 1, high = 0;
    for (int64_t at = 0; at < DAY; at += 1000) {
        struct chip_load load;
        load_at(&options, MIDSUMMER + at, &load);
        double factor = load.power_w / (load.voltage_v * load.current_a);
        low = fmin(low, factor);
        high = fmax(high, factor);
    }
    assert_true(low < 0.65);
    assert_true(high > 0.97);
}

static void test_solar(void **unused)
{
    (void)unused;
    double summer = 0, winter = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct load_options options = with(LOAD_SOLAR, seed);
        struct summary night = summarise(&options, MIDSUMMER, 3 * HOUR);
        assert_true(night.min_w > 0 && night.max_w < 10); /* consumes a little */
        struct summary noon = summarise(&options, MIDSUMMER + 12 * HOUR, HOUR);
        assert_true(noon.max_w < -500);
        assert_true(noon.min_w > -4300);
        summer += summarise(&options, MIDSUMMER, DAY).mean_w;
        winter += summarise(&options, MIDWINTER, DAY).mean_w;
    }
    assert_true(summer < 2.5 * winter); /* both negative */
    assert_true(winter < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_pure),
        cmocka_unit_test(test_constant_and_idle),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_voltage_wanders_slowly),
        cmocka_unit_test(test_household),
        cmocka_unit_test(test_time_zone),
        cmocka_unit_test(test_power_factors_differ),
        cmocka_unit_test(test_solar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
