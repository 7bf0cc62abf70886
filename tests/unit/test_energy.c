/* SPDX-License-Identifier: MIT */
/* bridge/meter/energy: every rule about the counter as a table of readings and their outcome. */
#include "bridge/meter/direction.h"
#include "bridge/meter/energy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TOP (1 << 24)
#define DAY 86400
#define WALL_S INT64_C(1790000000) /* September 2026 */
#define RATE 20.0                  /* counts per second; one second allows 23 with the slack */

enum {
    N = ENERGY_NOTHING,
    W = ENERGY_WRAPPED,
    R = ENERGY_RESTARTED,
    X = ENERGY_REJECTED,
    G = ENERGY_GLITCH,
    D = ENERGY_DISPUTED,
    F = 0x100 /* flagged by the driver as the first after a restart; nothing is reported */
};

struct step {
    int64_t second;  /* since boot; -1 ends the table */
    int64_t counter; /* -1: reading without a counter */
    int total;       /* counts credited after it, all in all */
    int verdict;
};

struct history {
    const char *name;
    struct step steps[16];
};

/* Ends a table; the measured power makes that many counts in 10 s. */
#define END_AT(counts_in_10_s)                                                                     \
    {                                                                                              \
        -1, counts_in_10_s, 0, 0                                                                   \
    }
#define END END_AT(0)

static struct energy_sample sample_at(int64_t second, int64_t counter)
{
    return (struct energy_sample){.wall_ms = (WALL_S + second) * 1000,
                                  .boot_ms = second * 1000,
                                  .counter_known = counter >= 0,
                                  .counter = counter,
                                  .power_known = true,
                                  .power = 1};
}

static int64_t total_of(struct energy_counter *counter)
{
    const struct energy_state *state = energy_counter_state(counter);
    return state->imported + state->exported;
}

static double rate_of(const struct history *history)
{
    const struct step *step = history->steps;
    while (step->second >= 0)
        step++;
    return (double)step->counter / 10;
}

static void play(struct energy_counter *counter, const struct history *history)
{
    double rate = rate_of(history);
    for (const struct step *step = history->steps; step->second >= 0; step++) {
        struct energy_sample sample = sample_at(step->second, step->counter);
        sample.restarted = step->verdict == F;
        sample.power = rate;
        int verdict = step->verdict == F ? N : step->verdict;
        struct energy_outcome outcome;
        energy_counter_accept(counter, &sample, &outcome);
        if (total_of(counter) != step->total || (int)outcome.verdict != verdict)
            fail_msg(
                "%s: second %lld, counter %lld: total %lld (wanted %d), verdict %d (wanted %d)",
                history->name, (long long)step->second, (long long)step->counter,
                (long long)total_of(counter), step->total, (int)outcome.verdict, verdict);
    }
}

/* ---- A machine that stays up --------------------------------------------------------------- */

static const struct history fresh[] = {
    {"a channel never seen begins at the first of three agreeing readings",
     {{100, 5000, 0, N},
      {101, 5001, 0, N},
      {102, 5002, 1, N},
      {103, 5003, 2, N},
      {104, 5003, 3, N},
      {105, 5003, 3, N},
      END_AT(10)}},
    {"long intervals",
     {{100, 5000, 0, N},
      {160, 5600, 0, N},
      {220, 6200, 600, N},
      {280, 6800, 1200, N},
      END_AT(100)}},
    {"of the first step no more is believed than the power makes",
     {{100, 5000, 0, N}, {101, 5010, 0, N}, {102, 5011, 2, N}, {103, 5013, 3, N}, END_AT(25)}},
    {"a power that says more changes nothing",
     {{100, 5000, 0, N}, {101, 5001, 0, N}, {102, 5001, 1, N}, END_AT(150)}},
    {"across the wrap",
     {{100, TOP - 2, 0, N}, {101, 3, 0, N}, {102, 8, 5, N}, {103, 8, 10, N}, END_AT(50)}},
    {"the first reading is a glitch upwards",
     {{100, 5001, 0, N},
      {101, 5000, 0, N},
      {102, 5000, 0, N},
      {103, 5000, 0, N},
      {104, 5000, 0, N},
      END}},
    {"the first reading is a glitch downwards",
     {{100, 4999, 0, N}, {101, 5000, 0, N}, {102, 5000, 0, N}, {103, 5000, 0, N}, END}},
    {"the second reading is a glitch",
     {{100, 5000, 0, N},
      {101, 5002, 0, N},
      {102, 5000, 0, N},
      {103, 5000, 0, N},
      {104, 5000, 0, N},
      {105, 5000, 0, N},
      END}},
    {"the third reading is a glitch",
     {{100, 5000, 0, N},
      {101, 5000, 0, N},
      {102, 5128, 0, N},
      {103, 5001, 0, N},
      {104, 5001, 0, N},
      {105, 5002, 0, N},
      {106, 5002, 1, N},
      END}},
    {"a power-on dump showed 0x800000: only a baseline",
     {{100, 0x800000, 0, N},
      {101, 0x800000, 0, N},
      {102, 0x800000, 0, N},
      {103, 0x800001, 0, N},
      {104, 0x800001, 1, N},
      END}},
};

