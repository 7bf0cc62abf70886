/* SPDX-License-Identifier: MIT */
#include "drivers/base/wide.h"

#include <stddef.h>

/* A magnitude, without a sign. */
struct bits {
    uint64_t high;
    uint64_t low;
};

struct wide wide_from(int64_t value)
{
    return (struct wide){.high = value < 0 ? -1 : 0, .low = (uint64_t)value};
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

/* School multiplication with digits of 32 bits. */
static struct bits multiply(uint64_t a, uint64_t b)
{
    uint64_t a_low = a & UINT32_MAX;
    uint64_t a_high = a >> 32;
    uint64_t b_low = b & UINT32_MAX;
    uint64_t b_high = b >> 32;
    uint64_t low = a_low * b_low;
    uint64_t middle = a_high * b_low + (low >> 32);
    uint64_t other = a_low * b_high + (middle & UINT32_MAX);
    return (struct bits){.high = a_high * b_high + (middle >> 32) + (other >> 32),
                         .low = (other << 32) | (low & UINT32_MAX)};
}

struct wide wide_multiply(int64_t a, int64_t b)
{
    struct bits product = multiply(magnitude(a), magnitude(b));
    struct wide value = {.high = (int64_t)product.high, .low = product.low};
    return (a < 0) == (b < 0) ? value : wide_negate(value);
}

struct wide wide_add(struct wide a, struct wide b)
{
    uint64_t low = a.low + b.low;
    uint64_t carry = low < a.low ? 1 : 0;
    return (struct wide){.high = (int64_t)((uint64_t)a.high + (uint64_t)b.high + carry),
                         .low = low};
}

struct wide wide_negate(struct wide value)
{
    uint64_t low = ~value.low + 1;
    uint64_t carry = low == 0 ? 1 : 0;
    return (struct wide){.high = (int64_t)(~(uint64_t)value.high + carry), .low = low};
}

bool wide_is_negative(struct wide value)
{
    return value.high < 0;
}

/* Long division, bit by bit. The remainder stays below the divisor, which is below 2^63, so that a
 * shift never loses a bit. */
static struct bits divide(struct bits dividend, uint64_t divisor, uint64_t *remainder)
{
    struct bits quotient = {.high = dividend.high / divisor};
    uint64_t rest = dividend.high % divisor;
    for (int bit = 63; bit >= 0; bit--) {
        rest = (rest << 1) | ((dividend.low >> bit) & 1);
        if (rest >= divisor) {
            rest -= divisor;
            quotient.low |= UINT64_C(1) << bit;
        }
    }
    *remainder = rest;
    return quotient;
}

int64_t wide_divide(struct wide dividend, int64_t divisor, int64_t *remainder)
{
    bool negative = wide_is_negative(dividend);
    struct wide positive = negative ? wide_negate(dividend) : dividend;
    uint64_t rest = 0;
    struct bits quotient =
        divide((struct bits){.high = (uint64_t)positive.high, .low = positive.low},
               (uint64_t)divisor, &rest);
    if (remainder != NULL)
        *remainder = negative ? -(int64_t)rest : (int64_t)rest;
    if (quotient.high != 0 || quotient.low > INT64_MAX)
        return negative ? INT64_MIN : INT64_MAX;
    return negative ? -(int64_t)quotient.low : (int64_t)quotient.low;
}

int64_t wide_scale(int64_t value, int64_t factor, int64_t divisor)
{
    return wide_divide(wide_multiply(value, factor), divisor, NULL);
}
