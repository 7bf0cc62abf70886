/* SPDX-License-Identifier: MIT */
/**
 * What the history has to say to its owner, in order: a stable word, which is also the kind of the event
 * in the file, and a sentence. Pure; the caller locks.
 *
 * history_problem     the disk refuses, or the file is damaged
 * history_late        the disk is too slow: a commit is overdue
 * history_resumed     after either: everything that waited is written
 * history_renewed     the damaged file was quarantined; the history continues in another one
 * readings_dropped    a channel sent more readings in a second than are stored
 * clock_awaited, clock_set, clock_unsynchronised   see stamping.h
 */
#ifndef BRIDGE_HISTORY_NOTICE_H
#define BRIDGE_HISTORY_NOTICE_H

#include <stdbool.h>
#include <stddef.h>

#define NOTICE_QUEUE_MAX 16

struct history_notice {
    char kind[32];
    char message[640];
};

/** Zero-initialised: empty. When it is full the oldest one goes. */
struct notice_queue {
    struct history_notice list[NOTICE_QUEUE_MAX];
    size_t first;
    size_t count;
};

void notice_queue_put(struct notice_queue *queue, const char *kind, const char *message);

/** The oldest one, which is removed; false if there is none. */
bool notice_queue_take(struct notice_queue *queue, struct history_notice *notice);

#endif
