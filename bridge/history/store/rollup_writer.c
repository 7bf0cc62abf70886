/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/rollup_writer.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/conversion.h"
#include "bridge/history/store/key.h"
#include "bridge/history/store/meta.h"
#include "bridge/history/store/minutes.h"
#include "bridge/history/store/peaks.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

/* Channels are read one after the other: a minute is over when a reading is this much later. */
#define GRACE_MS 2000
/* How long a reading that comes late stands at most. */
#define LATE_REACH_MS 10000

/* A channel's row under way, and the last of its readings that came late. */
struct pile {
    struct converted converted;
    bool begun;
    struct rollup_row row;
    int64_t late_ms;
    unsigned device;   /* the first number of its device */
    unsigned channels; /* of that device; 0: not known yet */
};

struct rollup_writer {
    sqlite3 *db;
    sqlite3_stmt *put[ROLLUP_LEVELS];
    sqlite3_stmt *range[ROLLUP_LEVELS];  /* rows from key ?1 to before ?2 */
    sqlite3_stmt *before[ROLLUP_LEVELS]; /* the last row of channel ?3 in that range */
    sqlite3_stmt *drop[ROLLUP_LEVELS];   /* the rows of channel ?3 in that range */
    struct minutes *minutes;
    struct conversion conversion;
    struct peaks peaks;
    struct pile *piles;
    size_t count;
    size_t capacity;
    uint16_t by_number[CHANNEL_NUMBER_MAX + 1]; /* index into piles plus 1 */
    bool loaded;
    bool advanced; /* since it was loaded */
    int64_t done_ms[ROLLUP_LEVELS];
    struct outbox_changes changes;   /* by the transaction under way */
    struct outbox_changes committed; /* by those before */
};

/* ---- opening ---- */

static int prepare(sqlite3 *db, const char *verb, enum rollup_level level, const char *rest,
                   sqlite3_stmt **made)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql, "%s FROM %s WHERE key >= ?1 AND key < ?2 %s", verb,
                   rollup_table(level), rest);
    return sql_prepare(db, sql, made);
}

static int prepare_level(struct rollup_writer *rollups, enum rollup_level level)
{
    static const char select[] = "SELECT " ROLLUP_COLUMNS;
    sqlite3 *db = rollups->db;
    int code = rollup_prepare_put(db, level, &rollups->put[level]);
    if (code == SQLITE_OK)
        code = prepare(db, select, level, "ORDER BY key", &rollups->range[level]);
    if (code == SQLITE_OK)
        code = prepare(db, select, level, "AND key & 32767 = ?3 ORDER BY key DESC LIMIT 1",
                       &rollups->before[level]);
    if (code == SQLITE_OK)
        code = prepare(db, "DELETE", level, "AND key & 32767 = ?3", &rollups->drop[level]);
    return code;
}

int rollup_writer_open(sqlite3 *db, struct rollup_writer **rollups)
{
    struct rollup_writer *made = memory_new(1, sizeof *made);
    made->db = db;
    made->changes = made->committed = OUTBOX_NO_CHANGES;
    int code = minutes_open(db, &made->minutes);
    if (code == SQLITE_OK)
        code = conversion_open(db, &made->conversion);
    for (int level = 0; level < ROLLUP_LEVELS && code == SQLITE_OK; level++)
        code = prepare_level(made, (enum rollup_level)level);
    *rollups = code == SQLITE_OK ? made : NULL;
    if (code != SQLITE_OK)
        rollup_writer_close(made);
    return code;
}

void rollup_writer_close(struct rollup_writer *rollups)
{
    if (rollups == NULL)
        return;
    for (int level = 0; level < ROLLUP_LEVELS; level++) {
        (void)sqlite3_finalize(rollups->put[level]);
        (void)sqlite3_finalize(rollups->range[level]);
        (void)sqlite3_finalize(rollups->before[level]);
        (void)sqlite3_finalize(rollups->drop[level]);
    }
    minutes_close(rollups->minutes);
    conversion_close(&rollups->conversion);
    peaks_free(&rollups->peaks);
    free(rollups->piles);
    free(rollups);
}

void rollup_writer_forget(struct rollup_writer *rollups)
{
    minutes_forget(rollups->minutes);
    for (size_t i = 0; i < rollups->count; i++)
        rollups->by_number[rollups->piles[i].converted.number] = 0;
    rollups->count = 0;
    rollups->loaded = false;
}

