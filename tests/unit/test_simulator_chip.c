/* SPDX-License-Identifier: MIT */
/* The simulated BL0942 against the datasheet's tables, the application note's worked example, and
 * plain arithmetic. */
#include "drivers/base/wide.h"
#include "drivers/simulator/chip.h"
#include "drivers/simulator/dice.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
/* From the application note: 1 mohm shunt, 5 x 390k + 510 ohm divider, Vref 1.218 V. */
#define VREF 1.218
#define DIVIDER (510.0 / (5 * 390000.0 + 510.0))
#define KI (305978 * 0.001 * 1000 / VREF)
#define KV (73989 * DIVIDER * 1000 / VREF)
#define KP (3537 * 0.001 * DIVIDER * 1e6 / (VREF * VREF))

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

struct bench {
    struct chip *chip;
    int64_t now_us;
    uint32_t baud;
    uint8_t answer[512];
    size_t length;
    int64_t first_us, last_us; /* when the first and the last byte of the answer were there */
};

static const struct chip_options reference = {
    .pin_baud = 4800,
    .counts_per_volt = KV,
    .counts_per_ampere = KI,
    .counts_per_watt = KP,
    .seed = 1,
};

static struct bench power_on(const struct chip_options *options)
{
    struct bench bench = {.chip = chip_create(options, 1000), .now_us = 1000, .baud = 4800};
    assert_non_null(bench.chip);
    return bench;
}

static void load(struct bench *bench, double voltage, double current, double power)
{
    struct chip_load values = {voltage, current, power, 50};
    chip_set_load(bench->chip, bench->now_us, &values);
}

/* Sleeps from event to event until the time is up and collects what the chip says meanwhile. */
static void wait_us(struct bench *bench, int64_t us)
{
    int64_t end_us = bench->now_us + us;
    for (;;) {
        int64_t next_us = chip_next_us(bench->chip);
        if (next_us > end_us)
            break;
        bench->now_us = next_us;
        size_t count = chip_transmit(bench->chip, next_us, bench->answer + bench->length,
                                     sizeof bench->answer - bench->length);
        if (count > 0 && bench->length == 0)
            bench->first_us = next_us;
        if (count > 0)
            bench->last_us = next_us;
        bench->length += count;
    }
    bench->now_us = end_us;
    assert_int_equal(chip_transmit(bench->chip, end_us, bench->answer, sizeof bench->answer), 0);
}

static void say(struct bench *bench, const uint8_t *bytes, size_t length)
{
    bench->length = 0;
    chip_receive(bench->chip, bench->now_us, bench->baud, bytes, length);
    wait_us(bench, 100000);
}

static void expect_answer(const struct bench *bench, const uint8_t *bytes, size_t length)
{
    assert_int_equal(bench->length, length);
    assert_memory_equal(bench->answer, bytes, length);
}

static uint8_t sum_of(uint8_t first, const uint8_t *bytes, size_t length)
{
    unsigned sum = first;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return (uint8_t)~sum;
}

static uint32_t u24(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
}

static uint32_t read_reg(struct bench *bench, uint8_t reg)
{
    const uint8_t request[] = {0x58, reg};
    say(bench, request, sizeof request);
    assert_int_equal(bench->length, 4);
    assert_int_equal(bench->answer[3], sum_of((uint8_t)(0x58 + reg), bench->answer, 3));
    return u24(bench->answer);
}

static void write_reg(struct bench *bench, uint8_t reg, uint32_t value)
{
    uint8_t frame[6] = {0xA8, reg, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16)};
    frame[5] = sum_of(0, frame, 5);
    say(bench, frame, sizeof frame);
    assert_int_equal(bench->length, 0); /* writes are never acknowledged */
}

static void unlock(struct bench *bench)
{
    write_reg(bench, 0x1D, 0x55);
}

static struct chip_truth truth_of(struct bench *bench)
{
    struct chip_truth truth;
    chip_truth(bench->chip, bench->now_us, &truth);
    return truth;
}

