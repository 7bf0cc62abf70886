/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/minutes.h"

#include "bridge/history/cadence.h"
#include "bridge/history/query/conversion.h"
#include "bridge/history/store/key.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

/* How far before the time readings are looked at, for intervals and for what reaches into it. */
#define LOOK_BACK_MS (15LL * 60 * 1000)
#define GONE_MS (24LL * 60 * 60 * 1000)

enum column { KEY, IMPORTED, EXPORTED, POWER, VOLTAGE, CURRENT, FREQUENCY };

/* A channel: what its last reading says about the time after it, and the row under way. */
struct lane {
    struct converted converted; /* for the times at which factors change */
    struct cadence cadence;
    bool any; /* what follows is set */
    int64_t stamp_ms;
    int64_t reach_ms;
    bool has_power;
    int64_t power;
    int64_t settled_ms; /* how far the time it stands for is in the row */
    bool fresh;         /* read since the device's sum was last looked at */
    size_t group;       /* of its device: index plus 1; 0: the device has no other channel */
    size_t next;        /* lane of the same group: index plus 1 */
    struct rollup_row row;
};

/* A device with several channels, and the bounds of its sum in the minute under way. */
struct group {
    unsigned device;
    size_t first; /* lane: index plus 1 */
    bool known;
    double min_mw, max_mw;
};

struct minutes {
    sqlite3_stmt *readings;
    struct conversion conversion;
    struct lane *lanes;
    size_t count;
    size_t capacity;
    uint16_t by_number[CHANNEL_NUMBER_MAX + 1]; /* index into lanes plus 1 */
    struct group *groups;
    size_t group_count;
    size_t group_capacity;
    bool positioned; /* the lanes stand at at_ms */
    int64_t at_ms;
    int64_t emitted; /* rows of this run */
    minutes_emit emit;
    void *context;
};

int minutes_open(sqlite3 *db, struct minutes **minutes)
{
    struct minutes *made = memory_new(1, sizeof *made);
    *minutes = made;
    int code = sql_prepare(db,
                           "SELECT key, imported, exported, power, voltage, current, frequency "
                           "FROM reading WHERE key >= ?1 AND key < ?2 ORDER BY key",
                           &made->readings);
    if (code == SQLITE_OK)
        code = conversion_open(db, &made->conversion);
    return code;
}

void minutes_close(struct minutes *minutes)
{
    if (minutes == NULL)
        return;
    (void)sqlite3_finalize(minutes->readings);
    conversion_close(&minutes->conversion);
    free(minutes->lanes);
    free(minutes->groups);
    free(minutes);
}

void minutes_forget(struct minutes *minutes)
{
    for (size_t i = 0; i < minutes->count; i++)
        minutes->by_number[minutes->lanes[i].converted.number] = 0;
    minutes->count = 0;
    minutes->group_count = 0;
    minutes->positioned = false;
}

static int64_t minute_of(int64_t wall_ms)
{
    return wall_ms / ROLLUP_MINUTE_MS * ROLLUP_MINUTE_MS;
}

/* ---- a channel's row ---- */

static void begin_row(struct lane *lane, int64_t start_ms)
{
    lane->row = (struct rollup_row){.start_ms = start_ms, .number = lane->converted.number};
}

/* Counts the time that the last reading stands for, up to until_ms, which is in the row's time. */
static void settle(struct lane *lane, int64_t until_ms)
{
    if (!lane->any || until_ms <= lane->settled_ms)
        return;
    int64_t end_ms = lane->reach_ms < until_ms ? lane->reach_ms : until_ms;
    int64_t time_ms = end_ms - lane->settled_ms;
    lane->settled_ms = until_ms;
    if (time_ms <= 0)
        return;
    struct rollup_row more = {.covered_ms = time_ms};
    if (lane->has_power) {
        more.power_covered_ms = time_ms;
        more.power_min = more.power_max = lane->power;
        if (__builtin_mul_overflow(lane->power, time_ms, &more.power_ms))
            more.power_ms = lane->power < 0 ? INT64_MIN : INT64_MAX;
    }
    rollup_merge(&lane->row, &more);
}

static int emit_row(struct minutes *minutes, struct lane *lane)
{
    const struct rollup_row *row = &lane->row;
    if (row->samples == 0 && row->covered_ms == 0)
        return SQLITE_OK;
    minutes->emitted++;
    return minutes->emit(minutes->context, row);
}

