/* SPDX-License-Identifier: MIT */
/* How readings lie in the file: the view gives back what was put in, and a file from before the
 * compact tables has the same readings after its migration. */
#include "history_helper.h"
#include "random_helper.h"

#include "bridge/history/store/migrate.h"
#include "bridge/history/store/rows.h"
#include "bridge/history/store/samples.h"
#include "bridge/history/store/sql.h"

#define BEGIN_MS 1772323200000LL
#define COMPACT 6 /* the migration */

static sqlite3 *migrated(const char *path, int to)
{
    sqlite3 *db = NULL;
    size_t count;
    const struct migration *list = schema_migrations(&count);
    assert_int_equal(sql_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false, &db),
                     SQLITE_OK);
    assert_int_equal(migrate_without_backup(db, 0, list, (size_t)to, path, NULL), STATUS_OK);
    return db;
}

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sql_run(db, sql) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
    int64_t value = -1;
    if (sql_integer(db, sql, &value) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    return value;
}

/* ---- counts and flags ---- */

static void test_counts_and_flags_come_back(void **state)
{
    const struct folder *folder = *state;
    static const int64_t counts[] = {
        0, 1, 3, 4, 127, 128, 32767, 0xffffff, 1LL << 40, (1LL << 58) - 1,
    };
    sqlite3 *db = migrated(folder->database, COMPACT);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (unsigned flags = 0; flags < 32; flags++) {
            char sql[400];
            (void)snprintf(sql, sizeof sql,
                           "DELETE FROM sample; INSERT INTO sample (key, counted) VALUES "
                           "(1, %lld), (2, %lld), (3, %lld); INSERT INTO sample_exported VALUES "
                           "(3, 7)",
                           (long long)sample_counted(counts[i], 0, flags),
                           (long long)sample_counted(0, counts[i], flags),
                           (long long)sample_counted(counts[i], 7, flags));
            run_sql(db, sql);
            (void)snprintf(sql, sizeof sql,
                           "SELECT count(*) FROM reading WHERE flags = %u AND (imported, exported) "
                           "= (CASE key WHEN 2 THEN 0 ELSE %lld END, CASE key WHEN 1 THEN 0 WHEN 2 "
                           "THEN %lld ELSE 7 END)",
                           flags, (long long)counts[i], (long long)counts[i]);
            assert_int_equal(number_of(db, sql), 3);
        }
    }
    (void)sqlite3_close(db);
    /* more than any counter counts is as much as there is room for, on the right side */
    assert_true(sample_counted(INT64_MAX, 0, 31) > 0);
    assert_true(sample_counted(0, INT64_MAX, 31) < 0);
    assert_int_equal(sample_counted(INT64_MAX, 0, 5) & 31, 5);
}

/* ---- which counters are kept ---- */

struct counter_step {
    int64_t ms; /* since BEGIN_MS, which is the beginning of a minute */
    int64_t energy;
    unsigned flags;
    bool kept;
    bool before; /* now the one before is kept, too */
};

static void check_steps(enum reading_kind kind, const struct counter_step *steps, size_t count)
{
    struct sample_counters counters = {0};
    for (size_t i = 0; i < count; i++) {
        const struct reading reading = {
            .present = READING_ALL, .energy = steps[i].energy, .flags = steps[i].flags};
        int64_t key = key_make(BEGIN_MS + steps[i].ms, 3);
        struct sample_kept kept = sample_counters_note(&counters, kind, key, &reading);
        if (kept.this_one != steps[i].kept || kept.before != steps[i].before)
            fail_msg("step %zu: kept %d, before %d", i, kept.this_one, kept.before);
        if (kept.before) {
            assert_int_equal(kept.before_key, key_make(BEGIN_MS + steps[i - 1].ms, 3));
            assert_int_equal(kept.before_energy, steps[i - 1].energy);
        }
    }
    sample_counters_free(&counters);
}

#define CHECK(kind, ...)                                                                           \
    do {                                                                                           \
        static const struct counter_step steps[] = {__VA_ARGS__};                                  \
        check_steps(kind, steps, sizeof steps / sizeof steps[0]);                                  \
    } while (0)

