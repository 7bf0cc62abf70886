/* SPDX-License-Identifier: MIT */
/**
 * Going on from a copy of the history. Totals never fall by that: each channel gets the maximum of
 * those that the copy, the file before and the totals file (totals_file.h) have.
 */
#ifndef BRIDGE_HISTORY_SAFETY_RESTORE_H
#define BRIDGE_HISTORY_SAFETY_RESTORE_H

#include "bridge/history/safety/backup.h"
#include "bridge/history/safety/rescue.h"
#include "bridge/history/store/channels.h"
#include "drivers/base/status.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/** What is known of channels beside a copy: from the file at `file` as far as it can be read (it may
 *  be damaged or missing) and from the totals file of the history at path. channels is empty before. */
void restore_gather(const char *path, const char *file, struct channels *channels);

/**
 * Makes the history at path, where no file may be, from a copy, which stays as it is: copied beside
 * the place, checked, brought to this program's version, totals and calibrations that `known` has
 * later ones of put in (*raised counts the totals; may be NULL), an event with that sentence recorded,
 * synced, renamed. The file is marked as one that was not closed in order.
 *
 * STATUS_USAGE: no such copy, not a history, of a newer version. STATUS_MISMATCH: it is damaged.
 * STATUS_FAILED: the disk. Nothing is left behind unless it is STATUS_OK.
 */
enum status restore_copy(const char *path, const char *copy, const struct channels *known,
                         const char *sentence, unsigned *raised, struct error *error);

/**
 * Makes PATH.restored, from which a running service can go on after damage, and leaves PATH alone until
 * restore_ready_put. Memory is the truth: `memory` (all that the service knows; its marks of what is
 * stored are changed) keeps its numbers, and its totals and calibrations are put into the file whatever
 * the copy has. So only a copy of this very history will do: one whose channels are all in memory under
 * the same numbers, and whose calibrations are those that memory has under these ids. Any other (of a
 * history that was begun anew, of another bridge) is STATUS_REFUSED and left for history_restore.
 * hooks: stop and alive. Else as restore_copy.
 */
enum status restore_ready(const char *path, const char *copy, struct channels *memory,
                          const struct history_backup_options *hooks, struct error *error);

/** Renames PATH.restored to path, where no file may be; and deletes it if it is not wanted. */
enum status restore_ready_put(const char *path, struct error *error);
void restore_ready_drop(const char *path);

/** Makes PATH.restored, a fresh history with what can be read of the small tables of `damaged` (rescue.h),
 *  which stays as it is, for restore_ready_put. */
enum status restore_ready_fresh(const char *path, const char *damaged, struct rescued *rescued,
                                struct error *error);

struct history_restored {
    char kept[PATH_MAX]; /**< where the file before is now; "" if there was none */
    unsigned raised;     /**< totals that are not the copy's, but later ones */
};

/**
 * restore_copy to PATH.restored, and only when that is complete, which may take minutes, the file at
 * path, if there is one, is moved to PATH.<word>-<UTC time> and the new one takes its place. So a kill
 * finds the one or the other. If it does not work, the history is as it was.
 */
enum status restore_replace(const char *path, const char *copy, const struct channels *known,
                            const char *word, const char *sentence,
                            struct history_restored *restored, struct error *error);

/** What a kill amid restore_replace, or between restore_ready and restore_ready_put, left: PATH.restored
 *  comes into its place if there is no file (the kill was between the two renames), else it is removed,
 *  as is a copy that was only begun. Whether it was put in its place. Only for who holds the lock
 *  (database.h). */
bool restore_finish(const char *path);

/**
 * Puts a copy in the place of the history at path, which is kept as PATH.replaced-<UTC time> (with
 * -wal and -shm). STATUS_REFUSED: a service has the history open, or the copy is the history. Else as
 * restore_copy; then the history is as it was.
 */
enum status history_restore(const char *path, const char *copy, struct history_restored *restored,
                            struct error *error);

#endif
