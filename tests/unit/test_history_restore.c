/* SPDX-License-Identifier: MIT */
/* bridge/history: going on from a copy, by command and after damage; damage at random. */
#include "history_helper.h"

#include "bridge/history/safety/backup.h"
#include "bridge/history/safety/restore.h"
#include "bridge/history/safety/totals_file.h"
#include "bridge/history/store/migrate.h"
#include "random_helper.h"

#include <fcntl.h>
#include <sys/stat.h>

static void back_up(const struct folder *folder, char copy[PATH_MAX])
{
    struct error error = {""};
    assert_int_equal(
        history_backup_name(folder->database, HISTORY_BACKUP_DAILY, copy, PATH_MAX, &error),
        STATUS_OK);
    const struct history_backup_options options = {.path = folder->database, .output = copy};
    if (history_backup(&options, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

/* More readings, closed in order. */
static void go_on(const struct folder *folder, struct circuit *a, struct circuit *b)
{
    struct history *history = open_history(folder->database, 0);
    *a = add_circuit(history, "house", "a");
    *b = add_circuit(history, "house", "b");
    start(history);
    for (int i = 0; i < 500; i++) {
        put(history, a, 3, 0);
        put(history, b, 0, 2);
    }
    history_close(history, 5000);
}

static void overwrite(const char *path, off_t offset, const void *bytes, size_t count)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, count, offset), count);
    (void)close(fd);
}

static void mark_unclean(const char *path)
{
    change(path, "UPDATE meta SET value = '0' WHERE name = 'stopped_clean'");
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void forget_totals_file(const struct folder *folder)
{
    char *totals = totals_file_path(folder->database);
    (void)remove(totals);
    free(totals);
}

/* Opens, checks that channels have these states, goes on, and looks at the file. */
static void expect_states(const struct folder *folder, const struct circuit *a,
                          const struct circuit *b)
{
    struct history *history = open_history(folder->database, 0);
    struct circuit a_again = add_circuit(history, "house", "a");
    struct circuit b_again = add_circuit(history, "house", "b");
    assert_same_state(&a_again.state, &a->state);
    assert_same_state(&b_again.state, &b->state);
    assert_true(health_of(history).may_lag);
    start(history);
    put(history, &a_again, 1, 0);
    history_close(history, 5000);
    assert_string_equal(ask(folder->database, "PRAGMA integrity_check"), "ok");
}

static void damage_readings(const char *path)
{
    char nonsense[4096];
    memset(nonsense, 0xee, sizeof nonsense);
    mark_unclean(path);
    int64_t page = ask_number(path, "SELECT max(pageno) FROM dbstat WHERE name = 'sample' "
                                    "AND pagetype = 'leaf'");
    int64_t size = ask_number(path, "PRAGMA page_size");
    overwrite(path, (page - 1) * size, nonsense, (size_t)size);
}

static void test_damage_goes_on_from_the_newest_sound_copy(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    char older[PATH_MAX], newer[PATH_MAX], broken[PATH_MAX];
    make_history(folder, &a, &b);
    back_up(folder, older);
    go_on(folder, &a, &b);
    back_up(folder, newer);
    go_on(folder, &a, &b);
    back_up(folder, broken); /* the newest of all, but not sound */
    overwrite(broken, 4096, "nonsense nonsense nonsense", 26);
    int64_t in_copy = ask_number(newer, "SELECT count(*) FROM reading");
    damage_readings(folder->database);
    forget_totals_file(folder);

    struct history *history = open_history(folder->database, 0);
    struct history_health health = health_of(history);
    history_close(history, 5000);
    char found[PATH_MAX];
    assert_int_equal(count_files(folder, damaged_pattern, found), 1);
    assert_string_equal(health.quarantined, found);
    assert_string_equal(health.restored, newer);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), in_copy);
    assert_int_equal(
        ask_number(folder->database, "SELECT count(*) FROM event WHERE kind = 'history_restored'"),
        1);
    assert_int_equal(count_files(folder, "*.restor*", NULL), 0);
    expect_states(folder, &a, &b); /* the later totals, of the damaged file */
}

static void test_without_a_sound_copy_a_fresh_one_is_begun(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    char copy[PATH_MAX];
    make_history(folder, &a, &b);
    back_up(folder, copy);
    overwrite(copy, 0, "no database at all, but text", 28);
    damage_readings(folder->database);
    struct history *history = open_history(folder->database, 0);
    struct history_health health = health_of(history);
    history_close(history, 5000);
    assert_string_not_equal(health.quarantined, "");
    assert_string_equal(health.restored, "");
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 0);
    assert_int_equal(count_files(folder, "*.restor*", NULL), 0);
    expect_states(folder, &a, &b);
}

