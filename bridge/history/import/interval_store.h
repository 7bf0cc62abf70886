/* SPDX-License-Identifier: MIT */
/**
 * Intervals (bridge/meter/intervals.h) in the history. They are written through a connection of their own, beside
 * the service's, as imports are. Both functions wait for the disk: for worker threads and commands.
 */
#ifndef BRIDGE_HISTORY_IMPORT_INTERVAL_STORE_H
#define BRIDGE_HISTORY_IMPORT_INTERVAL_STORE_H

#include "bridge/meter/intervals.h"
#include "drivers/base/status.h"

#include <sqlite3.h>

/** Those of from <= quarter < to are added to intervals. SQLite's code. */
int interval_store_read(sqlite3 *db, enum interval_kind kind, int64_t from, int64_t to,
                        struct intervals *intervals);
/** The same from the file at path. */
enum status interval_store_load(const char *path, enum interval_kind kind, int64_t from, int64_t to,
                                struct intervals *intervals, struct error *error);
/** All in one transaction; those that are there are replaced. */
enum status interval_store_put(const char *path, enum interval_kind kind,
                               const struct intervals *intervals, struct error *error);

#endif
