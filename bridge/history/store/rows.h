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
#include "bridge/history/store/meta.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    const char *uncredited;    /**< as meta_put_uncredited; NULL: "" */
    bool clock_awaited;        /**< as meta_mark_clock_awaited */
    char word[META_WORD_SIZE]; /**< as meta_put_word; ""; none */
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
 * millisecond. What is over by these readings is aggregated (rollup.h).
 */
int rows_write(struct rows *rows, struct channels *channels, const struct batch *batch);

/** The same with what channels has and the file has not, added to the batch: calibrations, and the
 *  totals that are `dirty`. Its lists of these must be empty, and are afterwards. */
int rows_write_known(struct rows *rows, struct channels *channels, struct batch *batch);

/** The steps of another transaction, for retention.h: begin, advance (aggregates what is over, some rows
 *  at a time), end: commit if code is SQLITE_OK, else roll back. They return SQLite's code. */
int rows_begin(struct rows *rows);
int rows_advance(struct rows *rows);
int rows_end(struct rows *rows, int code);

/** The connection; borrowed. */
sqlite3 *rows_db(struct rows *rows);

/** What makes the rollups; borrowed. */
struct rollup_writer *rows_rollup_writer(struct rows *rows);

/** Whether more is over than the last transaction aggregated. */
bool rows_behind(const struct rows *rows);

/** Loads channels, last calibrations and totals into channels (empty before). */
int rows_load(sqlite3 *db, struct channels *channels);

/** Loads how far the sinks have got. */
int rows_load_outboxes(sqlite3 *db, struct outboxes *outboxes);

/** The lowest key that the batch's readings can get; INT64_MAX without readings. */
int64_t batch_least_key(const struct batch *batch);

#endif