/* Each begins with a baseline of 100 counts at second 1000, and the same pending at 1001. */
static const struct history running[] = {
    {"nothing happens", {{1002, 100, 0, N}, {1003, 100, 0, N}, END}},
    {"counts are credited when the next reading agrees",
     {{1002, 105, 0, N}, {1003, 105, 5, N}, {1004, 110, 5, N}, {1005, 128, 10, N}, END}},
    {"the fastest there is",
     {{1002, 123, 0, N}, {1003, 143, 23, N}, {1004, 163, 43, N}, {1005, 163, 63, N}, END}},
    {"the slack is not given anew with each step",
     {{1002, 123, 0, N},
      {1003, 146, 23, N},
      {1004, 169, 23, X},
      {1005, 192, 46, N},
      {1006, 215, 46, N},
      {1007, 235, 69, N},
      END}},
    {"one bit up: equal-sum double flips pass the checksum",
     {{1002, 101, 0, N}, {1003, 100, 0, G}, {1004, 100, 0, N}, {1005, 100, 0, N}, END}},
    {"a plausible +16", {{1002, 116, 0, N}, {1003, 100, 0, G}, {1004, 100, 0, N}, END}},
    {"a glitch up while counting: the truth was 101",
     {{1002, 103, 0, N}, {1003, 102, 0, G}, {1004, 103, 2, N}, END}},
    {"a glitch up that the truth overtakes at once is as good as the truth",
     {{1002, 102, 0, N}, {1003, 102, 2, N}, {1004, 102, 2, N}, END}},
    {"one bit down",
     {{1002, 96, 0, N}, {1003, 100, 0, G}, {1004, 101, 0, N}, {1005, 101, 1, N}, END}},
    {"one bit down, and the next one counts on from there only in appearance",
     {{1002, 99, 0, N}, {1003, 100, 0, G}, {1004, 100, 0, N}, END}},
    {"the highest bit", {{1002, 100 ^ 0x800000, 0, N}, {1003, 100, 0, G}, {1004, 100, 0, N}, END}},
    {"zero for once",
     {{1002, 0, 0, N}, {1003, 100, 0, G}, {1004, 101, 0, N}, {1005, 101, 1, N}, END}},
    {"all ones for once",
     {{1002, TOP - 1, 0, N}, {1003, 100, 0, G}, {1004, 101, 0, N}, {1005, 101, 1, N}, END}},
    {"two glitches in a row that do not agree",
     {{1002, 164, 0, N}, {1003, 4196, 0, N}, {1004, 101, 0, G}, {1005, 102, 1, N}, END}},
    {"two equal glitches in a row",
     {{1002, 1124, 0, N}, {1003, 1124, 0, N}, {1004, 101, 0, G}, {1005, 102, 1, N}, END}},
    {"every second reading is a glitch",
     {{1002, 900, 0, N},
      {1003, 101, 0, G},
      {1004, 900, 0, N},
      {1005, 102, 0, G},
      {1006, 900, 0, N},
      {1007, 103, 0, G},
      {1008, 103, 3, N},
      END}},
    {"noise only: told once, and the truth afterwards",
     {{1002, 70000, 0, N},
      {1003, 3000000, 0, N},
      {1004, 600, 0, D},
      {1005, 14000000, 0, N},
      {1006, 90000, 0, N},
      {1007, 107, 0, G},
      {1008, 108, 7, N},
      END}},
    {"silence, and the counter went on", {{1602, 6100, 0, N}, {1603, 6101, 6000, N}, END}},
    {"silence, and a glitch as the first reading after it",
     {{1602, 8100, 0, N}, {1603, 6101, 0, G}, {1604, 6102, 6001, N}, END}},
    {"silence, and a glitch just below the truth: the rest comes one reading later",
     {{1602, 6096, 0, N}, {1603, 6101, 5996, N}, {1604, 6102, 6001, N}, END}},
    {"readings without a counter change nothing",
     {{1002, 105, 0, N}, {1003, -1, 0, N}, {1004, 105, 5, N}, END}},
    {"a counter beyond 24 bit is no counter",
     {{1002, 105, 0, N}, {1003, TOP, 0, N}, {1004, 105, 5, N}, END}},
    {"an impossible jump that stays: nothing is credited, counting goes on from there",
     {{1002, 60000, 0, N}, {1003, 60001, 0, N}, {1004, 60002, 0, X}, {1005, 60003, 1, N}, END}},
    {"... from the first reading after the jump",
     {{1002, 60000, 0, N},
      {1003, 60007, 0, N},
      {1004, 60014, 7, X},
      {1005, 60021, 14, N},
      END_AT(70)}},
};

static void test_fresh_channel(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof fresh / sizeof fresh[0]; i++) {
        struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "boot", NULL);
        play(counter, &fresh[i]);
        energy_counter_free(counter);
    }
}

static struct energy_state baseline(int64_t value)
{
    return (struct energy_state){.known = true,
                                 .counter = value,
                                 .counter_boot_ms = 1000000,
                                 .counter_wall_ms = (WALL_S + 1000) * 1000,
                                 .boot_id = "boot"};
}

static struct energy_counter *counter_at(int64_t value)
{
    struct energy_state state = baseline(value);
    struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "boot", &state);
    struct energy_sample sample = sample_at(1001, value);
    struct energy_outcome outcome;
    energy_counter_accept(counter, &sample, &outcome);
    assert_int_equal(total_of(counter), 0);
    return counter;
}

static void play_all(const struct history *histories, size_t count, int64_t value)
{
    for (size_t i = 0; i < count; i++) {
        struct energy_counter *counter = counter_at(value);
        play(counter, &histories[i]);
        energy_counter_free(counter);
    }
}

static void test_running(void **unused)
{
    (void)unused;
    play_all(running, sizeof running / sizeof running[0], 100);
}

/* Every single and double bit flip of one reading, while counting: the total does not notice. */
static void test_any_flip_of_one_reading(void **unused)
{
    (void)unused;
    static const int64_t starts[] = {0, 3, 100, 5000, 0x7ffff0, 0x800000, TOP - 30, TOP - 2};
    unsigned tried = 0;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        for (int first = 0; first < 24; first++)
            for (int second = first; second < 24; second++) {
                int64_t mask = (1 << first) | (1 << second);
                struct energy_counter *counter = counter_at(starts[i]);
                for (int64_t t = 1002; t <= 1010; t++) {
                    int64_t truth = (starts[i] + (t - 1001)) % TOP;
                    struct energy_sample sample = sample_at(t, t == 1004 ? truth ^ mask : truth);
                    struct energy_outcome outcome;
                    energy_counter_accept(counter, &sample, &outcome);
                    if (total_of(counter) > t - 1001)
                        fail_msg("start %lld, bits %d and %d: %lld counts at second %lld",
                                 (long long)starts[i], first, second, (long long)total_of(counter),
                                 (long long)t);
                }
                if (total_of(counter) != 8)
                    fail_msg("start %lld, bits %d and %d: %lld counts instead of 8",
                             (long long)starts[i], first, second, (long long)total_of(counter));
                energy_counter_free(counter);
                tried++;
            }
    print_message("%u flips\n", tried);
}

/* ---- Wraps and restarts -------------------------------------------------------------------- */

static const struct history near_top[] = {
    {"the sheet's wrap pair FFFFFE -> 000003 is five counts",
     {{1002, 3, 0, N}, {1003, 3, 5, W}, {1004, 4, 5, N}, {1005, 4, 6, N}, END}},
    {"a wrap with a glitch in it",
     {{1002, 3 | 0x10000, 0, N}, {1003, 4, 0, G}, {1004, 5, 6, W}, END}},
    {"a wrap during silence", {{1102, 1000, 0, N}, {1103, 1001, 1002, W}, END}},
    {"a wrap in an hour", {{4602, 50000, 0, N}, {4603, 50001, 50002, W}, END}},
    {"a flagged restart is none of it: what it shows was counted since",
     {{1002, 3, 0, F}, {1003, 3, 0, N}, {1004, 4, 3, R}, {1005, 4, 4, N}, END}},
    {"after six days without a reading a lower counter is a restart",
     {{1002 + 6 * DAY, 1000, 0, N},
      {1003 + 6 * DAY, 1000, 0, N},
      {1004 + 6 * DAY, 1000, 1000, R},
      END}},
};

