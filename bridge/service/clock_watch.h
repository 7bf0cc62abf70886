/* SPDX-License-Identifier: MIT */
/**
 * Notices that the wall clock was set, and that the machine was suspended, by comparing clocks that
 * otherwise go together. Pure.
 */
#ifndef BRIDGE_SERVICE_CLOCK_WATCH_H
#define BRIDGE_SERVICE_CLOCK_WATCH_H

#include "drivers/base/text.h"

#include <stdbool.h>
#include <stdint.h>

/** The three clocks of drivers/base/clock.h at one moment. */
struct clocks {
    int64_t wall_ms;
    int64_t boot_ms;
    int64_t awake_ms;
};

/** Zero-initialised: nothing seen yet. */
struct clock_watch {
    bool begun;
    struct clocks last;
};

enum clock_change { CLOCK_UNCHANGED, CLOCK_STEPPED, CLOCK_SUSPENDED };

/**
 * To be called often (a second apart): what was slewed in between, 0.05 % at most, is no step. From
 * two seconds on it is one, forward (*by_ms > 0) or back. CLOCK_SUSPENDED: *by_ms is how long; a step
 * at the same time is reported by the next call.
 */
enum clock_change clock_watch_note(struct clock_watch *watch, const struct clocks *now,
                                   int64_t *by_ms);

/** Appends "1 d 2 h 3 min 4.5 s", without the parts that are 0. */
void clock_watch_append_span(struct text *out, int64_t ms);

#endif
