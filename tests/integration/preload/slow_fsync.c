/* SPDX-License-Identifier: MIT */
/* LD_PRELOAD: a disk that takes SLOW_FSYNC_MS to sync (as an SD card does now and then). With
 * SLOW_FSYNC_FILE it is only slow while that file exists. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int (*syncer)(int fd);

static void stall(void)
{
    const char *file = getenv("SLOW_FSYNC_FILE");
    const char *delay = getenv("SLOW_FSYNC_MS");
    if (delay == NULL || (file != NULL && access(file, F_OK) != 0))
        return;
    long left = strtol(delay, NULL, 10);
    struct timespec pause = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000L};
    while (nanosleep(&pause, &pause) != 0)
        ;
}

static int stall_and_sync(const char *name, int fd)
{
    stall();
    syncer real = (syncer)dlsym(RTLD_NEXT, name);
    if (real != NULL)
        return real(fd);
    errno = ENOSYS;
    return -1;
}

int fsync(int fd)
{
    return stall_and_sync("fsync", fd);
}

int fdatasync(int fd)
{
    return stall_and_sync("fdatasync", fd);
}
