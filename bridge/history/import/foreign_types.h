/* SPDX-License-Identifier: MIT */
/** What an import of others' files is asked for, and what was found in a file. The rules stand in
 *  foreign_parse.h. */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_TYPES_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_TYPES_H

#include "bridge/history/import/foreign_values.h"

#include <stdbool.h>
#include <stdint.h>

enum foreign_format { FOREIGN_AUTO, FOREIGN_BL2MQTT, FOREIGN_HA, FOREIGN_KWH };

enum foreign_kind { FOREIGN_KIND_AUTO, FOREIGN_KIND_TOTAL, FOREIGN_KIND_INTERVAL };

#define FOREIGN_NAME_SIZE 256

struct foreign_parse_options {
    enum foreign_format format;
    const char *source; /**< which of several in the file: "device/channel" or a statistic's id;
                                  NULL: there must be one */
    bool watt_hours;    /**< numbers are Wh unless the file says otherwise */
    double max_power_w; /**< > 0 */
    enum foreign_kind kind;
    enum foreign_date_order date_order;
    char decimal; /**< '.' or ','; 0: find out */
};

struct foreign_parsed {
    enum foreign_format format; /**< what it was recognised as */
    bool intervals;             /**< the values are what was consumed, not a total */
    int64_t rows;               /**< with a time and a value */
    int64_t unreadable;         /**< rows without, as "unavailable" */
    int64_t others;             /**< rows of other sources */
    int64_t unsorted;           /**< rows that are not later than the one before */
    int64_t glitches;
    int64_t resets;
    int64_t jumps;
    int64_t first_ms, last_ms;       /**< of the pieces; only if rows > 0 */
    char sources[FOREIGN_NAME_SIZE]; /**< those in the file, cut */
};

/** Energy from from_ms to to_ms (equal: at that moment), never negative. False: there is no room for
 *  more. */
typedef bool (*foreign_piece)(void *context, int64_t from_ms, int64_t to_ms, int64_t imported_uwh,
                              int64_t exported_uwh);

#endif
