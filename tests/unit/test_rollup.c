/* SPDX-License-Identifier: MIT */
/* bridge/history/rollup: minutes, quarters and days agree with the readings, whatever happens. */
#include "history_helper.h"
#include "random_helper.h"
#include "station_helper.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/energy.h"
#include "bridge/history/query/points.h"
#include "bridge/history/query/readings.h"
#include "bridge/history/query/segments.h"
#include "bridge/history/query/time_text.h"
#include "bridge/history/store/rollup.h"
#include "bridge/history/store/rows.h"
#include "drivers/base/memory.h"

#define MINUTE (60 * SECOND)

/* Some together, so that none stands for long: a row for every minute of years is not the point. */
static void put_some(struct station *station, int64_t wall_ms, uint64_t *seed)
{
    for (int i = 0; i < 3; i++) {
        station_put(station, 0, wall_ms + i * SECOND, below(seed, 100000), below(seed, 1000), 0);
        station_put(station, 1, wall_ms + i * SECOND + 20, below(seed, 100000), below(seed, 1000),
                    0);
    }
}

static int64_t total_uwh(const struct station *station, unsigned index)
{
    int64_t imported = 0;
    int64_t exported = 0;
    energy_totals_uwh(&station->totals[index].state,
                      &station->channels.list[index].recorded.factors, READING_BL0942, &imported,
                      &exported);
    return imported;
}

/* ---- what must agree ---- */

/* Bucket by bucket; quantities only where `whole`. Up to what is made. */
static void check_table(const char *path, const char *table, int64_t length_ms)
{
    char sql[2200];
    static const char readings[] =
        "SELECT (key >> 15) / %lld, key & 32767, count(*), sum(imported), sum(exported), "
        "count(voltage), sum(voltage), min(voltage), max(voltage), sum(current), sum(frequency), "
        "count(frequency) FROM reading WHERE (key >> 15) / %lld <= (SELECT max(key >> 15) / %lld "
        "FROM %s) GROUP BY 1, 2";
    static const char rows[] =
        "SELECT (key >> 15) / %lld, key & 32767, sum(samples), sum(imported), sum(exported), "
        "sum(coalesce(voltage_count, samples)), sum(voltage_sum), min(voltage_min), "
        "max(voltage_max), sum(current_sum), sum(frequency_sum), "
        "sum(coalesce(frequency_count, samples)) FROM %s GROUP BY 1, 2 HAVING sum(samples) > 0";
    char first[1000];
    char second[1000];
    (void)snprintf(first, sizeof first, readings, (long long)length_ms, (long long)length_ms,
                   (long long)length_ms, table);
    (void)snprintf(second, sizeof second, rows, (long long)length_ms, table);
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM (%s)", first);
    assert_true(ask_number(path, sql) > 0);
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM (%s EXCEPT %s)", first, second);
    assert_int_equal(ask_number(path, sql), 0);
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM (%s EXCEPT %s)", second, first);
    assert_int_equal(ask_number(path, sql), 0);
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM %s WHERE covered_ms > %lld OR power_min > power_max OR "
                   "covered_ms < 0",
                   table, (long long)length_ms);
    assert_int_equal(ask_number(path, sql), 0);
}

/* No row stands for times on both sides of a change of factors. */
static void check_cuts(const char *path, const char *table, int64_t length_ms)
{
    char sql[600];
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM calibration JOIN reading ON key & 32767 = channel AND key "
                   ">> 15 >= valid_from_ms AND (key >> 15) / %lld = valid_from_ms / %lld "
                   "WHERE valid_from_ms > (SELECT min(valid_from_ms) FROM calibration AS c WHERE "
                   "c.channel = calibration.channel) AND NOT EXISTS (SELECT 1 FROM %s AS r WHERE "
                   "r.key = valid_from_ms << 15 | channel) AND valid_from_ms / %lld <= (SELECT "
                   "max(key >> 15) / %lld FROM %s)",
                   (long long)length_ms, (long long)length_ms, table, (long long)length_ms,
                   (long long)length_ms, table);
    assert_int_equal(ask_number(path, sql), 0);
}

struct sum {
    int64_t imported_uwh;
    size_t rows;
    int64_t last_end_ms;
};

static bool add(void *context, const struct history_energy_row *row)
{
    struct sum *sum = context;
    sum->imported_uwh += row->imported_uwh;
    sum->rows++;
    sum->last_end_ms = row->end_ms;
    return true;
}

static int64_t energy(const char *path, const char *channel, int64_t from_ms, int64_t to_ms,
                      enum history_bucket bucket)
{
    struct history_query *query = NULL;
    struct error error = {""};
    struct sum sum = {0};
    if (history_query_open(path, &query, &error) != STATUS_OK ||
        history_query_energy(query, "house", channel, from_ms, to_ms, bucket, add, &sum, &error) !=
            STATUS_OK)
        fail_msg("%s", error.text);
    history_query_close(query);
    assert_int_equal(sum.last_end_ms, to_ms);
    return sum.imported_uwh;
}

