/* SPDX-License-Identifier: MIT */
/* LD_PRELOAD: a disk without room. While FULL_DISK_FILE exists, writing to a file whose path begins
 * with FULL_DISK_PREFIX fails with ENOSPC; without the prefix, writing to any regular file does.
 * FULL_DISK_ERRNO: another error, 30 (EROFS) for a disk that the kernel has made read-only. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef ssize_t (*writer)(int fd, const void *bytes, size_t count);
typedef ssize_t (*positioned_writer)(int fd, const void *bytes, size_t count, off64_t offset);

static bool has_prefix(int fd, const char *prefix)
{
    char link[64];
    char path[4096];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    size_t wanted = strlen(prefix);
    return length >= (ssize_t)wanted && strncmp(path, prefix, wanted) == 0;
}

static bool is_full(int fd)
{
    const char *file = getenv("FULL_DISK_FILE");
    const char *prefix = getenv("FULL_DISK_PREFIX");
    struct stat status;
    int before = errno;
    bool full = file != NULL && access(file, F_OK) == 0 && fstat(fd, &status) == 0 &&
                S_ISREG(status.st_mode) && (prefix == NULL || has_prefix(fd, prefix));
    const char *other = getenv("FULL_DISK_ERRNO");
    errno = !full ? before : other == NULL ? ENOSPC : (int)strtol(other, NULL, 10);
    return full;
}

static ssize_t write_at(const char *name, int fd, const void *bytes, size_t count, off64_t offset)
{
    if (is_full(fd))
        return -1;
    positioned_writer real = (positioned_writer)dlsym(RTLD_NEXT, name);
    if (real != NULL)
        return real(fd, bytes, count, offset);
    errno = ENOSYS;
    return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    return write_at("pwrite", fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    return write_at("pwrite64", fd, bytes, count, offset);
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    if (is_full(fd))
        return -1;
    writer real = (writer)dlsym(RTLD_NEXT, "write");
    if (real != NULL)
        return real(fd, bytes, count);
    errno = ENOSYS;
    return -1;
}
