/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/segments.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/conversion.h"
#include "bridge/history/store/key.h"
#include "bridge/history/store/meta.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

/* Beyond every level: readings. */
#define TABLES (ROLLUP_LEVELS + 1)
#define READINGS ROLLUP_LEVELS

/* Rows made of the readings of a time, by channel. */
struct kept {
    int64_t from_ms, to_ms; /* 0, 0: nothing is kept */
    struct rollup_row *rows;
    size_t count, capacity;
    size_t first[CHANNEL_NUMBER_MAX + 2]; /* by number, of those with it or a greater one */
};

struct segments {
    sqlite3 *db;
    struct minutes *minutes;
    sqlite3_stmt *rows[ROLLUP_LEVELS];
    sqlite3_stmt *whole_rows;
    sqlite3_stmt *sums[TABLES];
    /* What the tables hold, as of the walk. */
    int64_t first_ms[ROLLUP_LEVELS]; /* begin of the first row; INT64_MAX without rows */
    int64_t done_ms[ROLLUP_LEVELS];  /* end of the last row's bucket; 0 without rows */
    bool days_fit;                   /* their zone is the process's */
    struct kept *kept;               /* NULL: not wanted */
};

/* A walk, or a sum. */
struct walk {
    struct segments *segments;
    enum rollup_level coarsest;
    minutes_emit emit;
    void *context;
    const unsigned *numbers; /* ascending; NULL: all channels are wanted */
    size_t number_count;
    unsigned number; /* of a sum, which has no emit */
    int64_t imported, exported;
};

static const char *table_name(int table)
{
    return table == READINGS ? "reading" : rollup_table((enum rollup_level)table);
}

static int prepare(struct segments *segments, const char *columns, int table, const char *more,
                   sqlite3_stmt **made)
{
    char sql[600];
    (void)snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE key >= ?1 AND key < ?2 %s", columns,
                   table_name(table), more);
    return sql_prepare(segments->db, sql, made);
}

int segments_open(sqlite3 *db, struct segments **segments)
{
    struct segments *made = memory_new(1, sizeof *made);
    made->db = db;
    *segments = made;
    int code = minutes_open(db, &made->minutes);
    for (int i = 0; i < ROLLUP_LEVELS && code == SQLITE_OK; i++)
        code = prepare(made, ROLLUP_ENERGY_COLUMNS, i, "ORDER BY key", &made->rows[i]);
    if (code == SQLITE_OK)
        code = prepare(made, ROLLUP_COLUMNS, ROLLUP_MINUTE, "ORDER BY key", &made->whole_rows);
    for (int i = 0; i < TABLES && code == SQLITE_OK; i++)
        code = prepare(made, "sum(imported), sum(exported)", i, "AND key & 32767 = ?3",
                       &made->sums[i]);
    return code;
}

void segments_close(struct segments *segments)
{
    if (segments == NULL)
        return;
    minutes_close(segments->minutes);
    for (int i = 0; i < ROLLUP_LEVELS; i++)
        (void)sqlite3_finalize(segments->rows[i]);
    (void)sqlite3_finalize(segments->whole_rows);
    for (int i = 0; i < TABLES; i++)
        (void)sqlite3_finalize(segments->sums[i]);
    if (segments->kept != NULL)
        free(segments->kept->rows);
    free(segments->kept);
    free(segments);
}

/* ---- what there is ---- */

static int64_t floor_to(int64_t wall_ms, int64_t length_ms)
{
    return wall_ms / length_ms * length_ms;
}

static int load_level(struct segments *segments, int level)
{
    char sql[160];
    int64_t first = -1;
    int64_t last = -1;
    (void)snprintf(sql, sizeof sql, "SELECT coalesce(min(key), -1) FROM %s", table_name(level));
    int code = sql_integer(segments->db, sql, &first);
    (void)snprintf(sql, sizeof sql, "SELECT coalesce(max(key), -1) FROM %s", table_name(level));
    if (code == SQLITE_OK)
        code = sql_integer(segments->db, sql, &last);
    segments->first_ms[level] = first < 0 ? INT64_MAX : key_time_ms(first);
    segments->done_ms[level] = 0;
    if (last < 0)
        return code;
    int64_t last_ms = key_time_ms(last);
    if (level == ROLLUP_DAY)
        segments->done_ms[level] = bucket_next(BUCKET_DAY, last_ms);
    else
        segments->done_ms[level] = level == ROLLUP_MINUTE
                                       ? floor_to(last_ms, ROLLUP_MINUTE_MS) + ROLLUP_MINUTE_MS
                                       : floor_to(last_ms, ROLLUP_QUARTER_MS) + ROLLUP_QUARTER_MS;
    return code;
}

