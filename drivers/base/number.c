/* SPDX-License-Identifier: MIT */
#include "drivers/base/number.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Longest spelling of a double that anyone needs; longer text is refused, not cut. */
#define NUMBER_TEXT_MAX 64

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t skip_digits(const char *text, size_t length, size_t at)
{
    while (at < length && is_digit(text[at]))
        at++;
    return at;
}

bool number_parse_int(const char *text, size_t length, int64_t low, int64_t high, int64_t *value)
{
    size_t at = 0;
    bool negative = false;
    if (length > 0 && text[0] == '-') {
        negative = true;
        at = 1;
    }
    if (at >= length)
        return false;
    int64_t result = 0;
    for (; at < length; at++) {
        if (!is_digit(text[at]))
            return false;
        int digit = text[at] - '0';
        if (__builtin_mul_overflow(result, 10, &result) ||
            __builtin_add_overflow(result, negative ? -digit : digit, &result))
            return false;
    }
    if (result < low || result > high)
        return false;
    *value = result;
    return true;
}

int number_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool number_parse_whole(const char *text, size_t length, int64_t low, int64_t high, int64_t *value)
{
    if (length < 2 || text[0] != '0' || text[1] != 'x')
        return number_parse_int(text, length, low, high, value);
    int64_t number = 0;
    for (size_t i = 2; i < length; i++) {
        int digit = number_hex_digit(text[i]);
        if (digit < 0 || number > INT64_MAX >> 4)
            return false;
        number = number * 16 + digit;
    }
    if (length == 2 || number < low || number > high)
        return false;
    *value = number;
    return true;
}

/* [-]digits[.digits][e[+-]digits], with at least one digit on each side of what is there. */
static bool is_decimal(const char *text, size_t length)
{
    size_t at = length > 0 && text[0] == '-' ? 1 : 0;
    size_t digits = skip_digits(text, length, at);
    if (digits == at)
        return false;
    at = digits;
    if (at < length && text[at] == '.') {
        digits = skip_digits(text, length, at + 1);
        if (digits == at + 1)
            return false;
        at = digits;
    }
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        if (at < length && (text[at] == '+' || text[at] == '-'))
            at++;
        digits = skip_digits(text, length, at);
        if (digits == at)
            return false;
        at = digits;
    }
    return at == length;
}

bool number_parse_double(const char *text, size_t length, double low, double high, double *value)
{
    char copy[NUMBER_TEXT_MAX];
    if (length == 0 || length >= sizeof copy || !is_decimal(text, length))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';

    /* strtod follows LC_NUMERIC; a library that called setlocale() must not change our files. */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0)
        return false;
    double result = strtod_l(copy, NULL, c_locale);
    freelocale(c_locale);
    if (!isfinite(result) || result < low || result > high)
        return false;
    *value = result;
    return true;
}

bool number_parse_duration(const char *text, size_t length, int64_t low_ms, int64_t high_ms,
                           int64_t *value_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                 {"h", 3600000}, {"d", 86400000}, {"y", 31536000000}};

    size_t digits = skip_digits(text, length, 0);
    int64_t count;
    if (!number_parse_int(text, digits, 0, INT64_MAX, &count))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t unit_length = strlen(units[i].unit);
        if (length - digits != unit_length ||
            memcmp(text + digits, units[i].unit, unit_length) != 0)
            continue;
        int64_t result;
        if (__builtin_mul_overflow(count, units[i].ms, &result) || result < low_ms ||
            result > high_ms)
            return false;
        *value_ms = result;
        return true;
    }
    return false;
}
