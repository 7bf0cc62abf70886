/* SPDX-License-Identifier: MIT */
/* bridge/meter/meter: values, doubt, flow, diagnosis, events and totals of one channel. */
#include "bridge/meter/meter.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WALL_MS INT64_C(1790000000000)
#define MINUTE INT64_C(60000)
#define UNKNOWN INT64_MIN
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct calibration reference_board = {15883.34116, 251213.465, 623.394};
static const struct calibration esphome_2025 = {15873.36, 251213.465, 596};
static const struct calibration tasmota = {15187, 251213, 596};

static struct meter_options clamp(void)
{
    return (struct meter_options){
        .kind = READING_BL0942,
        .calibration = calibration_default(READING_BL0942),
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
        .boot_id = "boot",
    };
}

static struct reading reading_at(int64_t boot_ms, double voltage_v, double current_a,
                                 double power_w)
{
    struct calibration factor = calibration_default(READING_BL0942);
    return (struct reading){
        .wall_ms = WALL_MS + boot_ms,
        .boot_ms = boot_ms,
        .present = READING_ALL,
        .voltage = llround(voltage_v * factor.voltage),
        .current = llround(current_a * factor.current),
        .power = llround(power_w * factor.power),
        .energy = 1000,
        .frequency = 20000,
    };
}

static void assert_amount(const char *what, struct amount amount, int64_t wanted, int64_t tolerance)
{
    if (amount.known != (wanted != UNKNOWN))
        fail_msg("%s is %s", what, amount.known ? "known" : "unknown");
    if (amount.known && llabs(amount.value - wanted) > tolerance)
        fail_msg("%s is %lld instead of %lld", what, (long long)amount.value, (long long)wanted);
}

/* ---- Values -------------------------------------------------------------------------------- */

/* Captures of the field with what their readers published (milli-units); factors as they used them.
 * Where nobody published a value it follows from the datasheet's formula. */
static const struct capture {
    const char *name;
    const struct calibration *factor;
    int64_t current, voltage, power, counter, period;
    unsigned flags;
    int64_t mv, ma, mw, mhz, permille;
} captures[] = {
    {"Aubess, no load", &esphome_2025, 0, 3693130, 0, 0, 20006, READING_CREEP | READING_CURRENT_LOW,
     232662, 0, 0, 49985, UNKNOWN},
    {"Aubess, creep: the averages still move", &esphome_2025, 33, 3687021, -4, 0, 19998,
     READING_CREEP | READING_CURRENT_LOW, 232277, 0, 0, 50005, UNKNOWN},
    {"Shelly PM 1", &esphome_2025, 37364, 3400838, 1666, 6820, 20022, READING_CURRENT_LOW, 214248,
     149, 2795, 49945, 88},
    {"Shelly PM 2", &esphome_2025, 37315, 3401949, 1643, 6820, 20014, READING_CURRENT_LOW, 214318,
     149, 2757, 49965, 87},
    {"Shelly PM 3", &esphome_2025, 37337, 3398979, 1657, 6820, 20022, READING_CURRENT_LOW, 214131,
     149, 2780, 49945, 87},
    {"Shelly PM, 214.10805 V 0.14863 A 2.73993 W 49.96502 Hz", &esphome_2025, 37339, 3398614, 1633,
     6820, 20014, READING_CURRENT_LOW, 214108, 149, 2740, 49965, 86},
    {"ei-ke 1, 49.94506 Hz", &esphome_2025, 0, 3398583, 0, 0, 20022,
     READING_CREEP | READING_CURRENT_LOW, 214106, 0, 0, 49945, UNKNOWN},
    {"ei-ke 2", &esphome_2025, 0, 3398730, 0, 0, 20014, READING_CREEP | READING_CURRENT_LOW, 214115,
     0, 0, 49965, UNKNOWN},
    {"229.149658 V, 49.925114 Hz", &reference_board, 0, 3639662, 0, 2636, 20030,
     READING_CREEP | READING_CURRENT_LOW, 229150, 0, 0, 49925, UNKNOWN},
    {"40 W bulb 1: 234.316 V 0.18917 A -44.262 W PF -0.9985 50.0250 Hz", &tasmota, 47523, 3558558,
     -26380, 153, 19990, READING_REVERSE | READING_CURRENT_LOW, 234316, 189, -44262, 50025, -999},
    {"40 W bulb 2", &tasmota, 47532, 3558777, -26385, 153, 19990,
     READING_REVERSE | READING_CURRENT_LOW, 234330, 189, -44270, 50025, -998},
    {"40 W bulb 3", &tasmota, 47680, 3559469, -26474, 153, 19990,
     READING_REVERSE | READING_CURRENT_LOW, 234376, 190, -44419, 50025, -999},
    {"40 W bulb 4", &tasmota, 47505, 3558451, -26372, 153, 19998,
     READING_REVERSE | READING_CURRENT_LOW, 234309, 189, -44248, 50005, -999},
    {"40 W bulb 5", &tasmota, 47535, 3559685, -26396, 153, 19998,
     READING_REVERSE | READING_CURRENT_LOW, 234390, 189, -44289, 50005, -999},
    {"40 W bulb 6", &tasmota, 47649, 3563066, -26485, 153, 19990,
     READING_REVERSE | READING_CURRENT_LOW, 234613, 190, -44438, 50025, -999},
    {"40 W bulb 7", &tasmota, 47550, 3560882, -26409, 153, 19998,
     READING_REVERSE | READING_CURRENT_LOW, 234469, 189, -44310, 50005, -998},
    {"application note, 220 V 1 A 220 W", &reference_board, 251213, 3494335, 137146, 1200, 20000, 0,
     220000, 1000, 219999, 50000, 1000},
    {"the same exported", &reference_board, 251213, 3494335, -137146, 0xffffff, 20000,
     READING_REVERSE, 220000, 1000, -219999, 50000, -1000},
    {"120 V, 60 Hz (synthetic)", &reference_board, 251213, 1905864, 74801, 1201, 16667, 0, 119991,
     1000, 119990, 59999, 1000},
    {"the wake-up frame 0.6 s after power-on: nothing is known yet", &tasmota, 0, 0, 0, 0, 20000,
     READING_VOLTAGE_LOW | READING_CURRENT_LOW, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
    {"period 0: unknown, not infinite", &reference_board, 251213, 3494335, 137146, 1200, 0, 0,
     220000, 1000, 219999, UNKNOWN, 1000},
};

static void test_captures(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(captures); i++) {
        const struct capture *capture = &captures[i];
        struct meter_options options = clamp();
        options.calibration = *capture->factor;
        struct meter *meter = meter_create(&options, NULL);
        struct reading reading = {.wall_ms = WALL_MS,
                                  .boot_ms = 1000,
                                  .present = READING_ALL,
                                  .flags = capture->flags,
                                  .voltage = capture->voltage,
                                  .current = capture->current,
                                  .power = capture->power,
                                  .energy = capture->counter,
                                  .frequency = capture->period};
        struct meter_result result;
        meter_accept(meter, &reading, &result);
        print_message("%s\n", capture->name);
        assert_amount("voltage", result.values.voltage_mv, capture->mv, 0);
        assert_amount("current", result.values.current_ma, capture->ma, 0);
        assert_amount("power", result.values.power_mw, capture->mw, 0);
        assert_amount("frequency", result.values.frequency_mhz, capture->mhz, 0);
        assert_amount("power factor", result.values.power_factor_permille, capture->permille, 0);
        meter_free(meter);
    }
}

