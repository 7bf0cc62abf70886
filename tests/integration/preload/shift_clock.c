/* SPDX-License-Identifier: MIT */
/* LD_PRELOAD: a wall clock that is wrong by as many seconds as SHIFT_CLOCK_FILE says (a whole number;
 * no file: right). The boot clock is shifted by SHIFT_CLOCK_BOOT_FILE in the same way; a machine that
 * was suspended has both shifted. What the kernel says of the clock: unsynchronised while the file
 * SHIFT_CLOCK_UNSYNC_FILE is there, synchronised otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static long offset_s(const char *variable)
{
    const char *file = getenv(variable);
    char text[32] = "";
    int before = errno;
    int fd = file == NULL ? -1 : open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, text, sizeof text - 1);
        text[length < 0 ? 0 : length] = '\0';
        (void)close(fd);
    }
    errno = before;
    return strtol(text, NULL, 10);
}

/* By system call: these functions are needed before dlsym can be. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (syscall(SYS_clock_gettime, clock, now) != 0)
        return -1;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += offset_s("SHIFT_CLOCK_FILE");
    else if (clock == CLOCK_BOOTTIME)
        now->tv_sec += offset_s("SHIFT_CLOCK_BOOT_FILE");
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return -1;
    *now = (struct timeval){.tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *result)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return (time_t)-1;
    if (result != NULL)
        *result = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *clock)
{
    const char *file = getenv("SHIFT_CLOCK_UNSYNC_FILE");
    int before = errno;
    bool lost = file != NULL && access(file, F_OK) == 0;
    errno = before;
    *clock = (struct timex){.status = lost ? STA_UNSYNC : 0, .maxerror = lost ? 16000000 : 1000};
    return lost ? TIME_ERROR : TIME_OK;
}
