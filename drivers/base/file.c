/* SPDX-License-Identifier: MIT */
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_file(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
#define fd_auto __attribute__((cleanup(close_file)))

enum status file_read(const char *path, size_t limit, char **bytes, size_t *length,
                      struct error *error)
{
    fd_auto int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, errno == ENOENT ? STATUS_NO_ANSWER : STATUS_FAILED,
                         "The file %s could not be opened: %s.", path, strerror(errno));
    char *buffer memory_auto = memory_new(limit + 2, 1);
    size_t have = 0;
    for (;;) {
        ssize_t got = read(fd, buffer + have, limit + 1 - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(error, STATUS_FAILED, "The file %s could not be read: %s.", path,
                             strerror(errno));
        if (got == 0)
            break;
        have += (size_t)got;
        if (have > limit)
            return error_set(error, STATUS_USAGE,
                             "The file %s is longer than the %zu bytes that are read of it.", path,
                             limit);
    }
    *bytes = buffer;
    *length = have;
    buffer = NULL;
    return STATUS_OK;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(fd, bytes, length);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return false;
        bytes += wrote;
        length -= (size_t)wrote;
    }
    return true;
}

/* The rename itself is only durable once the folder is. */
static void sync_folder_of(const char *path)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return;
    fd_auto int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd);
}

enum status file_target(const char *path, char target[PATH_MAX], struct error *error)
{
    struct stat status;
    if (snprintf(target, PATH_MAX, "%s", path) >= PATH_MAX)
        return error_set(error, STATUS_USAGE, "The path %s is too long.", path);
    if (lstat(path, &status) != 0)
        return STATUS_OK; /* what is in the way of making it is reported by the opening */
    if (S_ISLNK(status.st_mode) && (realpath(path, target) == NULL || lstat(target, &status) != 0))
        return error_set(error, STATUS_USAGE,
                         "%s is a symbolic link that leads to no file. Name another file.", path);
    if (S_ISREG(status.st_mode))
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "%s is not a file that could be replaced. Name another one.", path);
}

int file_create(const char *path, unsigned mode)
{
    /* What has the name is left over from a crash, or planted: a link there is removed, not followed. */
    if (unlink(path) != 0 && errno != ENOENT)
        return -1;
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = open(path, flags, mode == FILE_MODE_UMASK ? 0666 : (mode_t)mode & 0600);
    if (fd < 0 || mode == FILE_MODE_UMASK || fchmod(fd, (mode_t)mode) == 0)
        return fd;
    int reason = errno;
    (void)close(fd);
    (void)unlink(path);
    errno = reason;
    return -1;
}

enum status file_replace(const char *name, const void *bytes, size_t length, unsigned mode,
                         struct error *error)
{
    char temporary[PATH_MAX];
    char path[PATH_MAX];
    enum status status = file_target(name, path, error);
    if (status != STATUS_OK)
        return status;
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return error_set(error, STATUS_USAGE, "The path %s is too long.", path);
    fd_auto int fd = file_create(temporary, mode);
    if (fd < 0)
        return error_set(error, STATUS_FAILED, "The file %s could not be created: %s.", path,
                         strerror(errno));
    if (!write_all(fd, bytes, length) || fsync(fd) != 0 || rename(temporary, path) != 0) {
        int reason = errno;
        (void)unlink(temporary);
        return error_set(error, STATUS_FAILED, "The file %s could not be written: %s.", path,
                         strerror(reason));
    }
    sync_folder_of(path);
    return STATUS_OK;
}

enum status file_make_folder(const char *path, struct error *error)
{
    struct stat status;
    if (mkdir(path, 0750) == 0 ||
        (errno == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)))
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "The folder %s does not exist and could not be created: %s. Create it, or set "
                     "bridge.data_dir to a folder that this user may write to.",
                     path, strerror(errno));
}
