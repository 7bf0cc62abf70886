/* SPDX-License-Identifier: MIT */
#include "bridge/service/watchdog.h"

#include <systemd/sd-daemon.h>

void watchdog_init(struct watchdog *watchdog)
{
    uint64_t interval_us = 0;
    *watchdog = (struct watchdog){0};
    if (sd_watchdog_enabled(0, &interval_us) > 0)
        watchdog->interval_ms = (int64_t)(interval_us / 1000 / 2);
}

void watchdog_feed(struct watchdog *watchdog, uint64_t writer_progress, uint64_t publisher_progress)
{
    if (writer_progress == watchdog->writer_progress ||
        publisher_progress == watchdog->publisher_progress)
        return;
    watchdog->writer_progress = writer_progress;
    watchdog->publisher_progress = publisher_progress;
    (void)sd_notify(0, "WATCHDOG=1");
}

void watchdog_ready(const char *status)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void watchdog_reloading(void)
{
    (void)sd_notify(0, "RELOADING=1");
}

void watchdog_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1\nSTATUS=Committing and saying goodbye.");
}
