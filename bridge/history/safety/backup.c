/* SPDX-License-Identifier: MIT */
#include "bridge/history/safety/backup.h"

#include "bridge/history/query/reader.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* More than time zones, leap seconds and a clock that was put right a little can make. */
#define AHEAD_MS (INT64_C(24) * 3600 * 1000)
#define STEP_PAGES 1024
/* What stands between the history's name and the time; the longest first, as one begins another. */
static const struct {
    enum history_backup_kind kind;
    const char *word;
} kinds[] = {
    {HISTORY_BACKUP_REQUESTED, "backup-requested"},
    {HISTORY_BACKUP_DAILY, "backup"},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

#define ROOM_LEFT 32000000ULL     /* bytes that a copy leaves free */
#define ROOM_FOR_START 2000000ULL /* ... and one that the service is to go on from */

static const char *word_of(enum history_backup_kind kind)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].kind == kind)
            return kinds[i].word;
    return "";
}

enum status history_backup_name(const char *base, enum history_backup_kind kind, char *name,
                                size_t size, struct error *error)
{
    if (sql_beside(base, word_of(kind), name, size))
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "The path %s is too long for backups.", base);
}

static enum status check_output(const char *path, const char *name, char output[PATH_MAX],
                                struct error *error)
{
    struct stat source;
    struct stat target;
    enum status status = file_target(name, output, error);
    if (status != STATUS_OK)
        return status;
    if (stat(path, &source) != 0 || stat(output, &target) != 0)
        return STATUS_OK; /* what is missing is reported by the opening */
    if (source.st_dev == target.st_dev && source.st_ino == target.st_ino)
        return error_set(error, STATUS_REFUSED,
                         "%s is the history itself; name another file for the copy.", output);
    return STATUS_OK;
}

static bool is_stopped(const struct history_backup_options *options)
{
    return options->stop != NULL && atomic_load(options->stop);
}

static void show_life(const struct history_backup_options *options)
{
    if (options->alive != NULL)
        options->alive(options->alive_context);
}

static void pause_for(int64_t ms)
{
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    if (ms > 0)
        (void)nanosleep(&time, NULL); /* a signal may shorten it */
}

/* What is written little by little is also put on disk little by little: one sync of it all at the
 * end would hold up the writer's own for as long. */
static int copy_pages(const struct history_backup_options *options, sqlite3 *source,
                      sqlite3 *target, int fd)
{
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
    if (backup == NULL)
        return sqlite3_errcode(target);
    int code;
    while ((code = sqlite3_backup_step(backup, STEP_PAGES)) == SQLITE_OK && !is_stopped(options)) {
        (void)fdatasync(fd); /* the one at the end counts */
        show_life(options);
        pause_for(options->pause_ms);
    }
    if (code == SQLITE_OK)
        code = SQLITE_INTERRUPT;
    int end = sqlite3_backup_finish(backup);
    return code == SQLITE_DONE ? end : code;
}

