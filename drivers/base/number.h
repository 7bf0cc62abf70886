/* SPDX-License-Identifier: MIT */
/**
 * Numbers from text, strictly: the whole text must be the number, in the C locale's spelling
 * whatever the process's locale is. No leading or trailing blanks, no '+', no hexadecimal, no nan
 * or inf, no silent overflow. Text is given by pointer and length and need not be NUL-terminated.
 */
#ifndef DRIVERS_BASE_NUMBER_H
#define DRIVERS_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Decimal integer, optional leading '-'. False if malformed or outside [low, high]. */
bool number_parse_int(const char *text, size_t length, int64_t low, int64_t high, int64_t *value);

/** The same, or without a sign in hexadecimal behind 0x: "4096", "0x1000". */
bool number_parse_whole(const char *text, size_t length, int64_t low, int64_t high, int64_t *value);

/** Decimal number: [-]digits[.digits][e[+-]digits]. False if malformed, not finite, or outside
 *  [low, high]. */
bool number_parse_double(const char *text, size_t length, double low, double high, double *value);

/**
 * A duration with its unit, in milliseconds: "250ms", "1s", "5m", "12h", "30d", "2y" (365 days).
 * A number without a unit is refused, so that nobody has to guess. False if malformed or outside
 * [low_ms, high_ms].
 */
bool number_parse_duration(const char *text, size_t length, int64_t low_ms, int64_t high_ms,
                           int64_t *value_ms);

/** 0 to 15, of either case; -1 if it is none. */
int number_hex_digit(char c);

#endif
