/* SPDX-License-Identifier: MIT */
/* bridge/history: a disk that is full, fails or hangs. Metering must not notice. */
#include "history_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Syncing the disk takes this long: libsqlite3 finds these before the C library's. */
static atomic_long stall_ms;

int fdatasync(int fd)
{
    sleep_ms(atomic_load(&stall_ms));
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    sleep_ms(atomic_load(&stall_ms));
    return (int)syscall(SYS_fsync, fd);
}

static atomic_int write_error;

static ssize_t failing_pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    int reason = atomic_load(&write_error);
    if (reason == 0)
        return pwrite(fd, bytes, count, offset);
    errno = reason;
    return -1;
}

static void disk_fails_with(int reason)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    assert_non_null(vfs);
    (void)vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)failing_pwrite);
    (void)vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)failing_pwrite);
    atomic_store(&write_error, reason);
}

static void count_wakes(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void test_a_full_disk(void **state)
{
    const struct folder *folder = *state;
    atomic_int wakes = 0;
    struct history_options options = {
        .path = folder->database,
        .commit_interval_ms = 200,
        .queue_limit = 100,
        .wake = count_wakes,
        .wake_context = &wakes,
    };
    struct history *history = NULL;
    assert_int_equal(history_open(&options, &history, NULL), STATUS_OK);
    struct circuit a = add_circuit(history, "house", "a");
    struct circuit b = add_circuit(history, "house", "b");
    start(history);
    put(history, &a, 1, 0);
    wait_until(health_of(history).committed_rows == 1);
    wait_until(atomic_load(&wakes) == 1); /* a total was stored */

    disk_fails_with(ENOSPC);
    for (int i = 0; i < 150; i++) {
        put(history, &a, 1, 0);
        put(history, &b, 0, 2);
    }
    wait_until(!health_of(history).writing);
    struct history_health health = health_of(history);
    assert_non_null(strstr(health.problem, "no room"));
    assert_int_equal(health.queued, 100);
    assert_int_equal(health.dropped_rows, 200);
    wait_until(atomic_load(&wakes) >= 2);
    uint64_t progress = health.progress;
    wait_until(health_of(history).progress > progress); /* the watchdog must not bite */

    disk_fails_with(0);
    wait_until(health_of(history).writing);
    assert_string_equal(health_of(history).problem, "");
    history_close(history, 5000);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 101);
    /* the readings are gone, their energy is not */
    assert_int_equal(ask_number(folder->database, "SELECT sum(imported) FROM reading"), 151);
    assert_int_equal(ask_number(folder->database, "SELECT sum(exported) FROM reading"), 300);
    assert_int_equal(ask_number(folder->database, "SELECT imported FROM total WHERE channel = 1"),
                     151);
    assert_int_equal(ask_number(folder->database, "SELECT exported FROM total WHERE channel = 2"),
                     300);
    assert_int_equal(
        ask_number(folder->database, "SELECT count(*) FROM event WHERE kind = 'history_resumed'"),
        1);
    assert_string_equal(
        ask(folder->database, "SELECT value FROM meta WHERE name = 'stopped_clean'"), "1");
}

static void test_a_full_disk_at_start_and_at_the_stop(void **state)
{
    const struct folder *folder = *state;
    struct circuit a, b;
    make_history(folder, &a, &b);
    disk_fails_with(ENOSPC);
    struct history *history =
        open_history(folder->database, 0); /* metering must not wait for room */
    a = add_circuit(history, "house", "a");
    struct circuit c = add_circuit(history, "garage", "a"); /* even a new channel */
    assert_int_equal(c.number, 3);
    start(history);
    put(history, &a, 1, 0);
    put(history, &c, 1, 0);
    wait_until(!health_of(history).writing);
    int64_t began_ms = clock_boot_ms();
    history_close(history, 1500);
    assert_in_range(clock_boot_ms() - began_ms, 1000, 2500);
    disk_fails_with(0);

    history = open_history(folder->database, 0);
    struct circuit again = add_circuit(history, "house", "a");
    assert_int_equal(again.state.imported, a.state.imported - 1); /* as of the last transaction */
    history_close(history, 5000);
    assert_int_equal(count_files(folder, damaged_pattern, NULL), 0);
}

/* ---- a disk that really is full: a small tmpfs, where the tests may mount one ---- */

static void fill(const char *folder)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/ballast", folder);
    static const char block[512];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    while (write(fd, block, sizeof block) > 0)
        continue;
    (void)close(fd);
}

static void empty(const char *folder)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/ballast", folder);
    (void)remove(path);
}

