/* SPDX-License-Identifier: MIT */
/**
 * Backups of the history, made while the service writes it: a reader of its own holds the state of one
 * moment and copies it page by page, so the writer never waits. Its log grows by what it writes meanwhile.
 * docs/history-design.md says, with figures, why the writer's connection is not used.
 */
#ifndef BRIDGE_HISTORY_SAFETY_BACKUP_H
#define BRIDGE_HISTORY_SAFETY_BACKUP_H

#include "drivers/base/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_backup_options {
    const char *path;        /**< the history */
    const char *output;      /**< replaced if it exists */
    int64_t pause_ms;        /**< after every 4 MiB, so that a slow disk has time for others */
    const atomic_bool *stop; /**< set by another thread: give up soon. NULL: nobody does */
    bool older;              /**< one of an older version will do, too */
    bool needed; /**< the service will use it: only 2 MB of the disk must be left over */
    /** Called now and then while it goes on; may be NULL. */
    void (*alive)(void *context);
    void *alive_context;
};

/**
 * Makes a backup: written beside its place (output.new, created anew), checked (quick_check), synced,
 * renamed. It is one file that needs no others. *bytes (may be NULL): its size. STATUS_USAGE: path is not a
 * history that can be read; STATUS_REFUSED: output is the history itself; STATUS_MISMATCH: the backup is
 * damaged, as the history then is; STATUS_FAILED: the disk, too little room, or stopped. Nothing is left
 * behind unless it is STATUS_OK. May run on any thread.
 */
enum status history_backup(const struct history_backup_options *options, int64_t *bytes,
                           struct error *error);

/** What the backups of a history are named after: its own path, or its file name in another folder
 *  (NULL or "": none). To be freed. */
char *history_backup_base(const char *path, const char *folder);

/** Each kind has a quota of its own, so that no number of requests pushes a daily backup out. */
enum history_backup_kind {
    HISTORY_BACKUP_DAILY,
    HISTORY_BACKUP_REQUESTED,
    HISTORY_BACKUP_ALL, /**< only to prune */
};

/** "BASE.backup-20261124T121922Z", or "BASE.backup-requested-20261124T121922Z": a name that is free.
 *  STATUS_FAILED if it does not fit. */
enum status history_backup_name(const char *base, enum history_backup_kind kind, char *name,
                                size_t size, struct error *error);

struct history_backup_file {
    char *path;
    enum history_backup_kind kind;
    int64_t made_ms; /**< by its name */
    int64_t bytes;
    bool ahead; /**< by more than a day: the clock was wrong, nobody knows how old it is */
};

struct history_backups {
    struct history_backup_file *list; /**< those ahead first, then the oldest */
    size_t count;
    size_t capacity;
};

/** The backups of both kinds that history_backup_name named, whole or damaged. STATUS_FAILED: the folder cannot be
 *  read. Free them in any case. */
enum status history_backups(const char *base, struct history_backups *backups, struct error *error);
void history_backups_free(struct history_backups *backups);

/** Deletes what killed processes have left of unfinished backups; one that is being made stays. */
void history_backup_clean(const char *base);

/** Deletes the oldest backups of that kind, so that `keep` are left; *deleted counts them.
 *  STATUS_FAILED if one could not be deleted. */
enum status history_backup_prune(const char *base, enum history_backup_kind kind, unsigned keep,
                                 unsigned *deleted, struct error *error);

#endif
