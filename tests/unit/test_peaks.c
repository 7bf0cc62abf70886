/* SPDX-License-Identifier: MIT */
/* bridge/history: the sum of a device's channels has its own minimum and maximum. */
#include "history_helper.h"
#include "random_helper.h"
#include "station_helper.h"

#include "bridge/history/query/energy.h"
#include "bridge/history/query/power.h"

#include <math.h>

#define MINUTE (60 * SECOND)

#define ROUND_MS (10 * SECOND)
#define ROUNDS (26 * 360)

struct rounds {
    int64_t mw[ROUNDS]; /* of the sum */
    int64_t begin_ms;
    int checked;
};

static void expect_range(struct rounds *rounds, int64_t start_ms, int64_t end_ms, int64_t min_mw,
                         int64_t max_mw)
{
    int64_t min = INT64_MAX;
    int64_t max = INT64_MIN;
    for (int64_t i = (start_ms - rounds->begin_ms) / ROUND_MS;
         i < (end_ms - rounds->begin_ms) / ROUND_MS && i < ROUNDS; i++) {
        min = rounds->mw[i] < min ? rounds->mw[i] : min;
        max = rounds->mw[i] > max ? rounds->mw[i] : max;
    }
    assert_in_range(min_mw - min + 3, 0, 6); /* two channels, rounded to milliwatts */
    assert_in_range(max_mw - max + 3, 0, 6);
    rounds->checked++;
}

static bool check_energy_range(void *context, const struct history_energy_row *row)
{
    assert_true(row->power_range_known);
    expect_range(context, row->start_ms, row->end_ms, row->power_min_mw, row->power_max_mw);
    return true;
}

static bool check_power_range(void *context, const struct history_power_row *row)
{
    assert_true(row->known && row->range_known);
    expect_range(context, row->start_ms, row->end_ms, row->min_mw, row->max_mw);
    return true;
}

/* Not the sum of the channels' peaks, nor what a load that moves between them looks like in between. */
static void test_the_sum_has_its_own_peaks(void **state)
{
    const struct folder *folder = *state;
    const char *path = folder->database;
    uint64_t seed = test_seed();
    struct error error = {""};
    struct history_query *query = NULL;
    struct rounds *rounds = calloc(1, sizeof *rounds);
    use_zone("UTC");
    struct station station;
    station_open(&station, path);
    rounds->begin_ms = BEGIN_MS;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t at_ms = BEGIN_MS + i * ROUND_MS;
        int64_t big = 7 * (100000 + below(&seed, 50000)) + 1; /* moves from one to the other */
        int64_t small = 7 * below(&seed, 2000) + 1;
        if (below(&seed, 3000) == 0)
            small += 7 * 300000; /* a peak of its own, now and then */
        station_put(&station, 0, at_ms, i % 2 == 0 ? big : small, 1, 0);
        station_put(&station, 1, at_ms + 20, i % 2 == 0 ? small : big, 1, 0);
        rounds->mw[i] = llround((double)(big + small) * 1000 / factors_one.power);
        if (i % 500 == 0)
            station_commit(&station);
    }
    station_put(&station, 0, BEGIN_MS + ROUNDS * ROUND_MS + 5 * MINUTE, 31790, 1, 0);
    station_commit(&station);
    catch_up(&station);

    int64_t end_ms = BEGIN_MS + ROUNDS * ROUND_MS;
    static const enum history_bucket buckets[] = {BUCKET_QUARTER, BUCKET_HOUR, BUCKET_DAY,
                                                  BUCKET_MONTH};
    assert_int_equal(history_query_open(path, &query, &error), STATUS_OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(history_query_energy(query, "house", NULL, BEGIN_MS, end_ms, buckets[i],
                                              check_energy_range, rounds, &error),
                         STATUS_OK);
    assert_int_equal(rounds->checked, 26 * 4 + 26 + 2 + 1);
    history_query_close(query);
    static const int64_t pieces_ms[] = {ROUND_MS, MINUTE, 5 * MINUTE, 900 * SECOND, 3 * HOUR};
    for (size_t i = 0; i < 5; i++)
        if (history_power(path, "house", NULL, BEGIN_MS, BEGIN_MS + 24 * HOUR, pieces_ms[i],
                          check_power_range, rounds, &error) != STATUS_OK)
            fail_msg("%s", error.text);
    station_close(&station);
    free(rounds);
}

static bool expect_no_range(void *context, const struct history_energy_row *row)
{
    (void)context;
    assert_false(row->power_range_known);
    return true;
}

/* While one of them is not known, nor is the sum. */
static void test_half_a_sum_is_none(void **state)
{
    const struct folder *folder = *state;
    struct error error = {""};
    struct history_query *query = NULL;
    use_zone("UTC");
    struct station station;
    station_open(&station, folder->database);
    station_put(&station, 1, BEGIN_MS - 30 * SECOND, 31790, 1, 0);
    for (int i = 0; i < 60; i++)
        station_put(&station, 0, BEGIN_MS + i * ROUND_MS, 31790, 1, 0);
    station_put(&station, 1, BEGIN_MS + 40 * MINUTE, 31790, 1, 0);
    station_commit(&station);
    catch_up(&station);
    assert_int_equal(history_query_open(folder->database, &query, &error), STATUS_OK);
    assert_int_equal(history_query_energy(query, "house", NULL, BEGIN_MS, BEGIN_MS + 10 * MINUTE,
                                          BUCKET_HOUR, expect_no_range, NULL, &error),
                     STATUS_OK);
    history_query_close(query);
    station_close(&station);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_sum_has_its_own_peaks),
        TEST(test_half_a_sum_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
