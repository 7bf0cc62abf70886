/* SPDX-License-Identifier: MIT */
/*
 * Mappings: every built-in file runs its own messages; files that are wrong; values out of messages;
 * the energy of such meters by tables. test_mapping_play.c plays hours of each kind of meter.
 */
#include "bridge/config/mapping_file.h"
#include "bridge/meter/meter.h"
#include "drivers/mapping/extract.h"
#include "drivers/mapping/trial.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_built_in(void **state)
{
    (void)state;
    size_t count = 0;
    for (; mapping_builtin(count) != NULL; count++) {
        struct error error = {""};
        struct mapping *mapping = NULL;
        if (mapping_load(mapping_builtin(count), &mapping, &error) != STATUS_OK)
            fail_msg("%s", error.text);
        assert_string_equal(mapping->name, mapping_builtin(count));
        assert_true(mapping->test_count > 0);
        assert_true(strlen(mapping->cannot) > 20);
        if (mapping_self_test(mapping, &error) != STATUS_OK)
            fail_msg("%s", error.text);
        mapping_free(mapping);
    }
    assert_true(count >= 11);
}

#define HEAD "name: x\ntitle: x\nchannels: [a]\n"
#define VALUE "{topic: \"{base}\", is: power, unit: W}"

static void test_files_that_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *file, *words;
    } table[] = {
        {"", "1:1"},
        {HEAD "values: []\n", "values"},
        {HEAD "values: [" VALUE "]\nnonsense: 1\n", "no such key"},
        {HEAD "values: [{topic: t, is: torque, unit: W}]\n", "is: voltage"},
        {HEAD "values: [{topic: t, is: power, unit: kWh}]\n", "unit"},
        {HEAD "values: [{topic: \"a/+/b\", is: power, unit: W}]\n", "wildcards"},
        {HEAD "values: [{topic: t, is: power, unit: W, channel: z}]\n", "no such channel"},
        {HEAD "values: [{topic: t, is: power, unit: W, at: power}]\n", "JSON pointer"},
        {HEAD "stale: soon\nvalues: [" VALUE "]\n", "stale"},
        {"name: x\ntitle: x\nvalues: [" VALUE "]\n", "channels"},
        {HEAD "values: [" VALUE "]\ntests: [{topic: t, payload: \"1\", expect: {a: {x: 1}}}]\n",
         "quantity"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct mapping *mapping = NULL;
        struct error error = {""};
        assert_int_equal(
            mapping_parse("x.yaml", table[i].file, strlen(table[i].file), &mapping, &error),
            STATUS_USAGE);
        if (strstr(error.text, table[i].words) == NULL || strstr(error.text, "x.yaml:") == NULL)
            fail_msg("\"%s\" does not say %s", error.text, table[i].words);
    }
    struct mapping *mapping = NULL;
    struct error error = {""};
    assert_int_equal(mapping_load("nothing", &mapping, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "zigbee2mqtt-pj1203a"));
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *at;
        int element;
        bool shared;
        const char *payload;
        enum mapping_verdict verdict;
        double number;
    } table[] = {
        {NULL, -1, false, "12.5", MAPPING_GOOD, 12.5},
        {NULL, -1, false, "nan", MAPPING_ABSENT, 0},
        {NULL, -1, false, "", MAPPING_ABSENT, 0},
        {NULL, -1, false, "12,5", MAPPING_BAD, 0},
        {NULL, -1, false, "1e9", MAPPING_BAD, 0},
        {"/a/b", -1, false, "{\"a\":{\"b\":-3}}", MAPPING_GOOD, -3},
        {"/a~1b", -1, false, "{\"a/b\":\"7\"}", MAPPING_GOOD, 7},
        {"/a", -1, false, "{\"a\":null}", MAPPING_ABSENT, 0},
        {"/a", -1, false, "{\"b\":1}", MAPPING_ABSENT, 0},
        {"/a", -1, false, "{\"a\":true}", MAPPING_BAD, 0},
        {"/a", -1, false, "{\"a\":[1,2]}", MAPPING_BAD, 0},
        {"/a", 1, false, "{\"a\":[1,2]}", MAPPING_GOOD, 2},
        {"/a", 5, false, "{\"a\":[1,2]}", MAPPING_ABSENT, 0},
        {"/a", 0, false, "{\"a\":3}", MAPPING_REFUSED, 0},
        {"/a", 0, true, "{\"a\":3}", MAPPING_GOOD, 3},
        {"/a/1", -1, false, "{\"a\":[1,2]}", MAPPING_GOOD, 2},
        {"/a", -1, false, "no json", MAPPING_ABSENT, 0},
        {"/a", -1, false, "{\"a\":1", MAPPING_ABSENT, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        double number = 0;
        const struct mapping_value value = {.at = (char *)table[i].at,
                                            .element = table[i].element,
                                            .shared = table[i].shared,
                                            .quantity = MAPPING_POWER,
                                            .scale = 1};
        struct mapping_payload *payload =
            mapping_payload_read(table[i].payload, strlen(table[i].payload));
        assert_int_equal(mapping_value_extract(&value, payload, &number), table[i].verdict);
        if (table[i].verdict == MAPPING_GOOD)
            assert_true(number == table[i].number);
        mapping_payload_free(payload);
    }
    assert_true(mapping_is_newer("2026-05-19T08:20:31.232Z", "2026-05-19T08:20:31.588Z"));
    assert_false(mapping_is_newer("2026-05-19T08:20:31.232Z", "2026-05-19T08:20:31.232Z"));
    assert_true(mapping_is_newer("9", "10"));
}

