/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/readings.h"

#include "bridge/history/query/conversion.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/query/segments.h"
#include "bridge/history/store/rows.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <string.h>

/* Rows read in one short transaction; what is done with them is done after it. */
#define CHUNK_ROWS HISTORY_STREAM_MAX

struct stored {
    int64_t key;
    unsigned number;
    struct reading reading;
    int64_t imported;
    int64_t exported;
    int64_t counted_for_ms;
};

/* A table of few rows, beside the readings: the view would look for one at every row. */
struct beside {
    sqlite3_stmt *rows;
    int64_t key; /* of its row; -1: it is to be begun, INT64_MAX: there are no more */
    int code;
};

struct stream {
    const char *path;
    sqlite3 *db;
    sqlite3_stmt *rows;
    struct beside counters, estimates;
    struct conversion conversion;
    struct converted *converted; /* one per channel of the question */
    struct reader_channels channels;
    struct stored chunk[CHUNK_ROWS];
    size_t count;
    int64_t next_key;
};

static int64_t field(sqlite3_stmt *row, int column, enum reading_field bit, unsigned *present)
{
    if (sqlite3_column_type(row, column) != SQLITE_NULL)
        *present |= bit;
    return sqlite3_column_int64(row, column); /* NULL gives 0 */
}

/* Brings it to the first that is not before the key. Only while a row of readings is at hand, so that both
 * are of the same state of the file. True: that is the key. */
static bool beside_find(struct beside *beside, int64_t key)
{
    while (beside->key < key) {
        int code = sqlite3_step(beside->rows);
        beside->key = code == SQLITE_ROW ? sqlite3_column_int64(beside->rows, 0) : INT64_MAX;
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            beside->code = code;
    }
    return beside->key == key;
}

static void beside_begin(struct beside *beside, int64_t from, int64_t end)
{
    (void)sqlite3_bind_int64(beside->rows, 1, from);
    (void)sqlite3_bind_int64(beside->rows, 2, end);
    beside->key = -1;
    beside->code = SQLITE_OK;
}

static void take_row(struct stream *stream, sqlite3_stmt *row)
{
    int64_t key = sqlite3_column_int64(row, 0);
    stream->next_key = key + 1;
    unsigned number = key_number(key);
    if (stream->channels.by_number[number] == 0)
        return;
    struct stored *stored = &stream->chunk[stream->count++];
    struct reading *reading = &stored->reading;
    stored->key = key;
    stored->number = number;
    *reading = (struct reading){.wall_ms = key_time_ms(key)};
    reading->voltage = field(row, 1, READING_VOLTAGE, &reading->present);
    reading->current = field(row, 2, READING_CURRENT, &reading->present);
    reading->power = field(row, 3, READING_POWER, &reading->present);
    reading->frequency = field(row, 4, READING_FREQUENCY, &reading->present);
    reading->flags = (unsigned)sqlite3_column_int64(row, 5);
    stored->imported = sqlite3_column_int64(row, 6);
    stored->exported = sqlite3_column_int64(row, 7);
    if (beside_find(&stream->counters, key))
        reading->energy = field(stream->counters.rows, 1, READING_ENERGY, &reading->present);
    stored->counted_for_ms = 0;
    if (beside_find(&stream->estimates, key))
        stored->counted_for_ms = reading->wall_ms - sqlite3_column_int64(stream->estimates.rows, 1);
}

