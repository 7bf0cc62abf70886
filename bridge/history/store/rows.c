/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/rows.h"

#include "bridge/history/store/meta.h"
#include "bridge/history/store/rollup_writer.h"
#include "bridge/history/store/samples.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

/* How far a taken key is moved before the transaction fails: 17 minutes in steps of a millisecond. */
#define KEY_TRIES 1000000
#define KEY_STEP ((int64_t)1 << CHANNEL_NUMBER_BITS)

#define ESTIMATE_MIN_MS INT64_C(60000)
#define ESTIMATE_MAX_MS (INT64_C(366) * 86400000)

/* What is aggregated in one transaction: some hundredths of a second. */
#define ROLL_ROWS 10000

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    PUT_CHANNEL,
    RENAME_SERIES,
    PUT_CALIBRATION,
    PUT_SAMPLE,
    PUT_COUNTER,
    PUT_EXPORTED,
    PUT_ESTIMATE,
    PUT_EVENT,
    PUT_TOTAL,
    PUT_OUTBOX,
    STATEMENTS,
};

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [PUT_CHANNEL] = "INSERT INTO channel (number, device, channel, kind) VALUES (?1, ?2, ?3, ?4) "
                    "ON CONFLICT (number) DO UPDATE SET device = excluded.device",
    [RENAME_SERIES] = "UPDATE OR IGNORE foreign_series SET device = ?2 WHERE channel = ?3 AND "
                      "device = (SELECT device FROM channel WHERE number = ?1 AND device <> ?2)",
    [PUT_CALIBRATION] = "INSERT INTO calibration (id, channel, valid_from_ms, voltage, current, "
                        "power, invert, origin) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
                        "ON CONFLICT (id) DO NOTHING",
    [PUT_SAMPLE] = "INSERT INTO sample (key, voltage, current, power, frequency, counted) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    /* The reading before may have been deleted meanwhile. */
    [PUT_COUNTER] = "INSERT OR REPLACE INTO sample_counter (key, energy) SELECT ?1, ?2 "
                    "WHERE EXISTS (SELECT 1 FROM sample WHERE key = ?1)",
    [PUT_EXPORTED] = "INSERT OR REPLACE INTO sample_exported (key, exported) VALUES (?1, ?2)",
    [PUT_ESTIMATE] = "INSERT OR REPLACE INTO estimate (key, start_ms, imported, exported) "
                     "VALUES (?1, ?2, ?3, ?4)",
    [PUT_EVENT] = "INSERT INTO event (key, kind, message) VALUES (?1, ?2, ?3)",
    [PUT_TOTAL] = "INSERT INTO total (channel, calibration, known, counter, counter_wall_ms, "
                  "counter_boot_ms, boot_id, imported, exported, base_imported_uwh, "
                  "base_exported_uwh) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
                  "ON CONFLICT (channel) DO UPDATE SET calibration = ?2, known = ?3, counter = ?4, "
                  "counter_wall_ms = ?5, counter_boot_ms = ?6, boot_id = ?7, imported = ?8, "
                  "exported = ?9, base_imported_uwh = ?10, base_exported_uwh = ?11",
    [PUT_OUTBOX] =
        "INSERT OR REPLACE INTO sink (id, level, cursor, refused) VALUES (?1, ?2, ?3, ?4)",
};

/* A stretch of keys of one channel that are known to be taken, one in each millisecond. */
struct taken {
    int64_t first;
    int64_t next; /* the first that is free; 0: nothing is known */
};

/* By channel number. */
struct taken_list {
    struct taken *list;
    size_t capacity;
};

struct rows {
    sqlite3 *db;
    bool marked;        /* this connection has said that the file is in use */
    bool uncredited;    /* as it was put last */
    bool word;          /* the file may have one */
    bool clock_awaited; /* as it was put last */
    sqlite3_stmt *statements[STATEMENTS];
    struct rollup_writer *rollups;
    struct sample_counters counters;
    struct taken_list samples, events;
    bool behind; /* more is over than is aggregated */
};

static void add_calibration(struct batch *batch, unsigned number,
                            const struct known_calibration *calibration)
{
    batch->calibrations[batch->calibration_count++] =
        (struct calibration_row){.number = number, .calibration = *calibration};
}

