/* SPDX-License-Identifier: MIT */
/* bridge/history: damaged, missing and deleted files. */
#include "history_helper.h"

#include "bridge/history/safety/replace.h"
#include "bridge/history/safety/totals_file.h"

#include <fcntl.h>
#include <sys/wait.h>

/* Overwrites every leaf page of a table with nonsense. */
static void damage_table(const char *path, const char *table)
{
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)");
    char query[200];
    (void)snprintf(
        query, sizeof query,
        "SELECT group_concat(pageno) FROM dbstat WHERE name = '%s' AND pagetype = 'leaf'", table);
    char pages[4096];
    (void)snprintf(pages, sizeof pages, "%s", ask(path, query));
    assert_true(pages[0] != '\0');
    int fd = open(path, O_WRONLY);
    char nonsense[4096];
    memset(nonsense, 0xee, sizeof nonsense);
    int64_t size = ask_number(path, "PRAGMA page_size");
    for (char *page = pages; *page != '\0'; page += *page == ',' ? 1 : 0)
        assert_int_equal(pwrite(fd, nonsense, (size_t)size, (strtol(page, &page, 10) - 1) * size),
                         size);
    (void)close(fd);
}

/* As if the service had been killed: the next opening has to check. */
static void mark_unclean(const char *path)
{
    change(path, "UPDATE meta SET value = '0' WHERE name = 'stopped_clean'");
}

/* Opens after a damage: nothing known is lost, and the service goes on. */
static void expect_totals(const struct folder *folder, const struct circuit *a,
                          const struct circuit *b)
{
    struct history *history = open_history(folder->database, 0);
    struct circuit a_again = add_circuit(history, "house", "a");
    struct circuit b_again = add_circuit(history, "house", "b");
    assert_int_equal(a_again.number, a->number);
    assert_int_equal(b_again.number, b->number);
    assert_same_state(&a_again.state, &a->state);
    assert_same_state(&b_again.state, &b->state);
    start(history);
    put(history, &a_again, 1, 0);
    history_close(history, 5000);
    assert_string_equal(ask(folder->database, "PRAGMA integrity_check"), "ok");
    assert_int_equal(ask_number(folder->database, "SELECT imported FROM total WHERE channel = 1"),
                     a->state.imported + 1);
}

static void test_a_clean_stop_is_not_checked_and_an_unclean_one_is(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    damage_table(folder->database, "sample");
    history_close(open_history(folder->database, 0), 5000); /* nobody looked at the readings */
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 0);

    mark_unclean(folder->database);
    struct history *history = open_history(folder->database, 0);
    char found[PATH_MAX];
    assert_int_equal(count_files(folder, damaged_pattern, found), 1);
    assert_string_equal(health_of(history).quarantined, found);
    history_close(history, 5000);
}

static void test_a_damaged_table_of_readings(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    char *totals = totals_file_path(folder->database);
    assert_int_equal(remove(totals), 0); /* the damaged file alone must do */
    free(totals);
    damage_table(folder->database, "sample");
    mark_unclean(folder->database);
    expect_totals(folder, &a, &b);
    char found[PATH_MAX];
    assert_int_equal(count_files(folder, damaged_pattern, found), 1);
    assert_string_equal(ask(found, "SELECT count(*) FROM total"),
                        "2"); /* kept, and still readable */
}

/* A hole at the end makes the file too large for the whole check; the end of the readings and the
 * small tables are still looked at. */
static void test_a_damaged_file_too_large_to_check_whole(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    damage_table(folder->database, "sample");
    mark_unclean(folder->database);
    assert_int_equal(truncate(folder->database, 300 * 1024 * 1024), 0);
    expect_totals(folder, &a, &b);
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 1);
    a.state.imported++; /* what expect_totals had added */
    a.state.counter++;
    a.state.counter_wall_ms += SECOND;
    a.state.counter_boot_ms += SECOND;
    damage_table(folder->database, "total");
    mark_unclean(folder->database);
    assert_int_equal(truncate(folder->database, 300 * 1024 * 1024), 0);
    expect_totals(folder, &a, &b);
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 2);
}

static void test_damaged_totals_come_from_the_totals_file(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    damage_table(folder->database, "total");
    mark_unclean(folder->database);
    expect_totals(folder, &a, &b);
}

/* A service that finds the damage and then does not start, for whatever reason, or is killed. */
static void test_what_was_saved_outlives_a_failed_start(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    damage_table(folder->database, "total");
    mark_unclean(folder->database);
    pid_t child = fork();
    if (child == 0) {
        (void)open_history(folder->database, 0);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    history_close(open_history(folder->database, 0), 5000);
    expect_totals(folder, &a, &b);
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 1);
}

static void test_a_damaged_table_of_channels(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    damage_table(folder->database, "channel");
    mark_unclean(folder->database);
    expect_totals(folder, &a, &b); /* numbers too come from the totals file */
}

