/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/handle.h"

#include "bridge/history/store/meta.h"
#include "bridge/history/store/migrate.h"
#include "bridge/history/store/schema.h"
#include "bridge/history/store/sql.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read whole by the check after an unclean stop: some seconds even from an SD card. */
#define CHECK_WHOLE_MAX (256LL * 1024 * 1024)

#define WRITER_BUSY_MS 12000

static enum verdict judge(int code, sqlite3 *db, const char *path, struct error *error,
                          enum status *status)
{
    *status = STATUS_OK;
    if (code == SQLITE_OK)
        return SOUND;
    *status = sql_explain(code, db, path, error);
    if (sql_is_damage(code))
        return DAMAGED;
    int primary = code & 0xff;
    if (primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY)
        *status = STATUS_USAGE;
    return UNUSABLE;
}

/* Runs a check that answers one row "ok" or rows that say what is wrong. */
static int run_check(sqlite3 *db, const char *query, bool *sound)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, query, -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        *sound = text != NULL && strcmp((const char *)text, "ok") == 0;
        code = SQLITE_OK;
    }
    (void)sqlite3_finalize(statement);
    return code;
}

/* A power cut can only hurt pages that were being written. The small tables are rewritten all the
 * time and checked whatever the size; of a big table of readings, the end that was appended to. */
static int check_contents(sqlite3 *db, const char *path, bool *sound)
{
    static const char *const small[] = {
        "PRAGMA quick_check(meta)",          "PRAGMA quick_check(channel)",
        "PRAGMA quick_check(calibration)",   "PRAGMA quick_check(total)",
        "PRAGMA quick_check(recalibration)", "PRAGMA quick_check(rollup_day)",
    };
    *sound = true;
    struct stat status;
    if (stat(path, &status) == 0 && status.st_size <= CHECK_WHOLE_MAX)
        return run_check(db, "PRAGMA quick_check(1)", sound);
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof small / sizeof small[0] && code == SQLITE_OK && *sound; i++)
        code = run_check(db, small[i], sound);
    int64_t unused;
    if (code == SQLITE_OK && *sound)
        code = sql_integer(db,
                           "SELECT max(counted) FROM (SELECT counted FROM sample ORDER BY key "
                           "DESC LIMIT 100000)",
                           &unused);
    return code;
}

static int check_after_unclean_stop(struct handle *handle)
{
    bool clean;
    int code = meta_was_clean(handle->db, &clean);
    if (code != SQLITE_OK || clean)
        return code;
    handle->unclean = true;
    bool sound;
    code = check_contents(handle->db, handle->path, &sound);
    if (code == SQLITE_OK && sound)
        log_info(handle->log,
                 "The history %s was not closed in order; it was checked and is sound.",
                 handle->path);
    return code == SQLITE_OK && !sound ? SQLITE_CORRUPT : code;
}

static int set_modes(sqlite3 *db)
{
    /* An import of years or a recalibration is one transaction of another process; readings wait in
     * the queue meanwhile, and it is nothing to be alarmed about. */
    (void)sqlite3_busy_timeout(db, WRITER_BUSY_MS);
    /* A file that exists keeps its pages' size. */
    int code = sql_run(db, SQL_PAGE_SIZE "PRAGMA journal_mode = WAL");
    /* FULL: a commit that returned survives a power cut. The log is cut back after a checkpoint, so
     * that a long reader's swelling does not stay. What is deleted every day need not be overwritten
     * with zeros, which Debian's SQLite does by default. */
    if (code == SQLITE_OK)
        code = sql_run(db, "PRAGMA synchronous = FULL;"
                           "PRAGMA wal_autocheckpoint = 4000;"
                           "PRAGMA journal_size_limit = 4194304;"
                           "PRAGMA secure_delete = FAST;");
    return code;
}

