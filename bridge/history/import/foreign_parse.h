/* SPDX-License-Identifier: MIT */
/**
 * Other programs' files of energy as pieces of energy over time. Pure but for the reading of the
 * stream and the time zone (times without an offset). Recognised:
 *
 * - bl2mqtt: CSV of `bl2mqtt history export`; each row has the energy since the one before,
 *   or over energy_over_s seconds.
 * - ha: Home Assistant's long-term statistics, one row per hour with its begin and the sum at its
 *   end: JSON as exported by this program, JSON as recorder/statistics_during_period answers it, or
 *   CSV with the columns start (or start_ts) and sum.
 * - kwh: CSV of a counter or of intervals: a time and a total, or a time and what was consumed from then
 *   on, per 15 minutes, hour, day or month.
 *
 * CSV: separated by commas, semicolons or tabs; UTF-8 or UTF-16; columns are found by their names, without
 * a head the first is the time and the second the value. Numbers and times: foreign_values.h. Whether the
 * values are totals or intervals follows from the column's name, else from the values: those of intervals
 * fall as often as they rise, and a counter's are greater than what is consumed in that time or rise over
 * more than a day (of days: three weeks, of months: a year). Others may be either, and are refused.
 *
 * What can be read in more than one way is refused, and the sentence names the first such line and the
 * option that decides. A row without a value ("unavailable") is left out; any other row that cannot be
 * read is refused with its line: a wrong sum is worse than none.
 *
 * Of counters: a value lower than the one before is a glitch if the next is back where it was, else
 * the counter began anew and counts from 0. A rise that max_power_w cannot make in that time is a
 * glitch if the next value is back, else another counter went on, and the rise is no energy. A file in which
 * most rises are such, or an interval with more energy than max_power_w makes, is refused: wrong unit.
 */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_PARSE_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_PARSE_H

#include "bridge/history/import/foreign_types.h"
#include "drivers/base/status.h"

#include <stdio.h>

/** "auto", "bl2mqtt", "ha", "kwh". */
const char *foreign_format_name(enum foreign_format format);

/** Reads the stream to its end. STATUS_USAGE: nothing is recognised, or the source must be chosen (the
 *  sentence says from what), or the file is larger than this reads. */
enum status foreign_parse(FILE *file, const struct foreign_parse_options *options,
                          foreign_piece piece, void *context, struct foreign_parsed *parsed,
                          struct error *error);

#endif