static void test_defaults(void **unused)
{
    (void)unused;
    static const struct {
        uint8_t reg;
        uint32_t value;
    } table[] = {
        {0x01, 0}, {0x02, 0},      {0x03, 0},     {0x04, 0},    {0x05, 0},    {0x06, 0},
        {0x07, 0}, {0x08, 0x4E20}, {0x09, 0x300}, {0x12, 0},    {0x14, 0x0B}, {0x15, 0xFFFF},
        {0x16, 1}, {0x17, 3},      {0x18, 0x24},  {0x19, 0x87}, {0x1A, 2},    {0x1C, 0},
        {0x1D, 0}, {0x10, 0},      {0xFF, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct bench bench = power_on(&reference);
        if (read_reg(&bench, table[i].reg) != table[i].value)
            fail_msg("register %02x is %06x", table[i].reg, u24(bench.answer));
        chip_free(bench.chip);
    }
}

/* The first packet of a chip that has just started is the one a real chip gave (Tasmota#23775). */
static void test_first_packet_after_power_on(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    load(&bench, 230, 1, 230);
    say(&bench, BYTES(0x58, 0xAA));
    expect_answer(&bench, BYTES(0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0x4E, 0, 0,
                                0x03, 0, 0xE1));
    chip_free(bench.chip);
}

static void test_ready_made_frames(void **unused)
{
    (void)unused;
    static const uint8_t unlock_sums[] = {0xE5, 0xE4, 0xE3, 0xE2};
    static const uint8_t mode_sums[] = {0xAF, 0xAE, 0xAD, 0xAC};
    static const uint8_t read_sums[] = {0xFF, 0xFE, 0xFD, 0xFC};
    for (uint8_t address = 0; address < 4; address++) {
        struct chip_options options = reference;
        options.address = address;
        struct bench bench = power_on(&options);
        assert_int_equal(chip_address(bench.chip), address);
        say(&bench, BYTES(0xA8 | address, 0x1D, 0x55, 0, 0, unlock_sums[address]));
        say(&bench, BYTES(0xA8 | address, 0x19, 0x8F, 0, 0, mode_sums[address]));
        say(&bench, BYTES(0x58 | address, 0x19));
        expect_answer(&bench, BYTES(0x8F, 0, 0, read_sums[address]));
        say(&bench, BYTES(0x58 | address, 0xAA));
        assert_int_equal(bench.length, 23);
        assert_int_equal(bench.answer[22], sum_of(0x58 | address, bench.answer, 22));
        for (uint8_t other = 0; other < 4; other++) {
            say(&bench, BYTES(0x58 | other, 0xAA));
            assert_int_equal(bench.length, other == address ? 23 : 0);
        }
        chip_free(bench.chip);
    }
    struct chip_options options = reference;
    options.counts_per_watt = 1;
    struct bench bench = power_on(&options);
    say(&bench, BYTES(0x58, 0x19));
    expect_answer(&bench, BYTES(0x87, 0, 0, 0x07));
    say(&bench, BYTES(0x58, 0x14));
    expect_answer(&bench, BYTES(0x0B, 0, 0, 0x88));
    say(&bench, BYTES(0x58, 0x08));
    expect_answer(&bench, BYTES(0x20, 0x4E, 0, 0x31));
    say(&bench, BYTES(0x58, 0x09));
    expect_answer(&bench, BYTES(0, 0x03, 0, 0x9B));
    load(&bench, 234.3, 0.19, -26380);
    wait_us(&bench, SECOND);
    say(&bench, BYTES(0x58, 0x06));
    expect_answer(&bench, BYTES(0xF4, 0x98, 0xFF, 0x16));
    say(&bench, BYTES(0xA8, 0x1D, 0x55, 0, 0, 0xE5));
    say(&bench, BYTES(0x58, 0x1D));
    expect_answer(&bench, BYTES(1, 0, 0, 0x89));
    static const struct {
        uint8_t write[6];
        uint8_t reg;
        uint32_t value;
    } writes[] = {
        {{0xA8, 0x19, 0xAF, 0, 0, 0x8F}, 0x19, 0xAF},
        {{0xA8, 0x19, 0x0F, 0, 0, 0x2F}, 0x19, 0x0F},
        {{0xA8, 0x19, 0xCF, 0, 0, 0x6F}, 0x19, 0xCF},
        {{0xA8, 0x19, 0x87, 0, 0, 0xB7}, 0x19, 0x87},
        {{0xA8, 0x14, 0x33, 0, 0, 0x10}, 0x14, 0x33},
        {{0xA8, 0x14, 0, 0, 0, 0x43}, 0x14, 0},
        {{0xA8, 0x1C, 0x5A, 0x5A, 0x5A, 0x2D}, 0x14, 0x0B},
        {{0xA8, 0x1D, 0, 0, 0, 0x3A}, 0x1D, 0},
    };
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        say(&bench, writes[i].write, 6);
        assert_int_equal(read_reg(&bench, writes[i].reg), writes[i].value);
    }
    chip_free(bench.chip);
}

/* 220 V, 1 A, 220 W on the reference board after 1200 counts: the application note's numbers. */
static void test_application_note_example(void **unused)
{
    (void)unused;
    struct chip_options options = reference;
    options.first_count = 1200;
    struct bench bench = power_on(&options);
    load(&bench, 220, 1, 220);
    bool seen[2] = {false, false};
    for (int window = 0; window < 5 && !(seen[0] && seen[1]); window++) { /* one count takes 3 s */
        wait_us(&bench, 400000);
        say(&bench, BYTES(0x58, 0xAA));
        struct chip_truth truth = truth_of(&bench);
        assert_int_equal(truth.i_rms, 251213);
        assert_int_equal(truth.v_rms, 3494335);
        assert_int_equal(truth.watt, 137146);
        assert_int_equal(bench.answer[20], 1); /* 1 A here is too little for zero crossings */
        bool undocumented = (bench.answer[19] & 0x20) != 0;
        seen[undocumented] = true;
        bench.answer[19] &= (uint8_t)~0x20;
        bench.answer[22] = (uint8_t)(bench.answer[22] + (undocumented ? 0x20 : 0));
        expect_answer(&bench, BYTES(0x55, 0x4D, 0xD5, 0x03, 0xBF, 0x51, 0x35, 0x36, 0x64, 0x01,
                                    0xBA, 0x17, 0x02, 0xB0, 0x04, 0, 0x20, 0x4E, 0, 0, 1, 0, 0x57));
    }
    assert_true(seen[0] && seen[1]); /* bit 5 comes and goes */
    chip_free(bench.chip);
}

