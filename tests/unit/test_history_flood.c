/* SPDX-License-Identifier: MIT */
/* bridge/history: more readings than any meter sends, a disk that is too slow, and a clock that is not
 * set. The other channels and all totals must not notice. */
#include "history_helper.h"

#include "bridge/history/database.h"
#include "bridge/history/query/energy.h"
#include "bridge/history/queue.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/timex.h>

static atomic_long stall_ms;
static atomic_bool clock_is_set = true;

int fdatasync(int fd)
{
    sleep_ms(atomic_load(&stall_ms));
    return (int)syscall(SYS_fdatasync, fd);
}

/* What the service asks for the state of the clock. */
int adjtimex(struct timex *state)
{
    memset(state, 0, sizeof *state);
    if (atomic_load(&clock_is_set))
        return TIME_OK;
    state->status = STA_UNSYNC;
    state->maxerror = 16000000;
    return TIME_ERROR;
}

static bool notice_of(struct history *history, const char *kind, struct history_notice *notice)
{
    while (history_next_notice(history, notice))
        if (strcmp(notice->kind, kind) == 0)
            return true;
    return false;
}

static void put_at(struct history *history, struct circuit *circuit, int64_t wall_ms)
{
    circuit->wall_ms = wall_ms - SECOND;
    put(history, circuit, 1, 0);
}

/* ---- a flood ---- */

#define FLOOD 100000

static void test_a_flood_of_one_channel(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit flooded = add_circuit(history, "module", "a");
    struct circuit meter = add_circuit(history, "house", "a");
    struct history_notice notice;
    start(history);
    for (int second = 0; second < 10; second++) {
        put_at(history, &meter, BEGIN_MS + second * SECOND);
        for (int i = 0; i < FLOOD / 10; i++) /* 220 and 221 in turn, all in one millisecond */
            put_at(history, &flooded, BEGIN_MS + 5 * SECOND);
    }
    wait_until(health_of(history).queued == 0);
    assert_true(notice_of(history, "readings_dropped", &notice));
    assert_non_null(strstr(notice.message, "module a"));
    assert_int_equal(health_of(history).dropped_rows, FLOOD - QUEUE_RATE_MAX);
    assert_string_equal(health_of(history).problem, "");

    /* the next second: what was dropped is counted by the next reading */
    put_at(history, &flooded, BEGIN_MS + 20 * SECOND);
    put_at(history, &meter, BEGIN_MS + 20 * SECOND);
    history_close(history, 5000);
    const char *path = folder->database;
    assert_int_equal(ask_number(path, "SELECT count(*) FROM reading WHERE key & 32767 = 1"),
                     QUEUE_RATE_MAX + 1);
    assert_int_equal(ask_number(path, "SELECT count(*) FROM reading WHERE key & 32767 = 2"), 11);
    assert_int_equal(ask_number(path, "SELECT sum(imported) FROM reading WHERE key & 32767 = 1"),
                     FLOOD + 1);
    assert_int_equal(ask_number(path, "SELECT imported FROM total WHERE channel = 1"), FLOOD + 1);
    assert_int_equal(ask_number(path, "SELECT max(key >> 15) FROM reading WHERE key & 32767 = 1"),
                     BEGIN_MS + 20 * SECOND);
    assert_int_equal(ask_number(path, "SELECT count(*) FROM event WHERE kind = 'readings_dropped'"),
                     1); /* not one for each */
}

/* Counts that wait for a reading that never comes are not lost with the process. */
static void test_dropped_counts_outlive_the_process(void **state)
{
    const struct folder *folder = *state;
    const char *path = folder->database;
    struct history *history = open_history(path, 0);
    struct circuit circuit = add_circuit(history, "house", "a");
    start(history);
    for (int i = 0; i < QUEUE_RATE_MAX + 400; i++)
        put_at(history, &circuit, BEGIN_MS);
    history_close(history, 5000);
    assert_int_equal(ask_number(path, "SELECT sum(imported) FROM reading"), QUEUE_RATE_MAX);
    assert_string_equal(ask(path, "SELECT value FROM meta WHERE name = 'uncredited'"), "1 400 0;");

    history = open_history(path, 0);
    circuit = add_circuit(history, "house", "a");
    start(history);
    put_at(history, &circuit, BEGIN_MS + 7 * SECOND);
    history_close(history, 5000);
    assert_int_equal(ask_number(path, "SELECT sum(imported) FROM reading"), QUEUE_RATE_MAX + 401);
    assert_int_equal(ask_number(path, "SELECT count(*) FROM meta WHERE name = 'uncredited'"), 0);

    /* what this program never wrote there is skipped */
    static const char *const texts[] = {"",      "1",       "1 2",        "0 5 0;",
                                        "; ; ;", "1 -5 0;", "32768 5 0;", "1 5 0 7;",
                                        "a b c", "1 5 0x;", "1  5 0;"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char sql[128];
        (void)snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO meta VALUES ('uncredited', '%s')",
                       texts[i]);
        change(path, sql);
        history = open_history(path, 0);
        circuit = add_circuit(history, "house", "a");
        start(history);
        put_at(history, &circuit, BEGIN_MS + (10 + (int64_t)i) * SECOND);
        history_close(history, 5000);
        assert_int_equal(ask_number(path, "SELECT imported FROM reading ORDER BY key DESC LIMIT 1"),
                         1);
    }
}

