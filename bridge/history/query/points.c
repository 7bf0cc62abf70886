/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/points.h"

#include "bridge/history/query/accumulator.h"
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/estimates.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/query/segments.h"
#include "bridge/history/store/key.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

/* A number of the file, and if it is the first of its device and channel: what its bucket has so far. */
struct source {
    struct converted converted;
    bool begun;  /* its running sums are known */
    size_t lead; /* index of the first of the same device and channel */
    struct accumulator sum;
    int64_t estimated_imported_uwh, estimated_exported_uwh;
    struct blend voltage, current, frequency;
};

struct history_points {
    char *path;
    enum rollup_level level;
    sqlite3 *db;
    sqlite3_stmt *rows;
    struct segments *segments;
    struct conversion conversion;
    struct reader_channels channels;
    struct source *sources; /* one per channel */
    /* Running sums are those at the end of what was read last: after this key, at this time. */
    int64_t left_at_key, left_at_ms;
};

#define NOWHERE INT64_MIN

/* One reading-on. */
struct answer {
    struct history_points *points;
    int64_t after;
    size_t left;
    history_point_callback callback;
    void *context;
    int64_t *last;
    bool stopped;               /* within a bucket */
    struct estimates estimates; /* by their ends */
    size_t first_estimate;      /* those before end before what is still to come */
};

/* ---- opening ---- */

static int prepare(struct history_points *points)
{
    char sql[600];
    (void)snprintf(sql, sizeof sql,
                   "SELECT " ROLLUP_COLUMNS " FROM %s WHERE key >= ?1 ORDER BY key",
                   rollup_table(points->level));
    int code = sql_prepare(points->db, sql, &points->rows);
    if (code == SQLITE_OK)
        code = segments_open(points->db, &points->segments);
    if (code == SQLITE_OK)
        code = conversion_open(points->db, &points->conversion);
    return code;
}

enum status history_points_open(const char *path, enum outbox_level level,
                                struct history_points **points, struct error *error)
{
    struct history_points *opened = memory_new(1, sizeof *opened);
    opened->path = memory_copy_text(path);
    opened->level = level == OUTBOX_DAYS       ? ROLLUP_DAY
                    : level == OUTBOX_QUARTERS ? ROLLUP_QUARTER
                                               : ROLLUP_MINUTE;
    opened->left_at_key = NOWHERE;
    enum status status = reader_open(path, &opened->db, error);
    int code = status == STATUS_OK ? prepare(opened) : SQLITE_OK;
    if (code != SQLITE_OK)
        status = sql_explain(code, opened->db, path, error);
    if (status == STATUS_OK)
        *points = opened;
    else
        history_points_close(opened);
    return status;
}

void history_points_close(struct history_points *points)
{
    if (points == NULL)
        return;
    (void)sqlite3_finalize(points->rows);
    segments_close(points->segments);
    conversion_close(&points->conversion);
    (void)sqlite3_close(points->db);
    free(points->channels.list);
    free(points->sources);
    free(points->path);
    free(points);
}

static size_t lead_of(const struct reader_channels *channels, size_t index)
{
    size_t lead = 0;
    while (strcmp(channels->list[lead].device, channels->list[index].device) != 0 ||
           strcmp(channels->list[lead].name, channels->list[index].name) != 0)
        lead++;
    return lead;
}

/* One may have been added. */
static enum status refresh_channels(struct history_points *points, struct error *error)
{
    int64_t count = 0;
    int code = sql_integer(points->db, "SELECT count(*) FROM channel", &count);
    if (code != SQLITE_OK)
        return sql_explain(code, points->db, points->path, error);
    struct reader_channels *channels = &points->channels;
    if (points->sources != NULL && (size_t)count == channels->count)
        return STATUS_OK;
    free(channels->list);
    free(points->sources);
    points->sources = NULL;
    points->left_at_key = NOWHERE;
    enum status status = reader_channels(points->db, points->path, NULL, NULL, channels, error);
    if (status != STATUS_OK)
        return status;
    points->sources = memory_new(channels->count, sizeof *points->sources);
    for (size_t i = 0; i < channels->count; i++) {
        points->sources[i].converted =
            (struct converted){.number = channels->list[i].number, .kind = channels->list[i].kind};
        points->sources[i].lead = lead_of(channels, i);
    }
    return STATUS_OK;
}

