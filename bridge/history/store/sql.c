/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/sql.h"

#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* Another process may hold a lock for a moment (the end of a reader, a recovery). */
#define BUSY_MS 3000

/* Opening a pipe would wait forever for who writes to it. */
static bool is_no_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

static int open_by(const char *name, int flags, bool exclusive, const char *vfs, sqlite3 **db)
{
    int code = sqlite3_open_v2(name, db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
    if (code != SQLITE_OK)
        return code;
    (void)sqlite3_busy_timeout(*db, BUSY_MS);
    (void)sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(*db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(*db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    (void)sqlite3_db_config(*db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(*db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    /* A reader must not write a log that a killed writer left back into the file, nor delete it. */
    bool reader = (flags & SQLITE_OPEN_READONLY) != 0;
    (void)sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, reader ? 1 : 0, NULL);
    if (exclusive) /* before anything reads the file */
        code = sql_run(*db, "PRAGMA locking_mode = EXCLUSIVE");
    if (code != SQLITE_OK)
        return code;
    return sql_run(*db, "PRAGMA cell_size_check = ON;"
                        "PRAGMA temp_store = MEMORY;"
                        "PRAGMA cache_size = -512;");
}

/* SQLite would create it for everybody to read. Its log and journal get the mode that the file has. A
 * file that is there is left alone: closing a descriptor of it would drop this process's locks. */
static void create_private(const char *path)
{
    struct stat status;
    if (strcmp(path, ":memory:") == 0 || stat(path, &status) == 0)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, SQL_FILE_MODE);
    if (fd >= 0) /* if not, SQLite says why */
        (void)close(fd);
}

int sql_open(const char *path, int flags, bool exclusive, sqlite3 **db)
{
    *db = NULL;
    if (is_no_file(path))
        return SQLITE_CANTOPEN_ISDIR;
    if ((flags & SQLITE_OPEN_CREATE) != 0)
        create_private(path);
    return open_by(path, flags, exclusive, NULL, db);
}

int sql_create_file(const char *path)
{
    int fd = file_create(path, SQL_FILE_MODE);
    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : SQLITE_CANTOPEN;
    (void)close(fd);
    return SQLITE_OK;
}

/* A URI in which no character of the path has a meaning. To be freed. */
static char *immutable_uri(const char *path)
{
    static const char digits[] = "0123456789abcdef";
    static const char begin[] = "file:";
    static const char end[] = "?immutable=1";
    char *uri = memory_new(3 * strlen(path) + sizeof begin + sizeof end, 1);
    char *at = stpcpy(uri, begin);
    for (; *path != '\0'; path++) {
        unsigned char byte = (unsigned char)*path;
        *at++ = '%';
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    (void)memcpy(at, end, sizeof end);
    return uri;
}

int sql_open_unwritable(const char *path, sqlite3 **db)
{
    struct stat log;
    char name[PATH_MAX];
    *db = NULL;
    int length = snprintf(name, sizeof name, "%s-wal", path);
    if (is_no_file(path) || length < 0 || (size_t)length >= sizeof name)
        return SQLITE_CANTOPEN_ISDIR;
    if (stat(name, &log) == 0 && log.st_size > 0) /* exclusive: the log's index is in memory */
        return open_by(path, SQLITE_OPEN_READONLY, true, "unix-none", db);
    char *uri memory_auto = immutable_uri(path);
    return open_by(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, false, NULL, db);
}

int sql_run(sqlite3 *db, const char *text)
{
    return sqlite3_exec(db, text, NULL, NULL, NULL);
}

int sql_integer(sqlite3 *db, const char *query, int64_t *value)
{
    *value = 0;
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, query, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *value = sqlite3_column_int64(statement, 0);
        code = SQLITE_OK;
    } else if (code == SQLITE_DONE) {
        code = SQLITE_OK;
    }
    (void)sqlite3_finalize(statement); /* repeats the code of the step */
    return code;
}

int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **statement)
{
    return sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
}

bool sql_is_damage(int code)
{
    int primary = code & 0xff;
    return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

enum status sql_explain(int code, sqlite3 *db, const char *path, struct error *error)
{
    /* A code that this program came to by itself is not the connection's. */
    bool of_db = db != NULL && (sqlite3_errcode(db) & 0xff) == (code & 0xff);
    const char *words = of_db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    if (code == SQLITE_CANTOPEN_ISDIR)
        return error_set(error, STATUS_USAGE,
                         "%s is a folder, a pipe or a device, not the file of a history. Move it "
                         "away, or name another file.",
                         path);
    switch (code & 0xff) {
    case SQLITE_FULL:
        return error_set(error, STATUS_FAILED,
                         "There is no room on the disk for the history %s. Free some space.", path);
    case SQLITE_READONLY:
        return error_set(error, STATUS_FAILED,
                         "The history %s cannot be written (%s). Check the permissions of the file "
                         "and its folder, and whether the disk has become read-only.",
                         path, words);
    case SQLITE_IOERR:
        return error_set(error, STATUS_FAILED,
                         "The disk reported an error with the history %s (%s, code %d). Check the "
                         "disk and its free space.",
                         path, words, code);
    case SQLITE_CANTOPEN:
        return error_set(error, STATUS_FAILED,
                         "The history %s cannot be opened. Check that its folder exists and that "
                         "this user may write there.",
                         path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(error, STATUS_FAILED,
                         "The history %s is locked by another process; what is measured waits in "
                         "memory. If no import or recalibration is running, stop whatever else "
                         "writes to it.",
                         path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(error, STATUS_FAILED, "The history %s is damaged (%s).", path, words);
    default:
        return error_set(error, STATUS_FAILED, "The history %s failed: %s (code %d).", path, words,
                         code);
    }
}

void sql_remove(const char *path)
{
    /* The file last: as long as it is there, somebody comes to remove the rest. */
    static const char *const suffixes[] = {"-journal", "-wal", "-shm", ""};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[PATH_MAX];
        int length = snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        if (length > 0 && (size_t)length < sizeof name)
            (void)unlink(name);
    }
}

static bool is_free(const char *name)
{
    char log[PATH_MAX];
    int length = snprintf(log, sizeof log, "%s-wal", name);
    return length > 0 && (size_t)length < sizeof log && access(name, F_OK) != 0 &&
           access(log, F_OK) != 0;
}

bool sql_beside(const char *path, const char *word, char *name, size_t size)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm utc;
    char stamp[32];
    if (gmtime_r(&now, &utc) == NULL || strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc) == 0)
        return false;
    for (int i = 1; i < 1000; i++) {
        int length = i == 1 ? snprintf(name, size, "%s.%s-%s", path, word, stamp)
                            : snprintf(name, size, "%s.%s-%s-%d", path, word, stamp, i);
        if (length < 0 || (size_t)length >= size)
            return false;
        if (is_free(name))
            return true;
    }
    return false;
}

static int open_folder_of(const char *path)
{
    char *folder memory_auto = memory_copy_text(path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    return open(slash == NULL ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool sql_give_to_folder(int fd, const char *path)
{
    struct stat folder;
    struct stat file;
    int folder_fd = open_folder_of(path);
    if (folder_fd < 0)
        return false;
    bool good = fstat(folder_fd, &folder) == 0 && fstat(fd, &file) == 0;
    (void)close(folder_fd);
    if (!good || geteuid() != 0 || file.st_uid != 0 || folder.st_uid == 0)
        return good;
    return fchown(fd, folder.st_uid, folder.st_gid) == 0;
}

bool sql_is_unwritable(const char *path)
{
    struct statvfs disk;
    if (statvfs(path, &disk) == 0)
        return (disk.f_flag & ST_RDONLY) != 0;
    int fd = open_folder_of(path);
    bool unwritable = fd >= 0 && fstatvfs(fd, &disk) == 0 && (disk.f_flag & ST_RDONLY) != 0;
    if (fd >= 0)
        (void)close(fd);
    return unwritable;
}

bool sql_sync_folder(const char *path)
{
    int fd = open_folder_of(path);
    if (fd < 0)
        return false;
    bool good = fsync(fd) == 0;
    return close(fd) == 0 && good;
}

const char *sql_library_version(void)
{
    return sqlite3_libversion();
}

void sql_end_reading(sqlite3 *db)
{
    if (!sqlite3_get_autocommit(db))
        (void)sql_run(db, "ROLLBACK");
}
