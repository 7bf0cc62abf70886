/* SPDX-License-Identifier: MIT */
/**
 * A damaged history file: kept out of the way, never deleted, and what its small tables still hold
 * brought into a fresh one.
 */
#ifndef BRIDGE_HISTORY_SAFETY_RESCUE_H
#define BRIDGE_HISTORY_SAFETY_RESCUE_H

#include "drivers/base/status.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * Renames path, path-wal and path-shm to NAME, NAME-wal and NAME-shm with NAME =
 * PATH.damaged-<UTC time>, which still is a database to SQLite's tools. No connection to it may be
 * open. name receives NAME.
 */
enum status rescue_quarantine(const char *path, char *name, size_t size, struct error *error);

/** The same under NAME = PATH.<word>-<UTC time>. */
enum status rescue_rename(const char *path, const char *word, char *name, size_t size,
                          struct error *error);
/** The history was moved away, or another file has taken its place: the log that is left there belongs to
 *  the one that was open, and SQLite would play it into the other, or delete it beside an empty one. It
 *  becomes NAME-wal with NAME = PATH.moved-<UTC time>, which name receives; "" if there is no log. */
void rescue_set_log_aside(const char *path, char *name, size_t size);
/** Undoes that. */
void rescue_put_log_back(const char *name, const char *path);

/** Undoes rescue_rename; false if it did not work. */
bool rescue_rename_back(const char *name, const char *path);

struct rescued {
    unsigned channels;
    unsigned calibrations;
    unsigned totals;
};

/**
 * Copies channels, calibrations, corrections of these and totals row by row from the damaged file
 * into db, which has the schema of this program's version: from both ends of each table until a row
 * cannot be read. Rows that db has already, and rows that break its rules, are left out. Never
 * fails: what cannot be read is not counted.
 */
struct rescued rescue_salvage(const char *damaged, sqlite3 *db);

#endif