static void test_derived_values(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        double v, a, w;
        int64_t noise_floor_mw;
        bool invert;
        int64_t mw, mva, mvar, permille;
    } table[] = {
        {"resistive", 230, 2, 460, 0, false, 460000, 460000, 0, 1000},
        {"PF 0.6: a 3-4-5 triangle", 230, 10, 1380, 0, false, 1380000, 2300000, 1840000, 600},
        {"the same exported", 230, 10, -1380, 0, false, -1380000, 2300000, 1840000, -600},
        {"inverted", 230, 10, -1380, 0, true, 1380000, 2300000, 1840000, 600},
        {"noise makes P larger than S", 230, 1, 232, 0, false, 232000, 230000, 0, 1000},
        {"the same exported", 230, 1, -232, 0, false, -232000, 230000, 0, -1000},
        {"below the noise floor", 230, 0.02, 1.9, 2000, false, 0, 4600, 4600, 0},
        {"at the noise floor", 230, 0.02, 2.001, 2000, false, 2001, 4600, 4142, 435},
        {"no apparent power to speak of", 230, 0.004, 0.9, 0, false, 900, 920, 191, UNKNOWN},
        {"apparent power below the noise floor", 230, 0.008, 1.5, 2000, false, 0, 1840, 1840,
         UNKNOWN},
        {"nothing", 230, 0, 0, 0, false, 0, 0, 0, UNKNOWN},
        {"purely reactive", 230, 2, 0, 0, false, 0, 460000, 460000, 0},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct meter_options options = clamp();
        options.noise_floor_mw = table[i].noise_floor_mw;
        options.invert = table[i].invert;
        struct meter *meter = meter_create(&options, NULL);
        struct reading reading = reading_at(1000, table[i].v, table[i].a, table[i].w);
        struct meter_result result;
        meter_accept(meter, &reading, &result);
        print_message("%s\n", table[i].name);
        /* raw counts are whole: 3 mW and 8 uA times 230 V each */
        assert_amount("power", result.values.power_mw, table[i].mw, 2);
        assert_amount("apparent", result.values.power_apparent_mva, table[i].mva, 9);
        assert_amount("reactive", result.values.power_reactive_mvar, table[i].mvar,
                      table[i].mvar == 0 ? 2200 : 12);
        assert_amount("factor", result.values.power_factor_permille, table[i].permille, 0);
        meter_free(meter);
    }
}

static void test_openbeken_values(void **unused)
{
    (void)unused;
    struct meter_options options = clamp();
    options.kind = READING_OPENBEKEN;
    options.calibration = calibration_default(READING_OPENBEKEN);
    struct meter *meter = meter_create(&options, NULL);
    struct reading reading = {.wall_ms = WALL_MS,
                              .boot_ms = 1000,
                              .present = READING_VOLTAGE | READING_CURRENT | READING_POWER |
                                         READING_FREQUENCY,
                              .voltage = 230000,
                              .current = 6570,
                              .power = -1500500,
                              .frequency = 49950};
    struct meter_result result;
    meter_accept(meter, &reading, &result);
    assert_amount("voltage", result.values.voltage_mv, 230000, 0);
    assert_amount("current", result.values.current_ma, 6570, 0);
    assert_amount("power", result.values.power_mw, -1500500, 0);
    assert_amount("apparent", result.values.power_apparent_mva, 1511100, 0);
    assert_amount("reactive", result.values.power_reactive_mvar, 178670, 1);
    assert_amount("factor", result.values.power_factor_permille, -993, 0);
    assert_amount("frequency", result.values.frequency_mhz, 49950, 0);
    assert_amount("energy", result.values.energy_uwh, UNKNOWN, 0);

    reading.present = READING_POWER; /* what was not measured is not invented */
    meter_accept(meter, &reading, &result);
    assert_amount("voltage", result.values.voltage_mv, UNKNOWN, 0);
    assert_amount("current", result.values.current_ma, UNKNOWN, 0);
    assert_amount("power", result.values.power_mw, -1500500, 0);
    assert_amount("apparent", result.values.power_apparent_mva, UNKNOWN, 0);
    assert_amount("factor", result.values.power_factor_permille, UNKNOWN, 0);
    assert_amount("frequency", result.values.frequency_mhz, UNKNOWN, 0);
    meter_free(meter);
}

static void test_creep_shows_nothing(void **unused)
{
    (void)unused;
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, NULL);
    struct reading reading = reading_at(1000, 230, 0.05, 2);
    reading.flags = READING_CREEP;
    struct meter_result result;
    meter_accept(meter, &reading, &result);
    assert_amount("current", result.values.current_ma, 0, 0);
    assert_amount("power", result.values.power_mw, 0, 0);
    assert_amount("apparent", result.values.power_apparent_mva, 0, 0);
    assert_amount("voltage", result.values.voltage_mv, 230000, 1);
    meter_free(meter);
}

/* A module publishes each value when it pleases, so power may be ahead of current. */
static void test_openbeken_values_need_not_fit_each_other(void **unused)
{
    (void)unused;
    struct meter_options options = clamp();
    options.kind = READING_OPENBEKEN;
    options.calibration = calibration_default(READING_OPENBEKEN);
    struct meter *meter = meter_create(&options, NULL);
    struct reading reading = {.boot_ms = 1000,
                              .voltage = 230000,
                              .power = 1500500,
                              .present = READING_VOLTAGE | READING_CURRENT | READING_POWER};
    struct meter_result result;
    meter_accept(meter, &reading, &result);
    assert_amount("power", result.values.power_mw, 1500500, 0);
    meter_free(meter);
}

