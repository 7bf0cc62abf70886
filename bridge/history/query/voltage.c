/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/voltage.h"

#include "bridge/history/query/conversion.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/query/segments.h"
#include "bridge/history/store/key.h"
#include "bridge/history/store/sql.h"
#include "bridge/meter/voltage_sentence.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VOLTS_MAX 1e6 /* a damaged file may say anything */

/* A channel of the device, whatever kinds of source have read it. */
struct lane {
    struct history_voltage_row row;
    int64_t interval; /* the 10 minutes under way, counted from the bucket's begin */
    double sum, weight;
    int64_t covered_ms;
    int64_t means, within;
};

struct report {
    const struct history_voltage_question *question;
    sqlite3 *db;
    sqlite3_stmt *events;
    struct segments *segments;
    struct conversion conversion;
    struct reader_channels channels;
    struct converted *converted; /* beside channels */
    size_t *lane_of;             /* beside channels */
    struct lane *lanes;
    size_t lane_count;
    int64_t grid_ms; /* the bucket's begin, where the 10 minutes are counted from */
    int64_t start_ms, end_ms;
};

/* ---- means ---- */

static void end_interval(const struct report *report, struct lane *lane)
{
    struct history_voltage_row *row = &lane->row;
    int64_t start_ms = report->grid_ms + lane->interval * VOLTAGE_MEAN_MS;
    bool whole = start_ms >= report->start_ms && start_ms + VOLTAGE_MEAN_MS <= report->end_ms;
    double mean_v = lane->weight > 0 ? lane->sum / lane->weight : 0;
    bool counts = whole && lane->weight > 0 && lane->covered_ms >= VOLTAGE_MEAN_COVERED_MS;
    lane->sum = lane->weight = 0;
    lane->covered_ms = 0;
    if (!counts || !(mean_v >= 0 && mean_v < VOLTS_MAX))
        return;
    int64_t mean_mv = llround(mean_v * 1000);
    int64_t off_mv = llabs(mean_mv - row->nominal_mv);
    lane->means++;
    lane->within += off_mv * 100 <= row->nominal_mv * VOLTAGE_WITHIN_PERCENT ? 1 : 0;
    row->lowest_mv = !row->mean_known || mean_mv < row->lowest_mv ? mean_mv : row->lowest_mv;
    row->highest_mv = !row->mean_known || mean_mv > row->highest_mv ? mean_mv : row->highest_mv;
    row->mean_known = true;
}

static int take_minute(void *context, const struct rollup_row *row)
{
    struct report *report = context;
    size_t index = report->channels.by_number[row->number];
    /* A quarter or a day where minutes are kept no more says nothing about 10 minutes. */
    if (index == 0 || row->voltage.count <= 0 || row->covered_ms > ROLLUP_MINUTE_MS ||
        row->start_ms < report->grid_ms)
        return SQLITE_OK;
    struct lane *lane = &report->lanes[report->lane_of[index - 1]];
    struct converted *converted = &report->converted[index - 1];
    int64_t interval = (row->start_ms - report->grid_ms) / VOLTAGE_MEAN_MS;
    int code = conversion_at(&report->conversion, converted, row->start_ms);
    if (code != SQLITE_OK)
        return code;
    if (interval != lane->interval)
        end_interval(report, lane);
    lane->interval = interval;
    lane->sum += (double)row->voltage.sum / converted->calibration.factors.voltage;
    lane->weight += (double)row->voltage.count;
    lane->covered_ms += row->covered_ms;
    return SQLITE_OK;
}

/* ---- events ---- */

static void take_event(struct history_voltage_row *row, const char *message)
{
    struct voltage_change change;
    int64_t left_out;
    if (!voltage_sentence_read(message, &change, &left_out))
        return;
    int64_t *count = change.ended == VOLTAGE_SAG     ? &row->sags
                     : change.ended == VOLTAGE_SWELL ? &row->swells
                                                     : &row->interruptions;
    *count += 1 + left_out;
    if (change.ended != VOLTAGE_SWELL &&
        (!row->deepest_known || change.extreme_mv < row->deepest_mv)) {
        row->deepest_known = true;
        row->deepest_mv = change.extreme_mv;
    }
    if (!row->longest_known || change.duration_ms > row->longest_ms) {
        row->longest_known = true;
        row->longest_ms = change.duration_ms;
    }
    row->counts_known = true;
}

