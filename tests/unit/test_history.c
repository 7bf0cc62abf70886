/* SPDX-License-Identifier: MIT */
/* bridge/history: what is stored is found again; calibrations, schema and migrations. */
#include "history_helper.h"

#include "bridge/history/safety/totals_file.h"
#include "bridge/history/store/migrate.h"

#include <dirent.h>
#include <fnmatch.h>

/* ---- stored and found again ---- */

static void test_readings_are_stored_as_measured(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit a = add_circuit(history, "house", "a");
    struct circuit b = add_circuit(history, "house", "b");
    assert_int_equal(a.number, 1);
    assert_int_equal(b.number, 2);
    assert_false(a.state.known);
    start(history);
    put(history, &a, 3, 1);
    const struct reading partly = {
        .wall_ms = BEGIN_MS + 1,
        .present = READING_POWER,
        .flags = READING_REVERSE | READING_CHIP_RESET,
        .power = -5,
    };
    history_put_reading(history, b.number, &partly, 0, 0, &b.state);
    history_put_event(history, 0, BEGIN_MS, "started", "The service began.");
    history_put_event(history, b.number, BEGIN_MS, "chip_reset", "The chip restarted.");
    history_close(history, 5000);

    assert_string_equal(ask(folder->database,
                            "SELECT group_concat((key & 32767) || ' ' || (key >> 15)"
                            " || ' ' || voltage || ' ' || current || ' ' || power "
                            "|| ' ' || energy || ' ' || frequency || ' ' || flags "
                            "|| ' ' || imported || ' ' || exported) FROM reading "
                            "WHERE key & 32767 = 1"),
                        "1 1772323201000 3653159 557317 317900 4 20000 0 3 1");
    assert_string_equal(ask(folder->database, "SELECT quote(voltage) || quote(current) || power || "
                                              "quote(energy) || quote(frequency) || flags FROM "
                                              "reading WHERE key & 32767 = 2"),
                        "NULLNULL-5NULLNULL17");
    assert_string_equal(
        ask(folder->database, "SELECT group_concat((key & 32767) || kind) FROM event"),
        "0started,2chip_reset");
    assert_string_equal(
        ask(folder->database, "SELECT value FROM meta WHERE name = 'stopped_clean'"), "1");
    assert_string_equal(ask(folder->database, "PRAGMA integrity_check"), "ok");
    assert_string_equal(ask(folder->database, "PRAGMA journal_mode"), "wal");
}

static void test_totals_are_found_again(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit a = add_circuit(history, "house", "a");
    struct circuit b = add_circuit(history, "workshop", "a");
    start(history);
    for (int i = 0; i < 500; i++) {
        put(history, &a, i % 3, 0);
        put(history, &b, 0, 1);
    }
    history_close(history, 5000);

    history = open_history(folder->database, 0);
    /* in another order: the number belongs to the name */
    struct circuit b_again = add_circuit(history, "workshop", "a");
    struct circuit a_again = add_circuit(history, "house", "a");
    assert_int_equal(a_again.number, a.number);
    assert_int_equal(b_again.number, b.number);
    assert_same_state(&a_again.state, &a.state);
    assert_same_state(&b_again.state, &b.state);
    history_close(history, 5000);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM calibration"), 2);
    assert_int_equal(ask_number(folder->database, "SELECT sum(imported) FROM reading"),
                     a.state.imported);
}

static void test_a_taken_key_moves_on(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit a = add_circuit(history, "house", "a");
    struct circuit b = add_circuit(history, "house", "b");
    start(history);
    for (int i = 0; i < 100; i++) { /* the clock is set back again and again */
        a.wall_ms = b.wall_ms = BEGIN_MS;
        put(history, &a, 1, 0);
        put(history, &b, 2, 0);
        history_put_event(history, a.number, BEGIN_MS, "tick", "again");
        if (i % 10 == 0)
            history_put_state(history, a.number, &a.state); /* over several transactions */
    }
    history_close(history, 5000);
    assert_string_equal(ask(folder->database,
                            "SELECT count(*) || ' ' || (max(key >> 15) - min(key >> 15)) || ' ' || "
                            "sum(imported) FROM reading WHERE key & 32767 = 1"),
                        "100 99 100");
    assert_string_equal(ask(folder->database,
                            "SELECT count(*) || ' ' || sum(imported) FROM reading "
                            "WHERE key & 32767 = 2"),
                        "100 200");
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM event"), 100);
}