/* Without flag 25 a module shows negative power as 0 while its counter runs on. */
static void test_openbeken_hides_negative_power(void **unused)
{
    (void)unused;
    static const bool inverted[] = {false, true};
    for (size_t i = 0; i < 2; i++) {
        struct energy_state state = {.known = true, .counter = 5000000, .boot_id = "boot"};
        struct meter_options options = clamp();
        options.kind = READING_OPENBEKEN;
        options.calibration = calibration_default(READING_OPENBEKEN);
        options.invert = inverted[i];
        struct meter *meter = meter_create(&options, &state);
        struct reading reading = {.present = READING_VOLTAGE | READING_CURRENT | READING_POWER |
                                             READING_ENERGY,
                                  .voltage = 230300,
                                  .current = 2000,
                                  .energy = 5000000};
        struct meter_result result;
        unsigned seen = 0;
        const char *text = "";
        for (int64_t n = 0; n < 12; n++, reading.energy += 780) {
            reading.boot_ms = 1000 + 6000 * n;
            reading.wall_ms = WALL_MS + reading.boot_ms;
            meter_accept(meter, &reading, &result);
            for (size_t e = 0; e < result.event_count; e++)
                if (result.events[e].kind == METER_EVENT_PROBLEM_BEGAN) {
                    seen |= result.events[e].problem;
                    text = meter_problem_text(result.events[e].problem);
                }
        }
        assert_int_equal(seen, PROBLEM_POWER_HIDDEN);
        assert_non_null(strstr(text, "flag 25"));
        const struct energy_state *now = meter_state(meter);
        assert_int_equal(inverted[i] ? now->exported : now->imported, 0);
        assert_int_equal(inverted[i] ? now->imported : now->exported, 10 * 780);

        reading.power = 460000; /* it consumes: the problem ends */
        for (int64_t n = 12; n < 15; n++) {
            reading.boot_ms = 1000 + 6000 * n;
            meter_accept(meter, &reading, &result);
        }
        assert_int_equal(result.problems, 0);
        meter_free(meter);
    }
}

/* ---- Doubtful readings --------------------------------------------------------------------- */

static const struct {
    const char *name;
    double v, a, w;
    int64_t period;
    unsigned flags;
    bool doubtful, problem;
    int64_t lasting_mv; /* shown when it lasts */
} doubts[] = {
    {"ordinary", 230, 10, 2000, 20000, 0, false, false, 230000},
    {"1.49 times the voltage", 343, 10, 2000, 20000, 0, false, false, 343000},
    {"1.51 times the voltage", 347, 10, 2000, 20000, 0, true, true, 347000},
    {"1.51 times the current", 230, 121, 2000, 20000, 0, true, true, 230000},
    {"1.21 times the power", 230, 119, 22264, 20000, 0, true, true, 230000},
    {"1.21 times the power, exported", 230, 119, -22264, 20000, 0, true, true, 230000},
    {"39 Hz", 230, 10, 2000, 25641, 0, true, true, 230000},
    {"71 Hz", 230, 10, 2000, 14084, 0, true, true, 230000},
    {"60 Hz", 230, 10, 2000, 16667, 0, false, false, 230000},
    {"a sudden -12321 W at 50 W of load", 230, 0.22, -12321, 20000, 0, true, false, 230000},
    {"no voltage", 0, 0, 0, 20000, READING_VOLTAGE_LOW | READING_CURRENT_LOW, true, false, 0},
    {"9 V", 9, 0, 0, 20000, 0, true, false, 9000},
    {"period of the unknown kind without voltage", 0, 0, 0, 65535, READING_VOLTAGE_LOW, true, false,
     0},
};

static void test_doubtful_readings(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(doubts); i++) {
        struct meter_options options = clamp();
        struct meter *meter = meter_create(&options, NULL);
        struct reading good = reading_at(1000, 231, 1, 200);
        struct meter_result result;
        meter_accept(meter, &good, &result);
        print_message("%s\n", doubts[i].name);
        for (int k = 1; k <= 4; k++) {
            struct reading reading =
                reading_at(1000 + 1000 * k, doubts[i].v, doubts[i].a, doubts[i].w);
            reading.frequency = doubts[i].period;
            reading.flags = doubts[i].flags;
            meter_accept(meter, &reading, &result);
            bool held = doubts[i].doubtful && k < 3;
            assert_amount("voltage", result.values.voltage_mv, held ? 231000 : doubts[i].lasting_mv,
                          1);
            assert_amount("power", result.values.power_mw,
                          held ? 200000 : llround(doubts[i].w * 1000), 2);
            assert_int_equal((result.problems & PROBLEM_IMPLAUSIBLE) != 0,
                             doubts[i].problem && !held);
        }
        good.boot_ms = 6000;
        meter_accept(meter, &good, &result); /* believed again at once */
        assert_amount("voltage", result.values.voltage_mv, 231000, 1);
        meter_free(meter);
    }
}

/* Beyond a limit everything is shown, counted and summed up; what is wrong stands beside it. */
static void test_beyond_a_limit_is_shown(void **unused)
{
    (void)unused;
    static const struct {
        double v, a, w;
        const char *words; /* in the problem's sentence; NULL: none */
    } table[] = {
        {262, 90, 23580, "power of 23580"},
        {262, 90, -23580, "power of -23580"},
        {400, 10, 4000, "voltage of 400"},
        {230, 130, 20000, "current of 130"},
        {230, 79, 18170, NULL},
        {262, 80, 20960, NULL},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct energy_state state = {.known = true, .counter = 1000, .boot_id = "boot"};
        struct meter_options options = clamp();
        struct meter *meter = meter_create(&options, &state);
        double rate = fabs(table[i].w) * options.calibration.power / 419430.4;
        struct meter_result result = {0};
        for (int64_t second = 1; second <= 60; second++) {
            struct reading reading = reading_at(1000 * second, table[i].v, table[i].a, table[i].w);
            reading.energy = 1000 + (int64_t)(rate * (double)second);
            reading.flags = table[i].w < 0 ? READING_REVERSE : 0;
            meter_accept(meter, &reading, &result);
        }
        assert_amount("voltage", result.values.voltage_mv, llround(table[i].v * 1e3), 2);
        assert_amount("current", result.values.current_ma, llround(table[i].a * 1e3), 2);
        assert_amount("power", result.values.power_mw, llround(table[i].w * 1e3), 2);
        assert_amount("frequency", result.values.frequency_mhz, 50000, 0);
        const struct energy_state *now = meter_state(meter);
        int64_t counted = table[i].w > 0 ? now->imported : now->exported;
        if (counted < (int64_t)(rate * 58) || counted > (int64_t)(rate * 59) + 1)
            fail_msg("row %zu: %lld counts at %.2f a second", i, (long long)counted, rate);
        assert_int_equal(result.problems == PROBLEM_IMPLAUSIBLE, table[i].words != NULL);
        const char *sentence = meter_problem_sentence(meter, PROBLEM_IMPLAUSIBLE);
        if (table[i].words != NULL && strstr(sentence, table[i].words) == NULL)
            fail_msg("%s", sentence);
        meter_free(meter);
    }
}

