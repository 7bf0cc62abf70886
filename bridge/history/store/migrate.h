/* SPDX-License-Identifier: MIT */
/**
 * Brings a history file from its user_version to the newest one: migrations/NNNN_*.sql, built into
 * the binary, forward only. Each is applied in one transaction together with its number, so that a
 * crash leaves the file at one version or the next.
 */
#ifndef BRIDGE_HISTORY_STORE_MIGRATE_H
#define BRIDGE_HISTORY_STORE_MIGRATE_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <sqlite3.h>
#include <stddef.h>

struct migration {
    int version;      /**< user_version after it: 1, 2, 3 ... */
    const char *name; /**< file name without ending, for messages */
    const char *sql;
};

/** The project's own migrations, ascending. */
const struct migration *migrations(size_t *count);

/** user_version of a file that this program writes. */
int migrations_newest(void);

/**
 * Applies what is above version `from`. When from is not 0 the file holds somebody's history: it is
 * copied first, to PATH.before-<newest version>-<UTC time>, and nothing is done if that fails. What has
 * that name is complete; it is removed again if the first migration fails, as then nothing has changed.
 */
enum status migrate(sqlite3 *db, const char *path, int from, const struct migration *list,
                    size_t count, struct log *log, struct error *error);

/** The same without that copy: the file is a copy itself. */
enum status migrate_without_copy(sqlite3 *db, int from, const struct migration *list, size_t count,
                                 const char *path, struct error *error);

#endif
