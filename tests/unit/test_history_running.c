/* SPDX-License-Identifier: MIT */
/* bridge/history: a file that is damaged under a running service goes on from a copy. */
#include "history_helper.h"

#include "bridge/history/query/readings.h"
#include "bridge/history/safety/backup.h"
#include "bridge/history/safety/restore.h"
#include "random_helper.h"

#include <fcntl.h>
#include <sys/stat.h>

static void back_up(const struct folder *folder, char copy[PATH_MAX])
{
    struct error error = {""};
    assert_int_equal(
        history_backup_name(folder->database, HISTORY_BACKUP_REQUESTED, copy, PATH_MAX, &error),
        STATUS_OK);
    const struct history_backup_options options = {.path = folder->database, .output = copy};
    if (history_backup(&options, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

/* Every page that the writer needs next turns into nonsense, in the file and in the log. */
static void damage(const struct folder *folder)
{
    int64_t size = ask_number(folder->database, "PRAGMA page_count") *
                   ask_number(folder->database, "PRAGMA page_size");
    change(folder->database, "PRAGMA wal_checkpoint(TRUNCATE)");
    static char nonsense[1024];
    memset(nonsense, 0xee, sizeof nonsense);
    int fd = open(folder->database, O_WRONLY);
    assert_true(fd >= 0);
    for (int64_t at = 4096; at < size; at += (int64_t)sizeof nonsense)
        assert_int_equal(pwrite(fd, nonsense, sizeof nonsense, at), sizeof nonsense);
    (void)close(fd);
}

static void wait_until_written(struct history *history)
{
    wait_until(health_of(history).writing && health_of(history).queued == 0);
}

/* Waits for the other file; it is written when this returns. */
static void wait_until_replaced(struct history *history)
{
    wait_until(health_of(history).quarantined[0] != '\0');
    wait_until_written(history);
}

static int64_t imported_of(const struct folder *folder, unsigned number)
{
    char sql[100];
    (void)snprintf(sql, sizeof sql, "SELECT imported FROM total WHERE channel = %u", number);
    return ask_number(folder->database, sql);
}

static int64_t events_of(const struct folder *folder, const char *kind)
{
    char sql[100];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM event WHERE kind = '%s'", kind);
    return ask_number(folder->database, sql);
}

static void test_the_newest_copy_and_the_totals_of_memory(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    char copy[PATH_MAX], found[PATH_MAX];
    struct error error = {""};
    make_history(folder, &a, &b);
    struct history *history = open_history(folder->database, 0);
    a = add_circuit(history, "house", "a");
    start(history);
    put(history, &a, 1, 0);
    wait_until(health_of(history).committed_rows == 1);
    back_up(folder, copy);
    int64_t in_copy = ask_number(copy, "SELECT count(*) FROM reading");

    /* since the copy: a channel, a calibration, readings */
    struct circuit c = add_circuit(history, "house", "c");
    put(history, &a, 1000, 7);
    put(history, &c, 9, 0);
    wait_until_written(history);
    assert_int_equal(history_measured(history, a.number, &factors_two, a.wall_ms + 1, &error),
                     STATUS_OK);
    put(history, &a, 50, 0);
    wait_until(ask_number(folder->database, "SELECT count(*) FROM reading") == in_copy + 3);
    int64_t calibrations = ask_number(folder->database, "SELECT max(id) FROM calibration");
    damage(folder);
    for (int i = 0; i < 5; i++)
        put(history, &a, 1, 0);
    wait_until_replaced(history);
    assert_string_equal(health_of(history).restored, copy);
    assert_string_equal(health_of(history).problem, "");
    put(history, &a, 1, 0);
    put(history, &c, 1, 0);
    history_close(history, 5000);

    assert_int_equal(count_files(folder, damaged_pattern, found), 1);
    assert_int_equal(count_files(folder, "*.restor*", NULL), 0);
    assert_string_equal(ask(folder->database, "PRAGMA integrity_check"), "ok");
    assert_string_equal(ask(folder->database, "PRAGMA foreign_key_check"), "");
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), in_copy + 7);
    assert_string_equal(
        ask(folder->database, "SELECT group_concat(number || channel) FROM channel"), "1a,2b,3c");
    assert_int_equal(imported_of(folder, 1), a.state.imported);
    assert_int_equal(ask_number(folder->database, "SELECT exported FROM total WHERE channel = 1"),
                     a.state.exported);
    assert_int_equal(imported_of(folder, 2), b.state.imported);
    assert_int_equal(imported_of(folder, 3), 10);
    assert_int_equal(ask_number(folder->database, "SELECT max(id) FROM calibration"), calibrations);
    assert_string_equal(ask(folder->database,
                            "SELECT power || ' ' || origin FROM calibration WHERE id = "
                            "(SELECT calibration FROM total WHERE channel = 1)"),
                        "320.0 2");
    assert_int_equal(events_of(folder, "history_restored"), 1);
    assert_int_equal(events_of(folder, "history_renewed"), 1);

    /* and the next start finds it as any other file */
    history = open_history(folder->database, 0);
    assert_string_equal(health_of(history).quarantined, "");
    struct energy_state again;
    unsigned number;
    assert_int_equal(
        history_channel(history, "house", "a", READING_BL0942, &number, &again, &error), STATUS_OK);
    assert_same_state(&again, &a.state);
    history_close(history, 5000);
}

/* Its numbers and calibrations mean something else: it must not be gone on from. */
static void test_a_copy_of_another_history_is_left_alone(void **state)
{
    static const char *const others[] = {
        "UPDATE channel SET channel = 'x' WHERE number = 2",
        "UPDATE channel SET kind = 2 WHERE number = 2",
        "INSERT INTO channel VALUES (7, 'garden', 'a', 1)",
        "UPDATE calibration SET power = 300.0 WHERE id = 1",
        "UPDATE calibration SET invert = 1 WHERE id = 1",
        "INSERT INTO calibration VALUES (90, 1, 5, 1.0, 1.0, 1.0, 0, 1)",
    };
    const struct folder *folder = *state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct circuit a, b;
        char own[PATH_MAX], other[PATH_MAX];
        make_history(folder, &a, &b);
        struct history *history = open_history(folder->database, 0);
        a = add_circuit(history, "house", "a");
        back_up(folder, own);
        back_up(folder, other);
        change(other, others[i]);
        start(history);
        put(history, &a, 1, 0);
        wait_until(health_of(history).committed_rows == 1);
        damage(folder);
        put(history, &a, 1, 0);
        wait_until_replaced(history);
        assert_string_equal(health_of(history).restored, own);
        history_close(history, 5000);
        assert_int_equal(imported_of(folder, 1), a.state.imported);
        assert_string_equal(
            ask(folder->database, "SELECT group_concat(number || channel) FROM channel"), "1a,2b");

        /* with nothing else there, a fresh one is begun and the sentence says why */
        assert_int_equal(remove(own), 0);
        history = open_history(folder->database, 0);
        a = add_circuit(history, "house", "a");
        start(history);
        put(history, &a, 1, 0);
        wait_until(health_of(history).committed_rows == 1);
        damage(folder);
        put(history, &a, 1, 0);
        wait_until_replaced(history);
        assert_string_equal(health_of(history).restored, "");
        history_close(history, 5000);
        assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 1);
        assert_int_equal(imported_of(folder, 1), a.state.imported);
        assert_int_equal(imported_of(folder, 2), b.state.imported);
        assert_int_equal(folder_teardown(state), 0);
        assert_int_equal(folder_setup(state), 0);
        folder = *state;
    }
}

