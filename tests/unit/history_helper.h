/* SPDX-License-Identifier: MIT */
/* What the tests of the history share: a folder of their own, a meter that counts, and looking into
 * the file with a connection that is not the history's. Included by one test file each. */
#ifndef TESTS_UNIT_HISTORY_HELPER_H
#define TESTS_UNIT_HISTORY_HELPER_H

#include "bridge/history/history.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/clock.h"

#include <dirent.h>
#include <fnmatch.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define HELPER __attribute__((unused)) static

struct folder {
    char path[64];
    char database[128];
};

HELPER int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

HELPER int folder_setup(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    (void)snprintf(folder->path, sizeof folder->path, P_tmpdir "/bl2mqtt-history-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    (void)snprintf(folder->database, sizeof folder->database, "%s/history.db", folder->path);
    *state = folder;
    return 0;
}

HELPER int folder_teardown(void **state)
{
    struct folder *folder = *state;
    (void)nftw(folder->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    /* A test that takes the folder itself for a history leaves the lock of that beside it. */
    char lock[PATH_MAX];
    (void)snprintf(lock, sizeof lock, "%s.lock", folder->path);
    (void)unlink(lock);
    free(folder);
    return 0;
}

HELPER void sleep_ms(int64_t ms)
{
    struct timespec time = clock_timespec_us(ms * 1000);
    (void)nanosleep(&time, NULL);
}

/* ---- the file, from outside ---- */

HELPER sqlite3 *look(const char *path)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    return db;
}

HELPER void change(const char *path, const char *sql)
{
    sqlite3 *db = look(path);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    (void)sqlite3_close(db);
}

/* The first column of the first row as text; "" for no row or NULL. Valid until the next call. */
HELPER const char *ask(const char *path, const char *sql)
{
    static char answer[4096];
    answer[0] = '\0';
    sqlite3 *db = look(path);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW && sqlite3_column_text(statement, 0) != NULL)
        (void)snprintf(answer, sizeof answer, "%s",
                       (const char *)sqlite3_column_text(statement, 0));
    else if (code != SQLITE_ROW && code != SQLITE_DONE)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return answer;
}

HELPER int64_t ask_number(const char *path, const char *sql)
{
    return strtoll(ask(path, sql), NULL, 10);
}

/* How many files of the folder match; the name of the last in *found (of the folder's size). */
HELPER int count_files(const struct folder *folder, const char *pattern, char *found)
{
    int count = 0;
    DIR *list = opendir(folder->path);
    assert_non_null(list);
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        if (fnmatch(pattern, entry->d_name, 0) != 0)
            continue;
        count++;
        if (found != NULL)
            (void)snprintf(found, PATH_MAX, "%s/%s", folder->path, entry->d_name);
    }
    (void)closedir(list);
    return count;
}

__attribute__((unused)) static const char *const damaged_pattern = "history.db.damaged-*[Z0-9]";

/* ---- a channel that counts ---- */

#define SECOND 1000LL
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
/* 2026-03-01 00:00 UTC */
#define BEGIN_MS 1772323200000LL

struct circuit {
    unsigned number;
    struct energy_state state;
    int64_t wall_ms;
};

static const struct calibration factors_one = {15883.3, 128118.9, 317.9};
static const struct calibration factors_two = {15900.0, 128000.0, 320.0};

HELPER struct history *open_history(const char *path, size_t queue_limit)
{
    struct history_options options = {
        .path = path,
        .commit_interval_ms = 200,
        .queue_limit = queue_limit,
    };
    struct history *history = NULL;
    struct error error = {""};
    if (history_open(&options, &history, &error) != STATUS_OK)
        fail_msg("history_open: %s", error.text);
    return history;
}

HELPER struct circuit add_circuit(struct history *history, const char *device, const char *channel)
{
    struct circuit circuit = {.wall_ms = BEGIN_MS};
    struct calibration previous;
    bool changed = true;
    struct error error = {""};
    assert_int_equal(history_channel(history, device, channel, READING_BL0942, &circuit.number,
                                     &circuit.state, &error),
                     STATUS_OK);
    assert_int_equal(history_calibration(history, circuit.number, &factors_one, false, BEGIN_MS,
                                         &previous, &changed, &error),
                     STATUS_OK);
    assert_false(changed);
    if (circuit.state.known)
        circuit.wall_ms = circuit.state.counter_wall_ms;
    return circuit;
}

HELPER void start(struct history *history)
{
    struct error error = {""};
    assert_int_equal(history_start(history, &error), STATUS_OK);
}

/* A reading a second after the last one, which credits that many counts. */
HELPER void put(struct history *history, struct circuit *circuit, int64_t imported,
                int64_t exported)
{
    circuit->wall_ms += SECOND;
    struct energy_state *state = &circuit->state;
    state->known = true;
    state->imported += imported;
    state->exported += exported;
    state->counter = (state->counter + imported + exported) & 0xffffff;
    state->counter_wall_ms = circuit->wall_ms;
    state->counter_boot_ms = circuit->wall_ms - BEGIN_MS;
    (void)snprintf(state->boot_id, sizeof state->boot_id, "test");
    const struct reading reading = {
        .wall_ms = circuit->wall_ms,
        .boot_ms = circuit->wall_ms - BEGIN_MS,
        .present = READING_ALL,
        .voltage = 3653159,
        .current = 557317,
        .power = 317900,
        .energy = state->counter,
        .frequency = 20000,
    };
    history_put_reading(history, circuit->number, &reading, imported, exported, state);
}

/* Field by field: what lies between them is nobody's. */
HELPER void assert_same_state(const struct energy_state *a, const struct energy_state *b)
{
    assert_int_equal(a->known, b->known);
    assert_int_equal(a->counter, b->counter);
    assert_int_equal(a->counter_wall_ms, b->counter_wall_ms);
    assert_int_equal(a->counter_boot_ms, b->counter_boot_ms);
    assert_string_equal(a->boot_id, b->boot_id);
    assert_int_equal(a->imported, b->imported);
    assert_int_equal(a->exported, b->exported);
    assert_int_equal(a->base_imported_uwh, b->base_imported_uwh);
    assert_int_equal(a->base_exported_uwh, b->base_exported_uwh);
}

HELPER struct history_health health_of(struct history *history)
{
    struct history_health health;
    history_health(history, &health);
    return health;
}

/* Two channels with totals and some thousand readings, closed in order. */
HELPER void make_history(const struct folder *folder, struct circuit *a, struct circuit *b)
{
    struct history *history = open_history(folder->database, 0);
    *a = add_circuit(history, "house", "a");
    *b = add_circuit(history, "house", "b");
    start(history);
    for (int i = 0; i < 3000; i++) {
        put(history, a, 2, 0);
        put(history, b, 1, 1);
    }
    history_close(history, 5000);
}

HELPER void use_zone(const char *zone)
{
    (void)setenv("TZ", zone, 1);
    tzset();
}

HELPER int64_t at(const char *text)
{
    int64_t ms = -1;
    assert_int_equal(time_text_parse(text, 0, &ms, NULL), STATUS_OK);
    return ms;
}

#define wait_until(condition)                                                                      \
    do {                                                                                           \
        int64_t deadline_ = clock_boot_ms() + 20000;                                               \
        while (!(condition)) {                                                                     \
            if (clock_boot_ms() > deadline_)                                                       \
                fail_msg("waited in vain for %s", #condition);                                     \
            sleep_ms(5);                                                                           \
        }                                                                                          \
    } while (0)

#endif
