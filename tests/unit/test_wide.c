/* SPDX-License-Identifier: MIT */
#include "drivers/base/wide.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* The expected values were computed with Python's unlimited integers. */
struct product {
    int64_t a;
    int64_t b;
    int64_t high;
    uint64_t low;
};

static void test_products(void **unused)
{
    (void)unused;
    static const struct product products[] = {
        {0, 0, 0, 0},
        {0, INT64_MIN, 0, 0},
        {1, -1, -1, UINT64_MAX},
        {3, 5, 0, 15},
        {UINT32_MAX, UINT32_MAX, 0, 0xFFFFFFFE00000001U},
        {INT64_MAX, 2, 0, 0xFFFFFFFFFFFFFFFEU},
        {INT64_MAX, INT64_MAX, 0x3FFFFFFFFFFFFFFF, 1},
        {INT64_MIN, INT64_MIN, 0x4000000000000000, 0},
        {INT64_MIN, INT64_MAX, -0x4000000000000000, 0x8000000000000000U},
        {INT64_MIN, -1, 0, 0x8000000000000000U},
        {INT64_MIN, 1, -1, 0x8000000000000000U},
        {0x123456789ABCDEF0, -0x0FEDCBA987654321, -0x121FA00AD77D743, 0xDDC927701A9E7310U},
    };
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        const struct product *row = &products[i];
        struct wide value = wide_multiply(row->a, row->b);
        struct wide swapped = wide_multiply(row->b, row->a);
        if (value.high != row->high || value.low != row->low)
            fail_msg("row %zu: %" PRIx64 ":%" PRIx64, i, (uint64_t)value.high, value.low);
        assert_true(swapped.high == value.high && swapped.low == value.low);
    }
}

static void test_sums_carry_across_64_bits(void **unused)
{
    (void)unused;
    struct wide sum = wide_add((struct wide){.low = UINT64_MAX}, wide_from(1));
    assert_true(sum.high == 1 && sum.low == 0);
    sum = wide_add(sum, wide_from(-1));
    assert_true(sum.high == 0 && sum.low == UINT64_MAX);
    sum = wide_add(wide_multiply(INT64_MAX, INT64_MAX),
                   wide_negate(wide_multiply(INT64_MAX, INT64_MAX)));
    assert_true(sum.high == 0 && sum.low == 0);
    assert_true(wide_is_negative(wide_from(-1)));
    assert_false(wide_is_negative(wide_from(0)));
}

struct quotient {
    int64_t a;
    int64_t b;
    int64_t divisor;
    int64_t quotient;
    int64_t remainder;
};

static void test_quotients(void **unused)
{
    (void)unused;
    static const struct quotient quotients[] = {
        {7, 1, 2, 3, 1},
        {-7, 1, 2, -3, -1},
        {0, 0, 1, 0, 0},
        {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 0},
        {INT64_MIN, INT64_MAX, INT64_MAX, INT64_MIN, 0},
        {INT64_MIN, 1, 1, INT64_MIN, 0},
        {8388607, 31536000000000, 419430400000, 630719924, 340710400000},
        {INT64_C(900000000000000000), 1000, 1000000007, INT64_C(899999993700), 44100},
        {1, INT64_MAX, INT64_MAX, 1, 0},
        {INT64_MAX, 4, 5, INT64_C(7378697629483820645), 3},
        /* Limited: the exact quotient does not fit. */
        {INT64_MAX, INT64_MAX, 1, INT64_MAX, 0},
        {INT64_MAX, INT64_MIN, 1, INT64_MIN, 0},
        {INT64_MIN, -1, 1, INT64_MAX, 0},
    };
    for (size_t i = 0; i < sizeof quotients / sizeof quotients[0]; i++) {
        const struct quotient *row = &quotients[i];
        int64_t remainder = -99;
        int64_t quotient = wide_divide(wide_multiply(row->a, row->b), row->divisor, &remainder);
        if (quotient != row->quotient || remainder != row->remainder)
            fail_msg("row %zu: %" PRId64 " remainder %" PRId64, i, quotient, remainder);
        assert_true(wide_scale(row->a, row->b, row->divisor) == row->quotient);
    }
}

/* Whatever the operands, quotient * divisor + remainder is the dividend again. */
static void test_division_inverts_multiplication(void **unused)
{
    (void)unused;
    uint64_t state = 88172645463325252U;
    for (int i = 0; i < 20000; i++) {
        int64_t numbers[3];
        for (int k = 0; k < 3; k++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            numbers[k] = (int64_t)state >> (state & 63);
        }
        int64_t divisor = (numbers[2] & INT64_MAX) | 1;
        struct wide dividend = wide_multiply(numbers[0], divisor);
        int64_t remainder = -1;
        assert_true(wide_divide(dividend, divisor, &remainder) == numbers[0]);
        assert_true(remainder == 0);
        int64_t rest = divisor / 3;
        dividend = wide_add(dividend, wide_from(numbers[0] < 0 ? -rest : rest));
        assert_true(wide_divide(dividend, divisor, &remainder) == numbers[0]);
        assert_true(remainder == (numbers[0] < 0 ? -rest : rest));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_sums_carry_across_64_bits),
        cmocka_unit_test(test_quotients),
        cmocka_unit_test(test_division_inverts_multiplication),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
