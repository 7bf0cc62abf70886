/* SPDX-License-Identifier: MIT */
/**
 * Connections to a history file: opened the same cautious way for whatever purpose, small helpers,
 * and SQLite's result codes in a person's words.
 */
#ifndef BRIDGE_HISTORY_STORE_SQL_H
#define BRIDGE_HISTORY_STORE_SQL_H

#include "drivers/base/status.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Mode of every file of the history; a umask may take more away. */
#define SQL_FILE_MODE 0640

/** Of a file that is begun; it takes effect before the first table. A transaction writes the page at the
 *  table's right edge and that of the totals, whatever is new in them, so small pages write less: a day (two
 *  channels, a commit every 5 s) was measured at 61 MB with pages of 1 KiB, 99 MB with 2 KiB; half a KiB would
 *  make the file bigger. */
#define SQL_PAGE_SIZE "PRAGMA page_size = 1024;"

/**
 * flags: SQLITE_OPEN_READONLY or SQLITE_OPEN_READWRITE [| SQLITE_OPEN_CREATE]. exclusive: nobody
 * else can use the file, and the index of its log is kept in memory. The schema of the file is not
 * trusted, writing to its internals is off, the cache is small. What is no regular file is not
 * opened (SQLITE_CANTOPEN_ISDIR). *db is always set, to NULL if need be, and must be closed with
 * sqlite3_close.
 */
int sql_open(const char *path, int flags, bool exclusive, sqlite3 **db);

/** Creates an empty file at path in place of whatever has the name (file_create), for sql_open and
 *  VACUUM INTO. SQLite's code. */
int sql_create_file(const char *path);

/**
 * Opens a WAL file on a disk that is mounted read-only, where neither locks nor the index of the log can be
 * had: with its log, if that has anything in it, else without. Nobody may be able to write the file. *db
 * as with sql_open.
 */
int sql_open_unwritable(const char *path, sqlite3 **db);

/** Ends a transaction in which nothing was written, if one is open. */
void sql_end_reading(sqlite3 *db);

/** Runs all statements in text. */
int sql_run(sqlite3 *db, const char *text);

/** The first column of the first row as an integer; *value is 0 if there is no row. */
int sql_integer(sqlite3 *db, const char *query, int64_t *value);

/** sqlite3_prepare_v3 for a statement that is kept. */
int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **statement);

/** Whether the code says that the file's contents are not (or no longer) a sound database. */
bool sql_is_damage(int code);

/**
 * What the code means for the file at path and what to do, as a sentence, with SQLite's own words.
 * db (may be NULL) is asked for those; call before the next use of the connection.
 */
enum status sql_explain(int code, sqlite3 *db, const char *path, struct error *error);

/** Deletes a database that is not wanted, with the journal or log that SQLite may have left beside it. */
void sql_remove(const char *path);

/** "PATH.damaged-20261124T121922Z": path, word and the time in UTC, with "-2", "-3" ... if that,
 *  or a log of that name, exists. False if it does not fit into size. */
bool sql_beside(const char *path, const char *word, char *name, size_t size);

/**
 * A file that root made in the folder of the service's user would keep the service from starting:
 * it gets the owner of its folder, as SQLite does with its logs. fd: the open file at path. False,
 * with errno, if that did not work.
 */
bool sql_give_to_folder(int fd, const char *path);

/** Whether the disk that holds the file, or the folder of one that does not exist, is mounted read-only. */
bool sql_is_unwritable(const char *path);

/** fsync of the folder that holds path, so that a rename in it lasts. False if it failed. */
bool sql_sync_folder(const char *path);

/** The version of the SQLite library that runs. */
const char *sql_library_version(void);

#endif
