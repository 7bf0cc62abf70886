/* SPDX-License-Identifier: MIT */
#include "bridge/history/retention.h"

#include "bridge/history/store/rollup_writer.h"
#include "bridge/history/store/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)
#define FIRST_MS 3600000 /* after the start */
#define AGAIN_MS 600000  /* after a failure */
#define WAIT_MS 3600000  /* until an untrustworthy clock is looked at again */
#define UNSURE_MS (2 * DAY_MS)
#define DELETE_ROWS 10000 /* in one transaction */

static const char *const tables[RETENTION_LEVELS] = {"sample", "rollup_minute", "rollup_quarter"};

void retention_init(struct retention *retention, const int64_t keep_ms[RETENTION_LEVELS],
                    int64_t boot_ms)
{
    *retention = (struct retention){.due_boot_ms = boot_ms + FIRST_MS};
    memcpy(retention->keep_ms, keep_ms, sizeof retention->keep_ms);
}

/* Whether there is a 15-minute bucket of about a day ago; where these are kept for less than two days,
 * half of that time stands for the day. */
static bool is_trustworthy(const struct retention *retention, struct rows *rows, int64_t wall_ms)
{
    int64_t keep_ms = retention->keep_ms[2];
    int64_t age_ms = keep_ms > 0 && keep_ms < 2 * DAY_MS ? keep_ms / 2 : DAY_MS;
    char sql[160];
    int64_t found = 0;
    (void)snprintf(sql, sizeof sql,
                   "SELECT EXISTS (SELECT 1 FROM rollup_quarter WHERE key >= %" PRId64
                   " AND key < %" PRId64 ")",
                   key_make(wall_ms - 2 * age_ms, 0), key_make(wall_ms - age_ms, 0));
    return sql_integer(rows_db(rows), sql, &found) == SQLITE_OK && found != 0;
}

/* Of each table no more than that goes from its oldest row on. */
static bool bound(struct retention *retention, struct rows *rows, int64_t most_ms)
{
    for (int level = 0; level < RETENTION_LEVELS; level++) {
        char sql[100];
        int64_t oldest = 0;
        (void)snprintf(sql, sizeof sql, "SELECT coalesce(min(key), 0) FROM %s", tables[level]);
        if (sql_integer(rows_db(rows), sql, &oldest) != SQLITE_OK)
            return false;
        int64_t limit_ms = key_time_ms(oldest) + most_ms;
        if (retention->before_ms[level] > limit_ms)
            retention->before_ms[level] = limit_ms;
    }
    return true;
}

void retention_begin(struct retention *retention, struct rows *rows, int64_t wall_ms,
                     int64_t boot_ms, enum clock_sync sync)
{
    if (boot_ms < retention->due_boot_ms)
        return;
    retention->active = false;
    if (!is_trustworthy(retention, rows, wall_ms)) {
        retention->due_boot_ms = boot_ms + WAIT_MS;
        return;
    }
    retention->due_boot_ms = boot_ms + DAY_MS;
    bool any = false;
    for (int level = 0; level < RETENTION_LEVELS; level++) {
        int64_t keep_ms = retention->keep_ms[level];
        retention->before_ms[level] = keep_ms > 0 && keep_ms < wall_ms ? wall_ms - keep_ms : 0;
        any = any || retention->before_ms[level] > 0;
    }
    retention->active = any && (sync == CLOCK_SYNCHRONISED || bound(retention, rows, UNSURE_MS));
}

/* Deletes the oldest rows of a table, some at a time, but never the last one, which says how far the rows
 * are made, and nothing that is not yet in the level above. */
static int delete_oldest(struct rows *rows, int level, int64_t before_ms, bool *more)
{
    int64_t done_ms;
    int code = rollup_writer_done_ms(rows_rollup_writer(rows), (enum rollup_level)level, &done_ms);
    if (code != SQLITE_OK || before_ms <= 0)
        return code;
    char sql[320];
    const char *table = tables[level];
    (void)snprintf(sql, sizeof sql,
                   "DELETE FROM %s WHERE key < min(%" PRId64 ", (SELECT max(key) FROM %s), "
                   "coalesce((SELECT key FROM %s ORDER BY key LIMIT 1 OFFSET %d), %" PRId64 "))",
                   table, key_make(before_ms < done_ms ? before_ms : done_ms, 0), table, table,
                   DELETE_ROWS, INT64_MAX);
    code = sql_run(rows_db(rows), sql);
    *more = *more || sqlite3_changes(rows_db(rows)) == DELETE_ROWS;
    return code;
}

int retention_step(struct retention *retention, struct rows *rows, int64_t boot_ms, bool *more)
{
    *more = false;
    int code = rows_begin(rows);
    if (code == SQLITE_OK) {
        code = rows_advance(rows);
        for (int level = 0; level < RETENTION_LEVELS && code == SQLITE_OK && retention->active;
             level++)
            code = delete_oldest(rows, level, retention->before_ms[level], more);
        code = rows_end(rows, code);
    }
    if (code != SQLITE_OK && retention->active)
        retention->due_boot_ms = boot_ms + AGAIN_MS;
    retention->active = retention->active && *more && code == SQLITE_OK;
    *more = code == SQLITE_OK && (*more || rows_behind(rows));
    return code;
}
