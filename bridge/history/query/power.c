/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/power.h"

#include "bridge/history/query/accumulator.h"
#include "bridge/history/query/buckets.h"
#include "bridge/history/query/estimates.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/query/readings.h"
#include "bridge/history/query/segments.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

#define DEVICE 1        /* there is only one in an answer */
#define STANDS_MS 10000 /* so long a reading stands for its sum */

/* The latest reading of a channel. */
struct latest {
    const char *name;
    bool fresh; /* read since the sum was last looked at */
    bool standing;
    double mw;
    int64_t stamp_ms;
};

struct pieces {
    struct history_power_row *list;
    size_t count;
    size_t at; /* the piece under way */
    int64_t start_ms;
    int64_t length_ms;
    int64_t to_ms;
    struct conversion conversion;
    struct converted *converted; /* beside listed */
    const struct reader_channels *listed;
    struct accumulator_channel *channels;
    struct latest *latest; /* beside channels */
    size_t channel_count;
    size_t *channel_of; /* beside listed */
    struct peaks peaks; /* of the sum, from rows */
    bool sum_known;     /* of the sum, from readings */
    double sum_min_mw, sum_max_mw;
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

/* ---- a piece ---- */

static void end_piece(struct pieces *pieces)
{
    struct history_power_row *row = &pieces->list[pieces->at];
    struct accumulator_total total;
    accumulator_total(pieces->channels, pieces->channel_count, row->start_ms, row->end_ms,
                      &pieces->peaks, DEVICE, &total);
    if (total.power_known && pieces->channel_count > 1 && pieces->sum_known)
        accumulator_set_range(&total, pieces->sum_min_mw, pieces->sum_max_mw);
    row->known = total.power_known;
    row->mean_mw = total.power_mean_mw;
    row->range_known = total.range_known;
    row->min_mw = total.power_min_mw;
    row->max_mw = total.power_max_mw;
    row->coverage_permille = total.coverage_permille;
    for (size_t i = 0; i < pieces->channel_count; i++)
        pieces->channels[i].sum = (struct accumulator){0};
    peaks_begin(&pieces->peaks);
    pieces->sum_known = false;
}

/* Ends the pieces before the one that holds wall_ms; false if none does. */
static bool advance(struct pieces *pieces, int64_t wall_ms)
{
    int64_t index = (wall_ms - pieces->start_ms) / pieces->length_ms;
    if (wall_ms < pieces->start_ms || index >= (int64_t)pieces->count)
        return false;
    while ((int64_t)pieces->at < index) {
        end_piece(pieces);
        pieces->at++;
    }
    return true;
}

/* ---- from rows ---- */

static int take_row(void *context, const struct rollup_row *row)
{
    struct pieces *pieces = context;
    size_t index = pieces->listed->by_number[row->number];
    if (index == 0 || row->power_covered_ms <= 0 || !advance(pieces, row->start_ms))
        return SQLITE_OK;
    struct converted *converted = &pieces->converted[index - 1];
    int code = conversion_at(&pieces->conversion, converted, row->start_ms);
    if (code != SQLITE_OK)
        return code;
    struct rollup_row power = *row;
    power.covered_ms = row->power_covered_ms; /* only that counts here */
    accumulator_add(&pieces->channels[pieces->channel_of[index - 1]].sum, converted, &power);
    if (pieces->channel_count > 1)
        peaks_add(&pieces->peaks, DEVICE, row, conversion_mw_per_raw(&converted->calibration));
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
    sql_end_reading(db);
    return code;
}

static enum status read_rows(struct pieces *pieces, const char *path, sqlite3 *db, int64_t end_ms,
                             struct error *error)
{
    pieces->converted = memory_new(pieces->listed->count, sizeof *pieces->converted);
    for (size_t i = 0; i < pieces->listed->count; i++)
        pieces->converted[i] = (struct converted){.number = pieces->listed->list[i].number,
                                                  .kind = pieces->listed->list[i].kind};
    int code = walk(pieces, db, end_ms);
    free(pieces->converted);
    return code == SQLITE_OK ? STATUS_OK : sql_explain(code, db, path, error);
}

/* ---- from readings ---- */

/* As in store/minutes.c: when a channel is read again, the round before is complete. */
static void look_at_sum(struct pieces *pieces, int64_t wall_ms)
{
    double sum_mw = 0;
    for (size_t i = 0; i < pieces->channel_count; i++) {
        struct latest *latest = &pieces->latest[i];
        latest->fresh = false;
        if (wall_ms - pieces->channels[i].last_ms > STANDS_MS ||
            wall_ms < pieces->channels[i].since_ms)
            continue;
        if (!latest->standing || wall_ms - latest->stamp_ms > STANDS_MS)
            return;
        sum_mw += latest->mw;
    }
    bool first = !pieces->sum_known;
    pieces->sum_known = true;
    pieces->sum_min_mw = first || sum_mw < pieces->sum_min_mw ? sum_mw : pieces->sum_min_mw;
    pieces->sum_max_mw = first || sum_mw > pieces->sum_max_mw ? sum_mw : pieces->sum_max_mw;
}

static bool is_round_complete(const struct pieces *pieces)
{
    const struct history_power_row *row = &pieces->list[pieces->at];
    for (size_t i = 0; i < pieces->channel_count; i++)
        if (!pieces->latest[i].fresh &&
            accumulator_is_expected(&pieces->channels[i], row->start_ms, row->end_ms))
            return false;
    return true;
}

/* channel_count: there is none of that name. */
static size_t channel_named(const struct pieces *pieces, const char *name)
{
    size_t i = 0;
    while (i < pieces->channel_count && strcmp(pieces->latest[i].name, name) != 0)
        i++;
    return i;
}

static bool take_reading(void *context, const struct history_reading *row)
{
    struct pieces *pieces = context;
    size_t index = channel_named(pieces, row->channel);
    int64_t wall_ms = row->reading.wall_ms;
    if (index == pieces->channel_count || (row->reading.present & READING_POWER) == 0)
        return true;
    struct latest *latest = &pieces->latest[index];
    if (latest->fresh)
        look_at_sum(pieces, wall_ms);
    if (!advance(pieces, wall_ms))
        return true;
    double mw = (double)row->reading.power * 1000.0 / row->factors.power;
    latest->mw = row->invert ? -mw : mw;
    latest->standing = latest->fresh = true;
    latest->stamp_ms = wall_ms;
    struct accumulator *sum = &pieces->channels[index].sum;
    sum->any = true;
    sum->covered_ms = pieces->length_ms;
    blend_add(&sum->power, 1, latest->mw, latest->mw, latest->mw);
    if (is_round_complete(pieces)) /* it belongs to this piece */
        look_at_sum(pieces, wall_ms);
    return true;
}

/* ---- what was counted while nobody read ---- */

static void spread(struct pieces *pieces, const struct estimate *estimate, double *mw)
{
    int64_t from_ms = estimate->start_ms - pieces->start_ms;
    for (size_t i = from_ms > 0 ? (size_t)(from_ms / pieces->length_ms) : 0;
         i < pieces->count && pieces->list[i].start_ms < estimate->end_ms; i++) {
        struct history_power_row *row = &pieces->list[i];
        int64_t imported_uwh;
        int64_t exported_uwh;
        estimate_part(estimate, row->start_ms, row->end_ms, &imported_uwh, &exported_uwh);
        if (imported_uwh == 0 && exported_uwh == 0)
            continue;
        row->estimated = true;
        mw[i] += ((double)imported_uwh - (double)exported_uwh) * 3600 /
                 (double)(row->end_ms - row->start_ms);
    }
}

static int spread_all(struct pieces *pieces, sqlite3 *db)
{
    struct estimates estimates = {.list = NULL};
    struct conversion conversion = {.at = NULL};
    double *mw memory_auto = memory_new(pieces->count, sizeof *mw);
    int code = conversion_open(db, &conversion);
    if (code == SQLITE_OK)
        code = estimates_load(db, &conversion, pieces->start_ms, pieces->to_ms, &estimates);
    for (size_t i = 0; i < estimates.count && code == SQLITE_OK; i++)
        if (pieces->listed->by_number[estimates.list[i].number] != 0)
            spread(pieces, &estimates.list[i], mw);
    for (size_t i = 0; i < pieces->count; i++)
        pieces->list[i].estimated_mw = accumulator_mw(mw[i]);
    estimates_free(&estimates);
    conversion_close(&conversion);
    return code;
}

/* ---- the answer ---- */

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
    enum status status = reader_check_span(from_ms, to_ms, error);
    if (status != STATUS_OK)
        return status;
    int64_t grid_ms = grid_of(piece_ms);
    pieces->start_ms = from_ms / grid_ms * grid_ms;
    pieces->length_ms = piece_ms;
    int64_t count = (to_ms - pieces->start_ms + piece_ms - 1) / piece_ms;
    if (count > HISTORY_POWER_PIECES_MAX)
        return error_set(error, STATUS_USAGE,
                         "That would be more than %d rows. Ask for less time or longer pieces.",
                         HISTORY_POWER_PIECES_MAX);
    pieces->count = (size_t)count;
    pieces->to_ms = to_ms;
    pieces->list = memory_new(pieces->count, sizeof *pieces->list);
    for (size_t i = 0; i < pieces->count; i++) {
        int64_t start_ms = pieces->start_ms + (int64_t)i * piece_ms;
        int64_t end_ms = start_ms + piece_ms;
        pieces->list[i] = (struct history_power_row){.start_ms = start_ms,
                                                     .end_ms = end_ms < to_ms ? end_ms : to_ms};
    }
    return STATUS_OK;
}