static void test_which_counters_are_kept(void **state)
{
    (void)state;
    /* the first, and the first of each minute */
    CHECK(READING_BL0942, {59000, 5, 0, true, false}, {59500, 6, 0, false, false},
          {60000, 6, 0, true, false}, {61000, 7, 0, false, false}, {119999, 900, 0, false, false},
          {180000, 901, 0, true, false}, {120000, 901, 0, true, false});
    /* a wrap, with what was before */
    CHECK(READING_BL0942, {0, 0xfffffe, 0, true, false}, {1000, 0xffffff, 0, false, false},
          {2000, 1, 0, true, true}, {3000, 2, 0, false, false});
    /* a misread one: three */
    CHECK(READING_BL0942, {0, 100, 0, true, false}, {1000, 101, 0, false, false},
          {2000, 5000, 0, true, true}, {3000, 102, 0, true, false}, {4000, 103, 0, false, false});
    /* a restart that the driver knows of, though the counter does not show it */
    CHECK(READING_BL0942, {0, 0, 0, true, false}, {1000, 0, 0, false, false},
          {2000, 1, READING_CHIP_RESET, true, false});
    /* the maximum load, 20 a second, and one count more than that and what is granted */
    CHECK(READING_BL0942, {0, 0, 0, true, false}, {1000, 40, 0, false, false},
          {2000, 81, 0, true, true}, {12000, 301, 0, false, false});
    CHECK(READING_BL0942, {0, INT64_MIN, 0, true, false}, {1000, INT64_MAX, 0, true, false});
    /* of others all */
    CHECK(READING_OPENBEKEN, {0, 5, 0, true, false}, {1000, 6, 0, true, false},
          {2000, 5, 0, true, false});
}

static void test_a_rolled_back_counter_is_kept_again(void **state)
{
    (void)state;
    struct sample_counters counters = {0};
    const struct reading reading = {.present = READING_ALL, .energy = 7};
    const struct reading partly = {.present = READING_POWER};
    int64_t key = key_make(BEGIN_MS, 300);
    assert_false(sample_counters_note(&counters, READING_BL0942, key, &partly).this_one);
    assert_true(sample_counters_note(&counters, READING_BL0942, key, &reading).this_one);
    assert_false(sample_counters_note(&counters, READING_BL0942, key, &reading).this_one);
    sample_counters_forget(&counters);
    assert_true(sample_counters_note(&counters, READING_BL0942, key, &reading).this_one);
    sample_counters_free(&counters);
}

/* ---- the migration ---- */

struct old_file {
    sqlite3 *db;
    sqlite3_stmt *insert;
    sqlite3_stmt *expect; /* the counters that the writer would have kept */
    struct sample_counters counters;
    uint64_t dice;
};

static void put_integers(sqlite3_stmt *statement, const int64_t *values, int count)
{
    for (int i = 0; i < count; i++)
        (void)sqlite3_bind_int64(statement, i + 1, values[i]);
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
}

static void put_old(struct old_file *file, int64_t ms, unsigned number, enum reading_kind kind,
                    const struct reading *reading, int64_t imported, int64_t exported)
{
    int64_t key = key_make(ms, number);
    const int64_t flags = reading->flags;
    const int64_t values[] = {key, flags, imported, exported};
    const int64_t quantities[] = {reading->voltage, reading->current, reading->power,
                                  reading->energy, reading->frequency};
    for (int i = 0; i < 5; i++)
        if ((reading->present & 1u << i) != 0)
            (void)sqlite3_bind_int64(file->insert, i + 5, quantities[i]);
    put_integers(file->insert, values, 4);
    struct sample_kept kept = sample_counters_note(&file->counters, kind, key, reading);
    const int64_t before[] = {kept.before_key, kept.before_energy};
    const int64_t this_one[] = {key, reading->energy};
    if (kept.before)
        put_integers(file->expect, before, 2);
    if (kept.this_one)
        put_integers(file->expect, this_one, 2);
}

/* Two chips and a module, with all that can happen to a counter and a reading. */
static void fill(struct old_file *file, int64_t seconds)
{
    int64_t counters[3] = {0xffffff - 1000, 5, 70000};
    for (int64_t second = 0; second < seconds; second++) {
        for (unsigned i = 0; i < 3; i++) {
            if (below(&file->dice, 50) == 0)
                continue;
            int64_t step = below(&file->dice, 4);
            counters[i] = (counters[i] + step) & 0xffffff;
            if (below(&file->dice, 300) == 0)
                counters[i] = below(&file->dice, 30);
            bool misread = below(&file->dice, 200) == 0;
            const struct reading reading = {
                .present =
                    below(&file->dice, 20) == 0 ? (unsigned)below(&file->dice, 32) : READING_ALL,
                .flags = (unsigned)(below(&file->dice, 3) == 0 ? below(&file->dice, 32) : 0),
                .voltage = below(&file->dice, 1 << 24),
                .current = below(&file->dice, 1 << 24),
                .power = below(&file->dice, 1 << 24) - (1 << 23),
                .energy = misread ? below(&file->dice, 1 << 24) : counters[i],
                .frequency = below(&file->dice, 5) == 0 ? below(&file->dice, 70000) : 20010,
            };
            int64_t exported = below(&file->dice, 3) == 0 ? below(&file->dice, 1 << 20) : 0;
            put_old(file, BEGIN_MS + second * 1000 + i * 20 + below(&file->dice, 9), i + 1,
                    i == 2 ? READING_OPENBEKEN : READING_BL0942, &reading, step, exported);
        }
    }
}

