/* SPDX-License-Identifier: MIT */
#include "bridge/history/recalibrate.h"

#include "bridge/history/query/conversion.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/query/segments.h"
#include "bridge/history/query/time_text.h"
#include "bridge/history/store/lock.h"
#include "bridge/history/store/rows.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <string.h>

struct work {
    sqlite3 *db;
    struct rollup_writer *rollups;
    const struct history_recalibration *request;
    struct history_recalibrated *done;
    struct segments *segments;
    struct conversion conversion;
    enum reading_kind kind;
    int64_t last_ms; /* of the channel's readings */
    struct error *error;
};

/* A channel's energy from its first reading on, as far as it has been walked. */
struct sum {
    struct work *work;
    struct converted converted;
    int64_t imported_uwh, exported_uwh;
};

static int add_row(void *context, const struct rollup_row *row)
{
    struct sum *sum = context;
    struct converted *converted = &sum->converted;
    if (row->number != converted->number)
        return SQLITE_OK;
    int code = conversion_at(&sum->work->conversion, converted, row->start_ms);
    if (code != SQLITE_OK)
        return code;
    conversion_add(&sum->imported_uwh,
                   conversion_credit(converted, &converted->imported, row->imported));
    conversion_add(&sum->exported_uwh,
                   conversion_credit(converted, &converted->exported, row->exported));
    return SQLITE_OK;
}

static int sum_until(struct work *work, int64_t until_ms, struct sum *sum)
{
    *sum =
        (struct sum){.work = work, .converted = {.number = work->done->number, .kind = work->kind}};
    int code = segments_walk(work->segments, 0, until_ms, ROLLUP_DAY, add_row, sum);
    /* What holds from there on decides what the sum goes on with. */
    return code == SQLITE_OK ? conversion_at(&work->conversion, &sum->converted, until_ms) : code;
}

/* ---- which channel ---- */

static int mark_number(void *context, const struct rollup_row *row)
{
    bool *seen = context;
    seen[row->number] = true;
    return SQLITE_OK;
}

static sqlite3_stmt *numbers_of(struct work *work, int *code)
{
    sqlite3_stmt *statement = NULL;
    *code = sqlite3_prepare_v2(
        work->db,
        "SELECT number, kind FROM channel WHERE device = ?1 AND channel = ?2 ORDER BY number", -1,
        &statement, NULL);
    if (*code == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, work->request->device, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 2, work->request->channel, -1, SQLITE_STATIC);
    }
    return statement;
}

