/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/interval_store.h"

#include "bridge/history/query/reader.h"
#include "bridge/history/store/sql.h"

int interval_store_read(sqlite3 *db, enum interval_kind kind, int64_t from, int64_t to,
                        struct intervals *intervals)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db,
                                  "SELECT quarter, value_micro FROM interval WHERE kind = ?1 AND "
                                  "quarter >= ?2 AND quarter < ?3 ORDER BY quarter",
                                  -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int(statement, 1, (int)kind);
        (void)sqlite3_bind_int64(statement, 2, from);
        (void)sqlite3_bind_int64(statement, 3, to);
        while ((code = sqlite3_step(statement)) == SQLITE_ROW)
            (void)intervals_put(intervals, &(struct interval){sqlite3_column_int64(statement, 0),
                                                              sqlite3_column_int64(statement, 1)});
    }
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

enum status interval_store_load(const char *path, enum interval_kind kind, int64_t from, int64_t to,
                                struct intervals *intervals, struct error *error)
{
    sqlite3 *db = NULL;
    enum status status = reader_open(path, &db, error);
    int code = SQLITE_OK;
    if (status == STATUS_OK)
        code = interval_store_read(db, kind, from, to, intervals);
    if (code != SQLITE_OK)
        status = sql_explain(code, db, path, error);
    (void)sqlite3_close(db);
    return status;
}

static int put_one(sqlite3_stmt *statement, enum interval_kind kind,
                   const struct interval *interval)
{
    (void)sqlite3_bind_int(statement, 1, (int)kind);
    (void)sqlite3_bind_int64(statement, 2, interval->quarter);
    (void)sqlite3_bind_int64(statement, 3, interval->value_micro);
    int code = sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int put_all(sqlite3 *db, enum interval_kind kind, const struct intervals *intervals)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO interval VALUES (?1, ?2, ?3)", -1,
                                  &statement, NULL);
    for (size_t i = 0; i < intervals->count && code == SQLITE_OK; i++)
        code = put_one(statement, kind, &intervals->list[i]);
    (void)sqlite3_finalize(statement);
    return code;
}

enum status interval_store_put(const char *path, enum interval_kind kind,
                               const struct intervals *intervals, struct error *error)
{
    sqlite3 *db = NULL;
    int code = sql_open(path, SQLITE_OPEN_READWRITE, false, &db);
    if (code == SQLITE_OK)
        code = sql_run(db, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = put_all(db, kind, intervals);
    if (code == SQLITE_OK)
        code = sql_run(db, "COMMIT");
    enum status status = code == SQLITE_OK ? STATUS_OK : sql_explain(code, db, path, error);
    (void)sqlite3_close(db); /* what was begun is taken back */
    return status;
}