static void test_an_old_file_has_the_same_readings(void **state)
{
    const struct folder *folder = *state;
    struct old_file file = {.db = migrated(folder->database, COMPACT - 1), .dice = test_seed()};
    run_sql(file.db, "INSERT INTO channel VALUES (1, 'h', 'a', 1), (2, 'h', 'b', 1), "
                     "(3, 'm', 'a', 2);"
                     "CREATE TEMP TABLE kept (key INTEGER PRIMARY KEY, energy);"
                     "BEGIN");
    assert_int_equal(sql_prepare(file.db,
                                 "INSERT INTO reading (key, flags, imported, exported, voltage, "
                                 "current, power, energy, frequency) VALUES (?1, ?2, ?3, ?4, ?5, "
                                 "?6, ?7, ?8, ?9)",
                                 &file.insert),
                     SQLITE_OK);
    assert_int_equal(sql_prepare(file.db, "INSERT INTO kept VALUES (?1, ?2)", &file.expect),
                     SQLITE_OK);
    fill(&file, 5000);
    (void)sqlite3_finalize(file.insert);
    (void)sqlite3_finalize(file.expect);
    run_sql(file.db, "COMMIT; CREATE TEMP TABLE old AS SELECT * FROM reading");
    size_t count;
    const struct migration *list = schema_migrations(&count);
    assert_int_equal(
        migrate_without_backup(file.db, COMPACT - 1, list, COMPACT, folder->database, NULL),
        STATUS_OK);

    assert_true(number_of(file.db, "SELECT count(*) FROM old") > 14000);
    assert_int_equal(number_of(file.db, "SELECT count(*) FROM reading"),
                     number_of(file.db, "SELECT count(*) FROM old"));
    assert_int_equal(
        number_of(file.db,
                  "SELECT count(*) FROM (SELECT key, voltage, current, power, frequency, flags, "
                  "imported, exported FROM old EXCEPT SELECT key, voltage, current, power, "
                  "frequency, flags, imported, exported FROM reading)"),
        0);
    assert_true(number_of(file.db, "SELECT count(*) FROM sample_exported") > 1000);
    /* the statements of the migration and the writer keep the same counters */
    assert_int_equal(number_of(file.db, "SELECT count(*) FROM (SELECT * FROM kept EXCEPT SELECT * "
                                        "FROM sample_counter)"),
                     0);
    assert_int_equal(number_of(file.db, "SELECT count(*) FROM kept"),
                     number_of(file.db, "SELECT count(*) FROM sample_counter"));
    assert_int_equal(number_of(file.db, "SELECT count(*) FROM (SELECT key, energy FROM reading "
                                        "WHERE energy IS NOT NULL EXCEPT SELECT key, energy FROM "
                                        "old)"),
                     0);
    assert_int_equal(number_of(file.db, "SELECT count(*) FROM old WHERE key & 32767 = 3 AND energy "
                                        "IS NOT NULL AND key NOT IN (SELECT key FROM "
                                        "sample_counter)"),
                     0);
    sample_counters_free(&file.counters);
    (void)sqlite3_close(file.db);
}

/* What the questions that are asked all the time rest on. */
static void test_questions_go_straight_to_the_table(void **state)
{
    const struct folder *folder = *state;
    static const char *const questions[] = {
        "SELECT max(key) FROM reading",
        "SELECT coalesce(min(key), -1) FROM reading",
        "SELECT key FROM reading WHERE key >= 5 AND key < 9 ORDER BY key",
        "SELECT key, imported, power, frequency, flags FROM reading WHERE key >= 5 ORDER BY key",
    };
    sqlite3 *db = migrated(folder->database, COMPACT);
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        char sql[300];
        int steps = 0;
        sqlite3_stmt *plan = NULL;
        (void)snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", questions[i]);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &plan, NULL), SQLITE_OK);
        for (; sqlite3_step(plan) == SQLITE_ROW; steps++)
            assert_int_equal(
                strncmp((const char *)sqlite3_column_text(plan, 3), "SEARCH sample", 13), 0);
        assert_int_equal(steps, 1);
        (void)sqlite3_finalize(plan);
    }
    (void)sqlite3_close(db);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_counts_and_flags_come_back),
        cmocka_unit_test(test_which_counters_are_kept),
        cmocka_unit_test(test_a_rolled_back_counter_is_kept_again),
        TEST(test_an_old_file_has_the_same_readings),
        TEST(test_questions_go_straight_to_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
