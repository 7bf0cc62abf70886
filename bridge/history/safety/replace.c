/* SPDX-License-Identifier: MIT */
#include "bridge/history/safety/replace.h"

#include "bridge/history/store/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- moving a file with its log ---- */

static bool rename_with(const char *path, const char *name, const char *suffix)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    int from_length = snprintf(from, sizeof from, "%s%s", path, suffix);
    int to_length = snprintf(to, sizeof to, "%s%s", name, suffix);
    if (from_length < 0 || (size_t)from_length >= sizeof from || to_length < 0 ||
        (size_t)to_length >= sizeof to) {
        errno = ENAMETOOLONG;
        return false;
    }
    return rename(from, to) == 0;
}

/* The log first: a database without its log is sound, a log beside another database is not. */
static bool rename_all(const char *path, const char *name)
{
    bool good = rename_with(path, name, "-wal") || errno == ENOENT;
    good = good && (rename_with(path, name, "-shm") || errno == ENOENT);
    return good && rename_with(path, name, "");
}

void replace_move_log_away(const char *path, char *name, size_t size)
{
    if (!sql_beside(path, "moved", name, size) || !rename_with(path, name, "-wal"))
        name[0] = '\0';
    else
        (void)rename_with(path, name, "-shm");
}

void replace_move_log_back(const char *name, const char *path)
{
    (void)rename_with(name, path, "-wal");
    (void)rename_with(name, path, "-shm");
}

bool replace_move_back(const char *name, const char *path)
{
    return rename_all(name, path);
}

enum status replace_move_away(const char *path, const char *word, char *name, size_t size,
                              struct error *error)
{
    if (!sql_beside(path, word, name, size))
        return error_set(error, STATUS_FAILED,
                         "The history %s cannot be moved away: its path is too long.", path);
    if (!rename_all(path, name))
        return error_set(error, STATUS_FAILED,
                         "The history %s cannot be renamed to %s: %s. Move it away.", path, name,
                         strerror(errno));
    (void)sql_sync_folder(path); /* if the rename is lost, the file is found damaged once more */
    return STATUS_OK;
}

/* ---- the new file ---- */

bool replace_name(const char *path, char name[PATH_MAX])
{
    int length = snprintf(name, PATH_MAX, "%s.restored", path);
    return length >= 0 && length < PATH_MAX;
}

enum status replace_put(const char *partial, const char *target, struct error *error)
{
    int fd = open(partial, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool good = fd >= 0 && sql_give_to_folder(fd, target) && fsync(fd) == 0;
    int reason = errno;
    if (fd >= 0)
        (void)close(fd);
    if (good && access(target, F_OK) == 0) {
        good = false;
        reason = EEXIST;
    } else if (good && rename(partial, target) != 0) {
        good = false;
        reason = errno;
    }
    if (good && sql_sync_folder(target))
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "The restored history %s could not be put on disk: %s.",
                     target, good ? "its folder could not be synced" : strerror(reason));
}

void replace_discard(const char *path)
{
    char ready[PATH_MAX];
    if (replace_name(path, ready))
        sql_remove(ready);
}

enum status replace_commit(const char *path, const char *word, char kept[PATH_MAX],
                           struct error *error)
{
    char ready[PATH_MAX];
    enum status status = STATUS_OK;
    kept[0] = '\0';
    if (!replace_name(path, ready))
        return error_set(error, STATUS_USAGE, "The path %s is too long.", path);
    if (access(path, F_OK) == 0)
        status = replace_move_away(path, word, kept, PATH_MAX, error);
    if (status == STATUS_OK)
        status = replace_put(ready, path, error);
    if (status == STATUS_OK)
        return STATUS_OK;
    replace_discard(path);
    if (kept[0] != '\0' && !replace_move_back(kept, path))
        return error_prefix(error, status, "The history is now %s; move it back. ", kept);
    kept[0] = '\0';
    return status;
}

bool replace_recover(const char *path)
{
    static const char *const halves[] = {".restoring.new", ".restoring", ".restored.restoring.new",
                                         ".restored.restoring"};
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        char name[PATH_MAX];
        int length = snprintf(name, sizeof name, "%s%s", path, halves[i]);
        if (length > 0 && (size_t)length < sizeof name)
            sql_remove(name);
    }
    char ready[PATH_MAX];
    if (!replace_name(path, ready))
        return false;
    if (access(path, F_OK) != 0 && access(ready, F_OK) == 0)
        return replace_put(ready, path, NULL) == STATUS_OK;
    replace_discard(path);
    return false;
}
