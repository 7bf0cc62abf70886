/* SPDX-License-Identifier: MIT */
/* bridge/history/query: energy, power and coverage per local hour, day and month. */
#include "history_helper.h"
#include "random_helper.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/energy.h"
#include "bridge/history/store/samples.h"

#define ROWS_MAX 20000

struct rows_seen {
    struct history_energy_row list[ROWS_MAX];
    size_t count;
    size_t stop_after; /* 0: never */
};

static bool keep(void *context, const struct history_energy_row *row)
{
    struct rows_seen *seen = context;
    assert_true(seen->count < ROWS_MAX);
    seen->list[seen->count++] = *row;
    return seen->count != seen->stop_after;
}

static struct rows_seen *query(const struct folder *folder, const char *device, const char *channel,
                               int64_t from_ms, int64_t to_ms, enum history_bucket bucket)
{
    static struct rows_seen seen;
    seen = (struct rows_seen){0};
    struct history_query *open = NULL;
    struct error error = {""};
    if (history_query_open(folder->database, &open, &error) != STATUS_OK ||
        history_query_energy(open, device, channel, from_ms, to_ms, bucket, keep, &seen, &error) !=
            STATUS_OK)
        fail_msg("%s", error.text);
    history_query_close(open);
    return &seen;
}

/* An empty history with channels a and b of the device "house", calibrated from BEGIN_MS on. */
static void make_file(const struct folder *folder)
{
    struct history *history = open_history(folder->database, 0);
    (void)add_circuit(history, "house", "a");
    (void)add_circuit(history, "house", "b");
    (void)add_circuit(history, "shed", "a");
    start(history);
    history_close(history, 5000);
}

/* Rows are put into the file directly: a year of them through the writer would take too long. */
struct filler {
    sqlite3 *db;
    sqlite3_stmt *insert;
    sqlite3_stmt *exported;
};