static void test_a_total_set_by_the_user_is_stored_at_once(void **state)
{
    const struct folder *folder = *state;
    struct history_options options = {.path = folder->database, .commit_interval_ms = 60000};
    struct history *history = NULL;
    struct error error = {""};
    assert_int_equal(history_open(&options, &history, &error), STATUS_OK);
    struct circuit a = add_circuit(history, "house", "a");
    start(history);
    wait_until(health_of(history).last_commit_boot_ms > 0);
    put(history, &a, 7, 0);
    int64_t imported = -1;
    int64_t exported = -1;
    history_stored_totals(history, a.number, &imported, &exported);
    assert_int_equal(imported, 0);
    a.state.imported = 0;
    a.state.base_imported_uwh = 123456789;
    history_put_state(history, a.number, &a.state);
    wait_until((history_stored_totals(history, a.number, &imported, &exported), imported != 0));
    assert_int_equal(imported, 123456789);
    assert_int_equal(ask_number(folder->database, "SELECT base_imported_uwh FROM total"),
                     123456789);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 1);
    char *totals = totals_file_path(folder->database);
    /* the copy of the totals follows, or a damage would bring the old ones back */
    struct channels found = {0};
    unsigned taken = 0;
    wait_until((channels_free(&found),
                totals_file_merge(totals, &found, &taken, NULL) == STATUS_OK && taken == 1 &&
                    found.list[0].state.base_imported_uwh == 123456789));
    channels_free(&found);
    free(totals);
    history_close(history, 5000);
}

/* ---- calibration ---- */

static bool calibrate(struct history *history, unsigned number, const struct calibration *factors,
                      bool invert, int64_t wall_ms, struct calibration *previous)
{
    bool changed = false;
    struct error error = {""};
    assert_int_equal(
        history_calibration(history, number, factors, invert, wall_ms, previous, &changed, &error),
        STATUS_OK);
    return changed;
}

static void test_a_changed_calibration_is_told_until_the_totals_are_folded(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit a = add_circuit(history, "house", "a");
    start(history);
    put(history, &a, 1000, 0);
    history_close(history, 5000);

    /* The service sees the change and dies before it stores anything but the calibration. */
    for (int tries = 0; tries < 2; tries++) {
        history = open_history(folder->database, 0);
        struct energy_state found;
        unsigned number;
        struct calibration previous = {0};
        assert_int_equal(
            history_channel(history, "house", "a", READING_BL0942, &number, &found, NULL),
            STATUS_OK);
        assert_true(calibrate(history, number, &factors_two, false, BEGIN_MS + DAY, &previous));
        assert_memory_equal(&previous, &factors_one, sizeof previous);
        assert_int_equal(found.imported, 1000);
        start(history);
        history_close(history, 5000);
    }
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM calibration"), 2);

    /* Now it stores the folded state, counted under the new factors. */
    history = open_history(folder->database, 0);
    unsigned number;
    assert_int_equal(
        history_channel(history, "house", "a", READING_BL0942, &number, &a.state, NULL), STATUS_OK);
    assert_true(calibrate(history, number, &factors_two, false, BEGIN_MS + DAY, NULL));
    a.state.base_imported_uwh = calibration_energy_uwh(&factors_one, READING_BL0942, 1000);
    a.state.imported = 0;
    start(history);
    put(history, &a, 5, 0);
    history_close(history, 5000);

    history = open_history(folder->database, 0);
    assert_int_equal(
        history_channel(history, "house", "a", READING_BL0942, &number, &a.state, NULL), STATUS_OK);
    assert_false(calibrate(history, number, &factors_two, false, BEGIN_MS + 2 * DAY, NULL));
    /* only the sign of power turns: counts keep their worth, but it is on record */
    assert_false(calibrate(history, number, &factors_two, true, BEGIN_MS + 3 * DAY, NULL));
    start(history);
    history_close(history, 5000);
    assert_string_equal(
        ask(folder->database, "SELECT group_concat(id || ' ' || valid_from_ms || ' ' "
                              "|| power || ' ' || invert, '; ') FROM calibration"),
        "1 1772323200000 317.9 0; 2 1772409600000 320.0 0; 3 1772582400000 320.0 1");
}