/* A total that the user set down since the copy does not come back. */
static void test_a_total_set_down_since_the_copy(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    char copy[PATH_MAX];
    make_history(folder, &a, &b);
    back_up(folder, copy);
    struct history *history = open_history(folder->database, 0);
    a = add_circuit(history, "house", "a");
    b = add_circuit(history, "house", "b");
    start(history);
    a.state.imported = b.state.imported = 5;
    history_put_state(history, b.number, &b.state);
    put(history, &a, 0, 0);
    wait_until(health_of(history).committed_rows == 1);
    damage(folder);
    put(history, &a, 1, 0);
    wait_until_replaced(history);
    assert_string_equal(health_of(history).restored, copy);
    history_close(history, 5000);
    assert_int_equal(imported_of(folder, 1), 6);
    assert_int_equal(imported_of(folder, 2), 5);
}

static bool count_one(void *context, const struct history_reading *reading)
{
    (void)reading;
    ++*(int *)context;
    return true;
}

/* What the sink had before the copy it is not sent again, and nothing else is left out. */
static void test_a_sink_skips_nothing(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    char copy[PATH_MAX];
    struct error error = {""};
    make_history(folder, &a, &b);
    int64_t third =
        ask_number(folder->database, "SELECT key FROM reading ORDER BY key LIMIT 1 OFFSET 1999");
    int64_t newest = ask_number(folder->database, "SELECT max(key) FROM reading");
    struct history *history = open_history(folder->database, 0);
    a = add_circuit(history, "house", "a");
    unsigned sink, file, file_before;
    assert_int_equal(history_outbox(history, "influx", OUTBOX_READINGS, false, &sink, &error),
                     STATUS_OK);
    start(history);
    (void)history_outbox_begin(history, sink, &file_before);
    history_outbox_done(history, sink, third, 0);
    wait_until(ask_number(folder->database, "SELECT cursor FROM sink") == third);
    back_up(folder, copy);
    assert_int_equal(history_outbox_begin(history, sink, &file_before), third);
    history_outbox_done(history, sink, newest, 3);
    put(history, &a, 1, 0);
    wait_until(ask_number(folder->database, "SELECT cursor FROM sink") == newest);
    assert_int_equal(history_outbox_begin(history, sink, &file), newest);
    damage(folder);
    put(history, &a, 1, 0);
    wait_until_replaced(history);
    assert_string_equal(health_of(history).restored, copy);
    history_outbox_done(history, sink, newest + 1000000, 0); /* read from the file before */
    assert_int_equal(history_outbox_begin(history, sink, &file), third);
    assert_int_not_equal(file, file_before);
    struct history_stream *stream;
    assert_int_equal(history_stream_open(folder->database, &stream, &error), STATUS_OK);
    int64_t after = third;
    int count = 0;
    for (bool more = true; more;)
        assert_int_equal(
            history_stream_read(stream, after, 1000, count_one, &count, &after, &more, &error),
            STATUS_OK);
    history_stream_close(stream);
    assert_int_equal(count, 4000 + 1); /* the copy's and the one that waited */
    history_outbox_done(history, sink, after, 0);
    assert_int_equal(history_outbox_begin(history, sink, &file), after);
    history_close(history, 5000);
    assert_int_equal(ask_number(folder->database, "SELECT cursor FROM sink"), after);
    assert_int_equal(ask_number(folder->database, "SELECT refused FROM sink"), 3);
}

