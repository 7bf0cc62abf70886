/* SPDX-License-Identifier: MIT */
/**
 * Prepares a history from a backup, for replace.h to commit. Totals never fall by that: each channel
 * gets the maximum of those in the backup, the previous file and the totals file (totals_file.h).
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

/** What is known of channels beside a backup: from the file at `file` as far as it can be read (it may
 *  be damaged or missing) and from the totals file of the history at path. channels is empty before. */
void restore_gather(const char *path, const char *file, struct channels *channels);

/**
 * Prepares PATH.restored from a backup, which stays as it is: copied, checked, brought to this program's
 * version. Totals and calibrations that are later in `known` are put in (*raised counts the totals), and
 * an event with that sentence is recorded. The file is marked as one that was not closed in order.
 *
 * STATUS_USAGE: no such backup, not a history, of a newer version. STATUS_MISMATCH: it is damaged.
 * STATUS_FAILED: the disk. Nothing is left behind unless it is STATUS_OK.
 */
enum status restore_prepare(const char *path, const char *backup, const struct channels *known,
                            const char *sentence, unsigned *raised, struct error *error);

/**
 * The same for a service that runs. Memory is the truth: `memory` (all that the service knows; its marks
 * of what is stored are changed) keeps its numbers, and its totals and calibrations are put into the
 * file whatever the backup has. So only a backup of this very history will do: all its channels are in
 * memory under the same numbers, and its calibrations under the same ids. Any other one is
 * STATUS_REFUSED and left for history_restore. hooks: stop and alive.
 */
enum status restore_prepare_running(const char *path, const char *backup, struct channels *memory,
                                    const struct history_backup_options *hooks,
                                    struct error *error);

/** Prepares a fresh history with what can be read of the small tables of `damaged` (rescue.h), which
 *  stays as it is. */
enum status restore_prepare_fresh(const char *path, const char *damaged, struct rescued *rescued,
                                  struct error *error);

struct history_restored {
    char kept[PATH_MAX]; /**< where the previous file is now; "" if there was none */
    unsigned raised;     /**< totals that are later than the backup's */
};

/**
 * Replaces the history at path by a backup; the previous file is kept as PATH.replaced-<UTC time> (with
 * -wal and -shm). STATUS_REFUSED: a service has the history open, or the backup is the history. Else as
 * restore_prepare; then the history is as it was.
 */
enum status history_restore(const char *path, const char *backup, struct history_restored *restored,
                            struct error *error);

#endif