static int64_t imported_within(sqlite3_stmt *sum, int64_t from_ms, int64_t to_ms)
{
    (void)sqlite3_bind_int64(sum, 1, key_make(from_ms, 0));
    (void)sqlite3_bind_int64(sum, 2, key_make(to_ms, 0));
    assert_int_equal(sqlite3_step(sum), SQLITE_ROW);
    int64_t imported = sqlite3_column_int64(sum, 0);
    (void)sqlite3_reset(sum);
    return imported;
}

static sqlite3_stmt *prepared(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    return statement;
}

static void check_days(const char *path)
{
    sqlite3 *db = look(path);
    sqlite3_stmt *days = prepared(db, "SELECT DISTINCT key >> 15 FROM rollup_day ORDER BY 1");
    sqlite3_stmt *readings =
        prepared(db, "SELECT sum(imported) FROM reading WHERE key >= ?1 AND key < ?2");
    sqlite3_stmt *rows =
        prepared(db, "SELECT sum(imported) FROM rollup_day WHERE key >= ?1 AND key < ?2");
    int64_t count = 0;
    for (; sqlite3_step(days) == SQLITE_ROW; count++) {
        int64_t ms = sqlite3_column_int64(days, 0);
        int64_t start_ms = bucket_start(BUCKET_DAY, ms);
        int64_t end_ms = bucket_next(BUCKET_DAY, ms);
        assert_int_equal(imported_within(readings, start_ms, end_ms),
                         imported_within(rows, start_ms, end_ms));
    }
    (void)sqlite3_finalize(days);
    (void)sqlite3_finalize(readings);
    (void)sqlite3_finalize(rows);
    (void)sqlite3_close(db);
    assert_true(count > 0);
}

static void check_all(const char *path)
{
    check_table(path, "rollup_minute", ROLLUP_MINUTE_MS);
    check_table(path, "rollup_quarter", ROLLUP_QUARTER_MS);
    check_cuts(path, "rollup_minute", ROLLUP_MINUTE_MS);
    check_cuts(path, "rollup_quarter", ROLLUP_QUARTER_MS);
    check_days(path);
}

/* ---- the tests ---- */

/* Readings every few seconds with gaps, a clock that is set back now and then, stops in order and
 * not, and changes of factors. */
static void test_rows_agree_with_readings_whatever_happens(void **state)
{
    const struct folder *folder = *state;
    uint64_t seed = test_seed();
    use_zone("Europe/Berlin");
    struct station station;
    station_open(&station, folder->database);
    int64_t ms = BEGIN_MS;
    for (int64_t i = 0; i < 6000; i++) {
        ms += 1000 + below(&seed, 40000);
        if (below(&seed, 2000) == 0)
            ms += below(&seed, 20 * HOUR);
        if (below(&seed, 1500) == 0)
            ms -= below(&seed, 5 * HOUR);
        for (unsigned c = 0; c < CHANNELS; c++)
            station_put(&station, c, ms + 20 * c, below(&seed, 1000000) - 300000, below(&seed, 9),
                        below(&seed, 2));
        if (below(&seed, 10) == 0)
            station_commit(&station);
        if (below(&seed, 1000) == 0) {
            const struct calibration factors = {15000.0 + (double)below(&seed, 900), 128000.0,
                                                300.0 + (double)below(&seed, 40)};
            station_calibrate(&station, (unsigned)below(&seed, CHANNELS), &factors,
                              below(&seed, 2) == 0, ms + 500);
        }
        if (below(&seed, 800) == 0) {
            station_commit(&station);
            struct station again;
            station_close(&station);
            station_open(&again, folder->database);
            station = again;
        }
    }
    for (unsigned c = 0; c < CHANNELS; c++) /* with few steps forward no day would be over by now */
        station_put(&station, c, ms + 24 * HOUR + 20 * c, 1000, 1, 0);
    station_commit(&station);
    catch_up(&station);
    station_close(&station);
    check_all(folder->database);
}