static void test_two_calibrations_of_one_millisecond(void **state)
{
    const struct folder *folder = *state;
    for (int i = 0; i < 3; i++) {
        struct history *history = open_history(folder->database, 0);
        unsigned number;
        struct energy_state found;
        assert_int_equal(
            history_channel(history, "house", "a", READING_BL0942, &number, &found, NULL),
            STATUS_OK);
        (void)calibrate(history, number, i % 2 == 0 ? &factors_one : &factors_two, false, BEGIN_MS,
                        NULL);
        start(history);
        history_close(history, 5000);
    }
    assert_string_equal(ask(folder->database,
                            "SELECT group_concat(power || ' ' || (valid_from_ms - "
                            "1772323200000)) FROM calibration"),
                        "317.9 0,320.0 1,317.9 2");
}

static struct calibration in_use(struct history *history, unsigned number, bool *measured)
{
    struct calibration factors;
    int64_t since_ms;
    history_calibration_in_use(history, number, &factors, measured, &since_ms);
    return factors;
}

/* Opens, says what is configured, says what is in use, stores. */
static double power_in_use(const char *path, const struct calibration *configured, bool invert,
                           bool *measured)
{
    struct history *history = open_history(path, 0);
    struct energy_state found;
    unsigned number;
    assert_int_equal(history_channel(history, "house", "a", READING_BL0942, &number, &found, NULL),
                     STATUS_OK);
    (void)calibrate(history, number, configured, invert, BEGIN_MS + DAY, NULL);
    double power = in_use(history, number, measured).power;
    start(history);
    history_close(history, 5000);
    return power;
}

static void test_what_was_measured_holds_until_the_configuration_changes(void **state)
{
    const struct folder *folder = *state;
    const char *path = folder->database;
    static const struct calibration measured_factors = {15000.0, 120000.0, 300.0};
    struct history *history = open_history(path, 0);
    struct circuit a = add_circuit(history, "house", "a");
    start(history);
    put(history, &a, 1000, 0);
    struct error error = {""};
    assert_int_equal(
        history_measured(history, a.number, &(struct calibration){0, 1, 1}, BEGIN_MS, &error),
        STATUS_USAGE);
    assert_int_equal(
        history_measured(history, a.number, &measured_factors, a.wall_ms + 500, &error), STATUS_OK);
    a.state.base_imported_uwh = calibration_energy_uwh(&factors_one, READING_BL0942, 1000);
    a.state.imported = 0;
    history_put_state(history, a.number, &a.state);
    put(history, &a, 7, 0);
    history_close(history, 5000);
    assert_string_equal(ask(path, "SELECT group_concat(calibration || ' ' || imported) FROM total"),
                        "2 7");

    bool measured = false;
    assert_true(power_in_use(path, &factors_one, false, &measured) == 300.0);
    assert_true(measured);
    /* another sign is no other calibration */
    assert_true(power_in_use(path, &factors_one, true, &measured) == 300.0);
    assert_true(measured);
    assert_true(power_in_use(path, &factors_two, true, &measured) == factors_two.power);
    assert_false(measured);
    assert_true(power_in_use(path, &factors_two, true, &measured) == factors_two.power);
    /* back to what it was when there was something measured: the user's word, not the measured's */
    assert_true(power_in_use(path, &factors_one, true, &measured) == factors_one.power);
    assert_false(measured);
    assert_string_equal(
        ask(path, "SELECT group_concat(power || ' ' || invert || ' ' || origin) FROM calibration"),
        "317.9 0 1,300.0 0 2,300.0 1 2,320.0 1 1,317.9 1 1");
}

