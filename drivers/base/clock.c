/* SPDX-License-Identifier: MIT */
#include "drivers/base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

/* From here on the kernel itself gives the clock up (NTP_PHASE_LIMIT). */
#define MAX_ERROR_US 16000000

static int64_t read_ms(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now); /* cannot fail for these clocks on Linux */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct timespec clock_timespec_us(int64_t us)
{
    return (struct timespec){.tv_sec = (time_t)(us / 1000000),
                             .tv_nsec = (long)(us % 1000000) * 1000};
}

int64_t clock_boot_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

uint64_t clock_to_grid_ms(int64_t period_ms)
{
    return (uint64_t)(period_ms - clock_boot_ms() % period_ms);
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t clock_awake_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

enum clock_sync clock_sync_of_folder(const char *folder)
{
    char path[128];
    int length = snprintf(path, sizeof path, "%s/synchronized", folder);
    if (length < 0 || (size_t)length >= sizeof path || access(folder, F_OK) != 0)
        return CLOCK_SYNC_UNKNOWN;
    return access(path, F_OK) == 0 ? CLOCK_SYNCHRONISED : CLOCK_UNSYNCHRONISED;
}

enum clock_sync clock_sync(void)
{
    struct timex clock = {.modes = 0}; /* only asks */
    if (adjtimex(&clock) < 0)          /* the sandbox of the unit */
        return clock_sync_of_folder("/run/systemd/timesync");
    bool lost = (clock.status & STA_UNSYNC) != 0 || clock.maxerror >= MAX_ERROR_US;
    return lost ? CLOCK_UNSYNCHRONISED : CLOCK_SYNCHRONISED;
}