/* ---- the sum of a device ---- */

/* While a channel does not answer, the sum is not known; after a day it is taken for a removed one. */
static bool is_gone(const struct lane *lane, int64_t at_ms)
{
    return at_ms - lane->reach_ms > GONE_MS;
}

/* Channels are read one after the other, so their sum is only looked at when a round is complete: when one
 * of them is about to be read again. Before, a load that moves from one to the other would count twice. */
static void look_at_sum(struct minutes *minutes, struct group *group, int64_t at_ms)
{
    double sum_mw = 0;
    for (size_t i = group->first; i != 0; i = minutes->lanes[i - 1].next) {
        struct lane *lane = &minutes->lanes[i - 1];
        lane->fresh = false;
        if (is_gone(lane, at_ms))
            continue;
        if (at_ms > lane->reach_ms || !lane->has_power)
            return;
        sum_mw += (double)lane->power * conversion_mw_per_raw(&lane->converted.calibration);
    }
    bool min = !group->known || sum_mw < group->min_mw;
    bool max = !group->known || sum_mw > group->max_mw;
    for (size_t i = group->first; i != 0; i = minutes->lanes[i - 1].next) {
        struct lane *lane = &minutes->lanes[i - 1];
        if (is_gone(lane, at_ms))
            continue;
        lane->row.device_known = true;
        lane->row.device_min = min ? lane->power : lane->row.device_min;
        lane->row.device_max = max ? lane->power : lane->row.device_max;
    }
    group->known = true;
    group->min_mw = min ? sum_mw : group->min_mw;
    group->max_mw = max ? sum_mw : group->max_mw;
}

static struct group *group_of(struct minutes *minutes, unsigned device)
{
    for (size_t i = 0; i < minutes->group_count; i++)
        if (minutes->groups[i].device == device)
            return &minutes->groups[i];
    minutes->groups = memory_grow(minutes->groups, minutes->group_count, &minutes->group_capacity,
                                  sizeof *minutes->groups);
    minutes->groups[minutes->group_count] = (struct group){.device = device};
    return &minutes->groups[minutes->group_count++];
}

/* Of a device that got its second channel just now, the first may have a lane already. */
static int join_group(struct minutes *minutes, struct lane *lane)
{
    unsigned device;
    unsigned channels;
    int code = conversion_device(&minutes->conversion, lane->converted.number, &device, &channels);
    if (code != SQLITE_OK || channels < 2)
        return code;
    struct group *group = group_of(minutes, device);
    lane->group = (size_t)(group - minutes->groups) + 1;
    lane->next = group->first;
    group->first = (size_t)(lane - minutes->lanes) + 1;
    size_t other = minutes->by_number[device];
    if (other != 0 && minutes->lanes[other - 1].group == 0) {
        minutes->lanes[other - 1].group = lane->group;
        minutes->lanes[other - 1].next = group->first;
        group->first = other;
    }
    return SQLITE_OK;
}

/* At the end of a minute: a round that is complete belongs to it. Then the next one begins. */
static void end_groups(struct minutes *minutes, int64_t until_ms)
{
    for (size_t i = 0; i < minutes->group_count; i++) {
        struct group *group = &minutes->groups[i];
        bool complete = true;
        for (size_t j = group->first; j != 0; j = minutes->lanes[j - 1].next) {
            const struct lane *lane = &minutes->lanes[j - 1];
            complete = complete && (lane->fresh || is_gone(lane, until_ms));
        }
        if (complete)
            look_at_sum(minutes, group, until_ms - 1);
    }
}

/* Brings the row to one that begins at or after the last change of factors before or at until_ms;
 * what came before is handed out. */
static int cut(struct minutes *minutes, struct lane *lane, int64_t until_ms)
{
    int code = SQLITE_OK;
    while (code == SQLITE_OK && lane->converted.recalibrated_ms <= until_ms) {
        int64_t change_ms = lane->converted.recalibrated_ms;
        if (change_ms > lane->row.start_ms) {
            settle(lane, change_ms);
            code = emit_row(minutes, lane);
            begin_row(lane, change_ms);
        }
        if (code == SQLITE_OK)
            code = conversion_at(&minutes->conversion, &lane->converted, change_ms);
    }
    return code;
}