/* *more: there may be rows after those of this chunk. */
static int read_chunk(struct stream *stream, int64_t end, int most, bool *more)
{
    sqlite3_stmt *statement = stream->rows;
    stream->count = 0;
    (void)sqlite3_bind_int64(statement, 1, stream->next_key);
    (void)sqlite3_bind_int64(statement, 2, end);
    (void)sqlite3_bind_int(statement, 3, most);
    beside_begin(&stream->counters, stream->next_key, end);
    beside_begin(&stream->estimates, stream->next_key, end);
    int code;
    int rows = 0;
    while (rows < most && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        take_row(stream, statement);
        rows++;
    }
    *more = rows == most;
    if (*more)
        code = SQLITE_DONE;
    (void)sqlite3_reset(stream->counters.rows);
    (void)sqlite3_reset(stream->estimates.rows);
    (void)sqlite3_reset(statement);
    if (code == SQLITE_DONE)
        code = stream->counters.code != SQLITE_OK ? stream->counters.code : stream->estimates.code;
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int hand_out(struct stream *stream, const struct stored *stored,
                    history_reading_callback callback, void *context, bool *wanted)
{
    size_t index = stream->channels.by_number[stored->number] - 1;
    const struct reader_channel *channel = &stream->channels.list[index];
    struct converted *converted = &stream->converted[index];
    int code = conversion_at(&stream->conversion, converted, stored->reading.wall_ms);
    if (code != SQLITE_OK)
        return code;
    const struct history_reading reading = {
        .device = channel->device,
        .channel = channel->name,
        .kind = channel->kind,
        .reading = stored->reading,
        .factors = converted->calibration.factors,
        .invert = converted->calibration.invert,
        .imported_counts = stored->imported,
        .exported_counts = stored->exported,
        .imported_uwh = conversion_credit(converted, &converted->imported, stored->imported),
        .exported_uwh = conversion_credit(converted, &converted->exported, stored->exported),
        .counted_for_ms = stored->counted_for_ms,
    };
    *wanted = callback(context, &reading);
    return SQLITE_OK;
}

/* Energy is the increase of a running sum that begins where the factors do; so a reading has the same
 * energy wherever the question begins. */
static int begin_sums(struct stream *stream, int64_t from_ms)
{
    struct segments *segments = NULL;
    int code = sql_run(stream->db, "BEGIN");
    if (code == SQLITE_OK)
        code = segments_open(stream->db, &segments);
    for (size_t i = 0; i < stream->channels.count && code == SQLITE_OK; i++) {
        struct converted *converted = &stream->converted[i];
        int64_t anchor_ms = 0;
        code = conversion_at(&stream->conversion, converted, from_ms);
        if (code == SQLITE_OK)
            code = conversion_anchor(&stream->conversion, converted, from_ms, &anchor_ms);
        if (code == SQLITE_OK && anchor_ms < from_ms)
            code = segments_sum(segments, converted->number, anchor_ms, from_ms,
                                &converted->imported, &converted->exported);
    }
    segments_close(segments);
    sql_end_reading(stream->db);
    return code;
}

static int run(struct stream *stream, int64_t from_ms, int64_t to_ms,
               history_reading_callback callback, void *context)
{
    int64_t end = key_make(to_ms, 0);
    stream->next_key = key_make(from_ms, 0);
    bool more = true;
    bool wanted = true;
    int code = begin_sums(stream, from_ms);
    while (more && wanted && code == SQLITE_OK) {
        code = read_chunk(stream, end, CHUNK_ROWS, &more);
        for (size_t i = 0; i < stream->count && wanted && code == SQLITE_OK; i++)
            code = hand_out(stream, &stream->chunk[i], callback, context, &wanted);
    }
    return code;
}

/* What is in memory about channels, from the file. */
static enum status load_channels(struct stream *stream, const char *device, const char *channel,
                                 struct error *error)
{
    free(stream->channels.list);
    free(stream->converted);
    stream->converted = NULL;
    enum status status =
        reader_channels(stream->db, stream->path, device, channel, &stream->channels, error);
    if (status != STATUS_OK)
        return status;
    stream->converted = memory_new(stream->channels.count, sizeof *stream->converted);
    return STATUS_OK;
}

/* Times begin anew. */
static void begin_conversion(struct stream *stream)
{
    for (size_t i = 0; i < stream->channels.count; i++)
        stream->converted[i] = (struct converted){
            .number = stream->channels.list[i].number,
            .kind = stream->channels.list[i].kind,
        };
}

static enum status open_stream(struct stream *stream, const char *device, const char *channel,
                               struct error *error)
{
    enum status status = reader_open(stream->path, &stream->db, error);
    if (status == STATUS_OK)
        status = load_channels(stream, device, channel, error);
    if (status != STATUS_OK)
        return status;
    begin_conversion(stream);
    int code = conversion_open(stream->db, &stream->conversion);
    if (code == SQLITE_OK)
        code = sql_prepare(stream->db,
                           "SELECT key, voltage, current, power, frequency, flags, imported, "
                           "exported FROM reading WHERE key >= ?1 AND key < ?2 ORDER BY key "
                           "LIMIT ?3",
                           &stream->rows);
    if (code == SQLITE_OK)
        code = sql_prepare(stream->db,
                           "SELECT key, energy FROM sample_counter WHERE key >= ?1 AND key < ?2 "
                           "ORDER BY key",
                           &stream->counters.rows);
    if (code == SQLITE_OK)
        code = sql_prepare(stream->db,
                           "SELECT key, start_ms FROM estimate WHERE key >= ?1 AND key < ?2 "
                           "ORDER BY key",
                           &stream->estimates.rows);
    return code == SQLITE_OK ? STATUS_OK : sql_explain(code, stream->db, stream->path, error);
}

static void free_stream(struct stream *stream)
{
    (void)sqlite3_finalize(stream->rows);
    (void)sqlite3_finalize(stream->counters.rows);
    (void)sqlite3_finalize(stream->estimates.rows);
    conversion_close(&stream->conversion);
    (void)sqlite3_close(stream->db);
    free(stream->channels.list);
    free(stream->converted);
}

static void close_stream(struct stream *stream)
{
    free_stream(stream);
    free(stream);
}

enum status history_readings(const char *path, const char *device, const char *channel,
                             int64_t from_ms, int64_t to_ms, history_reading_callback callback,
                             void *context, struct error *error)
{
    enum status status = reader_check_order(from_ms, to_ms, error);
    if (status != STATUS_OK)
        return status;
    struct stream *stream = memory_new(1, sizeof *stream);
    stream->path = path;
    status = open_stream(stream, device, channel, error);
    if (status == STATUS_OK) {
        int code = run(stream, from_ms, to_ms, callback, context);
        if (code != SQLITE_OK)
            status = sql_explain(code, stream->db, path, error);
    }
    close_stream(stream);
    return status;
}

/* ---- reading on ---- */

struct history_stream {
    struct stream stream;
    char *path;
};

enum status history_stream_open(const char *path, struct history_stream **stream,
                                struct error *error)
{
    struct history_stream *opened = memory_new(1, sizeof *opened);
    opened->path = memory_copy_text(path);
    opened->stream.path = opened->path;
    enum status status = open_stream(&opened->stream, NULL, NULL, error);
    if (status == STATUS_OK)
        *stream = opened;
    else
        history_stream_close(opened);
    return status;
}

void history_stream_close(struct history_stream *stream)
{
    if (stream == NULL)
        return;
    free_stream(&stream->stream);
    free(stream->path);
    free(stream);
}

/* A channel may have been added. */
static enum status refresh_channels(struct stream *stream, struct error *error)
{
    int64_t count = 0;
    int code = sql_integer(stream->db, "SELECT count(*) FROM channel", &count);
    if (code != SQLITE_OK)
        return sql_explain(code, stream->db, stream->path, error);
    return (size_t)count == stream->channels.count ? STATUS_OK
                                                   : load_channels(stream, NULL, NULL, error);
}

enum status history_stream_read(struct history_stream *opened, int64_t after, size_t most,
                                history_reading_callback callback, void *context, int64_t *last,
                                bool *more, struct error *error)
{
    struct stream *stream = &opened->stream;
    *last = after;
    *more = false;
    enum status status = refresh_channels(stream, error);
    if (status != STATUS_OK)
        return status;
    begin_conversion(stream);
    stream->next_key = after + 1;
    int code = read_chunk(stream, INT64_MAX, (int)(most < CHUNK_ROWS ? most : CHUNK_ROWS), more);
    bool wanted = true;
    for (size_t i = 0; i < stream->count && code == SQLITE_OK; i++) {
        struct converted *converted =
            &stream->converted[stream->channels.by_number[stream->chunk[i].number] - 1];
        converted->imported = converted->exported = 0;
        code = hand_out(stream, &stream->chunk[i], callback, context, &wanted);
        if (!wanted) {
            *more = true;
            break;
        }
        if (code == SQLITE_OK)
            *last = stream->chunk[i].key;
    }
    if (code != SQLITE_OK)
        return sql_explain(code, stream->db, stream->path, error);
    if (wanted && stream->next_key > after + 1)
        *last = stream->next_key - 1; /* past rows that belong to no channel */
    return STATUS_OK;
}

/* ---- names ---- */

static bool came_before(const struct reader_channels *channels, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(channels->list[i].device, channels->list[at].device) == 0 &&
            strcmp(channels->list[i].name, channels->list[at].name) == 0)
            return true;
    return false;
}

enum status history_channels(const char *path, const char *device, const char *channel,
                             history_channel_callback callback, void *context, struct error *error)
{
    sqlite3 *db = NULL;
    struct reader_channels *channels memory_auto = memory_new(1, sizeof *channels);
    enum status status = reader_open(path, &db, error);
    if (status == STATUS_OK)
        status = reader_channels(db, path, device, channel, channels, error);
    (void)sqlite3_close(db);
    bool wanted = true;
    for (size_t i = 0; i < channels->count && status == STATUS_OK && wanted; i++)
        if (!came_before(channels, i)) /* another kind of source has a row of its own */
            wanted = callback(context, channels->list[i].device, channels->list[i].name);
    free(channels->list);
    return status;
}