static int take_events(struct report *report)
{
    int code;
    (void)sqlite3_bind_int64(report->events, 1, key_make(report->start_ms, 0));
    (void)sqlite3_bind_int64(report->events, 2, key_make(report->end_ms, 0));
    while ((code = sqlite3_step(report->events)) == SQLITE_ROW) {
        unsigned number = key_number(sqlite3_column_int64(report->events, 0));
        const char *message = (const char *)sqlite3_column_text(report->events, 1);
        size_t index = report->channels.by_number[number];
        if (index != 0 && message != NULL)
            take_event(&report->lanes[report->lane_of[index - 1]].row, message);
    }
    (void)sqlite3_reset(report->events);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- buckets ---- */

static int64_t whole_intervals(const struct report *report)
{
    int64_t first = (report->start_ms - report->grid_ms + VOLTAGE_MEAN_MS - 1) / VOLTAGE_MEAN_MS;
    int64_t end = (report->end_ms - report->grid_ms) / VOLTAGE_MEAN_MS;
    return end > first ? end - first : 0;
}

static void begin_bucket(struct report *report)
{
    for (size_t i = 0; i < report->lane_count; i++) {
        const char *name = report->lanes[i].row.channel;
        report->lanes[i] = (struct lane){.row = {.start_ms = report->start_ms,
                                                 .end_ms = report->end_ms,
                                                 .channel = name,
                                                 .nominal_mv = report->question->nominal_mv}};
    }
}

static void end_lane(const struct report *report, struct lane *lane)
{
    struct history_voltage_row *row = &lane->row;
    int64_t wanted = whole_intervals(report);
    end_interval(report, lane);
    row->counts_known = row->counts_known || lane->means > 0;
    row->share_known = lane->means > 0 && lane->means * 2 >= wanted;
    if (lane->means > 0)
        row->share = (lane->within * 10000 + lane->means / 2) / lane->means;
    if (wanted > 0)
        row->coverage_permille = (int)(lane->means * 1000 / wanted);
}

/* In a read transaction of its own, so that none is long. */
static int read_bucket(struct report *report)
{
    begin_bucket(report);
    int code = sql_run(report->db, "BEGIN");
    if (code == SQLITE_OK)
        code = segments_walk(report->segments, report->start_ms, report->end_ms, ROLLUP_MINUTE,
                             take_minute, report);
    if (code == SQLITE_OK)
        code = take_events(report);
    sql_end_reading(report->db);
    for (size_t i = 0; i < report->lane_count; i++)
        end_lane(report, &report->lanes[i]);
    return code;
}

static int read_all(struct report *report, history_voltage_callback callback, void *context)
{
    const struct history_voltage_question *question = report->question;
    bool wanted = true;
    int code = SQLITE_OK;
    report->start_ms = question->from_ms;
    report->grid_ms = bucket_start(question->bucket, question->from_ms);
    while (wanted && code == SQLITE_OK && report->start_ms < question->to_ms) {
        int64_t next_ms = bucket_next(question->bucket, report->start_ms);
        report->end_ms = next_ms < question->to_ms ? next_ms : question->to_ms;
        code = read_bucket(report);
        for (size_t i = 0; wanted && code == SQLITE_OK && i < report->lane_count; i++)
            wanted = callback(context, &report->lanes[i].row);
        report->start_ms = report->grid_ms = next_ms;
    }
    return code;
}

/* ---- the answer ---- */

static void make_lanes(struct report *report)
{
    size_t count = report->channels.count;
    report->lanes = memory_new(count, sizeof *report->lanes);
    report->lane_of = memory_new(count, sizeof *report->lane_of);
    report->converted = memory_new(count, sizeof *report->converted);
    for (size_t i = 0; i < count; i++) {
        const struct reader_channel *channel = &report->channels.list[i];
        size_t at = 0;
        while (at < report->lane_count && strcmp(report->lanes[at].row.channel, channel->name) != 0)
            at++;
        report->lane_count += at == report->lane_count ? 1 : 0;
        report->lanes[at].row.channel = channel->name;
        report->lane_of[i] = at;
        report->converted[i] = (struct converted){.number = channel->number, .kind = channel->kind};
    }
}

static int prepare(struct report *report)
{
    int code = segments_open(report->db, &report->segments);
    if (code == SQLITE_OK)
        code = conversion_open(report->db, &report->conversion);
    if (code == SQLITE_OK)
        code = sql_prepare(report->db,
                           "SELECT key, message FROM event WHERE key >= ?1 AND key < ?2 AND kind "
                           "IN ('voltage_sag', 'voltage_swell', 'voltage_interruption') "
                           "ORDER BY key",
                           &report->events);
    return code;
}

enum status history_voltage(const char *path, const struct history_voltage_question *question,
                            history_voltage_callback callback, void *context, struct error *error)
{
    enum status status = reader_check_span(question->from_ms, question->to_ms, error);
    if (status != STATUS_OK)
        return status;
    struct report *report = memory_new(1, sizeof *report);
    report->question = question;
    status = reader_open(path, &report->db, error);
    if (status == STATUS_OK)
        status = reader_channels(report->db, path, question->device, question->channel,
                                 &report->channels, error);
    if (status == STATUS_OK) {
        make_lanes(report);
        int code = prepare(report);
        if (code == SQLITE_OK)
            code = read_all(report, callback, context);
        if (code != SQLITE_OK)
            status = sql_explain(code, report->db, path, error);
    }
    (void)sqlite3_finalize(report->events);
    segments_close(report->segments);
    conversion_close(&report->conversion);
    (void)sqlite3_close(report->db);
    free(report->channels.list);
    free(report->converted);
    free(report->lane_of);
    free(report->lanes);
    free(report);
    return status;
}
