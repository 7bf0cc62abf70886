/* SPDX-License-Identifier: MIT */
/** Facts about a history file: the table `meta`, a name and a text each (schema/history.sql). */
#ifndef BRIDGE_HISTORY_STORE_META_H
#define BRIDGE_HISTORY_STORE_META_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** All return SQLite's code. */

/** text is "" if there is no such row, or if it is longer than size; *known (may be NULL) says which. */
int meta_get(sqlite3 *db, const char *name, char *text, size_t size, bool *known);
/** NULL deletes the row. */
int meta_put(sqlite3 *db, const char *name, const char *text);

/** "stopped_clean": false is written with a service's first transaction, true with an orderly end. */
int meta_mark_clean(sqlite3 *db, bool clean);
/** true also when the file does not say (a fresh one). */
int meta_was_clean(sqlite3 *db, bool *clean);
/** Whether a service has ever written to the file. */
int meta_was_used(sqlite3 *db, bool *used);

/** "clock_awaited": readings wait in the service's memory for the clock to be set. */
int meta_mark_clock_awaited(sqlite3 *db, bool awaited);
int meta_is_clock_awaited(sqlite3 *db, bool *awaited);

/** Room for a transaction's word. */
#define META_WORD_SIZE 24

/** "commit": the word of the last transaction that wrote totals, by which those that were written elsewhere since
 *  know it (safety/interim.h). "" deletes the row. */
int meta_put_word(sqlite3 *db, const char *word);
/** "" if there is none. */
int meta_get_word(sqlite3 *db, char word[META_WORD_SIZE]);

/** Counts that are in a total and not yet in a reading: "number imported exported;" for each channel.
 *  "" deletes the row. */
int meta_put_uncredited(sqlite3 *db, const char *text);

typedef void (*meta_credit)(void *context, unsigned number, int64_t imported, int64_t exported);

/** Hands out what was put; what is not of that form is skipped. */
int meta_load_uncredited(sqlite3 *db, meta_credit credit, void *context);

#endif
