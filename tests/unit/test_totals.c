/* SPDX-License-Identifier: MIT */
/* Which totals may be published: those on disk, never lower ones than before. */
#include "bridge/service/totals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define WH 1000000

static struct channel_values values_of(int64_t imported_uwh)
{
    return (struct channel_values){.energy_uwh = {true, imported_uwh},
                                   .energy_produced_uwh = {true, 0}};
}

static struct amount show(struct totals *totals, bool usable, int64_t stored_uwh, int64_t meter_uwh)
{
    const struct totals_stored stored = {.usable = usable, .imported_uwh = stored_uwh};
    struct channel_values values = values_of(meter_uwh);
    totals_show(totals, &stored, &values);
    return values.energy_uwh;
}

static void test_what_is_stored_is_shown(void **state)
{
    (void)state;
    struct totals totals;
    totals_begin(&totals, false, 0);
    assert_int_equal(show(&totals, true, 5 * WH, 9 * WH).value, 5 * WH);
    /* The disk refuses: the present is worth more. When it is back, nothing falls. */
    assert_int_equal(show(&totals, false, 5 * WH, 9 * WH).value, 9 * WH);
    assert_int_equal(show(&totals, true, 6 * WH, 9 * WH).value, 9 * WH);
    assert_int_equal(show(&totals, true, 10 * WH, 10 * WH).value, 10 * WH);
}

static void test_what_a_user_sets_may_fall(void **state)
{
    (void)state;
    struct totals totals;
    totals_begin(&totals, false, 0);
    assert_int_equal(show(&totals, true, 50 * WH, 50 * WH).value, 50 * WH);
    totals_set(&totals, 1000);
    assert_int_equal(show(&totals, false, 50 * WH, 2 * WH).value, 2 * WH);
    assert_int_equal(totals.set_ms, 1001);
}

static void test_after_an_unclean_stop_totals_wait_for_the_meter(void **state)
{
    (void)state;
    struct totals totals;
    totals_begin(&totals, true, 77);
    assert_false(show(&totals, true, 5 * WH, 5 * WH).known);
    struct channel_values values = values_of(8 * WH);
    totals_follow(&totals, 77, &values); /* nothing was credited yet */
    assert_false(show(&totals, true, 5 * WH, 8 * WH).known);
    totals_follow(&totals, 78, &values);
    assert_false(show(&totals, true, 5 * WH, 8 * WH).known); /* not on disk yet */
    assert_true(show(&totals, true, 8 * WH, 8 * WH).known);
    assert_int_equal(show(&totals, true, 8 * WH, 9 * WH).value, 8 * WH);
}

static void test_what_counts_as_moved(void **state)
{
    (void)state;
    const struct channel_values before = values_of(5 * WH), same = values_of(5 * WH + WH - 1);
    const struct channel_values more = values_of(6 * WH);
    struct channel_values unknown = before;
    unknown.energy_produced_uwh.known = false;
    assert_false(totals_moved(&before, &same)); /* no digit of it is published */
    assert_true(totals_moved(&before, &more));
    assert_true(totals_moved(&before, &unknown));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_stored_is_shown),
        cmocka_unit_test(test_what_a_user_sets_may_fall),
        cmocka_unit_test(test_after_an_unclean_stop_totals_wait_for_the_meter),
        cmocka_unit_test(test_what_counts_as_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
