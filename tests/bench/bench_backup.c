/* SPDX-License-Identifier: MIT */
/*
 * How a copy of the history holds up its writer: one transaction of ten readings every 50 ms, alone,
 * beside a reader that copies (what bl2mqtt does), and with sqlite3_backup on the writer's own
 * connection, stepwise between the transactions. Prints; never passes or fails.
 *
 *     bench_backup [FOLDER [MEGABYTES]]     FOLDER: on the disk that is meant; default: here, 200 MB
 */
#include "bridge/history/safety/backup.h"
#include "bridge/history/store/migrate.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/clock.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 20000
#define PERIOD_MS 50

static char history[PATH_MAX];
static char copy[PATH_MAX];

static int64_t now_us(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static int64_t size_of(const char *suffix)
{
    char name[PATH_MAX + 8];
    struct stat status;
    (void)snprintf(name, sizeof name, "%s%s", history, suffix);
    return stat(name, &status) == 0 ? (int64_t)status.st_size : 0;
}

struct samples {
    int64_t us[SAMPLES_MAX];
    size_t count;
    int64_t key;
    int64_t log_bytes; /* at most */
};

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void print(const char *what, struct samples *samples, int64_t took_us)
{
    qsort(samples->us, samples->count, sizeof samples->us[0], compare);
    size_t n = samples->count;
    (void)printf("%-44s %6zu writes, ms: median %6.1f  99 %% %7.1f  most %7.1f; copy %6.1f s; log "
                 "at most %.1f MB\n",
                 what, n, (double)samples->us[n / 2] / 1000,
                 (double)samples->us[n * 99 / 100] / 1000, (double)samples->us[n - 1] / 1000,
                 (double)took_us / 1e6, (double)samples->log_bytes / 1e6);
}

static void insert(sqlite3_stmt *statement, int64_t key)
{
    (void)sqlite3_bind_int64(statement, 1, key);
    (void)sqlite3_step(statement);
    (void)sqlite3_reset(statement);
}

static const char insertion[] =
    "INSERT INTO sample VALUES (?1, 3653159, 557317, 317900 + ?1 % 1000, 20, 999999)";

/* Waits for the transaction's turn, then times it from that moment. */
static void write_once(sqlite3 *db, sqlite3_stmt *statement, struct samples *samples,
                       int64_t due_us)
{
    int64_t wait_us = due_us - now_us();
    if (wait_us > 0)
        (void)usleep((useconds_t)wait_us);
    (void)sql_run(db, "BEGIN IMMEDIATE");
    for (int i = 0; i < 10; i++)
        insert(statement, samples->key += 32768000);
    (void)sql_run(db, "COMMIT");
    int64_t log_bytes = size_of("-wal");
    samples->log_bytes = log_bytes > samples->log_bytes ? log_bytes : samples->log_bytes;
    if (samples->count < SAMPLES_MAX)
        samples->us[samples->count++] = now_us() - due_us;
}

static atomic_bool copied;

static void *copy_beside(void *pause_ms)
{
    struct error error = {""};
    const struct history_backup_options options = {
        .path = history, .output = copy, .pause_ms = *(int64_t *)pause_ms};
    if (history_backup(&options, NULL, &error) != STATUS_OK)
        (void)printf("%s\n", error.text);
    atomic_store(&copied, true);
    return NULL;
}

static void measure_beside(sqlite3 *db, sqlite3_stmt *statement, int64_t *key, int64_t pause_ms,
                           const char *what)
{
    static struct samples samples;
    samples = (struct samples){.key = *key};
    pthread_t thread;
    atomic_store(&copied, false);
    int64_t began_us = now_us();
    int64_t due_us = began_us;
    if (pthread_create(&thread, NULL, copy_beside, &pause_ms) != 0)
        return;
    while (!atomic_load(&copied))
        write_once(db, statement, &samples, due_us += PERIOD_MS * 1000);
    (void)pthread_join(thread, NULL);
    print(what, &samples, now_us() - began_us);
    *key = samples.key;
}

static void measure_alone(sqlite3 *db, sqlite3_stmt *statement, int64_t *key)
{
    static struct samples samples;
    samples = (struct samples){.key = *key};
    int64_t due_us = now_us();
    for (int i = 0; i < 100; i++)
        write_once(db, statement, &samples, due_us += PERIOD_MS * 1000);
    print("alone", &samples, 0);
    *key = samples.key;
}

static void *sync_copy(void *unused)
{
    (void)unused;
    int fd = open(copy, O_RDONLY | O_CLOEXEC);
    (void)fsync(fd);
    (void)close(fd);
    atomic_store(&copied, true);
    return NULL;
}

/* The same connection reads, writes and copies; so a step holds up the next transaction. */
static void measure_own(sqlite3 *db, sqlite3_stmt *statement, int64_t *key, int pages,
                        const char *what)
{
    static struct samples samples;
    samples = (struct samples){.key = *key};
    sqlite3 *target = NULL;
    (void)unlink(copy);
    (void)sql_open(copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false, &target);
    (void)sql_run(target, "PRAGMA synchronous = OFF");
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", db, "main");
    int64_t began_us = now_us();
    int64_t due_us = began_us;
    int code = SQLITE_OK;
    while (code == SQLITE_OK) {
        due_us += PERIOD_MS * 1000;
        while (code == SQLITE_OK && now_us() < due_us)
            code = sqlite3_backup_step(backup, pages);
        write_once(db, statement, &samples, due_us);
    }
    (void)sqlite3_backup_finish(backup);
    (void)sqlite3_close(target);
    pthread_t thread;
    atomic_store(&copied, false);
    if (pthread_create(&thread, NULL, sync_copy, NULL) != 0)
        return;
    while (!atomic_load(&copied))
        write_once(db, statement, &samples, due_us += PERIOD_MS * 1000);
    (void)pthread_join(thread, NULL);
    print(what, &samples, now_us() - began_us);
    *key = samples.key;
}

static sqlite3 *make(int64_t megabytes, int64_t *key)
{
    sqlite3 *db = NULL;
    size_t count;
    struct error error = {""};
    const struct migration *list = schema_migrations(&count);
    (void)sql_open(history, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false, &db);
    (void)sql_run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    (void)migrate(db, history, 0, list, count, NULL, &error);
    sqlite3_stmt *statement = NULL;
    (void)sql_prepare(db, insertion, &statement);
    while (size_of("") < megabytes * 1000000) {
        (void)sql_run(db, "BEGIN IMMEDIATE");
        for (int i = 0; i < 100000; i++)
            insert(statement, *key += 32768000);
        (void)sql_run(db, "COMMIT");
    }
    (void)sqlite3_finalize(statement);
    return db;
}

int main(int argc, char **argv)
{
    int64_t key = 1772323200000LL << 15;
    (void)snprintf(history, sizeof history, "%s/bench_backup.db", argc > 1 ? argv[1] : ".");
    (void)snprintf(copy, sizeof copy, "%s/bench_backup.copy", argc > 1 ? argv[1] : ".");
    (void)unlink(history);
    sqlite3 *db = make(argc > 2 ? strtoll(argv[2], NULL, 10) : 200, &key);
    sqlite3_stmt *statement = NULL;
    (void)sql_prepare(db, insertion, &statement);
    measure_alone(db, statement, &key);
    measure_beside(db, statement, &key, 0, "a reader beside it, as fast as it goes");
    measure_beside(db, statement, &key, 20, "a reader beside it, 20 ms after 4 MiB");
    measure_own(db, statement, &key, 64, "the writer's connection, 64 pages a step");
    measure_own(db, statement, &key, 1024, "the writer's connection, 1024 pages a step");
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    (void)unlink(history);
    (void)unlink(copy);
    return 0;
}
