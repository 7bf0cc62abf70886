/* SPDX-License-Identifier: MIT */
/** PATH.lock: keeps a second service, or a command that replaces the file, off a history in use. */
#ifndef BRIDGE_HISTORY_STORE_LOCK_H
#define BRIDGE_HISTORY_STORE_LOCK_H

#include "drivers/base/status.h"

#include <stdbool.h>

/**
 * Takes the lock of the history at path; it is held until *lock is closed. may_read_only: on a
 * read-only disk, the lock file is only opened, and *lock is -1 if it does not exist there.
 * STATUS_FAILED: another process has it (then *lock is open and must be closed), or the disk is in the
 * way. STATUS_USAGE: the lock file cannot be created.
 */
enum status lock_take(const char *path, bool may_read_only, int *lock, struct error *error);

/** Whether a process holds the lock of that history; false if the history does not exist. */
bool lock_is_held(const char *path);

#endif
