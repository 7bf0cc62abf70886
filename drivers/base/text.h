/* SPDX-License-Identifier: MIT */
/**
 * A bounded text builder over a caller's buffer. Appending past the end sets `cut` and keeps the
 * text NUL-terminated at the bound; nothing is ever written outside the buffer. Check `cut` once at
 * the end instead of after every append.
 */
#ifndef DRIVERS_BASE_TEXT_H
#define DRIVERS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct text {
    char *buffer;
    size_t size; /**< of buffer, at least 1 */
    size_t length;
    bool cut;
};

void text_init(struct text *text, char *buffer, size_t size);
void text_append(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The same for a text as it is, and for integers, with leading zeros up to so many digits (0: none). Many times
 *  quicker than a format, for rows by the hundred thousand. */
void text_append_plain(struct text *text, const char *plain);
void text_append_digits(struct text *text, uint64_t value, unsigned digits);
void text_append_integer(struct text *text, int64_t value);

/**
 * Appends value * 10^-scale as a decimal with exactly `decimals` digits, rounded half away from
 * zero (or towards zero when round_down), independent of the locale; never prints "-0".
 * Example: value 231449, scale 3 (millivolts to volts), decimals 1 -> "231.4".
 */
void text_append_decimal(struct text *text, int64_t value, unsigned scale, unsigned decimals,
                         bool round_down);

/** Appends "2026-11-24T12:19:22", with ".123" unless ms is below 0. The offset is the caller's. */
void text_append_calendar(struct text *text, const struct tm *time, int ms);

/** Appends wall_ms as ISO 8601 in UTC: "2026-11-24T12:19:22+00:00", with ".123" if with_ms. */
void text_append_time(struct text *text, int64_t wall_ms, bool with_ms);

#endif