static struct filler filler_open(const char *path)
{
    struct filler filler = {.db = look(path)};
    assert_int_equal(sqlite3_exec(filler.db, "PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(filler.db,
                           "INSERT INTO sample VALUES (?1 << 15 | ?2, 3653159, 557317, "
                           "?3, 0, ?4)",
                           -1, &filler.insert, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(filler.db,
                                        "INSERT INTO sample_exported VALUES (?1 << 15 | ?2, ?3)",
                                        -1, &filler.exported, NULL),
                     SQLITE_OK);
    return filler;
}

static void filler_step(sqlite3_stmt *statement, int64_t ms, int number, int64_t third,
                        int64_t fourth)
{
    const int64_t values[] = {ms, number, third, fourth};
    for (int i = 0; i < sqlite3_bind_parameter_count(statement); i++)
        (void)sqlite3_bind_int64(statement, i + 1, values[i]);
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    (void)sqlite3_reset(statement);
}

static void filler_put(struct filler *filler, int64_t ms, int number, int64_t power,
                       int64_t imported, int64_t exported)
{
    filler_step(filler->insert, ms, number, power, sample_counted(imported, exported, 0));
    if (imported > 0 && exported > 0)
        filler_step(filler->exported, ms, number, exported, 0);
}

static void filler_close(struct filler *filler)
{
    (void)sqlite3_finalize(filler->insert);
    (void)sqlite3_finalize(filler->exported);
    assert_int_equal(sqlite3_exec(filler->db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(filler->db);
}

static int64_t uwh(const struct calibration *factors, int64_t counts)
{
    return calibration_energy_uwh(factors, READING_BL0942, counts);
}

/* ---- energy over days of odd length ---- */

struct zone_case {
    const char *zone;
    const char *from;
    const char *to;
    const char *odd_day;
    int odd_minutes;
};

static const struct zone_case zone_cases[] = {
    {"Europe/Berlin", "2026-03-20", "2026-04-05", "2026-03-29", 23 * 60},
    {"Europe/Berlin", "2026-10-20", "2026-11-03", "2026-10-25", 25 * 60},
    {"America/Santiago", "2026-03-30", "2026-04-10", "2026-04-04", 25 * 60},
    {"America/Santiago", "2026-08-30", "2026-09-12", "2026-09-06", 23 * 60},
    {"Australia/Lord_Howe", "2026-03-30", "2026-04-10", "2026-04-05", 24 * 60 + 30},
    {"Australia/Lord_Howe", "2026-09-28", "2026-10-10", "2026-10-04", 23 * 60 + 30},
    {"Asia/Kathmandu", "2026-04-05", "2026-04-15", "2026-04-10", 24 * 60},
};

struct sums {
    int64_t imported_uwh, exported_uwh;
};

/* Buckets tile the span; returns what they add up to. */
static struct sums add_up(const struct rows_seen *seen, int64_t from_ms, int64_t to_ms)
{
    struct sums sums = {0, 0};
    int64_t end_ms = from_ms;
    for (size_t i = 0; i < seen->count; i++) {
        assert_int_equal(seen->list[i].start_ms, end_ms);
        end_ms = seen->list[i].end_ms;
        assert_true(end_ms > seen->list[i].start_ms);
        sums.imported_uwh += seen->list[i].imported_uwh;
        sums.exported_uwh += seen->list[i].exported_uwh;
    }
    assert_int_equal(end_ms, to_ms);
    return sums;
}

/* A reading a minute, with credits that follow no pattern, over the span and a day beyond it on both
 * sides; every now and then the meter is not read for a while. Returns the counts within the span
 * under the first and under the second calibration. */
struct counts {
    int64_t imported[2], exported[2];
    int64_t imported_before, exported_before;
};

static struct counts fill_span(const struct folder *folder, int64_t from_ms, int64_t to_ms,
                               int64_t changed_ms, uint64_t *seed)
{
    struct counts counts = {{0, 0}, {0, 0}, 0, 0};
    struct filler filler = filler_open(folder->database);
    for (int64_t ms = from_ms - DAY; ms < to_ms + DAY; ms += 60000 + below(seed, 200)) {
        if (below(seed, 1000) == 0)
            ms += below(seed, 3 * HOUR);
        int64_t imported = below(seed, 300);
        int64_t exported = below(seed, 40) == 0 ? below(seed, 300) : 0;
        filler_put(&filler, ms, 1, below(seed, 1000000) - 100000, imported, exported);
        filler_put(&filler, ms, 3, 5, 7, 7); /* another device's, not to be counted */
        if (ms < from_ms) {
            counts.imported_before += imported;
            counts.exported_before += exported;
        }
        if (ms < from_ms || ms >= to_ms)
            continue;
        int part = ms >= changed_ms ? 1 : 0;
        counts.imported[part] += imported;
        counts.exported[part] += exported;
    }
    filler_close(&filler);
    return counts;
}

static void check_odd_day(const struct rows_seen *days, const struct zone_case *zone)
{
    int64_t odd = at(zone->odd_day);
    for (size_t i = 0; i < days->count; i++) {
        if (days->list[i].start_ms != odd)
            continue;
        assert_int_equal(days->list[i].end_ms - odd, zone->odd_minutes * 60000LL);
        return;
    }
    fail_msg("%s: no day begins at %s", zone->zone, zone->odd_day);
}

static void test_days_and_hours_add_up_to_what_was_counted(void **state)
{
    struct folder *folder = *state;
    uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof zone_cases / sizeof zone_cases[0]; i++) {
        const struct zone_case *zone = &zone_cases[i];
        use_zone(zone->zone);
        (void)snprintf(folder->database, sizeof folder->database, "%s/%zu.db", folder->path, i);
        make_file(folder);
        int64_t from_ms = at(zone->from);
        int64_t to_ms = at(zone->to);
        int64_t changed_ms = from_ms + below(&seed, to_ms - from_ms);
        char sql[300];
        (void)snprintf(
            sql, sizeof sql,
            "INSERT INTO calibration VALUES (100, 1, %lld, 15900.0, 128000.0, 320.0, 0, 1)",
            (long long)changed_ms);
        change(folder->database, sql);
        struct counts counts = fill_span(folder, from_ms, to_ms, changed_ms, &seed);

        struct rows_seen *seen = query(folder, "house", "a", from_ms, to_ms, BUCKET_DAY);
        check_odd_day(seen, zone);
        struct sums days = add_up(seen, from_ms, to_ms);
        struct sums hours =
            add_up(query(folder, "house", "a", from_ms, to_ms, BUCKET_HOUR), from_ms, to_ms);
        struct sums months =
            add_up(query(folder, "house", "a", from_ms, to_ms, BUCKET_MONTH), from_ms, to_ms);
        struct sums device =
            add_up(query(folder, "house", NULL, from_ms, to_ms, BUCKET_DAY), from_ms, to_ms);
        /* what the total grew by: it is converted from the beginning on, until factors change */
        int64_t imported = uwh(&factors_one, counts.imported_before + counts.imported[0]) -
                           uwh(&factors_one, counts.imported_before) +
                           uwh(&factors_two, counts.imported[1]);
        int64_t exported = uwh(&factors_one, counts.exported_before + counts.exported[0]) -
                           uwh(&factors_one, counts.exported_before) +
                           uwh(&factors_two, counts.exported[1]);
        assert_true(imported > 1000000 && exported > 1000000);
        assert_int_equal(days.imported_uwh, imported);
        assert_int_equal(days.exported_uwh, exported);
        assert_int_equal(hours.imported_uwh, imported);
        assert_int_equal(hours.exported_uwh, exported);
        assert_int_equal(months.imported_uwh, imported);
        assert_int_equal(device.imported_uwh, imported);
        assert_int_equal(device.exported_uwh, exported);
    }
}

static void test_a_day_is_within_a_microwatt_hour_of_its_own_counts(void **state)
{
    const struct folder *folder = *state;
    use_zone("Europe/Berlin");
    make_file(folder);
    uint64_t seed = test_seed();
    int64_t from_ms = at("2026-05-01");
    int64_t day_counts[40] = {0};
    struct filler filler = filler_open(folder->database);
    for (int64_t ms = from_ms; ms < from_ms + 20 * DAY; ms += 60000) {
        int64_t counts = below(&seed, 3);
        filler_put(&filler, ms, 1, 1, counts, 0);
        day_counts[(ms - from_ms) / DAY] += counts;
    }
    filler_close(&filler);
    struct rows_seen *seen = query(folder, "house", "a", from_ms, from_ms + 20 * DAY, BUCKET_DAY);
    assert_int_equal(seen->count, 20);
    for (size_t i = 0; i < 20; i++)
        assert_in_range(seen->list[i].imported_uwh + 1 - uwh(&factors_one, day_counts[i]), 0, 2);
}

/* ---- power and coverage ---- */

static const int64_t watt = 318; /* raw; factors_one says 317.9 */

static void test_power_is_calibrated_and_weighed_with_time(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    make_file(folder);
    int64_t from_ms = at("2026-05-01");
    struct filler filler = filler_open(folder->database);
    /* 100 W read every second for 30 minutes, 400 W every 2 s for the other 30 */
    for (int64_t s = 0; s < 1800; s++)
        filler_put(&filler, from_ms + s * 1000, 1, 31790, 0, 0);
    for (int64_t s = 1800; s < 3600; s += 2)
        filler_put(&filler, from_ms + s * 1000, 1, 127160, 0, 0);
    filler_close(&filler);
    struct rows_seen *seen = query(folder, "house", "a", from_ms, from_ms + 2 * HOUR, BUCKET_HOUR);
    assert_int_equal(seen->count, 2);
    assert_true(seen->list[0].power_known && seen->list[0].power_range_known);
    assert_int_equal(seen->list[0].power_min_mw, 100000);
    assert_int_equal(seen->list[0].power_max_mw, 400000);
    assert_int_equal(seen->list[0].power_mean_mw, 250000); /* not the plain 200000 */
    assert_int_equal(seen->list[0].coverage_permille, 1000);
    assert_true(seen->list[1].power_known); /* the last reading reaches into it */
    assert_int_equal(seen->list[1].power_min_mw, 400000);
    assert_int_equal(seen->list[1].power_mean_mw, 400000);
    assert_int_equal(seen->list[1].coverage_permille, 8 * 1000 / 3600);
}

static void test_a_reversed_clamp_and_a_new_calibration(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    make_file(folder);
    int64_t from_ms = at("2026-05-01");
    char sql[300];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO calibration VALUES (100, 1, %lld, 15900.0, 128000.0, 320.0, 1, 1)",
                   (long long)(from_ms + HOUR));
    change(folder->database, sql);
    struct filler filler = filler_open(folder->database);
    filler_put(&filler, from_ms + HOUR - 1, 1, -31790, 0, 0);
    filler_put(&filler, from_ms + HOUR, 1, -32000, 0, 0);
    /* before the first calibration ever, the first is what there is */
    filler_put(&filler, BEGIN_MS - DAY, 1, 31790, 1000, 0);
    filler_close(&filler);
    struct rows_seen *seen = query(folder, "house", "a", from_ms, from_ms + 2 * HOUR, BUCKET_HOUR);
    assert_int_equal(seen->list[0].power_mean_mw, -100000);
    assert_int_equal(seen->list[1].power_mean_mw, 100000);
    seen = query(folder, "house", "a", BEGIN_MS - DAY, BEGIN_MS, BUCKET_DAY);
    assert_int_equal(seen->list[0].power_max_mw, 100000);
    assert_int_equal(seen->list[0].imported_uwh, uwh(&factors_one, 1000));
}

static void test_coverage(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    make_file(folder);
    int64_t from_ms = at("2026-05-01");
    struct filler filler = filler_open(folder->database);
    /* first hour: every second for 15 minutes, silence, then again for 15 minutes */
    for (int64_t s = 0; s < 900; s++)
        filler_put(&filler, from_ms + s * 1000, 1, watt, 0, 0);
    for (int64_t s = 2700; s < 3600; s++)
        filler_put(&filler, from_ms + s * 1000, 1, watt, 0, 0);
    /* third hour on: one a minute */
    for (int64_t s = 2 * 3600; s < 5 * 3600; s += 60)
        filler_put(&filler, from_ms + s * 1000, 1, watt, 0, 0);
    /* some readings have no power: the time is covered, the power not known */
    filler_close(&filler);
    change(folder->database, "UPDATE sample SET power = NULL WHERE key >= (1777593600000 + "
                             "4 * 3600000) << 15");
    struct rows_seen *seen = query(folder, "house", "a", from_ms, from_ms + 6 * HOUR, BUCKET_HOUR);
    assert_int_equal(seen->count, 6);
    assert_int_equal(seen->list[0].coverage_permille, (1800 + 9) * 1000 / 3600); /* reach 10 s */
    assert_int_equal(seen->list[1].coverage_permille, 9 * 1000 / 3600);
    assert_in_range(seen->list[2].coverage_permille, 900, 999); /* the interval is being learnt */
    assert_int_equal(seen->list[3].coverage_permille, 1000);
    assert_int_equal(seen->list[4].coverage_permille, 1000);
    assert_true(seen->list[3].power_known);
    assert_false(seen->list[4].power_known);
    assert_int_equal(seen->list[5].coverage_permille, 90 * 1000 / 3600); /* 2.5 times a minute */
    /* asked from the middle, the interval is known from before */
    seen = query(folder, "house", "a", from_ms + 3 * HOUR, from_ms + 4 * HOUR, BUCKET_HOUR);
    assert_int_equal(seen->list[0].coverage_permille, 1000);
}

static void test_the_sum_over_channels(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    make_file(folder);
    int64_t from_ms = at("2026-05-01");
    struct filler filler = filler_open(folder->database);
    for (int64_t s = 0; s < 7200; s += 5) {
        filler_put(&filler, from_ms + s * 1000, 1, 31790, 1, 0);
        if (s < 1800) /* b stops after half an hour */
            filler_put(&filler, from_ms + s * 1000, 2, 63580, 2, 3);
    }
    filler_close(&filler);
    char sql[300];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO total VALUES (2, NULL, 1, 0, %lld, 0, '', 0, 0, 0, 0, 0, 0)",
                   (long long)(from_ms + 1795000));
    change(folder->database, sql);
    struct rows_seen *seen = query(folder, "house", NULL, from_ms, from_ms + 2 * HOUR, BUCKET_HOUR);
    assert_int_equal(seen->list[0].imported_uwh, uwh(&factors_one, 720) + uwh(&factors_one, 720));
    assert_int_equal(seen->list[0].exported_uwh, uwh(&factors_one, 3 * 360));
    assert_true(seen->list[0].power_known);
    assert_true(seen->list[0].power_range_known); /* of the moments at which both are known */
    assert_int_equal(seen->list[0].power_min_mw, 100000 + 200000);
    assert_int_equal(seen->list[0].power_max_mw, 100000 + 200000);
    assert_int_equal(seen->list[0].power_mean_mw, 100000 + 200000);
    assert_in_range(seen->list[0].coverage_permille, 500, 505); /* the less covered channel's */
    /* in the second hour b is history and a is all there is */
    assert_true(seen->list[1].power_known);
    assert_int_equal(seen->list[1].power_mean_mw, 100000);
    assert_int_equal(seen->list[1].coverage_permille, 1000);
}

