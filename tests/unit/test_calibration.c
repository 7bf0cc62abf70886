/* SPDX-License-Identifier: MIT */
/* bridge/meter/calibration: factors and energy, against the datasheet's and the field's numbers. */
#include "bridge/meter/calibration.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_near(double value, double wanted, double tolerance)
{
    if (!(fabs(value - wanted) <= tolerance))
        fail_msg("%.9g is not %.9g", value, wanted);
}

/* Boards whose makers published all three factors, or figures that follow from them. */
static void test_identity_of_published_boards(void **unused)
{
    (void)unused;
    static const struct {
        const char *board;
        double voltage, current, power, tolerance;
    } table[] = {
        {"1 mohm, 5x390k/510 (application note)", 15883.34, 251213.46, 623.394, 0.001},
        {"2000:1 clamp, 2x0.51 ohm (application note)", 15883.34, 128118.87, 317.931, 0.001},
        {"2000:1 clamp, 2 ohm, voltage transformer", 15849.3, 251213, 622.06, 0.01},
        {"Tasmota's defaults", 15187, 251213, 596.06, 0.01},
        {"OpenBeken's defaults", 15188, 251210, 596.09, 0.01},
        {"TONGOU DIN switch, factory settings", 15968, 124180, 309.80, 0.01},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        double power = calibration_power_from(table[i].voltage, table[i].current);
        if (fabs(power - table[i].power) > table[i].tolerance)
            fail_msg("%s: %.4f instead of %.4f", table[i].board, power, table[i].power);
    }
}

static void test_consistency(void **unused)
{
    (void)unused;
    const struct calibration openbeken = {.voltage = 15188, .current = 251210, .power = 598};
    assert_near(calibration_consistency(&openbeken), 1.0032, 0.0001);
    const struct calibration wrong = {.voltage = 15883.34, .current = 251213.46, .power = 317.931};
    assert_near(calibration_consistency(&wrong), 0.51, 0.001);
}

