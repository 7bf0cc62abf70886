/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/energy.h"

#include "bridge/history/import/foreign.h"
#include "bridge/history/query/accumulator.h"
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/estimates.h"
#include "bridge/history/query/query_state.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/query/segments.h"
#include "bridge/history/store/lock.h"
#include "bridge/history/store/meta.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

#define DEVICE 1 /* there is only one in an answer */

/* One number in the file: a channel read by one kind of source. */
struct source {
    struct converted converted;
    size_t channel; /* index */
};

struct answer {
    struct history_query *query;
    struct source *sources;
    size_t source_count;
    struct accumulator_channel *channels;
    char (*names)[CHANNEL_TEXT_MAX]; /* beside channels */
    size_t channel_count;
    size_t by_number[CHANNEL_NUMBER_MAX + 1]; /* index into sources plus 1; 0: another device's */
    enum history_bucket bucket;
    int64_t from_ms, to_ms;
    int64_t start_ms, end_ms;        /* of the current bucket */
    struct peaks peaks;              /* of the sum over the channels, in the current bucket */
    struct history_energy_row *rows; /* handed out when nothing is read any more */
    size_t row_count;
    size_t row_capacity;
};

/* ---- opening ---- */

static int prepare(struct history_query *query)
{
    int code = segments_open(query->db, &query->segments);
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
    segments_close(query->segments);
    conversion_close(&query->conversion);
    (void)sqlite3_close(query->db);
    free(query->path);
    free(query);
}

/* ---- which channels ---- */

static size_t channel_of(struct answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->channel_count; i++)
        if (strcmp(answer->names[i], name) == 0)
            return i;
    memcpy(answer->names[answer->channel_count], name, strlen(name) + 1);
    answer->channels[answer->channel_count].since_ms = INT64_MAX;
    return answer->channel_count++;
}

/* Columns: number, channel, kind, time of the first calibration, time of the last credit. */
static void add_source(struct answer *answer, sqlite3_stmt *statement)
{
    int64_t number = sqlite3_column_int64(statement, 0);
    const char *name = (const char *)sqlite3_column_text(statement, 1);
    if (number < 1 || number > CHANNEL_NUMBER_MAX || name == NULL ||
        strlen(name) >= CHANNEL_TEXT_MAX || answer->by_number[number] != 0)
        return; /* no service of ours wrote such a row */
    size_t index = answer->source_count++;
    struct source *source = &answer->sources[index];
    source->converted.number = (unsigned)number;
    source->converted.kind = (enum reading_kind)sqlite3_column_int(statement, 2);
    source->channel = channel_of(answer, name);
    answer->by_number[number] = index + 1;

    struct accumulator_channel *channel = &answer->channels[source->channel];
    int64_t since_ms = sqlite3_column_int64(statement, 3); /* NULL gives 0 */
    int64_t last_ms = sqlite3_column_int64(statement, 4);
    channel->since_ms = since_ms < channel->since_ms ? since_ms : channel->since_ms;
    channel->last_ms = last_ms > channel->last_ms ? last_ms : channel->last_ms;
}