static void test_answer_timing(void **unused)
{
    (void)unused;
    struct chip_options options = reference;
    struct bench bench = power_on(&options);
    int64_t asked_us = bench.now_us;
    say(&bench, BYTES(0x58, 0xAA));
    /* Two bytes to ask, half a bit, one byte; then 22 bytes without a pause. */
    assert_in_range(bench.first_us - asked_us, 4166 + 104 + 2083 - 2, 4168 + 104 + 2084 + 2);
    assert_in_range(bench.last_us - bench.first_us, 45830, 45836);
    chip_free(bench.chip);
    options.pin_baud = bench.baud = 9600;
    bench = power_on(&options);
    bench.baud = 9600;
    say(&bench, BYTES(0x58, 0xAA));
    assert_in_range(bench.last_us - bench.first_us, 22914, 22919);
    chip_free(bench.chip);
}

static void test_registers_follow_at_the_refresh(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    load(&bench, 230, 1, 230);
    wait_us(&bench, 399000);
    assert_int_equal(truth_of(&bench).v_rms, 0);
    wait_us(&bench, 2000);
    assert_int_equal(truth_of(&bench).v_rms, (uint32_t)(230 * KV));
    unlock(&bench); /* 800 ms from here on */
    write_reg(&bench, 0x19, 0x8F);
    wait_us(&bench, 2 * SECOND);
    uint32_t before = truth_of(&bench).i_rms;
    while (truth_of(&bench).i_rms ==
           before) { /* until the first window with some of the new load */
        load(&bench, 230, 2, 460);
        wait_us(&bench, 1000);
    }
    load(&bench, 230, 4, 920); /* right after a refresh */
    wait_us(&bench, 798000);
    uint32_t first = truth_of(&bench).i_rms;
    assert_in_range(first, (uint32_t)(1 * KI) + 1, (uint32_t)(2 * KI) + 1);
    wait_us(&bench, 2000);
    assert_in_range(truth_of(&bench).i_rms, (uint32_t)(3.98 * KI), (uint32_t)(4 * KI) + 1);
    chip_free(bench.chip);
}

static void test_noise_is_small_and_repeatable(void **unused)
{
    (void)unused;
    struct chip_options options = reference;
    options.noise = 0.0005;
    struct bench one = power_on(&options), two = power_on(&options);
    load(&one, 230, 2, 460);
    load(&two, 230, 2, 460);
    double low = 1e9, high = 0;
    for (int i = 0; i < 500; i++) {
        wait_us(&one, 400000);
        struct chip_truth truth = truth_of(&one);
        assert_true(fabs(truth.v_rms / KV - 230) <= 230 * 0.0005);
        assert_true(fabs(truth.i_rms / KI - 2) <= 2 * 0.0005);
        assert_true(fabs(truth.watt / KP - 460) <= 460 * 0.0005 + 1 / KP);
        assert_true(truth.watt / KP <= truth.v_rms / KV * (truth.i_rms / KI) + 0.01);
        low = fmin(low, truth.v_rms);
        high = fmax(high, truth.v_rms);
    }
    assert_true((high - low) / KV > 230 * 0.0003); /* it does move */
    wait_us(&two, 500 * 400000);                   /* seen every time or only once: the same chip */
    assert_int_equal(truth_of(&one).v_rms, truth_of(&two).v_rms);
    assert_int_equal(truth_of(&one).watt, truth_of(&two).watt);
    chip_free(one.chip);
    chip_free(two.chip);
}

static void test_status_and_frequency(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    struct chip_load values = {120, 1, 120, 60};
    chip_set_load(bench.chip, bench.now_us, &values);
    wait_us(&bench, SECOND);
    assert_int_equal(read_reg(&bench, 0x08) % 8, 0);
    assert_true(fabs(1e6 / truth_of(&bench).frequency - 60) < 0.02);
    assert_int_equal(read_reg(&bench, 0x09) & ~0x20u, 0x100); /* 251213 < 0x40000 */
    values = (struct chip_load){33.2, 1.1, 30, 55};           /* just above 0x80000 */
    chip_set_load(bench.chip, bench.now_us, &values);
    wait_us(&bench, SECOND);
    assert_int_equal(read_reg(&bench, 0x09) & ~0x20u, 0);
    uint32_t held = truth_of(&bench).frequency;
    assert_true(fabs(1e6 / held - 55) < 0.02);
    values =
        (struct chip_load){32.8, 1.1, 30, 45}; /* just below: frequency is no longer measured */
    chip_set_load(bench.chip, bench.now_us, &values);
    wait_us(&bench, SECOND);
    assert_int_equal(read_reg(&bench, 0x09) & ~0x20u, 0x200);
    assert_int_equal(truth_of(&bench).frequency, held);
    chip_free(bench.chip);
}

static double signed_24(uint32_t raw)
{
    return (raw & 0x800000) != 0 ? (double)raw - 0x1000000 : raw;
}

