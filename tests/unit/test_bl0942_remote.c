/* SPDX-License-Identifier: MIT */
/*
 * A chip behind a raw TCP connection, in virtual time: ten hours through a network that delays (0 to
 * 3 s), splits, closes, swallows, answers late and lets another client ask as well. What the meter
 * counts is what the chip counted.
 */
#include "bridge/meter/meter.h"
#include "drivers/bl0942/session.h"
#include "drivers/simulator/chip.h"
#include "tests/unit/random_helper.h"

#include <math.h>

#define QUEUE_MAX 8192
#define WALL_OFFSET_MS INT64_C(1790000000000)
#define SILENCE_MAX 3

/* One direction of a connection: bytes in order, each with the time it arrives. */
struct direction {
    struct {
        int64_t at_ms;
        uint8_t byte;
    } bytes[QUEUE_MAX];
    size_t count;
    int64_t last_ms;
};

struct network {
    struct direction to_chip, to_us;
    int64_t delay_max_ms;
    bool swallows; /* the peer is dead: nothing arrives any more */
};

struct world {
    struct chip *chip;
    struct bl0942_session *session;
    struct meter *meter;
    struct network network;
    uint64_t dice;
    int64_t now_ms, reopen_ms;
    bool open;
    unsigned readings, reopened, breaks, rates;
    int64_t imported, exported, worst_gap_ms, last_reading_ms, fault_ended_ms, worst_back_ms;
};

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct world *world = context;
    struct meter_result result;
    (void)channel;
    meter_accept(world->meter, reading, &result);
    world->readings++;
    world->imported += result.imported_counts;
    world->exported += result.exported_counts;
    if (world->fault_ended_ms != 0) {
        int64_t back_ms = world->now_ms - world->fault_ended_ms;
        world->worst_back_ms = back_ms > world->worst_back_ms ? back_ms : world->worst_back_ms;
        world->fault_ended_ms = 0;
    }
    world->last_reading_ms = world->now_ms;
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    (void)context, (void)channel, (void)online, (void)reason;
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    (void)context, (void)channel, (void)event, (void)message;
}

static void put(struct world *world, struct direction *direction, const uint8_t *bytes,
                size_t length)
{
    if (world->network.swallows)
        return;
    int64_t at_ms = world->now_ms + below(&world->dice, world->network.delay_max_ms + 1);
    for (size_t i = 0; i < length && direction->count < QUEUE_MAX; i++) {
        if (below(&world->dice, 4) == 0) /* a segment ends */
            at_ms += below(&world->dice, 1 + world->network.delay_max_ms / 10);
        if (at_ms < direction->last_ms)
            at_ms = direction->last_ms;
        direction->last_ms = at_ms;
        direction->bytes[direction->count].at_ms = at_ms;
        direction->bytes[direction->count++].byte = bytes[i];
    }
}

static size_t take(struct direction *direction, int64_t now_ms, uint8_t *bytes, size_t size)
{
    size_t count = 0;
    while (count < size && count < direction->count && direction->bytes[count].at_ms <= now_ms) {
        bytes[count] = direction->bytes[count].byte;
        count++;
    }
    direction->count -= count;
    memmove(direction->bytes, direction->bytes + count,
            direction->count * sizeof direction->bytes[0]);
    return count;
}

static void begin(struct world *world, uint64_t seed, uint32_t first_count)
{
    const struct chip_options chip = {
        .pin_baud = 4800,
        .counts_per_volt = 15883.34,
        .counts_per_ampere = 128118.87,
        .counts_per_watt = 317.94,
        .first_count = first_count,
        .seed = seed,
    };
    const struct meter_options meter = {
        .kind = READING_BL0942,
        .calibration = calibration_default(READING_BL0942),
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
        .boot_id = "boot",
    };
    const struct bl0942_session_options session = {
        .name = "tcp://meter:6638",
        .baud = 4800,
        .remote = true,
        .raw = true,
        .chip_count = 1,
        .chips = {{.channel = 0, .interval_ms = 1000, .mains_hz = 50, .creep = -1}},
    };
    const struct driver_sink sink = {world, on_reading, on_availability, on_event};
    world->now_ms = 1000;
    world->dice = seed;
    world->chip = chip_create(&chip, world->now_ms * 1000);
    world->meter = meter_create(&meter, NULL);
    world->session = bl0942_session_create(&session, &sink);
}

static void end(struct world *world)
{
    bl0942_session_free(world->session);
    meter_free(world->meter);
    chip_free(world->chip);
}

static void close_connection(struct world *world, int64_t again_ms)
{
    world->open = false;
    world->network.to_chip.count = world->network.to_us.count = 0;
    world->reopen_ms = world->now_ms + again_ms;
    bl0942_session_gone(world->session, world->now_ms, "lost");
}

