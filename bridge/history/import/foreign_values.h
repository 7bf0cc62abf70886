/* SPDX-License-Identifier: MIT */
/**
 * Numbers and times as other programs and offices write them: "1.000,5", "1,000.5", "20.07.2025 00:15",
 * "7/20/2025 12:15 AM". What a mark means is not guessed value by value: evidence is collected from many
 * values first, and what stays open is for the person to say. Pure, but for the time zone.
 */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_VALUES_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_VALUES_H

#include <stdbool.h>
#include <stdint.h>

enum foreign_date_order {
    FOREIGN_DATES_AUTO,
    FOREIGN_DATES_YMD,
    FOREIGN_DATES_DMY,
    FOREIGN_DATES_MDY
};

/** What values were seen that can only be read in one way, and how many that can be read in two. */
struct foreign_evidence {
    uint32_t decimal_points, decimal_commas, either_points, either_commas;
    uint32_t day_first, month_first, either_dates;
};

void foreign_evidence_number(struct foreign_evidence *evidence, const char *text);
void foreign_evidence_time(struct foreign_evidence *evidence, const char *text);

/** decimal: '.' or ','; the other one, spaces and apostrophes may group thousands. A unit of energy may
 *  follow. */
bool foreign_number(const char *text, char decimal, double *value);

/**
 * ISO 8601; seconds or milliseconds since 1970 (order AUTO is enough for these); 20250720 and
 * 202507200015; day.month.year; with slashes or dashes as order says, each with a time of day, with AM or
 * PM, or without. Times without an offset are local. after_ms: when the clock is set back, a time that
 * occurs twice is the second one if the first is not later than after_ms; -1: none.
 */
bool foreign_time(const char *text, enum foreign_date_order order, int64_t after_ms,
                  int64_t *wall_ms);

/** "unavailable", "unknown", "null", "-" and the like: known to stand for no value. */
bool foreign_is_absent(const char *text);

#endif