/* The sample registers show sines of the right size. */
static void test_samples(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    load(&bench, 230, 10, 230 * 10 * 0.5);
    double v_squares = 0, i_squares = 0;
    for (int i = 0; i < 2000; i++) {
        wait_us(&bench, 10050); /* with the reads 210.05 ms: all phases of the 20 ms in turn */
        double voltage = signed_24(read_reg(&bench, 0x02));
        double current = signed_24(read_reg(&bench, 0x01));
        v_squares += voltage * voltage;
        i_squares += current * current;
    }
    double v_peak = 230 * KV / 4252241 * 524287, i_peak = 10 * KI / 7536404 * 524287;
    assert_true(fabs(sqrt(v_squares / 2000) / (v_peak / sqrt(2)) - 1) < 0.05);
    assert_true(fabs(sqrt(i_squares / 2000) / (i_peak / sqrt(2)) - 1) < 0.05);
    chip_free(bench.chip);
}

/* The amplifier in front of the current input: 1, 4, 16 (default) or 24. */
static void test_gain(void **unused)
{
    (void)unused;
    static const double gains[] = {1, 4, 16, 24};
    struct bench bench = power_on(&reference);
    load(&bench, 230, 2, 400);
    unlock(&bench);
    for (uint8_t i = 0; i < 4; i++) {
        write_reg(&bench, 0x1A, i);
        wait_us(&bench, SECOND);
        struct chip_truth truth = truth_of(&bench);
        assert_int_equal(truth.i_rms, (uint32_t)(2 * KI * gains[i] / 16));
        assert_int_equal(truth.watt, (int32_t)(400 * KP * gains[i] / 16));
        assert_int_equal(truth.v_rms, (uint32_t)(230 * KV));
    }
    chip_free(bench.chip);
}

static void test_energy_of_an_hour(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    load(&bench, 220, 1, 220);
    wait_us(&bench, HOUR);
    struct chip_truth truth = truth_of(&bench);
    assert_int_equal(truth.watt, 137146);
    assert_int_equal(truth.counter, 1177); /* floor(137146 * 3600 / 419430.4) */
    assert_int_equal(truth.counts_imported, 1177);
    assert_int_equal(truth.counts_exported, 0);
    chip_free(bench.chip);
}

/* A year of changing load, asked at random times: no count may differ from exact arithmetic. */
static void test_energy_of_a_year_is_exact(void **unused)
{
    (void)unused;
    uint64_t seed = 20240716;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct chip_options options = reference;
    options.noise = 0.0005;
    options.counts_per_watt = 1;
    struct bench bench = power_on(&options);
    struct wide expected = {0};
    int64_t passed_us = 0;
    while (passed_us < 365 * 24 * HOUR) {
        double watts = (double)(int64_t)(dice_next(&seed) % 2000000) - 600000;
        load(&bench, 230, 5, watts);
        int64_t us = (int64_t)(dice_next(&seed) % (12 * (uint64_t)HOUR));
        bench.now_us += us / 3; /* a look in between changes nothing */
        (void)truth_of(&bench);
        bench.now_us += us - us / 3;
        passed_us += us;
        expected = wide_add(expected, wide_multiply((int64_t)fabs(watts), us));
    }
    struct chip_truth truth = truth_of(&bench);
    uint64_t counts = (uint64_t)wide_divide(expected, INT64_C(419430400000), NULL);
    assert_int_equal(truth.counts_imported + truth.counts_exported, counts);
    assert_int_equal(truth.counter, counts & 0xFFFFFF);
    assert_true(counts > 1 << 24); /* it wrapped */
    assert_true(truth.counts_exported > 1000000);
    chip_free(bench.chip);
}

static void test_wrap(void **unused)
{
    (void)unused;
    struct chip_options options = reference;
    options.first_count = 0xFFFFFE;
    options.counts_per_watt = 1;
    struct bench bench = power_on(&options);
    load(&bench, 230, 1, 419430.4);
    assert_int_equal(read_reg(&bench, 0x07), 0xFFFFFE);
    wait_us(&bench, 5 * SECOND);
    assert_int_equal(read_reg(&bench, 0x07), 3);
    assert_int_equal(truth_of(&bench).counts_imported, 5);
    chip_set_counter(bench.chip, bench.now_us, 0x1FFFFFF);
    assert_int_equal(read_reg(&bench, 0x07), 0xFFFFFF);
    chip_free(bench.chip);
}

static void test_export(void **unused)
{
    (void)unused;
    struct chip_options options = reference;
    options.counts_per_watt = 1;
    struct bench bench = power_on(&options);
    load(&bench, 230, 1, -1000000);
    wait_us(&bench, 100 * SECOND);
    struct chip_truth truth = truth_of(&bench);
    assert_int_equal(truth.watt, -1000000);
    assert_int_equal(truth.counter, 238); /* absolute: up all the same */
    assert_int_equal(truth.counts_exported, 238);
    assert_int_equal(truth.status & 1, 1);
    load(&bench, 230, 1, 1000000);
    wait_us(&bench, 100 * SECOND);
    truth = truth_of(&bench);
    assert_int_equal(truth.counter, 476);
    assert_int_equal(truth.counts_imported, 238);
    assert_int_equal(truth.status & 1, 0);

    unlock(&bench);
    write_reg(&bench, 0x19, 0x0F); /* algebraic */
    chip_set_counter(bench.chip, bench.now_us, 100);
    load(&bench, 230, 1, -1000000);
    wait_us(&bench, 100 * SECOND);
    truth = truth_of(&bench);
    assert_in_range((100 - truth.counter) & 0xFFFFFF, 237, 239); /* rolled over below zero */
    assert_int_equal(truth.counter >> 12, 0xFFF);
    assert_int_equal(truth.status & 1, 1);
    chip_free(bench.chip);
}