static const struct history from_50000[] = {
    {"the chip restarts",
     {{1002, 0, 0, N}, {1003, 1, 0, N}, {1004, 2, 1, R}, {1005, 3, 2, N}, END}},
    {"the chip restarts and the driver noticed",
     {{1002, 0, 0, F}, {1003, 1, 0, N}, {1004, 2, 1, R}, {1005, 3, 2, N}, END}},
    {"the last reading before the restart is not confirmed and not credited",
     {{1002, 50007, 0, N}, {1003, 0, 0, N}, {1004, 0, 0, N}, {1005, 0, 0, R}, END}},
    {"a glitch on the reading after the restart",
     {{1002, 4096, 0, N}, {1003, 1, 0, N}, {1004, 2, 0, N}, {1005, 3, 2, R}, END}},
    {"a restart during silence: what it counted since then is credited",
     {{1602, 7000, 0, N}, {1603, 7001, 0, N}, {1604, 7002, 7001, R}, END}},
    {"a restart during silence, but more than can have been counted",
     {{1602, 40000, 0, N}, {1603, 40001, 0, N}, {1604, 40002, 0, X}, {1605, 40003, 1, N}, END}},
    {"restarted at 0x800000, as a dump has shown: nothing is credited",
     {{1002, 0x800000, 0, N},
      {1003, 0x800000, 0, N},
      {1004, 0x800001, 0, X},
      {1005, 0x800001, 1, N},
      END}},
    {"flagged, but the counter went on: it goes on",
     {{1002, 50001, 0, F}, {1003, 50002, 1, N}, {1004, 50003, 2, N}, END}},
    {"two restarts in a row",
     {{1002, 0, 0, N}, {1003, 3, 0, N}, {1004, 0, 0, N}, {1005, 1, 0, N}, {1006, 2, 1, R}, END}},
    {"an unflagged restart after which the counter is past the baseline: only the difference",
     {{1002 + 3600, 60000, 0, N}, {1003 + 3600, 60001, 10000, N}, END}},
    {"the same flagged: all of it",
     {{1002 + 3600, 60000, 0, F}, {1003 + 3600, 60001, 0, N}, {1004 + 3600, 60001, 60001, R}, END}},
};

static void test_wraps(void **unused)
{
    (void)unused;
    play_all(near_top, sizeof near_top / sizeof near_top[0], TOP - 2);
}

static void test_restarts(void **unused)
{
    (void)unused;
    play_all(from_50000, sizeof from_50000 / sizeof from_50000[0], 50000);
}

/* ---- A restart that the driver knows of outlives a kill ------------------------------------- */

struct forgetful {
    const char *name;
    int64_t
        baseline; /* at second 1000; killed after the readings before, goes on with those after */
    struct step before[4];
    int64_t stored; /* the counter of the state that is on disk then */
    struct step after[5];
};

static const struct forgetful forgetful[] = {
    {"near the top: not a wrap",
     TOP - 2,
     {{1002, 3, 0, F}, END},
     0,
     {{1005, 9, 0, N}, {1006, 10, 9, N}, {1007, 10, 10, N}, END}},
    {"killed with two readings that agree",
     TOP - 2,
     {{1002, 3, 0, F}, {1003, 4, 0, N}, END},
     0,
     {{1005, 9, 0, N}, {1006, 10, 9, N}, END}},
    {"the baseline has moved: it is the one",
     TOP - 2,
     {{1002, 3, 0, F}, {1003, 4, 0, N}, {1004, 5, 4, R}, END},
     4,
     {{1005, 9, 4, N}, {1006, 10, 9, N}, END}},
    {"past the baseline when it is read again: the baseline's own value is not missing",
     50,
     {{1002, 3, 0, F}, END},
     0,
     {{1062, 70, 0, N}, {1063, 71, 70, N}, END}},
    {"the flagged reading's counter is misread: the flag is known all the same",
     TOP - 2,
     {{1002, 0x4003, 0, F}, END},
     0,
     {{1005, 9, 0, N}, {1006, 10, 9, N}, END}},
    {"a glitch after the flag, and one after the kill",
     TOP - 2,
     {{1002, 3, 0, F}, {1003, 0x4004, 0, N}, END},
     0,
     {{1005, 0x400009, 0, N}, {1006, 10, 0, G}, {1007, 10, 10, N}, END}},
    {"it restarts once more while the service is down",
     TOP - 2,
     {{1002, 3, 0, F}, END},
     0,
     {{1602, 1, 0, N}, {1603, 2, 1, N}, {1604, 2, 2, N}, END}},
    {"... and that is flagged, too",
     TOP - 2,
     {{1002, 3, 0, F}, END},
     0,
     {{1602, 1, 0, F}, {1603, 2, 0, N}, {1604, 2, 2, N}, END}},
    {"flagged, but the counter went on: the flag is not believed, nor stored",
     50000,
     {{1002, 50001, 0, F}, END},
     50000,
     {{1005, 50002, 0, N}, {1006, 50002, 2, N}, END}},
    {"more than can have been counted since: nothing is credited",
     50000,
     {{1002, 3, 0, F}, END},
     0,
     {{1005, 400, 0, N}, {1006, 400, 0, N}, {1007, 400, 0, X}, END}},
};

static void test_a_known_restart_outlives_a_kill(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof forgetful / sizeof forgetful[0]; i++) {
        const struct forgetful *row = &forgetful[i];
        struct history history = {.name = row->name};
        struct energy_counter *counter = counter_at(row->baseline);
        memcpy(history.steps, row->before, sizeof row->before);
        play(counter, &history);
        struct energy_state stored;
        energy_counter_stored(counter, &stored);
        energy_counter_free(counter);
        if (stored.counter != row->stored)
            fail_msg("%s: %lld was stored", row->name, (long long)stored.counter);

        counter = energy_counter_create(READING_BL0942, RATE, "boot", &stored);
        memcpy(history.steps, row->after, sizeof row->after);
        play(counter, &history);
        energy_counter_free(counter);
    }
}

/* Killed or not, the same is credited in the end; whatever the baseline, and whenever it is. */
static void test_a_kill_changes_no_credit(void **unused)
{
    (void)unused;
    static const int64_t baselines[] = {0, 1, 20, 5000, 0x800000, TOP - 300, TOP - 20, TOP - 1};
    for (size_t i = 0; i < sizeof baselines / sizeof baselines[0]; i++)
        for (int killed_at = 1002; killed_at < 1009; killed_at++) {
            struct energy_counter *counter = counter_at(baselines[i]);
            for (int64_t t = 1002; t <= 1012; t++) {
                struct energy_sample sample = sample_at(t, (t - 1001) * 3);
                sample.restarted = t == 1002;
                struct energy_outcome outcome;
                energy_counter_accept(counter, &sample, &outcome);
                if (t != killed_at)
                    continue;
                struct energy_state stored;
                energy_counter_stored(counter, &stored);
                energy_counter_free(counter);
                counter = energy_counter_create(READING_BL0942, RATE, "boot", &stored);
            }
            assert_int_equal(total_of(counter), 30);
            energy_counter_free(counter);
        }
}