/* What a register or a module cannot send was not measured. */
static void test_what_cannot_be_sent_is_unknown(void **unused)
{
    (void)unused;
    static const int64_t impossible[] = {-1, 0x1000000, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < COUNT(impossible); i++) {
        struct meter_options options = clamp();
        struct meter *meter = meter_create(&options, NULL);
        struct reading reading = reading_at(1000, 230, 1, 200);
        reading.voltage = impossible[i];
        struct meter_result result;
        meter_accept(meter, &reading, &result);
        assert_amount("voltage", result.values.voltage_mv, UNKNOWN, 0);
        assert_amount("current", result.values.current_ma, 1000, 1);
        assert_amount("apparent", result.values.power_apparent_mva, UNKNOWN, 0);
        meter_free(meter);
    }
}

/* A module's counter in the wrong unit, one that stands still, and those that are right. */
static void test_energy_against_power(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        double power_w, counted_w; /* what the counter counts */
        int64_t interval_ms;
        bool problem;
    } table[] = {
        {"right", 3600, 3600, 1000, false},
        {"kWh taken for Wh", 3600, 3.6, 1000, true},
        {"the same every six seconds", 3600, 3.6, 6000, true},
        {"the same every minute", 3600, 3.6, 61000, true},
        {"the same exported", -3600, 3.6, 1000, true},
        {"Wh taken for kWh", 60, 60000, 1000, true},
        {"Wh taken for kWh at 2 kW", 2000, 2000000, 6000, true},
        {"stands still", 2000, 0, 1000, true},
        {"no load", 0, 0, 1000, false},
        {"a small load", 40, 0.04, 1000, false},
        {"twice as much", 3600, 7200, 1000, false},
        {"a calibration far off", 3600, 36000, 1000, false},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct meter_options options = clamp();
        options.kind = READING_OPENBEKEN;
        options.calibration = calibration_default(READING_OPENBEKEN);
        struct meter *meter = meter_create(&options, NULL);
        struct meter_result result = {0};
        for (int64_t ms = 0; ms <= 250000; ms += table[i].interval_ms) {
            struct reading reading = {
                .boot_ms = 1000 + ms,
                .wall_ms = WALL_MS + ms,
                .present = READING_VOLTAGE | READING_CURRENT | READING_POWER | READING_ENERGY,
                .voltage = 230000,
                .current = llround(fabs(table[i].power_w) / 0.23),
                .power = llround(table[i].power_w * 1000),
                .energy = 5000 + llround(table[i].counted_w * (double)ms / 3600),
            };
            meter_accept(meter, &reading, &result);
        }
        if (((result.problems & PROBLEM_ENERGY_UNIT) != 0) != table[i].problem)
            fail_msg("%s: problems %u", table[i].name, result.problems);
        meter_free(meter);
    }
}

static void test_two_doubtful_readings_in_a_row_are_never_shown(void **unused)
{
    (void)unused;
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, NULL);
    for (int64_t t = 1; t < 200; t++) {
        struct reading reading = reading_at(t * (t < 100 ? 1000 : 10000), 231, 1, 200);
        if (t % 3 != 1)
            reading.voltage = 0xffffff;
        struct meter_result result;
        meter_accept(meter, &reading, &result);
        assert_amount("voltage", result.values.voltage_mv, 231000, 1);
        assert_int_equal(result.problems, 0);
    }
    meter_free(meter);
}

/* The first frames after power-on are zeros (sheet: 0.6 s after boot): not a power cut. */
static void test_zeros_after_a_chip_restart(void **unused)
{
    (void)unused;
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, NULL);
    struct meter_result result;
    for (int64_t t = 1; t < 10; t++) {
        struct reading reading = reading_at(t * 1000, 231, 1, 200);
        if (t == 5)
            reading = (struct reading){.wall_ms = WALL_MS,
                                       .boot_ms = t * 1000,
                                       .present = READING_ALL,
                                       .flags = READING_VOLTAGE_LOW | READING_CURRENT_LOW |
                                                READING_CHIP_RESET,
                                       .frequency = 20000};
        meter_accept(meter, &reading, &result);
        assert_amount("voltage", result.values.voltage_mv, 231000, 1);
        assert_amount("power", result.values.power_mw, 200000, 2);
    }
    meter_free(meter);
}

/* ---- Flow ---------------------------------------------------------------------------------- */

static void test_flow_has_hysteresis(void **unused)
{
    (void)unused;
    static const struct {
        double power_w;
        enum energy_flow flow;
    } table[] = {
        {0, FLOW_UNKNOWN},    {3, FLOW_UNKNOWN},     {6, FLOW_CONSUMING}, {0, FLOW_CONSUMING},
        {-4, FLOW_CONSUMING}, {-6, FLOW_PRODUCING},  {4, FLOW_PRODUCING}, {-100, FLOW_PRODUCING},
        {0, FLOW_PRODUCING},  {5.1, FLOW_CONSUMING},
    };
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, NULL);
    struct meter_result result;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct reading reading = reading_at(1000 * (int64_t)i, 230, 1, table[i].power_w);
        meter_accept(meter, &reading, &result);
        if (result.values.flow != table[i].flow)
            fail_msg("step %zu: flow %d", i, (int)result.values.flow);
    }
    meter_free(meter);
}

static void test_flow_stays_within_the_noise_floor(void **unused)
{
    (void)unused;
    struct meter_options options = clamp();
    options.noise_floor_mw = 50000;
    struct meter *meter = meter_create(&options, NULL);
    static const double powers_w[] = {20, -20, 49, 51, -49, -20};
    struct meter_result result;
    for (size_t i = 0; i < COUNT(powers_w); i++) {
        struct reading reading = reading_at(1000 * (int64_t)i, 230, 1, powers_w[i]);
        meter_accept(meter, &reading, &result);
        assert_int_equal(result.values.flow, i < 3 ? FLOW_UNKNOWN : FLOW_CONSUMING);
    }
    meter_free(meter);
}

