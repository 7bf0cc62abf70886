/* SPDX-License-Identifier: MIT */
#include "bridge/config/input.h"

#include "drivers/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status read_bounded(int fd, size_t limit, char *bytes, size_t *length,
                                struct error *error)
{
    *length = 0;
    while (*length <= limit) {
        ssize_t got = read(fd, bytes + *length, limit + 1 - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(error, STATUS_FAILED, "%s", strerror(errno));
        if (got == 0)
            break;
        *length += (size_t)got;
    }
    return STATUS_OK;
}

enum status input_read(const char *path, size_t limit, char **bytes, size_t *length, mode_t *mode,
                       struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, errno == ENOENT ? STATUS_NO_ANSWER : STATUS_FAILED, "%s",
                         strerror(errno));
    struct stat status;
    if (fstat(fd, &status) != 0) {
        int reason = errno;
        (void)close(fd);
        return error_set(error, STATUS_FAILED, "%s", strerror(reason));
    }
    *mode = status.st_mode;
    *bytes = memory_new(1, limit + 1);
    enum status result = read_bounded(fd, limit, *bytes, length, error);
    (void)close(fd);
    if (result != STATUS_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return result;
}