/* ------------------------------------------------------------------ energy */

struct bench {
    struct mapping *mapping;
    struct mapping_trial *trial;
    struct meter *meters[2];
    int64_t drawn_uwh[2], fed_back_uwh[2];
    unsigned readings, events;
};

static struct meter *new_meter(bool begin_at_source)
{
    const struct meter_options options = {
        .kind = READING_METERED,
        .calibration = calibration_default(READING_METERED),
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
        .whole = true,
        .begin_at_source = begin_at_source,
        .boot_id = "boot",
    };
    return meter_create(&options, NULL);
}

static void on_reading(void *context, const char *channel, const struct reading *reading)
{
    struct bench *bench = context;
    struct meter_result result;
    struct meter *meter = bench->meters[channel[0] - 'a'];
    bench->readings++;
    meter_accept(meter, reading, &result);
    bench->events += (unsigned)result.event_count;
    bench->drawn_uwh[channel[0] - 'a'] = result.values.energy_uwh.value;
    bench->fed_back_uwh[channel[0] - 'a'] = result.values.energy_produced_uwh.value;
}

static void on_remark(void *context, const char *channel, const char *text)
{
    (void)context, (void)channel, (void)text;
}

static void begin(struct bench *bench, const char *name)
{
    const struct mapping_trial_sink sink = {bench, on_reading, on_remark};
    *bench = (struct bench){.meters = {new_meter(false), new_meter(false)}};
    assert_int_equal(mapping_load(name, &bench->mapping, NULL), STATUS_OK);
    bench->trial = mapping_trial_create(bench->mapping, "m", &sink);
}

static void end(struct bench *bench)
{
    mapping_trial_free(bench->trial);
    mapping_free(bench->mapping);
    meter_free(bench->meters[0]);
    meter_free(bench->meters[1]);
}

static void say(struct bench *bench, const char *topic, const char *payload)
{
    assert_true(mapping_trial_message(bench->trial, topic, payload, strlen(payload), false));
}