/* To and fro within less than a count: algebraic energy must cancel without a pulse. */
static void test_algebraic_energy_cancels(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    unlock(&bench);
    write_reg(&bench, 0x19, 0x0F);
    for (int i = 0; i < 1000; i++) {
        load(&bench, 230, 1, i % 2 == 0 ? 230 : -230);
        wait_us(&bench, SECOND);
    }
    struct chip_truth truth = truth_of(&bench);
    assert_int_equal(truth.counts_imported + truth.counts_exported, 0);
    chip_free(bench.chip);
}

static void test_creep(void **unused)
{
    (void)unused;
    struct chip_options options = reference;
    options.counts_per_watt = 1;
    struct bench bench = power_on(&options);
    load(&bench, 230, 0.001, 134); /* the default threshold is 134.28 */
    wait_us(&bench, HOUR);
    struct chip_truth truth = truth_of(&bench);
    assert_int_equal(truth.watt, 0);
    assert_int_equal(truth.i_rms, 0);
    assert_int_not_equal(truth.i_fast_rms, 0); /* as in the captures */
    assert_int_equal(truth.counter, 0);
    assert_int_equal(truth.status & 0x102, 0x102);
    load(&bench, 230, 0.001, -135);
    wait_us(&bench, HOUR);
    truth = truth_of(&bench);
    assert_int_equal(truth.watt, -135);
    assert_int_not_equal(truth.i_rms, 0);
    assert_int_equal(truth.counter, 1);
    assert_int_equal(truth.status & 2, 0);
    load(&bench, 230, 0.001, 134);
    unlock(&bench);
    write_reg(&bench, 0x14, 0);
    wait_us(&bench, SECOND);
    assert_int_equal(truth_of(&bench).watt, 134);
    load(&bench, 0, 0, 0); /* nothing connected: the flag stays clear */
    wait_us(&bench, SECOND);
    assert_int_equal(truth_of(&bench).status & ~0x20u & ~1u, 0x300);
    chip_free(bench.chip);
}

static void test_counting_can_be_stopped(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    load(&bench, 230, 10, 2300);
    unlock(&bench);
    write_reg(&bench, 0x19, 0x8B); /* CF_EN off */
    uint32_t counter = truth_of(&bench).counter;
    wait_us(&bench, HOUR);
    assert_int_equal(truth_of(&bench).counter, counter);
    assert_true(truth_of(&bench).watt > 0);
    chip_free(bench.chip);
}

static void test_clear_on_read(void **unused)
{
    (void)unused;
    struct chip_options options = reference;
    options.counts_per_watt = 1;
    struct bench bench = power_on(&options);
    unlock(&bench);
    write_reg(&bench, 0x19, 0xCF);
    load(&bench, 230, 10, 419430.4);
    uint32_t sum = 0;
    for (int i = 0; i < 50; i++) {
        wait_us(&bench, 3 * SECOND);
        if (i % 2 == 0) {
            sum += read_reg(&bench, 0x07);
        } else {
            say(&bench, BYTES(0x58, 0xAA));
            sum += u24(bench.answer + 13);
        }
        (void)read_reg(&bench, 0x08); /* another register clears nothing */
    }
    struct chip_truth truth = truth_of(&bench);
    assert_int_equal(sum + truth.counter, truth.counts_imported);
    assert_true(truth.counter < 3);
    assert_true(sum > 150);
    chip_free(bench.chip);
}

static void test_protection(void **unused)
{
    (void)unused;
    static const uint8_t settings[] = {0x12, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A};
    static const uint32_t masks[] = {0xFF, 0xFF, 0xFFFF, 7, 3, 0x3F, 0xFF, 3}; /* MODE: baud kept */
    for (size_t i = 0; i < sizeof settings; i++) {
        struct bench bench = power_on(&reference);
        uint32_t before = read_reg(&bench, settings[i]);
        write_reg(&bench, settings[i], ~before & masks[i]);
        assert_int_equal(read_reg(&bench, settings[i]), before);
        unlock(&bench);
        write_reg(&bench, settings[i], ~before & masks[i]);
        assert_int_equal(read_reg(&bench, settings[i]), ~before & masks[i]);
        write_reg(&bench, 0x1D, 0x56); /* any other value locks */
        assert_int_equal(read_reg(&bench, 0x1D), 0);
        write_reg(&bench, settings[i], before);
        assert_int_equal(read_reg(&bench, settings[i]), ~before & masks[i]);
        write_reg(&bench, 0x1C, 0x5A5A5A); /* a locked chip does not reset */
        assert_int_equal(read_reg(&bench, settings[i]), ~before & masks[i]);
        chip_free(bench.chip);
    }
    struct bench bench = power_on(&reference);
    unlock(&bench);
    for (uint8_t reg = 1; reg < 0x12; reg++) {
        uint32_t before = read_reg(&bench, reg);
        write_reg(&bench, reg, 0x123456);
        assert_int_equal(read_reg(&bench, reg), before);
    }
    write_reg(&bench, 0x15, 0xFFFFFF); /* only the register's own bits are kept */
    assert_int_equal(read_reg(&bench, 0x15), 0xFFFF);
    chip_free(bench.chip);
}