/* Minutes whose readings were deleted long ago cannot be made again. */
static void test_rollups_without_readings_stay(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    char copy[PATH_MAX];
    char before[200];
    struct error error = {""};
    static const char rollups[] =
        "SELECT group_concat(word) FROM (SELECT sum(imported) || ' ' || count(*) AS word FROM "
        "rollup_minute UNION ALL SELECT sum(imported) || ' ' || count(*) FROM rollup_quarter)";
    struct history *history = open_history(folder->database, 0);
    a = add_circuit(history, "house", "a");
    b = add_circuit(history, "house", "b");
    start(history);
    for (int i = 0; i < 2000; i++) {
        if (i == 1000) {
            wait_until_written(history);
            assert_int_equal(
                history_measured(history, a.number, &factors_two, a.wall_ms + 30001, &error),
                STATUS_OK);
            wait_until(ask_number(folder->database, "SELECT count(*) FROM calibration") == 3);
        }
        put(history, &a, 2, 0);
        put(history, &b, 1, 0);
    }
    wait_until_written(history);
    change(folder->database, "DELETE FROM sample WHERE key < (SELECT max(key) FROM rollup_minute)");
    back_up(folder, copy);
    (void)snprintf(before, sizeof before, "%s", ask(folder->database, rollups));
    assert_true(ask_number(folder->database, "SELECT count(*) FROM rollup_quarter") >
                4); /* one was cut */
    damage(folder);
    put(history, &a, 2, 0);
    wait_until_replaced(history);
    assert_string_equal(health_of(history).restored, copy);
    history_close(history, 5000);
    assert_string_equal(ask(folder->database, rollups), before);
}

static void test_a_kill_in_the_middle(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    char copy[PATH_MAX], ready[PATH_MAX], half[PATH_MAX];
    make_history(folder, &a, &b);
    back_up(folder, copy);
    (void)snprintf(ready, sizeof ready, "%s.restored", folder->database);
    (void)snprintf(half, sizeof half, "%s.restored.restoring.new", folder->database);
    /* the damaged one was quarantined already */
    assert_int_equal(rename(copy, ready), 0);
    assert_int_equal(remove(folder->database), 0);
    (void)fclose(fopen(half, "w"));
    history_close(open_history(folder->database, 0), 5000);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 6000);
    assert_int_equal(count_files(folder, "*.restor*", NULL), 0);
    /* it was not */
    back_up(folder, copy);
    assert_int_equal(rename(copy, ready), 0);
    change(folder->database, "DELETE FROM sample WHERE key = (SELECT max(key) FROM sample)");
    history_close(open_history(folder->database, 0), 5000);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 5999);
    assert_int_equal(count_files(folder, "*.restor*", NULL), 0);
}

