/* SPDX-License-Identifier: MIT */
/**
 * A span of time made of the fewest rows: days, quarters and minutes where they are made
 * and fit, readings for what is left at its ends and for what is not over. Every reading of the span
 * is in exactly one row. To be used within one read transaction per walk.
 */
#ifndef BRIDGE_HISTORY_QUERY_SEGMENTS_H
#define BRIDGE_HISTORY_QUERY_SEGMENTS_H

#include "bridge/history/query/conversion.h"
#include "bridge/history/store/minutes.h"
#include "bridge/history/store/rollup.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

struct segments;

/** SQLite's code; *segments is always set and must be closed. The connection is borrowed. */
int segments_open(sqlite3 *db, struct segments **segments);
void segments_close(struct segments *segments);

/**
 * Hands out the rows of from_ms..to_ms, of all channels, those of earlier buckets of `coarsest`
 * before those of later ones. With ROLLUP_DAY and ROLLUP_QUARTER rows have no samples and no
 * quantities. Where only coarser rows are kept than fit into an end of the span, that end is rounded
 * towards the inside. SQLite's code.
 */
int segments_walk(struct segments *segments, int64_t from_ms, int64_t to_ms,
                  enum rollup_level coarsest, minutes_emit emit, void *context);

/** The same, of some channels only. Rows of a time are in the order of their numbers. */
int segments_walk_of(struct segments *segments, const unsigned *numbers, size_t count,
                     int64_t from_ms, int64_t to_ms, enum rollup_level coarsest, minutes_emit emit,
                     void *context);

/**
 * From now on, until segments_close, everything is asked within one read transaction: what segments_walk_of makes
 * of readings, which lie by time and not by channel, is made once for all channels and kept. So a thousand
 * questions do not read the same readings a thousand times.
 */
void segments_keep(struct segments *segments);

/** Adds up a channel's counts over from_ms..to_ms. SQLite's code. */
int segments_sum(struct segments *segments, unsigned number, int64_t from_ms, int64_t to_ms,
                 int64_t *imported, int64_t *exported);

/** Begins a channel's running sums: its calibration at wall_ms, and what was counted since its factors
 *  hold. From there on conversion_credit gives each row's increase. SQLite's code. */
int segments_begin(struct segments *segments, struct conversion *conversion,
                   struct converted *converted, int64_t wall_ms);

#endif