static void test_stale_values(void **unused)
{
    (void)unused;
    struct energy_state state = {.known = true, .counter = 1000, .base_imported_uwh = 5000000};
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, &state);
    struct channel_values values;
    meter_values(meter, false, &values);
    assert_amount("energy before any reading", values.energy_uwh, 5000000, 0);
    assert_amount("voltage before any reading", values.voltage_mv, UNKNOWN, 0);

    struct reading reading = reading_at(1000, 230, 1, 200);
    struct meter_result result;
    meter_accept(meter, &reading, &result);
    meter_values(meter, false, &values);
    assert_amount("voltage", values.voltage_mv, 230000, 1);
    assert_int_equal(values.flow, FLOW_CONSUMING);
    meter_values(meter, true, &values);
    assert_amount("stale voltage", values.voltage_mv, UNKNOWN, 0);
    assert_amount("stale power", values.power_mw, UNKNOWN, 0);
    assert_int_equal(values.flow, FLOW_UNKNOWN);
    assert_amount("stale energy", values.energy_uwh, 5000000, 0);
    assert_amount("stale produced", values.energy_produced_uwh, 0, 0);
    meter_free(meter);
}

/* ---- Diagnosis ----------------------------------------------------------------------------- */

struct stretch {
    int minutes; /* one reading per 10 s */
    double v, a, w;
    unsigned problems; /* at its end */
};

#define REVERSED PROBLEM_CLAMP_REVERSED
#define PHASE PROBLEM_CLAMP_OTHER_PHASE
#define NO_VOLTS PROBLEM_NO_VOLTAGE

static const struct {
    const char *name;
    int64_t imported_wh, exported_wh; /* before */
    bool invert;
    struct stretch stretches[6];
} wirings[] = {
    {"an ordinary house", 0, 0, false, {{60, 230, 2, 430, 0}, {60, 230, 0.1, 10, 0}}},
    {"clamp reversed, and turned round",
     0,
     0,
     false,
     {{9, 230, 2, -430, 0},
      {2, 230, 2, -430, REVERSED},
      {60, 230, 2, -430, REVERSED},
      {1, 230, 2, 430, 0},
      {60, 230, 2, -430, 0}}},
    {"clamp reversed on a fridge: pauses do not count, but do not clear",
     0,
     0,
     false,
     {{6, 230, 2, -430, 0},
      {60, 230, 0.03, -5, 0},
      {5, 230, 2, -430, REVERSED},
      {60, 230, 0.03, -5, REVERSED}}},
    {"reversed, with invert set", 0, 0, true, {{60, 230, 2, -430, 0}}},
    {"a house with solar: it consumed before",
     0,
     0,
     false,
     {{1, 230, 2, 430, 0}, {300, 230, 10, -2250, 0}}},
    {"a house with solar, service restarted at noon", 100, 50, false, {{300, 230, 10, -2250, 0}}},
    {"a solar feeder known for long", 0, 20001, false, {{300, 230, 10, -2250, 0}}},
    {"a new solar feeder gets the advice, but not forever",
     0,
     19000,
     false,
     {{60, 230, 10, -2250, REVERSED}}},
    {"a motor that produces a little", 0, 0, false, {{60, 230, 2, -200, 0}}},
    {"clamp a quarter turn off",
     0,
     0,
     false,
     {{4, 230, 10, 200, 0},
      {2, 230, 10, -200, PHASE},
      {60, 230, 0.5, 0, PHASE},
      {2, 230, 10, 2200, 0},
      {60, 230, 10, 100, 0}}},
    {"suspicious only at times",
     0,
     0,
     false,
     {{4, 230, 10, 200, 0}, {1, 230, 10, 920, 0}, {4, 230, 10, 200, 0}}},
    {"a quarter turn off, with just enough current", 0, 0, false, {{6, 230, 4.1, 100, PHASE}}},
    {"clamp a third of a turn off", 0, 0, false, {{6, 230, 10, -1150, PHASE}}},
    {"a quarter turn off, but hardly any current", 0, 0, false, {{60, 230, 3.9, 100, 0}}},
    {"a motor of power factor 0.4", 0, 0, false, {{60, 230, 10, 920, 0}}},
    {"no voltage", 0, 0, false, {{1, 0, 0, 0, NO_VOLTS}, {1, 230, 1, 200, 0}}},
};

static unsigned play_stretch(struct meter *meter, const struct stretch *stretch, int64_t *boot_ms,
                             unsigned problems, unsigned edges[2])
{
    for (int i = 0; i < stretch->minutes * 6; i++) {
        *boot_ms += 10000;
        struct reading reading = reading_at(*boot_ms, stretch->v, stretch->a, stretch->w);
        struct meter_result result;
        meter_accept(meter, &reading, &result);
        for (size_t k = 0; k < result.event_count; k++) {
            const struct meter_event *event = &result.events[k];
            assert_true(strlen(event->text) > 10);
            if (event->kind == METER_EVENT_PROBLEM_BEGAN) {
                assert_true((problems & event->problem) == 0);
                assert_string_equal(event->text, meter_problem_text(event->problem));
                edges[0]++;
            }
            if (event->kind == METER_EVENT_PROBLEM_ENDED) {
                assert_true((problems & event->problem) != 0);
                edges[1]++;
            }
        }
        problems = result.problems;
    }
    return problems;
}

static void test_diagnosis(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(wirings); i++) {
        struct energy_state state = {
            .known = true,
            .counter = 1000,
            .counter_wall_ms = WALL_MS,
            .boot_id = "boot",
            .base_imported_uwh = wirings[i].imported_wh * 1000000,
            .base_exported_uwh = wirings[i].exported_wh * 1000000,
        };
        struct meter_options options = clamp();
        options.invert = wirings[i].invert;
        struct meter *meter = meter_create(&options, &state);
        int64_t boot_ms = 0;
        unsigned problems = 0;
        unsigned edges[2] = {0, 0};
        for (size_t k = 0; k < COUNT(wirings[i].stretches) && wirings[i].stretches[k].minutes > 0;
             k++) {
            problems = play_stretch(meter, &wirings[i].stretches[k], &boot_ms, problems, edges);
            if (problems != wirings[i].stretches[k].problems)
                fail_msg("%s: problems %u after stretch %zu", wirings[i].name, problems, k);
        }
        assert_true(edges[0] <= 1 && edges[1] <= edges[0]); /* one event per edge */
        assert_int_equal(edges[0] > edges[1], problems != 0);
        meter_free(meter);
    }
}

