/* SPDX-License-Identifier: MIT */
/* bridge/device/publish_policy: tables of offered values, and when each is published. */
#include "bridge/device/publish_policy.h"
#include "bridge/device/state.h"
#include "drivers/base/memory.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define UNKNOWN INT64_MIN
#define URGENT 1
#define STEPS 12

/* A value from a second on; the policy is offered it every second, and asked. */
struct step {
    int64_t second, value;
    int urgent;
};

struct row {
    const char *name;
    struct publish_rules rules;
    struct step steps[STEPS]; /* value 0 at second 0 unless given */
    int64_t published[STEPS]; /* seconds, ends with -1 */
    int64_t until;
};

static const struct row rows[] = {
    {"a value that does not change is published each minute",
     {0},
     {{0, 100, 0}},
     {0, 60, 120, -1},
     130},
    {"a step is published at once if nothing was for 5 s",
     {0},
     {{0, 100, 0}, {20, 200, 0}},
     {0, 20, 80, -1},
     100},
    {"steps in a row: one each 5 s, and the last stands",
     {0},
     {{0, 100, 0}, {2, 200, 0}, {4, 300, 0}, {6, 400, 0}, {7, 500, 0}},
     {0, 5, 10, 70, -1},
     75},
    {"a change within the deadband is held back until it has rested",
     {0},
     {{0, 100, 0}, {20, 108, 0}},
     {0, 30, 90, -1},
     95},
    {"creeping changes are published when they rest or add up to the deadband",
     {0},
     {{0, 100, 0}, {6, 106, 0}, {12, 112, 0}, {18, 118, 0}, {24, 124, 0}},
     {0, 10, 18, 34, -1},
     90},
    {"a problem is published at once, and so is the next",
     {0},
     {{0, 100, 0}, {2, 100, URGENT}, {3, 100, URGENT}},
     {0, 2, 3, 63, -1},
     70},
    {"what becomes unknown has moved",
     {0},
     {{0, 100, 0}, {9, UNKNOWN, 0}, {11, 100, 0}},
     {0, 9, 14, 74, -1},
     80},
    {"a step back within 5 s is no reason, as the readers have that value",
     {0},
     {{0, 100, 0}, {2, 300, 0}, {4, 100, 0}},
     {0, 60, -1},
     70},
    {"a report interval is kept, changed or not",
     {.report_interval_ms = 7000},
     {{0, 100, 0}, {8, 900, 0}},
     {0, 7, 14, 21, -1},
     27},
    {"a report interval, and something urgent",
     {.report_interval_ms = 30000},
     {{0, 100, 0}, {8, 100, URGENT}},
     {0, 8, 38, -1},
     45},
    {"intervals of the user",
     {.min_interval_ms = 10000, .max_interval_ms = 20000},
     {{0, 100, 0}, {3, 200, 0}, {4, 300, 0}},
     {0, 10, 30, -1},
     45},
    {"a large value goes from end to end",
     {0},
     {{0, INT64_MAX, 0}, {10, -INT64_MAX, 0}},
     {0, 10, -1},
     50},
};

static struct publish_value value_of(int64_t value)
{
    return (struct publish_value){.known = value != UNKNOWN, .value = value, .deadband = 10};
}

static void play(const struct row *row)
{
    struct publish_policy *policy = publish_policy_create(&row->rules, 1);
    assert_false(publish_policy_due(policy, 0));
    size_t step = 0, next = 0;
    struct publish_value value = value_of(0);
    for (int64_t second = 0; second <= row->until; second++) {
        bool urgent = false;
        if (step < STEPS && row->steps[step].second == second) {
            value = value_of(row->steps[step].value);
            urgent = row->steps[step++].urgent == URGENT;
        }
        publish_policy_offer(policy, second * 1000, &value, urgent);
        if (!publish_policy_due(policy, second * 1000))
            continue;
        publish_policy_published(policy, second * 1000);
        if (row->published[next] != second)
            fail_msg("%s: published at second %lld instead of %lld", row->name, (long long)second,
                     (long long)row->published[next]);
        next++;
    }
    if (row->published[next] != -1)
        fail_msg("%s: nothing at second %lld", row->name, (long long)row->published[next]);
    publish_policy_free(policy);
}

static void test_rows(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(rows); i++)
        play(&rows[i]);
}

/* Whatever the values do: never two within 5 s, never more than 60 s without, and 15 s after they came to
 * rest, exactly or within the deadbands, the last value stands. */
static void test_random_walks(void **unused)
{
    (void)unused;
    uint64_t dice = 88172645463325252u;
    for (int round = 0; round < 400; round++) {
        const struct publish_rules rules = {0};
        struct publish_policy *policy = publish_policy_create(&rules, 2);
        struct publish_value values[2] = {{true, 0, 10}, {true, 0, INT64_MAX}};
        int64_t last_s = -1, shown = -1;
        for (int64_t second = 0; second < 300; second++) {
            dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
            int64_t walk = (int64_t)(dice % 41) - 20;
            if (second < 150 && dice % 3 == 0)
                values[0].value += walk;
            bool noise = round % 2 == 0 && second >= 150;
            if (noise)
                values[0].value += (second % 2 == 0) ? 4 : -4;
            publish_policy_offer(policy, second * 1000, values, false);
            if (publish_policy_due(policy, second * 1000)) {
                assert_true(last_s < 0 || second - last_s >= 5);
                publish_policy_published(policy, second * 1000);
                last_s = second;
                shown = values[0].value;
            }
            assert_true(second - last_s <= 60);
            if (second >= 165)
                assert_true(llabs(shown - values[0].value) <= (noise ? 10 : 0));
        }
        publish_policy_free(policy);
    }
}

