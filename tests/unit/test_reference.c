/* SPDX-License-Identifier: MIT */
/* bridge/meter/reference: factors from readings and true values, and what is refused. */
#include "bridge/meter/reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct calibration old = {15883.34, 128118.87, 317.9308};
/* a board whose parts are a few per cent off; power follows by the identity */
static const struct calibration board = {15883.34 * 1.03, 128118.87 * 0.98, 317.9308 * 1.03 * 0.98};

static struct reference_samples samples_of(double volts, double amperes, double watts,
                                           double unsteadiness, int count)
{
    struct reference_samples samples = {0};
    for (int i = 0; i < count; i++) {
        double swing = 1 + (i % 2 == 0 ? unsteadiness : -unsteadiness);
        const struct reading reading = {
            .present = READING_ALL,
            .voltage = llround(volts * board.voltage),
            .current = llround(amperes * swing * board.current),
            .power = llround(watts * swing * board.power),
        };
        reference_add(&samples, &reading);
    }
    return samples;
}

static void expect(enum status wanted, const char *words, const struct reference_samples *samples,
                   struct reference reference)
{
    struct reference_result result;
    struct error error = {""};
    enum status status =
        reference_calibrate(samples, &reference, READING_BL0942, &old, false, &result, &error);
    if (status != wanted || strstr(error.text, words) == NULL)
        fail_msg("status %d, \"%s\" instead of \"%s\"", (int)status, error.text, words);
}

static void assert_near(double value, double wanted, double relative)
{
    if (!(fabs(value - wanted) <= fabs(wanted) * relative))
        fail_msg("%.9g is not %.9g", value, wanted);
}

static void test_all_three(void **state)
{
    (void)state;
    struct reference_samples samples = samples_of(231.4, 0.174, 40.2, 0.004, 15);
    const struct reference reference = {231.4, 0.174, 40.2};
    struct reference_result result;
    assert_int_equal(
        reference_calibrate(&samples, &reference, READING_BL0942, &old, false, &result, NULL),
        STATUS_OK);
    assert_near(result.factors.voltage, board.voltage, 1e-3);
    assert_near(result.factors.current, board.current, 1e-3);
    assert_near(result.factors.power, board.power, 1e-3);
    assert_near(result.shown.voltage_v, 231.4 * 1.03, 1e-3);
    assert_near(result.shown.power_w, 40.2 * 1.03 * 0.98, 1e-3);
    assert_true(result.consistent);
    assert_near(result.consistency, 1, 1e-3);
    assert_false(result.reversed);
}

static void test_what_is_not_given_stays(void **state)
{
    (void)state;
    struct reference_samples samples = samples_of(230, 5, 1150, 0, 10);
    const struct reference reference = {.voltage_v = 230};
    struct reference_result result;
    assert_int_equal(
        reference_calibrate(&samples, &reference, READING_BL0942, &old, false, &result, NULL),
        STATUS_OK);
    assert_near(result.factors.voltage, board.voltage, 1e-6);
    assert_true(result.factors.current == old.current);
    assert_true(result.factors.power == old.power);
    assert_false(result.consistent); /* 3 % off */
    assert_near(result.consistency, 1 / 1.03, 1e-3);
}

/* What is fed back counts negative; the reference is a plain number. */
static void test_a_reversed_clamp(void **state)
{
    (void)state;
    struct reference_samples samples = samples_of(230, 5, -1150, 0, 10);
    const struct reference reference = {.power_w = 1150};
    struct reference_result result;
    assert_int_equal(
        reference_calibrate(&samples, &reference, READING_BL0942, &old, false, &result, NULL),
        STATUS_OK);
    assert_near(result.factors.power, board.power, 1e-6);
    assert_true(result.reversed);
    assert_true(result.shown.power_w < 0);
    assert_int_equal(
        reference_calibrate(&samples, &reference, READING_BL0942, &old, true, &result, NULL),
        STATUS_OK);
    assert_false(result.reversed);
    assert_true(result.shown.power_w > 0);
}

