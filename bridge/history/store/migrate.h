/* SPDX-License-Identifier: MIT */
/**
 * Brings a history file from its user_version to the newest one (schema.h). Each migration is applied
 * in one transaction together with its number, so a crash leaves the file at one version or the next.
 */
#ifndef BRIDGE_HISTORY_STORE_MIGRATE_H
#define BRIDGE_HISTORY_STORE_MIGRATE_H

#include "bridge/history/store/schema.h"
#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <sqlite3.h>
#include <stddef.h>

/**
 * Applies the migrations above version `from`. A file with a version (from is not 0) is backed up
 * first, to PATH.before-<newest version>-<UTC time>; nothing is done if that fails. A file with that
 * name is complete. It is removed again if the first migration fails, as nothing has changed then.
 */
enum status migrate(sqlite3 *db, const char *path, int from, const struct migration *list,
                    size_t count, struct log *log, struct error *error);

/** The same without that backup, for a file that is a copy itself. */
enum status migrate_without_backup(sqlite3 *db, int from, const struct migration *list,
                                   size_t count, const char *path, struct error *error);

#endif
