/* SPDX-License-Identifier: MIT */
/*
 * drivers/bl0942/line on a real event loop and real ptys: the simulated meter is on the other side,
 * pulled out and put back. Time is real here, so intervals are short.
 */
#include "port_holder_helper.h"

#include "drivers/base/clock.h"
#include "drivers/bl0942/line.h"
#include "drivers/serial/port.h"
#include "drivers/simulator/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHIPS 2

struct house {
    uv_loop_t loop;
    uv_check_t turns; /* counts how often the loop turns: a busy loop shows here */
    uint64_t turn_count;
    char folder[64], link[96];
    struct simulator_meter *meter;
    struct bl0942_line *line;
    unsigned readings[CHIPS];
    struct reading last[CHIPS];
    bool known[CHIPS], online[CHIPS];
    char reason[CHIPS][320];
    unsigned events[8];
};

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct house *house = context;
    house->readings[channel]++;
    house->last[channel] = *reading;
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    struct house *house = context;
    assert_true(!house->known[channel] || house->online[channel] != online); /* edges only */
    house->known[channel] = true;
    house->online[channel] = online;
    (void)snprintf(house->reason[channel], sizeof house->reason[channel], "%s", reason);
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    struct house *house = context;
    (void)channel;
    assert_string_not_equal(message, "");
    house->events[event]++;
}

static void on_turn(uv_check_t *check)
{
    struct house *house = check->data;
    house->turn_count++;
}