static void test_one_channel_of_two_kinds_is_one_channel(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    make_file(folder);
    change(folder->database,
           "INSERT INTO channel VALUES (9, 'house', 'a', 2);"
           "INSERT INTO calibration VALUES (100, 9, 1772323200000, 1000, 1000, 1000, 0, 1);");
    int64_t from_ms = at("2026-05-01");
    struct filler filler = filler_open(folder->database);
    for (int64_t s = 0; s < 1800; s++)
        filler_put(&filler, from_ms + s * 1000, 1, 31790, 1, 0);
    for (int64_t s = 1800; s < 3600; s++)
        filler_put(&filler, from_ms + s * 1000, 9, 300000, 1, 0); /* milliwatts, milliwatt hours */
    filler_close(&filler);
    struct rows_seen *seen = query(folder, "house", "a", from_ms, from_ms + HOUR, BUCKET_HOUR);
    assert_int_equal(seen->count, 1);
    assert_int_equal(seen->list[0].imported_uwh, uwh(&factors_one, 1800) + 1800000);
    /* the last reading of the one source still stands for some seconds beside the other's */
    assert_in_range(seen->list[0].power_mean_mw, 199700, 200000);
    assert_int_equal(seen->list[0].power_min_mw, 100000);
    assert_int_equal(seen->list[0].power_max_mw, 300000);
    assert_int_equal(seen->list[0].coverage_permille, 1000);
}

