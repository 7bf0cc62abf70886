/* SPDX-License-Identifier: MIT */
/* bridge/history: energy that was counted while nobody read the meter is spread over that time. */
#include "history_helper.h"
#include "random_helper.h"

#include "bridge/history/query/cost.h"
#include "bridge/history/query/energy.h"
#include "bridge/history/query/points.h"
#include "bridge/history/query/power.h"

#include <math.h>

#define MINUTE (60 * SECOND)

struct sums {
    int64_t imported, exported, estimated;
    unsigned rows, estimated_rows;
    int64_t minimum, most; /* imported, of the estimated rows */
};

static bool add(void *context, const struct history_energy_row *row)
{
    struct sums *sums = context;
    int64_t estimated = row->estimated_imported_uwh + row->estimated_exported_uwh;
    sums->imported += row->imported_uwh;
    sums->exported += row->exported_uwh;
    sums->estimated += estimated;
    sums->rows++;
    assert_true(row->imported_uwh >= row->estimated_imported_uwh);
    assert_true(row->exported_uwh >= row->estimated_exported_uwh);
    if (estimated == 0)
        return true;
    assert_true(row->measured);
    sums->estimated_rows++;
    sums->minimum = sums->estimated_rows == 1 || row->imported_uwh < sums->minimum
                        ? row->imported_uwh
                        : sums->minimum;
    sums->most = row->imported_uwh > sums->most ? row->imported_uwh : sums->most;
    return true;
}

static struct sums ask_energy(const char *path, int64_t from_ms, int64_t to_ms,
                              enum history_bucket bucket)
{
    struct history_query *query = NULL;
    struct error error = {""};
    struct sums sums = {0};
    assert_int_equal(history_query_open(path, &query, &error), STATUS_OK);
    if (history_query_energy(query, "house", NULL, from_ms, to_ms, bucket, add, &sums, &error) !=
        STATUS_OK)
        fail_msg("%s", error.text);
    history_query_close(query);
    return sums;
}

/* An hour of readings, nine hours without the service, an hour of readings. */
static int64_t make_outage(const struct folder *folder, bool reboot, int64_t counts)
{
    struct history *history = open_history(folder->database, 0);
    struct circuit circuit = add_circuit(history, "house", "a");
    start(history);
    for (int i = 0; i < 3600; i++)
        put(history, &circuit, 1, 0);
    history_close(history, 5000);
    history = open_history(folder->database, 0);
    circuit = add_circuit(history, "house", "a");
    if (reboot) /* stored as of another boot */
        (void)snprintf(circuit.state.boot_id, sizeof circuit.state.boot_id, "before");
    history_put_state(history, circuit.number, &circuit.state);
    start(history);
    circuit.wall_ms += 9 * HOUR - SECOND;
    put(history, &circuit, counts, 0);
    for (int i = 0; i < 3600; i++)
        put(history, &circuit, 1, 0);
    history_close(history, 5000);
    return BEGIN_MS + HOUR; /* when the outage began */
}

static void check_outage(const struct folder *folder, bool reboot)
{
    const char *path = folder->database;
    int64_t counts = 9000;
    int64_t gap_ms = make_outage(folder, reboot, counts);
    int64_t end_ms = gap_ms + 10 * HOUR + MINUTE;
    int64_t whole = calibration_energy_uwh(&factors_one, READING_BL0942, 7200 + counts);
    int64_t spread = calibration_energy_uwh(&factors_one, READING_BL0942, counts);
    assert_int_equal(ask_number(path, "SELECT count(*) FROM estimate"), 1);
    assert_int_equal(ask_number(path, "SELECT start_ms FROM estimate"), gap_ms);

    static const enum history_bucket buckets[] = {BUCKET_QUARTER, BUCKET_HOUR, BUCKET_DAY,
                                                  BUCKET_MONTH};
    for (size_t i = 0; i < 4; i++) {
        struct sums sums = ask_energy(path, BEGIN_MS, end_ms, buckets[i]);
        assert_int_equal(sums.imported, whole);
        assert_int_equal(sums.estimated, spread);
    }
    struct sums hours = ask_energy(path, BEGIN_MS, end_ms, BUCKET_HOUR);
    assert_int_equal(hours.estimated_rows, 9);
    hours = ask_energy(path, gap_ms, gap_ms + 9 * HOUR, BUCKET_HOUR);
    assert_in_range(hours.imported, spread, spread + 1000000); /* and the reading of its begin */
    hours = ask_energy(path, gap_ms + HOUR, gap_ms + 8 * HOUR, BUCKET_HOUR);
    assert_in_range(hours.most - hours.minimum, 0, 2);
    assert_in_range(hours.imported, spread / 9 * 7 - 10, spread / 9 * 7 + 10);
    assert_int_equal(hours.imported, hours.estimated);

    /* wherever it is cut, the parts add up */
    uint64_t seed = test_seed();
    for (int i = 0; i < 50; i++) {
        int64_t cut_ms = BEGIN_MS + 1 + below(&seed, 11 * HOUR);
        enum history_bucket bucket = buckets[below(&seed, 4)];
        struct sums first = ask_energy(path, BEGIN_MS, cut_ms, bucket);
        struct sums second = ask_energy(path, cut_ms, end_ms, bucket);
        assert_int_equal(first.imported + second.imported, whole);
        assert_int_equal(first.estimated + second.estimated, spread);
    }
    /* totals and readings are as they were */
    assert_int_equal(ask_number(path, "SELECT imported FROM total"), 7200 + counts);
    assert_int_equal(ask_number(path, "SELECT max(imported) FROM reading"), counts);
}