static void plug_in(struct house *house)
{
    struct simulator_meter_options options = {.link = house->link, .chip_count = CHIPS};
    for (unsigned i = 0; i < CHIPS; i++) {
        options.chips[i].chip = (struct chip_options){.address = i,
                                                      .pin_baud = 4800,
                                                      .counts_per_volt = 15883,
                                                      .counts_per_ampere = 128119,
                                                      .counts_per_watt = 318,
                                                      .seed = i};
        options.chips[i].load = (struct load_options){
            .constant = {.voltage_v = 230, .current_a = 1, .power_w = 230, .frequency_hz = 50}};
    }
    struct error error = {""};
    if (simulator_meter_create(&house->loop, &options, &house->meter, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

static void start_line(struct house *house)
{
    const struct driver_sink sink = {house, on_reading, on_availability, on_event};
    struct bl0942_line_options options = {.port = house->link, .baud = 4800, .chip_count = CHIPS};
    for (unsigned i = 0; i < CHIPS; i++)
        options.chips[i] = (struct bl0942_chip_options){
            .channel = i, .address = i, .interval_ms = 250, .mains_hz = 50, .creep = -1};
    house->line = bl0942_line_create(&house->loop, &options, &sink, NULL);
    assert_false(house->known[0]); /* the sink is not called from inside create */
}

static int set_up(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    (void)snprintf(house->folder, sizeof house->folder, "/tmp/bl2mqtt-line-XXXXXX");
    assert_non_null(mkdtemp(house->folder));
    (void)snprintf(house->link, sizeof house->link, "%s/meter", house->folder);
    assert_int_equal(uv_loop_init(&house->loop), 0);
    assert_int_equal(uv_check_init(&house->loop, &house->turns), 0);
    house->turns.data = house;
    assert_int_equal(uv_check_start(&house->turns, on_turn), 0);
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;
    if (house->line != NULL)
        bl0942_line_close(house->line);
    if (house->meter != NULL)
        simulator_meter_close(house->meter);
    uv_close((uv_handle_t *)&house->turns, NULL);
    assert_int_equal(uv_run(&house->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&house->loop), 0); /* every handle was let go */
    rmdir(house->folder);
    free(house);
    return 0;
}

static void on_time(uv_timer_t *timer)
{
    (void)timer; /* it only turns the loop */
}

/* Turns the loop until the condition holds; false when that took too long. */
static bool run_until(struct house *house, bool (*condition)(const struct house *),
                      int64_t limit_ms)
{
    uint64_t tick_ms = condition != NULL ? 10 : (uint64_t)limit_ms;
    uv_timer_t *timer = calloc(1, sizeof *timer);
    assert_int_equal(uv_timer_init(&house->loop, timer), 0);
    uv_update_time(&house->loop);
    assert_int_equal(uv_timer_start(timer, on_time, tick_ms, tick_ms), 0);
    int64_t end_ms = clock_boot_ms() + limit_ms;
    bool holds = false;
    while (!holds && clock_boot_ms() < end_ms) {
        (void)uv_run(&house->loop, UV_RUN_ONCE);
        holds = condition != NULL && condition(house);
    }
    uv_close((uv_handle_t *)timer, (uv_close_cb)free);
    (void)uv_run(&house->loop, UV_RUN_NOWAIT);
    return holds;
}

static bool all_online(const struct house *house)
{
    return house->online[0] && house->online[1];
}

static bool all_offline(const struct house *house)
{
    return house->known[0] && !house->online[0] && house->known[1] && !house->online[1];
}

static bool some_readings(const struct house *house)
{
    return house->readings[0] >= 4 && house->readings[1] >= 4;
}

static void test_readings_then_unplugged_then_back(void **state)
{
    struct house *house = *state;
    plug_in(house);
    start_line(house);
    assert_true(run_until(house, some_readings, 10000));
    assert_true(all_online(house));
    assert_in_range(house->last[0].voltage, 230 * 15883 * 0.99, 230 * 15883 * 1.01);
    int64_t age_ms = clock_boot_ms() - house->last[0].boot_ms;
    assert_in_range(age_ms, 0, 1000);
    assert_in_range(clock_wall_ms() - house->last[0].wall_ms, 0, 1000);
    struct chip_truth truth;
    simulator_meter_truth(house->meter, 0, &truth);
    assert_int_equal(truth.mode, 0x8F);

    simulator_meter_unplug(house->meter);
    assert_true(run_until(house, all_offline, 2000));
    assert_non_null(strstr(house->reason[0], "unplugged"));
    assert_int_equal(house->events[DRIVER_PORT_GONE], CHIPS);
    uint64_t before = house->turn_count;
    assert_false(run_until(house, NULL, 700));
    /* The simulator looks at its loads five times a second, the line tries once. */
    assert_in_range(house->turn_count - before, 0, 30);
    assert_true(all_offline(house));

    struct error error = {""};
    assert_int_equal(simulator_meter_plug(house->meter, &error), STATUS_OK); /* another pts */
    assert_true(run_until(house, all_online, 8000));
    assert_int_equal(house->events[DRIVER_PORT_BACK], CHIPS);
    struct driver_statistics statistics;
    assert_true(bl0942_line_statistics(house->line, 1, &statistics));
    assert_int_equal(statistics.reconnects, 1);
    assert_int_equal(statistics.chip_resets, 0); /* the chips had power all the time */
    assert_int_equal(house->last[0].flags & READING_CHIP_RESET, 0);
    assert_false(bl0942_line_statistics(house->line, 7, &statistics));
}

static void test_port_appears_later(void **state)
{
    struct house *house = *state;
    start_line(house);
    assert_true(run_until(house, all_offline, 1000));
    assert_non_null(strstr(house->reason[1], house->link));
    assert_int_equal(house->events[DRIVER_PORT_GONE], 0);
    plug_in(house);
    assert_true(run_until(house, all_online, 8000));
    assert_int_equal(house->events[DRIVER_PORT_BACK], 0);
}

static void test_port_held_by_another_program(void **state)
{
    struct house *house = *state;
    plug_in(house);
    struct port_holder other;
    port_holder_start(&other, house->link, true);
    start_line(house);
    assert_true(run_until(house, all_offline, 1000));
    assert_non_null(strstr(house->reason[0], other.words));
    port_holder_end(&other);
    assert_true(run_until(house, all_online, 8000));
}

static bool first_offline(const struct house *house)
{
    return house->known[0] && !house->online[0];
}

static void test_one_silent_chip_leaves_the_other_alone(void **state)
{
    struct house *house = *state;
    plug_in(house);
    start_line(house);
    assert_true(run_until(house, all_online, 8000));
    simulator_meter_silence(house->meter, 0, true);
    assert_true(run_until(house, first_offline, 8000));
    unsigned before = house->readings[1];
    assert_false(run_until(house, NULL, 1000));
    assert_in_range(house->readings[1] - before, 3, 5); /* 4 a second */
    assert_true(house->online[1]);
}

static void test_closed_in_every_state(void **state)
{
    struct house *house = *state;
    start_line(house); /* torn down before the loop ever turned */
    bl0942_line_close(house->line);
    plug_in(house);
    for (int64_t ms = 1; ms < 300; ms = ms * 2) {
        start_line(house);
        (void)run_until(house, NULL, ms);
        bl0942_line_close(house->line);
        (void)uv_run(&house->loop, UV_RUN_NOWAIT);
        memset(house->known, 0, sizeof house->known);
    }
    house->line = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_readings_then_unplugged_then_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_port_appears_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_port_held_by_another_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_silent_chip_leaves_the_other_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_closed_in_every_state, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