/* Told once that it should be on disk soon, and again only for another restart. */
static void test_what_is_to_be_stored_soon_is_told_once(void **unused)
{
    (void)unused;
    static const struct {
        int64_t counter;
        bool restarted, noted;
    } readings[] = {{3, true, true},   {4, false, false}, {5, false, false}, {6, false, false},
                    {0, true, true},   {1, false, false}, {0, true, false},  {1, false, false},
                    {2, false, false}, {3, false, false}, {4, true, true},   {5, false, false}};
    struct energy_counter *counter = counter_at(TOP - 2);
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++) {
        struct energy_sample sample = sample_at(1002 + (int64_t)i, readings[i].counter);
        sample.restarted = readings[i].restarted;
        struct energy_outcome outcome;
        energy_counter_accept(counter, &sample, &outcome);
        if (outcome.restart_noted != readings[i].noted)
            fail_msg("reading %zu: noted %d", i, outcome.restart_noted);
    }
    energy_counter_free(counter);
}

static void test_a_restart_said_before_its_reading(void **unused)
{
    (void)unused;
    struct energy_state stored;
    struct energy_outcome outcome;
    struct energy_counter *unseen = energy_counter_create(READING_BL0942, RATE, "boot", NULL);
    energy_counter_restarted(unseen); /* never seen: there is nothing to protect */
    energy_counter_stored(unseen, &stored);
    assert_false(stored.known);
    energy_counter_free(unseen);

    struct energy_counter *counter = counter_at(TOP - 2);
    energy_counter_restarted(counter);
    energy_counter_stored(counter, &stored);
    assert_int_equal(stored.counter, 0);
    assert_int_equal(stored.counter_boot_ms, 1000000);
    assert_int_equal(energy_counter_state(counter)->counter, TOP - 2);

    struct energy_sample sample = sample_at(1002, TOP - 1); /* it was not true: it went on */
    energy_counter_accept(counter, &sample, &outcome);
    energy_counter_stored(counter, &stored);
    assert_int_equal(stored.counter, TOP - 2);
    sample = sample_at(1003, TOP - 1);
    energy_counter_accept(counter, &sample, &outcome);
    assert_int_equal(total_of(counter), 1);
    energy_counter_free(counter);
}

/* A chip that has just started counts from 0: restart and glitch look alike, nothing may be added
 * that was not counted. */
/* A restart of a counter that stood at 0 loses nothing, so nobody is reported that it was 0 and is 0. */
static void test_restart_from_0_is_silent(void **unused)
{
    (void)unused;
    static const struct history from_0[] = {
        {"still 0", {{1002, 0, 0, F}, {1003, 0, 0, N}, {1004, 0, 0, N}, {1005, 0, 0, N}, END}},
        {"counting", {{1002, 1, 0, F}, {1003, 2, 0, N}, {1004, 3, 2, N}, {1005, 3, 3, N}, END}},
        {"again and again",
         {{1002, 0, 0, F},
          {1003, 0, 0, F},
          {1004, 0, 0, F},
          {1005, 1, 0, N},
          {1006, 2, 1, N},
          END}},
    };
    play_all(from_0, sizeof from_0 / sizeof from_0[0], 0);
}

static void test_restart_of_a_young_counter(void **unused)
{
    (void)unused;
    static const struct history young[] = {
        {"seen as a glitch, because the counter has passed the baseline",
         {{1002, 1, 0, N}, {1003, 4, 0, G}, {1004, 5, 1, N}, {1005, 6, 2, N}, END}},
        {"seen as a restart",
         {{1002, 0, 0, N}, {1003, 0, 0, N}, {1004, 1, 0, R}, {1005, 2, 1, N}, END}},
        {"flagged", {{1002, 1, 0, F}, {1003, 4, 0, N}, {1004, 5, 4, R}, {1005, 6, 5, N}, END}},
    };
    play_all(young, sizeof young / sizeof young[0], 3);
}

/* ---- Restarts of the service and of the machine --------------------------------------------- */

struct restart {
    const char *name;
    int64_t stored_counter;
    int64_t stored_wall_s; /* relative to WALL_S; -WALL_S is 1970 */
    bool same_boot;
    int64_t wall_s;       /* of second 0 of the new run, relative to WALL_S */
    int64_t uptime_s;     /* at the new run's first reading */
    int64_t counter;      /* first reading, then the same again */
    int total[3];         /* after each of three readings */
    int after_10_minutes; /* and after two more when the machine has been up that long */
};

static const struct restart restarts[] = {
    {"killed, started again after 5 s", 1000, 1000, true, 0, 1005, 1050, {0, 50, 50}, 50},
    {"killed, wall clock set back to 1970 meanwhile",
     1000,
     1000,
     true,
     -WALL_S,
     1005,
     1050,
     {0, 50, 50},
     50},
    {"killed, wall clock set forward by a year meanwhile: the boot clock rules",
     1000,
     1000,
     true,
     365 * DAY,
     1005,
     9000,
     {0, 0, 0},
     0},
    {"machine off for an hour", 1000, 1000, false, 4600, 30, 40000, {0, 39000, 39000}, 39000},
    {"machine off for an hour, with a wrap",
     TOP - 100,
     1000,
     false,
     4600,
     30,
     900,
     {0, 1000, 1000},
     1000},
    {"machine and chip off for an hour", 1000000, 1000, false, 4600, 30, 300, {0, 0, 300}, 300},
    {"1970 at boot, small step: being up so long explains it",
     1000,
     1000,
     false,
     -WALL_S,
     60,
     1500,
     {0, 500, 500},
     500},
    {"1970 at boot, large step: waits for the clock; without one 5 days are possible",
     1000,
     1000,
     false,
     -WALL_S,
     60,
     41000,
     {0, 0, 0},
     40000},
    {"1970 at boot, machine and chip were off",
     1000000,
     1000,
     false,
     -WALL_S,
     60,
     300,
     {0, 0, 300},
     300},
    {"1970 at boot, lower counter, too much to have been counted meanwhile: a restart within 5 "
     "days",
     1000000,
     1000,
     false,
     -WALL_S,
     60,
     400000,
     {0, 0, 0},
     400000},
    {"1970 at boot, another chip: nothing phantom",
     1000,
     1000,
     false,
     -WALL_S,
     60,
     9000000,
     {0, 0, 0},
     0},
    {"stored in 1970, right clock now", 1000, -WALL_S, false, 0, 60, 41000, {0, 0, 0}, 40000},
    {"clock behind the stored one", 1000, 1000, false, 500, 60, 41000, {0, 0, 0}, 40000},
    {"believable clock, impossible step", 1000, 1000, false, 1100, 60, 41000, {0, 0, 0}, 0},
    {"no clock, wrap or restart: restart",
     TOP - 100,
     1000,
     false,
     -WALL_S,
     700,
     50000,
     {0, 0, 50000},
     50000},
};

static void read_again(struct energy_counter *counter, const struct restart *restart,
                       int64_t uptime_s)
{
    struct energy_sample sample = sample_at(uptime_s, restart->counter);
    sample.wall_ms = (WALL_S + restart->wall_s + uptime_s) * 1000;
    struct energy_outcome outcome;
    energy_counter_accept(counter, &sample, &outcome);
}