static void test_an_outage(void **state)
{
    use_zone("UTC");
    check_outage(*state, false);
}

static void test_an_outage_with_a_reboot(void **state)
{
    use_zone("UTC");
    check_outage(*state, true);
}

static bool add_cost(void *context, const struct history_cost_row *row)
{
    struct history_cost_row *sum = context;
    sum->energy_micro += row->energy_micro;
    sum->estimated_uwh += row->estimated_uwh;
    return true;
}

/* Nine hours at the night's price, then the day's: most of it was drawn at night. */
static void test_the_cost_of_an_outage(void **state)
{
    const struct folder *folder = *state;
    struct error error = {""};
    struct history_query *query = NULL;
    struct history_cost_row sum = {0};
    use_zone("UTC");
    int64_t gap_ms = make_outage(folder, false, 9000);
    struct tariff tariff = {.price_micro = 1000000};
    tariff.window_count = 1;
    struct tariff_window window = {.from_minute = 0,
                                   .to_minute = 10 * 60,
                                   .days = 0x7f,
                                   .months = 0xfff,
                                   .price_micro = 0,
                                   .feed_in_micro = TARIFF_ABSENT};
    tariff.windows = &window;
    const struct history_cost_question question = {.device = "house",
                                                   .from_ms = BEGIN_MS,
                                                   .to_ms = gap_ms + 9 * HOUR,
                                                   .now_ms = gap_ms + 20 * HOUR,
                                                   .bucket = BUCKET_DAY,
                                                   .tariffs = &tariff,
                                                   .tariff_count = 1};
    assert_int_equal(history_query_open(folder->database, &query, &error), STATUS_OK);
    assert_int_equal(history_query_cost(query, &question, add_cost, &sum, &error), STATUS_OK);
    history_query_close(query);
    assert_int_equal(sum.energy_micro, 0); /* all of it at night */
    assert_true(sum.estimated_uwh > 0);
}

/* ---- what others get ---- */

struct got {
    int64_t starts_ms[1000];
    size_t count;
    int64_t imported, estimated, in_gap, gap_ms;
};

static bool take_point(void *context, const struct history_point *point)
{
    struct got *got = context;
    assert_true(got->count < 1000);
    assert_true(got->count == 0 || got->starts_ms[got->count - 1] < point->start_ms);
    got->starts_ms[got->count++] = point->start_ms;
    got->imported += point->imported_uwh;
    got->estimated += point->estimated_imported_uwh;
    assert_int_equal(point->estimated_exported_uwh, 0);
    if (point->start_ms <= got->gap_ms || point->end_ms > got->gap_ms + 9 * HOUR)
        return true;
    got->in_gap++;
    assert_int_equal(point->coverage_permille, 0);
    assert_false(point->power_w.known || point->voltage_v.known);
    assert_int_equal(point->imported_uwh, point->estimated_imported_uwh);
    return true;
}