static void test_resets(void **unused)
{
    (void)unused;
    for (int clears = 0; clears < 2; clears++) {
        struct chip_options options = reference;
        options.first_count = 500;
        options.soft_reset_clears_energy = clears;
        struct bench bench = power_on(&options);
        unlock(&bench);
        write_reg(&bench, 0x19, 0x8F);
        write_reg(&bench, 0x1C, 0x5A5A5B); /* not the key */
        assert_int_equal(read_reg(&bench, 0x19), 0x8F);
        write_reg(&bench, 0x1C, 0x5A5A5A);
        assert_int_equal(read_reg(&bench, 0x19), 0x87);
        assert_int_equal(read_reg(&bench, 0x1D), 1); /* still unlocked */
        assert_int_equal(read_reg(&bench, 0x07), clears ? 0 : 500);
        assert_int_equal(truth_of(&bench).resets, 0);
        load(&bench, 230, 10, 2300);
        wait_us(&bench, 10 * SECOND);
        uint64_t counted = truth_of(&bench).counts_imported;
        assert_true(counted > 30);
        chip_reset(bench.chip, bench.now_us);
        struct chip_truth truth = truth_of(&bench);
        assert_int_equal(truth.resets, 1);
        assert_int_equal(truth.counter, 0);
        assert_int_equal(truth.mode, 0x87);
        assert_int_equal(truth.counts_imported, counted);
        assert_int_equal(truth.status, 0x300);
        assert_int_equal(read_reg(&bench, 0x1D), 0);
        chip_free(bench.chip);
    }
}

static void test_baud_rates(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    unlock(&bench);
    say(&bench, BYTES(0xA8, 0x19, 0x8F, 0x02, 0, 0xAD));
    assert_int_equal(chip_baud(bench.chip), 19200);
    unsigned answers = truth_of(&bench).answers;
    say(&bench, BYTES(0x58, 0xAA)); /* still at 4800 */
    assert_int_equal(truth_of(&bench).answers, answers);
    assert_int_equal(bench.length, 0);
    bench.baud = 19200;
    say(&bench, BYTES(0x58, 0xAA));
    assert_int_equal(bench.length, 23);
    assert_in_range(bench.last_us - bench.first_us, 11455, 11460);
    say(&bench, BYTES(0xA8, 0x19, 0x8F, 0x03, 0, 0xAC));
    assert_int_equal(chip_baud(bench.chip), 38400);
    bench.baud = 38400;
    assert_int_equal(read_reg(&bench, 0x19), 0x38F);
    write_reg(&bench, 0x1C, 0x5A5A5A);
    assert_int_equal(chip_baud(bench.chip), 4800);
    bench.baud = 4830; /* less than 3 % off still works */
    assert_int_equal(read_reg(&bench, 0x19), 0x87);
    write_reg(&bench, 0x19, 0x38F);
    assert_int_equal(chip_baud(bench.chip), 38400);
    chip_reset(bench.chip, bench.now_us);
    assert_int_equal(chip_baud(bench.chip), 4800);
    static const uint32_t wrong[] = {300, 2400, 9600, 19200, 38400, 115200};
    answers = truth_of(&bench).answers;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bench.baud = wrong[i];
        say(&bench, BYTES(0x58, 0xAA));
        assert_int_equal(bench.length, 0);
    }
    assert_int_equal(truth_of(&bench).answers, answers);
    /* A second frame right behind one that changes the rate comes at the wrong rate. */
    bench.baud = 4800;
    unlock(&bench);
    say(&bench, BYTES(0xA8, 0x19, 0x8F, 0x02, 0, 0xAD, 0xA8, 0x1D, 0, 0, 0, 0x3A));
    bench.baud = 19200;
    assert_int_equal(read_reg(&bench, 0x1D), 1);
    chip_free(bench.chip);
}

static void send_only(struct bench *bench, const uint8_t *bytes, size_t length, int64_t pause_us)
{
    bench->length = 0;
    chip_receive(bench->chip, bench->now_us, bench->baud, bytes, length);
    wait_us(bench, (int64_t)length * 2084 + pause_us);
}

