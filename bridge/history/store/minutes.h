/* SPDX-License-Identifier: MIT */
/**
 * From stored readings to rows of minutes (rollup.h), as they are stored or, for times that are not
 * over or not yet made, as they are asked for.
 */
#ifndef BRIDGE_HISTORY_STORE_MINUTES_H
#define BRIDGE_HISTORY_STORE_MINUTES_H

#include "bridge/history/store/rollup.h"

#include <sqlite3.h>
#include <stdint.h>

struct minutes;

/** SQLite's code; *minutes is always set and must be closed. The connection is borrowed. */
int minutes_open(sqlite3 *db, struct minutes **minutes);
void minutes_close(struct minutes *minutes);

/** Takes a row; SQLite's code, at others than SQLITE_OK the work ends. */
typedef int (*minutes_emit)(void *context, const struct rollup_row *row);

/**
 * Makes the rows of from_ms..to_ms, in order of time: of whole minutes but at both ends. Ends at the
 * first end of a minute after `most` readings and rows; *reached_ms says where. To go on there is cheaper
 * than to begin elsewhere, when the readings of up to 15 minutes before are looked at for what
 * reaches into the time. SQLite's code.
 */
int minutes_run(struct minutes *minutes, int64_t from_ms, int64_t to_ms, int64_t most,
                minutes_emit emit, void *context, int64_t *reached_ms);

/** Calibrations have changed, or what was made is not stored after all. */
void minutes_forget(struct minutes *minutes);

#endif
