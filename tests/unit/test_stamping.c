/* SPDX-License-Identifier: MIT */
/* When the wall clock is believed, what readings that waited for it are stamped with, and what the
 * running service notices of a clock that is set. */
#include "bridge/history/stamping.h"
#include "bridge/service/clock_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE 60000
#define WAIT (10 * MINUTE)
#define DAY INT64_C(86400000)

static void test_judge(void **state)
{
    (void)state;
    const int64_t now = stamping_earliest_ms() + 10 * DAY;
    const struct {
        int64_t newest_ms, wall_ms, boot_ms;
        enum clock_sync sync;
        enum stamping expected;
    } table[] = {
        {0, now, 1000, CLOCK_SYNCHRONISED, STAMPING_SURE},
        {0, now, 1000, CLOCK_UNSYNCHRONISED, STAMPING_WAITS},
        {0, now, WAIT - 1, CLOCK_UNSYNCHRONISED, STAMPING_WAITS},
        {0, now, WAIT, CLOCK_UNSYNCHRONISED, STAMPING_GUESS},
        {0, now, 1000, CLOCK_SYNC_UNKNOWN, STAMPING_SURE},
        /* The newest reading lies ahead: the clock is wrong, or it was. */
        {now + 1, now, 1000, CLOCK_SYNC_UNKNOWN, STAMPING_WAITS},
        {now, now, 1000, CLOCK_SYNC_UNKNOWN, STAMPING_SURE},
        {now + DAY, now, 1000, CLOCK_SYNCHRONISED, STAMPING_SURE},
        {now + DAY, now, 1000, CLOCK_UNSYNCHRONISED, STAMPING_WAITS},
        {now + DAY, now, WAIT, CLOCK_UNSYNCHRONISED, STAMPING_GUESS},
        /* Before this program was there, whatever the kernel says. */
        {0, 1000, 1000, CLOCK_SYNCHRONISED, STAMPING_WAITS},
        {0, 1000, 1000, CLOCK_UNSYNCHRONISED, STAMPING_WAITS},
        {0, 1000, 1000, CLOCK_SYNC_UNKNOWN, STAMPING_WAITS},
        {0, 1000, WAIT, CLOCK_SYNCHRONISED, STAMPING_GUESS},
        {0, stamping_earliest_ms() - 1, 1000, CLOCK_SYNCHRONISED, STAMPING_WAITS},
        {0, stamping_earliest_ms(), 1000, CLOCK_SYNCHRONISED, STAMPING_SURE},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        enum stamping got = stamping_judge(WAIT, table[i].newest_ms, table[i].wall_ms,
                                           table[i].boot_ms, table[i].sync);
        if (got != table[i].expected)
            fail_msg("row %zu: %d", i, (int)got);
    }
}

/* The service begins at 20 s of boot and 0:20 of 1970; at 80 s of boot the time is reported. */
static void test_apply(void **state)
{
    (void)state;
    const int64_t right = stamping_earliest_ms() + DAY;
    const struct moment began = {.wall_ms = 20000, .boot_ms = 20000};
    const struct moment now = {.wall_ms = right, .boot_ms = 80000};
    struct queue queue;
    queue_init(&queue, 100);
    for (int64_t second = 0; second < 60; second++) {
        const struct queued_reading item = {
            .number = 1,
            .reading = {.wall_ms = 20000 + second * 1000, .boot_ms = 20000 + second * 1000},
        };
        queue_put_reading(&queue, &item);
    }
    const struct queued_event event = {.wall_ms = 21000, .boot_ms = 21000};
    queue_put_event(&queue, &event);

    struct channels channels = {0};
    const struct calibration factors = {1000, 1000, 1000};
    struct known_channel *old = channels_add(&channels, 1, "house", "a", READING_BL0942);
    (void)channels_record(&channels, old, &factors, false, CALIBRATION_CONFIGURED, 7);
    old->recorded_stored = old->configured_stored = true;
    struct known_channel *fresh = channels_add(&channels, 2, "house", "b", READING_BL0942);
    (void)channels_record(&channels, fresh, &factors, false, CALIBRATION_CONFIGURED, 19990);
    channels_put_state(fresh, &(struct energy_state){.known = true, .counter_wall_ms = 79000});
    /* Of a file before this one, to be stored again: that was not stamped today. */
    struct known_channel *saved = channels_add(&channels, 3, "house", "c", READING_BL0942);
    (void)channels_record(&channels, saved, &factors, false, CALIBRATION_CONFIGURED, right - DAY);

    stamping_apply(&queue, &channels, &began, &now);
    for (size_t i = 0; i < 60; i++) {
        const struct reading *reading = &ring_at(&queue.readings, i)->reading;
        assert_int_equal(reading->wall_ms, right - 60000 + (int64_t)i * 1000);
        assert_int_equal(reading->boot_ms, 20000 + (int64_t)i * 1000);
    }
    assert_int_equal(queue.events.items[0].wall_ms, right - 59000);
    assert_int_equal(channels_find(&channels, 1)->recorded.valid_from_ms, 7);
    fresh = channels_find(&channels, 2);
    assert_int_equal(fresh->recorded.valid_from_ms, right - 60010);
    assert_int_equal(fresh->configured.valid_from_ms, right - 60010);
    assert_int_equal(fresh->state.counter_wall_ms, right - 1000);
    assert_int_equal(channels_find(&channels, 3)->recorded.valid_from_ms, right - DAY);
    channels_free(&channels);
    queue_free(&queue);
}

static void test_watch(void **state)
{
    (void)state;
    const struct {
        struct clocks now;
        enum clock_change change;
        int64_t by_ms;
    } table[] = {
        {{5000, 100, 100}, CLOCK_UNCHANGED, 0},
        {{6000, 1100, 1100}, CLOCK_UNCHANGED, 0},
        {{7900, 2100, 2100}, CLOCK_UNCHANGED, 0}, /* 0.9 s ahead: slewed, or not worth a word */
        {{3608900, 3100, 3100}, CLOCK_STEPPED, 3600000},
        {{9900, 4100, 4100}, CLOCK_STEPPED, -3600000},
        {{10900, 5100, 5100}, CLOCK_UNCHANGED, 0},
        {{610900, 605100, 5200}, CLOCK_SUSPENDED, 599900},
        {{611900, 606100, 6200}, CLOCK_UNCHANGED, 0},
        {{1300000, 706100, 7200}, CLOCK_SUSPENDED, 99000}, /* and the clock is set meanwhile */
        {{1300001, 706101, 7201}, CLOCK_STEPPED, 588100},
    };
    struct clock_watch watch = {0};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t by_ms;
        enum clock_change change = clock_watch_note(&watch, &table[i].now, &by_ms);
        if (change != table[i].change || by_ms != table[i].by_ms)
            fail_msg("row %zu: %d by %lld", i, (int)change, (long long)by_ms);
    }
}

static void test_span(void **state)
{
    (void)state;
    const struct {
        int64_t ms;
        const char *expected;
    } table[] = {
        {0, "0.0 s"},      {2500, "2.5 s"},  {-3600000, "1 h"}, {90061500, "1 d 1 h 1 min 1.5 s"},
        {86400000, "1 d"}, {60000, "1 min"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char buffer[64];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        clock_watch_append_span(&text, table[i].ms);
        assert_string_equal(buffer, table[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_apply),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