static void test_openbeken_has_no_identity(void **state)
{
    (void)state;
    const struct calibration as_is = {1000, 1000, 1000};
    struct reference_samples samples = {0};
    const struct reading reading = {
        .present = READING_VOLTAGE | READING_POWER, .voltage = 230000, .power = 1150000};
    for (int i = 0; i < 6; i++)
        reference_add(&samples, &reading);
    const struct reference reference = {.voltage_v = 225, .power_w = 1000};
    struct reference_result result;
    assert_int_equal(
        reference_calibrate(&samples, &reference, READING_OPENBEKEN, &as_is, false, &result, NULL),
        STATUS_OK);
    assert_near(result.factors.power, 1150, 1e-6);
    assert_true(result.consistent);
    const struct reference current = {.current_a = 5};
    assert_int_equal(
        reference_calibrate(&samples, &current, READING_OPENBEKEN, &as_is, false, &result, NULL),
        STATUS_NO_ANSWER); /* it does not measure that */
}

static void test_factors_survive_being_written_down(void **state)
{
    (void)state;
    struct reference_samples samples = samples_of(231.437, 6.6121, 1523.61, 0.003, 13);
    const struct reference reference = {231.4, 6.613, 1523};
    struct reference_result result;
    assert_int_equal(
        reference_calibrate(&samples, &reference, READING_BL0942, &old, false, &result, NULL),
        STATUS_OK);
    const double factors[] = {result.factors.voltage, result.factors.current, result.factors.power};
    for (size_t i = 0; i < 3; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%.7g", factors[i]);
        assert_true(strtod(text, NULL) == factors[i]);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    struct reference_samples steady = samples_of(230, 5, 1150, 0.001, 10);
    expect(STATUS_USAGE, "at least one", &steady, (struct reference){0});
    expect(STATUS_REFUSED, "19.9 W is too small", &steady, (struct reference){.power_w = 19.9});
    expect(STATUS_REFUSED, "0.04 A is too small", &steady, (struct reference){.current_a = 0.04});
    expect(STATUS_REFUSED, "20 V is too small", &steady, (struct reference){.voltage_v = 20});
    expect(STATUS_REFUSED, "too far off", &steady, (struct reference){.power_w = 115});
    expect(STATUS_REFUSED, "too far off", &steady, (struct reference){.current_a = 50});

    struct reference_samples few = samples_of(230, 5, 1150, 0, 4);
    expect(STATUS_NO_ANSWER, "Only 4 readings", &few, (struct reference){.power_w = 1150});
    struct reference_samples unsteady = samples_of(230, 5, 1150, 0.02, 10);
    expect(STATUS_REFUSED, "power is too unsteady", &unsteady, (struct reference){.power_w = 1150});
    expect(STATUS_REFUSED, "current is too unsteady", &unsteady, (struct reference){230, 5, 1150});
    struct reference_samples nothing = samples_of(230, 0, 0, 0, 10);
    expect(STATUS_REFUSED, "unsteady", &nothing, (struct reference){.power_w = 1150});
    nothing.creeping = 1;
    expect(STATUS_REFUSED, "no load", &nothing, (struct reference){.power_w = 1150});
}

/* A slow drift is as bad as a swing: the reference was read at one moment of it. */
static void test_a_drift_is_unsteady(void **state)
{
    (void)state;
    struct reference_samples samples = {0};
    for (int i = 0; i < 20; i++) {
        const struct reading reading = {.present = READING_POWER,
                                        .power = llround(1000 * (1 + i * 0.003) * board.power)};
        reference_add(&samples, &reading);
    }
    expect(STATUS_REFUSED, "unsteady", &samples, (struct reference){.power_w = 1030});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_three),
        cmocka_unit_test(test_what_is_not_given_stays),
        cmocka_unit_test(test_a_reversed_clamp),
        cmocka_unit_test(test_openbeken_has_no_identity),
        cmocka_unit_test(test_factors_survive_being_written_down),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_a_drift_is_unsteady),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
