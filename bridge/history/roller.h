/* SPDX-License-Identifier: MIT */
/**
 * Writes the tables of rollup.h, on the writer's connection. Everything here is to be called within a
 * transaction; after a rollback, roller_forget. Results are SQLite's codes.
 */
#ifndef BRIDGE_HISTORY_ROLLER_H
#define BRIDGE_HISTORY_ROLLER_H

#include "bridge/history/outbox.h"
#include "bridge/history/rollup.h"
#include "drivers/reading.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct roller;

/** The connection is borrowed. */
int roller_open(sqlite3 *db, struct roller **roller);
void roller_close(struct roller *roller);

/** A reading was stored, stamped at_ms (its key's time). If that is a time that is over, it is added to
 *  what was made of it. */
int roller_note(struct roller *roller, unsigned number, int64_t at_ms,
                const struct reading *reading, int64_t imported, int64_t exported);

/** Makes what is over by now, of about that many rows at most; *more: there is more to do. Days are
 *  begun anew when the process's time zone is not the one of the file. */
int roller_advance(struct roller *roller, int64_t rows, bool *more);

/** How far a level's rows have been made: what begins there is to be made of the level below. */
int roller_done_ms(struct roller *roller, enum rollup_level level, int64_t *done_ms);

/**
 * The moment nearest to wall_ms, not after it, at which rows can be cut: itself where readings
 * are kept, else where a row of the finest level that is kept begins.
 */
int roller_round(struct roller *roller, int64_t wall_ms, int64_t *rounded_ms);

/** Other factors hold from wall_ms on than before, as the tables say by now: rows of the channel that
 *  stand for times on both sides are made again. */
int roller_cut(struct roller *roller, unsigned number, int64_t wall_ms);

/** Calibrations have changed, or the transaction was rolled back. */
void roller_forget(struct roller *roller);

/** Other factors hold from wall_ms on, though no row is cut there: that of a correction that is undone. */
int roller_changed(struct roller *roller, int64_t wall_ms);

/** The last thing of a transaction: sets back the cursors of sinks (table sink) that have got what it
 *  has changed. */
int roller_set_back(struct roller *roller);

/** The transaction was committed or (false) not. */
void roller_ended(struct roller *roller, bool committed);

/** What was changed by transactions that were committed since the last call. */
void roller_take_changes(struct roller *roller, struct outbox_changes *changes);

#endif