static struct pile *pile_of(struct rollup_writer *rollups, unsigned number)
{
    if (rollups->by_number[number] != 0)
        return &rollups->piles[rollups->by_number[number] - 1];
    rollups->piles =
        memory_grow(rollups->piles, rollups->count, &rollups->capacity, sizeof *rollups->piles);
    struct pile *pile = &rollups->piles[rollups->count++];
    rollups->by_number[number] = (uint16_t)rollups->count;
    *pile = (struct pile){.converted = {.number = number, .kind = READING_BL0942}};
    return pile;
}

/* ---- buckets ---- */

static int64_t floor_to(int64_t wall_ms, int64_t length_ms)
{
    return wall_ms / length_ms * length_ms;
}

static int64_t start_of(enum rollup_level level, int64_t wall_ms)
{
    if (level == ROLLUP_DAY)
        return bucket_start(BUCKET_DAY, wall_ms);
    return floor_to(wall_ms, level == ROLLUP_MINUTE ? ROLLUP_MINUTE_MS : ROLLUP_QUARTER_MS);
}

static int64_t end_of(enum rollup_level level, int64_t wall_ms)
{
    if (level == ROLLUP_DAY)
        return bucket_next(BUCKET_DAY, wall_ms);
    return start_of(level, wall_ms) +
           (level == ROLLUP_MINUTE ? ROLLUP_MINUTE_MS : ROLLUP_QUARTER_MS);
}

static void bind_range(sqlite3_stmt *statement, int64_t from_ms, int64_t to_ms)
{
    (void)sqlite3_bind_int64(statement, 1, key_make(from_ms, 0));
    (void)sqlite3_bind_int64(statement, 2, key_make(to_ms, 0));
}

/* Begin of the first or last row of a table, -1 without rows. */
static int end_row_ms(sqlite3 *db, const char *table, bool last, int64_t *ms)
{
    char sql[96];
    (void)snprintf(sql, sizeof sql, "SELECT coalesce(%s(key), -1) FROM %s", last ? "max" : "min",
                   table);
    int64_t key = -1;
    int code = sql_integer(db, sql, &key);
    *ms = key < 0 ? -1 : key_time_ms(key);
    return code;
}

/* ---- what sinks may have got ---- */

static enum outbox_level outbox_of(enum rollup_level level)
{
    static const enum outbox_level levels[ROLLUP_LEVELS] = {OUTBOX_MINUTES, OUTBOX_QUARTERS,
                                                            OUTBOX_DAYS};
    return levels[level];
}

/* The bucket of that level that holds wall_ms says something else than before, if it is made. */
static void note_change(struct rollup_writer *rollups, enum rollup_level level, int64_t wall_ms)
{
    int64_t start_ms = start_of(level, wall_ms);
    if (start_ms < rollups->done_ms[level])
        outbox_changes_note(&rollups->changes, outbox_of(level), key_make(start_ms, 0));
}

void rollup_writer_spread(struct rollup_writer *rollups, int64_t start_ms)
{
    for (int level = 0; level < ROLLUP_LEVELS; level++)
        note_change(rollups, (enum rollup_level)level, start_ms);
}

/* What was counted while nobody read the meter is converted with the factors of the reading after. */
static int note_factors(struct rollup_writer *rollups, int64_t wall_ms)
{
    char sql[100];
    int64_t start_ms = wall_ms;
    (void)snprintf(sql, sizeof sql,
                   "SELECT coalesce(min(start_ms), %lld) FROM estimate WHERE key >= %lld",
                   (long long)wall_ms, (long long)key_make(wall_ms, 0));
    int code = sql_integer(rollups->db, sql, &start_ms);
    outbox_changes_note(&rollups->changes, OUTBOX_READINGS, key_make(wall_ms, 0));
    rollup_writer_spread(rollups, start_ms < wall_ms ? start_ms : wall_ms);
    return code;
}

static int set_back(struct rollup_writer *rollups, enum outbox_level level, int64_t least_key)
{
    char sql[120];
    int64_t cursor = least_key > 0 ? least_key - 1 : 0;
    (void)snprintf(sql, sizeof sql,
                   "UPDATE sink SET cursor = %lld WHERE level = %d AND cursor > %lld",
                   (long long)cursor, (int)level, (long long)cursor);
    return sql_run(rollups->db, sql);
}

