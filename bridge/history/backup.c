/* SPDX-License-Identifier: MIT */
#include "bridge/history/backup.h"

#include "bridge/history/reader.h"
#include "bridge/history/sql.h"
#include "drivers/base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_PAGES 1024
#define WORD "backup"

enum status history_backup_name(const char *path, char *name, size_t size, struct error *error)
{
    if (sql_beside(path, WORD, name, size))
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "The path %s is too long for a copy beside it.", path);
}

static enum status check_output(const char *path, const char *output, struct error *error)
{
    struct stat source;
    struct stat target;
    if (stat(path, &source) != 0 || stat(output, &target) != 0)
        return STATUS_OK; /* what is missing is told by the opening */
    if (source.st_dev == target.st_dev && source.st_ino == target.st_ino)
        return error_set(error, STATUS_REFUSED,
                         "%s is the history itself; name another file for the copy.", output);
    if (!S_ISREG(target.st_mode))
        return error_set(error, STATUS_USAGE, "%s is not a file; name one for the copy.", output);
    return STATUS_OK;
}

static int copy_pages(sqlite3 *source, sqlite3 *target)
{
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
    if (backup == NULL)
        return sqlite3_errcode(target);
    int code;
    do
        code = sqlite3_backup_step(backup, STEP_PAGES);
    while (code == SQLITE_OK);
    int end = sqlite3_backup_finish(backup);
    return code == SQLITE_DONE ? end : code;
}

/* The transaction keeps what the source shows as it is until the end of the copy. */
static int copy(sqlite3 *source, sqlite3 *target)
{
    int64_t unused;
    int code = sql_run(source, "BEGIN");
    if (code == SQLITE_OK)
        code = sql_integer(source, "SELECT count(*) FROM channel", &unused);
    /* Nothing is lost by a crash meanwhile but a file that does not count yet. */
    if (code == SQLITE_OK)
        code = sql_run(target, "PRAGMA synchronous = OFF");
    if (code == SQLITE_OK)
        code = copy_pages(source, target);
    if (!sqlite3_get_autocommit(source))
        (void)sql_run(source, "COMMIT"); /* nothing was written */
    /* It was copied with the mark that it has a log; now it has none and needs none. */
    if (code == SQLITE_OK)
        code = sql_run(target, "PRAGMA journal_mode = DELETE");
    return code;
}

static int check(sqlite3 *target, bool *sound)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(target, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        *sound = text != NULL && strcmp(text, "ok") == 0;
        code = SQLITE_OK;
    }
    (void)sqlite3_finalize(statement);
    return code;
}

static enum status copy_checked(sqlite3 *source, const char *path, const char *partial,
                                struct error *error)
{
    sqlite3 *target = NULL;
    bool sound = false;
    int code = sql_open(partial, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false, &target);
    if (code == SQLITE_OK)
        code = copy(source, target);
    if (code == SQLITE_OK)
        code = check(target, &sound);
    enum status status = STATUS_OK;
    if (code != SQLITE_OK && sql_is_damage(code))
        status = error_set(error, STATUS_MISMATCH,
                           "The history %s is damaged (%s); it was not copied over a sound one.",
                           path, sqlite3_errstr(code));
    else if (code != SQLITE_OK)
        status = sql_explain(code, target, partial, error);
    else if (!sound)
        status = error_set(error, STATUS_MISMATCH,
                           "The copy of %s did not pass the check, and so the history is damaged. "
                           "`bl2mqtt history verify` tells more.",
                           path);
    if (sqlite3_close(target) != SQLITE_OK && status == STATUS_OK)
        status = error_set(error, STATUS_FAILED, "The copy %s could not be closed.", partial);
    return status;
}

static enum status put_in_place(const char *partial, const char *output, int64_t *bytes,
                                struct error *error)
{
    int fd = open(partial, O_RDONLY | O_CLOEXEC);
    struct stat status = {0};
    bool good = fd >= 0 && fsync(fd) == 0 && fstat(fd, &status) == 0;
    int reason = errno;
    if (fd >= 0)
        (void)close(fd);
    if (good && rename(partial, output) != 0) {
        good = false;
        reason = errno;
    }
    if (!good)
        return error_set(error, STATUS_FAILED, "The copy %s could not be finished: %s.", output,
                         strerror(reason));
    if (!sql_sync_folder(output))
        return error_set(error, STATUS_FAILED,
                         "The copy %s was made, but its folder could not be synced: after a power "
                         "cut it may be missing.",
                         output);
    if (bytes != NULL)
        *bytes = status.st_size;
    return STATUS_OK;
}

