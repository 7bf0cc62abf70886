/* SPDX-License-Identifier: MIT */
/*
 * A service that is killed at any moment: the file opens sound, no total is lower than one that was
 * told to be stored, and the energy credited by the stored readings is the stored total, to the
 * count.
 *
 * This program is its own victim: run with "writer", it writes a history as fast as it may until it
 * is killed. What it knows to be stored it tells through a file that both have in memory.
 */
#include "history_helper.h"
#include "random_helper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define ROUNDS 100
#define CIRCUITS 2

struct shared {
    volatile int64_t stored_uwh[CIRCUITS][2];
    volatile int64_t bursts;
};

static struct shared *map_shared(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof(struct shared)), 0);
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(shared != MAP_FAILED);
    (void)close(fd);
    return shared;
}

static void note_stored(struct history *history, const struct circuit *circuits,
                        struct shared *shared)
{
    for (int i = 0; i < CIRCUITS; i++) {
        int64_t imported;
        int64_t exported;
        history_stored_totals(history, circuits[i].number, &imported, &exported);
        shared->stored_uwh[i][0] = imported;
        shared->stored_uwh[i][1] = exported;
    }
}

_Noreturn static void be_writer(const char *path, const char *shared_path, uint64_t seed)
{
    struct shared *shared = map_shared(shared_path);
    struct history *history = open_history(path, 0);
    struct circuit circuits[CIRCUITS] = {add_circuit(history, "house", "a"),
                                         add_circuit(history, "house", "b")};
    start(history);
    for (;;) {
        for (int64_t burst = below(&seed, 8); burst >= 0; burst--)
            put(history, &circuits[below(&seed, CIRCUITS)], below(&seed, 4), below(&seed, 2));
        if (below(&seed, 2) == 0) /* commits at once */
            history_put_state(history, circuits[0].number, &circuits[0].state);
        if (below(&seed, 4) == 0)
            sleep_ms(below(&seed, 5));
        note_stored(history, circuits, shared);
        shared->bursts++;
    }
}

static pid_t start_writer(const struct folder *folder, const char *shared_path, int64_t seed)
{
    char number[32];
    (void)snprintf(number, sizeof number, "%lld", (long long)seed);
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "test_history_kill", "writer", folder->database, shared_path,
                    number, (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    return child;
}

static int64_t total_uwh(sqlite3_stmt *row, int counts, int base)
{
    return sqlite3_column_int64(row, base) +
           calibration_energy_uwh(&factors_one, READING_BL0942, sqlite3_column_int64(row, counts));
}

static void check_file(const struct folder *folder, struct shared *shared, int round)
{
    if (access(folder->database, F_OK) != 0)
        return; /* killed before it began */
    assert_string_equal(ask(folder->database, "PRAGMA quick_check"), "ok");
    if (ask_number(folder->database, "PRAGMA user_version") == 0)
        return;
    sqlite3 *db = look(folder->database);
    sqlite3_stmt *row = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT total.channel, total.imported, total.exported, "
                           "base_imported_uwh, base_exported_uwh, sum(reading.imported), "
                           "sum(reading.exported) FROM total, reading "
                           "WHERE key & 32767 = total.channel GROUP BY total.channel",
                           -1, &row, NULL),
        SQLITE_OK);
    while (sqlite3_step(row) == SQLITE_ROW) {
        int64_t channel = sqlite3_column_int64(row, 0);
        if (sqlite3_column_int64(row, 1) != sqlite3_column_int64(row, 5) ||
            sqlite3_column_int64(row, 2) != sqlite3_column_int64(row, 6))
            fail_msg("round %d, channel %lld: total %lld, readings %lld", round, (long long)channel,
                     (long long)sqlite3_column_int64(row, 1),
                     (long long)sqlite3_column_int64(row, 5));
        volatile int64_t *stored = shared->stored_uwh[channel - 1];
        if (total_uwh(row, 1, 3) < stored[0] || total_uwh(row, 2, 4) < stored[1])
            fail_msg("round %d, channel %lld: total %lld is below the stored %lld", round,
                     (long long)channel, (long long)total_uwh(row, 1, 3), (long long)stored[0]);
    }
    (void)sqlite3_finalize(row);
    (void)sqlite3_close(db);
}

static void test_killed_at_any_moment(void **state)
{
    const struct folder *folder = *state;
    uint64_t seed = test_seed();
    char shared_path[PATH_MAX];
    (void)snprintf(shared_path, sizeof shared_path, "%s/shared", folder->path);
    struct shared *shared = map_shared(shared_path);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = start_writer(folder, shared_path, below(&seed, 1 << 30));
        sleep_ms(5 + below(&seed, 120));
        (void)kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* nothing else ended it */
        check_file(folder, shared, round);
    }
    print_message("%lld bursts put, %lld readings stored\n", (long long)shared->bursts,
                  (long long)ask_number(folder->database, "SELECT count(*) FROM reading"));
    assert_true(shared->stored_uwh[0][0] > 0 && shared->stored_uwh[1][0] > 0);

    /* none was ever quarantined, and the history goes on */
    struct history *history = open_history(folder->database, 0);
    assert_string_equal(health_of(history).quarantined, "");
    struct circuit a = add_circuit(history, "house", "a");
    assert_int_equal(
        ask_number(folder->database, "SELECT sum(imported) FROM reading WHERE key & 32767 = 1"),
        a.state.imported);
    history_close(history, 5000);
    (void)munmap(shared, sizeof *shared);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "writer") == 0)
        be_writer(argv[2], argv[3], strtoull(argv[4], NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed_at_any_moment, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