/* What the damaged file cannot tell comes from the totals file, what neither can from the copy. */
static void test_the_greatest_total_wins(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b, a_copied, b_copied;
    char copy[PATH_MAX];
    make_history(folder, &a_copied, &b_copied);
    back_up(folder, copy);
    go_on(folder, &a, &b);
    overwrite(folder->database, 0, "no database at all, but text", 28);
    expect_states(folder, &a, &b);

    struct history_restored restored;
    struct error error = {""};
    forget_totals_file(folder);
    (void)unlink(folder->database);
    assert_int_equal(history_restore(folder->database, copy, &restored, &error), STATUS_OK);
    assert_string_equal(restored.kept, "");
    assert_int_equal(restored.raised, 0);
    expect_states(folder, &a_copied, &b_copied);
}

/* A calibration that was measured after the copy holds on. */
static void test_a_later_calibration_is_kept(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    char copy[PATH_MAX];
    make_history(folder, &a, &b);
    back_up(folder, copy);
    change(folder->database,
           "INSERT INTO calibration (id, channel, valid_from_ms, voltage, current, power, invert, "
           "origin) VALUES (3, 1, 1772323201000, 15900, 128000, 320, 0, 2)");
    change(folder->database, "UPDATE total SET calibration = 3, base_imported_uwh = "
                             "7000000000000 WHERE channel = 1");
    damage_readings(folder->database);
    forget_totals_file(folder);
    history_close(open_history(folder->database, 0), 5000);
    assert_int_equal(ask_number(folder->database,
                                "SELECT power = 320 AND origin = 2 FROM calibration JOIN total ON "
                                "total.calibration = id WHERE total.channel = 1"),
                     1);
    assert_int_equal(
        ask_number(folder->database, "SELECT base_imported_uwh FROM total WHERE channel = 1"),
        7000000000000);
}

static void test_a_restore_by_command(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    char copy[PATH_MAX];
    struct history_restored restored;
    struct error error = {""};
    make_history(folder, &a, &b);
    back_up(folder, copy);
    go_on(folder, &a, &b);
    int64_t readings = ask_number(folder->database, "SELECT count(*) FROM reading");

    struct history *history = open_history(folder->database, 0);
    assert_int_equal(history_restore(folder->database, copy, &restored, &error), STATUS_REFUSED);
    history_close(history, 5000);
    assert_int_equal(history_restore(folder->database, folder->database, &restored, &error),
                     STATUS_REFUSED);
    assert_int_equal(history_restore(folder->database, "/nowhere/copy", &restored, &error),
                     STATUS_USAGE);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), readings);

    assert_int_equal(history_restore(folder->database, copy, &restored, &error), STATUS_OK);
    assert_int_equal(ask_number(restored.kept, "SELECT count(*) FROM reading"), readings);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 6000);
    assert_int_equal(restored.raised, 2);
    assert_int_equal(count_files(folder, "*.restor*", NULL), 0);
    expect_states(folder, &a, &b);
}

