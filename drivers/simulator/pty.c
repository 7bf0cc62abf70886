/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/pty.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_raw(int fd)
{
    struct termios2 settings;
    if (ioctl(fd, TCGETS2, &settings) != 0)
        return -1;
    settings.c_iflag = 0;
    settings.c_oflag = 0;
    settings.c_lflag = 0;
    settings.c_cflag = CS8 | CREAD | CLOCAL | B4800; /* what most chips start with */
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    return ioctl(fd, TCSETS2, &settings);
}

static int open_pair(struct pty *pty)
{
    pty->slave = -1;
    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (pty->master < 0)
        return -1;
    if (grantpt(pty->master) != 0 || unlockpt(pty->master) != 0)
        return -1;
    if (ptsname_r(pty->master, pty->path, sizeof pty->path) != 0)
        return -1;
    pty->slave = open(pty->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return pty->slave < 0 ? -1 : make_raw(pty->slave);
}

enum status pty_open(struct pty *pty, struct error *error)
{
    if (open_pair(pty) == 0)
        return STATUS_OK;
    int reason = errno;
    pty_close(pty);
    return error_set(error, STATUS_FAILED,
                     "A pseudo terminal cannot be opened: %s. Check that /dev/pts is mounted and "
                     "that kernel.pty.max is not exhausted.",
                     strerror(reason));
}

void pty_close(struct pty *pty)
{
    if (pty->slave >= 0)
        (void)close(pty->slave);
    if (pty->master >= 0)
        (void)close(pty->master);
    pty->slave = pty->master = -1;
}

void pty_release_slave(struct pty *pty)
{
    (void)close(pty->slave);
    pty->slave = -1;
}

uint32_t pty_host_baud(const struct pty *pty)
{
    /* Asked on the master, Linux answers with the slave's settings. */
    struct termios2 settings;
    return ioctl(pty->master, TCGETS2, &settings) == 0 ? settings.c_ospeed : 0;
}

enum status pty_link(const struct pty *pty, const char *link, struct error *error)
{
    struct stat status;
    if (lstat(link, &status) == 0 && !S_ISLNK(status.st_mode))
        return error_set(error, STATUS_REFUSED,
                         "%s exists and is not a symbolic link; it is left alone. Choose another "
                         "name or remove it.",
                         link);
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.%ld", link, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary)
        return error_set(error, STATUS_FAILED, "The name of the link %s is too long.", link);
    if (symlink(pty->path, temporary) == 0) {
        if (rename(temporary, link) == 0)
            return STATUS_OK;
        int reason = errno;
        (void)unlink(temporary);
        errno = reason;
    }
    return error_set(error, STATUS_FAILED, "The link %s cannot be made: %s.", link,
                     strerror(errno));
}

void pty_unlink(const struct pty *pty, const char *link)
{
    char target[sizeof pty->path + 1];
    ssize_t length = readlink(link, target, sizeof target);
    if (length < 0 || (size_t)length != strlen(pty->path))
        return;
    if (memcmp(target, pty->path, (size_t)length) == 0)
        (void)unlink(link);
}