int rollup_writer_set_back(struct rollup_writer *rollups)
{
    int code = SQLITE_OK;
    for (int level = 0; level < OUTBOX_LEVELS && code == SQLITE_OK; level++)
        if (rollups->changes.minimum[level] != INT64_MAX)
            code = set_back(rollups, (enum outbox_level)level, rollups->changes.minimum[level]);
    return code;
}

void rollup_writer_ended(struct rollup_writer *rollups, bool committed)
{
    if (committed)
        outbox_changes_add(&rollups->committed, &rollups->changes);
    rollups->changes = OUTBOX_NO_CHANGES;
}

void rollup_writer_take_changes(struct rollup_writer *rollups, struct outbox_changes *changes)
{
    *changes = rollups->committed;
    rollups->committed = OUTBOX_NO_CHANGES;
}

/* ---- the zone of days ---- */

/* Days whose quarters are still there are made again; *done_ms is where. Those before stay as they
 * are: nothing is left that they could be made of. The first new one may begin within a day. */
static int drop_days(struct rollup_writer *rollups, int64_t *done_ms)
{
    sqlite3 *db = rollups->db;
    int64_t first_day_ms;
    int64_t first_quarter_ms;
    int code = end_row_ms(db, "rollup_day", false, &first_day_ms);
    if (code == SQLITE_OK)
        code = end_row_ms(db, "rollup_quarter", false, &first_quarter_ms);
    *done_ms = 0;
    if (code != SQLITE_OK || first_day_ms < 0)
        return code;
    char sql[160];
    int64_t cut = 0;
    if (first_quarter_ms < 0 || first_day_ms + 2 * ROLLUP_QUARTER_MS * 96 < first_quarter_ms) {
        (void)snprintf(sql, sizeof sql,
                       "SELECT coalesce(min(key), %lld) FROM rollup_day WHERE key >= %lld",
                       (long long)INT64_MAX, (long long)key_make(first_quarter_ms, 0));
        code = sql_integer(db, sql, &cut);
        cut = cut / (CHANNEL_NUMBER_MAX + 1) * (CHANNEL_NUMBER_MAX + 1);
        *done_ms = key_time_ms(cut);
    }
    (void)snprintf(sql, sizeof sql, "DELETE FROM rollup_day WHERE key >= %lld", (long long)cut);
    outbox_changes_note(&rollups->changes, OUTBOX_DAYS, cut);
    return code == SQLITE_OK ? sql_run(db, sql) : code;
}

static int follow_zone(struct rollup_writer *rollups)
{
    char wanted[BUCKET_ZONE_SIZE];
    char found[BUCKET_ZONE_SIZE];
    bool known;
    bucket_zone(wanted);
    int code = meta_get(rollups->db, "time_zone", found, sizeof found, &known);
    if (code != SQLITE_OK || (known && strcmp(wanted, found) == 0))
        return code;
    code = meta_put(rollups->db, "time_zone", wanted);
    if (code == SQLITE_OK && known)
        code = drop_days(rollups, &rollups->done_ms[ROLLUP_DAY]);
    return code;
}

/* ---- how far ---- */

static int load(struct rollup_writer *rollups)
{
    if (rollups->loaded)
        return SQLITE_OK;
    int code = SQLITE_OK;
    for (int level = 0; level < ROLLUP_LEVELS && code == SQLITE_OK; level++) {
        int64_t last_ms = -1;
        code = end_row_ms(rollups->db, rollup_table((enum rollup_level)level), true, &last_ms);
        rollups->done_ms[level] = last_ms < 0 ? 0 : end_of((enum rollup_level)level, last_ms);
    }
    if (code == SQLITE_OK)
        code = follow_zone(rollups);
    rollups->loaded = code == SQLITE_OK;
    rollups->advanced = false;
    return code;
}

int rollup_writer_done_ms(struct rollup_writer *rollups, enum rollup_level level, int64_t *done_ms)
{
    int code = load(rollups);
    *done_ms = rollups->done_ms[level];
    return code;
}

/* ---- making rows ---- */

struct target {
    struct rollup_writer *rollups;
    unsigned number; /* 0: every channel */
};

static int put_minute(void *context, const struct rollup_row *row)
{
    const struct target *target = context;
    if (target->number != 0 && row->number != target->number)
        return SQLITE_OK;
    return rollup_put(target->rollups->put[ROLLUP_MINUTE], row);
}

static int make_minutes(struct rollup_writer *rollups, int64_t limit_ms, int64_t readings)
{
    struct target target = {.rollups = rollups};
    return minutes_run(rollups->minutes, rollups->done_ms[ROLLUP_MINUTE], limit_ms, readings,
                       put_minute, &target, &rollups->done_ms[ROLLUP_MINUTE]);
}

