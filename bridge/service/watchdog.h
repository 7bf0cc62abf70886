/* SPDX-License-Identifier: MIT */
/**
 * systemd's side of the service: READY, STOPPING, a status line, and the watchdog, which is fed
 * only while the loop (by calling here), the history's writer and the publisher all make progress.
 * Without systemd every call does nothing.
 */
#ifndef BRIDGE_SERVICE_WATCHDOG_H
#define BRIDGE_SERVICE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct watchdog {
    int64_t interval_ms; /**< 0: no watchdog wanted; else call watchdog_feed this often */
    uint64_t writer_progress;
    uint64_t publisher_progress;
};

void watchdog_init(struct watchdog *watchdog);
/** Both progress counters must have moved since the last call; else the dog stays hungry. */
void watchdog_feed(struct watchdog *watchdog, uint64_t writer_progress,
                   uint64_t publisher_progress);

/** Work between the end of the service and its next beginning may take long: nobody is to feed meanwhile. */
void watchdog_patience(bool long_work);

void watchdog_ready(const char *status);
void watchdog_reloading(void);
void watchdog_stopping(void);

#endif