static int find_last(sqlite3 *db, unsigned number, int64_t *last_ms)
{
    char sql[80];
    (void)snprintf(sql, sizeof sql, "SELECT counter_wall_ms FROM total WHERE channel = %u", number);
    return sql_integer(db, sql, last_ms);
}

static int make_channels(struct pieces *pieces, sqlite3 *db)
{
    int code = SQLITE_OK;
    const struct reader_channels *listed = pieces->listed;
    pieces->channels = memory_new(listed->count, sizeof *pieces->channels);
    pieces->latest = memory_new(listed->count, sizeof *pieces->latest);
    pieces->channel_of = memory_new(listed->count, sizeof *pieces->channel_of);
    for (size_t i = 0; i < listed->count && code == SQLITE_OK; i++) {
        const struct reader_channel *one = &listed->list[i];
        size_t index = channel_named(pieces, one->name);
        struct accumulator_channel *channel = &pieces->channels[index];
        int64_t last_ms;
        if (index == pieces->channel_count) {
            pieces->channel_count++;
            pieces->latest[index].name = one->name;
            channel->since_ms = one->since_ms;
        }
        code = find_last(db, one->number, &last_ms);
        channel->since_ms = one->since_ms < channel->since_ms ? one->since_ms : channel->since_ms;
        channel->last_ms = last_ms > channel->last_ms ? last_ms : channel->last_ms;
        pieces->channel_of[i] = index;
    }
    return code;
}