static void test_service_and_machine_restarts(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof restarts / sizeof restarts[0]; i++) {
        const struct restart *restart = &restarts[i];
        struct energy_state state = baseline(restart->stored_counter);
        state.counter_wall_ms = (WALL_S + restart->stored_wall_s) * 1000;
        const char *boot_id = restart->same_boot ? "boot" : "another";
        struct energy_counter *counter =
            energy_counter_create(READING_BL0942, RATE, boot_id, &state);
        for (int k = 0; k < 3; k++) {
            read_again(counter, restart, restart->uptime_s + k);
            if (total_of(counter) != restart->total[k])
                fail_msg("%s: %lld after reading %d, wanted %d", restart->name,
                         (long long)total_of(counter), k + 1, restart->total[k]);
        }
        read_again(counter, restart, restart->uptime_s + 600);
        read_again(counter, restart, restart->uptime_s + 601);
        if (total_of(counter) != restart->after_10_minutes)
            fail_msg("%s: %lld at last, wanted %d", restart->name, (long long)total_of(counter),
                     restart->after_10_minutes);
        energy_counter_free(counter);
    }
}

/* The clock is set while a step waits: it is judged by the right time at once. */
static void test_clock_set_while_waiting(void **unused)
{
    (void)unused;
    struct energy_state state = baseline(1000);
    struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "another", &state);
    struct energy_outcome outcome;
    for (int64_t t = 30; t < 60; t++) {
        struct energy_sample sample = sample_at(t, 41000 + t);
        sample.wall_ms = t * 1000;
        energy_counter_accept(counter, &sample, &outcome);
        assert_int_equal(total_of(counter), 0);
        assert_int_equal(outcome.verdict, ENERGY_NOTHING);
    }
    struct energy_sample sample = sample_at(60, 41060);
    sample.wall_ms = (WALL_S + 1000 + 3600) * 1000;
    energy_counter_accept(counter, &sample, &outcome);
    assert_int_equal(total_of(counter), 40059);
    assert_true(outcome.after_gap);
    assert_true(outcome.gap_known);
    assert_int_equal(outcome.gap_ms, 3599 * 1000);
    energy_counter_free(counter);
}

/* While the machine runs the wall clock may step as it likes. */
static void test_wall_clock_steps_while_running(void **unused)
{
    (void)unused;
    static const int64_t steps_s[] = {-WALL_S, -DAY, 0, DAY, 3650 * DAY};
    for (size_t i = 0; i < sizeof steps_s / sizeof steps_s[0]; i++) {
        struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "boot", NULL);
        struct energy_outcome outcome;
        for (int64_t t = 0; t < 10; t++) {
            /* an impossible jump in the middle, which only another clock could explain */
            struct energy_sample sample = sample_at(5000 + t, t < 5 ? 700 + t : 60000 + t);
            sample.wall_ms += t < 5 ? 0 : steps_s[i] * 1000;
            energy_counter_accept(counter, &sample, &outcome);
            assert_int_equal(outcome.verdict, t == 7 ? ENERGY_REJECTED : ENERGY_NOTHING);
        }
        assert_int_equal(total_of(counter), 6);
        energy_counter_free(counter);
    }
}

/* A virtual machine put back to a snapshot: same boot id, earlier boot clock. */
static void test_boot_clock_behind_the_stored_one(void **unused)
{
    (void)unused;
    struct energy_state state = baseline(1000);
    struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "boot", &state);
    struct energy_outcome outcome;
    for (int64_t t = 0; t < 2; t++) {
        struct energy_sample sample = sample_at(50 + t, 5000);
        sample.wall_ms = (WALL_S + 1000 + 3600 + t) * 1000;
        energy_counter_accept(counter, &sample, &outcome);
    }
    assert_int_equal(total_of(counter), 4000);
    energy_counter_free(counter);
}

/* Flagged, and counted more than being up so long explains: not a step forward, but a restart that
 * waits for the clock. */
static void test_flagged_restart_waits_for_the_clock(void **unused)
{
    (void)unused;
    struct energy_state state = baseline(3832);
    struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "another", &state);
    struct energy_outcome outcome;
    for (int64_t t = 60; t < 70; t++) {
        struct energy_sample sample = sample_at(t, 5000);
        sample.restarted = t == 60;
        sample.wall_ms = t * 1000;
        energy_counter_accept(counter, &sample, &outcome);
        assert_int_equal(total_of(counter), 0);
    }
    struct energy_sample sample = sample_at(70, 5000);
    sample.wall_ms = (WALL_S + 1000 + 3600) * 1000;
    energy_counter_accept(counter, &sample, &outcome);
    assert_int_equal(outcome.verdict, ENERGY_RESTARTED);
    assert_int_equal(total_of(counter), 5000);
    energy_counter_free(counter);
}

/* Glitches while a step waits for the clock are no dispute: readings agreed in between. */
static void test_glitches_while_waiting(void **unused)
{
    (void)unused;
    struct energy_state state = baseline(1000);
    struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "another", &state);
    struct energy_outcome outcome;
    for (int64_t t = 30; t < 90; t++) {
        struct energy_sample sample = sample_at(t, t % 10 == 0 ? 9999999 : 41000);
        sample.wall_ms = t * 1000;
        energy_counter_accept(counter, &sample, &outcome);
        assert_int_equal(outcome.verdict, ENERGY_NOTHING);
    }
    energy_counter_free(counter);
}

static void test_state_is_complete(void **unused)
{
    (void)unused;
    struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "this-boot", NULL);
    struct energy_outcome outcome;
    for (int64_t t = 0; t < 4; t++) {
        struct energy_sample sample = sample_at(10 + t, 700 + t);
        energy_counter_accept(counter, &sample, &outcome);
        assert_int_equal(energy_counter_state(counter)->known, t >= 2);
    }
    const struct energy_state *state = energy_counter_state(counter);
    assert_int_equal(state->counter, 702);
    assert_int_equal(state->counter_boot_ms, 12000);
    assert_int_equal(state->counter_wall_ms, (WALL_S + 12) * 1000);
    assert_string_equal(state->boot_id, "this-boot");
    assert_int_equal(outcome.imported, 1);
    assert_int_equal(outcome.old_counter, 701);
    assert_int_equal(outcome.new_counter, 702);
    energy_counter_free(counter);
}

static void test_damaged_state_is_not_believed(void **unused)
{
    (void)unused;
    struct energy_state state = baseline(TOP + 5);
    state.imported = -7;
    state.exported = 9;
    state.base_imported_uwh = 1234;
    state.counter_boot_ms = INT64_MIN;
    memset(state.boot_id, 'b', sizeof state.boot_id);
    struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "boot", &state);
    const struct energy_state *own = energy_counter_state(counter);
    assert_false(own->known);
    assert_int_equal(own->imported, 0);
    assert_int_equal(own->exported, 9);
    assert_int_equal(own->base_imported_uwh, 1234); /* the past stays */
    static const struct history begins = {
        "begins anew", {{1, 50, 9, N}, {2, 51, 9, N}, {3, 52, 9, N}, {4, 53, 10, N}, END}};
    play(counter, &begins);
    energy_counter_free(counter);
}