static int load_sources(struct answer *answer, const char *device, const char *channel)
{
    sqlite3 *db = answer->query->db;
    int64_t channels = 0;
    int code = sql_integer(db, "SELECT count(*) FROM channel", &channels);
    if (code != SQLITE_OK)
        return code;
    answer->sources = memory_new((size_t)channels, sizeof *answer->sources);
    answer->channels = memory_new((size_t)channels, sizeof *answer->channels);
    answer->names = memory_new((size_t)channels, sizeof *answer->names);
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
            add_source(answer, statement);
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- buckets ---- */

static void begin_bucket(struct answer *answer, int64_t start_ms)
{
    answer->start_ms = start_ms;
    answer->end_ms = bucket_next(answer->bucket, start_ms);
    if (answer->end_ms > answer->to_ms)
        answer->end_ms = answer->to_ms;
    peaks_begin(&answer->peaks);
    for (size_t i = 0; i < answer->channel_count; i++)
        answer->channels[i].sum = (struct accumulator){0};
}

static struct history_energy_row sum_up(struct answer *answer)
{
    struct accumulator_total total;
    accumulator_total(answer->channels, answer->channel_count, answer->start_ms, answer->end_ms,
                      &answer->peaks, DEVICE, &total);
    return (struct history_energy_row){
        .start_ms = answer->start_ms,
        .end_ms = answer->end_ms,
        .measured = total.any,
        .imported_uwh = total.imported_uwh,
        .exported_uwh = total.exported_uwh,
        .power_known = total.power_known,
        .power_mean_mw = total.power_mean_mw,
        .power_range_known = total.range_known,
        .power_min_mw = total.power_min_mw,
        .power_max_mw = total.power_max_mw,
        .coverage_permille = total.coverage_permille,
    };
}

/* Finishes buckets until the one that holds wall_ms. */
static void advance(struct answer *answer, int64_t wall_ms)
{
    while (wall_ms >= answer->end_ms && answer->start_ms < answer->to_ms) {
        answer->rows = memory_grow(answer->rows, answer->row_count, &answer->row_capacity,
                                   sizeof *answer->rows);
        answer->rows[answer->row_count++] = sum_up(answer);
        begin_bucket(answer, answer->end_ms);
    }
}

/* ---- reading ---- */

static int take_row(void *context, const struct rollup_row *row)
{
    struct answer *answer = context;
    size_t index = answer->by_number[row->number];
    if (index == 0)
        return SQLITE_OK;
    struct source *source = &answer->sources[index - 1];
    struct converted *converted = &source->converted;
    int code = conversion_at(&answer->query->conversion, converted, row->start_ms);
    if (code != SQLITE_OK)
        return code;
    advance(answer, row->start_ms);
    struct accumulator *sum = &answer->channels[source->channel].sum;
    accumulator_add(sum, converted, row);
    accumulator_credit(sum, converted, row);
    if (answer->channel_count > 1)
        peaks_add(&answer->peaks, DEVICE, row, conversion_mw_per_raw(&converted->calibration));
    return SQLITE_OK;
}

static int read_all(struct answer *answer)
{
    bool short_ones = answer->bucket == BUCKET_HOUR || answer->bucket == BUCKET_QUARTER;
    enum rollup_level coarsest = short_ones ? ROLLUP_QUARTER : ROLLUP_DAY;
    unsigned *numbers memory_auto = memory_new(answer->source_count, sizeof *numbers);
    int code = SQLITE_OK;
    for (size_t i = 0; i < answer->source_count; i++)
        numbers[i] = answer->sources[i].converted.number; /* ascending, as they were loaded */
    for (size_t i = 0; i < answer->source_count && code == SQLITE_OK; i++)
        code = segments_begin(answer->query->segments, &answer->query->conversion,
                              &answer->sources[i].converted, answer->from_ms);
    begin_bucket(answer, answer->from_ms);
    if (code == SQLITE_OK)
        code = segments_walk_of(answer->query->segments, numbers, answer->source_count,
                                answer->from_ms, answer->to_ms, coarsest, take_row, answer);
    advance(answer, answer->to_ms);
    return code;
}

/* The bucket that holds wall_ms, or the first one after it. */
static size_t row_at(const struct answer *answer, int64_t wall_ms)
{
    size_t low = 0;
    size_t high = answer->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (answer->rows[middle].end_ms <= wall_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void spread(struct answer *answer, const struct estimate *estimate)
{
    size_t at = row_at(answer, estimate->end_ms);
    if (at < answer->row_count && answer->rows[at].start_ms <= estimate->end_ms) {
        conversion_add(&answer->rows[at].imported_uwh, -estimate->imported_uwh);
        conversion_add(&answer->rows[at].exported_uwh, -estimate->exported_uwh);
    }
    for (size_t i = row_at(answer, estimate->start_ms);
         i < answer->row_count && answer->rows[i].start_ms < estimate->end_ms; i++) {
        struct history_energy_row *row = &answer->rows[i];
        int64_t imported_uwh;
        int64_t exported_uwh;
        estimate_part(estimate, row->start_ms, row->end_ms, &imported_uwh, &exported_uwh);
        conversion_add(&row->imported_uwh, imported_uwh);
        conversion_add(&row->exported_uwh, exported_uwh);
        conversion_add(&row->estimated_imported_uwh, imported_uwh);
        conversion_add(&row->estimated_exported_uwh, exported_uwh);
        row->measured = true;
    }
}

static int spread_all(struct answer *answer)
{
    struct estimates estimates = {.list = NULL};
    struct conversion *conversion = &answer->query->conversion;
    int code =
        estimates_load(answer->query->db, conversion, answer->from_ms, answer->to_ms, &estimates);
    for (size_t i = 0; i < estimates.count && code == SQLITE_OK; i++)
        if (answer->by_number[estimates.list[i].number] != 0)
            spread(answer, &estimates.list[i]);
    estimates_free(&estimates);
    return code;
}

static int add_foreign(struct answer *answer, struct foreign *foreign)
{
    int code = SQLITE_OK;
    for (size_t i = 0; i < answer->row_count && foreign->any && code == SQLITE_OK; i++) {
        struct history_energy_row *row = &answer->rows[i];
        code = foreign_sum(foreign, row->start_ms, row->end_ms, &row->foreign_imported_uwh,
                           &row->foreign_exported_uwh);
        conversion_add(&row->imported_uwh, row->foreign_imported_uwh);
        conversion_add(&row->exported_uwh, row->foreign_exported_uwh);
        bool some = row->foreign_imported_uwh > 0 || row->foreign_exported_uwh > 0;
        row->measured = row->measured || some;
    }
    return code;
}

/* One transaction, so that nothing moves from one table to another meanwhile; the caller's if it has one. */
static enum status read_answer(struct answer *answer, const char *device, const char *channel,
                               struct error *error)
{
    struct history_query *query = answer->query;
    enum status status = STATUS_OK;
    bool own = sqlite3_get_autocommit(query->db) != 0;
    int code = own ? sql_run(query->db, "BEGIN") : SQLITE_OK;
    if (code == SQLITE_OK)
        code = load_sources(answer, device, channel);
    struct foreign foreign = {NULL, false};
    if (code == SQLITE_OK)
        code = foreign_open(query->db, device, channel, &foreign);
    if (code == SQLITE_OK && answer->source_count == 0 && !foreign.any)
        status = reader_no_such_channel(query->db, device, channel, error);
    else if (code == SQLITE_OK)
        code = read_all(answer);
    if (code == SQLITE_OK && status == STATUS_OK)
        code = spread_all(answer);
    if (code == SQLITE_OK && status == STATUS_OK)
        code = add_foreign(answer, &foreign);
    foreign_close(&foreign);
    if (code != SQLITE_OK)
        status = sql_explain(code, query->db, query->path, error);
    if (own)
        sql_end_reading(query->db);
    return status;
}

static enum status check_span(int64_t from_ms, int64_t to_ms, enum history_bucket bucket,
                              struct error *error)
{
    /* Minimum lengths but for the half hours of a few zones. */
    static const int64_t length_ms[] = {
        [BUCKET_HOUR] = 3600000LL,        [BUCKET_DAY] = 23 * 3600000LL,
        [BUCKET_MONTH] = 27 * 86400000LL, [BUCKET_YEAR] = 364 * 86400000LL,
        [BUCKET_QUARTER] = 900000LL,      [BUCKET_WEEK] = 6 * 86400000LL,
    };
    enum status status = reader_check_span(from_ms, to_ms, error);
    if (status != STATUS_OK)
        return status;
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
    status = read_answer(answer, device, channel, error);
    bool wanted = true;
    for (size_t i = 0; status == STATUS_OK && wanted && i < answer->row_count; i++)
        wanted = callback(context, &answer->rows[i]);
    free(answer->rows);
    free(answer->sources);
    free(answer->channels);
    free(answer->names);
    peaks_free(&answer->peaks);
    free(answer);
    return status;
}

bool history_file_zone(const char *path, char *name, size_t size)
{
    sqlite3 *db = NULL;
    bool found = reader_open_older(path, &db, NULL) == STATUS_OK &&
                 meta_get(db, "time_zone", name, size, NULL) == SQLITE_OK && name[0] != '\0';
    (void)sqlite3_close(db);
    return found;
}

bool history_clock_awaited(const char *path)
{
    sqlite3 *db = NULL;
    bool awaited = false;
    bool found = lock_is_held(path) && reader_open(path, &db, NULL) == STATUS_OK &&
                 meta_is_clock_awaited(db, &awaited) == SQLITE_OK;
    (void)sqlite3_close(db);
    return found && awaited;
}
