/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/migrate.h"

#include "bridge/history/safety/backup.h"
#include "bridge/history/store/sql.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

extern const unsigned char migration_0001_first[];
extern const unsigned char migration_0002_calibration_origin[];
extern const unsigned char migration_0003_rollups[];
extern const unsigned char migration_0004_foreign_energy[];
extern const unsigned char migration_0005_sinks[];
extern const unsigned char migration_0006_compact_readings[];
extern const unsigned char migration_0007_sink_levels[];

const struct migration *migrations(size_t *count)
{
    static const struct migration list[] = {
        {1, "0001_first", (const char *)migration_0001_first},
        {2, "0002_calibration_origin", (const char *)migration_0002_calibration_origin},
        {3, "0003_rollups", (const char *)migration_0003_rollups},
        {4, "0004_foreign_energy", (const char *)migration_0004_foreign_energy},
        {5, "0005_sinks", (const char *)migration_0005_sinks},
        {6, "0006_compact_readings", (const char *)migration_0006_compact_readings},
        {7, "0007_sink_levels", (const char *)migration_0007_sink_levels},
    };
    *count = sizeof list / sizeof list[0];
    return list;
}

int migrations_newest(void)
{
    size_t count;
    const struct migration *list = migrations(&count);
    return list[count - 1].version;
}

/* VACUUM INTO takes a consistent copy whatever is in the write-ahead log, but does not sync it. */
static int copy_into(sqlite3 *db, const char *copy)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, copy, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    (void)sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static bool sync_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = fsync(fd) == 0;
    return close(fd) == 0 && good;
}

/* Copied under another name, always the same: what a kill leaves does not pass for a copy, and the next
 * start begins with taking it away. */
static int copy_whole(sqlite3 *db, const char *partial, const char *copy)
{
    history_backup_remove(partial);
    int code = sql_create_file(partial); /* VACUUM INTO takes an empty file */
    if (code == SQLITE_OK)
        code = copy_into(db, partial);
    if (code == SQLITE_OK && (!sync_file(partial) || rename(partial, copy) != 0))
        code = SQLITE_IOERR_FSYNC;
    if (code != SQLITE_OK)
        history_backup_remove(partial); /* with the journal that a full disk leaves beside it */
    else if (!sql_sync_folder(copy))
        code = SQLITE_IOERR_FSYNC;
    return code;
}

static enum status keep_copy(sqlite3 *db, const char *path, int newest, char copy[PATH_MAX],
                             struct log *log, struct error *error)
{
    char word[32];
    char partial[PATH_MAX];
    (void)snprintf(word, sizeof word, "before-%d", newest);
    int length = snprintf(partial, sizeof partial, "%s.%s.new", path, word);
    if (length < 0 || (size_t)length >= sizeof partial || !sql_beside(path, word, copy, PATH_MAX))
        return error_set(error, STATUS_FAILED, "The path %s is too long for a copy beside it.",
                         path);
    int code = copy_whole(db, partial, copy);
    if (code == SQLITE_OK) {
        log_info(
            log,
            "The history %s is being brought to format %d, which takes minutes if it is large; as "
            "it was before it is kept as %s.",
            path, newest, copy);
        return STATUS_OK;
    }
    (void)sql_explain(code, db, copy, error);
    return error_prefix(error, STATUS_FAILED,
                        "The history %s is of an older version and was not changed, because the "
                        "copy that is kept before that could not be made. ",
                        path);
}

static int apply(sqlite3 *db, const struct migration *migration)
{
    char version[64];
    (void)snprintf(version, sizeof version, "PRAGMA user_version = %d", migration->version);
    int code = sql_run(db, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = sql_run(db, migration->sql);
    if (code == SQLITE_OK)
        code = sql_run(db, version);
    if (code == SQLITE_OK)
        code = sql_run(db, "COMMIT");
    return code;
}

enum status migrate_without_copy(sqlite3 *db, int from, const struct migration *list, size_t count,
                                 const char *path, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].version <= from)
            continue;
        int code = apply(db, &list[i]);
        if (code == SQLITE_OK)
            continue;
        (void)sql_explain(code, db, path, error);
        if (!sqlite3_get_autocommit(db))
            (void)sql_run(db, "ROLLBACK"); /* an error is already being reported */
        return error_prefix(error, STATUS_FAILED, "Migration %s of the history did not work. ",
                            list[i].name);
    }
    return STATUS_OK;
}

enum status migrate(sqlite3 *db, const char *path, int from, const struct migration *list,
                    size_t count, struct log *log, struct error *error)
{
    int newest = list[count - 1].version;
    if (from == 0 || from >= newest)
        return migrate_without_copy(db, from, list, count, path, error);
    char copy[PATH_MAX];
    int64_t reached = -1;
    enum status status = keep_copy(db, path, newest, copy, log, error);
    if (status != STATUS_OK)
        return status;
    status = migrate_without_copy(db, from, list, count, path, error);
    /* Nothing was changed, and every further attempt makes a copy, too: they would fill the disk. */
    if (status != STATUS_OK && sql_integer(db, "PRAGMA user_version", &reached) == SQLITE_OK &&
        reached == from)
        history_backup_remove(copy);
    return status;
}
