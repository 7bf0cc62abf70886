/* SPDX-License-Identifier: MIT */
/**
 * Replaces the file of a history, so that a kill at any moment leaves the old one or the new one. The
 * new file is prepared as PATH.restored (restore.h), then committed or discarded. This is the only way
 * a history is replaced: at a start, while the service runs, and by `history restore`. For who holds
 * the lock (lock.h); no connection to either file may be open.
 */
#ifndef BRIDGE_HISTORY_SAFETY_REPLACE_H
#define BRIDGE_HISTORY_SAFETY_REPLACE_H

#include "drivers/base/status.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/** "PATH.restored", where the new file is prepared. False if it does not fit. */
bool replace_name(const char *path, char name[PATH_MAX]);

/** Syncs the finished file `partial` and renames it to `target`, where no file may be. It gets the owner
 *  of its folder. */
enum status replace_put(const char *partial, const char *target, struct error *error);

/**
 * Moves the file at path, if there is one, to PATH.<word>-<UTC time> (which `kept` receives; "" if there
 * was none), and the prepared file to path. Unless it is STATUS_OK, the old file is at path again and
 * the prepared one is discarded.
 */
enum status replace_commit(const char *path, const char *word, char kept[PATH_MAX],
                           struct error *error);

/** Deletes what was prepared. */
void replace_discard(const char *path);

/**
 * At a start: ends what a kill interrupted. Between the two renames of a commit, the prepared file takes
 * its place, and true is returned; else what was prepared or only begun is deleted.
 */
bool replace_recover(const char *path);

/** Moves the file with its log to PATH.<word>-<UTC time>, which name receives. */
enum status replace_move_away(const char *path, const char *word, char *name, size_t size,
                              struct error *error);
/** Undoes that; false if it did not work. */
bool replace_move_back(const char *name, const char *path);

/**
 * The history was moved away while in use. The log that stays behind belongs to it; SQLite would apply
 * it to another file, or delete it beside an empty one. It becomes PATH.moved-<UTC time>-wal, and name
 * receives that name without "-wal"; "" if there is no log.
 */
void replace_move_log_away(const char *path, char *name, size_t size);
void replace_move_log_back(const char *name, const char *path);

#endif