static void test_a_file_of_garbage_and_a_missing_one(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    FILE *file = fopen(folder->database, "w");
    for (int i = 0; i < 20000; i++)
        (void)fputs("garbage ", file);
    (void)fclose(file);
    expect_totals(folder, &a, &b);
    char found[PATH_MAX];
    assert_int_equal(count_files(folder, damaged_pattern, found), 1);

    assert_int_equal(remove(folder->database), 0);
    a.state.imported++; /* what expect_totals had added */
    a.state.counter++;
    struct history *history = open_history(folder->database, 0);
    struct circuit a_again = add_circuit(history, "house", "a");
    assert_int_equal(a_again.state.imported, a.state.imported);
    history_close(history, 5000);
}

static void test_the_greater_total_wins(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    /* a: the totals file is behind, as after ten minutes; b: the file's page went back in time */
    change(folder->database, "UPDATE total SET imported = imported + 50 WHERE channel = 1;"
                             "UPDATE total SET imported = imported - 50 WHERE channel = 2;");
    a.state.imported += 50;
    damage_table(folder->database, "sample");
    mark_unclean(folder->database);
    expect_totals(folder, &a, &b);
}

static void test_a_damaged_totals_file_is_no_obstacle(void **state)
{
    const struct folder *folder = *state;
    static const char *const contents[] = {
        "",
        "{",
        "[]",
        "{\"format\":2,\"channels\":[]}",
        "{\"format\":1,\"channels\":[{}]}",
        "{\"format\":1,\"channels\":[{\"number\":1,\"device\":\"d\",\"channel\":\"a\",\"kind\":1,"
        "\"known\":true,\"counter\":1,\"counter_wall_ms\":1,\"counter_boot_ms\":1,\"boot_id\":"
        "\"x\","
        "\"imported\":-1,\"exported\":0,\"base_imported_uwh\":0,\"base_exported_uwh\":0}]}",
        "{\"format\":1,\"channels\":[{\"number\":1,\"device\":\"d\",\"channel\":\"a\",\"kind\":1,"
        "\"known\":true,\"counter\":1,\"counter_wall_ms\":1,\"counter_boot_ms\":1,\"boot_id\":"
        "\"x\","
        "\"imported\":1,\"exported\":0,\"base_imported_uwh\":0,\"base_exported_uwh\":0,"
        "\"calibration\":{\"valid_from_ms\":1,\"voltage\":0,\"current\":1,\"power\":1}}]}",
    };
    char *path = totals_file_path(folder->database);
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        FILE *file = fopen(path, "w");
        (void)fputs(contents[i], file);
        (void)fclose(file);
        (void)remove(folder->database);
        struct channels channels = {0};
        struct error error = {""};
        unsigned taken;
        assert_int_equal(totals_file_merge(path, &channels, &taken, &error), STATUS_FAILED);
        assert_true(strlen(error.text) > 20);
        assert_int_equal(taken, 0);
        channels_free(&channels);
        history_close(open_history(folder->database, 0), 5000);
    }
    free(path);
}

static void test_damage_while_running(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    struct history *history = open_history(folder->database, 0);
    a = add_circuit(history, "house", "a");
    struct circuit c = add_circuit(history, "house", "c");
    start(history);
    put(history, &a, 1, 0);
    put(history, &c, 9, 0);
    wait_until(health_of(history).committed_rows == 2);
    /* every page the writer needs next turns into nonsense, in the file and in the log */
    int64_t size = ask_number(folder->database, "PRAGMA page_count") * 4096;
    change(folder->database, "PRAGMA wal_checkpoint(TRUNCATE)");
    static char nonsense[4096];
    memset(nonsense, 0xee, sizeof nonsense);
    int fd = open(folder->database, O_WRONLY);
    for (int64_t at = 4096; at < size; at += (int64_t)sizeof nonsense)
        assert_int_equal(pwrite(fd, nonsense, sizeof nonsense, at), sizeof nonsense);
    (void)close(fd);
    /* b is not read in this run: only the totals file and the damaged file know it */
    for (int i = 0; i < 5; i++)
        put(history, &a, 1, 0);
    wait_until(health_of(history).quarantined[0] != '\0');
    wait_until(health_of(history).writing && health_of(history).queued == 0);
    put(history, &a, 1, 0);
    history_close(history, 5000);
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 1);
    assert_string_equal(ask(folder->database, "PRAGMA integrity_check"), "ok");
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 6);
    assert_string_equal(
        ask(folder->database, "SELECT group_concat(number || channel) FROM channel"), "1a,2b,3c");
    assert_int_equal(ask_number(folder->database, "SELECT imported FROM total WHERE channel = 1"),
                     a.state.imported);
    assert_int_equal(ask_number(folder->database, "SELECT imported FROM total WHERE channel = 2"),
                     b.state.imported);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM calibration"), 3);
    assert_int_equal(
        ask_number(folder->database, "SELECT count(*) FROM event WHERE kind = 'history_renewed'"),
        1);
}