/* The transaction keeps what the source shows as it is until the end of the copy. */
static int copy(const struct history_backup_options *options, sqlite3 *source, sqlite3 *target,
                int fd)
{
    int64_t unused;
    int code = sql_run(source, "BEGIN");
    if (code == SQLITE_OK)
        code = sql_integer(source, "SELECT count(*) FROM channel", &unused);
    /* Nothing is lost by a crash meanwhile but a file that does not count yet. */
    if (code == SQLITE_OK)
        code = sql_run(target, "PRAGMA synchronous = OFF");
    if (code == SQLITE_OK)
        code = copy_pages(options, source, target, fd);
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

/* SQLite asks this every few thousand steps of a check, which reads the whole copy. */
static int must_stop(void *options)
{
    show_life(options);
    return is_stopped(options) ? 1 : 0;
}

static enum status copy_checked(const struct history_backup_options *options, sqlite3 *source,
                                const char *partial, struct error *error)
{
    const char *path = options->path;
    sqlite3 *target = NULL;
    bool sound = false;
    int code = sql_create_file(partial);
    if (code == SQLITE_OK)
        code = sql_open(partial, SQLITE_OPEN_READWRITE, false, &target);
    int fd = open(partial, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) /* shows history_backup_clean that it is being made; not SQLite's kind of lock */
        (void)flock(fd, LOCK_SH | LOCK_NB);
    if (code == SQLITE_OK)
        code = copy(options, source, target, fd);
    if (code == SQLITE_OK) {
        sqlite3_progress_handler(target, 100000, must_stop, (void *)options);
        code = check(target, &sound);
    }
    enum status status = STATUS_OK;
    if (code != SQLITE_OK && is_stopped(options))
        status = error_set(error, STATUS_FAILED, "The copy %s was given up on request.",
                           options->output);
    else if (code != SQLITE_OK && sql_is_damage(code))
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
    if (fd >= 0) /* after SQLite's own: closing drops the process's locks on the file */
        (void)close(fd);
    return status;
}

static enum status put_in_place(const char *partial, const char *output, int64_t *bytes,
                                struct error *error)
{
    int fd = open(partial, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
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

/* A disk that the copy fills is a disk that takes no readings. */
static enum status check_room(const char *path, const char *output, bool needed_now,
                              struct error *error)
{
    unsigned long long left = needed_now ? ROOM_FOR_START : ROOM_LEFT;
    char *folder memory_auto = memory_copy_text(output);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    struct stat source;
    struct statvfs disk;
    if (stat(path, &source) != 0 || statvfs(slash == NULL ? "." : folder, &disk) != 0)
        return STATUS_OK; /* what is missing is reported by the opening */
    unsigned long long free_bytes = (unsigned long long)disk.f_bavail * disk.f_frsize;
    unsigned long long needed = (unsigned long long)source.st_size + left;
    if (free_bytes >= needed)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED,
                     "There is no room for the copy %s: it needs %llu MB, with %llu MB left over, "
                     "and %llu MB are free. Free some space, keep fewer copies, or name another "
                     "folder.",
                     output, (needed - left + 999999) / 1000000, left / 1000000,
                     free_bytes / 1000000);
}

enum status history_backup(const struct history_backup_options *request, int64_t *bytes,
                           struct error *error)
{
    char output[PATH_MAX];
    char partial[PATH_MAX];
    struct history_backup_options resolved = *request;
    const struct history_backup_options *options = &resolved;
    enum status status = check_output(request->path, request->output, output, error);
    if (status == STATUS_OK)
        status = check_room(options->path, output, options->needed, error);
    if (status != STATUS_OK)
        return status;
    resolved.output = output;
    int length = snprintf(partial, sizeof partial, "%s.new", output);
    if (length < 0 || (size_t)length >= sizeof partial)
        return error_set(error, STATUS_USAGE, "The path of the copy is too long.");
    sqlite3 *source = NULL;
    status = options->older ? reader_open_older(options->path, &source, error)
                            : reader_open(options->path, &source, error);
    if (status == STATUS_FAILED && source != NULL && sql_is_damage(sqlite3_errcode(source)))
        status = STATUS_MISMATCH;
    if (status == STATUS_OK) {
        sql_remove(partial);
        status = copy_checked(options, source, partial, error);
        if (status == STATUS_OK)
            status = put_in_place(partial, options->output, bytes, error);
        if (status != STATUS_OK)
            sql_remove(partial);
    }
    (void)sqlite3_close(source);
    return status;
}

/* ---- those that there are ---- */

char *history_backup_base(const char *path, const char *folder)
{
    if (folder == NULL || folder[0] == '\0')
        return memory_copy_text(path);
    const char *slash = strrchr(path, '/');
    const char *file = slash == NULL ? path : slash + 1;
    size_t size = strlen(folder) + strlen(file) + 2;
    char *base = memory_new(size, 1);
    (void)snprintf(base, size, "%s/%s", folder, file);
    return base;
}

/* Exactly what sql_beside makes: the time, Z, perhaps "-2", and what it ends in: "", or ".new" while it is
 * being made. Not what somebody else named alike. */
static bool is_stamp(const char *name, const char *end)
{
    static const char pattern[] = "dddddddd'T'dddddd'Z'";
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '\'') {
            if (*name++ != at[1])
                return false;
            at += 2;
        } else if (*name < '0' || *name++ > '9') {
            return false;
        }
    }
    if (*name == '-')
        name += 1 + strspn(name + 1, "0123456789");
    return strcmp(name, end) == 0;
}

/* The time in the name of a backup of a history whose file name is `file`; NULL: it is something else. */
static const char *stamp_of(const char *name, const char *file, const char *end,
                            enum history_backup_kind *kind)
{
    size_t length = strlen(file);
    if (strncmp(name, file, length) != 0 || name[length] != '.')
        return NULL;
    name += length + 1;
    for (size_t i = 0; i < KINDS; i++) {
        size_t word = strlen(kinds[i].word);
        if (strncmp(name, kinds[i].word, word) != 0 || name[word] != '-' ||
            !is_stamp(name + word + 1, end))
            continue;
        *kind = kinds[i].kind;
        return name + word + 1;
    }
    return NULL;
}

static int64_t digits_of(const char *text, size_t count)
{
    int64_t value = 0;
    (void)number_parse_int(text, count, 0, 9999, &value);
    return value;
}