/* An older file, and what a crash left: rows are made of whatever readings there are. */
static void test_a_file_without_rows_is_caught_up_with(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    struct station station;
    station_open(&station, folder->database);
    for (int64_t i = 0; i < 40000; i++) {
        station_put(&station, 0, BEGIN_MS + i * 4500, 1000 + i % 50, i % 2, 0);
        if (i % 500 == 0)
            station_commit(&station);
    }
    station_commit(&station);
    station_close(&station);
    change(folder->database, "CREATE TABLE m AS SELECT * FROM rollup_minute; "
                             "CREATE TABLE q AS SELECT * FROM rollup_quarter; "
                             "CREATE TABLE d AS SELECT * FROM rollup_day; "
                             "DELETE FROM rollup_minute; DELETE FROM rollup_quarter; "
                             "DELETE FROM rollup_day");
    station_open(&station, folder->database);
    bool more = true;
    int steps = 0;
    for (; more && steps < 100; steps++)
        assert_true(maintain(&station, NULL, &more));
    assert_true(steps > 3 && steps < 100); /* not all at once */
    station_close(&station);
    static const char *const same[] = {
        "SELECT count(*) FROM (SELECT * FROM m EXCEPT SELECT * FROM rollup_minute)",
        "SELECT count(*) FROM (SELECT * FROM rollup_minute EXCEPT SELECT * FROM m)",
        "SELECT count(*) FROM (SELECT * FROM q EXCEPT SELECT * FROM rollup_quarter)",
        "SELECT count(*) FROM (SELECT * FROM d EXCEPT SELECT * FROM rollup_day)",
        "SELECT 2 - count(*) FROM rollup_day",
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_int_equal(ask_number(folder->database, same[i]), 0);
}

struct zone_case {
    const char *zone;
    const char *from;
    const char *to;
};

/* Years with every change of clock, factors that change, and then another zone. */
static void test_days_quarters_and_totals_agree_in_every_zone(void **state)
{
    struct folder *folder = *state;
    static const struct zone_case zones[] = {
        {"Europe/Berlin", "2025-01-01", "2026-12-20"},
        {"America/Santiago", "2026-02-01", "2026-12-20"},
        {"Australia/Lord_Howe", "2026-01-15", "2026-12-20"},
        {"Asia/Kathmandu", "2026-01-01", "2026-06-01"},
    };
    uint64_t seed = test_seed();
    for (size_t z = 0; z < sizeof zones / sizeof zones[0]; z++) {
        use_zone(zones[z].zone);
        (void)snprintf(folder->database, sizeof folder->database, "%s/%zu.db", folder->path, z);
        const char *path = folder->database;
        struct station station;
        station_open(&station, path);
        int64_t begin_ms = at(zones[z].from);
        int64_t end_ms = at(zones[z].to);
        int64_t middle_ms = begin_ms + below(&seed, end_ms - begin_ms);
        int64_t middle_uwh = -1;
        for (int64_t ms = begin_ms; ms < end_ms - 2 * SECOND;
             ms += 1000 * (3600 + below(&seed, 14400))) {
            if (middle_uwh < 0 && ms >= middle_ms)
                middle_uwh = total_uwh(&station, 0);
            put_some(&station, ms, &seed);
            if (below(&seed, 50) == 0)
                station_commit(&station);
            if (below(&seed, 800) == 0) {
                const struct calibration factors = {15000.0, 128000.0,
                                                    300.0 + (double)below(&seed, 40)};
                station_calibrate(&station, 0, &factors, false, ms + 3 * SECOND);
            }
        }
        station_commit(&station);
        catch_up(&station);
        int64_t last_uwh = total_uwh(&station, 0);
        station_close(&station);
        for (int round = 0; round < 2; round++) {
            check_days(path);
            assert_int_equal(energy(path, "a", begin_ms, end_ms, BUCKET_DAY), last_uwh);
            assert_int_equal(energy(path, "a", begin_ms, end_ms, BUCKET_HOUR), last_uwh);
            assert_int_equal(energy(path, "a", begin_ms, end_ms, BUCKET_YEAR), last_uwh);
            assert_int_equal(energy(path, "a", middle_ms, end_ms, BUCKET_DAY),
                             last_uwh - middle_uwh);
            assert_int_equal(energy(path, "a", begin_ms, middle_ms, BUCKET_MONTH), middle_uwh);
            use_zone("Pacific/Chatham"); /* +12:45 */
            station_open(&station, path);
            catch_up(&station);
            station_close(&station);
            assert_string_equal(ask(path, "SELECT value FROM meta WHERE name = 'time_zone'"),
                                "Pacific/Chatham");
        }
    }
}

static void test_old_rows_go_in_steps_and_energy_stays(void **state)
{
    const struct folder *folder = *state;
    const char *path = folder->database;
    use_zone("UTC");
    struct station station;
    station_open(&station, path);
    int64_t end_ms = BEGIN_MS + 10 * DAY;
    for (int64_t ms = BEGIN_MS; ms < end_ms; ms += 15000) {
        station_put(&station, 0, ms, 31790, 3, 0);
        if (ms % HOUR == 0)
            station_commit(&station);
    }
    station_put(&station, 0, end_ms + HOUR, 31790, 3, 0);
    station_commit(&station);
    int64_t whole = energy(path, "a", BEGIN_MS, end_ms, BUCKET_DAY);
    int64_t part = energy(path, "a", BEGIN_MS + DAY, BEGIN_MS + 3 * DAY, BUCKET_DAY);
    int64_t hours = energy(path, "a", BEGIN_MS + 8 * DAY, end_ms, BUCKET_HOUR);
    const struct limits limits = {{end_ms - 2 * DAY, end_ms - 4 * DAY, end_ms - 5 * DAY - HOUR}};
    bool more = true;
    int steps = 0;
    for (; more && steps < 100; steps++)
        assert_true(maintain(&station, &limits, &more));
    assert_true(steps > 2 && steps < 100);
    assert_int_equal(ask_number(path, "SELECT min(key >> 15) FROM reading"), end_ms - 2 * DAY);
    assert_int_equal(ask_number(path, "SELECT min(key >> 15) FROM sample_counter"),
                     end_ms - 2 * DAY); /* they go with their readings */
    assert_int_equal(ask_number(path, "SELECT count(*) FROM sample_counter"), 2 * 1440 + 1);
    assert_int_equal(ask_number(path, "SELECT min(key >> 15) FROM rollup_minute"),
                     end_ms - 4 * DAY);
    assert_int_equal(ask_number(path, "SELECT min(key >> 15) FROM rollup_quarter"),
                     end_ms - 5 * DAY - HOUR);
    assert_int_equal(ask_number(path, "SELECT min(key >> 15) FROM rollup_day"), BEGIN_MS);
    assert_int_equal(energy(path, "a", BEGIN_MS, end_ms, BUCKET_DAY), whole);
    assert_int_equal(energy(path, "a", BEGIN_MS + DAY, BEGIN_MS + 3 * DAY, BUCKET_DAY), part);
    assert_int_equal(energy(path, "a", BEGIN_MS + 8 * DAY, end_ms, BUCKET_HOUR), hours);

    /* nothing is deleted that is not in the level above yet, nor the last row */
    const struct limits all = {{end_ms + DAY, end_ms + DAY, end_ms + DAY}};
    more = true;
    while (more)
        assert_true(maintain(&station, &all, &more));
    assert_int_equal(ask_number(path, "SELECT count(*) FROM reading"), 1);
    assert_int_equal(ask_number(path, "SELECT count(*) FROM sample_counter"), 1);
    assert_int_equal(energy(path, "a", BEGIN_MS, end_ms, BUCKET_MONTH), whole);
    station_close(&station);
    station_open(&station, path);
    station_put(&station, 0, end_ms + 2 * DAY, 31790, 3, 0);
    station_commit(&station);
    station_close(&station);
    assert_int_equal(energy(path, "a", BEGIN_MS, end_ms, BUCKET_MONTH), whole);
    assert_int_equal(
        energy(path, "a", BEGIN_MS, end_ms + 3 * DAY, BUCKET_YEAR),
        calibration_energy_uwh(&factors_one, READING_BL0942, 3 * (10 * DAY / 15000 + 2)));
}

/* A clock far ahead for a while, also over a restart, is not one to delete by. */
static void test_a_clock_ahead_deletes_nothing(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    struct station station;
    station_open(&station, folder->database);
    assert_false(may_delete(&station, BEGIN_MS, 0)); /* an empty file */
    for (int64_t ms = BEGIN_MS; ms < BEGIN_MS + 5 * DAY; ms += HOUR / 12)
        station_put(&station, 0, ms, 31790, 3, 0);
    station_commit(&station);
    catch_up(&station);
    int64_t now_ms = BEGIN_MS + 5 * DAY;
    assert_true(may_delete(&station, now_ms, 0));
    assert_true(may_delete(&station, now_ms, 90 * DAY));
    assert_true(may_delete(&station, now_ms, 12 * HOUR));
    assert_true(may_delete(&station, now_ms + 12 * HOUR, 0)); /* a pause */

    int64_t jumped_ms = now_ms + 3650 * DAY;
    for (int64_t ms = jumped_ms; ms < jumped_ms + 2 * DAY; ms += HOUR / 12) {
        if ((ms - jumped_ms) % HOUR == 0) {
            station_commit(&station);
            catch_up(&station);
            bool wanted = ms > jumped_ms + 25 * HOUR;
            if (wanted || ms < jumped_ms + 23 * HOUR)
                assert_int_equal(may_delete(&station, ms, 0), wanted);
        }
        station_put(&station, 0, ms, 31790, 3, 0);
        if (ms == jumped_ms + 2 * HOUR) {
            station_commit(&station);
            station_close(&station);
            station_open(&station, folder->database);
        }
    }
    station_commit(&station);
    assert_true(may_delete(&station, now_ms, 0)); /* set right again */
    station_close(&station);
}

/* What a clock that nobody sets deletes at a time. */
static void test_bounded_deleting(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    struct station station;
    station_open(&station, folder->database);
    struct retention retention;
    const int64_t keep_ms[] = {DAY, 0, 4 * DAY};
    int64_t now_ms = BEGIN_MS + 5 * DAY;
    retention_init(&retention, keep_ms, -HOUR);
    retention_begin(&retention, database_rows(station.database), now_ms, 0, CLOCK_UNSYNCHRONISED);
    assert_false(retention.active); /* nothing is there */
    for (int64_t ms = BEGIN_MS; ms < BEGIN_MS + 5 * DAY; ms += HOUR / 4)
        station_put(&station, 0, ms, 31790, 3, 0);
    station_commit(&station);
    catch_up(&station);
    for (int day = 2; day <= 4; day += 2) {
        retention_init(&retention, keep_ms, -HOUR);
        retention_begin(&retention, database_rows(station.database), now_ms, 0,
                        CLOCK_UNSYNCHRONISED);
        assert_true(retention.active);
        assert_int_equal(retention.before_ms[0], BEGIN_MS + day * DAY);
        assert_int_equal(retention.before_ms[1], 0);              /* unlimited stays unlimited */
        assert_int_equal(retention.before_ms[2], BEGIN_MS + DAY); /* less stays less */
        const struct limits limits = {{retention.before_ms[0], 0, 0}};
        for (bool more = true; more;)
            assert_true(maintain(&station, &limits, &more));
        assert_int_equal(ask_number(folder->database, "SELECT min(key) >> 15 FROM reading"),
                         BEGIN_MS + day * DAY);
    }
    station_close(&station);
}

static int count_statement(unsigned reason, void *context, void *statement, void *text)
{
    (void)reason;
    (void)statement;
    (void)text;
    (*(int *)context)++;
    return 0;
}

/* Minutes, but no quarter yet: what is asked from the beginning of time on is not walked through in
 * quarters from 1970 on. */
static void test_a_young_file_is_asked_in_few_steps(void **state)
{
    const struct folder *folder = *state;
    use_zone("Europe/Berlin");
    struct station station;
    station_open(&station, folder->database);
    for (int64_t ms = BEGIN_MS; ms < BEGIN_MS + 5 * MINUTE; ms += SECOND)
        station_put(&station, 0, ms, 31790, 3, 1);
    station_commit(&station);
    assert_true(ask_number(folder->database, "SELECT count(*) FROM rollup_minute") > 0);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM rollup_quarter"), 0);
    sqlite3 *db = NULL;
    struct segments *segments = NULL;
    int statements = 0;
    int64_t imported = 0;
    int64_t exported = 0;
    assert_int_equal(sqlite3_open(folder->database, &db), SQLITE_OK);
    assert_int_equal(segments_open(db, &segments), SQLITE_OK);
    (void)sqlite3_trace_v2(db, SQLITE_TRACE_STMT, count_statement, &statements);
    assert_int_equal(segments_sum(segments, 1, 0, BEGIN_MS + DAY, &imported, &exported), SQLITE_OK);
    assert_int_equal(imported, 900);
    assert_int_equal(exported, 300);
    assert_in_range(statements, 1, 500);
    assert_int_equal(segments_sum(segments, 1, 0, BEGIN_MS - DAY, &imported, &exported), SQLITE_OK);
    assert_int_equal(imported, 0);
    segments_close(segments);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    station_close(&station);
}

/* ---- recalibration ---- */

/* Energy over the span is what its counts are with these factors, as if it had been measured with
 * them; days, quarters and the total agree; undone, everything is as before. */
static void test_random_recalibrations(void **state)
{
    const struct folder *folder = *state;
    const char *path = folder->database;
    uint64_t seed = test_seed();
    use_zone("Europe/Berlin");
    struct station station;
    station_open(&station, path);
    int64_t begin_ms = BEGIN_MS;
    int64_t end_ms = begin_ms + 60 * DAY;
    for (int64_t ms = begin_ms; ms < end_ms - 2 * SECOND; /* put_some's last is so much later */
         ms += 1000 * (600 + below(&seed, 1800))) {
        put_some(&station, ms, &seed);
        if (below(&seed, 30) == 0)
            station_commit(&station);
    }
    station_commit(&station);
    const struct limits limits = {{end_ms - 20 * DAY, end_ms - 40 * DAY, 0}};
    bool more = true;
    while (more)
        assert_true(maintain(&station, &limits, &more));
    int64_t original = energy(path, "a", begin_ms, end_ms, BUCKET_DAY);
    int64_t other = energy(path, "b", begin_ms, end_ms, BUCKET_DAY);
    int64_t published = total_uwh(&station, 0);
    assert_int_equal(original, published);
    int done_count = 0;
    for (int i = 0; i < 16; i++) {
        struct history_recalibration request = {.device = "house", .channel = "a"};
        struct history_recalibrated done;
        struct error error = {""};
        request.undo = done_count > 0 && below(&seed, 4) == 0;
        request.dry_run = below(&seed, 5) == 0;
        request.since_ms = begin_ms + below(&seed, 55 * DAY);
        request.until_ms =
            below(&seed, 4) == 0 ? INT64_MAX : request.since_ms + 2 * DAY + below(&seed, 20 * DAY);
        request.factors.power = 250.0 + (double)below(&seed, 150);
        int64_t before = energy(path, "a", begin_ms, end_ms, BUCKET_DAY);
        if (database_recalibrate(station.database, &request, &done, &error) != STATUS_OK)
            fail_msg("%s", error.text);
        int64_t change_uwh = done.imported_after_uwh - done.imported_before_uwh;
        int64_t after = energy(path, "a", begin_ms, end_ms, BUCKET_DAY);
        if (request.dry_run) {
            assert_int_equal(after, before);
            continue;
        }
        done_count += request.undo ? -1 : 1;
        /* beside the span sums may end elsewhere within a microwatt hour */
        assert_in_range(after - before - change_uwh + 3, 0, 6);
        assert_int_equal(energy(path, "a", begin_ms, end_ms, BUCKET_HOUR), after);
        assert_int_equal(energy(path, "a", begin_ms, end_ms, BUCKET_MONTH), after);
        assert_int_equal(energy(path, "b", begin_ms, end_ms, BUCKET_DAY), other);
        assert_true(done.total_imported_before_uwh == published);
        assert_true(done.total_imported_after_uwh >= published);
        assert_int_equal(done.total_imported_after_uwh - done.held_imported_uwh, after);
        published = done.total_imported_after_uwh;
        assert_true(!done.rounded || request.since_ms < end_ms - 19 * DAY);

        /* and the total goes on as energy does */
        energy_adjust(&station.totals[0].state, &done.adjustment);
        assert_int_equal(total_uwh(&station, 0), published);
        end_ms += 1000 * (600 + below(&seed, 1800));
        station_put(&station, 0, end_ms - 100, 1000, below(&seed, 3000), 0);
        station_commit(&station);
        int64_t now = energy(path, "a", begin_ms, end_ms, BUCKET_DAY);
        assert_int_equal(total_uwh(&station, 0) - done.held_imported_uwh, now);
        published = total_uwh(&station, 0);
    }
    while (done_count-- > 0) {
        const struct history_recalibration undo = {.device = "house", .channel = "a", .undo = true};
        struct history_recalibrated done;
        assert_int_equal(database_recalibrate(station.database, &undo, &done, NULL), STATUS_OK);
        energy_adjust(&station.totals[0].state, &done.adjustment);
    }
    assert_int_equal(energy(path, "a", begin_ms, BEGIN_MS + 60 * DAY, BUCKET_DAY), original);
    station_close(&station);
}

static void test_what_cannot_be_recalibrated(void **state)
{
    const struct folder *folder = *state;
    use_zone("UTC");
    struct station station;
    station_open(&station, folder->database);
    for (int64_t i = 0; i < 100; i++)
        station_put(&station, 0, BEGIN_MS + i * MINUTE, 31790, 3, 0);
    station_commit(&station);
    static const struct {
        struct history_recalibration request;
        const char *words;
    } cases[] = {
        {{.device = "house", .channel = "z", .until_ms = INT64_MAX, .factors = {.power = 300}},
         "no readings of channel z"},
        {{.device = "house", .channel = "b", .until_ms = INT64_MAX, .factors = {.power = 300}},
         "no readings of channel b"},
        {{.device = "house", .channel = "a", .since_ms = BEGIN_MS + DAY, .until_ms = INT64_MAX},
         "begins after the last reading"},
        {{.device = "house", .channel = "a", .since_ms = BEGIN_MS + 5, .until_ms = BEGIN_MS},
         "ends before it begins"},
        {{.device = "house", .channel = "a", .until_ms = INT64_MAX, .calibration_id = 77},
         "no calibration number 77"},
        {{.device = "house", .channel = "a", .undo = true}, "to undo"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct history_recalibrated done;
        struct error error = {""};
        assert_int_equal(database_recalibrate(station.database, &cases[i].request, &done, &error),
                         STATUS_USAGE);
        if (strstr(error.text, cases[i].words) == NULL)
            fail_msg("%s", error.text);
    }
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM recalibration"), 0);
    station_close(&station);
}

/* ---- what sinks get ---- */

/* An engine: one value for each series and time, of which the last one stays. */
struct value {
    enum outbox_level level;
    char channel;
    int64_t at_ms;
    int64_t imported_uwh;
    double power_w;
};

struct engine {
    struct value *values;
    size_t count, capacity;
    uint64_t got; /* repetitions included */
    enum outbox_level level;
};

static void engine_put(struct engine *engine, const struct value *value)
{
    engine->got++;
    for (size_t i = engine->count; i-- > 0;) { /* mostly near the end */
        struct value *old = &engine->values[i];
        if (old->level != value->level || old->channel != value->channel)
            continue;
        if (old->at_ms == value->at_ms) {
            *old = *value;
            return;
        }
    }
    engine->values =
        memory_grow(engine->values, engine->count, &engine->capacity, sizeof *engine->values);
    engine->values[engine->count++] = *value;
}

static bool engine_take_point(void *context, const struct history_point *point)
{
    struct engine *engine = context;
    const struct value value = {engine->level, point->channel[0], point->start_ms,
                                point->imported_uwh,
                                point->power_w.known ? point->power_w.max : -1};
    assert_true(point->end_ms > point->start_ms);
    assert_in_range(point->coverage_permille, 0, 1000);
    engine_put(engine, &value);
    return true;
}

static bool engine_take_reading(void *context, const struct history_reading *reading)
{
    const struct value value = {OUTBOX_READINGS, reading->channel[0], reading->reading.wall_ms,
                                reading->imported_uwh, reading->factors.power};
    engine_put(context, &value);
    return true;
}

static int compare_values(const void *one, const void *other)
{
    const struct value *a = one;
    const struct value *b = other;
    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    if (a->channel != b->channel)
        return a->channel < b->channel ? -1 : 1;
    return a->at_ms < b->at_ms ? -1 : a->at_ms > b->at_ms;
}

/* A sink's lanes; what reads on is kept from turn to turn, as the sink does. */
struct follower {
    struct engine engine;
    struct outboxes outboxes;
    struct history_stream *stream;
    struct history_points *points[OUTBOX_LEVELS];
};

static void follower_open(struct follower *follower, struct station *station)
{
    database_outboxes(station->database, &follower->outboxes);
    for (int level = 0; level < OUTBOX_LEVELS; level++)
        assert_non_null(outboxes_open(&follower->outboxes, "one", (enum outbox_level)level, 0));
    assert_int_equal(history_stream_open(station->path, &follower->stream, NULL), STATUS_OK);
    for (int level = OUTBOX_MINUTES; level < OUTBOX_LEVELS; level++)
        assert_int_equal(history_points_open(station->path, (enum outbox_level)level,
                                             &follower->points[level], NULL),
                         STATUS_OK);
}

static void follower_close(struct follower *follower)
{
    history_stream_close(follower->stream);
    for (int level = OUTBOX_MINUTES; level < OUTBOX_LEVELS; level++)
        history_points_close(follower->points[level]);
}

static void follow_changes(struct follower *follower, struct station *station)
{
    struct outbox_changes changes;
    database_take_changes(station->database, &changes);
    outboxes_changed(&follower->outboxes, &changes);
    char sql[160];
    for (int level = 0; level < OUTBOX_LEVELS; level++) { /* the file's are not ahead of ours */
        (void)snprintf(sql, sizeof sql,
                       "SELECT coalesce((SELECT cursor FROM sink WHERE level = %d), 0)", level);
        struct outbox *outbox =
            outboxes_open(&follower->outboxes, "one", (enum outbox_level)level, 0);
        assert_true(ask_number(station->path, sql) <= outbox->cursor);
    }
}

/* As the writer does, cursors and all. */
static void follower_commit(struct follower *follower, struct station *station)
{
    struct batch *batch = &station->batch;
    int64_t minimum = INT64_MAX;
    for (size_t i = 0; i < station->queue.readings.count; i++) {
        const struct queued_reading *item = ring_at(&station->queue.readings, i);
        int64_t key = key_make(item->reading.wall_ms, item->number);
        minimum = key < minimum ? key : minimum;
    }
    outboxes_writing(&follower->outboxes, minimum);
    batch->outbox_count = 0;
    for (size_t i = 0; i < follower->outboxes.count; i++) {
        batch->outboxes[batch->outbox_count++] = follower->outboxes.list[i];
        follower->outboxes.list[i].dirty = false;
    }
    station_commit(station);
    outboxes_written(&follower->outboxes);
    batch->outbox_count = 0;
    follow_changes(follower, station);
}

static bool follow(struct follower *follower, enum outbox_level level, size_t most)
{
    struct outbox *outbox = outboxes_open(&follower->outboxes, "one", level, 0);
    int64_t after = outbox_begin(&follower->outboxes, outbox);
    int64_t last = after;
    bool more = false;
    struct error error = {""};
    follower->engine.level = level;
    enum status status =
        level == OUTBOX_READINGS
            ? history_stream_read(follower->stream, after, most, engine_take_reading,
                                  &follower->engine, &last, &more, &error)
            : history_points_read(follower->points[level], after, most, engine_take_point,
                                  &follower->engine, &last, &more, &error);
    if (status != STATUS_OK)
        fail_msg("%s", error.text);
    outbox_done(outbox, last, 0);
    return more;
}

static int64_t sum_of(const struct engine *engine, enum outbox_level level, char channel)
{
    int64_t sum = 0;
    for (size_t i = 0; i < engine->count; i++)
        if (engine->values[i].level == level && engine->values[i].channel == channel)
            sum += engine->values[i].imported_uwh;
    return sum;
}

/* An engine that has followed has what one has that gets everything now. */
static void check_followed(struct follower *follower, struct station *station)
{
    struct follower fresh = {.outboxes = {.writing = INT64_MAX}};
    struct engine *engine = &follower->engine;
    follower_open(&fresh, station);
    for (size_t i = 0; i < fresh.outboxes.count; i++)
        fresh.outboxes.list[i].cursor = 0;
    for (int level = 0; level < OUTBOX_LEVELS; level++) {
        while (follow(follower, (enum outbox_level)level, 500))
            continue;
        while (follow(&fresh, (enum outbox_level)level, 2000))
            continue;
    }
    qsort(engine->values, engine->count, sizeof *engine->values, compare_values);
    qsort(fresh.engine.values, fresh.engine.count, sizeof *fresh.engine.values, compare_values);
    assert_int_equal(fresh.engine.got, fresh.engine.count); /* none twice */
    assert_int_equal(engine->count, fresh.engine.count);
    for (size_t i = 0; i < engine->count; i++) {
        const struct value *a = &engine->values[i];
        const struct value *b = &fresh.engine.values[i];
        if (compare_values(a, b) != 0 || a->imported_uwh != b->imported_uwh ||
            a->power_w != b->power_w)
            fail_msg("level %d, channel %c, %lld: %lld uWh instead of %lld", (int)b->level,
                     b->channel, (long long)b->at_ms, (long long)a->imported_uwh,
                     (long long)b->imported_uwh);
    }
    /* To the microwatt hour what `history energy` says, up to where rows are made. */
    static const char *const tables[] = {NULL, "rollup_minute", "rollup_quarter", "rollup_day"};
    for (int level = OUTBOX_MINUTES; level < OUTBOX_LEVELS; level++) {
        char sql[80];
        (void)snprintf(sql, sizeof sql, "SELECT max(key >> 15) FROM %s", tables[level]);
        int64_t last_ms = ask_number(station->path, sql);
        int64_t end_ms = level == OUTBOX_DAYS ? bucket_next(BUCKET_DAY, last_ms)
                         : level == OUTBOX_MINUTES
                             ? last_ms / MINUTE * MINUTE + MINUTE
                             : last_ms / (15 * MINUTE) * (15 * MINUTE) + 15 * MINUTE;
        for (char channel = 'a'; channel <= 'b'; channel++) {
            const char name[] = {channel, '\0'};
            int64_t wanted = energy(station->path, name, 0, end_ms, BUCKET_DAY);
            assert_int_equal(sum_of(engine, (enum outbox_level)level, channel), wanted);
        }
    }
    follower_close(&fresh);
    free(fresh.engine.values);
}

static void forget_days(struct engine *engine)
{
    size_t kept = 0;
    for (size_t i = 0; i < engine->count; i++)
        if (engine->values[i].level != OUTBOX_DAYS)
            engine->values[kept++] = engine->values[i];
    engine->count = kept;
}

static void correct_something(struct station *station, int64_t begin_ms, int64_t now_ms,
                              uint64_t *seed)
{
    struct history_recalibration request = {.device = "house", .channel = "a"};
    struct history_recalibrated done;
    request.undo = below(seed, 3) == 0;
    request.dry_run = below(seed, 4) == 0;
    request.since_ms = begin_ms + below(seed, now_ms - begin_ms);
    request.until_ms = below(seed, 2) == 0 ? INT64_MAX : request.since_ms + below(seed, DAY);
    request.factors.power = 250.0 + (double)below(seed, 150);
    request.factors.voltage = 15000.0 + (double)below(seed, 1000);
    /* There may be nothing to undo, or nothing in that time. */
    if (database_recalibrate(station->database, &request, &done, NULL) == STATUS_OK &&
        !request.dry_run)
        energy_adjust(&station->totals[done.number - 1].state, &done.adjustment);
}

static void test_sinks_follow_whatever_happens(void **state)
{
    const struct folder *folder = *state;
    const char *path = folder->database;
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Asia/Kathmandu"};
    uint64_t seed = test_seed();
    use_zone(zones[0]);
    struct station station;
    struct follower follower = {.outboxes = {.writing = INT64_MAX}};
    station_open(&station, path);
    station_commit(&station);
    follower_open(&follower, &station);
    int64_t now_ms = BEGIN_MS;
    for (int round = 0; round < 400; round++) {
        now_ms += 1000 * below(&seed, 3000);
        station.absent_ms = below(&seed, 10) == 0 ? MINUTE + below(&seed, 9 * HOUR) : 0;
        put_some(&station, now_ms, &seed);
        if (below(&seed, 20) == 0) /* the clock was set back */
            put_some(&station, BEGIN_MS + below(&seed, now_ms - BEGIN_MS + 1), &seed);
        if (below(&seed, 3) == 0)
            follower_commit(&follower, &station);
        if (below(&seed, 40) == 0) {
            follower_commit(&follower, &station);
            correct_something(&station, BEGIN_MS, now_ms, &seed);
            follow_changes(&follower, &station);
        }
        if (below(&seed, 40) == 0) {
            const struct calibration factors = {15000.0, 128000.0, 300.0 + (double)below(&seed, 9)};
            follower_commit(&follower, &station);
            station_calibrate(&station, 1, &factors, below(&seed, 2) == 0, now_ms + 3 * SECOND);
            follow_changes(&follower, &station);
        }
        if (below(&seed, 100) == 0) { /* a crash, and another zone */
            follower_commit(&follower, &station);
            follower_close(&follower);
            station_close(&station);
            use_zone(zones[below(&seed, 3)]);
            station_open(&station, path);
            catch_up(&station);
            forget_days(&follower.engine); /* as the manual says */
            struct engine engine = follower.engine;
            follower = (struct follower){.engine = engine};
            follower_open(&follower, &station);
            follow_changes(&follower, &station);
            outboxes_open(&follower.outboxes, "one", OUTBOX_DAYS, 0)->cursor = 0;
        }
        if (below(&seed, 2) == 0)
            (void)follow(&follower, (enum outbox_level)below(&seed, OUTBOX_LEVELS),
                         (size_t)(1 + below(&seed, 40)));
    }
    follower_commit(&follower, &station);
    catch_up(&station);
    follow_changes(&follower, &station);
    check_followed(&follower, &station);
    check_followed(&follower, &station); /* reading on where one has left off */
    print_message("%zu values\n", follower.engine.count);
    follower_close(&follower);
    station_close(&station);
    free(follower.engine.values);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_rows_agree_with_readings_whatever_happens),
        TEST(test_a_file_without_rows_is_caught_up_with),
        TEST(test_days_quarters_and_totals_agree_in_every_zone),
        TEST(test_old_rows_go_in_steps_and_energy_stays),
        TEST(test_a_clock_ahead_deletes_nothing),
        TEST(test_bounded_deleting),
        TEST(test_a_young_file_is_asked_in_few_steps),
        TEST(test_random_recalibrations),
        TEST(test_what_cannot_be_recalibrated),
        TEST(test_sinks_follow_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