/* Points of sinks: each bucket of the outage has one, whatever the batches are; sums are exact. */
static void test_points_of_an_outage(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    int64_t counts = 9000;
    int64_t gap_ms = make_outage(folder, false, counts);
    int64_t spread = calibration_energy_uwh(&factors_one, READING_BL0942, counts);
    static const struct {
        enum outbox_level level;
        int64_t length_ms;
    } levels[] = {{OUTBOX_MINUTES, MINUTE}, {OUTBOX_QUARTERS, 15 * MINUTE}};
    for (size_t i = 0; i < 4; i++) {
        struct history_points *points = NULL;
        struct error error = {""};
        struct got got = {.gap_ms = gap_ms};
        int64_t last = 0;
        bool more = true;
        size_t most = i < 2 ? 2000 : 7; /* at once, and in batches that end within the outage */
        assert_int_equal(
            history_points_open(folder->database, levels[i % 2].level, &points, &error), STATUS_OK);
        while (more) {
            int64_t after = last;
            assert_int_equal(
                history_points_read(points, after, most, take_point, &got, &last, &more, &error),
                STATUS_OK);
            assert_true(last > after || !more);
        }
        history_points_close(points);
        int64_t end_ms = got.starts_ms[got.count - 1] + levels[i % 2].length_ms;
        struct sums sums = ask_energy(folder->database, 0, end_ms, BUCKET_DAY);
        assert_int_equal(got.imported, sums.imported);
        assert_int_equal(got.estimated, spread);
        assert_int_equal(got.in_gap, 9 * HOUR / levels[i % 2].length_ms - 1);
    }
}

struct powers {
    int64_t gap_ms;
    unsigned estimated;
    double mw_ms;
    int64_t mw; /* within the outage */
};

static bool take_power(void *context, const struct history_power_row *row)
{
    struct powers *powers = context;
    if (!row->estimated)
        return true;
    powers->estimated++;
    powers->mw_ms += (double)row->estimated_mw * (double)(row->end_ms - row->start_ms);
    if (row->start_ms < powers->gap_ms + MINUTE || row->end_ms > powers->gap_ms + 9 * HOUR - MINUTE)
        return true;
    assert_false(row->known);
    assert_int_equal(row->coverage_permille, 0);
    powers->mw = row->estimated_mw;
    return true;
}

static void test_the_power_of_an_outage(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    int64_t gap_ms = make_outage(folder, false, 9000);
    double uwh = (double)calibration_energy_uwh(&factors_one, READING_BL0942, 9000);
    static const int64_t lengths_ms[] = {30 * SECOND, MINUTE, 15 * MINUTE, HOUR};
    for (size_t i = 0; i < 4; i++) {
        struct powers powers = {.gap_ms = gap_ms};
        struct error error = {""};
        assert_int_equal(history_power(folder->database, "house", NULL, BEGIN_MS,
                                       gap_ms + 10 * HOUR, lengths_ms[i], take_power, &powers,
                                       &error),
                         STATUS_OK);
        assert_true(powers.estimated >= 9 * HOUR / lengths_ms[i]);
        assert_true(fabs(powers.mw_ms / 3600 - uwh) < uwh / 1000);
        assert_true(fabs((double)powers.mw - uwh / 9 / 1000) < uwh / 9 / 1000 / 100);
    }
}

/* What a slow source always does is no outage; nor is a clock that was set. */
static void test_what_is_no_outage(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit slow = add_circuit(history, "house", "slow");
    struct circuit fast = add_circuit(history, "house", "fast");
    start(history);
    for (int i = 0; i < 50; i++) {
        slow.wall_ms += 10 * MINUTE;
        put(history, &slow, 7, 0);
        put(history, &fast, 1, 0);
    }
    fast.wall_ms += 30 * SECOND; /* too short to matter */
    put(history, &fast, 30, 0);
    history_close(history, 5000);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM estimate"), 0);

    history = open_history(folder->database, 0);
    fast = add_circuit(history, "house", "fast");
    start(history);
    fast.wall_ms += 400 * DAY; /* years by a clock that was wrong: not spread */
    put(history, &fast, 30, 0);
    history_close(history, 5000);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM estimate"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_outage),
        TEST(test_an_outage_with_a_reboot),
        TEST(test_the_cost_of_an_outage),
        TEST(test_points_of_an_outage),
        TEST(test_the_power_of_an_outage),
        TEST(test_what_is_no_outage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