/* ---- buckets ---- */

static int64_t start_of(const struct history_points *points, int64_t wall_ms)
{
    if (points->level == ROLLUP_DAY)
        return bucket_start(BUCKET_DAY, wall_ms);
    int64_t length_ms = points->level == ROLLUP_MINUTE ? ROLLUP_MINUTE_MS : ROLLUP_QUARTER_MS;
    return wall_ms / length_ms * length_ms;
}

static int64_t end_of(const struct history_points *points, int64_t start_ms)
{
    if (points->level == ROLLUP_DAY)
        return bucket_next(BUCKET_DAY, start_ms);
    return start_ms + (points->level == ROLLUP_MINUTE ? ROLLUP_MINUTE_MS : ROLLUP_QUARTER_MS);
}

/* ---- parts of a point ---- */

static void add_quantity(struct blend *blend, const struct rollup_quantity *quantity,
                         double counts_per_unit)
{
    if (quantity->count <= 0)
        return;
    double weight = (double)quantity->count;
    blend_add(blend, weight, (double)quantity->sum / weight / counts_per_unit,
              (double)quantity->min / counts_per_unit, (double)quantity->max / counts_per_unit);
}

/* A BL0942 measures the period in microseconds, OpenBeken sends millihertz. */
static void add_frequency(struct blend *blend, const struct rollup_quantity *quantity,
                          enum reading_kind kind)
{
    if (quantity->count <= 0 || quantity->min <= 0)
        return; /* without mains there was none, at least once */
    double weight = (double)quantity->count;
    if (kind != READING_BL0942)
        add_quantity(blend, quantity, 1000);
    else
        blend_add(blend, weight, 1e6 * weight / (double)quantity->sum, 1e6 / (double)quantity->max,
                  1e6 / (double)quantity->min);
}

static void add_row(struct source *lead, struct source *source, const struct rollup_row *row)
{
    const struct calibration *factors = &source->converted.calibration.factors;
    accumulator_add(&lead->sum, &source->converted, row);
    accumulator_credit(&lead->sum, &source->converted, row);
    add_quantity(&lead->voltage, &row->voltage, factors->voltage);
    add_quantity(&lead->current, &row->current, factors->current);
    add_frequency(&lead->frequency, &row->frequency, source->converted.kind);
}

static int take_row(struct history_points *points, const struct rollup_row *row)
{
    size_t index = points->channels.by_number[row->number];
    if (index == 0)
        return SQLITE_OK;
    struct source *source = &points->sources[index - 1];
    struct converted *converted = &source->converted;
    int code = source->begun ? conversion_at(&points->conversion, converted, row->start_ms)
                             : segments_begin(points->segments, &points->conversion, converted,
                                              row->start_ms);
    source->begun = source->begun || code == SQLITE_OK;
    if (code == SQLITE_OK)
        add_row(&points->sources[source->lead], source, row);
    return code;
}

/* ---- points ---- */

static struct history_range range_of(const struct blend *blend, double units)
{
    if (!(blend->weight > 0))
        return (struct history_range){.known = false};
    return (struct history_range){.known = true,
                                  .min = blend->min / units,
                                  .mean = blend_mean(blend) / units,
                                  .max = blend->max / units};
}

static bool hand_out(struct answer *answer, size_t index, int64_t start_ms)
{
    const struct history_points *points = answer->points;
    const struct source *source = &points->sources[index];
    int64_t end_ms = end_of(points, start_ms);
    const struct history_point point = {
        .device = points->channels.list[index].device,
        .channel = points->channels.list[index].name,
        .start_ms = start_ms,
        .end_ms = end_ms,
        .imported_uwh = source->sum.imported_uwh,
        .exported_uwh = source->sum.exported_uwh,
        .estimated_imported_uwh = source->estimated_imported_uwh,
        .estimated_exported_uwh = source->estimated_exported_uwh,
        .voltage_v = range_of(&source->voltage, 1),
        .current_a = range_of(&source->current, 1),
        .power_w = range_of(&source->sum.power, 1000),
        .frequency_hz = range_of(&source->frequency, 1),
        .coverage_permille = accumulator_coverage(source->sum.covered_ms, end_ms - start_ms),
    };
    return answer->callback(answer->context, &point);
}

