/* SPDX-License-Identifier: MIT */
/**
 * The tables of a history file: what is loaded when it is opened, and the one transaction that
 * writes. The statements are prepared once per connection.
 */
#ifndef BRIDGE_HISTORY_STORE_ROWS_H
#define BRIDGE_HISTORY_STORE_ROWS_H

#include "bridge/history/outbox.h"
#include "bridge/history/queue.h"
#include "bridge/history/store/channels.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A reading's or an event's key; times outside 0..2^48 ms are brought into it. */
int64_t rows_key(int64_t wall_ms, unsigned number);

static inline int64_t rows_key_ms(int64_t key)
{
    return key >> CHANNEL_NUMBER_BITS;
}

static inline unsigned rows_key_number(int64_t key)
{
    return (unsigned)(key & CHANNEL_NUMBER_MAX);
}

/** One channel's total as of the readings it is written with. */
struct total_row {
    unsigned number;
    struct energy_state state;
    struct known_calibration counted; /**< under which its counts were counted; id 0: none */
};

struct calibration_row {
    unsigned number;
    struct known_calibration calibration;
};

/** What one transaction writes, beside channels not yet stored. */
struct batch {
    struct calibration_row *calibrations;
    size_t calibration_count;
    struct reading_ring readings;
    struct event_list events;
    struct total_row *totals;
    size_t total_count;
    struct outbox outboxes[OUTBOX_LIST_MAX]; /**< those that have moved */
    size_t outbox_count;
};

/** Puts the calibrations that are not stored yet into the batch, in place of those in it. */
void batch_take_calibrations(struct batch *batch, const struct channels *channels);

/** After the transaction: those of the batch are stored. */
void batch_calibrations_stored(const struct batch *batch, struct channels *channels);

struct rows;

/** Returns SQLite's code; *rows is NULL unless it is SQLITE_OK. The connection is borrowed. */
int rows_open(sqlite3 *db, struct rows **rows);
void rows_close(struct rows *rows);

/**
 * One transaction, all or nothing. Of `channels` it adds those without the `stored` mark, which it
 * sets once committed. Each reading and event that finds its key taken gets the next free
 * millisecond. What is over by these readings is put together (rollup.h).
 */
int rows_write(struct rows *rows, struct channels *channels, const struct batch *batch);

/** The same with what channels has and the file has not, added to the batch: calibrations, and the
 *  totals that are `dirty`. Its lists of these must be empty, and are afterwards. */
int rows_write_known(struct rows *rows, struct channels *channels, struct batch *batch);

/** Readings, minutes and quarters from before these times are deleted; 0: none are. */
struct rows_limits {
    int64_t before_ms[3];
};

/** One step of what need not be done at once: puts together what is over (rollup.h), and deletes what
 *  is older than limits (NULL: nothing is to be deleted). *more: another step is wanted. */
int rows_tend(struct rows *rows, const struct rows_limits *limits, bool *more);

/** Whether what is old may be deleted by a clock that shows now_ms. A clock that has jumped ahead would
 *  have all of it deleted, so the file must show that it was about this time a day ago as well: there is
 *  a quarter from one to two days before now_ms. keep_ms: of quarters, 0 for ever; where that is less
 *  than two days, half of it stands for the day. */
int rows_may_delete(struct rows *rows, int64_t now_ms, int64_t keep_ms, bool *may);

/** Lowers the limits so that of each table no more goes than most_ms from its oldest row on. */
int rows_bound(struct rows *rows, struct rows_limits *limits, int64_t most_ms);

/** What makes the rollups; borrowed. */
struct rollup_writer *rows_rollup_writer(struct rows *rows);

/** Whether there was more to put together than the last transaction did. */
bool rows_behind(const struct rows *rows);

/** Sets meta.stopped_clean: false is written by rows_write itself, at its first transaction. */
int rows_mark_clean(sqlite3 *db, bool clean);
/** true also when the file does not say (a fresh one). */
int rows_was_clean(sqlite3 *db, bool *clean);
/** Whether a service has ever written to the file. */
int rows_was_used(sqlite3 *db, bool *used);

/** Loads channels, last calibrations and totals into channels (empty before). */
int rows_load(sqlite3 *db, struct channels *channels);

/** Loads how far the sinks have got. */
int rows_load_outboxes(sqlite3 *db, struct outboxes *outboxes);

/** The least key that the batch's readings can get; INT64_MAX without readings. */
int64_t batch_least_key(const struct batch *batch);

#endif