/* Second by second: when problems of the supply begin and end. */
static void test_problems_begin_and_end_in_time(void **unused)
{
    (void)unused;
    static const struct {
        unsigned problem;
        double bad_v;
        int64_t begins, ends; /* seconds after the first bad and the first good reading */
    } table[] = {
        {PROBLEM_NO_VOLTAGE, 0, 9, 4},
        {PROBLEM_IMPLAUSIBLE, 400, 2, 9},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct meter_options options = clamp();
        struct meter *meter = meter_create(&options, NULL);
        int64_t began = -1, ended = -1;
        for (int64_t t = 1; t <= 200; t++) {
            struct reading reading = reading_at(t * 1000, t < 100 ? table[i].bad_v : 230, 0, 0);
            if (t == 1)
                reading.voltage = reading_at(0, 230, 0, 0).voltage;
            struct meter_result result;
            meter_accept(meter, &reading, &result);
            if (began < 0 && result.problems == table[i].problem)
                began = t;
            if (began >= 0 && ended < 0 && result.problems == 0)
                ended = t;
        }
        assert_int_equal(began, 2 + table[i].begins);
        assert_int_equal(ended, 100 + table[i].ends);
        meter_free(meter);
    }
}

/* Silence is no evidence: two readings twenty minutes apart do not make ten minutes. */
static void test_silence_is_no_evidence(void **unused)
{
    (void)unused;
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, NULL);
    struct meter_result result;
    for (int64_t k = 1; k <= 12; k++) {
        struct reading reading = reading_at(k * 20 * MINUTE, 230, 2, -430);
        meter_accept(meter, &reading, &result);
        assert_int_equal(result.problems, k <= 10 ? 0 : PROBLEM_CLAMP_REVERSED);
    }
    meter_free(meter);
}

/* The advice to a solar feeder ends by itself when it has produced 20 kWh. */
static void test_advice_to_a_solar_feeder_ends(void **unused)
{
    (void)unused;
    struct energy_state state = {.known = true, .counter = 0, .boot_id = "boot"};
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, &state);
    struct meter_result result = {0};
    bool advised = false;
    for (int64_t t = 1; t < 24 * 360; t++) { /* 4 kW, so 5 hours */
        struct reading reading = reading_at(t * 10000, 230, 17.5, -4000);
        reading.energy = t * 10 * 4000 * 318 / 419430;
        meter_accept(meter, &reading, &result);
        advised = advised || result.problems == PROBLEM_CLAMP_REVERSED;
        if (advised && result.problems == 0)
            break;
    }
    assert_true(advised);
    assert_int_equal(result.problems, 0);
    assert_amount("produced", result.values.energy_produced_uwh, 20000000000, 20000000);
    meter_free(meter);
}

static void test_problem_words(void **unused)
{
    (void)unused;
    for (unsigned bit = 1; bit <= PROBLEM_ENERGY_UNIT; bit <<= 1) {
        const char *text = meter_problem_text(bit);
        size_t length = strlen(text);
        struct meter_event event;
        if (length >= sizeof event.text || text[length - 1] != '.')
            fail_msg("%s: %zu characters", meter_problem_name(bit), length);
        assert_string_not_equal(meter_problem_name(bit), "unknown");
        for (unsigned other = bit << 1; other <= PROBLEM_ENERGY_UNIT; other <<= 1)
            assert_string_not_equal(meter_problem_name(bit), meter_problem_name(other));
    }
    assert_string_equal(meter_problem_name(PROBLEM_CLAMP_REVERSED), "clamp_reversed");
    assert_non_null(strstr(meter_problem_text(PROBLEM_CLAMP_REVERSED), "invert: true"));
}

/* ---- Events about the counter -------------------------------------------------------------- */

static void test_counter_events(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        int64_t from;
        int64_t counters[5]; /* one per second from second 1 */
        int64_t first_second;
        enum meter_event_kind kind;
        int64_t old_counter, new_counter, credited;
        const char *word;
    } table[] = {
        {"reset", 50000, {5, 6, 7, 8, 9}, 1, METER_EVENT_COUNTER_RESET, 50000, 6, 6, "restarted"},
        {"wrap",
         0xfffffe,
         {3, 3, 4, 5, 6},
         1,
         METER_EVENT_COUNTER_WRAPPED,
         0xfffffe,
         3,
         5,
         "wrapped"},
        {"glitch",
         100,
         {228, 100, 101, 101, 101},
         1,
         METER_EVENT_GLITCH_DROPPED,
         100,
         228,
         0,
         "ignored"},
        {"rejected",
         100,
         {90000, 90001, 90002, 90003, 90004},
         1,
         METER_EVENT_STEP_REJECTED,
         100,
         90001,
         0,
         "0 counts were added"},
        {"downtime",
         100,
         {600, 600, 600, 600, 600},
         600,
         METER_EVENT_DOWNTIME_COUNTED,
         100,
         600,
         500,
         "10 minutes"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct energy_state state = {.known = true, .counter = table[i].from, .boot_id = "boot"};
        struct meter_options options = clamp();
        struct meter *meter = meter_create(&options, &state);
        unsigned events = 0;
        for (int64_t k = 0; k < 5; k++) {
            struct reading reading = reading_at((table[i].first_second + k) * 1000, 230, 1, 200);
            reading.energy = table[i].counters[k];
            struct meter_result result;
            meter_accept(meter, &reading, &result);
            for (size_t e = 0; e < result.event_count; e++, events++) {
                const struct meter_event *event = &result.events[e];
                print_message("%s: %s\n", table[i].name, event->text);
                assert_int_equal(event->kind, table[i].kind);
                assert_int_equal(event->old_counter, table[i].old_counter);
                assert_int_equal(event->new_counter, table[i].new_counter);
                assert_int_equal(event->credited, table[i].credited);
                assert_non_null(strstr(event->text, table[i].word));
                assert_int_equal(event->text[strlen(event->text) - 1], '.'); /* not cut off */
            }
        }
        assert_int_equal(events, 1);
        meter_free(meter);
    }
}

/* The longest numbers still leave whole sentences. */
static void test_event_texts_fit(void **unused)
{
    (void)unused;
    struct energy_state state = {.known = true, .counter = 16777215, .boot_id = "other"};
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, &state);
    static const int64_t counters[] = {16000000, 12000000, 14000000, 13000000, 10000000,
                                       10000001, 10000002, 15000000, 10000003, 10000004};
    unsigned events = 0;
    for (size_t i = 0; i < COUNT(counters); i++) {
        struct reading reading = reading_at(9000000 + (int64_t)i * 1000, 230, 1, 200);
        reading.energy = counters[i];
        struct meter_result result;
        meter_accept(meter, &reading, &result);
        for (size_t e = 0; e < result.event_count; e++, events++) {
            print_message("%s\n", result.events[e].text);
            assert_int_equal(result.events[e].text[strlen(result.events[e].text) - 1], '.');
        }
    }
    assert_true(events >= 3);
    meter_free(meter);
}