/* What drivers/bl0942/line does. */
static void run_session(struct world *world)
{
    uint8_t bytes[256];
    size_t count = take(&world->network.to_us, world->now_ms, bytes, sizeof bytes);
    if (count > 0)
        bl0942_session_receive(world->session, world->now_ms, WALL_OFFSET_MS + world->now_ms, bytes,
                               count);
    for (;;) {
        struct bl0942_action action;
        bl0942_session_next(world->session, world->now_ms, &action);
        if (bl0942_session_silence(world->session) >= SILENCE_MAX) {
            world->network.swallows = false; /* of the connection that is given up */
            close_connection(world, 1000);
            return;
        }
        world->breaks += action.kind == BL0942_BREAK_ON;
        world->rates += action.kind == BL0942_SET_BAUD;
        if (action.kind == BL0942_WAIT)
            return;
        if (action.kind == BL0942_SEND)
            put(world, &world->network.to_chip, action.bytes, action.length);
    }
}

static void step(struct world *world)
{
    uint8_t bytes[256];
    world->now_ms++;
    size_t count = take(&world->network.to_chip, world->now_ms, bytes, sizeof bytes);
    if (count > 0)
        chip_receive(world->chip, world->now_ms * 1000, 4800, bytes, count);
    count = chip_transmit(world->chip, world->now_ms * 1000, bytes, sizeof bytes);
    if (count > 0 && world->open)
        put(world, &world->network.to_us, bytes, count);
    if (!world->open && world->now_ms >= world->reopen_ms) {
        world->open = true;
        world->reopened++;
        bl0942_session_open(world->session, world->now_ms);
    }
    if (world->open)
        run_session(world);
}

static void run_ms(struct world *world, int64_t ms)
{
    for (int64_t i = 0; i < ms; i++)
        step(world);
}

static void set_load(struct world *world, double watts)
{
    const struct chip_load load = {230, fabs(watts) / 230, watts, 50};
    chip_set_load(world->chip, world->now_ms * 1000, &load);
}

static int64_t counted(struct world *world)
{
    struct chip_truth truth;
    chip_truth(world->chip, world->now_ms * 1000, &truth);
    return (int64_t)(truth.counts_imported + truth.counts_exported);
}

static void test_never_a_break_or_a_rate(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, 1, 100);
    set_load(&world, 5000);
    run_ms(&world, 60000);
    assert_in_range(world.readings, 50, 60);
    world.network.swallows = true;
    run_ms(&world, 60000);
    assert_int_equal(world.breaks, 0);
    assert_int_equal(world.rates, 0);
    assert_true(world.reopened >= 2);
    end(&world);
}

/* Three polls without an answer, and it is connected anew. */
static void test_a_dead_peer(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, 2, 100);
    run_ms(&world, 20000);
    world.network.swallows = true;
    world.fault_ended_ms = world.now_ms;
    run_ms(&world, 30000);
    assert_int_equal(world.fault_ended_ms, 0);
    assert_true(world.worst_back_ms <= 15000);
    end(&world);
}

/* An answer that was late must not make every later one an answer to the request before. */
static void test_late_answers_do_not_stay_late(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, 3, 100);
    run_ms(&world, 20000);
    world.network.delay_max_ms = 3000;
    run_ms(&world, 60000);
    world.network.delay_max_ms = 0;
    run_ms(&world, 10000);
    set_load(&world, 9000);
    run_ms(&world, 3000);
    struct channel_values values;
    meter_values(world.meter, false, &values);
    assert_in_range(values.power_mw.value, 8990000, 9010000);
    end(&world);
}

static void test_ten_hours(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct world world = {0};
    begin(&world, seed, (1 << 24) - 60000); /* it wraps on the way */
    set_load(&world, 8000);
    run_ms(&world, 20000);
    int64_t before = counted(&world);
    unsigned faults[6] = {0};
    for (int64_t second = 0; second < 36000; second += 20) {
        unsigned fault = (unsigned)below(&world.dice, 40);
        if (below(&world.dice, 10) == 0)
            set_load(&world, (fraction(&world.dice) - 0.3) * 12000);
        faults[fault < 5 ? fault : 5]++;
        if (fault == 0)
            world.network.delay_max_ms = between(&world.dice, 100, 3000);
        if (fault == 1 && world.open)
            close_connection(&world, between(&world.dice, 500, 200000));
        if (fault == 2)
            world.network.swallows = true;
        if (fault == 3) { /* another client's request; the answer goes to all */
            static const uint8_t packet[] = {0x58, 0xAA};
            put(&world, &world.network.to_chip, packet, sizeof packet);
        }
        if (fault == 4) {
            static const uint8_t text[] = "Port already in use\r\n";
            put(&world, &world.network.to_us, text, sizeof text - 1);
        }
        run_ms(&world, 20000);
        world.network.delay_max_ms = 0;
    }
    set_load(&world, 0);
    run_ms(&world, 260000); /* the last fault is over, and all of it read */
    int64_t truth = counted(&world);
    int64_t sum = world.imported + world.exported;
    (void)printf(
        "%u readings, %u connections, %u/%u/%u/%u/%u faults; counted %lld, credited %lld\n",
        world.readings, world.reopened, faults[0], faults[1], faults[2], faults[3], faults[4],
        (long long)truth, (long long)sum);
    assert_true(sum <= truth);
    assert_true(sum >= truth - before);
    assert_true(world.readings > 25000);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_a_break_or_a_rate),
        cmocka_unit_test(test_a_dead_peer),
        cmocka_unit_test(test_late_answers_do_not_stay_late),
        cmocka_unit_test(test_ten_hours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