static int load(struct segments *segments)
{
    int code = SQLITE_OK;
    for (int level = 0; level < ROLLUP_LEVELS && code == SQLITE_OK; level++)
        code = load_level(segments, level);
    if (code != SQLITE_OK)
        return code;
    char zone[BUCKET_ZONE_SIZE];
    char found[BUCKET_ZONE_SIZE];
    bool known;
    bucket_zone(zone);
    code = meta_get(segments->db, "time_zone", found, sizeof found, &known);
    segments->days_fit = known && strcmp(found, zone) == 0;
    return code;
}

/* ---- runs of one table ---- */

static void bind_range(sqlite3_stmt *statement, int64_t from_ms, int64_t to_ms)
{
    (void)sqlite3_bind_int64(statement, 1, key_make(from_ms, 0));
    (void)sqlite3_bind_int64(statement, 2, key_make(to_ms, 0));
}

static int sum_run(struct walk *walk, int table, int64_t from_ms, int64_t to_ms)
{
    sqlite3_stmt *statement = walk->segments->sums[table];
    bind_range(statement, from_ms, to_ms);
    (void)sqlite3_bind_int64(statement, 3, walk->number);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        conversion_add(&walk->imported, sqlite3_column_int64(statement, 0));
        conversion_add(&walk->exported, sqlite3_column_int64(statement, 1));
        code = SQLITE_DONE;
    }
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int keep_row(void *context, const struct rollup_row *row)
{
    struct kept *kept = context;
    kept->rows = memory_grow(kept->rows, kept->count, &kept->capacity, sizeof *kept->rows);
    kept->rows[kept->count++] = *row;
    return SQLITE_OK;
}

static int by_number_and_time(const void *a, const void *b)
{
    const struct rollup_row *left = a;
    const struct rollup_row *right = b;
    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return left->start_ms < right->start_ms ? -1 : left->start_ms > right->start_ms ? 1 : 0;
}

static int keep(struct segments *segments, int64_t from_ms, int64_t to_ms)
{
    struct kept *kept = segments->kept;
    int64_t reached_ms;
    if (kept->from_ms == from_ms && kept->to_ms == to_ms)
        return SQLITE_OK;
    kept->count = 0;
    kept->from_ms = kept->to_ms = 0;
    int code =
        minutes_run(segments->minutes, from_ms, to_ms, INT64_MAX, keep_row, kept, &reached_ms);
    if (code != SQLITE_OK)
        return code;
    if (kept->count > 0)
        qsort(kept->rows, kept->count, sizeof *kept->rows, by_number_and_time);
    size_t at = 0;
    for (unsigned number = 0; number <= CHANNEL_NUMBER_MAX + 1; number++) {
        while (at < kept->count && kept->rows[at].number < number)
            at++;
        kept->first[number] = at;
    }
    kept->from_ms = from_ms;
    kept->to_ms = to_ms;
    return SQLITE_OK;
}

/* The rows of all the wanted channels in the order of time. */
static int run_kept(struct walk *walk, int64_t from_ms, int64_t to_ms)
{
    const struct kept *kept = walk->segments->kept;
    int code = keep(walk->segments, from_ms, to_ms);
    size_t *next memory_auto = memory_new(walk->number_count, sizeof *next);
    for (size_t i = 0; i < walk->number_count; i++)
        next[i] = kept->first[walk->numbers[i]];
    while (code == SQLITE_OK) {
        size_t earliest = SIZE_MAX;
        for (size_t i = 0; i < walk->number_count; i++)
            if (next[i] < kept->first[walk->numbers[i] + 1] &&
                (earliest == SIZE_MAX ||
                 kept->rows[next[i]].start_ms < kept->rows[next[earliest]].start_ms))
                earliest = i;
        if (earliest == SIZE_MAX)
            break;
        code = walk->emit(walk->context, &kept->rows[next[earliest]++]);
    }
    return code;
}

