/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/estimates.h"

#include "bridge/history/store/key.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

static int add(struct estimates *estimates, struct conversion *conversion, sqlite3_stmt *row)
{
    int64_t key = sqlite3_column_int64(row, 0);
    struct converted converted = {.number = key_number(key),
                                  .kind = (enum reading_kind)sqlite3_column_int(row, 4)};
    struct estimate estimate = {.number = key_number(key),
                                .start_ms = sqlite3_column_int64(row, 1),
                                .end_ms = key_time_ms(key)};
    int64_t running = 0;
    int code = conversion_at(conversion, &converted, estimate.end_ms);
    if (code != SQLITE_OK || estimate.start_ms >= estimate.end_ms)
        return code;
    estimate.imported_uwh = conversion_credit(&converted, &running, sqlite3_column_int64(row, 2));
    running = 0;
    estimate.exported_uwh = conversion_credit(&converted, &running, sqlite3_column_int64(row, 3));
    estimates->list = memory_grow(estimates->list, estimates->count, &estimates->capacity,
                                  sizeof *estimates->list);
    estimates->list[estimates->count++] = estimate;
    return SQLITE_OK;
}

int estimates_load(sqlite3 *db, struct conversion *conversion, int64_t from_ms, int64_t to_ms,
                   struct estimates *estimates)
{
    sqlite3_stmt *rows = NULL;
    int code = sqlite3_prepare_v2(db,
                                  "SELECT key, start_ms, imported, exported, kind FROM estimate "
                                  "JOIN channel ON number = key & 32767 "
                                  "WHERE key >= ?1 AND start_ms < ?2 ORDER BY key",
                                  -1, &rows, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int64(rows, 1, key_make(from_ms, 0));
        (void)sqlite3_bind_int64(rows, 2, to_ms);
    }
    while (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW)
        code = add(estimates, conversion, rows);
    (void)sqlite3_finalize(rows);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

void estimates_free(struct estimates *estimates)
{
    free(estimates->list);
    *estimates = (struct estimates){.list = NULL};
}

/* What was counted from the start until wall_ms, if evenly: in seconds, as a product with milliseconds
 * would not fit. It grows from 0 to the whole. */
static int64_t until(const struct estimate *estimate, int64_t whole_uwh, int64_t wall_ms)
{
    int64_t length_s = (estimate->end_ms - estimate->start_ms) / 1000;
    int64_t passed_s = (wall_ms - estimate->start_ms) / 1000;
    if (wall_ms <= estimate->start_ms)
        return 0;
    if (wall_ms >= estimate->end_ms || passed_s >= length_s)
        return whole_uwh;
    return whole_uwh / length_s * passed_s + whole_uwh % length_s * passed_s / length_s;
}

void estimate_part(const struct estimate *estimate, int64_t start_ms, int64_t end_ms,
                   int64_t *imported_uwh, int64_t *exported_uwh)
{
    /* All of it ends before the reading that brings it. */
    *imported_uwh = until(estimate, estimate->imported_uwh, end_ms) -
                    until(estimate, estimate->imported_uwh, start_ms);
    *exported_uwh = until(estimate, estimate->exported_uwh, end_ms) -
                    until(estimate, estimate->exported_uwh, start_ms);
}
