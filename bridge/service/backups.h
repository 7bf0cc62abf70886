/* SPDX-License-Identifier: MIT */
/**
 * Backups of the history while the service runs: daily at a time of the local clock, and on request.
 * A thread of its own makes them, one at a time; the results arrive on the loop's thread. A daily
 * backup that was missed because the machine was off is made some minutes after the start. One that
 * failed is tried again every hour.
 *
 * Daily and requested backups have a quota each, so that requests never push a daily one out. A
 * request that comes while a backup is being made gets the result of that one.
 */
#ifndef BRIDGE_SERVICE_BACKUPS_H
#define BRIDGE_SERVICE_BACKUPS_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct backups;

/** More requests than this do not wait for one backup. */
#define BACKUPS_WAITING_MAX 64

/** The newest backup, as far as known. */
struct backups_last {
    int64_t made_ms;  /**< wall clock; 0: there is none */
    const char *file; /**< "" then; borrowed */
    int64_t bytes;
    const char *problem; /**< why there is none since, a sentence; "" */
};

struct backups_options {
    const char *path;   /**< of the history */
    const char *folder; /**< for the backups; "": beside it */
    const char *time;   /**< "03:30" or "off" */
    int64_t keep;       /**< so many of each kind */
    struct log *log;
    /** backup_made or backup_failed, with its sentence. */
    void (*event)(void *context, const char *kind, const char *message);
    void *context;
};

/** The result of a requested backup: STATUS_OK with its path and size, or an error. */
typedef void (*backups_answer)(void *context, enum status status, const char *path, int64_t bytes,
                               const struct error *error);

/** The texts are copied. */
enum status backups_create(uv_loop_t *loop, const struct backups_options *options,
                           struct backups **backups, struct error *error);

/** Begins a backup, or joins the one that is being made. With STATUS_OK, answer is called once, later:
 *  when the backup has ended, or from backups_close. STATUS_FAILED: too many wait, or no thread can be
 *  had. */
enum status backups_request(struct backups *backups, backups_answer answer, void *context,
                            struct error *error);

/** To be called every second or so: begins the daily backup when it is due. */
void backups_tick(struct backups *backups, int64_t boot_ms);

void backups_last(const struct backups *backups, struct backups_last *last);

/** When the daily backup was last due at wall_ms: the last moment at which the local clock came to
 *  `minutes` after midnight. Pure but for the time zone. */
int64_t backups_scheduled_ms(int minutes, int64_t wall_ms);

/** Gives up the backup that is being made, waits for its thread and answers who waits. The loop must
 *  run once more. NULL is allowed. */
void backups_close(struct backups *backups);

#endif