static int count_step(unsigned reason, void *context, void *statement, void *text)
{
    (void)reason;
    (void)statement;
    (void)text;
    (*(int64_t *)context)++;
    return 0;
}

/* However many readings want one key, each costs as much as one that finds its own. */
static void test_taken_keys_cost_nothing(void **state)
{
    const struct folder *folder = *state;
    struct channels channels = {0};
    struct database *database;
    struct error error = {""};
    struct batch batch = {.totals = NULL};
    const struct calibration factors = {1000, 1000, 1000};
    int64_t statements = 0;
    assert_int_equal(database_open(folder->database, NULL, &channels, NULL, &database, &error),
                     STATUS_OK);
    struct known_channel *channel = channels_add(&channels, 1, "house", "a", READING_BL0942);
    (void)channels_record(&channels, channel, &factors, false, CALIBRATION_CONFIGURED, BEGIN_MS);
    batch_take_calibrations(&batch, &channels);
    assert_int_equal(database_write(database, &channels, &batch, &error), DATABASE_DONE);
    struct queued_reading *items = calloc(20000, sizeof *items);
    for (size_t i = 0; i < 20000; i++)
        items[i] = (struct queued_reading){
            .number = 1, .imported = 1, .reading = {.wall_ms = BEGIN_MS + (int64_t)i / 5000}};
    batch.readings = (struct reading_ring){.items = items, .count = 20000, .capacity = 20000};
    batch.calibration_count = 0;
    (void)sqlite3_trace_v2(rows_db(database_rows(database)), SQLITE_TRACE_STMT, count_step,
                           &statements);
    assert_int_equal(database_write(database, &channels, &batch, &error), DATABASE_DONE);
    assert_in_range(statements, 20000, 2 * 20000 + 1000);
    database_close(database, true);
    assert_int_equal(ask_number(folder->database, "SELECT count(*) FROM reading"), 20000);
    assert_int_equal(
        ask_number(folder->database, "SELECT max(key >> 15) - min(key >> 15) FROM reading"), 19999);
    free(items);
    free(batch.calibrations);
    channels_free(&channels);
}

static void test_a_batch_is_bounded(void **state)
{
    (void)state;
    struct queue queue;
    struct reading_ring readings = {0};
    struct event_list events = {0};
    queue_init(&queue, 1000);
    int64_t next = 0;
    for (int64_t i = 0; i < 700; i++)
        queue_put_reading(&queue, &(struct queued_reading){.number = 1 + (unsigned)(i % 9),
                                                           .reading = {.wall_ms = i * 100}});
    while (queue.readings.count > 0) {
        queue_take(&queue, 64, &readings, &events);
        assert_in_range(readings.count, 1, 64);
        if (next == 128) { /* the disk refused: it comes again, before what came since */
            queue_return(&queue, &readings, &events);
            queue_take(&queue, 64, &readings, &events);
        }
        for (size_t i = 0; i < readings.count; i++)
            assert_int_equal(ring_at(&readings, i)->reading.wall_ms, next++ * 100);
        ring_clear(&readings);
    }
    assert_int_equal(next, 700);
    assert_int_equal(queue.dropped, 0);
    free(readings.items);
    free(events.items);
    queue_free(&queue);
}

/* ---- a slow disk ---- */

