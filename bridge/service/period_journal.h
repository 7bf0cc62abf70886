/* SPDX-License-Identifier: MIT */
/**
 * The readings of a device since it began to ask the history for its past: which of them are in an answer is
 * known by the totals that the answer is as of, and the others come on top. Pure.
 */
#ifndef BRIDGE_SERVICE_PERIOD_JOURNAL_H
#define BRIDGE_SERVICE_PERIOD_JOURNAL_H

#include "bridge/history/query/past.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Half an hour of eight channels at a reading a second. */
#define PERIOD_JOURNAL_MAX 16384

struct period_totals {
    int64_t imported_uwh, exported_uwh;
};

struct period_entry {
    int64_t wall_ms;
    size_t channel;
    struct period_totals totals; /**< after the reading */
};

/** Zero-initialised: off. */
struct period_journal {
    bool on;
    bool full; /**< some readings are not in it */
    struct period_entry *entries;
    size_t count, room;
    struct period_totals *begun; /**< each channel's totals at its beginning */
    size_t channel_count;
};

/** Begins anew. begun: channel_count of them, copied. */
void period_journal_begin(struct period_journal *journal, const struct period_totals *begun,
                          size_t channel_count);
/** Forgets everything; what it holds is freed. */
void period_journal_end(struct period_journal *journal);
void period_journal_note(struct period_journal *journal, const struct period_entry *entry);
/** A channel's totals were set. */
void period_journal_shift(struct period_journal *journal, size_t channel, int64_t imported_uwh,
                          int64_t exported_uwh);

/** After how many entries the totals are those of the answer. False if they never were: then the answer is of
 *  before the journal began. */
bool period_journal_find(const struct period_journal *journal, const struct history_past *pasts,
                         size_t *count);

#endif
