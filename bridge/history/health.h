/* SPDX-License-Identifier: MIT */
/** What the history says about itself. */
#ifndef BRIDGE_HISTORY_HEALTH_H
#define BRIDGE_HISTORY_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_health {
    bool writing; /**< the last commit worked */
    int64_t last_commit_boot_ms;
    int64_t totals_boot_ms; /**< when totals last reached the disk: then, or alone since */
    int64_t late_ms;        /**< for how long a commit has been overdue; 0: it is on time */
    size_t queued;
    uint64_t committed_rows;
    uint64_t dropped_rows; /**< readings that did not fit into the queue, or came too fast */
    uint64_t progress;  /**< grows with each turn of the writer, at least every 5 s unless the disk
                                holds it up: evidence for the watchdog */
    bool may_lag;       /**< totals may have been known, and published, that are later than those
                                loaded at open: the stop was not clean, or the file is a fresh one */
    bool clock_awaited; /**< readings wait in memory until the wall clock is set */
    int64_t clock_released_boot_ms; /**< when those that waited got their stamps; 0: none did */
    char clock_message[256];        /**< the last sentence about the clock, "" if there was none */
    char problem[256];              /**< a sentence, "" when healthy */
    char quarantined[256];          /**< path of the last damaged file, or "" */
    char restored[256]; /**< path of the backup that the history continues from since then, or "" */
};

#endif
