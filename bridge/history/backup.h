/* SPDX-License-Identifier: MIT */
/**
 * Copies of the history, made while the service writes it: a reader holds the state of one moment and
 * copies it page by page, so the writer never waits. (Its log grows by what it writes meanwhile.)
 */
#ifndef BRIDGE_HISTORY_BACKUP_H
#define BRIDGE_HISTORY_BACKUP_H

#include "drivers/base/status.h"

#include <stddef.h>
#include <stdint.h>

/** "PATH.backup-20261124T121922Z", a name that is free. STATUS_FAILED if it does not fit. */
enum status history_backup_name(const char *path, char *name, size_t size, struct error *error);

/**
 * Copies the history at path to output, which is replaced if it exists: written beside it
 * (output.new), checked (quick_check), synced, renamed. The copy is one file that needs no others.
 * *bytes (may be NULL): its size. STATUS_USAGE: path is not a history that can be read;
 * STATUS_REFUSED: output is the history itself; STATUS_MISMATCH: the copy is damaged, as the history
 * then is; STATUS_FAILED: disk. Nothing is left behind unless it is STATUS_OK.
 */
enum status history_backup(const char *path, const char *output, int64_t *bytes,
                           struct error *error);

/** Deletes the oldest of the copies that are named by history_backup_name, so that `keep` are left;
 *  *deleted counts them. STATUS_FAILED if one could not be deleted. */
enum status history_backup_prune(const char *path, unsigned keep, unsigned *deleted,
                                 struct error *error);

#endif
