/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/power.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/conversion.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/query/readings.h"
#include "bridge/history/query/segments.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <math.h>

#define POWER_MAX_MW 1e12 /* keeps nonsense in a damaged file from overflowing */

struct piece {
    int64_t min_mw, max_mw;
    double mw_ms; /* the integral, or the sum over readings */
    int64_t weight;
    int64_t covered_ms;
};

struct pieces {
    struct piece *list;
    size_t count;
    int64_t start_ms;
    int64_t length_ms;
    struct conversion conversion;
    struct converted *converted; /* beside channels.list */
    const struct reader_channels *channels;
};

int64_t history_power_length(int64_t span_ms, int64_t pieces)
{
    static const int64_t lengths_s[] = {1,   2,   5,    10,   15,   30,    60,    120,   300,
                                        600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};
    for (size_t i = 0; i < sizeof lengths_s / sizeof lengths_s[0]; i++)
        if (span_ms / (lengths_s[i] * 1000) < pieces)
            return lengths_s[i] * 1000;
    int64_t days = span_ms / (86400000 * pieces) + 1;
    return days * 86400000;
}

static int64_t milliwatts(const struct calibration *factors, bool invert, double raw)
{
    double mw = raw * 1000.0 / factors->power;
    mw = mw > POWER_MAX_MW ? POWER_MAX_MW : mw < -POWER_MAX_MW ? -POWER_MAX_MW : mw;
    return llround(invert ? -mw : mw);
}

static struct piece *piece_at(struct pieces *pieces, int64_t wall_ms)
{
    int64_t index = (wall_ms - pieces->start_ms) / pieces->length_ms;
    if (wall_ms < pieces->start_ms || index >= (int64_t)pieces->count)
        return NULL;
    return &pieces->list[index];
}

/* Power between min and max, whose mean has that weight. */
static void add(struct piece *piece, int64_t min_mw, int64_t max_mw, double mw_ms, int64_t weight,
                int64_t covered_ms)
{
    bool first = piece->weight == 0;
    piece->min_mw = first || min_mw < piece->min_mw ? min_mw : piece->min_mw;
    piece->max_mw = first || max_mw > piece->max_mw ? max_mw : piece->max_mw;
    piece->mw_ms += mw_ms;
    piece->weight += weight;
    piece->covered_ms += covered_ms;
}

/* ---- from rows ---- */

static int take_row(void *context, const struct rollup_row *row)
{
    struct pieces *pieces = context;
    size_t index = pieces->channels->by_number[row->number];
    struct piece *piece = piece_at(pieces, row->start_ms);
    if (index == 0 || piece == NULL || row->power_covered_ms <= 0)
        return SQLITE_OK;
    struct converted *converted = &pieces->converted[index - 1];
    int code = conversion_at(&pieces->conversion, converted, row->start_ms);
    if (code != SQLITE_OK)
        return code;
    const struct calibration *factors = &converted->calibration.factors;
    bool invert = converted->calibration.invert;
    int64_t one = milliwatts(factors, invert, (double)row->power_min);
    int64_t other = milliwatts(factors, invert, (double)row->power_max);
    double mean = (double)row->power_ms / (double)row->power_covered_ms;
    add(piece, one < other ? one : other, one < other ? other : one,
        (double)milliwatts(factors, invert, mean) * (double)row->power_covered_ms,
        row->power_covered_ms, row->power_covered_ms);
    return SQLITE_OK;
}

static int walk(struct pieces *pieces, sqlite3 *db, int64_t end_ms)
{
    struct segments *segments = NULL;
    bool quarters = pieces->length_ms % ROLLUP_QUARTER_MS == 0;
    int code = sql_run(db, "BEGIN");
    if (code == SQLITE_OK)
        code = segments_open(db, &segments);
    if (code == SQLITE_OK)
        code = conversion_open(db, &pieces->conversion);
    if (code == SQLITE_OK)
        code = segments_walk(segments, pieces->start_ms, end_ms,
                             quarters ? ROLLUP_QUARTER : ROLLUP_MINUTE, take_row, pieces);
    segments_close(segments);
    conversion_close(&pieces->conversion);
    if (!sqlite3_get_autocommit(db))
        (void)sql_run(db, "ROLLBACK"); /* nothing was written */
    return code;
}

static enum status read_rows(struct pieces *pieces, const char *path, sqlite3 *db, int64_t end_ms,
                             struct error *error)
{
    pieces->converted = memory_new(pieces->channels->count, sizeof *pieces->converted);
    for (size_t i = 0; i < pieces->channels->count; i++)
        pieces->converted[i] = (struct converted){.number = pieces->channels->list[i].number,
                                                  .kind = pieces->channels->list[i].kind};
    int code = walk(pieces, db, end_ms);
    free(pieces->converted);
    return code == SQLITE_OK ? STATUS_OK : sql_explain(code, db, path, error);
}