static void test_a_late_commit_is_reported(void **state)
{
    const struct folder *folder = *state;
    struct history *history = open_history(folder->database, 0);
    struct circuit circuit = add_circuit(history, "house", "a");
    struct history_notice notice;
    start(history);
    put(history, &circuit, 1, 0);
    wait_until(health_of(history).committed_rows > 0);
    assert_int_equal(health_of(history).late_ms, 0);
    atomic_store(&stall_ms, 7000);
    put(history, &circuit, 1, 0);
    wait_until(notice_of(history, "history_late", &notice));
    struct history_health health = health_of(history);
    assert_true(health.writing && health.late_ms > 5000);
    assert_non_null(strstr(health.problem, "late"));
    atomic_store(&stall_ms, 0);
    wait_until(notice_of(history, "history_resumed", &notice));
    assert_int_equal(health_of(history).late_ms, 0);
    assert_string_equal(health_of(history).problem, "");
    history_close(history, 5000);
    assert_string_equal(ask(folder->database,
                            "SELECT group_concat(kind) FROM (SELECT kind FROM event ORDER BY key)"),
                        "history_late,history_resumed");
}

/* ---- a clock that is not set ---- */

static struct history *open_waiting(const char *path)
{
    struct history *history = NULL;
    struct error error = {""};
    const struct history_options options = {
        .path = path, .commit_interval_ms = 200, .clock_wait_ms = INT64_MAX};
    assert_int_equal(history_open(&options, &history, &error), STATUS_OK);
    return history;
}

/* Totals do not wait, whether the channel is new or not; a kill takes neither them nor what they are
 * in the sums of readings. */
static void test_totals_do_not_wait_for_the_clock(void **state)
{
    const struct folder *folder = *state;
    const char *path = folder->database;
    char killed[160];
    int64_t imported_uwh = 0, exported_uwh = 0;
    (void)snprintf(killed, sizeof killed, "%s/killed.db", folder->path);
    struct history *history = open_history(path, 0);
    struct circuit old = add_circuit(history, "house", "old");
    start(history);
    put(history, &old, 5, 0);
    history_close(history, 5000);

    atomic_store(&clock_is_set, false);
    history = open_waiting(path);
    old = add_circuit(history, "house", "old");
    struct circuit fresh = add_circuit(history, "house", "fresh");
    start(history);
    for (int i = 0; i < 10; i++) {
        put(history, &old, 1, 0);
        put(history, &fresh, 2, 1);
    }
    int64_t wanted_uwh = calibration_energy_uwh(&factors_one, READING_BL0942, 20);
    do
        history_stored_totals(history, fresh.number, &imported_uwh, &exported_uwh);
    while (imported_uwh != wanted_uwh);
    wait_until(health_of(history).clock_awaited);
    assert_int_equal(ask_number(path, "SELECT count(*) FROM reading"), 1);
    assert_string_equal(ask(path, "SELECT value FROM meta WHERE name = 'clock_awaited'"), "1");
    assert_true(history_clock_awaited(path));

    /* as a kill would leave it */
    char sql[200];
    (void)snprintf(sql, sizeof sql, "VACUUM INTO '%s'", killed);
    change(path, sql);
    history_close(history, 5000); /* a stop ends the wait */
    assert_false(history_clock_awaited(path));
    assert_int_equal(ask_number(path, "SELECT count(*) FROM reading"), 21);
    assert_int_equal(ask_number(path, "SELECT sum(imported) FROM reading"), 5 + 10 + 20);
    assert_int_equal(ask_number(path, "SELECT count(*) FROM meta WHERE name = 'clock_awaited'"), 0);
    assert_int_equal(ask_number(path, "SELECT count(*) FROM meta WHERE name = 'uncredited'"), 0);

    atomic_store(&clock_is_set, true);
    history = open_history(killed, 0);
    old = add_circuit(history, "house", "old");
    fresh = add_circuit(history, "house", "fresh");
    history_stored_totals(history, fresh.number, &imported_uwh, &exported_uwh);
    assert_int_equal(imported_uwh, wanted_uwh);
    history_stored_totals(history, old.number, &imported_uwh, &exported_uwh);
    assert_int_equal(imported_uwh, calibration_energy_uwh(&factors_one, READING_BL0942, 15));
    start(history);
    put(history, &old, 1, 0);
    put(history, &fresh, 1, 0);
    history_close(history, 5000);
    assert_int_equal(ask_number(killed, "SELECT sum(imported) FROM reading"), 5 + 11 + 21);
    assert_int_equal(ask_number(killed, "SELECT sum(exported) FROM reading"), 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_flood_of_one_channel),    TEST(test_dropped_counts_outlive_the_process),
        TEST(test_taken_keys_cost_nothing),   TEST(test_a_batch_is_bounded),
        TEST(test_a_late_commit_is_reported), TEST(test_totals_do_not_wait_for_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
