/* SPDX-License-Identifier: MIT */
/*
 * A service that is killed at any moment: the file opens sound, no total is lower than one that was
 * reported as stored, and the energy credited by the stored readings is the stored total, to the
 * count. Also where totals are written alone between transactions.
 *
 * This program is its own victim: run with "writer", it writes a history as fast as it may until it
 * is killed. What it knows to be stored it reports through a file that both have in memory.
 */
#include "bridge/history/database.h"
#include "history_helper.h"
#include "random_helper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define ROUNDS 100
#define ROUNDS_ALONE 40
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

/* alone: transactions are rare, and totals are written alone between them. */
static struct history *open_for(const char *path, bool alone)
{
    const struct history_options options = {.path = path,
                                            .commit_interval_ms = alone ? 60000 : 200,
                                            .totals_interval_ms = alone ? 10 : 0};
    struct history *history = NULL;
    struct error error = {""};
    if (history_open(&options, &history, &error) != STATUS_OK)
        fail_msg("history_open: %s", error.text);
    return history;
}

_Noreturn static void be_writer(const char *path, const char *shared_path, uint64_t seed,
                                bool alone)
{
    struct shared *shared = map_shared(shared_path);
    struct history *history = open_for(path, alone);
    struct circuit circuits[CIRCUITS] = {add_circuit(history, "house", "a"),
                                         add_circuit(history, "house", "b")};
    start(history);
    for (;;) {
        for (int64_t burst = below(&seed, 8); burst >= 0; burst--)
            put(history, &circuits[below(&seed, CIRCUITS)], below(&seed, 4), below(&seed, 2));
        if (below(&seed, alone ? 512 : 2) == 0) /* commits at once */
            history_put_state(history, circuits[0].number, &circuits[0].state);
        if (below(&seed, 4) == 0)
            sleep_ms(below(&seed, 5));
        note_stored(history, circuits, shared);
        shared->bursts++;
    }
}

static pid_t start_writer(const struct folder *folder, const char *shared_path, int64_t seed,
                          const char *mode)
{
    char number[32];
    (void)snprintf(number, sizeof number, "%lld", (long long)seed);
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "test_history_kill", mode, folder->database, shared_path,
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
        pid_t child = start_writer(folder, shared_path, below(&seed, 1 << 30), "writer");
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

static void add_credit(void *context, unsigned number, int64_t imported, int64_t exported)
{
    int64_t(*credits)[2] = context;
    credits[number - 1][0] += imported;
    credits[number - 1][1] += exported;
}

/* What the next start makes of the file: totals as they were shown, and in each the counts of the stored readings
 * and those that the next reading will get. */
static void check_next_start(const struct folder *folder, const struct shared *shared, int round)
{
    if (access(folder->database, F_OK) != 0)
        return;
    struct channels channels = {0};
    struct database *database = NULL;
    struct error error = {""};
    int64_t credits[CIRCUITS][2] = {{0}};
    if (database_open(folder->database, NULL, &channels, NULL, &database, &error) != STATUS_OK)
        fail_msg("round %d: %s", round, error.text);
    database_uncredited(database, add_credit, credits);
    for (size_t i = 0; i < channels.count; i++) {
        const struct known_channel *channel = &channels.list[i];
        char sql[160];
        int64_t imported_uwh = 0;
        int64_t exported_uwh = 0;
        channels_totals_uwh(&channel->state, &channel->counted, channel->kind, &imported_uwh,
                            &exported_uwh);
        if (imported_uwh < shared->stored_uwh[i][0] || exported_uwh < shared->stored_uwh[i][1])
            fail_msg("round %d, channel %zu: total %lld is below the stored %lld", round, i + 1,
                     (long long)imported_uwh, (long long)shared->stored_uwh[i][0]);
        (void)snprintf(sql, sizeof sql,
                       "SELECT coalesce(sum(imported), 0) * 1000000 + coalesce(sum(exported), 0) "
                       "FROM reading WHERE key & 32767 = %u",
                       channel->number);
        int64_t stored = ask_number(folder->database, sql);
        assert_int_equal(stored / 1000000 + credits[i][0], channel->state.imported);
        assert_int_equal(stored % 1000000 + credits[i][1], channel->state.exported);
    }
    channels_free(&channels);
    database_close(database, false);
}

static int64_t stored_counts(const struct folder *folder)
{
    if (access(folder->database, F_OK) != 0 ||
        ask_number(folder->database, "PRAGMA user_version") == 0)
        return 0;
    return ask_number(folder->database, "SELECT sum(imported) FROM total");
}

static void test_killed_between_transactions(void **state)
{
    const struct folder *folder = *state;
    uint64_t seed = test_seed();
    char shared_path[PATH_MAX];
    int alone = 0;
    (void)snprintf(shared_path, sizeof shared_path, "%s/shared", folder->path);
    struct shared *shared = map_shared(shared_path);
    for (int round = 0; round < ROUNDS_ALONE; round++) {
        pid_t child = start_writer(folder, shared_path, below(&seed, 1 << 30), "alone");
        int64_t deadline_ms = clock_boot_ms() + 20000;
        for (int64_t begun = shared->bursts; shared->bursts == begun;) {
            assert_true(clock_boot_ms() < deadline_ms);
            sleep_ms(1);
        }
        sleep_ms(below(&seed, 60));
        (void)kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        int64_t before = stored_counts(folder);
        check_next_start(folder, shared, round);
        alone += stored_counts(folder) != before ? 1 : 0;
        check_next_start(folder, shared, round); /* nothing is credited twice */
    }
    assert_true(alone > 0); /* some totals were only beside the file */
    print_message("%d times totals had been written alone\n", alone);
    (void)munmap(shared, sizeof *shared);
}

int main(int argc, char **argv)
{
    if (argc == 5 && (strcmp(argv[1], "writer") == 0 || strcmp(argv[1], "alone") == 0))
        be_writer(argv[2], argv[3], strtoull(argv[4], NULL, 10), strcmp(argv[1], "alone") == 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed_at_any_moment, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_killed_between_transactions, folder_setup,
                                        folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