/* The database is lost; of the calibrations only the one the total was counted under is in the copy. */
static void test_what_was_measured_outlives_the_database(void **state)
{
    const struct folder *folder = *state;
    const char *path = folder->database;
    static const struct calibration measured_factors = {15000.0, 120000.0, 300.0};
    struct history *history = open_history(path, 0);
    struct circuit a = add_circuit(history, "house", "a");
    assert_int_equal(history_measured(history, a.number, &measured_factors, BEGIN_MS, NULL),
                     STATUS_OK);
    start(history);
    put(history, &a, 1000, 0);
    history_close(history, 5000);
    assert_int_equal(ask_number(path, "SELECT count(*) FROM calibration"), 2);
    assert_int_equal(remove(path), 0);

    bool measured = false;
    for (int tries = 0; tries < 2; tries++) {
        assert_true(power_in_use(path, &factors_one, false, &measured) == 300.0);
        assert_true(measured);
    }
    assert_true(power_in_use(path, &factors_two, false, &measured) == factors_two.power);
    assert_false(measured);
}

static void test_a_file_from_before_calibrations_had_an_origin(void **state)
{
    const struct folder *folder = *state;
    size_t count;
    const struct migration *list = schema_migrations(&count);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(folder->database, &db), SQLITE_OK);
    assert_int_equal(migrate(db, folder->database, 0, list, 1, NULL, NULL), STATUS_OK);
    (void)sqlite3_close(db);
    change(folder->database,
           "INSERT INTO channel VALUES (1, 'house', 'a', 1);"
           "INSERT INTO calibration VALUES (4, 1, 1772323200000, 15883.3, 128118.9, 317.9, 0);");
    bool measured = true;
    assert_true(power_in_use(folder->database, &factors_one, false, &measured) ==
                factors_one.power);
    assert_false(measured);
    assert_string_equal(ask(folder->database, "SELECT group_concat(id || origin) FROM calibration"),
                        "41");
}

static void test_totals_go_on_when_another_kind_of_source_reads_the_channel(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit a = add_circuit(history, "house", "a");
    start(history);
    put(history, &a, 5000, 70);
    history_close(history, 5000);

    const struct calibration as_is = {1000, 1000, 1000};
    history = open_history(folder->database, 0);
    struct energy_state obk;
    unsigned number;
    assert_int_equal(history_channel(history, "house", "a", READING_OPENBEKEN, &number, &obk, NULL),
                     STATUS_OK);
    assert_int_equal(number, 2);
    assert_false(obk.known);
    assert_int_equal(obk.base_imported_uwh,
                     calibration_energy_uwh(&factors_one, READING_BL0942, 5000));
    assert_int_equal(obk.base_exported_uwh,
                     calibration_energy_uwh(&factors_one, READING_BL0942, 70));
    assert_false(calibrate(history, number, &as_is, false, BEGIN_MS, NULL));
    start(history);
    obk.known = true;
    obk.imported = 250; /* mWh */
    history_put_state(history, number, &obk);
    history_close(history, 5000);

    /* and back: what OpenBeken counted is in, and the chip's counter since is not counted twice */
    history = open_history(folder->database, 0);
    struct energy_state back;
    assert_int_equal(history_channel(history, "house", "a", READING_BL0942, &number, &back, NULL),
                     STATUS_OK);
    assert_int_equal(number, 1);
    assert_false(back.known);
    assert_int_equal(back.imported, 0);
    assert_int_equal(back.base_imported_uwh, obk.base_imported_uwh + 250000);
    history_close(history, 5000);
}

/* ---- schema and migrations ---- */

/* Without comments, with single blanks and none before commas and brackets that close: what SQLite
 * stores is the text of the statement, to which it appends columns that were added. */
static char *normalised(const char *sql)
{
    char *text = calloc(1, strlen(sql) + 1);
    size_t length = 0;
    for (const char *at = sql; *at != '\0'; at++) {
        if (at[0] == '-' && at[1] == '-') {
            at = strchrnul(at, '\n') - 1;
            continue;
        }
        bool blank = strchr(" \n\t", *at) != NULL;
        if (blank && (length == 0 || text[length - 1] == ' '))
            continue;
        if ((*at == ',' || *at == ')') && length > 0 && text[length - 1] == ' ')
            length--;
        text[length++] = blank ? ' ' : *at;
    }
    return text;
}

