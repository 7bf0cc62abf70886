/* SPDX-License-Identifier: MIT */
/**
 * Signed 128-bit whole numbers for products and sums that do not fit into 64 bits. They work on
 * machines whose compiler has no __int128 (every 32-bit one). Values are passed by value; nothing is
 * allocated and nothing fails.
 */
#ifndef DRIVERS_BASE_WIDE_H
#define DRIVERS_BASE_WIDE_H

#include <stdbool.h>
#include <stdint.h>

/** Two's complement: the value is high * 2^64 + low. {0} is zero. */
struct wide {
    int64_t high;
    uint64_t low;
};

struct wide wide_from(int64_t value);

/** The exact product. */
struct wide wide_multiply(int64_t a, int64_t b);

/** The sum, modulo 2^128. */
struct wide wide_add(struct wide a, struct wide b);

struct wide wide_negate(struct wide value);

bool wide_is_negative(struct wide value);

/**
 * The quotient, rounded towards zero, limited to INT64_MIN..INT64_MAX. The remainder has the sign of
 * the dividend; `remainder` may be NULL. The divisor is greater than 0.
 */
int64_t wide_divide(struct wide dividend, int64_t divisor, int64_t *remainder);

/** value * factor / divisor without overflow in between; rounds and limits as wide_divide does. */
int64_t wide_scale(int64_t value, int64_t factor, int64_t divisor);

#endif