/* A copy from before a migration is brought up to date on the way. */
static void test_an_old_copy(void **state)
{
    const struct folder *folder = *state;
    char copy[PATH_MAX];
    struct history_restored restored;
    struct error error = {""};
    (void)snprintf(copy, sizeof copy, "%s/old.db", folder->path);
    char command[PATH_MAX * 2];
    (void)snprintf(command, sizeof command, "sqlite3 %s < " SOURCE_DIR "/migrations/0001_first.sql",
                   copy);
    assert_int_equal(system(command), 0);
    change(copy, "PRAGMA user_version = 1");
    change(copy, "INSERT INTO channel VALUES (7, 'house', 'a', 1)");
    if (history_restore(folder->database, copy, &restored, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    assert_int_equal(ask_number(copy, "PRAGMA user_version"), 1);
    struct history *history = open_history(folder->database, 0);
    assert_int_equal(add_circuit(history, "house", "a").number, 7);
    history_close(history, 5000);
    assert_int_equal(count_files(folder, "*.before-*", NULL), 0);
    change(copy, "PRAGMA user_version = 99");
    assert_int_equal(history_restore(folder->database, copy, &restored, &error), STATUS_USAGE);
}

/* Pages and bytes at random: whatever is hit, the history opens, and totals are at least the copy's
 * and, with the totals file, at least the last ones. */
struct listener {
    char copied[PATH_MAX]; /* where the copy is brought up to date after it was made and checked */
    unsigned received;
    atomic_bool stop;
};

static void listen_once(void *context)
{
    struct listener *listener = context;
    if (access(listener->copied, F_OK) != 0)
        return;
    listener->received++;
    atomic_store(&listener->stop, true);
}

/* Of months of readings it takes minutes: the watchdog must hear of it, and a stop be received. */
static void test_an_old_copy_shows_life_and_can_be_stopped(void **state)
{
    const struct folder *folder = *state;
    char copy[PATH_MAX];
    struct channels none = {0};
    struct error error = {""};
    struct listener listener = {.received = 0};
    size_t count;
    sqlite3 *db = NULL;
    (void)snprintf(copy, sizeof copy, "%s.old", folder->database);
    (void)snprintf(listener.copied, sizeof listener.copied, "%s.restored.restoring",
                   folder->database);
    assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
    assert_int_equal(migrate_without_backup(db, 0, schema_migrations(&count), 5, copy, &error),
                     STATUS_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    change(copy, "WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 50000) "
                 "INSERT INTO reading SELECT i << 15 | 1, 1, 1, 1, 1, 1, 0, 0, 0 FROM s");
    const struct history_backup_options hooks = {
        .stop = &listener.stop, .alive = listen_once, .alive_context = &listener};
    assert_int_equal(restore_prepare_running(folder->database, copy, &none, &hooks, &error),
                     STATUS_FAILED);
    assert_int_equal(listener.received, 1);
    assert_int_equal(access(listener.copied, F_OK), -1);
}

static void test_damage_at_random(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b, a_copied, b_copied;
    char copy[PATH_MAX], pristine[PATH_MAX];
    uint64_t dice = test_seed();
    make_history(folder, &a_copied, &b_copied);
    back_up(folder, copy);
    go_on(folder, &a, &b);
    mark_unclean(folder->database);
    (void)snprintf(pristine, sizeof pristine, "%s/pristine", folder->path);
    char command[PATH_MAX * 3];
    (void)snprintf(command, sizeof command, "cp %s %s", folder->database, pristine);
    assert_int_equal(system(command), 0);
    struct stat status;
    assert_int_equal(stat(pristine, &status), 0);
    unsigned restored = 0;
    for (int round = 0; round < 60; round++) {
        (void)snprintf(command, sizeof command, "rm -f %s-wal %s-shm; cp %s %s", folder->database,
                       folder->database, pristine, folder->database);
        assert_int_equal(system(command), 0);
        int64_t hits = between(&dice, 1, 3);
        for (int64_t hit = 0; hit < hits; hit++) {
            unsigned char junk[4096];
            for (size_t i = 0; i < sizeof junk; i++)
                junk[i] = (unsigned char)below(&dice, 256);
            bool whole_page = below(&dice, 2) == 0;
            size_t count = whole_page ? sizeof junk : (size_t)between(&dice, 1, 64);
            off_t page = below(&dice, status.st_size / 4096);
            off_t offset = page * 4096 + (whole_page ? 0 : below(&dice, 4000));
            overwrite(folder->database, offset, junk, count);
        }
        struct history *history = open_history(folder->database, 0);
        struct circuit a_now = add_circuit(history, "house", "a");
        struct circuit b_now = add_circuit(history, "house", "b");
        restored += health_of(history).restored[0] != '\0' ? 1 : 0;
        if (a_now.state.imported < a.state.imported || b_now.state.exported < b.state.exported)
            fail_msg("round %d: totals fell", round);
        start(history);
        put(history, &a_now, 1, 0);
        history_close(history, 5000);
        /* For the next round everything is as it was. */
        (void)snprintf(command, sizeof command, "rm -f %s.damaged-*", folder->database);
        assert_int_equal(system(command), 0);
    }
    printf("%u of 60 went on from the copy\n", restored);
    assert_true(restored >= 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_damage_goes_on_from_the_newest_sound_copy),
        TEST(test_without_a_sound_copy_a_fresh_one_is_begun),
        TEST(test_the_greatest_total_wins),
        TEST(test_a_later_calibration_is_kept),
        TEST(test_a_restore_by_command),
        TEST(test_an_old_copy),
        TEST(test_an_old_copy_shows_life_and_can_be_stopped),
        TEST(test_damage_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