/* A set is refused when one of the three was changed alone, whichever it was. */
static void test_contradicting_factors_are_refused(void **unused)
{
    (void)unused;
    static const struct {
        double voltage, current, power; /* times the default */
        enum reading_kind kind;
        bool refused;
    } table[] = {
        {1, 1, 1, READING_BL0942, false},       {1.07, 1, 1, READING_BL0942, true},
        {0.9, 1, 1, READING_BL0942, true},      {1, 1.03, 1, READING_BL0942, true},
        {1, 1, 1.5, READING_BL0942, true},      {1, 1, 0.001, READING_BL0942, true},
        {1.07, 1, 1.07, READING_BL0942, false}, {1.019, 1, 1, READING_BL0942, false},
        {2, 0.5, 1, READING_BL0942, false},     {1.5, 1, 1, READING_OPENBEKEN, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct calibration factors = calibration_default(table[i].kind);
        factors.voltage *= table[i].voltage;
        factors.current *= table[i].current;
        factors.power *= table[i].power;
        struct error error = {0};
        enum status status = calibration_consistent(&factors, table[i].kind, &error);
        if (status != (table[i].refused ? STATUS_REFUSED : STATUS_OK))
            fail_msg("row %zu: %s", i, error.text);
        assert_true(!table[i].refused || strstr(error.text, "contradict") != NULL);
    }
}

static void test_defaults(void **unused)
{
    (void)unused;
    struct calibration clamp = calibration_default(READING_BL0942);
    assert_near(clamp.voltage, 15883.34, 0.01);
    assert_near(clamp.current, 128118.87, 0.01);
    assert_near(clamp.power, 317.931, 0.001);
    assert_near(calibration_consistency(&clamp), 1.0, 1e-12);
    struct calibration module = calibration_default(READING_OPENBEKEN);
    assert_near(module.voltage, 1000, 0);
    assert_near(module.current, 1000, 0);
    assert_near(module.power, 1000, 0);
    assert_int_equal(calibration_check(&clamp, NULL), STATUS_OK);
    assert_int_equal(calibration_check(&module, NULL), STATUS_OK);
}

static void test_energy_of_known_counts(void **unused)
{
    (void)unused;
    static const struct {
        const char *what;
        double power;
        int64_t counts;
        int64_t uwh, tolerance_uwh;
    } table[] = {
        {"application note: 1200 counts are 0.22427 kWh", 623.394, 1200, 224270000, 10000},
        {"reference board: one count is 0.18689 Wh", 623.394, 1, 186890, 10},
        {"reference board: a wrap is 3135.6 kWh", 623.394, 1 << 24, 3135600000000, 100000000},
        {"80 A clamp: one count is 0.366 Wh", 317.931, 1, 366000, 1000},
        {"80 A clamp: a wrap is 6148 kWh", 317.931, 1 << 24, 6148000000000, 1000000000},
        {"ESPHome thread: 2636 counts are 0.492942 kWh", 623.027, 2636, 492942000, 60000},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct calibration calibration = {.voltage = 1, .current = 1, .power = table[i].power};
        int64_t uwh = calibration_energy_uwh(&calibration, READING_BL0942, table[i].counts);
        if (llabs(uwh - table[i].uwh) > table[i].tolerance_uwh)
            fail_msg("%s: got %lld uWh", table[i].what, (long long)uwh);
    }
}

static void test_openbeken_energy_is_exact(void **unused)
{
    (void)unused;
    struct calibration identity = calibration_default(READING_OPENBEKEN);
    static const int64_t table[] = {0, 1, 999, 12346846, 100000000000};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(calibration_energy_uwh(&identity, READING_OPENBEKEN, table[i]),
                         table[i] * 1000);
    struct calibration corrected = {.voltage = 1000, .current = 1000, .power = 1250};
    assert_int_equal(calibration_energy_uwh(&corrected, READING_OPENBEKEN, 1000), 800000);
}

static void test_energy_keeps_order_and_bounds(void **unused)
{
    (void)unused;
    struct calibration calibration = {.voltage = 1, .current = 1, .power = 623.394};
    int64_t before = -1;
    for (int64_t counts = 0; counts < 100000; counts++) {
        int64_t uwh = calibration_energy_uwh(&calibration, READING_BL0942, counts * 7919);
        if (uwh < before)
            fail_msg("%lld counts are less than one count fewer", (long long)counts);
        before = uwh;
    }
    assert_int_equal(calibration_energy_uwh(&calibration, READING_BL0942, INT64_MAX), INT64_MAX);
    assert_int_equal(calibration_energy_uwh(&calibration, READING_BL0942, INT64_MIN), INT64_MIN);
}

static void test_rate(void **unused)
{
    (void)unused;
    struct calibration clamp = calibration_default(READING_BL0942);
    /* 80 A * 230 V * 1.2 */
    assert_near(calibration_counts_per_second(&clamp, READING_BL0942, 22080), 16.737, 0.001);
    struct calibration module = calibration_default(READING_OPENBEKEN);
    assert_near(calibration_counts_per_second(&module, READING_OPENBEKEN, 3600), 1000, 1e-9);
}

static void test_check(void **unused)
{
    (void)unused;
    static const struct {
        double factor;
        enum status status;
    } table[] = {
        {1, STATUS_OK},
        {1e8, STATUS_OK},
        {15883.34, STATUS_OK},
        {0, STATUS_USAGE},
        {-683.024, STATUS_USAGE},
        {0.999, STATUS_USAGE},
        {1.1e8, STATUS_USAGE},
        {(double)INFINITY, STATUS_USAGE},
        {(double)NAN, STATUS_USAGE},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (int which = 0; which < 3; which++) {
            struct calibration calibration = calibration_default(READING_BL0942);
            double *factors[] = {&calibration.voltage, &calibration.current, &calibration.power};
            *factors[which] = table[i].factor;
            struct error error = {""};
            assert_int_equal(calibration_check(&calibration, &error), table[i].status);
            assert_int_equal(error.text[0] != '\0', table[i].status != STATUS_OK);
        }
    struct calibration reversed = {.voltage = 15987.125, .current = 272302.69, .power = -683.024};
    struct error error = {""};
    assert_int_equal(calibration_check(&reversed, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "power"));
    assert_non_null(strstr(error.text, "invert"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_of_published_boards),
        cmocka_unit_test(test_consistency),
        cmocka_unit_test(test_contradicting_factors_are_refused),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_energy_of_known_counts),
        cmocka_unit_test(test_openbeken_energy_is_exact),
        cmocka_unit_test(test_energy_keeps_order_and_bounds),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