static void empty(struct source *source)
{
    source->sum = (struct accumulator){0};
    source->estimated_imported_uwh = source->estimated_exported_uwh = 0;
    source->voltage = source->current = source->frequency = (struct blend){0};
}

/* ---- what was counted while nobody read ---- */

/* Those whose reading's row is gone would be energy that nothing else accounts for. */
static int load_estimates(struct answer *answer, int64_t at_ms)
{
    struct history_points *points = answer->points;
    char sql[80];
    int64_t first_key = 0;
    (void)snprintf(sql, sizeof sql, "SELECT coalesce(min(key), 0) FROM %s",
                   rollup_table(points->level));
    int code = sql_integer(points->db, sql, &first_key);
    int64_t first_ms = start_of(points, key_time_ms(first_key));
    if (code != SQLITE_OK)
        return code;
    return estimates_load(points->db, &points->conversion, first_ms > at_ms ? first_ms : at_ms,
                          INT64_MAX, &answer->estimates);
}

/* The reading after has all of it. */
static void spread(struct answer *answer, int64_t start_ms)
{
    struct history_points *points = answer->points;
    int64_t end_ms = end_of(points, start_ms);
    for (size_t i = answer->first_estimate; i < answer->estimates.count; i++) {
        const struct estimate *estimate = &answer->estimates.list[i];
        size_t index = points->channels.by_number[estimate->number];
        if (index == 0 || estimate->start_ms >= end_ms || estimate->end_ms < start_ms)
            continue;
        struct source *lead = &points->sources[points->sources[index - 1].lead];
        int64_t imported_uwh;
        int64_t exported_uwh;
        estimate_part(estimate, start_ms, end_ms, &imported_uwh, &exported_uwh);
        bool whole = estimate->end_ms < end_ms;
        lead->sum.any = true;
        conversion_add(&lead->estimated_imported_uwh, imported_uwh);
        conversion_add(&lead->estimated_exported_uwh, exported_uwh);
        conversion_add(&lead->sum.imported_uwh,
                       imported_uwh - (whole ? estimate->imported_uwh : 0));
        conversion_add(&lead->sum.exported_uwh,
                       exported_uwh - (whole ? estimate->exported_uwh : 0));
    }
}

/* The first bucket from from_ms on that has something estimated; INT64_MAX: none before until_ms. */
static int64_t next_estimated(struct answer *answer, int64_t from_ms, int64_t until_ms)
{
    int64_t next_ms = until_ms;
    const struct estimates *estimates = &answer->estimates;
    while (answer->first_estimate < estimates->count &&
           estimates->list[answer->first_estimate].end_ms < from_ms)
        answer->first_estimate++;
    for (size_t i = answer->first_estimate; i < estimates->count; i++) {
        int64_t start_ms = estimates->list[i].start_ms;
        start_ms = start_ms > from_ms ? start_ms : from_ms;
        if (start_ms < next_ms && estimates->list[i].end_ms > start_ms)
            next_ms = start_ms;
    }
    return next_ms < until_ms ? start_of(answer->points, next_ms) : INT64_MAX;
}

/* Hands out the points of a bucket whose rows are all taken. */
static void finish(struct answer *answer, int64_t start_ms)
{
    struct history_points *points = answer->points;
    spread(answer, start_ms);
    for (size_t i = 0; i < points->channels.count; i++) {
        int64_t key = key_make(start_ms, points->channels.list[i].number);
        bool wanted = points->sources[i].sum.any && key > answer->after && !answer->stopped;
        if (wanted && (answer->left == 0 || !hand_out(answer, i, start_ms))) {
            answer->stopped = true;
        } else if (wanted) {
            answer->left--;
            *answer->last = key;
        }
        empty(&points->sources[i]);
    }
}

