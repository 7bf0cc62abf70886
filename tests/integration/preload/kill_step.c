/* SPDX-License-Identifier: MIT */
/* LD_PRELOAD: a process that is killed between two steps that change a folder. Before the n-th rename,
 * unlink or sync of a file whose path begins with KILL_STEP_PREFIX it ends as by kill -9. The file
 * KILL_STEP_FILE says n; steps count from when it is there. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool begins_right(const char *path)
{
    const char *prefix = getenv("KILL_STEP_PREFIX");
    return prefix != NULL && strncmp(path, prefix, strlen(prefix)) == 0;
}

static long wanted_step(void)
{
    char text[32] = "";
    const char *file = getenv("KILL_STEP_FILE");
    int fd = file == NULL ? -1 : open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, text, sizeof text - 1);
        text[length < 0 ? 0 : length] = '\0';
        (void)close(fd);
    }
    return strtol(text, NULL, 10);
}

static void step(const char *path)
{
    static atomic_long steps;
    int before = errno;
    long wanted = begins_right(path) ? wanted_step() : 0;
    if (wanted > 0 && atomic_fetch_add(&steps, 1) + 1 == wanted)
        (void)kill(getpid(), SIGKILL);
    errno = before;
}

static void step_of_fd(int fd)
{
    char link[64];
    char path[4096];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    step(path);
}

static int sync_with(const char *name, int fd)
{
    step_of_fd(fd);
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (real != NULL)
        return real(fd);
    errno = ENOSYS;
    return -1;
}

int fsync(int fd)
{
    return sync_with("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_with("fdatasync", fd);
}

int unlink(const char *path)
{
    step(path);
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    if (real != NULL)
        return real(path);
    errno = ENOSYS;
    return -1;
}

int rename(const char *from, const char *to)
{
    step(to);
    int (*real)(const char *, const char *) =
        (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    if (real != NULL)
        return real(from, to);
    errno = ENOSYS;
    return -1;
}