/* ---- Totals -------------------------------------------------------------------------------- */

static void feed(struct meter *meter, int64_t second, int64_t counter, double power_w,
                 struct meter_result *result)
{
    struct reading reading = reading_at(second * 1000, 230, fabs(power_w) / 230, power_w);
    reading.energy = counter;
    meter_accept(meter, &reading, result);
}

static void test_calibration_change_does_not_move_totals(void **unused)
{
    (void)unused;
    struct energy_state state = {.known = true, .counter = 1000, .boot_id = "boot"};
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, &state);
    struct meter_result result;
    for (int64_t t = 1; t <= 100; t++)
        feed(meter, t, 1000 + 2 * t, 2600, &result);
    assert_int_equal(meter_state(meter)->imported, 198);
    int64_t before = result.values.energy_uwh.value;

    struct calibration twice = options.calibration;
    twice.power *= 2;
    meter_set_calibration(meter, &twice);
    struct channel_values values;
    meter_values(meter, false, &values);
    assert_amount("energy", values.energy_uwh, before, 0);
    assert_int_equal(meter_state(meter)->base_imported_uwh, before);
    assert_int_equal(meter_state(meter)->imported, 0);

    feed(meter, 101, 1202, 2600, &result);
    assert_int_equal(result.imported_counts, 2);
    assert_amount("energy", result.values.energy_uwh,
                  before + calibration_energy_uwh(&twice, READING_BL0942, 2), 0);
    assert_amount("power", result.values.power_mw, 1300000, 2);
    meter_free(meter);
}

static void test_totals_set_by_the_user(void **unused)
{
    (void)unused;
    struct energy_state state = {
        .known = true, .counter = 1000, .imported = 700, .exported = 20, .boot_id = "boot"};
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, &state);
    struct channel_values values;
    int64_t exported = calibration_energy_uwh(&options.calibration, READING_BL0942, 20);
    meter_set_totals(meter, 5, -1);
    meter_values(meter, true, &values);
    assert_amount("energy", values.energy_uwh, 5, 0);
    assert_amount("produced", values.energy_produced_uwh, exported, 0);
    meter_set_totals(meter, -1, 0);
    meter_values(meter, true, &values);
    assert_amount("energy", values.energy_uwh, 5, 0);
    assert_amount("produced", values.energy_produced_uwh, 0, 0);

    struct meter_result result;
    feed(meter, 1, 1010, 1000, &result); /* what is pending is counted on top */
    feed(meter, 2, 1010, 1000, &result);
    assert_amount("energy", result.values.energy_uwh,
                  5 + calibration_energy_uwh(&options.calibration, READING_BL0942, 10), 0);
    meter_free(meter);
}

static void test_energy_is_unknown_until_a_channel_is_known(void **unused)
{
    (void)unused;
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, NULL);
    struct meter_result result;
    feed(meter, 1, 1000, 200, &result);
    feed(meter, 2, 1000, 200, &result);
    assert_amount("energy", result.values.energy_uwh, UNKNOWN, 0);
    assert_false(meter_state(meter)->known);
    feed(meter, 3, 1000, 200, &result);
    assert_amount("energy", result.values.energy_uwh, 0, 0);
    assert_amount("produced", result.values.energy_produced_uwh, 0, 0);
    assert_true(meter_state(meter)->known);
    meter_free(meter);
}

static void test_totals_outlive_an_unknown_counter(void **unused)
{
    (void)unused;
    struct energy_state state = {.known = false, .base_exported_uwh = 77};
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, &state);
    struct channel_values values;
    meter_values(meter, true, &values);
    assert_amount("energy", values.energy_uwh, 0, 0);
    assert_amount("produced", values.energy_produced_uwh, 77, 0);
    meter_free(meter);
}

/* A count is worth ten times less after the change, so ten times as many a second are possible. */
static void test_calibration_change_moves_the_maximum_rate(void **unused)
{
    (void)unused;
    struct energy_state state = {.known = true, .counter = 1000, .boot_id = "boot"};
    struct meter_options options = clamp();
    struct calibration right = options.calibration;
    options.calibration.power /= 10;
    struct meter *meter = meter_create(&options, &state);
    meter_set_calibration(meter, &right);
    struct meter_result result;
    feed(meter, 1, 1015, 10000, &result);
    feed(meter, 2, 1030, 10000, &result);
    assert_int_equal(result.imported_counts, 15);
    meter_free(meter);
}

/* Where power says nothing, the direction of the chip's last pulse does. */
static void test_pulse_direction_without_power(void **unused)
{
    (void)unused;
    for (int i = 0; i < 4; i++) {
        bool reverse = (i & 1) != 0;
        struct energy_state state = {.known = true, .counter = 1000, .boot_id = "boot"};
        struct meter_options options = clamp();
        options.invert = (i & 2) != 0;
        struct meter *meter = meter_create(&options, &state);
        struct meter_result result = {0};
        for (int64_t t = 1; t <= 2; t++) {
            struct reading reading = reading_at(t * 1000, 230, 0, 0);
            reading.energy = 1003;
            reading.flags = reverse ? READING_REVERSE : 0;
            meter_accept(meter, &reading, &result);
        }
        bool exported = reverse != options.invert;
        assert_int_equal(result.imported_counts, exported ? 0 : 3);
        assert_int_equal(result.exported_counts, exported ? 3 : 0);
        meter_free(meter);
    }
}

/* A damaged power does not turn consumption into production. */
static void test_absurd_power_has_no_direction(void **unused)
{
    (void)unused;
    struct energy_state state = {.known = true, .counter = 1000, .boot_id = "boot"};
    struct meter_options options = clamp();
    struct meter *meter = meter_create(&options, &state);
    for (int64_t t = 1; t <= 20; t++) {
        struct reading reading = reading_at(t * 1000, 230, 20, 4600);
        reading.energy = 1000 + 3 * t;
        if (t % 4 == 0)
            reading.power -= 1 << 23; /* the sign bit */
        struct meter_result result;
        meter_accept(meter, &reading, &result);
        assert_int_equal(result.exported_counts, 0);
    }
    assert_int_equal(meter_state(meter)->imported, 57);
    meter_free(meter);
}