static void test_the_span_cuts_the_first_and_the_last_bucket(void **state)
{
    const struct folder *folder = *state;
    use_zone("Europe/Berlin");
    make_file(folder);
    int64_t from_ms = at("2026-05-01T22:30");
    struct filler filler = filler_open(folder->database);
    for (int64_t ms = from_ms; ms < from_ms + 3 * HOUR; ms += 1000)
        filler_put(&filler, ms, 1, 31790, 1, 0);
    filler_close(&filler);
    struct rows_seen *seen = query(folder, "house", "a", from_ms, from_ms + 3 * HOUR, BUCKET_DAY);
    assert_int_equal(seen->count, 2);
    assert_int_equal(seen->list[0].end_ms, at("2026-05-02"));
    assert_int_equal(seen->list[1].end_ms, from_ms + 3 * HOUR);
    assert_int_equal(seen->list[0].coverage_permille, 1000);
    assert_int_equal(seen->list[1].coverage_permille, 1000);
    assert_int_equal(seen->list[0].imported_uwh, uwh(&factors_one, 5400));
}

/* ---- what is refused, and the writer beside it ---- */

static void expect_usage(const struct folder *folder, const char *device, const char *channel,
                         int64_t from_ms, int64_t to_ms, const char *words)
{
    struct history_query *open = NULL;
    struct error error = {""};
    static struct rows_seen seen;
    assert_int_equal(history_query_open(folder->database, &open, &error), STATUS_OK);
    enum status status = history_query_energy(open, device, channel, from_ms, to_ms, BUCKET_HOUR,
                                              keep, &seen, &error);
    if (status != STATUS_USAGE || strstr(error.text, words) == NULL)
        fail_msg("status %d, \"%s\"", (int)status, error.text);
    history_query_close(open);
}

