/* SPDX-License-Identifier: MIT */
/*
 * What a poll costs the computer: how often the port half would be woken, counted under a virtual clock with a
 * simulated chip that answers byte by byte. No figure here depends on how fast or busy the machine is.
 */
#include "drivers/bl0942/session.h"
#include "drivers/simulator/chip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BAUD 4800
#define POLLS 120

struct world {
    struct bl0942_session *session;
    struct chip *chip;
    int64_t now_ms;
    unsigned wakes, readings;
    int64_t done_ms; /* when the last byte came */
};

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct world *world = context;
    (void)channel, (void)reading;
    world->readings++;
    assert_int_equal(world->now_ms, world->done_ms); /* and not later for it */
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    (void)context, (void)channel, (void)online, (void)reason;
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    (void)context, (void)channel, (void)event, (void)message;
}

static void act(struct world *world, struct bl0942_action *action)
{
    do {
        bl0942_session_next(world->session, world->now_ms, action);
        if (action->kind == BL0942_SEND)
            chip_receive(world->chip, world->now_ms * 1000, BAUD, action->bytes, action->length);
    } while (action->kind != BL0942_WAIT);
}

/* As line.c does it: bytes lie in the port until it is looked at, which is at its deadline, or when bytes come and
 * it is watched. Every millisecond is gone through, so that nothing depends on what the chip says of itself. */
static void run_until(struct world *world, int64_t end_ms)
{
    static uint8_t port[4096];
    static size_t waiting;
    struct bl0942_action action;
    act(world, &action);
    for (; world->now_ms < end_ms; world->now_ms++) {
        size_t came =
            chip_transmit(world->chip, world->now_ms * 1000, port + waiting, sizeof port - waiting);
        waiting += came;
        world->done_ms = came > 0 ? world->now_ms : world->done_ms;
        bool watched = action.listen_ms <= world->now_ms;
        bool deadline = (watched ? action.until_ms : action.listen_ms) <= world->now_ms;
        if (!deadline && !(watched && waiting > 0))
            continue;
        world->wakes++;
        if (waiting > 0)
            bl0942_session_receive(world->session, world->now_ms, world->now_ms, port, waiting);
        waiting = 0;
        act(world, &action);
    }
}

static void test_an_answer_costs_few_wakes(void **unused)
{
    (void)unused;
    struct world world = {.wakes = 0};
    const struct driver_sink sink = {&world, on_reading, on_availability, on_event};
    const struct chip_options chip = {.pin_baud = BAUD,
                                      .counts_per_volt = 15883.34,
                                      .counts_per_ampere = 128118.87,
                                      .counts_per_watt = 317.931};
    const struct bl0942_session_options options = {
        .name = "line",
        .baud = BAUD,
        .chip_count = 1,
        .chips = {{.mains_hz = 50, .interval_ms = 1000, .creep = -1}},
    };
    world.chip = chip_create(&chip, 0);
    world.session = bl0942_session_create(&options, &sink);
    chip_set_counter(world.chip, 0,
                     5000000); /* a restart would show: MODE is read once a minute only */
    bl0942_session_open(world.session, 0);
    run_until(&world, 5000);
    unsigned wakes = world.wakes;
    unsigned readings = world.readings;
    assert_true(readings > 0);
    run_until(&world, 5000 + 1000 * POLLS);
    readings = world.readings - readings;
    wakes = world.wakes - wakes;
    assert_in_range(readings, POLLS - 1, POLLS + 1);
    /* To ask, to begin to listen, and at most two of the last bytes; the same for MODE once a minute. */
    assert_in_range(wakes, 2 * readings, 4 * readings + 12);
    bl0942_session_free(world.session);
    chip_free(world.chip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_an_answer_costs_few_wakes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