static int put_pile(struct rollup_writer *rollups, enum rollup_level level, struct pile *pile)
{
    if (!pile->begun)
        return SQLITE_OK;
    pile->begun = false;
    return rollup_put(rollups->put[level], &pile->row);
}

/* Adds a row of the level below to the one it belongs to in the bucket that begins at start_ms. */
static int pile_up(struct rollup_writer *rollups, enum rollup_level level, int64_t start_ms,
                   const struct rollup_row *part)
{
    struct pile *pile = pile_of(rollups, part->number);
    int code = conversion_at(&rollups->conversion, &pile->converted, part->start_ms);
    int64_t since_ms = pile->converted.since_ms;
    int64_t row_ms = since_ms > start_ms ? since_ms : start_ms;
    if (code == SQLITE_OK && pile->begun && pile->row.start_ms != row_ms)
        code = put_pile(rollups, level, pile);
    if (!pile->begun)
        pile->row = (struct rollup_row){.start_ms = row_ms, .number = part->number};
    pile->begun = true;
    rollup_merge(&pile->row, part);
    return code;
}

static int add_peak(struct rollup_writer *rollups, const struct rollup_row *part)
{
    if (!part->device_known) /* it has no other channel, or its sum was not known then */
        return SQLITE_OK;
    struct pile *pile = pile_of(rollups, part->number);
    int code = SQLITE_OK;
    if (pile->channels == 0)
        code =
            conversion_device(&rollups->conversion, part->number, &pile->device, &pile->channels);
    if (code == SQLITE_OK)
        code = conversion_at(&rollups->conversion, &pile->converted, part->start_ms);
    if (code == SQLITE_OK)
        peaks_add(&rollups->peaks, pile->device, part,
                  conversion_mw_per_raw(&pile->converted.calibration));
    return code;
}

/* Makes one bucket's rows, of one channel or (0) of all. */
static int make_bucket(struct rollup_writer *rollups, enum rollup_level level, int64_t start_ms,
                       int64_t end_ms, unsigned number, int64_t *rows)
{
    sqlite3_stmt *parts = rollups->range[level - 1];
    bind_range(parts, start_ms, end_ms);
    int code = SQLITE_OK;
    int step = SQLITE_DONE;
    peaks_begin(&rollups->peaks);
    while (code == SQLITE_OK && (step = sqlite3_step(parts)) == SQLITE_ROW) {
        struct rollup_row part;
        rollup_read(parts, true, &part);
        (*rows)++;
        code = add_peak(rollups, &part);
        if (code == SQLITE_OK && (number == 0 || part.number == number))
            code = pile_up(rollups, level, start_ms, &part);
    }
    peaks_end(&rollups->peaks);
    (void)sqlite3_reset(parts);
    if (code == SQLITE_OK && step != SQLITE_DONE)
        code = step;
    for (size_t i = 0; i < rollups->count && code == SQLITE_OK; i++) {
        peaks_give(&rollups->peaks, &rollups->piles[i].row);
        code = put_pile(rollups, level, &rollups->piles[i]);
    }
    return code;
}