static void test_wrong_questions(void **state)
{
    struct folder *folder = *state;
    make_file(folder);
    expect_usage(folder, "house", "z", 0, HOUR, "house a, house b, shed a");
    expect_usage(folder, "garden", NULL, 0, HOUR, "no device garden");
    expect_usage(folder, "house", "a", HOUR, HOUR, "ends before it begins");
    expect_usage(folder, "house", "a", 2 * HOUR, HOUR, "ends before it begins");
    expect_usage(folder, "house", "a", -1, HOUR, "1970");
    expect_usage(folder, "house", "a", 0, BUCKET_TIME_MAX_MS + 1, "9999");
    expect_usage(folder, "house", "a", 0, BUCKET_TIME_MAX_MS, "rows");

    struct history_query *open = NULL;
    struct error error = {""};
    change(folder->database, "PRAGMA user_version = 1000");
    assert_int_equal(history_query_open(folder->database, &open, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "newer"));
    change(folder->database, "PRAGMA application_id = 5");
    assert_int_equal(history_query_open(folder->database, &open, &error), STATUS_USAGE);
    (void)snprintf(folder->database, sizeof folder->database, "%s/none.db", folder->path);
    assert_int_equal(history_query_open(folder->database, &open, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "There is no history"));
    assert_int_not_equal(access(folder->database, F_OK), 0); /* asking does not make one */
}