static void test_unknown_boot_id(void **unused)
{
    (void)unused;
    struct energy_state state = baseline(1000);
    state.boot_id[0] = '\0';
    struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "", &state);
    static const struct history history = {
        "by wall clock", {{1010, 1050, 0, N}, {1011, 1051, 50, N}, {1012, 1052, 51, N}, END}};
    play(counter, &history);
    energy_counter_free(counter);
}

static void test_gaps_are_told(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        int64_t gap_s, interval_s;
        int counts;
        bool reported;
    } table[] = {
        {"every second", 1, 1, 5, false},
        {"every five minutes", 300, 300, 500, false},
        {"a minute missing", 60, 1, 50, false},
        {"more than a minute missing", 61, 1, 50, true},
        {"nothing counted", 3600, 1, 0, false},
        {"one of the five-minute readings missing", 600, 300, 50, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct energy_state state = baseline(100);
        struct energy_counter *counter =
            energy_counter_create(READING_BL0942, RATE, "boot", &state);
        struct energy_outcome outcome;
        for (int k = 0; k < 2; k++) {
            int64_t second = 1000 + table[i].gap_s + k * table[i].interval_s;
            struct energy_sample sample = sample_at(second, 100 + table[i].counts);
            energy_counter_accept(counter, &sample, &outcome);
        }
        assert_int_equal(outcome.imported, table[i].counts);
        if (outcome.after_gap != table[i].reported)
            fail_msg("%s", table[i].name);
        assert_int_equal(outcome.gap_ms, table[i].gap_s * 1000);
        energy_counter_free(counter);
    }
}

/* ---- Rates --------------------------------------------------------------------------------- */

/* The load is above what was configured: reported, and never more than was counted. */
static void test_load_above_the_configured_greatest(void **unused)
{
    (void)unused;
    struct energy_state state = baseline(0);
    struct energy_counter *counter = energy_counter_create(READING_BL0942, 1.0, "boot", &state);
    struct energy_outcome outcome;
    int64_t value = 0;
    unsigned reported = 0;
    for (int64_t t = 1001; t <= 1400; t++) {
        value += t <= 1100 ? 10 : 0;
        struct energy_sample sample = sample_at(t, value);
        energy_counter_accept(counter, &sample, &outcome);
        reported += outcome.verdict != ENERGY_NOTHING;
        if (t == 1100)
            assert_true(total_of(counter) < 110);
    }
    assert_true(total_of(counter) <= 1000);
    assert_true(reported >= 1 && reported <= 3);
    energy_counter_free(counter);
}

static void test_chip_limits_the_rate(void **unused)
{
    (void)unused;
    static const double rates[] = {1000.0, (double)INFINITY, (double)NAN};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct energy_state state = baseline(100);
        struct energy_counter *counter =
            energy_counter_create(READING_BL0942, rates[i], "boot", &state);
        static const struct history too_fast = {
            "over 20 per second", {{1001, 124, 0, N}, {1002, 100, 0, G}, {1003, 100, 0, N}, END}};
        play(counter, &too_fast);
        energy_counter_free(counter);
    }
}

/* ---- OpenBeken ----------------------------------------------------------------------------- */

/* Milliwatt hours; 22080 W are 6133 mWh per second, with the slack of 10 s and 2 Wh at least 63330. */
static const struct history openbeken[] = {
    {"it counts", {{1007, 500390, 0, N}, {1013, 500780, 390, N}, {1019, 500780, 780, N}, END}},
    {"a message each minute only",
     {{1062, 500390, 0, N}, {1123, 500780, 390, N}, {1184, 501170, 780, N}, END}},
    {"a late message, then two at once: nothing is lost",
     {{1040, 700000, 0, N},
      {1041, 770000, 200000, N},
      {1047, 770390, 200000, G},
      {1053, 770390, 270390, N},
      END}},
    {"it does not wrap: a chip restart taken for a wrap, 3269 kWh, is rejected",
     {{1007, 3269500000, 0, N},
      {1013, 3269500390, 0, N},
      {1019, 3269500780, 390, X},
      {1025, 3269500780, 780, N},
      END}},
    {"one message of another world is a glitch",
     {{1007, 3269500000, 0, N}, {1013, 500390, 0, G}, {1019, 500780, 390, N}, END}},
    {"a stored value a little lower after a power cut: the drop adds nothing, counting resumes",
     {{1007, 495000, 0, N},
      {1013, 495200, 0, N},
      {1019, 495400, 200, R},
      {1025, 495600, 400, N},
      END}},
    {"lower by 10 Wh, the most that is stored late",
     {{1007, 490000, 0, N},
      {1013, 490000, 0, N},
      {1019, 490200, 0, R},
      {1025, 490200, 200, N},
      END}},
    {"a power cut whose drop is hidden: what is above the old value counts",
     {{1037, 500389, 0, N}, {1043, 500974, 389, N}, {1049, 500974, 974, N}, END}},
    {"cleared by the user",
     {{1007, 200, 0, N}, {1013, 400, 0, N}, {1019, 600, 400, R}, {1025, 600, 600, N}, END}},
    {"cleared more than an hour before it was received again: nobody knows what is new",
     {{5000, 300, 0, N}, {5006, 700, 0, N}, {5012, 900, 400, X}, {5018, 900, 600, N}, END}},
    {"set to something lower by the user",
     {{1007, 460000, 0, N},
      {1013, 460200, 0, N},
      {1019, 460400, 200, X},
      {1025, 460400, 400, N},
      END}},
    {"set to something higher by the user",
     {{1007, 12346846, 0, N},
      {1013, 12349379, 0, N},
      {1019, 12351912, 2533, X},
      {1025, 12351912, 5066, N},
      END}},
    {"kWh taken for Wh, and back: neither step adds anything",
     {{1007, 502, 0, N},
      {1013, 503, 0, N},
      {1019, 504, 1, X},
      {1025, 510000, 2, N},
      {1031, 511000, 2, N},
      {1037, 512000, 1002, X},
      {1043, 512000, 2002, N},
      END}},
    {"the last bit of a float goes down and up again: nothing is counted twice",
     {{1007, 499999, 0, N},
      {1013, 500000, 0, N},
      {1019, 499999, 0, N},
      {1025, 500001, 0, N},
      {1031, 500001, 1, N},
      END}},
    {"whole Wh after mWh: a step back of less than 1 Wh is none",
     {{1007, 500900, 0, N},
      {1013, 500000, 900, N},
      {1019, 501000, 900, N},
      {1025, 501000, 1000, N},
      END}},
};

static void test_openbeken(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof openbeken / sizeof openbeken[0]; i++) {
        struct energy_state state = baseline(500000);
        struct energy_counter *counter =
            energy_counter_create(READING_OPENBEKEN, 5111.0, "boot", &state);
        struct energy_sample sample = sample_at(1001, 500000);
        struct energy_outcome outcome;
        energy_counter_accept(counter, &sample, &outcome);
        play(counter, &openbeken[i]);
        energy_counter_free(counter);
    }
}

/* Leaps of any size at any pace, while the measured load is known: in any time no more is credited
 * than the maximum load makes in it. 5111 mWh per second are 80 A at 230 V. */