static void test_gap_and_frame_rules(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    /* A wrong id byte: deaf until the line was quiet for 20 ms. */
    send_only(&bench, BYTES(0x00), 15000);
    say(&bench, BYTES(0x58, 0x19));
    assert_int_equal(bench.length, 0);
    say(&bench, BYTES(0x58, 0x19));
    assert_int_equal(bench.length, 4);
    send_only(&bench, BYTES(0x00), 21000);
    say(&bench, BYTES(0x58, 0x19));
    assert_int_equal(bench.length, 4);
    /* The same for a frame to another address, even if it is cut off. */
    send_only(&bench, BYTES(0x59, 0xAA), 15000);
    say(&bench, BYTES(0x58, 0x19));
    assert_int_equal(bench.length, 0);
    send_only(&bench, BYTES(0x59), 17000);
    say(&bench, BYTES(0x58, 0x19));
    assert_int_equal(bench.length, 0);
    send_only(&bench, BYTES(0x59, 0xAA), 21000);
    say(&bench, BYTES(0x58, 0x19));
    assert_int_equal(bench.length, 4);
    /* A break ends the deafness at once. */
    send_only(&bench, BYTES(0x00), 1000);
    chip_break(bench.chip, bench.now_us);
    say(&bench, BYTES(0x58, 0x19));
    assert_int_equal(bench.length, 4);
    /* A frame must be complete 16 ms after its id byte; what comes later is a new frame. */
    send_only(&bench, BYTES(0x58), 13000);
    say(&bench, BYTES(0x19));
    assert_int_equal(bench.length, 4);
    send_only(&bench, BYTES(0x58), 15000);
    say(&bench, BYTES(0x58, 0x14));
    assert_int_equal(bench.length, 4);
    assert_int_equal(bench.answer[0], 0x0B);
    /* A wrong checksum: dropped, and the next frame may follow directly. */
    say(&bench, BYTES(0xA8, 0x1D, 0x55, 0, 0, 0xE4, 0x58, 0x1D));
    expect_answer(&bench, BYTES(0, 0, 0, 0x8A));
    say(&bench, BYTES(0xA8, 0x1D, 0x55, 0, 0, 0xE5, 0x58, 0x1D));
    expect_answer(&bench, BYTES(1, 0, 0, 0x89));
    chip_free(bench.chip);

    struct chip_options options = reference;
    options.frame_timeout_us = 20000; /* the older datasheet */
    bench = power_on(&options);
    send_only(&bench, BYTES(0x58), 17000);
    say(&bench, BYTES(0x19));
    assert_int_equal(bench.length, 4);
    chip_free(bench.chip);
}

/* Anything at all may come in; the chip lives, and after a gap it is itself again. */
static void test_survives_rubbish(void **unused)
{
    (void)unused;
    uint64_t seed = 4711;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct bench bench = power_on(&reference);
    static const uint32_t rates[] = {0, 50, 4800, 9600, 4000000};
    for (int i = 0; i < 3000; i++) {
        uint8_t bytes[300];
        size_t length = (size_t)(dice_next(&seed) % sizeof bytes);
        for (size_t k = 0; k < length; k++)
            bytes[k] = (uint8_t)dice_next(&seed);
        if (length > 0 && i % 3 == 0)
            bytes[0] = 0x58;
        chip_receive(bench.chip, bench.now_us, rates[i % 5], bytes, length);
        bench.now_us += (int64_t)(dice_next(&seed) % 300000);
        (void)chip_transmit(bench.chip, bench.now_us, bytes, sizeof bytes);
    }
    bench.now_us += 100 * SECOND;
    uint8_t rest[512];
    (void)chip_transmit(bench.chip, bench.now_us, rest, sizeof rest);
    chip_reset(bench.chip, bench.now_us);
    assert_int_equal(read_reg(&bench, 0x19), 0x87);
    chip_free(bench.chip);
}

#define ASKED 1500
#define CHANCE 0.25

enum kind { GOOD, SILENT, SHORT, DAMAGED, DIFFERENT, LONG, LATE_GOOD };

/* What became of one answer, as a host sees it. clean: the packet that was expected. */
static enum kind judge(const struct bench *bench, int64_t asked_us, const uint8_t *clean)
{
    if (bench->length == 0)
        return SILENT;
    if (bench->length > 23)
        return LONG;
    if (bench->length < 23)
        return SHORT;
    if (bench->first_us - asked_us > 300000)
        return LATE_GOOD;
    if (bench->answer[22] != sum_of(0x58, bench->answer, 22))
        return DAMAGED;
    return memcmp(bench->answer, clean, 23) == 0 ? GOOD : DIFFERENT;
}

static void check_fault(const struct chip_faults *faults, enum kind wanted)
{
    struct chip_options options = reference;
    options.seed = 99;
    struct bench bench = power_on(&options); /* no load: the packet is always the same */
    uint8_t clean[23];
    bench.now_us += SECOND;
    say(&bench, BYTES(0x58, 0xAA));
    memcpy(clean, bench.answer, 23);
    chip_set_faults(bench.chip, faults);
    unsigned counts[LATE_GOOD + 1] = {0};
    for (int i = 0; i < ASKED; i++) {
        int64_t asked_us = bench.now_us;
        bench.length = 0;
        chip_receive(bench.chip, bench.now_us, 4800, BYTES(0x58, 0xAA));
        wait_us(&bench, 4166); /* the request is there, the answer on its way */
        clean[19] = (uint8_t)truth_of(&bench).status; /* bit 5 moves */
        wait_us(&bench, 400000);
        clean[22] = sum_of(0x58, clean, 22);
        counts[judge(&bench, asked_us, clean)]++;
    }
    double expected = ASKED * CHANCE;
    double sigma = sqrt(ASKED * CHANCE * (1 - CHANCE));
    if (fabs(counts[wanted] - expected) > 5 * sigma)
        fail_msg("fault %d came %u times in %d", wanted, counts[wanted], ASKED);
    for (int kind = SILENT; kind <= LATE_GOOD; kind++)
        if (kind != (int)wanted && counts[kind] != 0)
            fail_msg("fault %d gave %u answers of kind %d", wanted, counts[kind], kind);
    struct chip_truth truth = truth_of(&bench);
    assert_int_equal(truth.faults, counts[wanted]);
    assert_int_equal(truth.answers, ASKED + 1);
    chip_free(bench.chip);
}