static int run(struct walk *walk, int table, int64_t from_ms, int64_t to_ms)
{
    struct segments *segments = walk->segments;
    if (walk->emit == NULL)
        return sum_run(walk, table, from_ms, to_ms);
    if (table == READINGS && walk->numbers != NULL && segments->kept != NULL)
        return run_kept(walk, from_ms, to_ms);
    if (table == READINGS) {
        int64_t reached_ms;
        return minutes_run(segments->minutes, from_ms, to_ms, INT64_MAX, walk->emit, walk->context,
                           &reached_ms);
    }
    bool whole = walk->coarsest == ROLLUP_MINUTE;
    sqlite3_stmt *statement = whole ? segments->whole_rows : segments->rows[table];
    bind_range(statement, from_ms, to_ms);
    struct rollup_row row = {0};
    int code = SQLITE_OK;
    int step = SQLITE_DONE;
    while (code == SQLITE_OK && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        rollup_read(statement, whole, &row);
        code = walk->emit(walk->context, &row);
    }
    (void)sqlite3_reset(statement);
    return code == SQLITE_OK && step != SQLITE_DONE ? step : code;
}

static int64_t minimum(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Where a run of days that begins at from_ms ends; from_ms if none does. */
static int64_t days_until(const struct walk *walk, int64_t from_ms, int64_t to_ms)
{
    const struct segments *segments = walk->segments;
    if (walk->coarsest != ROLLUP_DAY || !segments->days_fit ||
        from_ms >= segments->done_ms[ROLLUP_DAY] ||
        (from_ms != 0 && bucket_start(BUCKET_DAY, from_ms) != from_ms))
        return from_ms;
    return bucket_start(BUCKET_DAY, minimum(to_ms, segments->done_ms[ROLLUP_DAY]));
}

/* The same of quarters, up to a day that could be taken as a whole. */
static int64_t quarters_until(const struct walk *walk, int64_t from_ms, int64_t to_ms)
{
    const struct segments *segments = walk->segments;
    if (walk->coarsest < ROLLUP_QUARTER || from_ms % ROLLUP_QUARTER_MS != 0 ||
        from_ms >= segments->done_ms[ROLLUP_QUARTER])
        return from_ms;
    int64_t end_ms = floor_to(minimum(to_ms, segments->done_ms[ROLLUP_QUARTER]), ROLLUP_QUARTER_MS);
    if (walk->coarsest == ROLLUP_DAY && segments->days_fit &&
        from_ms < segments->done_ms[ROLLUP_DAY])
        end_ms = minimum(end_ms, bucket_next(BUCKET_DAY, from_ms));
    return end_ms;
}

/* The same of minutes, up to a quarter that could be taken as a whole. */
static int64_t minutes_until(const struct walk *walk, int64_t from_ms, int64_t to_ms)
{
    const struct segments *segments = walk->segments;
    if (from_ms % ROLLUP_MINUTE_MS != 0 || from_ms >= segments->done_ms[ROLLUP_MINUTE] ||
        from_ms < floor_to(segments->first_ms[ROLLUP_MINUTE], ROLLUP_MINUTE_MS))
        return from_ms;
    int64_t end_ms = floor_to(minimum(to_ms, segments->done_ms[ROLLUP_MINUTE]), ROLLUP_MINUTE_MS);
    int64_t quarter_ms = floor_to(from_ms, ROLLUP_QUARTER_MS) + ROLLUP_QUARTER_MS;
    bool quarters =
        walk->coarsest >= ROLLUP_QUARTER && quarter_ms < segments->done_ms[ROLLUP_QUARTER];
    return quarters ? minimum(end_ms, quarter_ms) : end_ms;
}

static int64_t readings_until(const struct walk *walk, int64_t from_ms, int64_t to_ms)
{
    const struct segments *segments = walk->segments;
    if (from_ms >= segments->done_ms[ROLLUP_MINUTE])
        return to_ms;
    if (from_ms % ROLLUP_MINUTE_MS != 0)
        return minimum(to_ms, floor_to(from_ms, ROLLUP_MINUTE_MS) + ROLLUP_MINUTE_MS);
    return minimum(to_ms, floor_to(from_ms, ROLLUP_QUARTER_MS) + ROLLUP_QUARTER_MS);
}

/* Days of another zone are better than nothing where no quarters are left. They go on to where the
 * last of them ends. */
static int old_days(struct walk *walk, int64_t *from_ms, int64_t to_ms)
{
    const struct segments *segments = walk->segments;
    int64_t first_ms = segments->first_ms[ROLLUP_QUARTER];
    if (walk->coarsest != ROLLUP_DAY || segments->days_fit || *from_ms >= first_ms ||
        segments->first_ms[ROLLUP_DAY] >= first_ms || segments->done_ms[ROLLUP_DAY] <= *from_ms)
        return SQLITE_OK;
    char sql[128];
    int64_t key = 0;
    (void)snprintf(sql, sizeof sql,
                   "SELECT coalesce(min(key), 0) FROM rollup_day WHERE key >= %lld",
                   (long long)key_make(first_ms, 0));
    int code = sql_integer(segments->db, sql, &key);
    int64_t end_ms = minimum(to_ms, key > 0 ? key_time_ms(key) : segments->done_ms[ROLLUP_DAY]);
    if (code == SQLITE_OK)
        code = run(walk, ROLLUP_DAY, *from_ms, end_ms);
    *from_ms = end_ms;
    return code;
}

/* Before the day of the first row there is nothing: a file that has no quarters yet would be walked in
 * steps of one from 1970 on. */
static int skip_nothing(const struct segments *segments, int64_t *from_ms)
{
    int64_t key = 0;
    int code = sql_integer(segments->db, "SELECT coalesce(min(key), -1) FROM reading", &key);
    int64_t first_ms = key < 0 ? INT64_MAX : key_time_ms(key);
    for (int level = 0; level < ROLLUP_LEVELS; level++)
        first_ms = minimum(first_ms, segments->first_ms[level]);
    if (first_ms == INT64_MAX || first_ms <= *from_ms)
        return code;
    int64_t start_ms = bucket_start(BUCKET_DAY, first_ms);
    *from_ms = start_ms > *from_ms ? start_ms : *from_ms;
    return code;
}

static int walk_all(struct walk *walk, int64_t from_ms, int64_t to_ms)
{
    int code = load(walk->segments);
    if (code == SQLITE_OK)
        code = skip_nothing(walk->segments, &from_ms);
    minutes_forget(walk->segments->minutes);
    if (code == SQLITE_OK)
        code = old_days(walk, &from_ms, to_ms);
    while (code == SQLITE_OK && from_ms < to_ms) {
        int table = ROLLUP_DAY;
        int64_t end_ms = days_until(walk, from_ms, to_ms);
        if (end_ms <= from_ms) {
            table = ROLLUP_QUARTER;
            end_ms = quarters_until(walk, from_ms, to_ms);
        }
        if (end_ms <= from_ms) {
            table = ROLLUP_MINUTE;
            end_ms = minutes_until(walk, from_ms, to_ms);
        }
        if (end_ms <= from_ms) {
            table = READINGS;
            end_ms = readings_until(walk, from_ms, to_ms);
        }
        code = run(walk, table, from_ms, end_ms);
        from_ms = end_ms;
    }
    return code;
}

int segments_walk(struct segments *segments, int64_t from_ms, int64_t to_ms,
                  enum rollup_level coarsest, minutes_emit emit, void *context)
{
    struct walk walk = {
        .segments = segments, .coarsest = coarsest, .emit = emit, .context = context};
    return walk_all(&walk, from_ms, to_ms);
}

int segments_walk_of(struct segments *segments, const unsigned *numbers, size_t count,
                     int64_t from_ms, int64_t to_ms, enum rollup_level coarsest, minutes_emit emit,
                     void *context)
{
    struct walk walk = {.segments = segments,
                        .coarsest = coarsest,
                        .emit = emit,
                        .context = context,
                        .numbers = numbers,
                        .number_count = count};
    return walk_all(&walk, from_ms, to_ms);
}

void segments_keep(struct segments *segments)
{
    if (segments->kept == NULL)
        segments->kept = memory_new(1, sizeof *segments->kept);
}

int segments_sum(struct segments *segments, unsigned number, int64_t from_ms, int64_t to_ms,
                 int64_t *imported, int64_t *exported)
{
    struct walk walk = {.segments = segments, .coarsest = ROLLUP_DAY, .number = number};
    int code = walk_all(&walk, from_ms, to_ms);
    *imported = walk.imported;
    *exported = walk.exported;
    return code;
}

int segments_begin(struct segments *segments, struct conversion *conversion,
                   struct converted *converted, int64_t wall_ms)
{
    int64_t anchor_ms = 0;
    converted->imported = converted->exported = 0;
    int code = conversion_at(conversion, converted, wall_ms);
    if (code == SQLITE_OK)
        code = conversion_anchor(conversion, converted, wall_ms, &anchor_ms);
    if (code == SQLITE_OK && anchor_ms < wall_ms)
        code = segments_sum(segments, converted->number, anchor_ms, wall_ms, &converted->imported,
                            &converted->exported);
    return code;
}