/* Hands out the buckets of from_ms..until_ms, which have no rows, as far as something is estimated in
 * them. *bucket_ms: the last one that was handed out. False: no more points are wanted. */
static bool bridge_gap(struct answer *answer, int64_t from_ms, int64_t until_ms, int64_t *bucket_ms)
{
    while (!answer->stopped && answer->left > 0) {
        int64_t start_ms = next_estimated(answer, from_ms, until_ms);
        if (start_ms == INT64_MAX)
            return true;
        finish(answer, start_ms);
        *bucket_ms = start_ms;
        from_ms = end_of(answer->points, start_ms);
    }
    return false;
}

/* *at_ms: where reading began; where a bucket ended when it returns, unless it stopped within one. */
static int read_buckets(struct answer *answer, int64_t *at_ms, bool *more)
{
    struct history_points *points = answer->points;
    int64_t bucket_ms = NOWHERE;
    int code = SQLITE_OK;
    int step = SQLITE_DONE;
    (void)sqlite3_bind_int64(points->rows, 1, key_make(*at_ms, 0));
    while (code == SQLITE_OK && (step = sqlite3_step(points->rows)) == SQLITE_ROW) {
        struct rollup_row row;
        rollup_read(points->rows, true, &row);
        int64_t start_ms = start_of(points, row.start_ms);
        if (start_ms != bucket_ms) {
            if (bucket_ms != NOWHERE)
                finish(answer, bucket_ms);
            int64_t from_ms = bucket_ms == NOWHERE ? *at_ms : end_of(points, bucket_ms);
            if (!bridge_gap(answer, from_ms, start_ms, &bucket_ms))
                break;
        }
        bucket_ms = start_ms;
        code = take_row(points, &row);
    }
    (void)sqlite3_reset(points->rows);
    *more = step == SQLITE_ROW;
    if (code == SQLITE_OK && step == SQLITE_DONE && bucket_ms != NOWHERE)
        finish(answer, bucket_ms);
    *more = *more || answer->stopped;
    if (bucket_ms != NOWHERE)
        *at_ms = end_of(points, bucket_ms);
    return code == SQLITE_OK && step != SQLITE_DONE && step != SQLITE_ROW ? step : code;
}

/* Whether running sums are known there. What holds may have changed, what is counted has not: that
 * would have moved `after`. */
static bool goes_on(struct history_points *points, int64_t after)
{
    bool on = points->left_at_key != NOWHERE && points->left_at_key == after;
    for (size_t i = 0; i < points->channels.count; i++) {
        struct source *source = &points->sources[i];
        empty(source);
        source->begun = source->begun && on;
        source->converted.recalibrated_ms = INT64_MIN; /* look again */
    }
    return on;
}

enum status history_points_read(struct history_points *points, int64_t after, size_t most,
                                history_point_callback callback, void *context, int64_t *last,
                                bool *more, struct error *error)
{
    struct answer answer = {
        .points = points,
        .after = after,
        .left = most,
        .callback = callback,
        .context = context,
        .last = last,
    };
    *last = after;
    *more = false;
    /* One transaction, so that sums and rows are of one moment. */
    int code = sql_run(points->db, "BEGIN");
    if (code != SQLITE_OK)
        return sql_explain(code, points->db, points->path, error);
    enum status status = refresh_channels(points, error);
    if (status == STATUS_OK) {
        int64_t at_ms =
            goes_on(points, after) ? points->left_at_ms : start_of(points, key_time_ms(after));
        code = load_estimates(&answer, at_ms);
        if (code == SQLITE_OK)
            code = read_buckets(&answer, &at_ms, more);
        bool whole = code == SQLITE_OK && !answer.stopped;
        points->left_at_key = whole ? *last : NOWHERE;
        points->left_at_ms = at_ms;
        estimates_free(&answer.estimates);
    }
    if (code != SQLITE_OK)
        status = sql_explain(code, points->db, points->path, error);
    sql_end_reading(points->db);
    return status;
}
