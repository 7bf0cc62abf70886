/* SPDX-License-Identifier: MIT */
/*
 * Figures of the history: bytes per channel reading, transactions per second, bytes written to the
 * disk per day at several commit intervals, and how long questions take. Two channels, one reading a
 * second each, of a household that is never quite the same. Prints; never passes or fails.
 *
 *     bench_history [FOLDER]       FOLDER: on the disk that is meant; default: the current one
 *     bench_history FOLDER year    a whole year of readings (some 2.5 GB), and how the file grows with
 *                                  readings kept for 30 days; takes a quarter of an hour
 */
#include "bridge/history/database.h"
#include "bridge/history/query/energy.h"
#include "bridge/history/query/power.h"
#include "bridge/history/query/readings.h"
#include "bridge/history/retention.h"
#include "bridge/history/store/rows.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHANNELS 2
#define DAY_S 86400
#define BEGIN_MS 1772323200000LL

static const struct calibration factors = {15883.3, 128118.9, 317.9};

/* ---- a household ---- */

struct load {
    uint64_t random;
    double base_w;
    double counts;
    int64_t counter;
};

static double uniform(struct load *load)
{
    load->random = load->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(load->random >> 11) / 9007199254740992.0;
}

static struct queued_reading measure(struct load *load, unsigned number, int64_t second)
{
    if (uniform(load) < 0.01) /* something is switched */
        load->base_w = 80.0 + pow(uniform(load), 4) * 5000.0;
    double watts = load->base_w * (1.0 + 0.01 * (uniform(load) - 0.5));
    double volts = 231.0 + 3.0 * sin((double)second / 3000.0) + 0.2 * uniform(load);
    load->counts += watts * factors.power / 419430.4;
    int64_t credited = (int64_t)load->counts;
    load->counts -= (double)credited;
    load->counter = (load->counter + credited) & 0xffffff;
    return (struct queued_reading){
        .reading = {.wall_ms =
                        BEGIN_MS + second * 1000 + number * 20 + (int64_t)(uniform(load) * 9.0),
                    .present = READING_ALL,
                    .voltage = (int64_t)(volts * factors.voltage),
                    .current = (int64_t)(watts / volts * 1.05 * factors.current),
                    .power = (int64_t)(watts * factors.power),
                    .energy = load->counter,
                    .frequency = 20000 + (int64_t)(uniform(load) * 8.0) - 4},
        .imported = credited,
        .number = number,
        .kind = READING_BL0942,
    };
}

/* ---- measuring ---- */

static double now_s(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A line of /proc/self/io: wchar is what was handed to the kernel. */
static double written_bytes(const char *key)
{
    FILE *file = fopen("/proc/self/io", "r");
    char line[128];
    double value = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, key, strlen(key)) != 0)
            continue;
        value = strtod(colon + 1, NULL);
    }
    if (file != NULL)
        (void)fclose(file);
    return value;
}

static double file_bytes(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (double)status.st_size : 0;
}