static void test_a_real_full_disk(void **state)
{
    const struct folder *outer = *state;
    struct folder folder;
    (void)snprintf(folder.path, sizeof folder.path, "%.50s/m", outer->path);
    (void)snprintf(folder.database, sizeof folder.database, "%s/history.db", folder.path);
    assert_int_equal(mkdir(folder.path, 0755), 0);
    if (mount("tmpfs", folder.path, "tmpfs", 0, "size=1m") != 0) {
        print_message("not run: a file system cannot be mounted here (%s)\n", strerror(errno));
        skip();
    }
    struct circuit a, b;
    make_history(&folder, &a, &b);
    fill(folder.path);
    for (int run = 0; run < 2; run++) { /* the service restarts while there is no room */
        struct history *history = open_history(folder.database, 0);
        struct circuit again = add_circuit(history, "house", "a");
        assert_int_equal(again.state.imported, a.state.imported);
        start(history);
        put(history, &again, 1, 0);
        wait_until(!health_of(history).writing);
        if (run == 0) {
            history_close(history, 100);
            continue;
        }
        empty(folder.path);
        wait_until(health_of(history).writing);
        /* others can read it again while it is written */
        assert_int_equal(
            ask_number(folder.database, "SELECT imported FROM total WHERE channel = 1"),
            again.state.imported);
        put(history, &again, 1, 0);
        history_close(history, 5000);
        assert_int_equal(ask_number(folder.database, "SELECT sum(imported) FROM reading WHERE "
                                                     "key & 32767 = 1"),
                         again.state.imported);
    }
    assert_int_equal(count_files(&folder, damaged_pattern, NULL), 0);
    assert_int_equal(umount(folder.path), 0);
}

static void test_other_errors_of_the_disk_are_waited_out(void **state)
{
    const struct folder *folder = *state;
    static const int reasons[] = {EIO, EROFS};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        struct history *history = open_history(folder->database, 0);
        struct circuit a = add_circuit(history, "house", "a");
        start(history);
        sleep_ms(50);
        disk_fails_with(reasons[i]);
        put(history, &a, 1, 0);
        wait_until(!health_of(history).writing);
        disk_fails_with(0);
        wait_until(health_of(history).writing);
        history_close(history, 5000);
        assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), i + 1);
    }
}

static void test_putting_never_waits_for_the_disk(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit a = add_circuit(history, "house", "a");
    start(history);
    wait_until(health_of(history).last_commit_boot_ms > 0);
    atomic_store(&stall_ms, 1000);
    put(history, &a, 1, 0);
    int64_t worst_ms = 0;
    int64_t end_ms = clock_boot_ms() + 1500;
    while (clock_boot_ms() < end_ms) {
        int64_t began_ms = clock_boot_ms();
        put(history, &a, 1, 0);
        history_put_event(history, a.number, a.wall_ms, "tick", "x");
        (void)health_of(history);
        int64_t took_ms = clock_boot_ms() - began_ms;
        worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
        sleep_ms(10);
    }
    print_message("longest wait of the caller while a sync takes 1 s: %lld ms\n",
                  (long long)worst_ms);
    assert_true(worst_ms < 200);
    atomic_store(&stall_ms, 0);
    history_close(history, 10000);
    assert_int_equal(ask_number(folder->database, "SELECT sum(imported) FROM reading"),
                     a.state.imported);
}

static void test_a_total_set_just_before_the_stop_is_stored(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit a = add_circuit(history, "house", "a");
    start(history);
    wait_until(health_of(history).progress > 2); /* the first turn and its totals file are done */
    atomic_store(&stall_ms, 300);
    put(history, &a, 1, 0);
    history_put_state(history, a.number, &a.state);
    sleep_ms(100); /* a transaction is under way, which does not have what comes now */
    a.state.base_imported_uwh = 5000;
    history_put_state(history, a.number, &a.state);
    history_close(history, 5000);
    assert_int_equal(ask_number(folder->database, "SELECT base_imported_uwh FROM total"), 5000);
}

static void test_closing_gives_up_on_a_disk_that_hangs(void **state)
{
    const struct folder *folder = *state;
    struct log *log = log_create(LOG_LEVEL_ERROR);
    struct history_options options = {
        .path = folder->database, .commit_interval_ms = 200, .log = log};
    struct history *history = NULL;
    assert_int_equal(history_open(&options, &history, NULL), STATUS_OK);
    struct circuit a = add_circuit(history, "house", "a");
    start(history);
    wait_until(health_of(history).last_commit_boot_ms > 0);
    atomic_store(&stall_ms, 1200);
    put(history, &a, 1, 0);
    sleep_ms(400); /* it is now within the sync */
    int64_t began_ms = clock_boot_ms();
    history_close(history, 300);
    assert_in_range(clock_boot_ms() - began_ms, 300, 1100);
    log_free(log); /* the thread must not use it any more */
    atomic_store(&stall_ms, 0);
    sleep_ms(1500); /* ... and frees what it holds, which the leak checker looks at */
    history = open_history(folder->database, 0);
    a = add_circuit(history, "house", "a");
    assert_int_equal(a.state.imported, 1);
    history_close(history, 5000);
}

static int teardown(void **state)
{
    disk_fails_with(0);
    atomic_store(&stall_ms, 0);
    return folder_teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_full_disk),
        TEST(test_a_full_disk_at_start_and_at_the_stop),
        TEST(test_a_real_full_disk),
        TEST(test_other_errors_of_the_disk_are_waited_out),
        TEST(test_putting_never_waits_for_the_disk),
        TEST(test_a_total_set_just_before_the_stop_is_stored),
        TEST(test_closing_gives_up_on_a_disk_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