static void test_faults_come_as_often_as_asked(void **unused)
{
    (void)unused;
    check_fault(&(struct chip_faults){.junk_before = CHANCE}, LONG);
    check_fault(&(struct chip_faults){.bit_flip = CHANCE}, DAMAGED);
    check_fault(&(struct chip_faults){.double_flip = CHANCE}, DIFFERENT);
    check_fault(&(struct chip_faults){.truncate = CHANCE}, SHORT);
    check_fault(&(struct chip_faults){.silence = CHANCE}, SILENT);
    check_fault(&(struct chip_faults){.late = CHANCE}, LATE_GOOD);
}

/* The truth about an answer is that of when it was assembled, however late it leaves and however
 * damaged it is. */
static void test_truth_of_an_answer(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    load(&bench, 230, 10, 230000);
    chip_set_faults(bench.chip, &(struct chip_faults){.late = 1, .double_flip = 1});
    unsigned misread = 0;
    for (int i = 0; i < 200; i++) {
        bench.length = 0;
        chip_receive(bench.chip, bench.now_us, 4800, BYTES(0x58, 0xAA));
        wait_us(&bench, 4200); /* the request is there */
        struct chip_truth then = truth_of(&bench);
        wait_us(&bench, 400000);
        struct chip_truth now = truth_of(&bench);
        assert_int_equal(bench.length, 23);
        assert_int_equal(now.answer_counts, then.counts_imported);
        assert_int_equal(now.answer_counter, then.counter);
        assert_true(now.counts_imported > now.answer_counts);
        misread += u24(bench.answer + 13) != now.answer_counter;
    }
    assert_true(misread > 0 && misread < 200);
    chip_free(bench.chip);
}

static void test_reset_fault(void **unused)
{
    (void)unused;
    struct bench bench = power_on(&reference);
    load(&bench, 230, 10, 2300);
    chip_set_faults(bench.chip, &(struct chip_faults){.reset = CHANCE});
    unsigned resets = 0;
    for (int i = 0; i < ASKED; i++) {
        wait_us(&bench, SECOND);
        say(&bench, BYTES(0x58, 0xAA));
        assert_int_equal(bench.length, 23);
        bool zero = u24(bench.answer + 13) == 0 && u24(bench.answer + 4) == 0;
        resets += zero ? 1 : 0;
    }
    struct chip_truth truth = truth_of(&bench);
    assert_int_equal(truth.resets, resets);
    assert_int_equal(truth.faults, resets);
    assert_true(fabs(resets - ASKED * CHANCE) < 5 * sqrt(ASKED * CHANCE * (1 - CHANCE)));
    chip_free(bench.chip);
}

/* Answers in another's place, but with its own address in the checksum. */
static void test_wrong_address_fault(void **unused)
{
    (void)unused;
    struct chip_options options = reference;
    options.address = 2;
    struct bench bench = power_on(&options);
    chip_set_faults(bench.chip, &(struct chip_faults){.wrong_address = CHANCE});
    unsigned wrong = 0;
    for (int i = 0; i < ASKED; i++) {
        say(&bench, BYTES(0x59, 0xAA));
        if (bench.length == 0)
            continue;
        assert_int_equal(bench.length, 23);
        assert_int_equal(bench.answer[22], sum_of(0x5A, bench.answer, 22));
        wrong++;
    }
    assert_true(fabs(wrong - ASKED * CHANCE) < 5 * sqrt(ASKED * CHANCE * (1 - CHANCE)));
    assert_int_equal(truth_of(&bench).faults, wrong);
    say(&bench, BYTES(0x5A, 0xAA)); /* asked itself, it answers as ever */
    assert_int_equal(bench.length, 23);
    chip_free(bench.chip);
}

static void test_same_seed_same_faults(void **unused)
{
    (void)unused;
    struct chip_faults faults = {.junk_before = 0.3, .bit_flip = 0.3, .truncate = 0.3};
    struct bench one = power_on(&reference), two = power_on(&reference);
    chip_set_faults(one.chip, &faults);
    chip_set_faults(two.chip, &faults);
    for (int i = 0; i < 200; i++) {
        say(&one, BYTES(0x58, 0xAA));
        say(&two, BYTES(0x58, 0xAA));
        expect_answer(&one, two.answer, two.length);
    }
    chip_free(one.chip);
    chip_free(two.chip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_first_packet_after_power_on),
        cmocka_unit_test(test_ready_made_frames),
        cmocka_unit_test(test_application_note_example),
        cmocka_unit_test(test_answer_timing),
        cmocka_unit_test(test_registers_follow_at_the_refresh),
        cmocka_unit_test(test_noise_is_small_and_repeatable),
        cmocka_unit_test(test_status_and_frequency),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_gain),
        cmocka_unit_test(test_energy_of_an_hour),
        cmocka_unit_test(test_energy_of_a_year_is_exact),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_algebraic_energy_cancels),
        cmocka_unit_test(test_creep),
        cmocka_unit_test(test_counting_can_be_stopped),
        cmocka_unit_test(test_clear_on_read),
        cmocka_unit_test(test_protection),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_baud_rates),
        cmocka_unit_test(test_gap_and_frame_rules),
        cmocka_unit_test(test_survives_rubbish),
        cmocka_unit_test(test_faults_come_as_often_as_asked),
        cmocka_unit_test(test_truth_of_an_answer),
        cmocka_unit_test(test_reset_fault),
        cmocka_unit_test(test_wrong_address_fault),
        cmocka_unit_test(test_same_seed_same_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