/* One counter of a Tasmota meter, by steps: what it shows, after how many seconds, and the total. */
static void test_counters(void **state)
{
    (void)state;
    static const struct {
        double shows;
        int seconds;
        double total; /* kWh, and so exact that a step of the meter shows */
    } table[] = {
        {100.000, 0, 0},                             /* first seen: the total begins at 0 */
        {100.010, 60, 0.010},                        /* at once */
        {100.010, 60, 0.010},   {0.000, 60, 0.010},  /* a glitch ... */
        {100.020, 60, 0.020},                        /* ... is none */
        {40.000, 60, 0.020},                         /* a fall */
        {40.010, 60, 0.020},    {40.020, 60, 0.040}, /* believed: from the first that agrees */
        {40.030, 60, 0.050},    {90.000, 60, 0.050}, /* a jump that no load can make */
        {90.010, 60, 0.050},    {90.020, 60, 0.070},
        {90.020, 36000, 0.070}, /* repeated after ten hours */
        {110.000, 60, 20.050},  /* and then the truth of these hours */
        {0.000, 60, 20.050},    /* shows 0 for a while after a power cut ... */
        {0.000, 60, 20.050},    {0.000, 60, 20.050},
        {110.010, 60, 20.060}, /* ... and comes back: not 110 kWh more */
        {110.020, 60, 20.070},
    };
    struct bench bench;
    begin(&bench, "tasmota");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char payload[100];
        mapping_trial_wait(bench.trial, table[i].seconds * 1000);
        (void)snprintf(payload, sizeof payload, "{\"ENERGY\":{\"Power\":600,\"Total\":%.3f}}",
                       table[i].shows);
        say(&bench, "tele/m/SENSOR", payload);
        if (llabs(bench.drawn_uwh[0] - llround(table[i].total * 1e9)) > 10000)
            fail_msg("step %zu: %g kWh, expected %g", i, (double)bench.drawn_uwh[0] / 1e9,
                     table[i].total);
    }
    end(&bench);
}

static void test_announced_reset(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, "tasmota");
    say(&bench, "tele/m/SENSOR", "{\"ENERGY\":{\"TotalStartTime\":\"1\",\"Total\":10.0}}");
    mapping_trial_wait(bench.trial, 60000);
    say(&bench, "tele/m/SENSOR", "{\"ENERGY\":{\"TotalStartTime\":\"1\",\"Total\":10.1}}");
    mapping_trial_wait(bench.trial, 60000);
    say(&bench, "tele/m/SENSOR", "{\"ENERGY\":{\"TotalStartTime\":\"2\",\"Total\":0.0}}");
    mapping_trial_wait(bench.trial, 60000);
    say(&bench, "tele/m/SENSOR", "{\"ENERGY\":{\"TotalStartTime\":\"2\",\"Total\":0.1}}");
    assert_int_equal(bench.drawn_uwh[0], 200000000);
    end(&bench);
}

static void test_totals_begin_at_the_meter(void **state)
{
    (void)state;
    struct meter *meter = new_meter(true);
    struct meter_result result;
    const struct reading reading = {
        .present = READING_ENERGY, .boot_ms = 1000, .energy = reading_counters(12345678, 2000)};
    meter_accept(meter, &reading, &result);
    assert_int_equal(result.values.energy_uwh.value, INT64_C(123456780000));
    assert_int_equal(result.values.energy_produced_uwh.value, 20000000);
    meter_free(meter);
}

/* The state is stored, the service starts again: nothing is counted twice or lost. */
static void test_restart(void **state)
{
    (void)state;
    struct meter *meter = new_meter(false);
    struct meter_result result;
    struct reading reading = {.present = READING_ENERGY, .boot_ms = 1000, .wall_ms = 1790000000000};
    for (int i = 0; i < 5; i++) {
        reading.energy = reading_counters(100000 + i * 100, 500 + i * 10);
        reading.boot_ms += 10000;
        reading.wall_ms += 10000;
        meter_accept(meter, &reading, &result);
    }
    const struct energy_state stored = *meter_state(meter);
    meter_free(meter);
    const struct meter_options options = {
        .kind = READING_METERED,
        .calibration = calibration_default(READING_METERED),
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
        .whole = true,
        .boot_id = "another boot",
    };
    meter = meter_create(&options, &stored);
    reading.boot_ms = 5000;
    reading.wall_ms += 3600000;
    reading.energy = reading_counters(100400 + 500000, 540 + 1000); /* 5 kWh and 10 Wh in an hour */
    meter_accept(meter, &reading, &result);
    assert_int_equal(result.values.energy_uwh.value, (400 + 500000) * INT64_C(10000));
    assert_int_equal(result.values.energy_produced_uwh.value, (40 + 1000) * INT64_C(10000));
    meter_free(meter);
}

