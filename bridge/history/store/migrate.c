/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/migrate.h"

#include "bridge/history/store/sql.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* VACUUM INTO copies a consistent state, whatever is in the write-ahead log, but does not sync it. */
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

/* Written under another name, always the same: what a kill leaves does not pass for a backup, and the
 * next start removes it first. */
static int back_up_whole(sqlite3 *db, const char *partial, const char *copy)
{
    sql_remove(partial);
    int code = sql_create_file(partial); /* VACUUM INTO takes an empty file */
    if (code == SQLITE_OK)
        code = copy_into(db, partial);
    if (code == SQLITE_OK && (!sync_file(partial) || rename(partial, copy) != 0))
        code = SQLITE_IOERR_FSYNC;
    if (code != SQLITE_OK)
        sql_remove(partial); /* with the journal that a full disk leaves beside it */
    else if (!sql_sync_folder(copy))
        code = SQLITE_IOERR_FSYNC;
    return code;
}

static enum status keep_backup(sqlite3 *db, const char *path, int newest, char copy[PATH_MAX],
                               struct log *log, struct error *error)
{
    char word[32];
    char partial[PATH_MAX];
    (void)snprintf(word, sizeof word, "before-%d", newest);
    int length = snprintf(partial, sizeof partial, "%s.%s.new", path, word);
    if (length < 0 || (size_t)length >= sizeof partial || !sql_beside(path, word, copy, PATH_MAX))
        return error_set(error, STATUS_FAILED, "The path %s is too long for a backup beside it.",
                         path);
    int code = back_up_whole(db, partial, copy);
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
                        "backup that is kept before that could not be made. ",
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

enum status migrate_without_backup(sqlite3 *db, int from, const struct migration *list,
                                   size_t count, const char *path, struct error *error)
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
        return migrate_without_backup(db, from, list, count, path, error);
    char copy[PATH_MAX];
    int64_t reached = -1;
    enum status status = keep_backup(db, path, newest, copy, log, error);
    if (status != STATUS_OK)
        return status;
    status = migrate_without_backup(db, from, list, count, path, error);
    /* Nothing was changed, and every further attempt makes a backup, too: they would fill the disk. */
    if (status != STATUS_OK && sql_integer(db, "PRAGMA user_version", &reached) == SQLITE_OK &&
        reached == from)
        sql_remove(copy);
    return status;
}
