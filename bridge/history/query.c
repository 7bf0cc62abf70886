/* SPDX-License-Identifier: MIT */
#include "bridge/history/query.h"

#include "bridge/history/buckets.h"
#include "bridge/history/cadence.h"
#include "bridge/history/conversion.h"
#include "bridge/history/reader.h"
#include "bridge/history/rows.h"
#include "bridge/history/sql.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <string.h>

/* Rows read in one short transaction; what is done with them is done after it. */
#define CHUNK_ROWS 4096
/* How far before the span readings are looked at, for intervals and for what reaches into it. */
#define LOOK_BACK_MS (15LL * 60 * 1000)
/* No installation has more; keeps nonsense in a damaged file from overflowing. */
#define POWER_MAX_MW 1e12

struct chunk_row {
    int64_t key;
    bool has_power;
    int64_t power;
    int64_t imported;
    int64_t exported;
};

struct history_query {
    char *path;
    sqlite3 *db;
    sqlite3_stmt *rows;
    struct conversion conversion;
    struct chunk_row chunk[CHUNK_ROWS];
};

/* One channel of the device: what its readings cover, and its power, in the current bucket. */
struct lane {
    char name[CHANNEL_TEXT_MAX];
    int64_t since_ms; /* known since */
    int64_t last_ms;  /* last reading known of */

    bool any;           /* stamp and what follows are set */
    int64_t stamp_ms;   /* of the last reading */
    int64_t reach_ms;   /* how far it stands for */
    int64_t settled_ms; /* how far that has been counted */
    bool has_power;
    int64_t power_mw;

    struct cadence cadence;

    int64_t covered_ms;
    int64_t weight_ms;
    __int128 weighted; /* mW ms */
    int64_t count;
    __int128 plain;
    int64_t min_mw, max_mw;
};

/* One number in the file: a channel read by one kind of source. */
struct series {
    struct converted converted;
    size_t lane;
};

struct answer {
    struct history_query *query;
    struct series *series;
    size_t series_count;
    struct lane *lanes;
    size_t lane_count;
    size_t by_number[CHANNEL_NUMBER_MAX + 1]; /* index into series plus 1; 0: another device's */
    enum history_bucket bucket;
    int64_t from_ms, to_ms;
    int64_t start_ms, end_ms; /* of the current bucket */
    int64_t imported_uwh, exported_uwh;
    history_energy_callback callback;
    void *context;
};

/* ---- opening ---- */

static int prepare(struct history_query *query)
{
    int code = sql_prepare(query->db,
                           "SELECT key, power, imported, exported FROM reading "
                           "WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
                           &query->rows);
    if (code == SQLITE_OK)
        code = conversion_open(query->db, &query->conversion);
    return code;
}

enum status history_query_open(const char *path, struct history_query **query, struct error *error)
{
    struct history_query *made = memory_new(1, sizeof *made);
    made->path = memory_copy_text(path);
    enum status status = reader_open(path, &made->db, error);
    int code = status == STATUS_OK ? prepare(made) : SQLITE_OK;
    if (code != SQLITE_OK)
        status = sql_explain(code, made->db, path, error);
    if (status == STATUS_OK)
        *query = made;
    else
        history_query_close(made);
    return status;
}

void history_query_close(struct history_query *query)
{
    if (query == NULL)
        return;
    (void)sqlite3_finalize(query->rows);
    conversion_close(&query->conversion);
    (void)sqlite3_close(query->db);
    free(query->path);
    free(query);
}

/* ---- which channels ---- */

static size_t lane_of(struct answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->lane_count; i++)
        if (strcmp(answer->lanes[i].name, name) == 0)
            return i;
    struct lane *lane = &answer->lanes[answer->lane_count];
    memcpy(lane->name, name, strlen(name) + 1);
    lane->since_ms = INT64_MAX;
    return answer->lane_count++;
}