/* Nonsense in the page that says which tables there are; SQLite itself does not call that damage. */
static void test_a_table_that_is_not_as_it_should_be(void **state)
{
    const struct folder *folder = *state;
    static const char spoil[] = "ALTER TABLE total RENAME COLUMN counter TO coumter";
    struct circuit a, b;
    char copy[PATH_MAX];
    make_history(folder, &a, &b);
    back_up(folder, copy);
    change(folder->database, spoil);
    struct history *history = open_history(folder->database, 0);
    assert_string_equal(health_of(history).restored, copy);
    a = add_circuit(history, "house", "a");
    start(history);
    put(history, &a, 1, 0);
    wait_until(ask_number(folder->database, "SELECT count(*) FROM reading") ==
               6001); /* not only events */
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 1);

    change(folder->database, spoil);
    put(history, &a, 1, 0);
    wait_until(count_files(folder, damaged_pattern, NULL) == 2);
    wait_until_replaced(history);
    history_close(history, 5000);
    assert_int_equal(imported_of(folder, 1), a.state.imported);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 6001);
}

static void flip(const char *path, uint64_t *dice)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    if (status.st_size < 1000)
        return; /* a log that was cut back */
    int fd = open(path, O_WRONLY);
    for (int i = 0; i < 12; i++) {
        char nonsense[200];
        memset(nonsense, (int)below(dice, 256), sizeof nonsense);
        assert_int_equal(
            pwrite(fd, nonsense, sizeof nonsense, (off_t)below(dice, status.st_size - 200)),
            sizeof nonsense);
    }
    (void)close(fd);
}

/* Random damage again and again, found while running or at a start, with copies in between: totals are
 * what was counted, whatever happens to the rows. */
static void test_random_damage(void **state)
{
    const struct folder *folder = *state;
    uint64_t dice = test_seed();
    struct circuit a, b;
    char copy[PATH_MAX], wal[PATH_MAX];
    (void)snprintf(wal, sizeof wal, "%s-wal", folder->database);
    make_history(folder, &a, &b);
    int replaced = 0, restored = 0;
    struct history *history = open_history(folder->database, 0);
    a = add_circuit(history, "house", "a");
    b = add_circuit(history, "house", "b");
    start(history);
    for (int round = 0; round < 12; round++) {
        if (round == 0 || below(&dice, 3) == 0) {
            put(history, &a, 1, 0);
            wait_until_written(history);
            const struct history_backup_options options = {.path = folder->database,
                                                           .output = copy};
            struct error error = {""};
            assert_int_equal(history_backup_name(folder->database, HISTORY_BACKUP_REQUESTED, copy,
                                                 PATH_MAX, &error),
                             STATUS_OK);
            (void)history_backup(&options, NULL,
                                 &error); /* of a file that is damaged there is none */
        }
        flip(below(&dice, 4) == 0 && access(wal, F_OK) == 0 ? wal : folder->database, &dice);
        for (int i = 0; i < 3; i++) {
            put(history, &a, (int64_t)below(&dice, 50), 0);
            put(history, &b, 0, (int64_t)below(&dice, 50));
            sleep_ms(below(&dice, 2) == 0 ? 0 : 210);
        }
        wait_until_written(history);
        struct history_health health = health_of(history);
        replaced += health.quarantined[0] != '\0' ? 1 : 0;
        restored += health.restored[0] != '\0' ? 1 : 0;
        history_close(history, 5000);
        history = open_history(folder->database, 0);
        struct circuit a_again = add_circuit(history, "house", "a");
        struct circuit b_again = add_circuit(history, "house", "b");
        assert_int_equal(a_again.number, a.number);
        assert_int_equal(b_again.number, b.number);
        assert_int_equal(a_again.state.imported, a.state.imported);
        assert_int_equal(b_again.state.exported, b.state.exported);
        start(history);
    }
    history_close(history, 5000);
    print_message("replaced %d times while running, %d from a copy\n", replaced, restored);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_newest_copy_and_the_totals_of_memory),
        TEST(test_a_copy_of_another_history_is_left_alone),
        TEST(test_a_total_set_down_since_the_copy),
        TEST(test_a_sink_skips_nothing),
        TEST(test_rollups_without_readings_stay),
        TEST(test_a_kill_in_the_middle),
        TEST(test_a_table_that_is_not_as_it_should_be),
        TEST(test_random_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
