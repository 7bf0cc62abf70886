/* SPDX-License-Identifier: MIT */
/**
 * The history file through its life: opened, created, migrated, checked after an unclean stop,
 * quarantined when it is damaged and replaced by a backup or a fresh file. One thread at a time.
 */
#ifndef BRIDGE_HISTORY_DATABASE_H
#define BRIDGE_HISTORY_DATABASE_H

#include "bridge/history/recalibration.h"
#include "bridge/history/safety/backup.h"
#include "bridge/history/store/channels.h"
#include "bridge/history/store/meta.h"
#include "bridge/history/store/rows.h"
#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <stdbool.h>

struct database;

/**
 * Opens the file, so that no other service can, and loads channels (empty before). A damaged file
 * is quarantined. The newest sound backup in backup_folder (NULL: beside the file) takes its place
 * (restore.h); if there is none, what can be saved goes into a fresh one. Then, and when there was no
 * file, totals come from the totals file if it knows more. After an unclean stop the small tables are
 * checked, and all of it up to 256 MiB: some seconds at most. On a disk that is mounted read-only a sound file
 * of this version is only read, and database_write is DATABASE_RETRY until the disk can be written.
 *
 * STATUS_USAGE: it is not a history, of a newer version, or cannot be written or created.
 * STATUS_FAILED: the disk or another process is in the way.
 */
enum status database_open(const char *path, const char *backup_folder, struct channels *channels,
                          struct log *log, struct database **database, struct error *error);

enum database_result {
    DATABASE_DONE,  /**< committed */
    DATABASE_RETRY, /**< nothing was written; the same batch can be tried later */
    DATABASE_LOST,  /**< nothing was written; the file is damaged or gone: database_renew. error is
                         empty if that was reported before */
    DATABASE_RENEWED, /**< by database_renew: another file is there that needs everything: call
                           channels_forget_stored, then write again */
};

/** One transaction. error says why it is not DATABASE_DONE. */
enum database_result database_write(struct database *database, struct channels *channels,
                                    const struct batch *batch, struct error *error);

/**
 * After DATABASE_LOST. A damaged file is quarantined; the newest sound backup of this history takes its
 * place, which may take as long as copying it does (restore_prepare_running; hooks: stop, alive), else a
 * fresh file is begun. memory: a copy of the list of all channels, whose marks are changed; NULL: no
 * backup is to be tried. error says what was done, or why nothing could be (DATABASE_RETRY).
 */
enum database_result database_renew(struct database *database, struct channels *memory,
                                    const struct history_backup_options *hooks,
                                    struct error *error);

/** What maintains the file beside the writing (retention.h); NULL while it is not open. Borrowed until
 *  the next call. */
struct rows *database_rows(struct database *database);

/** As recalibrate.h; STATUS_FAILED also while the disk refuses. */
enum status database_recalibrate(struct database *database,
                                 const struct history_recalibration *request,
                                 struct history_recalibrated *done, struct error *error);

/** The damaged file that was quarantined last, "" if none was. Borrowed. */
const char *database_quarantine(const struct database *database);

/** The stamp of the newest reading, 0 if there is none. */
int64_t database_newest_ms(struct database *database);

/** How far the sinks have got; none of it if that cannot be read. */
void database_outboxes(struct database *database, struct outboxes *outboxes);

/** Counts that are in a total and not yet in a reading (meta.h). */
void database_uncredited(const struct database *database, meta_credit receive, void *context);

/** What writing, maintenance and database_recalibrate have changed since the last call. */
void database_take_changes(struct database *database, struct outbox_changes *changes);

/** The backup that it continues from since, "" if from none. Borrowed. */
const char *database_restored_from(const struct database *database);

/** The totals that were loaded may be older than those known before the stop: it was not a clean one,
 *  or they come from a damaged file or from the totals file. */
bool database_may_lag(const struct database *database);

/** clean: everything was written, so the next opening needs no check. NULL is allowed. */
void database_close(struct database *database, bool clean);

#endif