/* What SQLite may have left beside it when it failed. */
static void remove_partial(const char *partial)
{
    static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[PATH_MAX];
        int length = snprintf(name, sizeof name, "%s%s", partial, suffixes[i]);
        if (length > 0 && (size_t)length < sizeof name)
            (void)unlink(name);
    }
}

enum status history_backup(const char *path, const char *output, int64_t *bytes,
                           struct error *error)
{
    char partial[PATH_MAX];
    int length = snprintf(partial, sizeof partial, "%s.new", output);
    if (length < 0 || (size_t)length >= sizeof partial)
        return error_set(error, STATUS_USAGE, "The path of the copy is too long.");
    enum status status = check_output(path, output, error);
    if (status != STATUS_OK)
        return status;
    sqlite3 *source = NULL;
    status = reader_open(path, &source, error);
    if (status == STATUS_OK) {
        remove_partial(partial);
        status = copy_checked(source, path, partial, error);
        if (status == STATUS_OK)
            status = put_in_place(partial, output, bytes, error);
        if (status != STATUS_OK)
            remove_partial(partial);
    }
    (void)sqlite3_close(source);
    return status;
}

/* ---- keeping a number of them ---- */

struct names {
    char **list;
    size_t count;
    size_t capacity;
};

static void add_name(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? 16 : names->capacity * 2;
        char **list = memory_new(capacity, sizeof(char *));
        if (names->count > 0)
            memcpy(list, names->list, names->count * sizeof(char *));
        free(names->list);
        names->list = list;
        names->capacity = capacity;
    }
    names->list[names->count++] = memory_copy_text(name);
}

/* Exactly what sql_beside makes: the time, Z, perhaps "-2". Not "….new", nor what somebody else named
 * alike. */
static bool is_backup_name(const char *name, const char *prefix)
{
    static const char pattern[] = "dddddddd'T'dddddd'Z'";
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0)
        return false;
    name += length;
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '\'') {
            if (*name++ != at[1])
                return false;
            at += 2;
        } else if (*name < '0' || *name++ > '9') {
            return false;
        }
    }
    return *name == '\0' || (*name == '-' && name[1 + strspn(name + 1, "0123456789")] == '\0');
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status delete_oldest(const char *folder, struct names *names, unsigned keep,
                                 unsigned *deleted, struct error *error)
{
    if (names->count > 0)
        qsort(names->list, names->count, sizeof(char *), compare_names);
    for (size_t i = 0; i + keep < names->count; i++) {
        char name[PATH_MAX];
        int length = snprintf(name, sizeof name, "%s/%s", folder, names->list[i]);
        if (length < 0 || (size_t)length >= sizeof name || unlink(name) != 0)
            return error_set(error, STATUS_FAILED, "The old copy %s could not be deleted: %s.",
                             names->list[i], strerror(errno));
        (*deleted)++;
    }
    return STATUS_OK;
}

enum status history_backup_prune(const char *path, unsigned keep, unsigned *deleted,
                                 struct error *error)
{
    *deleted = 0;
    char *folder memory_auto = memory_copy_text(path);
    char *slash = strrchr(folder, '/');
    const char *file = slash == NULL ? path : path + (slash - folder) + 1;
    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    const char *place = slash == NULL ? "." : folder;
    char prefix[NAME_MAX + sizeof WORD + 3];
    (void)snprintf(prefix, sizeof prefix, "%s." WORD "-", file);

    DIR *list = opendir(place);
    if (list == NULL)
        return error_set(error, STATUS_FAILED, "The folder %s cannot be read: %s.", place,
                         strerror(errno));
    struct names names = {NULL, 0, 0};
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        if (is_backup_name(entry->d_name, prefix))
            add_name(&names, entry->d_name);
    (void)closedir(list);
    enum status status = delete_oldest(place, &names, keep, deleted, error);
    for (size_t i = 0; i < names.count; i++)
        free(names.list[i]);
    free(names.list);
    return status;
}