/* A counter that restarts small, and is soon where the old one could be, counts on; a glitch stands still. */
static void test_small_counters(void **state)
{
    (void)state;
    static const struct {
        double shows[6];
        double total;
    } table[] = {
        {{0.010, 0.016, 0.000, 0.010, 0.021, 0.031}, 0.006 + 0.031},
        {{0.010, 0.016, 0.000, 0.000, 0.021, 0.031}, 0.006 + 0.015},
        {{0.010, 0.016, 0.000, 0.021, 0.025, 0.031}, 0.006 + 0.015},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct bench bench;
        begin(&bench, "tasmota");
        for (size_t n = 0; n < 6; n++) {
            char payload[100];
            mapping_trial_wait(bench.trial, 10000);
            (void)snprintf(payload, sizeof payload, "{\"ENERGY\":{\"Total\":%.3f}}",
                           table[i].shows[n]);
            say(&bench, "tele/m/SENSOR", payload);
        }
        assert_true(llabs(bench.drawn_uwh[0] - llround(table[i].total * 1e9)) < 10000);
        end(&bench);
    }
}

static int64_t drawn_at(struct meter *meter, int64_t boot_ms, int64_t counter)
{
    struct meter_result result;
    const struct reading reading = {.present = READING_ENERGY,
                                    .boot_ms = boot_ms,
                                    .wall_ms = 1790000000000 + boot_ms,
                                    .energy = reading_counters(counter, 0)};
    meter_accept(meter, &reading, &result);
    return result.values.energy_uwh.value;
}

/* Steps that are each small enough, but together more than 80 A can draw; up, and up from a fall again. */
static void test_leaps(void **state)
{
    (void)state;
    const int64_t most_mw = 80 * 230 * 1200, slack_s = 10, slack_uwh = 20000000; /* with headroom */
    for (int falls = 0; falls < 2; falls++) {
        struct meter *meter = new_meter(false);
        int64_t boot_ms = 100000, counter = 100000000,
                drawn_uwh = drawn_at(meter, boot_ms, counter);
        assert_int_equal(drawn_uwh, 0);
        for (int leap = 1; leap <= 600; leap++) {
            if (falls && leap % 5 == 0)
                counter -= 50000;
            for (int repeated = 0; repeated < 3; repeated++)
                drawn_uwh = drawn_at(meter, boot_ms += 100, counter += repeated * 3000);
            int64_t ms = boot_ms - 100000 + slack_s * 1000;
            assert_true(drawn_uwh <= most_mw * ms / 3600 + slack_uwh);
        }
        assert_true(drawn_uwh > slack_uwh);
        meter_free(meter);
    }
}

/* Five minutes at 15 kW that the broker held back, delivered at once: each message is late but true. */
static void test_messages_held_back(void **state)
{
    (void)state;
    struct meter *meter = new_meter(false);
    int64_t boot_ms = 0, counter = 5000000, drawn_uwh = 0;
    for (int i = 0; i < 60; i++)
        drawn_uwh = drawn_at(meter, boot_ms += 10000, counter += 4166);
    assert_int_equal(drawn_uwh, INT64_C(59) * 4166 * 10000);
    boot_ms += 290000;
    for (int i = 0; i < 30; i++)
        drawn_uwh = drawn_at(meter, boot_ms += 10, counter += 4166);
    assert_int_equal(drawn_uwh, INT64_C(89) * 4166 * 10000);
    meter_free(meter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in),        cmocka_unit_test(test_files_that_are_wrong),
        cmocka_unit_test(test_values),          cmocka_unit_test(test_counters),
        cmocka_unit_test(test_announced_reset), cmocka_unit_test(test_totals_begin_at_the_meter),
        cmocka_unit_test(test_restart),         cmocka_unit_test(test_small_counters),
        cmocka_unit_test(test_leaps),           cmocka_unit_test(test_messages_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
