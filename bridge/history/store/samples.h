/* SPDX-License-Identifier: MIT */
/**
 * How a reading lies in the tables sample, sample_counter and sample_exported (schema/history.sql),
 * from which the view `reading` puts it together again: what is written where. Whoever reads asks the
 * view and need not know. Pure.
 *
 * A source's own energy counter says nothing that the credited counts do not, as long as it runs on:
 * of a BL0942's only the first of each minute is kept, and each that did not run on from the one
 * before (a wrap, a restart, a misread one), together with that one.
 */
#ifndef BRIDGE_HISTORY_STORE_SAMPLES_H
#define BRIDGE_HISTORY_STORE_SAMPLES_H

#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What is subtracted from every frequency: a BL0942's at 50 Hz, so that one byte is left of it. */
#define SAMPLE_FREQUENCY 20000

/** sample.counted: counts times 32, positive if imported, and the flags. A reading that has both
 *  imported and exported counts has the imported here, the exported in sample_exported. */
int64_t sample_counted(int64_t imported, int64_t exported, unsigned flags);

/** The latest counter of a channel. */
struct sample_counter {
    bool known;
    bool kept;
    int64_t key;
    int64_t energy;
    int64_t kept_minute;
};

/** Counters by channel number. Zero-initialised: nothing known, so the next of each is kept. */
struct sample_counters {
    struct sample_counter *list;
    size_t capacity;
};

void sample_counters_free(struct sample_counters *counters);

/** A transaction was rolled back: what was kept in it is not. */
void sample_counters_forget(struct sample_counters *counters);

/** What is to be kept of the counters of the reading before and of this one. */
struct sample_kept {
    bool before;
    int64_t before_key;
    int64_t before_energy;
    bool this_one;
};

/** Judges the counter of a reading that was stored under key; key's channel number counts. */
struct sample_kept sample_counters_note(struct sample_counters *counters, enum reading_kind kind,
                                        int64_t key, const struct reading *reading);

#endif
