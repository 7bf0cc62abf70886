/* SPDX-License-Identifier: MIT */
/**
 * How far each sink has got what is stored, for each level that it gets: the history is the outbox, a
 * cursor is the key of the last reading, or of the last point (points.h), that the sink took. Pure; the
 * caller locks.
 *
 * Keys are times, so what is written can come to stand behind a cursor: a reading that was delivered
 * late, a clock that was set back, a correction of the past. Then the cursor goes back before it. What
 * is sent twice that way does no harm, as a sink keeps one value per series and time.
 *
 * A sink reads without the lock. What is written behind the key it is about to confirm, after it
 * began, must not be skipped: `floor` is the lowest key of what was or is being written since. Readings
 * are announced before they are written, changes of what was there are told after that.
 */
#ifndef BRIDGE_HISTORY_OUTBOX_H
#define BRIDGE_HISTORY_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The numbers are those of the table sink. */
enum outbox_level { OUTBOX_READINGS, OUTBOX_MINUTES, OUTBOX_QUARTERS, OUTBOX_DAYS };
#define OUTBOX_LEVELS 4

#define OUTBOX_ID_SIZE 64
#define OUTBOX_MAX 8       /**< sinks */
#define OUTBOX_LIST_MAX 64 /**< each level of twice as many: configured ones and former ones */

struct outbox {
    char id[OUTBOX_ID_SIZE];
    enum outbox_level level;
    int64_t cursor;
    int64_t refused; /**< readings or points that the sink would not take, ever */
    int64_t floor;
    bool dirty; /**< newer than the file */
};

/** Zero-initialised: none. */
struct outboxes {
    struct outbox list[OUTBOX_LIST_MAX];
    size_t count;
    int64_t writing; /**< lowest key of the transaction that is under way; INT64_MAX: none is */
};

/** From which key on a transaction has changed what the levels say; INT64_MAX: nothing. What it only
 *  added at their ends is not meant. */
struct outbox_changes {
    int64_t minimum[OUTBOX_LEVELS];
};

#define OUTBOX_NO_CHANGES ((struct outbox_changes){{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}})

void outbox_changes_note(struct outbox_changes *changes, enum outbox_level level, int64_t key);
void outbox_changes_add(struct outbox_changes *changes, const struct outbox_changes *more);

/** The one of that sink and level, added with that cursor if there is none; NULL if there is no room. */
struct outbox *outboxes_open(struct outboxes *outboxes, const char *id, enum outbox_level level,
                             int64_t cursor);

/** Readings from this key on are about to be written. */
void outboxes_writing(struct outboxes *outboxes, int64_t least_key);

/** That transaction has ended, one way or the other. */
void outboxes_written(struct outboxes *outboxes);

/** The history goes on from a copy that has got these cursors: what was sent since it was made is sent
 *  again, so that nothing in it is skipped. Reads that began before confirm nothing beyond. */
void outboxes_restart(struct outboxes *outboxes, const struct outboxes *found);

/** A transaction that made these changes is committed; it has set back the stored cursors itself. */
void outboxes_changed(struct outboxes *outboxes, const struct outbox_changes *changes);

/** A sink begins to read; the key after which it does. */
int64_t outbox_begin(const struct outboxes *outboxes, struct outbox *outbox);

/** It has taken everything up to cursor, but for `refused` readings or points. */
void outbox_done(struct outbox *outbox, int64_t cursor, int64_t refused);

#endif
