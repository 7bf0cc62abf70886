/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/power.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/conversion.h"
#include "bridge/history/query/estimates.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/query/readings.h"
#include "bridge/history/query/segments.h"
#include "bridge/history/store/peaks.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POWER_MAX_MW 1e12 /* keeps nonsense in a damaged file from overflowing */
#define DEVICE 1          /* there is only one in an answer */
#define STANDS_MS 10000   /* so long a reading stands for its sum */

/* What a channel has of the piece under way. */
struct part {
    double mw_ms; /* the integral, or the sum over readings */
    int64_t weight;
    int64_t covered_ms;
    int64_t min_mw, max_mw;
};

/* A channel of the question, whatever kinds of source have read it. */
struct lane {
    const char *name;
    int64_t since_ms, last_ms; /* known since; the last reading known of */
    struct part part;
    bool fresh; /* read since the sum was last looked at; only for readings */
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
    struct converted *converted; /* beside channels.list */
    const struct reader_channels *channels;
    struct lane *lanes;
    size_t lane_count;
    size_t *lane_of;    /* beside channels.list */
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

static int64_t rounded(double mw)
{
    mw = mw > POWER_MAX_MW ? POWER_MAX_MW : mw < -POWER_MAX_MW ? -POWER_MAX_MW : mw;
    return llround(mw);
}

/* ---- a piece ---- */

static int64_t within(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

/* The sum over the channels: the mean is that of their means, the range that of the sum. */
static void sum_up(struct pieces *pieces, struct history_power_row *row)
{
    double min_mw = pieces->sum_min_mw;
    double max_mw = pieces->sum_max_mw;
    peaks_end(&pieces->peaks);
    if (!pieces->sum_known && !peaks_of(&pieces->peaks, DEVICE, &min_mw, &max_mw))
        return;
    row->range_known = true;
    row->min_mw = rounded(min_mw);
    row->max_mw = rounded(max_mw);
    row->min_mw = row->min_mw < row->mean_mw ? row->min_mw : row->mean_mw;
    row->max_mw = row->max_mw > row->mean_mw ? row->max_mw : row->mean_mw;
}

/* A channel that did not exist yet, or is no longer read, does not make the sum unknown. */
static bool is_expected(const struct lane *lane, const struct history_power_row *row)
{
    return lane->part.weight > 0 ||
           (lane->since_ms < row->end_ms && lane->last_ms >= row->start_ms);
}

static void end_piece(struct pieces *pieces)
{
    struct history_power_row *row = &pieces->list[pieces->at];
    int64_t length_ms = row->end_ms - row->start_ms;
    double mean_mw = 0;
    size_t expected = 0;
    row->known = true;
    row->coverage_permille = 1000;
    for (size_t i = 0; i < pieces->lane_count; i++) {
        const struct part *part = &pieces->lanes[i].part;
        if (!is_expected(&pieces->lanes[i], row))
            continue;
        expected++;
        int64_t covered_ms = part->covered_ms < length_ms ? part->covered_ms : length_ms;
        int permille = (int)(covered_ms * 1000 / length_ms);
        row->coverage_permille =
            permille < row->coverage_permille ? permille : row->coverage_permille;
        row->known = row->known && part->weight > 0;
        if (part->weight > 0)
            mean_mw += part->mw_ms / (double)part->weight;
    }
    row->known = row->known && expected > 0;
    row->coverage_permille = expected > 0 ? row->coverage_permille : 0;
    if (row->known)
        row->mean_mw = rounded(mean_mw);
    if (row->known && pieces->lane_count == 1) {
        const struct part *part = &pieces->lanes[0].part;
        row->range_known = true;
        row->min_mw = part->min_mw;
        row->max_mw = part->max_mw;
        row->mean_mw = within(row->mean_mw, row->min_mw, row->max_mw);
    } else if (row->known) {
        sum_up(pieces, row);
    }
    for (size_t i = 0; i < pieces->lane_count; i++)
        pieces->lanes[i].part = (struct part){0};
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

/* Power between min and max, whose mean has that weight. */
static void add(struct part *part, int64_t min_mw, int64_t max_mw, double mw_ms, int64_t weight,
                int64_t covered_ms)
{
    bool first = part->weight == 0;
    part->min_mw = first || min_mw < part->min_mw ? min_mw : part->min_mw;
    part->max_mw = first || max_mw > part->max_mw ? max_mw : part->max_mw;
    part->mw_ms += mw_ms;
    part->weight += weight;
    part->covered_ms += covered_ms;
}

/* ---- from rows ---- */

static int take_row(void *context, const struct rollup_row *row)
{
    struct pieces *pieces = context;
    size_t index = pieces->channels->by_number[row->number];
    if (index == 0 || row->power_covered_ms <= 0 || !advance(pieces, row->start_ms))
        return SQLITE_OK;
    struct converted *converted = &pieces->converted[index - 1];
    int code = conversion_at(&pieces->conversion, converted, row->start_ms);
    if (code != SQLITE_OK)
        return code;
    double factor = conversion_mw_per_raw(&converted->calibration);
    int64_t one = rounded((double)row->power_min * factor);
    int64_t other = rounded((double)row->power_max * factor);
    double mean = (double)row->power_ms / (double)row->power_covered_ms;
    add(&pieces->lanes[pieces->lane_of[index - 1]].part, one < other ? one : other,
        one < other ? other : one, (double)rounded(mean * factor) * (double)row->power_covered_ms,
        row->power_covered_ms, row->power_covered_ms);
    if (pieces->lane_count > 1)
        peaks_add(&pieces->peaks, DEVICE, row, factor);
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

/* As in store/minutes.c: when a channel is read again, the round before is complete. */
static void look_at_sum(struct pieces *pieces, int64_t wall_ms)
{
    double sum_mw = 0;
    for (size_t i = 0; i < pieces->lane_count; i++) {
        struct lane *lane = &pieces->lanes[i];
        lane->fresh = false;
        if (wall_ms - lane->last_ms > STANDS_MS || wall_ms < lane->since_ms)
            continue;
        if (!lane->standing || wall_ms - lane->stamp_ms > STANDS_MS)
            return;
        sum_mw += lane->mw;
    }
    bool first = !pieces->sum_known;
    pieces->sum_known = true;
    pieces->sum_min_mw = first || sum_mw < pieces->sum_min_mw ? sum_mw : pieces->sum_min_mw;
    pieces->sum_max_mw = first || sum_mw > pieces->sum_max_mw ? sum_mw : pieces->sum_max_mw;
}

static bool is_round_complete(const struct pieces *pieces)
{
    for (size_t i = 0; i < pieces->lane_count; i++)
        if (!pieces->lanes[i].fresh && is_expected(&pieces->lanes[i], &pieces->list[pieces->at]))
            return false;
    return true;
}

static struct lane *lane_named(struct pieces *pieces, const char *name)
{
    for (size_t i = 0; i < pieces->lane_count; i++)
        if (strcmp(pieces->lanes[i].name, name) == 0)
            return &pieces->lanes[i];
    return NULL;
}

static bool take_reading(void *context, const struct history_reading *row)
{
    struct pieces *pieces = context;
    struct lane *lane = lane_named(pieces, row->channel);
    int64_t wall_ms = row->reading.wall_ms;
    if (lane == NULL || (row->reading.present & READING_POWER) == 0)
        return true;
    if (lane->fresh)
        look_at_sum(pieces, wall_ms);
    if (!advance(pieces, wall_ms))
        return true;
    double mw = (double)row->reading.power * 1000.0 / row->factors.power;
    lane->mw = row->invert ? -mw : mw;
    lane->standing = lane->fresh = true;
    lane->stamp_ms = wall_ms;
    int64_t whole_mw = rounded(lane->mw);
    add(&lane->part, whole_mw, whole_mw, (double)whole_mw, 1, pieces->length_ms);
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
        if (pieces->channels->by_number[estimates.list[i].number] != 0)
            spread(pieces, &estimates.list[i], mw);
    for (size_t i = 0; i < pieces->count; i++)
        pieces->list[i].estimated_mw = rounded(mw[i]);
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

static int make_lanes(struct pieces *pieces, sqlite3 *db)
{
    int code = SQLITE_OK;
    const struct reader_channels *channels = pieces->channels;
    pieces->lanes = memory_new(channels->count, sizeof *pieces->lanes);
    pieces->lane_of = memory_new(channels->count, sizeof *pieces->lane_of);
    for (size_t i = 0; i < channels->count && code == SQLITE_OK; i++) {
        const struct reader_channel *channel = &channels->list[i];
        struct lane *lane = lane_named(pieces, channel->name);
        int64_t last_ms;
        if (lane == NULL) {
            lane = &pieces->lanes[pieces->lane_count++];
            *lane = (struct lane){.name = channel->name, .since_ms = channel->since_ms};
        }
        code = find_last(db, channel->number, &last_ms);
        lane->since_ms = channel->since_ms < lane->since_ms ? channel->since_ms : lane->since_ms;
        lane->last_ms = last_ms > lane->last_ms ? last_ms : lane->last_ms;
        pieces->lane_of[i] = (size_t)(lane - pieces->lanes);
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
    pieces.channels = channels;
    enum status status = make_pieces(&pieces, from_ms, to_ms, piece_ms, error);
    if (status == STATUS_OK)
        status = reader_open(path, &db, error);
    if (status == STATUS_OK)
        status = reader_channels(db, path, device, channel, channels, error);
    int code = status == STATUS_OK ? make_lanes(&pieces, db) : SQLITE_OK;
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
    free(pieces.lanes);
    free(pieces.lane_of);
    free(pieces.list);
    (void)sqlite3_close(db);
    return status;
}