/* until_ms is the end of a minute, or of the time. */
static int close_rows(struct minutes *minutes, int64_t until_ms)
{
    int code = SQLITE_OK;
    end_groups(minutes, until_ms);
    for (size_t i = 0; i < minutes->group_count; i++)
        minutes->groups[i].known = false;
    for (size_t i = 0; i < minutes->count && code == SQLITE_OK; i++) {
        struct lane *lane = &minutes->lanes[i];
        code = cut(minutes, lane, until_ms - 1);
        settle(lane, until_ms);
        if (code == SQLITE_OK)
            code = emit_row(minutes, lane);
        begin_row(lane, until_ms);
    }
    return code;
}

static int find_lane(struct minutes *minutes, unsigned number, int64_t start_ms,
                     struct lane **found)
{
    if (minutes->by_number[number] != 0) {
        *found = &minutes->lanes[minutes->by_number[number] - 1];
        return SQLITE_OK;
    }
    minutes->lanes =
        memory_grow(minutes->lanes, minutes->count, &minutes->capacity, sizeof *minutes->lanes);
    struct lane *lane = &minutes->lanes[minutes->count++];
    minutes->by_number[number] = (uint16_t)minutes->count;
    *lane = (struct lane){.converted = {.number = number, .kind = READING_BL0942}};
    begin_row(lane, start_ms);
    *found = lane;
    int code = join_group(minutes, lane);
    if (code != SQLITE_OK)
        return code;
    return conversion_at(&minutes->conversion, &lane->converted, start_ms);
}

/* The reading stands from now on. */
static void take_over(struct lane *lane, int64_t stamp_ms, bool has_power, int64_t power)
{
    if (lane->any && stamp_ms > lane->stamp_ms)
        cadence_note(&lane->cadence, stamp_ms - lane->stamp_ms);
    lane->any = true;
    lane->stamp_ms = stamp_ms;
    lane->reach_ms = stamp_ms + cadence_reach_ms(&lane->cadence);
    lane->settled_ms = stamp_ms;
    lane->has_power = has_power;
    lane->power = power;
}

static void take_quantity(sqlite3_stmt *row, int column, struct rollup_quantity *quantity)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        return;
    int64_t value = sqlite3_column_int64(row, column);
    quantity->min = quantity->count == 0 || value < quantity->min ? value : quantity->min;
    quantity->max = quantity->count == 0 || value > quantity->max ? value : quantity->max;
    quantity->count++;
    conversion_add(&quantity->sum, value);
}

static int feed(struct minutes *minutes, int64_t start_ms)
{
    sqlite3_stmt *reading = minutes->readings;
    int64_t key = sqlite3_column_int64(reading, KEY);
    int64_t stamp_ms = key_time_ms(key);
    struct lane *lane = NULL;
    int code = find_lane(minutes, key_number(key), start_ms, &lane);
    if (code == SQLITE_OK)
        code = cut(minutes, lane, stamp_ms);
    if (code != SQLITE_OK)
        return code;
    settle(lane, stamp_ms);
    if (lane->group != 0 && lane->fresh)
        look_at_sum(minutes, &minutes->groups[lane->group - 1], stamp_ms - 1);
    lane->fresh = true;
    struct rollup_row *row = &lane->row;
    row->samples++;
    conversion_add(&row->imported, sqlite3_column_int64(reading, IMPORTED));
    conversion_add(&row->exported, sqlite3_column_int64(reading, EXPORTED));
    take_quantity(reading, VOLTAGE, &row->voltage);
    take_quantity(reading, CURRENT, &row->current);
    take_quantity(reading, FREQUENCY, &row->frequency);
    take_over(lane, stamp_ms, sqlite3_column_type(reading, POWER) != SQLITE_NULL,
              sqlite3_column_int64(reading, POWER));
    return SQLITE_OK;
}

/* ---- the time ---- */

static void ask(struct minutes *minutes, int64_t from_ms, int64_t to_ms)
{
    (void)sqlite3_bind_int64(minutes->readings, 1, key_make(from_ms, 0));
    (void)sqlite3_bind_int64(minutes->readings, 2, key_make(to_ms, 0));
}