static void test_asking_while_the_service_writes(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    struct history *history = open_history(folder->database, 0);
    struct circuit a = add_circuit(history, "house", "a");
    start(history);
    int64_t sum = 0;
    for (int round = 1; round <= 10; round++) {
        for (int i = 0; i < 1000; i++)
            put(history, &a, 1, 0);
        history_put_state(history, a.number, &a.state);
        wait_until(health_of(history).queued == 0);
        struct rows_seen *seen = query(folder, "house", "a", BEGIN_MS, BEGIN_MS + DAY, BUCKET_DAY);
        assert_true(seen->list[0].imported_uwh > sum);
        sum = seen->list[0].imported_uwh;
        int64_t imported;
        int64_t exported;
        history_stored_totals(history, a.number, &imported, &exported);
        assert_int_equal(sum, imported); /* from the channel's first reading on */
    }
    history_close(history, 5000);
}

static void test_the_caller_can_stop(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    make_file(folder);
    static struct rows_seen seen;
    seen = (struct rows_seen){.stop_after = 3};
    struct history_query *open = NULL;
    assert_int_equal(history_query_open(folder->database, &open, NULL), STATUS_OK);
    assert_int_equal(history_query_energy(open, "house", "a", BEGIN_MS, BEGIN_MS + 30 * DAY,
                                          BUCKET_HOUR, keep, &seen, NULL),
                     STATUS_OK);
    history_query_close(open);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.list[2].coverage_permille, 0);
    assert_false(seen.list[2].power_known);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_days_and_hours_add_up_to_what_was_counted),
        TEST(test_a_day_is_within_a_microwatt_hour_of_its_own_counts),
        TEST(test_power_is_calibrated_and_weighed_with_time),
        TEST(test_a_reversed_clamp_and_a_new_calibration),
        TEST(test_coverage),
        TEST(test_the_sum_over_channels),
        TEST(test_one_channel_of_two_kinds_is_one_channel),
        TEST(test_the_span_cuts_the_first_and_the_last_bucket),
        TEST(test_wrong_questions),
        TEST(test_asking_while_the_service_writes),
        TEST(test_the_caller_can_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
