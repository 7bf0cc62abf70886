/* SPDX-License-Identifier: MIT */
/**
 * How far each sink has got the readings: the stored readings are the outbox, a cursor per sink is the
 * key of the last one that it took. Pure; the caller locks.
 *
 * Keys are times, so a reading can come to stand behind a cursor: one that was delivered late, or a
 * clock that was set back. Then the cursor goes back before it. What is sent twice that way does no
 * harm, as a sink keeps one value per series and time.
 *
 * A sink reads without the lock. What is written behind the key it is about to confirm, after it
 * began, must not be skipped: `floor` is the least key of what was or is being written since.
 */
#ifndef BRIDGE_HISTORY_OUTBOX_H
#define BRIDGE_HISTORY_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTBOX_ID_SIZE 64
#define OUTBOX_MAX 8

struct outbox {
    char id[OUTBOX_ID_SIZE];
    int64_t cursor;
    int64_t refused; /**< readings that the sink would not take, ever */
    int64_t floor;
    bool dirty; /**< newer than the file */
};

/** Zero-initialised: none. */
struct outboxes {
    struct outbox list[OUTBOX_MAX * 2]; /**< configured ones and some that no longer are */
    size_t count;
    int64_t writing; /**< least key of the transaction that is under way; INT64_MAX: none is */
};

/** The one with that id, added with that cursor if there is none; NULL if there is no room. */
struct outbox *outboxes_open(struct outboxes *outboxes, const char *id, int64_t cursor);

/** Readings from this key on are about to be written. */
void outboxes_writing(struct outboxes *outboxes, int64_t least_key);

/** That transaction has ended, one way or the other. */
void outboxes_written(struct outboxes *outboxes);

/** The history goes on from a copy that has got these cursors: what was sent since it was made is sent
 *  again, so that nothing in it is skipped. Reads that began before confirm nothing beyond. */
void outboxes_restart(struct outboxes *outboxes, const struct outboxes *found);

/** A sink begins to read; the key after which it does. */
int64_t outbox_begin(const struct outboxes *outboxes, struct outbox *outbox);

/** It has taken everything up to cursor, but for `refused` readings. */
void outbox_done(struct outbox *outbox, int64_t cursor, int64_t refused);

#endif
