/* SPDX-License-Identifier: MIT */
/**
 * Writes the tables of rollup.h, on the writer's connection. Everything here is to be called within a
 * transaction; after a rollback, rollup_writer_forget. Results are SQLite's codes.
 */
#ifndef BRIDGE_HISTORY_STORE_ROLLUP_WRITER_H
#define BRIDGE_HISTORY_STORE_ROLLUP_WRITER_H

#include "bridge/history/outbox.h"
#include "bridge/history/store/rollup.h"
#include "drivers/reading.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct rollup_writer;

/** The connection is borrowed. */
int rollup_writer_open(sqlite3 *db, struct rollup_writer **rollups);
void rollup_writer_close(struct rollup_writer *rollups);

/** A reading was stored, stamped at_ms (its key's time). If that is a time that is over, it is added to
 *  what was made of it. */
int rollup_writer_note(struct rollup_writer *rollups, unsigned number, int64_t at_ms,
                       const struct reading *reading, int64_t imported, int64_t exported);

/** Makes what is over by now, of about that many rows at most; *more: there is more to do. Days are
 *  begun anew when the process's time zone is not the one of the file. */
int rollup_writer_advance(struct rollup_writer *rollups, int64_t rows, bool *more);

/** How far a level's rows have been made: what begins there is to be made of the level below. */
int rollup_writer_done_ms(struct rollup_writer *rollups, enum rollup_level level, int64_t *done_ms);

/**
 * The moment nearest to wall_ms, not after it, at which rows can be cut: itself where readings
 * are kept, else where a row of the finest level that is kept begins.
 */
int rollup_writer_round(struct rollup_writer *rollups, int64_t wall_ms, int64_t *rounded_ms);

/** Other factors hold from wall_ms on than before, as the tables say by now: rows of the channel that
 *  stand for times on both sides are made again. */
int rollup_writer_cut(struct rollup_writer *rollups, unsigned number, int64_t wall_ms);

/** Calibrations have changed, or the transaction was rolled back. */
void rollup_writer_forget(struct rollup_writer *rollups);

/** Other factors hold from wall_ms on, though no row is cut there: that of a correction that is undone. */
int rollup_writer_changed(struct rollup_writer *rollups, int64_t wall_ms);

/** Energy was stored that was counted since start_ms (the table estimate): points from there on change. */
void rollup_writer_spread(struct rollup_writer *rollups, int64_t start_ms);

/** The last thing of a transaction: sets back the cursors of sinks (table sink) that have got what it
 *  has changed. */
int rollup_writer_set_back(struct rollup_writer *rollups);

/** The transaction was committed or (false) not. */
void rollup_writer_ended(struct rollup_writer *rollups, bool committed);

/** What was changed by transactions that were committed since the last call. */
void rollup_writer_take_changes(struct rollup_writer *rollups, struct outbox_changes *changes);

#endif