static struct database *open_or_exit(const char *path, struct channels *channels)
{
    struct database *database = NULL;
    struct error error = {""};
    if (database_open(path, NULL, channels, NULL, &database, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return database;
}

static void remove_files(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock", ".totals.json"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[512];
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

/* What the writer deletes once a day. */
static void delete_old(struct database *database, int64_t now_ms, int64_t keep_days)
{
    struct retention retention = {.active = true, .before_ms = {now_ms - keep_days * 86400000LL}};
    bool more = true;
    while (more && retention_step(&retention, database_rows(database), 0, &more) == SQLITE_OK)
        continue;
}

static void report_growth(const char *path, int64_t day, int64_t keep_days)
{
    if (keep_days > 0 && day % 15 == 0)
        (void)printf("  day %3lld %8.1f MB\n", (long long)day, file_bytes(path) / 1e6);
    (void)fflush(stdout);
}

/* What the writer's thread does, without its waiting. keep_days: of readings, 0 all. */
static int64_t write_days(const char *path, int64_t days, int64_t commit_s, bool sparse,
                          int64_t keep_days)
{
    struct channels channels = {0};
    struct database *database = open_or_exit(path, &channels);
    struct load loads[CHANNELS];
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct known_channel *channel =
            channels_add(&channels, i + 1, "house", i == 0 ? "a" : "b", READING_BL0942);
        (void)channels_record(&channels, channel, &factors, false, CALIBRATION_CONFIGURED,
                              BEGIN_MS);
        loads[i] = (struct load){.random = i + 1, .base_w = 200.0};
    }
    struct total_row totals[CHANNELS] = {{0}};
    struct batch batch = {.totals = totals, .total_count = CHANNELS};
    struct queue queue;
    queue_init(&queue, 65536);
    int64_t commits = 0;
    for (int64_t second = 0; second < days * DAY_S; second++) {
        if (sparse && second % 900 == 3) /* three readings per quarter of an hour */
            second += 896;
        for (unsigned i = 0; i < CHANNELS; i++) {
            struct queued_reading item = measure(&loads[i], i + 1, second);
            queue_put_reading(&queue, &item);
            totals[i].number = i + 1;
            totals[i].counted = channels.list[i].recorded;
            totals[i].state.known = true;
            totals[i].state.imported += item.imported;
            totals[i].state.counter = loads[i].counter;
            totals[i].state.counter_wall_ms = item.reading.wall_ms;
            totals[i].state.counter_boot_ms = second * 1000;
            (void)snprintf(totals[i].state.boot_id, sizeof totals[i].state.boot_id,
                           "4c1e5a0e-6d0b-4f4e-9b1c-0f3c2a7d9e11");
        }
        if (second % commit_s != commit_s - 1)
            continue;
        queue_take(&queue, SIZE_MAX, &batch.readings, &batch.events);
        struct error error = {""};
        if (database_write(database, &channels, &batch, &error) != DATABASE_DONE) {
            (void)fprintf(stderr, "%s\n", error.text);
            exit(1);
        }
        ring_clear(&batch.readings);
        commits++;
        if (keep_days > 0 && second % DAY_S == DAY_S - 1) {
            delete_old(database, BEGIN_MS + second * 1000, keep_days);
            report_growth(path, second / DAY_S + 1, keep_days);
        }
    }
    database_close(database, true);
    channels_free(&channels);
    queue_free(&queue);
    free(batch.readings.items);
    free(batch.events.items);
    return commits;
}

static void bench_writing(const char *path, int64_t commit_s)
{
    remove_files(path);
    double handed = written_bytes("wchar");
    double device = written_bytes("write_bytes");
    double began = now_s();
    int64_t commits = write_days(path, 1, commit_s, false, 0);
    double took = now_s() - began;
    (void)printf("%8lld s %12.1f %14.1f %12.0f %14.1f\n", (long long)commit_s,
                 (written_bytes("wchar") - handed) / 1e6,
                 (written_bytes("write_bytes") - device) / 1e6, (double)commits / took,
                 file_bytes(path) / (CHANNELS * DAY_S));
}

static double ask_number(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    double value = 0;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_double(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return value;
}

static bool count_row(void *context, const struct history_energy_row *row)
{
    (void)row;
    (*(int *)context)++;
    return true;
}

static void bench_question(const char *path, const char *what, const char *channel, int64_t days,
                           enum history_bucket bucket)
{
    struct history_query *query = NULL;
    int rows = 0;
    double began = now_s();
    if (history_query_open(path, &query, NULL) == STATUS_OK)
        (void)history_query_energy(query, "house", channel, BEGIN_MS, BEGIN_MS + days * 86400000LL,
                                   bucket, count_row, &rows, NULL);
    history_query_close(query);
    (void)printf("  %-34s %4d rows %8.0f ms\n", what, rows, (now_s() - began) * 1000);
}

static bool count_piece(void *context, const struct history_power_row *row)
{
    (void)row;
    (*(int *)context)++;
    return true;
}

static bool count_reading(void *context, const struct history_reading *reading)
{
    (void)reading;
    (*(int *)context)++;
    return true;
}

/* A day in the middle of the year, every second of it. */
static void bench_one_day(const char *path)
{
    int64_t from_ms = BEGIN_MS + 182 * 86400000LL;
    int64_t to_ms = from_ms + 86400000LL;
    int rows = 0;
    double began = now_s();
    (void)history_power(path, "house", "a", from_ms, to_ms, 1000, count_piece, &rows, NULL);
    (void)printf("  %-34s %5d rows %7.0f ms\n", "power of a day by second", rows,
                 (now_s() - began) * 1000);
    rows = 0;
    began = now_s();
    (void)history_readings(path, "house", "a", from_ms, to_ms, count_reading, &rows, NULL);
    (void)printf("  %-34s %5d rows %7.0f ms\n", "readings of a day, as exported", rows,
                 (now_s() - began) * 1000);
}

static void report_tables(const char *path, double readings)
{
    static const char own[] = "SELECT sum(pgsize) FROM dbstat WHERE name = 'sample'";
    static const char all[] = "SELECT sum(pgsize) FROM dbstat WHERE name GLOB 'sample*'";
    (void)printf("tables of readings: %.2f bytes per reading (sample alone %.2f; a counter is kept "
                 "of one in %.0f)\n",
                 ask_number(path, all) / readings, ask_number(path, own) / readings,
                 readings / ask_number(path, "SELECT count(*) FROM sample_counter"));
}

static int bench_year(const char *path)
{
    remove_files(path);
    double began = now_s();
    (void)write_days(path, 365, 600, false, 0);
    double took = now_s() - began;
    double readings = ask_number(path, "SELECT count(*) FROM reading");
    (void)printf("a year: %.0f readings in %.0f s (%.0f/s), %.1f MB, %.1f bytes per reading\n",
                 readings, took, readings / took, file_bytes(path) / 1e6,
                 file_bytes(path) / readings);
    report_tables(path, readings);
    for (int round = 0; round < 3; round++) {
        bench_question(path, "the year of one channel by hour", "a", 365, BUCKET_HOUR);
        bench_question(path, "a month of one channel by day", "a", 31, BUCKET_DAY);
        bench_question(path, "the year of the device by month", NULL, 365, BUCKET_MONTH);
        bench_one_day(path);
    }
    remove_files(path);
    (void)printf("size of the file with readings kept for 30 days\n");
    (void)write_days(path, 120, 600, false, 30);
    remove_files(path);
    return 0;
}

int main(int argc, char **argv)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/bench-history.db", argc > 1 ? argv[1] : ".");
    if (argc > 2 && strcmp(argv[2], "year") == 0)
        return bench_year(path);
    (void)printf("one day, %d channels, a reading a second each, synchronous=FULL\n", CHANNELS);
    (void)printf("%10s %12s %14s %12s %14s\n", "commit", "MB written", "MB to device", "commits/s",
                 "bytes/reading");
    static const int64_t intervals[] = {5, 10, 20, 30, 60};
    for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++)
        bench_writing(path, intervals[i]);
    report_tables(path, ask_number(path, "SELECT count(*) FROM reading"));

    remove_files(path);
    (void)write_days(path, 7, 600, false, 0);
    (void)printf("questions to 7 days (%.0f MB)\n", file_bytes(path) / 1e6);
    bench_question(path, "a day of one channel by hour", "a", 1, BUCKET_HOUR);
    bench_question(path, "a week of one channel by hour", "a", 7, BUCKET_HOUR);
    bench_question(path, "a week of the device by day", NULL, 7, BUCKET_DAY);
    remove_files(path);
    (void)write_days(path, 3653, DAY_S, true, 0);
    (void)printf("questions to ten years of rollups (quarters and days complete)\n");
    for (int round = 0; round < 2; round++) {
        bench_question(path, "a year of one channel by hour", "a", 365, BUCKET_HOUR);
        bench_question(path, "a year of one channel by day", "a", 365, BUCKET_DAY);
        bench_question(path, "ten years of one channel by month", "a", 3652, BUCKET_MONTH);
        bench_question(path, "ten years of the device by year", NULL, 3652, BUCKET_YEAR);
    }
    remove_files(path);
    return 0;
}
