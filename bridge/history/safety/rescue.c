/* SPDX-License-Identifier: MIT */
#include "bridge/history/safety/rescue.h"

#include "bridge/history/store/channels.h"
#include "bridge/history/store/sql.h"

#include <stdbool.h>
#include <stdio.h>

/* What a damaged file says is not believed without the checks that loading it makes (rows_load). */
static const struct salvage_table {
    const char *read; /* needs the direction appended */
    const char *write;
    int columns;
} tables[] = {
    {"SELECT number, device, channel, kind FROM channel ORDER BY number",
     "INSERT OR IGNORE INTO channel (number, device, channel, kind) SELECT ?1, ?2, ?3, ?4 "
     "WHERE length(CAST(?2 AS BLOB)) < 128 AND length(CAST(?3 AS BLOB)) < 128",
     4},
    {"SELECT id, channel, valid_from_ms, voltage, current, power, invert, origin FROM calibration "
     "ORDER BY id",
     "INSERT OR IGNORE INTO calibration (id, channel, valid_from_ms, voltage, current, power, "
     "invert, origin) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
     8},
    /* The same of a file of version 1; of others it finds nothing that is not there already. So with
     * the totals of version 2. */
    {"SELECT id, channel, valid_from_ms, voltage, current, power, invert FROM calibration "
     "ORDER BY id",
     "INSERT OR IGNORE INTO calibration (id, channel, valid_from_ms, voltage, current, power, "
     "invert) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
     7},
    /* Counts whose factors could not be read are kept without the reference: most likely they are
     * the channel's configured ones. */
    {"SELECT channel, calibration, known, counter, counter_wall_ms, counter_boot_ms, boot_id, "
     "imported, exported, base_imported_uwh, base_exported_uwh, held_imported_uwh, "
     "held_exported_uwh FROM total ORDER BY channel",
     "INSERT OR IGNORE INTO total (channel, calibration, known, counter, counter_wall_ms, "
     "counter_boot_ms, boot_id, imported, exported, base_imported_uwh, base_exported_uwh, "
     "held_imported_uwh, held_exported_uwh) "
     "SELECT ?1, (SELECT id FROM calibration WHERE id = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
     "?12, ?13 WHERE ?4 >= 0 AND length(CAST(?7 AS BLOB)) < 40",
     13},
    {"SELECT channel, calibration, known, counter, counter_wall_ms, counter_boot_ms, boot_id, "
     "imported, exported, base_imported_uwh, base_exported_uwh FROM total ORDER BY channel",
     "INSERT OR IGNORE INTO total (channel, calibration, known, counter, counter_wall_ms, "
     "counter_boot_ms, boot_id, imported, exported, base_imported_uwh, base_exported_uwh) "
     "SELECT ?1, (SELECT id FROM calibration WHERE id = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 "
     "WHERE ?4 >= 0 AND length(CAST(?7 AS BLOB)) < 40",
     11},
    {"SELECT id, channel, since_ms, until_ms, voltage, current, power, made_ms, undone_ms, "
     "imported_before_uwh, imported_after_uwh, exported_before_uwh, exported_after_uwh "
     "FROM recalibration ORDER BY id",
     "INSERT OR IGNORE INTO recalibration VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
     "?12, ?13)",
     13},
};
_Static_assert(CHANNEL_TEXT_MAX == 128, "the same bound stands in the statement above");

/* INSERT OR IGNORE does not ignore a wrong type or a missing channel: such a row is skipped. */
static bool copy_row(sqlite3_stmt *from, sqlite3_stmt *to, int columns, sqlite3 *db)
{
    for (int i = 0; i < columns; i++)
        if (sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i)) != SQLITE_OK)
            return false;
    int64_t before = sqlite3_total_changes64(db);
    bool done = sqlite3_step(to) == SQLITE_DONE;
    (void)sqlite3_reset(to);
    return done && sqlite3_total_changes64(db) > before;
}

static unsigned copy_direction(sqlite3 *from, sqlite3 *db, const struct salvage_table *table,
                               const char *direction)
{
    unsigned copied = 0;
    char query[512];
    (void)snprintf(query, sizeof query, "%s %s", table->read, direction);
    sqlite3_stmt *reader = NULL;
    sqlite3_stmt *writer = NULL;
    if (sqlite3_prepare_v2(from, query, -1, &reader, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, table->write, -1, &writer, NULL) == SQLITE_OK)
        while (sqlite3_step(reader) == SQLITE_ROW)
            copied += copy_row(reader, writer, table->columns, db) ? 1 : 0;
    (void)sqlite3_finalize(reader);
    (void)sqlite3_finalize(writer);
    return copied;
}

static unsigned copy_table(sqlite3 *from, sqlite3 *db, const struct salvage_table *table)
{
    return copy_direction(from, db, table, "ASC") + copy_direction(from, db, table, "DESC");
}

static void copy_tables(const char *damaged, sqlite3 *db, struct rescued *rescued)
{
    sqlite3 *from = NULL;
    /* Read-only: closing must not write the log back into a file that is evidence. */
    if (sql_open(damaged, SQLITE_OPEN_READONLY, false, &from) == SQLITE_OK) {
        rescued->channels += copy_table(from, db, &tables[0]);
        rescued->calibrations += copy_table(from, db, &tables[1]);
        rescued->calibrations += copy_table(from, db, &tables[2]);
        rescued->totals += copy_table(from, db, &tables[3]);
        rescued->totals += copy_table(from, db, &tables[4]);
        (void)copy_table(from, db, &tables[5]);
    }
    (void)sqlite3_close(from);
}

struct rescued rescue_salvage(const char *damaged, sqlite3 *db)
{
    struct rescued rescued = {0};
    if (sql_run(db, "BEGIN IMMEDIATE") != SQLITE_OK)
        return rescued;
    copy_tables(damaged, db, &rescued);
    if (sql_run(db, "COMMIT") == SQLITE_OK)
        return rescued;
    if (!sqlite3_get_autocommit(db))
        (void)sql_run(db, "ROLLBACK");
    return (struct rescued){0};
}