/* A channel that was read by several kinds of source has several numbers, with factors of their own. */
static int choose_number(struct work *work, int64_t since_ms, int64_t until_ms, int *found)
{
    bool *seen memory_auto = memory_new(CHANNEL_NUMBER_MAX + 1, sizeof *seen);
    int code = segments_walk(work->segments, since_ms, until_ms, ROLLUP_DAY, mark_number, seen);
    *found = 0;
    if (code != SQLITE_OK)
        return code;
    sqlite3_stmt *statement = numbers_of(work, &code);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t number = sqlite3_column_int64(statement, 0);
        code = SQLITE_OK;
        if (number < 1 || number > CHANNEL_NUMBER_MAX || !seen[number])
            continue;
        (*found)++;
        work->done->number = (unsigned)number;
        work->kind = (enum reading_kind)sqlite3_column_int(statement, 1);
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static enum status fail(struct work *work, int code)
{
    return sql_explain(code, work->db, sqlite3_db_filename(work->db, "main"), work->error);
}

static enum status find_number(struct work *work, int64_t since_ms, int64_t until_ms)
{
    const struct history_recalibration *request = work->request;
    int found = 0;
    int code = choose_number(work, since_ms, until_ms, &found);
    if (code != SQLITE_OK)
        return fail(work, code);
    if (found == 1)
        return STATUS_OK;
    if (found == 0)
        return error_set(work->error, STATUS_USAGE,
                         "The history has no readings of channel %.60s of device %.60s in that "
                         "time.",
                         request->channel, request->device);
    return error_set(work->error, STATUS_USAGE,
                     "Channel %.60s of device %.60s was read by two kinds of source in that time, "
                     "which have different factors. Recalibrate the time of each by itself.",
                     request->channel, request->device);
}

/* ---- the correction ---- */

/* The end is not after the last reading: what comes is measured with the factors in use. */
static enum status find_span(struct work *work)
{
    const struct history_recalibration *request = work->request;
    struct history_recalibrated *done = work->done;
    int64_t last = 0;
    int code = sql_integer(work->db, "SELECT coalesce(max(key), 0) FROM reading", &last);
    work->last_ms = key_time_ms(last);
    done->since_ms = request->since_ms < 0 ? 0 : request->since_ms;
    done->until_ms = request->until_ms <= work->last_ms ? request->until_ms : work->last_ms + 1;
    if (code == SQLITE_OK && done->since_ms >= done->until_ms)
        return error_set(work->error, STATUS_USAGE,
                         "There are no readings in that time: it ends before it begins, or begins "
                         "after the last reading.");
    int64_t since_ms = done->since_ms;
    int64_t until_ms = done->until_ms;
    if (code == SQLITE_OK)
        code = rollup_writer_round(work->rollups, since_ms, &done->since_ms);
    if (code == SQLITE_OK && until_ms <= work->last_ms)
        code = rollup_writer_round(work->rollups, until_ms, &done->until_ms);
    done->rounded = done->since_ms != since_ms || done->until_ms != until_ms;
    if (code != SQLITE_OK)
        return fail(work, code);
    if (done->since_ms >= done->until_ms)
        return error_set(work->error, STATUS_USAGE,
                         "Of that time only rows of minutes, quarters or days are left, and it "
                         "lies within one of them. Choose a longer time.");
    return STATUS_OK;
}

static int read_named(struct work *work, struct calibration *factors, bool *found)
{
    sqlite3_stmt *statement = NULL;
    *found = false;
    int code = sqlite3_prepare_v2(work->db,
                                  "SELECT voltage, current, power FROM calibration "
                                  "WHERE id = ?1 AND channel = ?2",
                                  -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, work->request->calibration_id);
        (void)sqlite3_bind_int64(statement, 2, work->done->number);
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW) {
        *found = true;
        factors->voltage = sqlite3_column_double(statement, 0);
        factors->current = sqlite3_column_double(statement, 1);
        factors->power = sqlite3_column_double(statement, 2);
        code = SQLITE_DONE;
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static enum status find_factors(struct work *work, struct calibration *factors)
{
    *factors = work->request->factors;
    if (work->request->calibration_id == 0)
        return STATUS_OK;
    bool found;
    int code = read_named(work, factors, &found);
    if (code != SQLITE_OK)
        return fail(work, code);
    if (!found)
        return error_set(work->error, STATUS_USAGE,
                         "The channel has no calibration number %lld in that time.",
                         (long long)work->request->calibration_id);
    return STATUS_OK;
}

static void bind_factor(sqlite3_stmt *statement, int index, double factor)
{
    if (factor > 0)
        (void)sqlite3_bind_double(statement, index, factor);
    else
        (void)sqlite3_bind_null(statement, index);
}

static int insert(struct work *work, const struct calibration *factors)
{
    struct history_recalibrated *done = work->done;
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(
        work->db,
        "INSERT INTO recalibration (channel, since_ms, until_ms, voltage, current, power, made_ms, "
        "imported_before_uwh, imported_after_uwh, exported_before_uwh, exported_after_uwh) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0, 0)",
        -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, done->number);
        (void)sqlite3_bind_int64(statement, 2, done->since_ms);
        (void)sqlite3_bind_int64(statement, 3, done->until_ms);
        bind_factor(statement, 4, factors->voltage);
        bind_factor(statement, 5, factors->current);
        bind_factor(statement, 6, factors->power);
        (void)sqlite3_bind_int64(statement, 7, clock_wall_ms());
        code = sqlite3_step(statement);
    }
    (void)sqlite3_finalize(statement);
    done->id = sqlite3_last_insert_rowid(work->db);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int update(struct work *work, const char *sql, const int64_t *values, size_t count)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(work->db, sql, -1, &statement, NULL);
    for (size_t i = 0; i < count && code == SQLITE_OK; i++)
        code = sqlite3_bind_int64(statement, (int)i + 1, values[i]);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int note_result(struct work *work)
{
    const struct history_recalibrated *done = work->done;
    const int64_t values[] = {done->id, done->imported_before_uwh, done->imported_after_uwh,
                              done->exported_before_uwh, done->exported_after_uwh};
    return update(work,
                  "UPDATE recalibration SET imported_before_uwh = ?2, imported_after_uwh = ?3, "
                  "exported_before_uwh = ?4, exported_after_uwh = ?5 WHERE id = ?1",
                  values, sizeof values / sizeof values[0]);
}

/* ---- undoing ---- */

static int read_last(struct work *work, bool *found)
{
    struct history_recalibrated *done = work->done;
    *found = false;
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(
        work->db,
        "SELECT recalibration.id, number, kind, since_ms, until_ms FROM recalibration JOIN channel "
        "ON number = recalibration.channel WHERE device = ?1 AND channel.channel = ?2 "
        "AND undone_ms IS NULL ORDER BY recalibration.id DESC LIMIT 1",
        -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, work->request->device, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 2, work->request->channel, -1, SQLITE_STATIC);
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW) {
        *found = true;
        done->id = sqlite3_column_int64(statement, 0);
        done->number = (unsigned)sqlite3_column_int(statement, 1);
        work->kind = (enum reading_kind)sqlite3_column_int(statement, 2);
        done->since_ms = sqlite3_column_int64(statement, 3);
        done->until_ms = sqlite3_column_int64(statement, 4);
        code = SQLITE_DONE;
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static enum status find_last(struct work *work)
{
    bool found = false;
    int64_t last = 0;
    int code = sql_integer(work->db, "SELECT coalesce(max(key), 0) FROM reading", &last);
    work->last_ms = key_time_ms(last);
    if (code == SQLITE_OK)
        code = read_last(work, &found);
    if (code != SQLITE_OK)
        return fail(work, code);
    if (!found)
        return error_set(work->error, STATUS_USAGE,
                         "There is no recalibration of channel %.60s of device %.60s to undo.",
                         work->request->channel, work->request->device);
    return STATUS_OK;
}

static int mark_undone(struct work *work)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(work->db, "UPDATE recalibration SET undone_ms = ?2 WHERE id = ?1",
                                  -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, work->done->id);
        (void)sqlite3_bind_int64(statement, 2, clock_wall_ms());
        code = sqlite3_step(statement);
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- energy and total ---- */

struct view {
    struct sum since, until, end;
};

static int look(struct work *work, struct view *view)
{
    int code = sum_until(work, work->done->since_ms, &view->since);
    if (code == SQLITE_OK)
        code = sum_until(work, work->done->until_ms, &view->until);
    if (code == SQLITE_OK)
        code = sum_until(work, work->last_ms + 1, &view->end);
    return code;
}

struct stored_total {
    bool any;
    struct energy_state state;
    int64_t held_imported_uwh, held_exported_uwh;
    struct calibration factors; /* under which its counts were counted */
};

/* A channel's total stands with the number that reads it now, which took over what others had. */
static int read_total(struct work *work, unsigned *number, struct stored_total *total)
{
    sqlite3_stmt *statement = NULL;
    *total = (struct stored_total){.any = false};
    int code = sqlite3_prepare_v2(
        work->db,
        "SELECT number, total.imported, total.exported, base_imported_uwh, base_exported_uwh, "
        "held_imported_uwh, held_exported_uwh, voltage, current, power FROM total "
        "JOIN channel ON number = total.channel LEFT JOIN calibration ON calibration.id = "
        "total.calibration WHERE device = ?1 AND channel.channel = ?2 "
        "ORDER BY counter_wall_ms DESC LIMIT 1",
        -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, work->request->device, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 2, work->request->channel, -1, SQLITE_STATIC);
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW) {
        total->any = true;
        *number = (unsigned)sqlite3_column_int(statement, 0);
        total->state.imported = sqlite3_column_int64(statement, 1);
        total->state.exported = sqlite3_column_int64(statement, 2);
        total->state.base_imported_uwh = sqlite3_column_int64(statement, 3);
        total->state.base_exported_uwh = sqlite3_column_int64(statement, 4);
        total->held_imported_uwh = sqlite3_column_int64(statement, 5);
        total->held_exported_uwh = sqlite3_column_int64(statement, 6);
        total->factors = (struct calibration){sqlite3_column_double(statement, 7),
                                              sqlite3_column_double(statement, 8),
                                              sqlite3_column_double(statement, 9)};
        code = SQLITE_DONE;
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* One direction of a total: what it becomes by a difference in energy. */
struct direction_total {
    int64_t counts, base_uwh, total_uwh, held_uwh;
};

static void move(struct direction_total *total, int64_t difference_uwh)
{
    int64_t corrected_uwh = total->total_uwh - total->held_uwh + difference_uwh;
    int64_t next_uwh = corrected_uwh > total->total_uwh ? corrected_uwh : total->total_uwh;
    total->base_uwh += next_uwh - total->total_uwh;
    total->held_uwh = next_uwh - corrected_uwh;
    total->total_uwh = next_uwh;
}

/* Counts since the factors in use hold: the same as the sum goes on with, so that what is converted
 * later is the same number. The total stays as it is. Not for one that was set to less than that. */
static void anchor(struct direction_total *total, int64_t counts, const struct calibration *factors,
                   enum reading_kind kind)
{
    int64_t base_uwh = total->total_uwh - calibration_energy_uwh(factors, kind, counts);
    if (base_uwh < 0)
        return;
    total->counts = counts;
    total->base_uwh = base_uwh;
}

static int write_total(struct work *work, unsigned number, const struct direction_total *imported,
                       const struct direction_total *exported)
{
    const int64_t values[] = {number,
                              imported->counts,
                              exported->counts,
                              imported->base_uwh,
                              exported->base_uwh,
                              imported->held_uwh < 0 ? 0 : imported->held_uwh,
                              exported->held_uwh < 0 ? 0 : exported->held_uwh};
    return update(
        work,
        "UPDATE total SET imported = ?2, exported = ?3, base_imported_uwh = ?4, "
        "base_exported_uwh = ?5, held_imported_uwh = ?6, held_exported_uwh = ?7 WHERE channel = ?1",
        values, sizeof values / sizeof values[0]);
}

static int correct_total(struct work *work, const struct view *before, const struct view *after)
{
    struct history_recalibrated *done = work->done;
    struct stored_total total;
    unsigned number = done->number;
    int code = read_total(work, &number, &total);
    if (code != SQLITE_OK || !total.any)
        return code;
    const struct energy_state old = total.state;
    struct direction_total imported = {old.imported, old.base_imported_uwh, old.base_imported_uwh,
                                       total.held_imported_uwh};
    struct direction_total exported = {old.exported, old.base_exported_uwh, old.base_exported_uwh,
                                       total.held_exported_uwh};
    bool counted = total.factors.power > 0;
    if (counted)
        energy_totals_uwh(&old, &total.factors, work->kind, &imported.total_uwh,
                          &exported.total_uwh);
    done->total_imported_before_uwh = imported.total_uwh;
    done->total_exported_before_uwh = exported.total_uwh;
    move(&imported, after->end.imported_uwh - before->end.imported_uwh);
    move(&exported, after->end.exported_uwh - before->end.exported_uwh);
    const struct converted *end = &after->end.converted;
    if (counted && number == done->number &&
        calibration_equal(&total.factors, &end->calibration.factors)) {
        anchor(&imported, end->imported, &total.factors, work->kind);
        anchor(&exported, end->exported, &total.factors, work->kind);
    }
    done->total_imported_after_uwh = imported.total_uwh;
    done->total_exported_after_uwh = exported.total_uwh;
    done->held_imported_uwh = imported.held_uwh;
    done->held_exported_uwh = exported.held_uwh;
    done->adjustment = (struct energy_adjustment){
        .imported = imported.counts - old.imported,
        .exported = exported.counts - old.exported,
        .base_imported_uwh = imported.base_uwh - old.base_imported_uwh,
        .base_exported_uwh = exported.base_uwh - old.base_exported_uwh,
        .total_imported_uwh = imported.total_uwh - done->total_imported_before_uwh,
        .total_exported_uwh = exported.total_uwh - done->total_exported_before_uwh,
    };
    done->number = number;
    return write_total(work, number, &imported, &exported);
}

/* ---- the event ---- */

static void append_kwh(struct text *text, const char *what, int64_t before_uwh, int64_t after_uwh)
{
    text_append(text, " %s ", what);
    text_append_decimal(text, before_uwh, 9, 3, true);
    text_append(text, " -> ");
    text_append_decimal(text, after_uwh, 9, 3, true);
    text_append(text, " kWh,");
}

static void describe(const struct work *work, char *buffer, size_t size)
{
    const struct history_recalibrated *done = work->done;
    struct text text;
    text_init(&text, buffer, size);
    text_append(&text, work->request->undo ? "The recalibration from " : "Recalibrated from ");
    time_text_append(&text, done->since_ms);
    text_append(&text, " to ");
    time_text_append(&text, done->until_ms);
    text_append(&text, work->request->undo ? " was undone:" : ":");
    append_kwh(&text, "energy", done->imported_before_uwh, done->imported_after_uwh);
    append_kwh(&text, "total", done->total_imported_before_uwh, done->total_imported_after_uwh);
    text_append(&text, " held ");
    text_append_decimal(&text, done->held_imported_uwh, 9, 3, true);
    text_append(&text, " kWh.");
}

static int put_event(struct work *work)
{
    char message[256];
    describe(work, message, sizeof message);
    sqlite3_stmt *statement = NULL;
    int64_t key = key_make(clock_wall_ms(), work->done->number);
    int code = sqlite3_prepare_v2(work->db,
                                  "INSERT OR IGNORE INTO event (key, kind, message) "
                                  "VALUES (?1, 'recalibrated', ?2)",
                                  -1, &statement, NULL);
    for (int tries = 0; tries < 1000 && code == SQLITE_OK; tries++) {
        (void)sqlite3_bind_int64(statement, 1, key);
        (void)sqlite3_bind_text(statement, 2, message, -1, SQLITE_STATIC);
        code = sqlite3_step(statement);
        (void)sqlite3_reset(statement);
        code = code == SQLITE_DONE ? SQLITE_OK : code;
        if (code == SQLITE_OK && sqlite3_changes(work->db) > 0)
            break;
        key += CHANNEL_NUMBER_MAX + 1;
    }
    (void)sqlite3_finalize(statement);
    return code;
}

/* ---- all of it ---- */

static int change(struct work *work, const struct calibration *factors)
{
    const struct history_recalibrated *done = work->done;
    if (work->request->undo) {
        int code = mark_undone(work);
        return code == SQLITE_OK ? rollup_writer_changed(work->rollups, done->since_ms) : code;
    }
    int code = insert(work, factors);
    if (code == SQLITE_OK)
        code = rollup_writer_cut(work->rollups, done->number, done->since_ms);
    if (code == SQLITE_OK)
        code = rollup_writer_cut(work->rollups, done->number, done->until_ms);
    return code;
}

static void compare(struct work *work, const struct view *before, const struct view *after)
{
    struct history_recalibrated *done = work->done;
    done->imported_before_uwh = before->until.imported_uwh - before->since.imported_uwh;
    done->imported_after_uwh = after->until.imported_uwh - after->since.imported_uwh;
    done->exported_before_uwh = before->until.exported_uwh - before->since.exported_uwh;
    done->exported_after_uwh = after->until.exported_uwh - after->since.exported_uwh;
    done->old_factors = before->since.converted.calibration.factors;
    done->new_factors = after->since.converted.calibration.factors;
    done->in_use = after->end.converted.calibration.factors;
    done->in_use_differs = !calibration_equal(&done->in_use, &done->new_factors);
}

static enum status carry_out(struct work *work)
{
    struct calibration factors = {0};
    enum status status = work->request->undo ? find_last(work) : find_span(work);
    if (status == STATUS_OK && !work->request->undo)
        status = find_number(work, work->done->since_ms, work->done->until_ms);
    if (status == STATUS_OK && !work->request->undo)
        status = find_factors(work, &factors);
    if (status != STATUS_OK)
        return status;
    struct view *before memory_auto = memory_new(1, sizeof *before);
    struct view *after memory_auto = memory_new(1, sizeof *after);
    int code = look(work, before);
    if (code == SQLITE_OK)
        code = change(work, &factors);
    if (code == SQLITE_OK)
        code = look(work, after);
    if (code == SQLITE_OK) {
        compare(work, before, after);
        code = correct_total(work, before, after);
    }
    if (code == SQLITE_OK && !work->request->undo)
        code = note_result(work);
    if (code == SQLITE_OK)
        code = put_event(work);
    return code == SQLITE_OK ? STATUS_OK : fail(work, code);
}

enum status recalibrate(sqlite3 *db, struct rollup_writer *rollups, const char *path,
                        const struct history_recalibration *request,
                        struct history_recalibrated *done, struct error *error)
{
    *done = (struct history_recalibrated){0};
    struct work work = {
        .db = db, .rollups = rollups, .request = request, .done = done, .error = error};
    int code = segments_open(db, &work.segments);
    if (code == SQLITE_OK)
        code = conversion_open(db, &work.conversion);
    if (code == SQLITE_OK)
        code = sql_run(db, "BEGIN IMMEDIATE");
    enum status status = code == SQLITE_OK ? carry_out(&work) : sql_explain(code, db, path, error);
    bool keep = status == STATUS_OK && !request->dry_run;
    if (keep && (code = rollup_writer_set_back(rollups)) == SQLITE_OK)
        code = sql_run(db, "COMMIT");
    if (keep && code != SQLITE_OK)
        status = sql_explain(code, db, path, error);
    rollup_writer_ended(rollups, keep && code == SQLITE_OK);
    if (!sqlite3_get_autocommit(db))
        (void)sql_run(db, "ROLLBACK"); /* a dry run, or a failure that is already told */
    rollup_writer_forget(rollups);
    segments_close(work.segments);
    conversion_close(&work.conversion);
    return status;
}

/* The correction is made and rolled back, so the file must be open for writing; a reader has looked at
 * what it is first. */
static enum status try_on(const char *path, const struct history_recalibration *request,
                          struct history_recalibrated *done, struct error *error)
{
    struct history_recalibration dry = *request;
    struct rollup_writer *rollups = NULL;
    sqlite3 *db = NULL;
    dry.dry_run = true;
    int code = sql_open(path, SQLITE_OPEN_READWRITE, false, &db);
    if (code == SQLITE_OK)
        code = rollup_writer_open(db, &rollups);
    enum status status = code == SQLITE_OK ? recalibrate(db, rollups, path, &dry, done, error)
                                           : sql_explain(code, db, path, error);
    rollup_writer_close(rollups);
    (void)sqlite3_close(db);
    return status;
}

enum status recalibrate_try(const char *path, const struct history_recalibration *request,
                            struct history_recalibrated *done, struct error *error)
{
    sqlite3 *db = NULL;
    *done = (struct history_recalibrated){0};
    enum status status = reader_open(path, &db, error);
    (void)sqlite3_close(db);
    if (status == STATUS_OK && lock_is_held(path))
        status =
            error_set(error, STATUS_FAILED,
                      "The history %s is in use by a service. Leave out --database, and it does "
                      "this by itself.",
                      path);
    return status == STATUS_OK ? try_on(path, request, done, error) : status;
}
