/* SPDX-License-Identifier: MIT */
/**
 * Other programs' files of energy as pieces of energy over time. Pure but for the reading of the
 * stream and the time zone (times without an offset). Recognised:
 *
 * - bl2mqtt: CSV of `bl2mqtt history export`; each row has the energy since the one before.
 * - ha: Home Assistant's long-term statistics, one row per hour with its begin and the sum at its
 *   end: JSON as exported by this program, JSON as recorder/statistics_during_period answers it, or
 *   CSV with the columns start (or start_ts) and sum.
 * - kwh: CSV of a counter as OpenBeken, ESPHome or Tasmota publish it: a time and a total.
 *
 * CSV: separated by commas, semicolons (then decimals may have a comma) or tabs; columns are found by
 * their names, without a head the first is the time and the second the total. Times: ISO 8601, or
 * seconds or milliseconds since 1970.
 *
 * Of counters: a value lower than the one before is a glitch if the next is back where it was, else
 * the counter began anew and counts from 0. A rise that max_power_w cannot make in that time is a
 * glitch if the next value is back, else another counter went on, and the rise is no energy.
 */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_PARSE_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_PARSE_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum foreign_format { FOREIGN_AUTO, FOREIGN_BL2MQTT, FOREIGN_HA, FOREIGN_KWH };

/** "auto", "bl2mqtt", "ha", "kwh". */
const char *foreign_format_name(enum foreign_format format);

#define FOREIGN_NAME_SIZE 256

struct foreign_parse_options {
    enum foreign_format format;
    const char *source; /**< which of several in the file: "device/channel" or a statistic's id;
                                  NULL: there must be one */
    bool watt_hours;    /**< numbers are Wh unless the file says otherwise */
    double max_power_w; /**< > 0 */
};

struct foreign_parsed {
    enum foreign_format format; /**< what it was recognised as */
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

/** Reads the stream to its end. STATUS_USAGE: nothing is recognised, or the source must be chosen (the
 *  sentence says from what), or the file is larger than this reads. */
enum status foreign_parse(FILE *file, const struct foreign_parse_options *options,
                          foreign_piece piece, void *context, struct foreign_parsed *parsed,
                          struct error *error);

#endif
