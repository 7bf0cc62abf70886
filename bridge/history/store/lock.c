/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/lock.h"

#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* To be freed. */
static char *lock_path(const char *path)
{
    size_t size = strlen(path) + sizeof ".lock";
    char *lock = memory_new(size, 1);
    (void)snprintf(lock, size, "%s.lock", path);
    return lock;
}

/* A disk that is full, failing, or became read-only by that may work at the next attempt. */
static bool may_pass(int reason)
{
    return reason == EROFS || reason == ENOSPC || reason == EDQUOT || reason == EIO;
}

enum status lock_take(const char *path, bool may_read_only, int *lock, struct error *error)
{
    char *name memory_auto = lock_path(path);
    *lock = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, SQL_FILE_MODE);
    if (*lock < 0 && errno == EROFS && may_read_only) {
        *lock = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (*lock < 0 &&
            errno == ENOENT) /* nobody can write; it is created before this process does */
            return STATUS_OK;
    }
    if (*lock < 0)
        return error_set(error, may_pass(errno) ? STATUS_FAILED : STATUS_USAGE,
                         "The history %s cannot be opened: %s. Check that its folder exists and "
                         "that this user may write there.",
                         path, strerror(errno));
    (void)sql_give_to_folder(*lock, name); /* if not, its user sees why it cannot be opened */
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return STATUS_OK;
    /* Not a usage error: it may be this service itself, stopped or reloading while the disk hangs.
     * Whoever supervises it should try again. */
    return error_set(error, STATUS_FAILED,
                     "The history %s is in use by another bl2mqtt. Stop that one, or give this one "
                     "another history.path.",
                     path);
}

bool lock_is_held(const char *path)
{
    char *lock memory_auto = lock_path(path);
    int fd = open(lock, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    (void)close(fd); /* releases it */
    return held;
}
