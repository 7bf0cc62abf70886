/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/past.h"

#include "bridge/history/query/cost.h"
#include "bridge/history/query/query_state.h"
#include "bridge/history/store/sql.h"

struct asking {
    struct history_query *query;
    const struct history_past_question *question;
};

/* ---- the total ---- */

/* The one that the total is as of. */
struct last_reading {
    int64_t number, wall_ms;
};

static void take_total(sqlite3_stmt *statement, enum reading_kind kind, struct history_past *past,
                       struct last_reading *last)
{
    const struct energy_state state = {
        .imported = sqlite3_column_int64(statement, 0),
        .exported = sqlite3_column_int64(statement, 1),
        .base_imported_uwh = sqlite3_column_int64(statement, 2),
        .base_exported_uwh = sqlite3_column_int64(statement, 3),
    };
    const struct known_calibration counted = {
        .id = sqlite3_column_int64(statement, 4), /* NULL gives 0 */
        .factors = {.voltage = sqlite3_column_double(statement, 5),
                    .current = sqlite3_column_double(statement, 6),
                    .power = sqlite3_column_double(statement, 7)},
    };
    last->number = sqlite3_column_int64(statement, 8);
    last->wall_ms = sqlite3_column_int64(statement, 9);
    past->stored = channels_state_plausible(&state);
    channels_totals_uwh(&state, &counted, kind, &past->imported_uwh, &past->exported_uwh);
}

/* A file that was made afresh gets the totals before the readings that wait. */
static int look_for(const struct asking *asking, const struct last_reading *last, bool *ahead)
{
    sqlite3_stmt *statement = NULL;
    if (last->wall_ms < asking->question->calendar.day_start_ms ||
        last->wall_ms >= asking->question->calendar.day_end_ms)
        return SQLITE_OK;
    int code = sqlite3_prepare_v2(
        asking->query->db,
        "SELECT EXISTS (SELECT 1 FROM sample WHERE key >= ?1 AND key & 32767 = ?2)", -1, &statement,
        NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, key_make(last->wall_ms, 0));
        (void)sqlite3_bind_int64(statement, 2, last->number);
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW)
        *ahead = sqlite3_column_int(statement, 0) == 0;
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int read_total(const struct asking *asking, struct history_past *past)
{
    struct last_reading last = {0, 0};
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(asking->query->db,
                                  "SELECT imported, exported, base_imported_uwh, "
                                  "base_exported_uwh, id, voltage, current, power, "
                                  "number, counter_wall_ms "
                                  "FROM total JOIN channel ON channel.number = total.channel "
                                  "LEFT JOIN calibration ON calibration.id = total.calibration "
                                  "WHERE device = ?1 AND channel.channel = ?2 AND kind = ?3",
                                  -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, asking->question->device, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 2, past->channel, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int(statement, 3, (int)asking->question->kind);
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW)
        take_total(statement, asking->question->kind, past, &last);
    (void)sqlite3_finalize(statement);
    if (code == SQLITE_ROW)
        return look_for(asking, &last, &past->ahead);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- what was counted ---- */

struct counting {
    const struct history_past_question *question;
    struct history_past *past;
    struct wide drawn, fed; /* of the month before today */
};

static void add(struct derive_past *past, const struct history_cost_row *row)
{
    past->imported_uwh += row->imported_uwh;
    past->exported_uwh += row->exported_uwh;
    past->money.missing_uwh += row->missing_uwh;
    past->money.standing_micro += row->standing_micro;
}

/* A day of the month; the last one is today. */
static bool add_day(void *context, const struct history_cost_row *row)
{
    struct counting *counting = context;
    struct derive_past *month = &counting->past->month;
    struct derive_past *day = &counting->past->day;
    add(month, row);
    month->money.drawn = row->drawn;
    month->money.fed = row->fed;
    if (row->start_ms < counting->question->calendar.day_start_ms) {
        counting->drawn = row->drawn;
        counting->fed = row->fed;
        return true;
    }
    add(day, row);
    day->money.drawn = wide_add(row->drawn, wide_negate(counting->drawn));
    day->money.fed = wide_add(row->fed, wide_negate(counting->fed));
    return true;
}

static void compare_quarter(void *context, const struct history_energy_row *row)
{
    const struct counting *counting = context;
    struct history_past *past = counting->past;
    bool counts = row->power_known && row->coverage_permille >= 500 &&
                  row->end_ms <= counting->question->now_ms;
    if (counts && (past->highest_wall_ms == 0 || row->power_mean_mw > past->highest_mw)) {
        past->highest_mw = row->power_mean_mw;
        past->highest_wall_ms = row->end_ms;
    }
}

/* Up to the end of the day, so that nothing that is stored is cut off. */
static enum status ask_channel(const struct asking *asking, struct history_past *past,
                               struct error *error)
{
    const struct history_past_question *question = asking->question;
    if (past->channel != NULL) {
        int code = read_total(asking, past);
        if (code != SQLITE_OK)
            return sql_explain(code, asking->query->db, asking->query->path, error);
    }
    struct counting counting = {.question = question, .past = past};
    const struct history_cost_question cost = {
        .device = question->device,
        .channel = past->channel,
        .from_ms = question->calendar.month_start_ms,
        .to_ms = question->calendar.day_end_ms,
        .now_ms = question->now_ms,
        .bucket = BUCKET_DAY,
        .tariffs = question->tariffs,
        .tariff_count = question->tariff_count,
        .quarter = compare_quarter,
    };
    enum status status = history_query_cost(asking->query, &cost, add_day, &counting, error);
    return status == STATUS_USAGE ? STATUS_OK : status; /* it has no past */
}

enum status history_past_begin(const char *path, struct history_query **query, struct error *error)
{
    *query = NULL;
    enum status status = history_query_open(path, query, error);
    if (status != STATUS_OK)
        return status;
    int code = sql_run((*query)->db, "BEGIN");
    segments_keep((*query)->segments);
    return code == SQLITE_OK ? STATUS_OK : sql_explain(code, (*query)->db, path, error);
}

enum status history_past_ask(struct history_query *query,
                             const struct history_past_question *question,
                             struct history_past *pasts, size_t count, struct error *error)
{
    const struct asking asking = {.query = query, .question = question};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = ask_channel(&asking, &pasts[i], error);
    return status;
}

void history_past_end(struct history_query *query)
{
    if (query != NULL)
        sql_end_reading(query->db);
    history_query_close(query);
}