static void test_leaps_are_bounded_over_time(void **unused)
{
    (void)unused;
    static const struct {
        int64_t leap_mwh, interval_ms;
        double load; /* mWh per second */
        int count;
    } table[] = {
        {16000, 1000, 0, 44},   {6000, 1000, 0, 44},   {7000, 1000, 0, 300},
        {8000, 1000, 100, 300}, {1500, 250, 0, 400},   {3000, 250, 0, 400},
        {40000, 6000, 0, 50},   {100000, 6000, 0, 50}, {400000, 61000, 0, 20},
        {8000, 1000, 5111, 99}, {2000, 100, 0, 1000},  {70000, 10000, 0, 60},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct energy_state state = baseline(500000);
        struct energy_counter *counter =
            energy_counter_create(READING_OPENBEKEN, 5111.0, "boot", &state);
        unsigned reported = 0;
        double rate = fmax(5111, 1.2 * table[i].load);
        for (int n = 1; n <= table[i].count; n++) {
            int64_t ms = n * table[i].interval_ms;
            struct energy_sample sample = sample_at(1000, 500000 + n * table[i].leap_mwh);
            sample.boot_ms += ms;
            sample.wall_ms += ms;
            sample.power = sample.load = table[i].load;
            sample.load_known = true;
            struct energy_outcome outcome;
            energy_counter_accept(counter, &sample, &outcome);
            reported += outcome.verdict != ENERGY_NOTHING;
            if (table[i].interval_ms > 60000) /* the load between them is not measured */
                rate = 1.2 * 5111;
            double most = rate * (double)ms / 1000 + 2000 + 12 * table[i].load;
            if ((double)total_of(counter) > most)
                fail_msg("row %zu: %lld mWh in %lld ms", i, (long long)total_of(counter),
                         (long long)ms);
        }
        double limit = rate * (double)table[i].interval_ms / 1000;
        if (reported > 4)
            fail_msg("row %zu: told %u times", i, reported);
        if ((double)table[i].leap_mwh > limit + 2000 + 12 * table[i].load)
            assert_true(reported > 0);
        energy_counter_free(counter);
    }
}

/* A load above the configured one that is measured is counted, up to twice. */
static void test_a_measured_load_may_exceed_the_configured(void **unused)
{
    (void)unused;
    static const struct {
        double load; /* counts per second at 5 configured */
        bool counted;
    } table[] = {{4, true}, {6, true}, {7.5, true}, {10, true}, {15, false}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct energy_state state = baseline(100);
        struct energy_counter *counter = energy_counter_create(READING_BL0942, 5.0, "boot", &state);
        struct energy_outcome outcome;
        for (int64_t t = 1; t <= 60; t++) {
            struct energy_sample sample =
                sample_at(1000 + t, 100 + (int64_t)((double)t * table[i].load));
            sample.power = sample.load = table[i].load;
            sample.load_known = true;
            energy_counter_accept(counter, &sample, &outcome);
        }
        bool all = total_of(counter) == (int64_t)(59 * table[i].load);
        if (all != table[i].counted)
            fail_msg("%g counts per second: %lld", table[i].load, (long long)total_of(counter));
        energy_counter_free(counter);
    }
}

/* After a gap a source may first repeat old counters: what it counted in the gap is still possible. */
static void test_an_old_counter_after_a_gap(void **unused)
{
    (void)unused;
    for (int repeats = 0; repeats <= 5; repeats++) {
        struct energy_state state = baseline(500000);
        struct energy_counter *counter =
            energy_counter_create(READING_OPENBEKEN, 5111.0, "boot", &state);
        struct energy_outcome outcome;
        int64_t t = 1000, value = 500000;
        for (int n = 0; n < 5; n++) {
            struct energy_sample sample = sample_at(t += 6, value);
            energy_counter_accept(counter, &sample, &outcome);
        }
        t += 3600;
        for (int n = 0; n < repeats; n++) {
            struct energy_sample sample = sample_at(t += 2, value);
            energy_counter_accept(counter, &sample, &outcome);
        }
        value += 10000000; /* 10 kWh within the hour */
        for (int n = 0; n < 4; n++) {
            struct energy_sample sample = sample_at(t += 2, value);
            energy_counter_accept(counter, &sample, &outcome);
        }
        if (total_of(counter) != 10000000)
            fail_msg("%d repeats: %lld mWh", repeats, (long long)total_of(counter));
        energy_counter_free(counter);
    }
}

static void test_openbeken_reasons(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        int64_t gap_s, shown; /* after a baseline of 500000 mWh */
        enum energy_verdict verdict;
        enum energy_reason reason;
    } table[] = {
        {"power cut", 30, 495000, ENERGY_RESTARTED, ENERGY_REASON_STORED},
        {"cleared", 30, 1363, ENERGY_RESTARTED, ENERGY_REASON_RESET},
        {"cleared long ago", 7200, 1363, ENERGY_REJECTED, ENERGY_REASON_LOWER},
        {"set lower", 6, 300000, ENERGY_REJECTED, ENERGY_REASON_LOWER},
        {"set higher", 6, 12346846, ENERGY_REJECTED, ENERGY_REASON_JUMP},
        {"a chip restart taken for a wrap", 6, 3269000000, ENERGY_REJECTED, ENERGY_REASON_JUMP},
        {"kWh taken for Wh", 6, 501, ENERGY_REJECTED, ENERGY_REASON_UNIT},
        {"Wh taken for kWh", 6, 501000000, ENERGY_REJECTED, ENERGY_REASON_UNIT},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct energy_state state = baseline(500000);
        struct energy_counter *counter =
            energy_counter_create(READING_OPENBEKEN, 5111.0, "boot", &state);
        struct energy_outcome outcome = {.verdict = ENERGY_NOTHING};
        for (int64_t n = 0; n < 3 && outcome.verdict == ENERGY_NOTHING; n++) {
            struct energy_sample sample = sample_at(1000 + table[i].gap_s + 6 * n, table[i].shown);
            energy_counter_accept(counter, &sample, &outcome);
        }
        if (outcome.verdict != table[i].verdict || outcome.reason != table[i].reason)
            fail_msg("%s: verdict %d, reason %d", table[i].name, outcome.verdict, outcome.reason);
        energy_counter_free(counter);
    }
}

/* ---- Direction ----------------------------------------------------------------------------- */