static char *schema_of(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT group_concat(type || ' ' || name || ' ' || "
                                        "coalesce(sql, ''), char(10)) FROM (SELECT * FROM "
                                        "sqlite_schema ORDER BY type, name)",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    char *text = normalised((const char *)sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
    return text;
}

static void test_migrations_arrive_at_the_schema(void **state)
{
    const struct folder *folder = *state;
    history_close(open_history(folder->database, 0), 5000);
    sqlite3 *migrated = look(folder->database);

    static char sql[65536];
    FILE *file = fopen(SOURCE_DIR "/schema/history.sql", "r");
    assert_non_null(file);
    assert_true(fread(sql, 1, sizeof sql - 1, file) > 1000);
    (void)fclose(file);
    sqlite3 *wanted = NULL;
    assert_int_equal(sqlite3_open(":memory:", &wanted), SQLITE_OK);
    assert_int_equal(sqlite3_exec(wanted, sql, NULL, NULL, NULL), SQLITE_OK);

    char *a = schema_of(migrated);
    char *b = schema_of(wanted);
    assert_string_equal(a, b);
    free(a);
    free(b);
    (void)sqlite3_close(migrated);
    char version[32];
    char application[32];
    (void)snprintf(version, sizeof version, "%s", ask(folder->database, "PRAGMA user_version"));
    (void)snprintf(application, sizeof application, "%s",
                   ask(folder->database, "PRAGMA application_id"));
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(wanted, "PRAGMA user_version", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal(version, (const char *)sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_prepare_v2(wanted, "PRAGMA application_id", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal(application, (const char *)sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(wanted);
}

static void test_every_migration_is_built_in(void **state)
{
    (void)state;
    size_t count;
    const struct migration *list = schema_migrations(&count);
    for (size_t i = 0; i < count; i++) {
        char path[PATH_MAX];
        assert_true(list[i].version > (i == 0 ? 0 : list[i - 1].version));
        assert_int_equal(strtol(list[i].name, NULL, 10), list[i].version);
        (void)snprintf(path, sizeof path, SOURCE_DIR "/migrations/%s.sql", list[i].name);
        if (access(path, R_OK) != 0)
            fail_msg("no file %s", path);
    }
    size_t files = 0;
    DIR *folder = opendir(SOURCE_DIR "/migrations");
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        files += fnmatch("*.sql", entry->d_name, 0) == 0 ? 1 : 0;
    (void)closedir(folder);
    assert_int_equal(files, count);
}

static void test_an_older_file_is_copied_and_migrated_step_by_step(void **state)
{
    const struct folder *folder = *state;
    static const struct migration steps[] = {
        {1, "0001_a", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (42);"},
        {2, "0002_b", "CREATE TABLE b (y INTEGER); UPDATE a SET x = x + 1;"},
        {3, "0003_c", "UPDATE a SET x = 0; CREATE TABLE b (again INTEGER);"}, /* cannot work */
    };
    struct error error = {""};
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(folder->database, &db), SQLITE_OK);
    assert_int_equal(migrate(db, folder->database, 0, steps, 1, NULL, &error), STATUS_OK);
    assert_int_equal(count_files(folder, "history.db.before-*", NULL), 0); /* it was blank */
    assert_int_equal(migrate(db, folder->database, 1, steps, 1, NULL, &error), STATUS_OK);
    assert_int_equal(migrate(db, folder->database, 1, steps, 3, NULL, &error), STATUS_FAILED);
    assert_non_null(strstr(error.text, "0003_c"));
    (void)sqlite3_close(db);

    /* the second step holds, the third left no trace, the copy is as it was before both */
    assert_string_equal(ask(folder->database, "SELECT x FROM a"), "43");
    assert_string_equal(ask(folder->database, "PRAGMA user_version"), "2");
    char copy[PATH_MAX];
    assert_int_equal(count_files(folder, "history.db.before-3-*", copy), 1);
    assert_string_equal(ask(copy, "SELECT x FROM a"), "42");
    assert_string_equal(ask(copy, "PRAGMA user_version"), "1");
}

/* Each start tries again; what it leaves must not fill the disk, nor pass for a copy if it is none. */
static void test_an_update_that_fails_leaves_no_copies(void **state)
{
    const struct folder *folder = *state;
    static const struct migration steps[] = {
        {1, "0001_a", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (42);"},
        {2, "0002_b", "CREATE TABLE a (again INTEGER);"}, /* cannot work */
    };
    struct error error = {""};
    sqlite3 *db = NULL;
    char partial[PATH_MAX];
    (void)snprintf(partial, sizeof partial, "%s.before-2.new", folder->database);
    assert_int_equal(sqlite3_open(folder->database, &db), SQLITE_OK);
    assert_int_equal(migrate(db, folder->database, 0, steps, 1, NULL, &error), STATUS_OK);
    for (int attempt = 0; attempt < 3; attempt++) {
        FILE *killed = fopen(partial, "w"); /* amid the copy */
        assert_non_null(killed);
        assert_int_equal(fclose(killed), 0);
        assert_int_equal(migrate(db, folder->database, 1, steps, 2, NULL, &error), STATUS_FAILED);
        assert_int_equal(count_files(folder, "history.db.before-*", NULL), 0);
    }
    (void)sqlite3_close(db);
    assert_string_equal(ask(folder->database, "SELECT x FROM a"), "42");
}

/* Enough of them that the list moves many times while transactions are under way. */
static void test_channels_join_while_the_writer_runs(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit first = add_circuit(history, "house", "a");
    start(history);
    char name[32];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "adopted%d", i);
        struct circuit late = add_circuit(history, name, "a");
        assert_int_equal(late.number, i + 2);
        put(history, &first, 1, 0);
        put(history, &late, 2, 0);
        history_put_state(history, first.number, &first.state); /* a transaction at once */
    }
    history_close(history, 5000);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM channel"), 301);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM calibration"), 301);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM total"), 301);
    assert_int_equal(ask_number(folder->database, "SELECT sum(imported) FROM reading"), 900);
    history = open_history(folder->database, 0);
    struct circuit again = add_circuit(history, "adopted299", "a");
    assert_int_equal(again.number, 301);
    assert_int_equal(again.state.imported, 2);
    history_close(history, 5000);
}

static void expect_refusal(const char *path, enum status wanted, const char *words)
{
    struct history_options options = {.path = path};
    struct history *history = NULL;
    struct error error = {""};
    enum status status = history_open(&options, &history, &error);
    if (status == STATUS_OK)
        history_close(history, 1000);
    if (status != wanted || strstr(error.text, words) == NULL)
        fail_msg("%s: status %d, \"%s\"", path, (int)status, error.text);
}

static void test_what_is_refused(void **state)
{
    const struct folder *folder = *state;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/missing/history.db", folder->path);
    expect_refusal(path, STATUS_USAGE, "folder");
    expect_refusal(folder->path, STATUS_USAGE, "is a folder");

    (void)snprintf(path, sizeof path, "%s/other.db", folder->path);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE states (x)", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
    expect_refusal(path, STATUS_USAGE, "not a history of bl2mqtt");

    history_close(open_history(folder->database, 0), 5000);
    change(folder->database, "PRAGMA user_version = 1000");
    expect_refusal(folder->database, STATUS_USAGE, "newer");
    assert_string_equal(ask(folder->database, "PRAGMA user_version"), "1000");
    char newest[64];
    (void)snprintf(newest, sizeof newest, "PRAGMA user_version = %d", schema_newest());
    change(folder->database, newest);

    struct history *history = open_history(folder->database, 0);
    expect_refusal(folder->database, STATUS_FAILED, "in use by another");
    history_close(history, 5000);
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_readings_are_stored_as_measured),
        TEST(test_totals_are_found_again),
        TEST(test_a_taken_key_moves_on),
        TEST(test_a_total_set_by_the_user_is_stored_at_once),
        TEST(test_channels_join_while_the_writer_runs),
        TEST(test_a_changed_calibration_is_told_until_the_totals_are_folded),
        TEST(test_two_calibrations_of_one_millisecond),
        TEST(test_totals_go_on_when_another_kind_of_source_reads_the_channel),
        TEST(test_what_was_measured_holds_until_the_configuration_changes),
        TEST(test_what_was_measured_outlives_the_database),
        TEST(test_a_file_from_before_calibrations_had_an_origin),
        TEST(test_migrations_arrive_at_the_schema),
        TEST(test_every_migration_is_built_in),
        TEST(test_an_older_file_is_copied_and_migrated_step_by_step),
        TEST(test_an_update_that_fails_leaves_no_copies),
        TEST(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
