/* SPDX-License-Identifier: MIT */
/**
 * What a device has counted, and paid, since the running day and month began, together with the totals that
 * the file has at the same moment: all of one device from one transaction. So total less past is the total
 * at the beginning, exactly, whatever is measured meanwhile. It reads the disk: for worker threads.
 */
#ifndef BRIDGE_HISTORY_QUERY_PAST_H
#define BRIDGE_HISTORY_QUERY_PAST_H

#include "bridge/history/query/energy.h"
#include "bridge/meter/derive.h"
#include "bridge/meter/tariff.h"
#include "drivers/base/status.h"
#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_past_question {
    const char *device;
    enum reading_kind kind; /**< by which its channels are read now */
    struct derive_calendar calendar;
    int64_t now_ms; /**< wall clock, within the day */
    const struct tariff *tariffs;
    size_t tariff_count;
};

/** Of one channel, or of their sum. */
struct history_past {
    const char *channel; /**< filled in by the caller; NULL: the sum, which has no total */
    bool stored;         /**< the file has a total */
    bool ahead;          /**< it counts readings of today that are not in the file yet */
    int64_t imported_uwh, exported_uwh;
    struct derive_past day, month;
    int64_t highest_mw, highest_wall_ms; /**< demand of this month, and when; 0: none is known */
};

/** Questions about many devices are asked of one state of the file, which is read once for all of them as far as it
 *  lies by time. *query is to be ended whatever the status. */
enum status history_past_begin(const char *path, struct history_query **query, struct error *error);

/** A channel without a past has nothing, and that is no error. */
enum status history_past_ask(struct history_query *query,
                             const struct history_past_question *question,
                             struct history_past *pasts, size_t count, struct error *error);

/** NULL is allowed. */
void history_past_end(struct history_query *query);

#endif