enum status history_power(const char *path, const char *device, const char *channel,
                          int64_t from_ms, int64_t to_ms, int64_t piece_ms,
                          history_power_callback callback, void *context, struct error *error)
{
    struct pieces pieces = {.list = NULL};
    sqlite3 *db = NULL;
    struct reader_channels *channels = memory_new(1, sizeof *channels);
    pieces.listed = channels;
    enum status status = make_pieces(&pieces, from_ms, to_ms, piece_ms, error);
    if (status == STATUS_OK)
        status = reader_open(path, &db, error);
    if (status == STATUS_OK)
        status = reader_channels(db, path, device, channel, channels, error);
    int code = status == STATUS_OK ? make_channels(&pieces, db) : SQLITE_OK;
    if (code != SQLITE_OK)
        status = sql_explain(code, db, path, error);
    if (status == STATUS_OK && piece_ms % ROLLUP_MINUTE_MS == 0)
        status = read_rows(&pieces, path, db, to_ms, error);
    else if (status == STATUS_OK)
        status = history_readings(path, device, channel, pieces.start_ms, to_ms, take_reading,
                                  &pieces, error);
    code = status == STATUS_OK ? spread_all(&pieces, db) : SQLITE_OK;
    if (code != SQLITE_OK)
        status = sql_explain(code, db, path, error);
    bool wanted = status == STATUS_OK;
    for (; wanted && pieces.at < pieces.count; pieces.at++)
        end_piece(&pieces);
    for (size_t i = 0; wanted && i < pieces.count; i++)
        wanted = callback(context, &pieces.list[i]);
    free(channels->list);
    free(channels);
    peaks_free(&pieces.peaks);
    free(pieces.channels);
    free(pieces.latest);
    free(pieces.channel_of);
    free(pieces.list);
    (void)sqlite3_close(db);
    return status;
}