static void test_split_of_a_step(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        double from, to;
        bool reverse;
        int64_t step, imported;
    } table[] = {
        {"consuming", 1000, 2000, false, 10, 10},
        {"producing", -1000, -2000, false, 10, 0},
        {"half and half", 1000, -1000, false, 10, 5},
        {"a third of the time producing, a fifth of the energy", 2000, -1000, false, 10, 8},
        {"the same the other way", -1000, 2000, false, 10, 8},
        {"from nothing to producing", 0, -500, false, 7, 0},
        {"from nothing to consuming", 0, 500, true, 7, 7},
        {"no power known, last pulse consumed", 0, 0, false, 3, 3},
        {"no power known, last pulse produced", 0, 0, true, 3, 0},
        {"one count goes to the larger part", 2000, -1000, true, 1, 1},
        {"nothing to split", 2000, -1000, false, 0, 0},
        {"a great step", 1000, -1000, false, INT64_C(1) << 53, INT64_C(1) << 52},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct direction direction = {0};
        direction_add(&direction, table[i].from, table[i].to, 1000);
        int64_t imported, exported;
        direction_split(&direction, table[i].reverse, table[i].step, &imported, &exported);
        if (imported != table[i].imported || imported + exported != table[i].step)
            fail_msg("%s: %lld and %lld", table[i].name, (long long)imported, (long long)exported);
    }
}

static void test_time_running_backwards_weighs_nothing(void **unused)
{
    (void)unused;
    struct direction direction = {0};
    direction_add(&direction, 1000, 1000, -5);
    direction_add(&direction, 1000, -1000, -5);
    direction_add(&direction, -1000, -1000, 0);
    assert_true(direction.imported == 0 && direction.exported == 0);
}

static void test_split_follows_the_right_interval(void **unused)
{
    (void)unused;
    struct energy_counter *counter = counter_at(100);
    static const struct {
        int64_t counter;
        double power;
        int64_t imported, exported;
    } table[] = {
        {110, 1000, 0, 0},                        /* consuming up to here */
        {120, 1000, 10, 0},  {130, -1000, 10, 0}, /* turns within this second */
        {140, -1000, 5, 5},                       /* ... which is credited now */
        {150, -1000, 0, 10},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct energy_sample sample = sample_at(1002 + (int64_t)i, table[i].counter);
        sample.power = table[i].power;
        struct energy_outcome outcome;
        energy_counter_accept(counter, &sample, &outcome);
        if (outcome.imported != table[i].imported || outcome.exported != table[i].exported)
            fail_msg("reading %zu: %lld and %lld", i, (long long)outcome.imported,
                     (long long)outcome.exported);
    }
    energy_counter_free(counter);
}

/* A step is split into parts of it, whatever the stamps say. */
static void test_stamps_out_of_order(void **unused)
{
    (void)unused;
    struct energy_counter *counter = counter_at(100);
    struct energy_outcome outcome;
    static const int64_t seconds[] = {1002, 900, 1003, 1001, 1004, 1005};
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        struct energy_sample sample = sample_at(seconds[i], 101 + (int64_t)i);
        sample.power = i % 2 == 0 ? 1000 : -100;
        energy_counter_accept(counter, &sample, &outcome);
        assert_true(outcome.imported >= 0 && outcome.exported >= 0);
    }
    assert_int_equal(total_of(counter), 5);
    energy_counter_free(counter);
}

/* Whoever reads nothing of the night's production must take the direction of the first reading. */
static void test_direction_after_downtime(void **unused)
{
    (void)unused;
    struct energy_state state = baseline(100);
    struct energy_counter *counter = energy_counter_create(READING_BL0942, RATE, "boot", &state);
    struct energy_outcome outcome;
    for (int64_t t = 2000; t < 2002; t++) {
        struct energy_sample sample = sample_at(t, 600);
        sample.power = -300;
        energy_counter_accept(counter, &sample, &outcome);
    }
    assert_int_equal(outcome.imported, 0);
    assert_int_equal(outcome.exported, 500);
    energy_counter_free(counter);
}

/* ---- Totals -------------------------------------------------------------------------------- */

static void test_folding_keeps_totals(void **unused)
{
    (void)unused;
    struct calibration calibration = calibration_default(READING_BL0942);
    struct energy_state state = {.known = true};
    int64_t imported, exported, folded_imported, folded_exported;
    double exact = 0;
    for (int i = 0; i < 1000; i++) {
        state.imported += 1 + i % 7;
        state.exported += i % 3;
        exact += (1 + i % 7) * 419430.4 / 3600 / calibration.power * 1e6;
        energy_totals_uwh(&state, &calibration, READING_BL0942, &imported, &exported);
        energy_fold(&state, &calibration, READING_BL0942);
        assert_int_equal(state.imported, 0);
        assert_int_equal(state.exported, 0);
        calibration.power *= i % 2 == 0 ? 1.01 : 1 / 1.01;
        energy_totals_uwh(&state, &calibration, READING_BL0942, &folded_imported, &folded_exported);
        assert_int_equal(folded_imported, imported);
        assert_int_equal(folded_exported, exported);
    }
    /* less than a microwatt hour per fold is lost, none is gained */
    assert_true((double)imported <= exact && (double)imported > exact - 1000);
}

static void test_totals_saturate(void **unused)
{
    (void)unused;
    struct calibration calibration = calibration_default(READING_BL0942);
    struct energy_state state = {.base_imported_uwh = INT64_MAX - 5, .imported = 1000};
    int64_t imported, exported;
    energy_totals_uwh(&state, &calibration, READING_BL0942, &imported, &exported);
    assert_int_equal(imported, INT64_MAX);
    assert_int_equal(exported, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh_channel),
        cmocka_unit_test(test_running),
        cmocka_unit_test(test_any_flip_of_one_reading),
        cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_a_known_restart_outlives_a_kill),
        cmocka_unit_test(test_a_kill_changes_no_credit),
        cmocka_unit_test(test_what_is_to_be_stored_soon_is_told_once),
        cmocka_unit_test(test_a_restart_said_before_its_reading),
        cmocka_unit_test(test_restart_from_0_is_silent),
        cmocka_unit_test(test_restart_of_a_young_counter),
        cmocka_unit_test(test_service_and_machine_restarts),
        cmocka_unit_test(test_clock_set_while_waiting),
        cmocka_unit_test(test_wall_clock_steps_while_running),
        cmocka_unit_test(test_boot_clock_behind_the_stored_one),
        cmocka_unit_test(test_flagged_restart_waits_for_the_clock),
        cmocka_unit_test(test_glitches_while_waiting),
        cmocka_unit_test(test_state_is_complete),
        cmocka_unit_test(test_damaged_state_is_not_believed),
        cmocka_unit_test(test_unknown_boot_id),
        cmocka_unit_test(test_gaps_are_told),
        cmocka_unit_test(test_load_above_the_configured_greatest),
        cmocka_unit_test(test_chip_limits_the_rate),
        cmocka_unit_test(test_openbeken),
        cmocka_unit_test(test_leaps_are_bounded_over_time),
        cmocka_unit_test(test_a_measured_load_may_exceed_the_configured),
        cmocka_unit_test(test_an_old_counter_after_a_gap),
        cmocka_unit_test(test_openbeken_reasons),
        cmocka_unit_test(test_split_of_a_step),
        cmocka_unit_test(test_time_running_backwards_weighs_nothing),
        cmocka_unit_test(test_split_follows_the_right_interval),
        cmocka_unit_test(test_stamps_out_of_order),
        cmocka_unit_test(test_direction_after_downtime),
        cmocka_unit_test(test_folding_keeps_totals),
        cmocka_unit_test(test_totals_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
