/* SPDX-License-Identifier: MIT */
/**
 * Values over time as pieces of energy: of a counter that shows a total, or of intervals that each show
 * what was consumed in them. Pure. The rules for counters stand in foreign_parse.h.
 */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_COUNTER_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_COUNTER_H

#include "bridge/history/import/foreign_types.h"

struct foreign_counter {
    double max_power_w;
    struct foreign_parsed *parsed;
    foreign_piece piece;
    void *context;
    bool full; /**< the callback had no room */

    bool any;
    int64_t at_ms; /**< the last value that is believed; of intervals, the begin of the last one */
    int64_t uwh;
    bool waits; /**< a value that does not fit; the next decides */
    int64_t waits_ms;
    int64_t waits_uwh;
    int64_t usual_ms;      /**< the usual length of an interval; 0: not known */
    int64_t line;          /**< of the file, where the next value stands */
    int64_t own_line;      /**< of the interval at at_ms */
    int64_t too_much_line; /**< of the first interval with more energy than is possible; 0: none */
    int64_t too_much_ms, too_much_uwh; /**< how long it is, and what it has */
};

/** A piece as the file has it. */
void foreign_counter_piece(struct foreign_counter *counter, int64_t from_ms, int64_t to_ms,
                           int64_t imported_uwh, int64_t exported_uwh);

/** The counter's total at that time. */
void foreign_counter_total(struct foreign_counter *counter, int64_t at_ms, int64_t uwh);

/** What was consumed from from_ms on: until to_ms, or if that is 0 until the next one begins, but not
 *  much longer than intervals usually are. False: it does not begin after the one before. */
bool foreign_counter_interval(struct foreign_counter *counter, int64_t from_ms, int64_t to_ms,
                              int64_t uwh);

/** The last value has come. False: the length of the only interval is not known. */
bool foreign_counter_end(struct foreign_counter *counter);

#endif
