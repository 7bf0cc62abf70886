/* SPDX-License-Identifier: MIT */
/**
 * Copies of the history while the service runs: daily at a time of the local clock, and on request.
 * Each is made on a thread of its own, one at a time; what comes of it is told on the loop's. A daily
 * copy that was missed, because the machine was off, is made up for some minutes after the start;
 * one that failed is tried again every hour.
 */
#ifndef BRIDGE_SERVICE_BACKUPS_H
#define BRIDGE_SERVICE_BACKUPS_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct backups;

/** The last copy, as far as known. */
struct backups_last {
    int64_t made_ms;  /**< wall clock; 0: there is none */
    const char *file; /**< "" then; borrowed */
    int64_t bytes;
    const char *problem; /**< why there is none since, a sentence; "" */
};

struct backups_options {
    const char *path;   /**< of the history */
    const char *folder; /**< for the copies; "": beside it */
    const char *time;   /**< "03:30" or "off" */
    int64_t keep;
    struct log *log;
    /** backup_made or backup_failed, with its sentence. */
    void (*event)(void *context, const char *kind, const char *message);
    /** A copy that backups_start began has ended; after event. */
    void (*done)(void *context, enum status status, const struct error *error);
    void *context;
};

/** The texts are copied. */
enum status backups_create(uv_loop_t *loop, const struct backups_options *options,
                           struct backups **backups, struct error *error);

/** STATUS_FAILED: one is being made already, or no thread can be had. */
enum status backups_start(struct backups *backups, struct error *error);

/** To be called every second or so: begins the daily copy when it is due. */
void backups_tick(struct backups *backups, int64_t boot_ms);

void backups_last(const struct backups *backups, struct backups_last *last);

/** When the daily copy was last to be made at wall_ms: the last moment at which the local clock came
 *  to `minutes` after midnight. Pure but for the time zone. */
int64_t backups_scheduled_ms(int minutes, int64_t wall_ms);

/** Gives up what is being made and waits for the thread; nothing is told any more. The loop must run
 *  once more. NULL is allowed. */
void backups_close(struct backups *backups);

#endif