void batch_take_calibrations(struct batch *batch, const struct channels *channels)
{
    free(batch->calibrations);
    batch->calibrations = memory_new(2 * channels->count, sizeof *batch->calibrations);
    batch->calibration_count = 0;
    for (size_t i = 0; i < channels->count; i++) {
        const struct known_channel *channel = &channels->list[i];
        bool same = channel->recorded.id == channel->configured.id;
        if (!channel->configured_stored && channel->configured.id != 0 && !same)
            add_calibration(batch, channel->number, &channel->configured);
        if (!channel->recorded_stored && channel->recorded.id != 0)
            add_calibration(batch, channel->number, &channel->recorded);
    }
}

void batch_calibrations_stored(const struct batch *batch, struct channels *channels)
{
    for (size_t i = 0; i < batch->calibration_count; i++) {
        struct known_channel *channel = channels_find(channels, batch->calibrations[i].number);
        int64_t id = batch->calibrations[i].calibration.id;
        if (channel->recorded.id == id)
            channel->recorded_stored = true;
        if (channel->configured.id == id)
            channel->configured_stored = true;
    }
}

int rows_open(sqlite3 *db, struct rows **rows)
{
    *rows = NULL;
    struct rows *made = memory_new(1, sizeof *made);
    made->db = db;
    for (int i = 0; i < STATEMENTS; i++) {
        int code = sql_prepare(db, texts[i], &made->statements[i]);
        if (code == SQLITE_OK)
            continue;
        rows_close(made);
        return code;
    }
    int code = rollup_writer_open(db, &made->rollups);
    if (code == SQLITE_OK)
        *rows = made;
    else
        rows_close(made);
    return code;
}

void rows_close(struct rows *rows)
{
    if (rows == NULL)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        (void)sqlite3_finalize(rows->statements[i]);
    rollup_writer_close(rows->rollups);
    sample_counters_free(&rows->counters);
    free(rows->samples.list);
    free(rows->events.list);
    free(rows);
}