/* ---- What Home Assistant's recorder gets ---- */

/* A household of two circuits for some hours, a reading a second: a base load with a fridge, a kettle, an
 * oven that switches, a heat pump, and mains that wander. Values as a chip shows them, with its noise. */
struct household {
    uint64_t dice;
    double voltage, base_w, energy_uwh[2];
};

static double noise(struct household *house)
{
    house->dice ^= house->dice << 13, house->dice ^= house->dice >> 7,
        house->dice ^= house->dice << 17;
    return (double)(house->dice % 2001) / 1000 - 1;
}

static void live(struct household *house, int64_t second, struct channel_values values[2])
{
    int64_t minute = second / 60 % 60;
    house->voltage += noise(house) * 0.05 + (231 - house->voltage) * 0.001;
    house->base_w += noise(house) * 2 + (180 - house->base_w) * 0.001;
    double a = house->base_w + (minute % 30 < 9 ? 95 : 0);            /* fridge */
    a += minute == 12 || minute == 13 ? 2050 : 0;                     /* kettle */
    a += minute >= 40 && minute < 55 && second % 90 < 35 ? 2300 : 0;  /* oven */
    double b = second / 600 % 2 == 0 ? 1400 + 60 * noise(house) : 12; /* heat pump */
    const double watts[2] = {a + noise(house), b + noise(house)};
    for (int i = 0; i < 2; i++) {
        double volts = house->voltage + noise(house) * 0.1, amperes = watts[i] / volts / 0.97;
        house->energy_uwh[i] += watts[i] / 3.6 * 1e3;
        values[i] = (struct channel_values){
            .voltage_mv = {true, (int64_t)(volts * 1e3)},
            .current_ma = {true, (int64_t)(amperes * 1e3)},
            .power_mw = {true, (int64_t)(watts[i] * 1e3)},
            .power_apparent_mva = {true, (int64_t)(volts * amperes * 1e3)},
            .power_factor_permille = {true, 970 + (int64_t)(noise(house) * 2)},
            .frequency_mhz = {true, 50000 + (int64_t)(noise(house) * 20)},
            .energy_uwh = {true, (int64_t)house->energy_uwh[i]},
            .energy_produced_uwh = {true, 0},
        };
    }
}

/* Rows: how many keys of entities that are enabled have another value than in the message before. */
struct rows {
    json_t *before, *now;
    unsigned count;
};

static void count_row(void *context, const struct property *property, int channel, const char *key)
{
    (void)channel;
    struct rows *seen = context;
    if (property->enabled &&
        !json_equal(json_object_get(seen->before, key), json_object_get(seen->now, key)))
        seen->count++;
}

static void test_rows_of_a_household(void **unused)
{
    (void)unused;
    static const char *const names[] = {"a", "b"};
    const struct device_description device = {
        .id = "house", .channel_count = 2, .channel_names = names, .interval_ms = 1000};
    const struct publish_rules rules = {.reading_ms = 1000};
    size_t count = device_state_value_count(&device);
    struct publish_value *values = memory_new(count, sizeof *values);
    struct publish_policy *policy = publish_policy_create(&rules, count);
    struct household house = {.dice = 88172645463325252u, .voltage = 231, .base_w = 180};
    struct rows seen = {.before = json_object()};
    unsigned published = 0;
    const int64_t hours = 6;
    int64_t late_ms = 0, step_ms = -1;
    for (int64_t second = 0; second < hours * 3600; second++) {
        struct channel_values channels[2];
        live(&house, second, channels);
        const struct device_state state = {.channels = channels};
        device_state_values(&device, &state, values);
        publish_policy_offer(policy, second * 1000, values, false);
        if (second % 3600 == 12 * 60) /* the kettle is switched on */
            step_ms = second * 1000;
        if (!publish_policy_due(policy, second * 1000))
            continue;
        publish_policy_published(policy, second * 1000);
        published++;
        if (step_ms >= 0 && second * 1000 - step_ms > late_ms)
            late_ms = second * 1000 - step_ms;
        step_ms = -1;
        char buffer[4096];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        device_state_json(&device, &state, &text);
        seen.now = json_loadb(buffer, text.length, 0, NULL);
        assert_non_null(seen.now);
        properties_visit(&device, count_row, &seen);
        json_decref(seen.before);
        seen.before = seen.now;
    }
    json_decref(seen.before);
    publish_policy_free(policy);
    free(values);
    printf("figure: household: %u states and %u rows an hour; a step is shown within %d ms\n",
           published / (unsigned)hours, seen.count / (unsigned)hours, (int)late_ms);
    assert_true(seen.count / (unsigned)hours < 1500);
    assert_true(late_ms <= 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_random_walks),
        cmocka_unit_test(test_rows_of_a_household),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
