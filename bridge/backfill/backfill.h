/* SPDX-License-Identifier: MIT */
/**
 * Gives Home Assistant the hours of energy that it missed while it was away (conversation.h), one run at a time on a
 * thread of its own, so that neither the network nor the disk holds anybody up.
 */
#ifndef BRIDGE_BACKFILL_BACKFILL_H
#define BRIDGE_BACKFILL_BACKFILL_H

#include "bridge/backfill/conversation.h"

struct backfill;

/** All is copied. finished is called on the thread when a run is over: wake the owner there. */
struct backfill_options {
    const char *url, *token;
    const char *history_path;
    void (*finished)(void *context);
    void *context;
};

struct backfill *backfill_create(const struct backfill_options *options);
/** Breaks off what runs. NULL is allowed. */
void backfill_close(struct backfill *backfill);

/** Begins a run; statistics and their texts are copied. False: one is running. now_ms: the wall clock. */
bool backfill_begin(struct backfill *backfill, const struct backfill_statistic *statistics,
                    size_t count, bool dry_run, int64_t now_ms);

struct backfill_result {
    enum conversation_state state; /**< DONE, FAILED or REFUSED */
    bool dry_run;
    const struct backfill_found *found; /**< borrowed until the next run or close */
    size_t count, imported;
    const char *problem; /**< a sentence, unless state is DONE */
};

/** True once for each run that is over. */
bool backfill_take(struct backfill *backfill, struct backfill_result *result);

#endif
