/* SPDX-License-Identifier: MIT */
/**
 * Energy that was counted while nobody read the counter (the table `estimate`), spread evenly over that
 * time. Rows of readings have it at the end of that time: what is estimated is taken away there and added
 * where it belongs, so sums stay exact.
 */
#ifndef BRIDGE_HISTORY_QUERY_ESTIMATES_H
#define BRIDGE_HISTORY_QUERY_ESTIMATES_H

#include "bridge/history/query/conversion.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

struct estimate {
    unsigned number;
    int64_t start_ms, end_ms; /**< end: when the reading was taken */
    int64_t imported_uwh, exported_uwh;
};

/** Zero-initialised: none. */
struct estimates {
    struct estimate *list;
    size_t count;
    size_t capacity;
};

/** Those of all channels that overlap from_ms..to_ms, converted with the factors that held at their ends.
 *  SQLite's code. Free them in any case. */
int estimates_load(sqlite3 *db, struct conversion *conversion, int64_t from_ms, int64_t to_ms,
                   struct estimates *estimates);
void estimates_free(struct estimates *estimates);

/** What of it belongs to start_ms..end_ms. The parts of adjoining spans add up to the whole. */
void estimate_part(const struct estimate *estimate, int64_t start_ms, int64_t end_ms,
                   int64_t *imported_uwh, int64_t *exported_uwh);

#endif