/* Lanes as they are at from_ms: only what reaches into the time. */
static int begin_at(struct minutes *minutes, int64_t from_ms)
{
    if (minutes->positioned && minutes->at_ms == from_ms)
        return SQLITE_OK;
    minutes_forget(minutes);
    ask(minutes, from_ms < LOOK_BACK_MS ? 0 : from_ms - LOOK_BACK_MS, from_ms);
    int code = SQLITE_OK;
    int step = SQLITE_DONE;
    while (code == SQLITE_OK && (step = sqlite3_step(minutes->readings)) == SQLITE_ROW) {
        int64_t key = sqlite3_column_int64(minutes->readings, KEY);
        struct lane *lane = NULL;
        code = find_lane(minutes, key_number(key), from_ms, &lane);
        if (code == SQLITE_OK)
            take_over(lane, key_time_ms(key),
                      sqlite3_column_type(minutes->readings, POWER) != SQLITE_NULL,
                      sqlite3_column_int64(minutes->readings, POWER));
    }
    (void)sqlite3_reset(minutes->readings);
    for (size_t i = 0; i < minutes->count; i++)
        minutes->lanes[i].settled_ms = from_ms;
    if (code == SQLITE_OK && step != SQLITE_DONE)
        code = step;
    minutes->positioned = code == SQLITE_OK;
    minutes->at_ms = from_ms;
    return code;
}

/* Whether a reading stands beyond wall_ms; if none does, nothing happens until the next one. */
static bool any_reaches(const struct minutes *minutes, int64_t wall_ms)
{
    for (size_t i = 0; i < minutes->count; i++)
        if (minutes->lanes[i].any && minutes->lanes[i].reach_ms > wall_ms)
            return true;
    return false;
}

static void skip_to(struct minutes *minutes, int64_t start_ms)
{
    for (size_t i = 0; i < minutes->count; i++)
        begin_row(&minutes->lanes[i], start_ms);
    minutes->at_ms = start_ms;
}

/* Hands out minutes up to the one that holds wall_ms, or that ends there if it is to_ms. */
static int advance(struct minutes *minutes, int64_t wall_ms, int64_t to_ms)
{
    int code = SQLITE_OK;
    while (code == SQLITE_OK && minutes->at_ms < to_ms) {
        int64_t end_ms = minute_of(minutes->at_ms) + ROLLUP_MINUTE_MS;
        end_ms = end_ms < to_ms ? end_ms : to_ms;
        if (wall_ms < end_ms)
            return SQLITE_OK;
        code = close_rows(minutes, end_ms);
        minutes->at_ms = end_ms;
        int64_t target_ms = wall_ms >= to_ms ? to_ms : minute_of(wall_ms);
        if (target_ms > end_ms && !any_reaches(minutes, end_ms))
            skip_to(minutes, target_ms);
    }
    return code;
}

static int read_on(struct minutes *minutes, int64_t to_ms, int64_t most)
{
    ask(minutes, minutes->at_ms, to_ms);
    int code = SQLITE_OK;
    int step = SQLITE_DONE;
    for (int64_t count = 0; code == SQLITE_OK; count++) {
        step = sqlite3_step(minutes->readings);
        if (step != SQLITE_ROW)
            break;
        int64_t before_ms = minutes->at_ms;
        code = advance(minutes, key_time_ms(sqlite3_column_int64(minutes->readings, KEY)), to_ms);
        if (code == SQLITE_OK && count >= most - minutes->emitted && minutes->at_ms > before_ms)
            break; /* this reading is for next time */
        if (code == SQLITE_OK)
            code = feed(minutes, minutes->at_ms);
    }
    (void)sqlite3_reset(minutes->readings);
    if (code == SQLITE_OK && step == SQLITE_DONE)
        return advance(minutes, to_ms, to_ms);
    return code == SQLITE_OK && step != SQLITE_ROW ? step : code;
}

int minutes_run(struct minutes *minutes, int64_t from_ms, int64_t to_ms, int64_t most,
                minutes_emit emit, void *context, int64_t *reached_ms)
{
    minutes->emit = emit;
    minutes->emitted = 0;
    minutes->context = context;
    int code = begin_at(minutes, from_ms);
    if (code == SQLITE_OK)
        code = read_on(minutes, to_ms, most);
    *reached_ms = minutes->at_ms;
    if (code != SQLITE_OK)
        minutes_forget(minutes);
    return code;
}