/* ---- from readings ---- */

static bool take_reading(void *context, const struct history_reading *row)
{
    struct pieces *pieces = context;
    struct piece *piece = piece_at(pieces, row->reading.wall_ms);
    if (piece == NULL || (row->reading.present & READING_POWER) == 0)
        return true;
    int64_t mw = milliwatts(&row->factors, row->invert, (double)row->reading.power);
    add(piece, mw, mw, (double)mw, 1, pieces->length_ms);
    return true;
}

/* ---- the answer ---- */

static bool hand_out(const struct pieces *pieces, size_t index, int64_t to_ms,
                     history_power_callback callback, void *context)
{
    const struct piece *piece = &pieces->list[index];
    int64_t start_ms = pieces->start_ms + (int64_t)index * pieces->length_ms;
    int64_t end_ms = start_ms + pieces->length_ms;
    struct history_power_row row = {.start_ms = start_ms,
                                    .end_ms = end_ms < to_ms ? end_ms : to_ms};
    int64_t length_ms = row.end_ms - row.start_ms;
    if (piece->weight > 0) {
        int64_t mean_mw = llround(piece->mw_ms / (double)piece->weight);
        int64_t covered_ms = piece->covered_ms < length_ms ? piece->covered_ms : length_ms;
        row.known = true;
        row.min_mw = piece->min_mw;
        row.max_mw = piece->max_mw;
        row.mean_mw = mean_mw < row.min_mw   ? row.min_mw
                      : mean_mw > row.max_mw ? row.max_mw
                                             : mean_mw;
        row.coverage_permille = (int)(covered_ms * 1000 / length_ms);
    }
    return callback(context, &row);
}

/* Pieces begin where rows do, if they can. */
static int64_t grid_of(int64_t piece_ms)
{
    if (piece_ms % ROLLUP_QUARTER_MS == 0)
        return ROLLUP_QUARTER_MS;
    if (ROLLUP_QUARTER_MS % piece_ms == 0)
        return piece_ms;
    return piece_ms % ROLLUP_MINUTE_MS == 0 ? ROLLUP_MINUTE_MS : 1000;
}

static enum status make_pieces(struct pieces *pieces, int64_t from_ms, int64_t to_ms,
                               int64_t piece_ms, struct error *error)
{
    if (from_ms < 0 || to_ms > BUCKET_TIME_MAX_MS)
        return error_set(error, STATUS_USAGE, "The time asked for is not within 1970 to 9999.");
    if (from_ms >= to_ms)
        return error_set(error, STATUS_USAGE,
                         "The time asked for ends before it begins, or where it begins. A date "
                         "means the beginning of that day.");
    int64_t grid_ms = grid_of(piece_ms);
    pieces->start_ms = from_ms / grid_ms * grid_ms;
    pieces->length_ms = piece_ms;
    int64_t count = (to_ms - pieces->start_ms + piece_ms - 1) / piece_ms;
    if (count > HISTORY_POWER_PIECES_MAX)
        return error_set(error, STATUS_USAGE,
                         "That would be more than %d rows. Ask for less time or longer pieces.",
                         HISTORY_POWER_PIECES_MAX);
    pieces->count = (size_t)count;
    pieces->list = memory_new(pieces->count, sizeof *pieces->list);
    return STATUS_OK;
}

enum status history_power(const char *path, const char *device, const char *channel,
                          int64_t from_ms, int64_t to_ms, int64_t piece_ms,
                          history_power_callback callback, void *context, struct error *error)
{
    struct pieces pieces = {.list = NULL};
    sqlite3 *db = NULL;
    struct reader_channels *channels = memory_new(1, sizeof *channels);
    pieces.channels = channels;
    enum status status = make_pieces(&pieces, from_ms, to_ms, piece_ms, error);
    if (status == STATUS_OK)
        status = reader_open(path, &db, error);
    if (status == STATUS_OK)
        status = reader_channels(db, path, device, channel, channels, error);
    if (status == STATUS_OK && piece_ms % ROLLUP_MINUTE_MS == 0)
        status = read_rows(&pieces, path, db, to_ms, error);
    else if (status == STATUS_OK)
        status = history_readings(path, device, channel, pieces.start_ms, to_ms, take_reading,
                                  &pieces, error);
    bool wanted = status == STATUS_OK;
    for (size_t i = 0; wanted && i < pieces.count; i++)
        wanted = hand_out(&pieces, i, to_ms, callback, context);
    free(channels->list);
    free(channels);
    free(pieces.list);
    (void)sqlite3_close(db);
    return status;
}
