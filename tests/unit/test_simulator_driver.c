/* SPDX-License-Identifier: MIT */
/* The simulator driver: real bytes through a pty, read by the real driver on the same loop. */
#include "drivers/simulator/driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KV 15883.3
#define KI 128118.9
#define KP 317.9
#define WANTED 3

struct watch {
    uv_timer_t deadline;
    unsigned readings, online, offline;
    struct reading last;
    bool late;
};

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct watch *watch = context;
    assert_int_equal(channel, 17);
    assert_int_equal(reading->present, READING_ALL);
    watch->last = *reading;
    assert_true(fabs((double)reading->voltage / KV - 120) < 120 * 0.0005);
    if (++watch->readings == WANTED)
        uv_stop(watch->deadline.loop);
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    (void)reason;
    struct watch *watch = context;
    assert_int_equal(channel, 17);
    if (online)
        watch->online++;
    else
        watch->offline++;
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    (void)context;
    (void)channel;
    if (event != DRIVER_CHIP_BEGAN) /* a simulated chip always is a new one */
        fail_msg("event %d: %s", (int)event, message);
}

static void on_deadline(uv_timer_t *timer)
{
    struct watch *watch = timer->data;
    watch->late = true;
    uv_stop(timer->loop);
}

static struct simulator_options constant(void)
{
    return (struct simulator_options){
        .channel = 17,
        .interval_ms = 200,
        .mains_hz = 60,
        .mains_voltage_v = 120,
        .counts_per_volt = KV,
        .counts_per_ampere = KI,
        .counts_per_watt = KP,
        .load = "constant",
        .seed = 5,
    };
}

static void test_reads_its_own_meter(void **unused)
{
    (void)unused;
    uv_loop_t loop;
    struct watch watch = {0};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_timer_init(&loop, &watch.deadline), 0);
    watch.deadline.data = &watch;
    assert_int_equal(uv_timer_start(&watch.deadline, on_deadline, 15000, 0), 0);
    const struct driver_sink sink = {&watch, on_reading, on_availability, on_event};
    const struct simulator_options options = constant();
    struct error error = {""};
    struct simulator_driver *driver = simulator_driver_create(&loop, &options, &sink, NULL, &error);
    if (driver == NULL)
        fail_msg("%s", error.text);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(watch.late);
    assert_int_equal(watch.online, 1);
    assert_int_equal(watch.offline, 0);
    assert_true(fabs((double)watch.last.current / KI - 1000.0 / 120) < 9 * 0.0005);
    assert_true(fabs((double)watch.last.power / KP - 1000) < 1000 * 0.0005);
    assert_true(fabs(1e6 / (double)watch.last.frequency - 60) < 0.03);
    struct driver_statistics statistics;
    assert_true(simulator_driver_statistics(driver, &statistics));
    assert_true(statistics.readings >= WANTED);
    assert_int_equal(statistics.frame_errors, 0);
    assert_int_equal(statistics.junk_bytes, 0);
    simulator_driver_close(driver);
    uv_close((uv_handle_t *)&watch.deadline, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(watch.offline, 0); /* closing is no loss of the device */
}

static void test_unknown_load(void **unused)
{
    (void)unused;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    const struct driver_sink sink = {NULL, on_reading, on_availability, on_event};
    struct simulator_options options = constant();
    options.load = "factory";
    struct error error = {""};
    assert_null(simulator_driver_create(&loop, &options, &sink, NULL, &error));
    assert_non_null(strstr(error.text, "\"factory\""));
    assert_int_equal(uv_loop_close(&loop), 0);
    simulator_driver_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_its_own_meter),
        cmocka_unit_test(test_unknown_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