/* Columns: number, channel, kind, time of the first calibration, time of the last credit. */
static void add_series(struct answer *answer, sqlite3_stmt *statement)
{
    int64_t number = sqlite3_column_int64(statement, 0);
    const char *name = (const char *)sqlite3_column_text(statement, 1);
    if (number < 1 || number > CHANNEL_NUMBER_MAX || name == NULL ||
        strlen(name) >= CHANNEL_TEXT_MAX || answer->by_number[number] != 0)
        return; /* no service of ours wrote such a row */
    size_t index = answer->series_count++;
    struct series *series = &answer->series[index];
    series->converted.number = (unsigned)number;
    series->converted.kind = (enum reading_kind)sqlite3_column_int(statement, 2);
    series->lane = lane_of(answer, name);
    answer->by_number[number] = index + 1;

    struct lane *lane = &answer->lanes[series->lane];
    int64_t since_ms = sqlite3_column_int64(statement, 3); /* NULL gives 0 */
    int64_t last_ms = sqlite3_column_int64(statement, 4);
    lane->since_ms = since_ms < lane->since_ms ? since_ms : lane->since_ms;
    lane->last_ms = last_ms > lane->last_ms ? last_ms : lane->last_ms;
}

static int load_series(struct answer *answer, const char *device, const char *channel)
{
    sqlite3 *db = answer->query->db;
    int64_t channels = 0;
    int code = sql_integer(db, "SELECT count(*) FROM channel", &channels);
    if (code != SQLITE_OK)
        return code;
    answer->series = memory_new((size_t)channels, sizeof *answer->series);
    answer->lanes = memory_new((size_t)channels, sizeof *answer->lanes);
    sqlite3_stmt *statement = NULL;
    code = sqlite3_prepare_v2(db,
                              "SELECT number, channel.channel, kind, "
                              "(SELECT min(valid_from_ms) FROM calibration "
                              "WHERE calibration.channel = number), counter_wall_ms "
                              "FROM channel LEFT JOIN total ON total.channel = number "
                              "WHERE device = ?1 AND (?2 IS NULL OR channel.channel = ?2) "
                              "ORDER BY number LIMIT ?3",
                              -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, device, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 2, channel, -1, SQLITE_STATIC); /* NULL binds NULL */
        (void)sqlite3_bind_int64(statement, 3, channels);
        while ((code = sqlite3_step(statement)) == SQLITE_ROW)
            add_series(answer, statement);
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- calibration ---- */

static int64_t power_mw(const struct known_calibration *calibration, int64_t raw)
{
    double mw = (double)raw * 1000.0 / calibration->factors.power;
    if (mw > POWER_MAX_MW)
        mw = POWER_MAX_MW;
    if (mw < -POWER_MAX_MW)
        mw = -POWER_MAX_MW;
    int64_t rounded = llround(mw);
    return calibration->invert ? -rounded : rounded;
}

/* ---- a channel's time and power ---- */

/* Counts the time that the last reading stands for, up to until_ms. */
static void settle_lane(struct lane *lane, int64_t start_ms, int64_t until_ms)
{
    if (!lane->any || until_ms <= lane->settled_ms)
        return;
    int64_t end = lane->reach_ms < until_ms ? lane->reach_ms : until_ms;
    int64_t time = end - lane->settled_ms;
    lane->settled_ms = until_ms;
    if (time <= 0)
        return;
    lane->covered_ms += time;
    if (!lane->has_power || lane->stamp_ms < start_ms)
        return; /* it is in the former bucket's mean, least and greatest */
    lane->weight_ms += time;
    lane->weighted += (__int128)lane->power_mw * time;
}

static void feed_lane(struct answer *answer, struct lane *lane, int64_t stamp_ms, bool has_power,
                      int64_t mw)
{
    settle_lane(lane, answer->start_ms, stamp_ms);
    if (lane->any && stamp_ms > lane->stamp_ms)
        cadence_note(&lane->cadence, stamp_ms - lane->stamp_ms);
    lane->any = true;
    lane->stamp_ms = stamp_ms;
    lane->reach_ms = stamp_ms + cadence_reach_ms(&lane->cadence);
    lane->settled_ms = stamp_ms > answer->from_ms ? stamp_ms : answer->from_ms;
    lane->has_power = has_power;
    lane->power_mw = mw;
    if (!has_power || stamp_ms < answer->from_ms)
        return;
    lane->min_mw = lane->count == 0 || mw < lane->min_mw ? mw : lane->min_mw;
    lane->max_mw = lane->count == 0 || mw > lane->max_mw ? mw : lane->max_mw;
    lane->count++;
    lane->plain += mw;
}

static int64_t mean_mw(const struct lane *lane)
{
    __int128 sum = lane->weight_ms > 0 ? lane->weighted : lane->plain;
    __int128 weight = lane->weight_ms > 0 ? lane->weight_ms : lane->count;
    __int128 half = sum < 0 ? -(weight / 2) : weight / 2;
    return (int64_t)((sum + half) / weight);
}

static void empty_lane(struct lane *lane)
{
    lane->covered_ms = 0;
    lane->weight_ms = 0;
    lane->weighted = 0;
    lane->count = 0;
    lane->plain = 0;
}

/* ---- buckets ---- */

static void begin_bucket(struct answer *answer, int64_t start_ms)
{
    answer->start_ms = start_ms;
    answer->end_ms = bucket_next(answer->bucket, start_ms);
    if (answer->end_ms > answer->to_ms)
        answer->end_ms = answer->to_ms;
    answer->imported_uwh = 0;
    answer->exported_uwh = 0;
    for (size_t i = 0; i < answer->lane_count; i++)
        empty_lane(&answer->lanes[i]);
}

/* A channel that did not exist yet, or is no longer read, does not make the sum incomplete. */
static bool is_expected(const struct answer *answer, const struct lane *lane)
{
    if (lane->count > 0 || lane->covered_ms > 0)
        return true;
    return lane->since_ms < answer->end_ms && lane->last_ms >= answer->start_ms;
}

static struct history_energy_row sum_up(struct answer *answer)
{
    struct history_energy_row row = {
        .start_ms = answer->start_ms,
        .end_ms = answer->end_ms,
        .imported_uwh = answer->imported_uwh,
        .exported_uwh = answer->exported_uwh,
        .power_known = true,
        .coverage_permille = 1000,
    };
    bool any = false;
    for (size_t i = 0; i < answer->lane_count; i++) {
        struct lane *lane = &answer->lanes[i];
        settle_lane(lane, answer->start_ms, answer->end_ms);
        if (!is_expected(answer, lane))
            continue;
        any = true;
        int permille = (int)(lane->covered_ms * 1000 / (answer->end_ms - answer->start_ms));
        if (permille < row.coverage_permille)
            row.coverage_permille = permille;
        if (lane->count == 0)
            row.power_known = false;
        else
            row.power_mean_mw += mean_mw(lane);
    }
    row.power_known = row.power_known && any;
    row.coverage_permille = any ? row.coverage_permille : 0;
    row.power_range_known = row.power_known && answer->lane_count == 1;
    if (!row.power_known)
        row.power_mean_mw = 0;
    if (row.power_range_known) {
        row.power_min_mw = answer->lanes[0].min_mw;
        row.power_max_mw = answer->lanes[0].max_mw;
    }
    return row;
}

/* Hands out buckets until the one that holds wall_ms. False: the caller wants no more. */
static bool advance(struct answer *answer, int64_t wall_ms)
{
    while (wall_ms >= answer->end_ms && answer->start_ms < answer->to_ms) {
        struct history_energy_row row = sum_up(answer);
        if (!answer->callback(answer->context, &row))
            return false;
        begin_bucket(answer, answer->end_ms);
    }
    return true;
}

/* ---- reading ---- */

static int read_chunk(struct history_query *query, int64_t first, int64_t end, size_t *count)
{
    *count = 0;
    sqlite3_stmt *statement = query->rows;
    (void)sqlite3_bind_int64(statement, 1, first);
    (void)sqlite3_bind_int64(statement, 2, end);
    (void)sqlite3_bind_int(statement, 3, CHUNK_ROWS);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && *count < CHUNK_ROWS)
        query->chunk[(*count)++] = (struct chunk_row){
            .key = sqlite3_column_int64(statement, 0),
            .has_power = sqlite3_column_type(statement, 1) != SQLITE_NULL,
            .power = sqlite3_column_int64(statement, 1),
            .imported = sqlite3_column_int64(statement, 2),
            .exported = sqlite3_column_int64(statement, 3),
        };
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

static int take_row(struct answer *answer, const struct chunk_row *row)
{
    size_t index = answer->by_number[rows_key_number(row->key)];
    if (index == 0)
        return SQLITE_OK;
    struct series *series = &answer->series[index - 1];
    int64_t wall_ms = rows_key_ms(row->key);
    struct converted *converted = &series->converted;
    int code = conversion_at(&answer->query->conversion, converted, wall_ms);
    if (code != SQLITE_OK)
        return code;
    feed_lane(answer, &answer->lanes[series->lane], wall_ms, row->has_power,
              power_mw(&converted->calibration, row->power));
    if (wall_ms < answer->from_ms)
        return SQLITE_OK;
    conversion_add(&answer->imported_uwh,
                   conversion_credit(converted, &converted->imported, row->imported));
    conversion_add(&answer->exported_uwh,
                   conversion_credit(converted, &converted->exported, row->exported));
    return SQLITE_OK;
}

static int read_all(struct answer *answer)
{
    struct history_query *query = answer->query;
    int64_t back_ms = answer->from_ms < LOOK_BACK_MS ? answer->from_ms : LOOK_BACK_MS;
    int64_t first = rows_key(answer->from_ms - back_ms, 0);
    int64_t end = rows_key(answer->to_ms, 0);
    size_t count = CHUNK_ROWS;
    while (count == CHUNK_ROWS) {
        int code = read_chunk(query, first, end, &count);
        for (size_t i = 0; i < count && code == SQLITE_OK; i++) {
            const struct chunk_row *row = &query->chunk[i];
            if (!advance(answer, rows_key_ms(row->key)))
                return SQLITE_OK;
            code = take_row(answer, row);
            first = row->key + 1;
        }
        if (code != SQLITE_OK)
            return code;
    }
    (void)advance(answer, answer->to_ms); /* after it nothing follows anyway */
    return SQLITE_OK;
}

static enum status check_span(int64_t from_ms, int64_t to_ms, enum history_bucket bucket,
                              struct error *error)
{
    /* Least lengths but for the half hours of a few zones. */
    static const int64_t length_ms[] = {
        [BUCKET_HOUR] = 3600000LL,        [BUCKET_DAY] = 23 * 3600000LL,
        [BUCKET_MONTH] = 27 * 86400000LL, [BUCKET_YEAR] = 364 * 86400000LL,
        [BUCKET_QUARTER] = 900000LL,
    };
    if (from_ms < 0 || to_ms > BUCKET_TIME_MAX_MS)
        return error_set(error, STATUS_USAGE, "The time asked for is not within 1970 to 9999.");
    if (from_ms >= to_ms)
        return error_set(error, STATUS_USAGE,
                         "The time asked for ends before it begins, or where it begins. A date "
                         "means the beginning of that day.");
    if ((to_ms - from_ms) / length_ms[bucket] > HISTORY_BUCKETS_MAX)
        return error_set(error, STATUS_USAGE,
                         "That would be more than %d rows. Ask for less time or longer buckets.",
                         HISTORY_BUCKETS_MAX);
    return STATUS_OK;
}

enum status history_query_energy(struct history_query *query, const char *device,
                                 const char *channel, int64_t from_ms, int64_t to_ms,
                                 enum history_bucket bucket, history_energy_callback callback,
                                 void *context, struct error *error)
{
    enum status status = check_span(from_ms, to_ms, bucket, error);
    if (status != STATUS_OK)
        return status;
    struct answer *answer = memory_new(1, sizeof *answer);
    answer->query = query;
    answer->bucket = bucket;
    answer->from_ms = from_ms;
    answer->to_ms = to_ms;
    answer->callback = callback;
    answer->context = context;
    int code = load_series(answer, device, channel);
    if (code == SQLITE_OK && answer->series_count == 0) {
        status = reader_no_such_channel(query->db, device, channel, error);
    } else if (code == SQLITE_OK) {
        begin_bucket(answer, from_ms);
        code = read_all(answer);
    }
    if (code != SQLITE_OK)
        status = sql_explain(code, query->db, query->path, error);
    free(answer->series);
    free(answer->lanes);
    free(answer);
    return status;
}