/* The first row of the level below from from_ms on, -1 if there is none before to_ms. */
static int next_part(struct rollup_writer *rollups, enum rollup_level level, int64_t from_ms,
                     int64_t to_ms, int64_t *found_ms)
{
    sqlite3_stmt *parts = rollups->range[level - 1];
    bind_range(parts, from_ms, to_ms);
    int code = sqlite3_step(parts);
    *found_ms = code == SQLITE_ROW ? key_time_ms(sqlite3_column_int64(parts, 0)) : -1;
    (void)sqlite3_reset(parts);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int combine(struct rollup_writer *rollups, enum rollup_level level, int64_t limit_ms,
                   int64_t *rows)
{
    int64_t *done_ms = &rollups->done_ms[level];
    int code = SQLITE_OK;
    while (code == SQLITE_OK && *done_ms<limit_ms && * rows> 0) {
        int64_t found_ms;
        code = next_part(rollups, level, *done_ms, limit_ms, &found_ms);
        if (code != SQLITE_OK || found_ms < 0) {
            *done_ms = limit_ms;
            break;
        }
        int64_t start_ms = start_of(level, found_ms);
        int64_t end_ms = end_of(level, found_ms);
        int64_t used = 0;
        code = make_bucket(rollups, level, start_ms > *done_ms ? start_ms : *done_ms, end_ms, 0,
                           &used);
        *done_ms = end_ms;
        *rows -= used;
    }
    return code;
}

static int newest_ms(struct rollup_writer *rollups, int64_t *ms)
{
    return end_row_ms(rollups->db, "reading", true, ms);
}

/* A late reading may have made a row of a time that was not over. A writer that begins makes it again, once what it
 * is made of is there. Only the last one, as older rows may have outlived what they were made of. */
static void make_again(struct rollup_writer *rollups)
{
    if (rollups->advanced)
        return;
    rollups->advanced = true;
    for (int level = ROLLUP_QUARTER; level < ROLLUP_LEVELS; level++) {
        int64_t start_ms = start_of((enum rollup_level)level, rollups->done_ms[level - 1]);
        if (start_ms < rollups->done_ms[level] &&
            end_of((enum rollup_level)level, start_ms) >= rollups->done_ms[level])
            rollups->done_ms[level] = start_ms;
    }
}

int rollup_writer_advance(struct rollup_writer *rollups, int64_t rows, bool *more)
{
    *more = false;
    int64_t last_ms = -1;
    int code = load(rollups);
    if (code == SQLITE_OK)
        code = newest_ms(rollups, &last_ms);
    if (code != SQLITE_OK || last_ms < GRACE_MS)
        return code;
    make_again(rollups);
    int64_t *done_ms = rollups->done_ms;
    int64_t limit_ms = floor_to(last_ms - GRACE_MS, ROLLUP_MINUTE_MS);
    if (done_ms[ROLLUP_MINUTE] < limit_ms)
        code = make_minutes(rollups, limit_ms, rows);
    int64_t quarter_ms = floor_to(done_ms[ROLLUP_MINUTE], ROLLUP_QUARTER_MS);
    if (code == SQLITE_OK && done_ms[ROLLUP_QUARTER] < quarter_ms)
        code = combine(rollups, ROLLUP_QUARTER, quarter_ms, &rows);
    /* A day has 96 quarters: only at a quarter that was just made can one be over. */
    int64_t day_ms = done_ms[ROLLUP_QUARTER] > done_ms[ROLLUP_DAY]
                         ? bucket_start(BUCKET_DAY, done_ms[ROLLUP_QUARTER])
                         : 0;
    if (code == SQLITE_OK && done_ms[ROLLUP_DAY] < day_ms)
        code = combine(rollups, ROLLUP_DAY, day_ms, &rows);
    *more = done_ms[ROLLUP_MINUTE] < limit_ms || done_ms[ROLLUP_QUARTER] < quarter_ms ||
            done_ms[ROLLUP_DAY] < day_ms;
    return code;
}

/* ---- what comes late ---- */

static void set_quantity(struct rollup_quantity *quantity, bool present, int64_t value)
{
    if (present)
        *quantity = (struct rollup_quantity){.count = 1, .sum = value, .min = value, .max = value};
}

/* How long a reading that came late stood is only known from the late ones before it. */
static struct rollup_row row_of(struct pile *pile, int64_t at_ms, const struct reading *reading,
                                int64_t imported, int64_t exported)
{
    struct rollup_row row = {
        .number = pile->converted.number, .imported = imported, .exported = exported, .samples = 1};
    int64_t time_ms = at_ms - pile->late_ms;
    pile->late_ms = at_ms;
    row.covered_ms = time_ms > 0 && time_ms <= LATE_REACH_MS ? time_ms : 1;
    if ((reading->present & READING_POWER) != 0) {
        row.power_covered_ms = row.covered_ms;
        row.power_min = row.power_max = reading->power;
        if (__builtin_mul_overflow(reading->power, row.covered_ms, &row.power_ms))
            row.power_ms = reading->power < 0 ? INT64_MIN : INT64_MAX;
    }
    set_quantity(&row.voltage, (reading->present & READING_VOLTAGE) != 0, reading->voltage);
    set_quantity(&row.current, (reading->present & READING_CURRENT) != 0, reading->current);
    set_quantity(&row.frequency, (reading->present & READING_FREQUENCY) != 0, reading->frequency);
    return row;
}

static int add_late(struct rollup_writer *rollups, enum rollup_level level, int64_t at_ms,
                    int64_t since_ms, int64_t until_ms, const struct rollup_row *more)
{
    int64_t start_ms = start_of(level, at_ms);
    int64_t end_ms = end_of(level, at_ms);
    start_ms = since_ms > start_ms ? since_ms : start_ms;
    end_ms = until_ms < end_ms ? until_ms : end_ms;
    sqlite3_stmt *before = rollups->before[level];
    bind_range(before, start_ms, at_ms + 1);
    (void)sqlite3_bind_int64(before, 3, more->number);
    struct rollup_row row = {.start_ms = start_ms, .number = more->number};
    int code = sqlite3_step(before);
    if (code == SQLITE_ROW)
        rollup_read(before, true, &row);
    (void)sqlite3_reset(before);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return code;
    rollup_merge(&row, more);
    if (row.covered_ms > end_ms - row.start_ms) /* the clock showed this time before */
        row.covered_ms = end_ms - row.start_ms;
    return rollup_put(rollups->put[level], &row);
}

int rollup_writer_note(struct rollup_writer *rollups, unsigned number, int64_t at_ms,
                       const struct reading *reading, int64_t imported, int64_t exported)
{
    int code = load(rollups);
    if (code != SQLITE_OK || at_ms >= rollups->done_ms[ROLLUP_MINUTE])
        return code;
    struct pile *pile = pile_of(rollups, number);
    struct converted at = {.number = number, .kind = READING_BL0942};
    code = conversion_at(&rollups->conversion, &at, at_ms);
    const struct rollup_row more = row_of(pile, at_ms, reading, imported, exported);
    for (int level = 0; level < ROLLUP_LEVELS && code == SQLITE_OK; level++) {
        if (at_ms >= rollups->done_ms[level])
            continue;
        note_change(rollups, (enum rollup_level)level, at_ms);
        code = add_late(rollups, (enum rollup_level)level, at_ms, at.since_ms, at.recalibrated_ms,
                        &more);
    }
    return code;
}

/* ---- cutting ---- */

int rollup_writer_round(struct rollup_writer *rollups, int64_t wall_ms, int64_t *rounded_ms)
{
    static const char *const finer[ROLLUP_LEVELS] = {"reading", "rollup_minute", "rollup_quarter"};
    *rounded_ms = wall_ms;
    int code = load(rollups);
    for (int level = 0; level < ROLLUP_LEVELS && code == SQLITE_OK; level++) {
        int64_t start_ms = start_of((enum rollup_level)level, *rounded_ms);
        int64_t kept_ms = -1;
        if (start_ms == *rounded_ms || *rounded_ms >= rollups->done_ms[level])
            continue;
        code = end_row_ms(rollups->db, finer[level], false, &kept_ms);
        if (kept_ms < 0 || start_ms < kept_ms)
            *rounded_ms = start_ms;
    }
    return code;
}

static int remake_minute(struct rollup_writer *rollups, unsigned number, int64_t start_ms)
{
    struct target target = {.rollups = rollups, .number = number};
    int64_t reached_ms;
    return minutes_run(rollups->minutes, start_ms, start_ms + ROLLUP_MINUTE_MS, INT64_MAX,
                       put_minute, &target, &reached_ms);
}

int rollup_writer_changed(struct rollup_writer *rollups, int64_t wall_ms)
{
    rollup_writer_forget(rollups);
    int code = load(rollups);
    return code == SQLITE_OK ? note_factors(rollups, wall_ms) : code;
}

int rollup_writer_cut(struct rollup_writer *rollups, unsigned number, int64_t wall_ms)
{
    int code = rollup_writer_changed(rollups, wall_ms);
    for (int level = 0; level < ROLLUP_LEVELS && code == SQLITE_OK; level++) {
        enum rollup_level which = (enum rollup_level)level;
        int64_t start_ms = start_of(which, wall_ms);
        int64_t end_ms = end_of(which, wall_ms);
        if (start_ms == wall_ms || wall_ms >= rollups->done_ms[level])
            continue;
        sqlite3_stmt *drop = rollups->drop[level];
        bind_range(drop, start_ms, end_ms);
        (void)sqlite3_bind_int64(drop, 3, number);
        code = sqlite3_step(drop);
        code = code == SQLITE_DONE ? SQLITE_OK : code;
        (void)sqlite3_reset(drop);
        int64_t rows = 0;
        if (code == SQLITE_OK && which == ROLLUP_MINUTE)
            code = remake_minute(rollups, number, start_ms);
        else if (code == SQLITE_OK)
            code = make_bucket(rollups, which, start_ms, end_ms, number, &rows);
    }
    rollup_writer_forget(rollups);
    return code;
}