/* A feeder under a passing cloud: power swings around zero for an hour, each pulse is in one of the
 * two totals, and both are right. */
static void test_import_and_export(void **unused)
{
    (void)unused;
    for (int inverted = 0; inverted < 2; inverted++) {
        struct energy_state state = {.known = true, .counter = 0, .boot_id = "boot"};
        struct meter_options options = clamp();
        options.invert = inverted != 0;
        struct meter *meter = meter_create(&options, &state);
        double pulses = 0;
        double truth[2] = {0, 0};
        struct meter_result result = {0};
        for (int64_t second = 1; second <= 3600; second++) {
            double power_w = 500 + 4000 * sin((double)second / 40);
            double step = fabs(power_w) * options.calibration.power / 419430.4;
            pulses += step;
            truth[(power_w < 0) != options.invert] += step;
            feed(meter, second, (int64_t)pulses, power_w, &result);
        }
        const struct energy_state *now = meter_state(meter);
        print_message("imported %lld of %.1f, exported %lld of %.1f\n", (long long)now->imported,
                      truth[0], (long long)now->exported, truth[1]);
        assert_true(now->imported + now->exported == now->counter);
        assert_true(fabs((double)now->imported - truth[0]) < 0.005 * pulses);
        assert_true(fabs((double)now->exported - truth[1]) < 0.005 * pulses);
        meter_free(meter);
    }
}

/* ---- Home Assistant ------------------------------------------------------------------------ */

/** What Home Assistant's recorder makes of a total_increasing sensor. */
struct recorder {
    bool started;
    double last_kwh, sum_kwh;
};

static void record(struct recorder *recorder, double kwh)
{
    if (kwh < 0)
        return;
    if (recorder->started && kwh >= 0.9 * recorder->last_kwh)
        recorder->sum_kwh += kwh - recorder->last_kwh;
    else if (recorder->started)
        recorder->sum_kwh += kwh; /* taken for a new meter */
    recorder->started = true;
    recorder->last_kwh = kwh;
}

/* Sequences of a source's counter that make Home Assistant count nonsense when published as they
 * are: as published by the meter they count what was consumed. */
static const struct {
    const char *name;
    double kwh[6]; /* every ten minutes, after 100.0 */
    size_t count;
    int64_t gap_minutes; /* before the second */
    double counted, raw_counted;
} dips[] = {
    {"nothing special", {100.5, 100.6, 100.7, 100.7}, 4, 10, 0.7, 0.7},
    {"a 0 in between", {100.5, 0, 100.6, 100.6}, 4, 10, 0.6, 101.1},
    {"restart", {100.5, 100.5, 0, 0.1, 0.2, 0.2}, 6, 10, 0.7, 0.7},
    {"a dip by less than a tenth", {100.5, 96, 100.6, 100.6}, 4, 10, 0.6, 0.6},
    {"-1 in between", {100.5, -1, 100.6, 100.6}, 4, 10, 0.6, 0.6},
    {"1000 in between", {100.5, 1000, 100.6, 100.6}, 4, 10, 0.6, 1000.6},
    {"outage", {100.5, 103, 103}, 3, 120, 3.0, 3.0},
};

static void test_home_assistant_counts_right(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(dips); i++) {
        struct energy_state state = {.known = true, .counter = 100000000, .boot_id = "boot"};
        struct meter_options options = clamp();
        options.kind = READING_OPENBEKEN;
        options.calibration = calibration_default(READING_OPENBEKEN);
        struct meter *meter = meter_create(&options, &state);
        struct recorder published = {.started = true};
        struct recorder raw = {.started = true, .last_kwh = 100};
        int64_t minute = 0;
        for (size_t k = 0; k < dips[i].count; k++) {
            minute += k == 1 ? dips[i].gap_minutes : 10;
            struct reading reading = {.wall_ms = WALL_MS,
                                      .boot_ms = minute * MINUTE,
                                      .present = READING_ENERGY,
                                      .energy = llround(dips[i].kwh[k] * 1e6)};
            struct meter_result result;
            meter_accept(meter, &reading, &result);
            double kwh = (double)(result.values.energy_uwh.value / 1000000) / 1000;
            assert_true(kwh >= published.last_kwh);
            record(&published, kwh);
            record(&raw, dips[i].kwh[k]);
        }
        print_message("%s: counted %.3f kWh, unguarded %.3f kWh\n", dips[i].name, published.sum_kwh,
                      raw.sum_kwh);
        assert_true(fabs(published.sum_kwh - dips[i].counted) < 0.0015);
        assert_true(fabs(raw.sum_kwh - dips[i].raw_counted) < 0.0015);
        meter_free(meter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captures),
        cmocka_unit_test(test_derived_values),
        cmocka_unit_test(test_openbeken_values),
        cmocka_unit_test(test_doubtful_readings),
        cmocka_unit_test(test_two_doubtful_readings_in_a_row_are_never_shown),
        cmocka_unit_test(test_zeros_after_a_chip_restart),
        cmocka_unit_test(test_flow_has_hysteresis),
        cmocka_unit_test(test_stale_values),
        cmocka_unit_test(test_diagnosis),
        cmocka_unit_test(test_advice_to_a_solar_feeder_ends),
        cmocka_unit_test(test_problem_words),
        cmocka_unit_test(test_counter_events),
        cmocka_unit_test(test_event_texts_fit),
        cmocka_unit_test(test_calibration_change_does_not_move_totals),
        cmocka_unit_test(test_totals_set_by_the_user),
        cmocka_unit_test(test_energy_is_unknown_until_a_channel_is_known),
        cmocka_unit_test(test_import_and_export),
        cmocka_unit_test(test_creep_shows_nothing),
        cmocka_unit_test(test_openbeken_values_need_not_fit_each_other),
        cmocka_unit_test(test_openbeken_hides_negative_power),
        cmocka_unit_test(test_flow_stays_within_the_noise_floor),
        cmocka_unit_test(test_problems_begin_and_end_in_time),
        cmocka_unit_test(test_silence_is_no_evidence),
        cmocka_unit_test(test_totals_outlive_an_unknown_counter),
        cmocka_unit_test(test_calibration_change_moves_the_maximum_rate),
        cmocka_unit_test(test_pulse_direction_without_power),
        cmocka_unit_test(test_beyond_a_limit_is_shown),
        cmocka_unit_test(test_what_cannot_be_sent_is_unknown),
        cmocka_unit_test(test_energy_against_power),
        cmocka_unit_test(test_absurd_power_has_no_direction),
        cmocka_unit_test(test_home_assistant_counts_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