static int64_t stamp_ms(const char *stamp)
{
    struct tm utc = {.tm_year = (int)digits_of(stamp, 4) - 1900,
                     .tm_mon = (int)digits_of(stamp + 4, 2) - 1,
                     .tm_mday = (int)digits_of(stamp + 6, 2),
                     .tm_hour = (int)digits_of(stamp + 9, 2),
                     .tm_min = (int)digits_of(stamp + 11, 2),
                     .tm_sec = (int)digits_of(stamp + 13, 2)};
    return (int64_t)timegm(&utc) * 1000;
}

static void add_file(struct history_backups *backups, const char *folder, const char *file,
                     const char *name)
{
    enum history_backup_kind kind;
    const char *stamp = stamp_of(name, file, "", &kind);
    if (stamp == NULL)
        return;
    char path[PATH_MAX];
    struct stat status;
    int length = snprintf(path, sizeof path, "%s%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof path || stat(path, &status) != 0 ||
        !S_ISREG(status.st_mode))
        return;
    backups->list =
        memory_grow(backups->list, backups->count, &backups->capacity, sizeof *backups->list);
    backups->list[backups->count++] = (struct history_backup_file){
        .path = memory_copy_text(path),
        .kind = kind,
        .made_ms = stamp_ms(stamp),
        .bytes = status.st_size,
        .ahead = stamp_ms(stamp) > clock_wall_ms() + AHEAD_MS,
    };
}

static int compare_files(const void *left, const void *right)
{
    const struct history_backup_file *a = left;
    const struct history_backup_file *b = right;
    /* One stamped by a clock that was years ahead would pass for the newest until then: new ones would be
     * deleted in its stead, and it would be restored in theirs. */
    if (a->ahead != b->ahead)
        return a->ahead ? -1 : 1;
    if (a->made_ms != b->made_ms)
        return a->made_ms < b->made_ms ? -1 : 1;
    return strcmp(a->path, b->path);
}

/* The folder that base names backups in, with its slash, and the history's file name. */
static bool split_base(const char *base, char folder[PATH_MAX], const char **file)
{
    const char *slash = strrchr(base, '/');
    *file = slash == NULL ? base : slash + 1;
    int length = snprintf(folder, PATH_MAX, "%.*s", (int)(*file - base), base);
    return length >= 0 && length < PATH_MAX;
}

enum status history_backups(const char *base, struct history_backups *backups, struct error *error)
{
    *backups = (struct history_backups){.list = NULL};
    char folder[PATH_MAX];
    const char *file;
    if (!split_base(base, folder, &file))
        return error_set(error, STATUS_FAILED, "The path %s is too long for backups.", base);
    DIR *list = opendir(folder[0] == '\0' ? "." : folder);
    if (list == NULL)
        return error_set(error, STATUS_FAILED, "The folder %s cannot be read: %s.",
                         folder[0] == '\0' ? "." : folder, strerror(errno));
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        add_file(backups, folder, file, entry->d_name);
    (void)closedir(list);
    if (backups->count > 0)
        qsort(backups->list, backups->count, sizeof *backups->list, compare_files);
    return STATUS_OK;
}

static void remove_if_nobodys(const char *folder, const char *name)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        sql_remove(path);
    (void)close(fd);
}

void history_backup_clean(const char *base)
{
    char folder[PATH_MAX];
    const char *file;
    enum history_backup_kind kind;
    if (!split_base(base, folder, &file))
        return;
    DIR *list = opendir(folder[0] == '\0' ? "." : folder);
    if (list == NULL)
        return; /* history_backups tells */
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list))
        if (stamp_of(entry->d_name, file, ".new", &kind) != NULL)
            remove_if_nobodys(folder, entry->d_name);
    (void)closedir(list);
}

void history_backups_free(struct history_backups *backups)
{
    for (size_t i = 0; i < backups->count; i++)
        free(backups->list[i].path);
    free(backups->list);
    *backups = (struct history_backups){.list = NULL};
}

static bool is_of_kind(const struct history_backup_file *file, enum history_backup_kind kind)
{
    return kind == HISTORY_BACKUP_ALL || file->kind == kind;
}

enum status history_backup_prune(const char *base, enum history_backup_kind kind, unsigned keep,
                                 unsigned *deleted, struct error *error)
{
    *deleted = 0;
    struct history_backups backups;
    history_backup_clean(base);
    enum status status = history_backups(base, &backups, error);
    size_t left = 0;
    for (size_t i = 0; i < backups.count; i++)
        left += is_of_kind(&backups.list[i], kind) ? 1 : 0;
    for (size_t i = 0; status == STATUS_OK && left > keep; i++) {
        if (!is_of_kind(&backups.list[i], kind))
            continue;
        left--;
        if (unlink(backups.list[i].path) == 0)
            (*deleted)++;
        else
            status = error_set(error, STATUS_FAILED, "The old backup %s could not be deleted: %s.",
                               backups.list[i].path, strerror(errno));
    }
    history_backups_free(&backups);
    return status;
}