/* Runs a statement to its end and makes it ready for the next time. */
static int run(struct rows *rows, enum statement which)
{
    sqlite3_stmt *statement = rows->statements[which];
    int code = sqlite3_step(statement);
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

static bool is_key_taken(int code)
{
    return code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_ROWID;
}

static struct taken *taken_by(struct taken_list *taken, unsigned number)
{
    while (taken->capacity <= number) {
        size_t before = taken->capacity;
        taken->list = memory_grow(taken->list, before, &taken->capacity, sizeof *taken->list);
        memset(&taken->list[before], 0, (taken->capacity - before) * sizeof *taken->list);
    }
    return &taken->list[number];
}

/* The statement's first parameter is a key; everything else is bound. *at receives the first free key
 * from `key` on, in steps of one millisecond. What was found taken before is not tried again. */
static int run_at_free_key(struct rows *rows, enum statement which, struct taken *taken,
                           int64_t key, int64_t *at)
{
    sqlite3_stmt *statement = rows->statements[which];
    bool known = key >= taken->first && key <= taken->next && taken->next > 0;
    int code = SQLITE_OK;
    *at = known ? taken->next : key;
    for (int tries = 0; tries < KEY_TRIES; tries++) {
        (void)sqlite3_bind_int64(statement, 1, *at);
        code = run(rows, which);
        if (!is_key_taken(code) || __builtin_add_overflow(*at, KEY_STEP, at))
            break;
    }
    if (code != SQLITE_OK)
        return code;
    if (!known)
        taken->first = key;
    taken->next = *at + KEY_STEP;
    return SQLITE_OK;
}

/* Binds cannot fail but for lack of memory and a wrong index; both would show in the next step. */
static void bind_integer(sqlite3_stmt *statement, int index, bool present, int64_t value)
{
    if (present)
        (void)sqlite3_bind_int64(statement, index, value);
    else
        (void)sqlite3_bind_null(statement, index);
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    (void)sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static int put_pair(struct rows *rows, enum statement which, int64_t key, int64_t value)
{
    bind_integer(rows->statements[which], 1, true, key);
    bind_integer(rows->statements[which], 2, true, value);
    return run(rows, which);
}

static int put_counter(struct rows *rows, const struct queued_reading *item, int64_t key)
{
    const struct sample_kept kept =
        sample_counters_note(&rows->counters, item->kind, key, &item->reading);
    int code = SQLITE_OK;
    if (kept.before)
        code = put_pair(rows, PUT_COUNTER, kept.before_key, kept.before_energy);
    if (kept.this_one && code == SQLITE_OK)
        code = put_pair(rows, PUT_COUNTER, key, item->reading.energy);
    return code;
}

/* What a wrong clock would make an absence of years is none. */
static int put_estimate(struct rows *rows, const struct queued_reading *item, int64_t key)
{
    int64_t start_ms = item->counted_since_ms > 0 ? item->counted_since_ms
                                                  : key_time_ms(key) - item->counted_for_ms;
    int64_t length_ms = key_time_ms(key) - start_ms;
    bool any = item->counted_since_ms > 0 || item->counted_for_ms > 0;
    if (!any || length_ms < ESTIMATE_MIN_MS || length_ms > ESTIMATE_MAX_MS)
        return SQLITE_OK;
    sqlite3_stmt *statement = rows->statements[PUT_ESTIMATE];
    bind_integer(statement, 1, true, key);
    bind_integer(statement, 2, true, start_ms);
    bind_integer(statement, 3, true, item->imported);
    bind_integer(statement, 4, true, item->exported);
    rollup_writer_spread(rows->rollups, start_ms);
    return run(rows, PUT_ESTIMATE);
}

static int put_reading(struct rows *rows, const struct queued_reading *item)
{
    sqlite3_stmt *statement = rows->statements[PUT_SAMPLE];
    const struct reading *reading = &item->reading;
    bind_integer(statement, 2, (reading->present & READING_VOLTAGE) != 0, reading->voltage);
    bind_integer(statement, 3, (reading->present & READING_CURRENT) != 0, reading->current);
    bind_integer(statement, 4, (reading->present & READING_POWER) != 0, reading->power);
    bind_integer(statement, 5, (reading->present & READING_FREQUENCY) != 0,
                 reading->frequency - SAMPLE_FREQUENCY);
    bind_integer(statement, 6, true,
                 sample_counted(item->imported, item->exported, reading->flags));
    int64_t key = 0;
    int code = run_at_free_key(rows, PUT_SAMPLE, taken_by(&rows->samples, item->number),
                               key_make(reading->wall_ms, item->number), &key);
    if (code == SQLITE_OK && item->imported > 0 && item->exported > 0)
        code = put_pair(rows, PUT_EXPORTED, key, item->exported);
    if (code == SQLITE_OK)
        code = put_counter(rows, item, key);
    if (code == SQLITE_OK)
        code = put_estimate(rows, item, key);
    if (code != SQLITE_OK)
        return code;
    return rollup_writer_note(rows->rollups, item->number, key_time_ms(key), reading,
                              item->imported, item->exported);
}

static int put_event(struct rows *rows, const struct queued_event *event)
{
    sqlite3_stmt *statement = rows->statements[PUT_EVENT];
    bind_text(statement, 2, event->kind);
    bind_text(statement, 3, event->message);
    int64_t key = 0;
    return run_at_free_key(rows, PUT_EVENT, taken_by(&rows->events, event->number),
                           key_make(event->wall_ms, event->number), &key);
}

static int put_channel(struct rows *rows, const struct known_channel *channel)
{
    sqlite3_stmt *statement = rows->statements[RENAME_SERIES];
    bind_integer(statement, 1, true, channel->number);
    bind_text(statement, 2, channel->device);
    bind_text(statement, 3, channel->channel);
    int code = run(rows, RENAME_SERIES);
    if (code != SQLITE_OK)
        return code;
    statement = rows->statements[PUT_CHANNEL];
    bind_integer(statement, 1, true, channel->number);
    bind_text(statement, 2, channel->device);
    bind_text(statement, 3, channel->channel);
    bind_integer(statement, 4, true, channel->kind);
    return run(rows, PUT_CHANNEL);
}

/* Two calibrations cannot hold from the same millisecond: the later recorded moves on by one. */
static int put_calibration(struct rows *rows, unsigned number,
                           const struct known_calibration *calibration)
{
    sqlite3_stmt *statement = rows->statements[PUT_CALIBRATION];
    bind_integer(statement, 1, true, calibration->id);
    bind_integer(statement, 2, true, number);
    (void)sqlite3_bind_double(statement, 4, calibration->factors.voltage);
    (void)sqlite3_bind_double(statement, 5, calibration->factors.current);
    (void)sqlite3_bind_double(statement, 6, calibration->factors.power);
    bind_integer(statement, 7, true, calibration->invert ? 1 : 0);
    bind_integer(statement, 8, true, calibration->origin);
    int code = SQLITE_OK;
    for (int64_t later = 0; later < 1000; later++) {
        bind_integer(statement, 3, true, calibration->valid_from_ms + later);
        code = run(rows, PUT_CALIBRATION);
        /* The clock may have been set back into a time that is over. Rows that were cut there already
         * must be left alone: what they were made of may be deleted. */
        if (code == SQLITE_OK)
            return sqlite3_changes(rows->db) == 0
                       ? SQLITE_OK
                       : rollup_writer_cut(rows->rollups, number,
                                           calibration->valid_from_ms + later);
        if (code != SQLITE_CONSTRAINT_UNIQUE)
            return code;
    }
    return code;
}

static int put_total(struct rows *rows, const struct total_row *total)
{
    sqlite3_stmt *statement = rows->statements[PUT_TOTAL];
    const struct energy_state *state = &total->state;
    if (!rows->marked && total->counted.id != 0) { /* a fresh file does not have it */
        int code = put_calibration(rows, total->number, &total->counted);
        if (code != SQLITE_OK)
            return code;
    }
    bind_integer(statement, 1, true, total->number);
    bind_integer(statement, 2, total->counted.id != 0, total->counted.id);
    bind_integer(statement, 3, true, state->known ? 1 : 0);
    bind_integer(statement, 4, true, state->counter);
    bind_integer(statement, 5, true, state->counter_wall_ms);
    bind_integer(statement, 6, true, state->counter_boot_ms);
    bind_text(statement, 7, state->boot_id);
    bind_integer(statement, 8, true, state->imported);
    bind_integer(statement, 9, true, state->exported);
    bind_integer(statement, 10, true, state->base_imported_uwh);
    bind_integer(statement, 11, true, state->base_exported_uwh);
    return run(rows, PUT_TOTAL);
}

static int put_outbox(struct rows *rows, const struct outbox *outbox)
{
    sqlite3_stmt *statement = rows->statements[PUT_OUTBOX];
    bind_text(statement, 1, outbox->id);
    bind_integer(statement, 2, true, outbox->level);
    bind_integer(statement, 3, true, outbox->cursor);
    bind_integer(statement, 4, true, outbox->refused);
    return run(rows, PUT_OUTBOX);
}

static int put_all(struct rows *rows, struct channels *channels, const struct batch *batch)
{
    int code = SQLITE_OK;
    for (size_t i = 0; i < channels->count && code == SQLITE_OK; i++) {
        const struct known_channel *channel = &channels->list[i];
        if (!channel->stored)
            code = put_channel(rows, channel);
    }
    for (size_t i = 0; i < batch->calibration_count && code == SQLITE_OK; i++)
        code = put_calibration(rows, batch->calibrations[i].number,
                               &batch->calibrations[i].calibration);
    for (size_t i = 0; i < batch->readings.count && code == SQLITE_OK; i++)
        code = put_reading(rows, ring_at(&batch->readings, i));
    for (size_t i = 0; i < batch->events.count && code == SQLITE_OK; i++)
        code = put_event(rows, &batch->events.items[i]);
    for (size_t i = 0; i < batch->total_count && code == SQLITE_OK; i++)
        code = put_total(rows, &batch->totals[i]);
    for (size_t i = 0; i < batch->outbox_count && code == SQLITE_OK; i++)
        code = put_outbox(rows, &batch->outboxes[i]);
    return code;
}

/* Only what has changed: they are rows that hardly ever are there. */
static int put_facts(struct rows *rows, const struct batch *batch)
{
    int code = SQLITE_OK;
    const char *uncredited = batch->uncredited == NULL ? "" : batch->uncredited;
    if (!rows->marked || uncredited[0] != '\0' || rows->uncredited)
        code = meta_put_uncredited(rows->db, uncredited);
    if (code == SQLITE_OK && (!rows->marked || batch->clock_awaited != rows->clock_awaited))
        code = meta_mark_clock_awaited(rows->db, batch->clock_awaited);
    bool word = batch->word[0] != '\0';
    if (code == SQLITE_OK && (!rows->marked || word || rows->word))
        code = meta_put_word(rows->db, batch->word);
    rows->uncredited = uncredited[0] != '\0';
    rows->word = word;
    rows->clock_awaited = batch->clock_awaited;
    return code;
}

static void forget_taken(struct taken_list *taken)
{
    if (taken->capacity > 0)
        memset(taken->list, 0, taken->capacity * sizeof *taken->list);
}

int rows_end(struct rows *rows, int code)
{
    if (code == SQLITE_OK)
        code = rollup_writer_set_back(rows->rollups);
    if (code == SQLITE_OK)
        code = run(rows, COMMIT);
    rollup_writer_ended(rows->rollups, code == SQLITE_OK);
    if (code == SQLITE_OK)
        return SQLITE_OK;
    if (!sqlite3_get_autocommit(rows->db))
        (void)run(rows, ROLLBACK);
    rows->behind = false;
    rows->uncredited = rows->word = true; /* whatever is there is written again */
    rollup_writer_forget(rows->rollups);
    sample_counters_forget(&rows->counters);
    forget_taken(&rows->samples);
    forget_taken(&rows->events);
    return code;
}

int rows_write(struct rows *rows, struct channels *channels, const struct batch *batch)
{
    int code = rows_begin(rows);
    if (code != SQLITE_OK)
        return code;
    if (!rows->marked)
        code = meta_mark_clean(rows->db, false);
    if (code == SQLITE_OK)
        code = put_all(rows, channels, batch);
    if (code == SQLITE_OK)
        code = put_facts(rows, batch);
    if (code == SQLITE_OK)
        code = rows_advance(rows);
    code = rows_end(rows, code);
    if (code != SQLITE_OK)
        return code;
    /* The mark must not be in the log alone: a log that is damaged or lost would take it along, and the
     * next opening would believe the old totals that are left. If this fails there is only the log. */
    if (!rows->marked)
        (void)sqlite3_wal_checkpoint_v2(rows->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    rows->marked = true;
    for (size_t i = 0; i < channels->count; i++)
        channels->list[i].stored = true;
    return SQLITE_OK;
}

int rows_write_known(struct rows *rows, struct channels *channels, struct batch *batch)
{
    batch->totals = memory_new(channels->count, sizeof *batch->totals);
    batch_take_calibrations(batch, channels);
    for (size_t i = 0; i < channels->count; i++) {
        const struct known_channel *channel = &channels->list[i];
        if (channel->dirty)
            batch->totals[batch->total_count++] = (struct total_row){
                .number = channel->number, .state = channel->state, .counted = channel->counted};
    }
    int code = rows_write(rows, channels, batch);
    free(batch->calibrations);
    free(batch->totals);
    batch->calibrations = NULL;
    batch->totals = NULL;
    batch->calibration_count = batch->total_count = 0;
    return code;
}

int rows_begin(struct rows *rows)
{
    return run(rows, BEGIN);
}

int rows_advance(struct rows *rows)
{
    return rollup_writer_advance(rows->rollups, ROLL_ROWS, &rows->behind);
}

sqlite3 *rows_db(struct rows *rows)
{
    return rows->db;
}

struct rollup_writer *rows_rollup_writer(struct rows *rows)
{
    return rows->rollups;
}

bool rows_behind(const struct rows *rows)
{
    return rows->behind;
}

static bool copy_text(sqlite3_stmt *statement, int column, char *text, size_t size)
{
    const unsigned char *found = sqlite3_column_text(statement, column);
    int length = sqlite3_column_bytes(statement, column);
    if (found == NULL || length < 0 || (size_t)length >= size)
        return false;
    memcpy(text, found, (size_t)length);
    text[length] = '\0';
    return true;
}

static int load_channels(sqlite3 *db, struct channels *channels)
{
    sqlite3_stmt *statement = NULL;
    int code =
        sqlite3_prepare_v2(db, "SELECT number, device, channel, kind FROM channel ORDER BY number",
                           -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        char device[CHANNEL_TEXT_MAX];
        char name[CHANNEL_TEXT_MAX];
        int64_t number = sqlite3_column_int64(statement, 0);
        code = SQLITE_OK;
        if (number < 1 || number > CHANNEL_NUMBER_MAX ||
            !copy_text(statement, 1, device, sizeof device) ||
            !copy_text(statement, 2, name, sizeof name)) {
            code = SQLITE_CORRUPT; /* this program never wrote such a row */
            continue;
        }
        struct known_channel *channel =
            channels_add(channels, (unsigned)number, device, name,
                         (enum reading_kind)sqlite3_column_int(statement, 3));
        if (channel == NULL || channel->number != (unsigned)number)
            code = SQLITE_CORRUPT;
        else
            channel->stored = true;
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Columns from `first` on: id, valid_from_ms, voltage, current, power, invert, origin. */
static struct known_calibration calibration_row(sqlite3_stmt *statement, int first)
{
    return (struct known_calibration){
        .id = sqlite3_column_int64(statement, first),
        .valid_from_ms = sqlite3_column_int64(statement, first + 1),
        .factors = {.voltage = sqlite3_column_double(statement, first + 2),
                    .current = sqlite3_column_double(statement, first + 3),
                    .power = sqlite3_column_double(statement, first + 4)},
        .invert = sqlite3_column_int(statement, first + 5) != 0,
        .origin = (enum calibration_origin)sqlite3_column_int(statement, first + 6),
    };
}

static int load_calibrations(sqlite3 *db, struct channels *channels)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db,
                                  "SELECT channel, id, valid_from_ms, voltage, current, power, "
                                  "invert, origin FROM calibration "
                                  "ORDER BY id",
                                  -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct known_channel *channel =
            channels_find(channels, (unsigned)sqlite3_column_int(statement, 0));
        code = SQLITE_OK;
        channels->last_calibration_id = sqlite3_column_int64(statement, 1);
        if (channel == NULL)
            continue; /* the channel's row was lost with an earlier, damaged file */
        channel->recorded = calibration_row(statement, 1); /* the last one stays */
        channel->recorded_stored = true;
        if (channel->recorded.origin == CALIBRATION_CONFIGURED) {
            channel->configured = channel->recorded;
            channel->configured_stored = true;
        }
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int load_totals(sqlite3 *db, struct channels *channels)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(
        db,
        "SELECT total.channel, known, counter, counter_wall_ms, counter_boot_ms, boot_id, "
        "imported, exported, base_imported_uwh, base_exported_uwh, "
        "id, valid_from_ms, voltage, current, power, invert, origin "
        "FROM total LEFT JOIN calibration ON calibration.id = total.calibration",
        -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct energy_state state = {
            .known = sqlite3_column_int(statement, 1) != 0,
            .counter = sqlite3_column_int64(statement, 2),
            .counter_wall_ms = sqlite3_column_int64(statement, 3),
            .counter_boot_ms = sqlite3_column_int64(statement, 4),
            .imported = sqlite3_column_int64(statement, 6),
            .exported = sqlite3_column_int64(statement, 7),
            .base_imported_uwh = sqlite3_column_int64(statement, 8),
            .base_exported_uwh = sqlite3_column_int64(statement, 9),
        };
        struct known_channel *channel =
            channels_find(channels, (unsigned)sqlite3_column_int(statement, 0));
        code = SQLITE_OK;
        if (!copy_text(statement, 5, state.boot_id, sizeof state.boot_id) ||
            !channels_state_plausible(&state))
            code = SQLITE_CORRUPT;
        if (channel == NULL || code != SQLITE_OK)
            continue;
        channel->state = state;
        channel->has_state = true;
        channel->counted = calibration_row(statement, 10);
        channels_stored(channel, &channel->state, &channel->counted);
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int rows_load(sqlite3 *db, struct channels *channels)
{
    int code = load_channels(db, channels);
    if (code == SQLITE_OK)
        code = load_calibrations(db, channels);
    if (code == SQLITE_OK)
        code = load_totals(db, channels);
    return code;
}

int rows_load_outboxes(sqlite3 *db, struct outboxes *outboxes)
{
    *outboxes = (struct outboxes){.writing = INT64_MAX};
    sqlite3_stmt *statement = NULL;
    int code =
        sqlite3_prepare_v2(db, "SELECT id, level, cursor, refused FROM sink", -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        char id[OUTBOX_ID_SIZE];
        code = SQLITE_OK;
        struct outbox *outbox =
            copy_text(statement, 0, id, sizeof id)
                ? outboxes_open(outboxes, id, (enum outbox_level)sqlite3_column_int(statement, 1),
                                sqlite3_column_int64(statement, 2))
                : NULL;
        if (outbox == NULL)
            continue; /* more than can be configured: long forgotten ones */
        outbox->refused = sqlite3_column_int64(statement, 3);
        outbox->dirty = false;
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int64_t batch_least_key(const struct batch *batch)
{
    int64_t minimum = INT64_MAX;
    for (size_t i = 0; i < batch->readings.count; i++) {
        const struct queued_reading *item = ring_at(&batch->readings, i);
        int64_t key = key_make(item->reading.wall_ms, item->number);
        minimum = key < minimum ? key : minimum;
    }
    return minimum;
}