static enum verdict attach_migrated(struct handle *handle, enum purpose purpose,
                                    struct channels *channels,
                                    const struct schema_identity *identity, struct error *error,
                                    enum status *status)
{
    size_t count;
    const struct migration *list = schema_migrations(&count);
    int code = SQLITE_OK;
    if (purpose == TO_LOAD && identity->version > 0)
        code = check_after_unclean_stop(handle);
    if (code == SQLITE_OK)
        code = set_modes(handle->db);
    if (code != SQLITE_OK)
        return judge(code, handle->db, handle->path, error, status);
    *status =
        migrate(handle->db, handle->path, (int)identity->version, list, count, handle->log, error);
    if (*status != STATUS_OK)
        return UNUSABLE;
    if (purpose == TO_LOAD)
        code = rows_load(handle->db, channels);
    if (code == SQLITE_OK)
        code = rows_open(handle->db, &handle->rows);
    if ((code & 0xff) ==
        SQLITE_ERROR) /* not the tables that its version has: no page of it can be believed */
        code = SQLITE_CORRUPT;
    return judge(code, handle->db, handle->path, error, status);
}

static enum verdict attach_as(struct handle *handle, enum purpose purpose,
                              struct channels *channels, struct error *error, enum status *status)
{
    const char *path = handle->path;
    struct schema_identity identity = {0};
    int code =
        sql_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, handle->exclusive, &handle->db);
    if (code == SQLITE_OK && sqlite3_db_readonly(handle->db, "main") == 1)
        code = SQLITE_READONLY;
    if (code == SQLITE_OK)
        code = schema_identify(handle->db, &identity);
    if (code != SQLITE_OK)
        return judge(code, handle->db, path, error, status);
    bool blank = schema_is_blank(&identity);
    *status = blank ? STATUS_OK : schema_check(&identity, path, error);
    if (*status == STATUS_OK && purpose == TO_RESUME && blank) {
        *status = error_set(error, STATUS_FAILED, "The history %s was deleted while in use.", path);
        handle->vanished = true;
    }
    if (*status == STATUS_OK && purpose == TO_RENEW && !blank)
        *status = error_set(error, STATUS_FAILED,
                            "Another file has taken the place of the history %s while it was in "
                            "use. Restart the service to use that file.",
                            path);
    if (*status != STATUS_OK)
        return UNUSABLE;
    return attach_migrated(handle, purpose, channels, &identity, error, status);
}

enum verdict handle_open(struct handle *handle, enum purpose purpose, struct channels *channels,
                         struct error *error, enum status *status)
{
    bool exists = access(handle->path, F_OK) == 0;
    handle->exclusive = false;
    enum verdict verdict = attach_as(handle, purpose, channels, error, status);
    int reason = sqlite3_errcode(handle->db) & 0xff;
    bool no_room = reason == SQLITE_FULL || reason == SQLITE_IOERR || reason == SQLITE_CANTOPEN;
    if (verdict != UNUSABLE || !exists || !no_room)
        return verdict;
    handle_close(handle, false);
    if (channels != NULL)
        channels_free(channels);
    handle->exclusive = true;
    struct error first = *error;
    verdict = attach_as(handle, purpose, channels, error, status);
    if (verdict == UNUSABLE)
        *error = first;
    return verdict;
}

static int load_unwritable(struct handle *handle, struct channels *channels)
{
    int code = check_after_unclean_stop(handle);
    return code == SQLITE_OK ? rows_load(handle->db, channels) : code;
}

enum status handle_open_unwritable(struct handle *handle, struct channels *channels,
                                   struct error *error)
{
    enum status status = STATUS_OK;
    struct schema_identity identity = {0};
    int code = sql_open_unwritable(handle->path, &handle->db);
    if (code == SQLITE_OK)
        code = schema_identify(handle->db, &identity);
    if (code == SQLITE_OK && !schema_is_blank(&identity))
        status = schema_check(&identity, handle->path, error);
    if (code == SQLITE_OK && status == STATUS_OK && identity.version < schema_newest())
        return error_set(error, STATUS_FAILED, "The history %s is of an older version.",
                         handle->path);
    if (code == SQLITE_OK && status == STATUS_OK)
        code = load_unwritable(handle, channels);
    if (code != SQLITE_OK)
        status = sql_explain(code, handle->db, handle->path, error);
    return status;
}

void handle_close(struct handle *handle, bool as_found)
{
    rows_close(handle->rows);
    handle->rows = NULL;
    if (as_found && handle->db != NULL)
        (void)sqlite3_db_config(handle->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_close(handle->db);
    handle->db = NULL;
}
