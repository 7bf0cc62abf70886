/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/foreign.h"

#include "bridge/history/store/sql.h"

#define OF_THE_QUESTION                                                                            \
    "FROM foreign_series JOIN foreign_quarter ON series = id "                                     \
    "WHERE device = ?1 AND (?2 IS NULL OR channel = ?2) "

static int bind(sqlite3_stmt *statement, const char *device, const char *channel)
{
    int code = sqlite3_bind_text(statement, 1, device, -1, SQLITE_STATIC);
    if (code == SQLITE_OK) /* NULL binds NULL */
        code = sqlite3_bind_text(statement, 2, channel, -1, SQLITE_STATIC);
    return code;
}

static int ask_any(sqlite3 *db, const char *device, const char *channel, bool *any)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "SELECT 1 " OF_THE_QUESTION "LIMIT 1", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = bind(statement, device, channel);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    *any = code == SQLITE_ROW;
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int foreign_open(sqlite3 *db, const char *device, const char *channel, struct foreign *foreign)
{
    *foreign = (struct foreign){.sum = NULL};
    int code = ask_any(db, device, channel, &foreign->any);
    if (code != SQLITE_OK || !foreign->any)
        return code;
    /* total() is of a double; sum() fails when it overflows, which only a damaged file does. */
    code = sql_prepare(db,
                       "SELECT sum(imported_uwh), sum(exported_uwh) " OF_THE_QUESTION
                       "AND quarter >= ?3 AND quarter < ?4",
                       &foreign->sum);
    return code == SQLITE_OK ? bind(foreign->sum, device, channel) : code;
}

void foreign_close(struct foreign *foreign)
{
    (void)sqlite3_finalize(foreign->sum);
    foreign->sum = NULL;
}

/* The first quarter that begins at or after that time, which is not negative. */
static int64_t quarter_from(int64_t wall_ms)
{
    return (wall_ms + FOREIGN_QUARTER_MS - 1) / FOREIGN_QUARTER_MS;
}

int foreign_sum(struct foreign *foreign, int64_t from_ms, int64_t to_ms, int64_t *imported_uwh,
                int64_t *exported_uwh)
{
    *imported_uwh = 0;
    *exported_uwh = 0;
    if (!foreign->any)
        return SQLITE_OK;
    (void)sqlite3_bind_int64(foreign->sum, 3, quarter_from(from_ms));
    (void)sqlite3_bind_int64(foreign->sum, 4, quarter_from(to_ms));
    int code = sqlite3_step(foreign->sum);
    if (code == SQLITE_ROW) {
        *imported_uwh = sqlite3_column_int64(foreign->sum, 0); /* NULL gives 0 */
        *exported_uwh = sqlite3_column_int64(foreign->sum, 1);
        code = SQLITE_OK;
    }
    (void)sqlite3_reset(foreign->sum);
    return code;
}