static void test_a_file_deleted_while_running(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit a = add_circuit(history, "house", "a");
    start(history);
    put(history, &a, 4, 0);
    wait_until(health_of(history).committed_rows == 1);
    assert_int_equal(remove(folder->database), 0);
    put(history, &a, 5, 0);
    wait_until(access(folder->database, F_OK) == 0 && health_of(history).queued == 0);
    history_close(history, 5000);
    assert_int_equal(ask_number(folder->database, "SELECT imported FROM total"), 9);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM calibration"), 1);
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 0);
}

static void test_another_file_in_its_place(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    struct history *history = open_history(folder->database, 0);
    a = add_circuit(history, "house", "a");
    start(history);
    put(history, &a, 1, 0);
    wait_until(health_of(history).committed_rows == 1);
    /* somebody puts a backup there: its numbers and totals are not those in memory */
    char backup[PATH_MAX];
    char command[2 * PATH_MAX];
    (void)snprintf(backup, sizeof backup, "%s.backup", folder->database);
    (void)snprintf(command, sizeof command, "VACUUM INTO '%s'", backup);
    change(folder->database, command);
    assert_int_equal(rename(backup, folder->database), 0);
    put(history, &a, 1, 0);
    wait_until(strstr(health_of(history).problem, "Another file") != NULL);
    assert_int_equal(health_of(history).queued, 1);
    history_close(history, 100);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 6001);
    /* the log of the file that is gone was not played into this one */
    assert_string_equal(ask(folder->database, "PRAGMA integrity_check"), "ok");
    assert_int_equal(count_files(folder, "history.db.moved-*-wal", NULL), 1);
}

/* What the salvage brings over must not be what the loading then refuses. */
static void test_rows_that_cannot_be(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    char *totals = totals_file_path(folder->database);
    assert_int_equal(remove(totals), 0);
    free(totals);
    change(folder->database,
           "PRAGMA ignore_check_constraints = 1; PRAGMA foreign_keys = 0;"
           "INSERT INTO channel VALUES (3, hex(randomblob(100)), 'a', 1), (40000, 'x', 'y', 1);"
           "INSERT INTO total SELECT 3, 99, 1, -5, 0, 0, 'x', 1, 1, 1, 1, 0, 0;"
           "INSERT INTO total SELECT 40000, 99, 1, 5, 0, 0, hex(randomblob(100)), 1, 1, 1, 1, 0, 0;"
           "INSERT INTO calibration VALUES (50, 77, 5, 1.0, 1.0, -1.0, 7, 9);");
    mark_unclean(folder->database);
    expect_totals(folder, &a, &b);
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 1);
    assert_string_equal(ask(folder->database, "SELECT group_concat(number) FROM channel"), "1,2");
}

/* The log is lost with the power: what is left is old, and that must not be taken for the last word. */
static void test_a_lost_log(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b); /* stopped clean */
    struct history *history = open_history(folder->database, 0);
    assert_false(health_of(history).may_lag);
    a = add_circuit(history, "house", "a");
    start(history);
    put(history, &a, 5, 0);
    wait_until(health_of(history).committed_rows == 1);
    put(history, &a, 5, 0);
    wait_until(health_of(history).committed_rows == 2);

    struct folder other = *folder;
    char command[2 * PATH_MAX];
    (void)snprintf(other.database, sizeof other.database, "%s/other.db", folder->path);
    (void)snprintf(command, sizeof command, "cp '%s' '%s'", folder->database, other.database);
    assert_int_equal(system(command), 0);
    history_close(history, 5000);
    history = open_history(other.database, 0);
    assert_true(health_of(history).may_lag);
    history_close(history, 100);
}

static void put_log(const char *database, char letter)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s-wal", database);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputc(letter, file), letter);
    assert_int_equal(fclose(file), 0);
}

/* Within one second, which is what their names distinguish: none takes another one's place. */
static void test_logs_that_are_moved_away_at_once(void **state)
{
    const struct folder *folder = *state;
    char names[5][200];
    for (int i = 0; i < 5; i++) {
        put_log(folder->database, (char)('a' + i));
        replace_move_log_away(folder->database, names[i], sizeof names[i]);
        assert_string_not_equal(names[i], "");
    }
    for (int i = 0; i < 5; i++) {
        char path[sizeof names + sizeof "-wal"];
        (void)snprintf(path, sizeof path, "%s-wal", names[i]);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_int_equal(fgetc(file), 'a' + i);
        (void)fclose(file);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_clean_stop_is_not_checked_and_an_unclean_one_is),
        TEST(test_logs_that_are_moved_away_at_once),
        TEST(test_a_damaged_table_of_readings),
        TEST(test_a_damaged_file_too_large_to_check_whole),
        TEST(test_damaged_totals_come_from_the_totals_file),
        TEST(test_what_was_saved_outlives_a_failed_start),
        TEST(test_a_damaged_table_of_channels),
        TEST(test_a_file_of_garbage_and_a_missing_one),
        TEST(test_the_greater_total_wins),
        TEST(test_a_damaged_totals_file_is_no_obstacle),
        TEST(test_damage_while_running),
        TEST(test_a_file_deleted_while_running),
        TEST(test_another_file_in_its_place),
        TEST(test_rows_that_cannot_be),
        TEST(test_a_lost_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
