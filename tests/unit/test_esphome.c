/* SPDX-License-Identifier: MIT */
/*
 * Modules with ESPHome: names and payloads, and ten virtual hours of two chips behind a module whose
 * Wi-Fi comes and goes, that restarts, and whose chips restart and wrap. The meter on top counts what
 * the chips counted, to the count.
 */
#include "bridge/meter/meter.h"
#include "drivers/esphome/source.h"
#include "drivers/messages/router.h"
#include "tests/unit/random_helper.h"

#include <math.h>

#define CHIPS 2
#define WALL_START_MS INT64_C(1790000000000)

/* ------------------------------------------------------------------ what is received */

struct received {
    unsigned readings, offline, online, events;
    struct reading last;
    char reason[400], event[400];
    struct meter *meter;
    int64_t imported, exported;
};

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct received *received = (struct received *)context + channel;
    received->readings++;
    received->last = *reading;
    if (received->meter == NULL)
        return;
    struct meter_result result;
    meter_accept(received->meter, reading, &result);
    received->imported += result.imported_counts;
    received->exported += result.exported_counts;
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    struct received *received = (struct received *)context + channel;
    received->online += online;
    received->offline += !online;
    (void)snprintf(received->reason, sizeof received->reason, "%s", reason);
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    struct received *received = (struct received *)context + channel;
    received->events++;
    (void)event;
    (void)snprintf(received->event, sizeof received->event, "%s", message);
}

/* ------------------------------------------------------------------ the world */

struct world {
    struct message_router *router;
    struct received received[CHIPS];
    int64_t now_ms;
};

static void begin(struct world *world, bool with_meters)
{
    const struct calibration factors = calibration_default(READING_BL0942);
    struct esphome_options options = {.prefix = "em-attic", .channel_count = CHIPS};
    for (unsigned i = 0; i < CHIPS; i++) {
        options.channels[i] = (struct esphome_channel_options){
            .name = i == 0 ? "a" : "b",
            .channel = i,
            .factors = {factors.voltage, factors.current, factors.power},
        };
        const struct meter_options meter = {
            .kind = READING_BL0942,
            .calibration = factors,
            .mains_frequency_hz = 50,
            .mains_voltage_v = 230,
            .max_current_a = 80,
            .whole = true,
            .boot_id = "boot",
        };
        world->received[i].meter = with_meters ? meter_create(&meter, NULL) : NULL;
    }
    const struct driver_sink sink = {world->received, on_reading, on_availability, on_event};
    world->now_ms = 100000;
    world->router = message_router_create();
    message_router_add(world->router, esphome_source_create(&options, &sink, world->now_ms),
                       world->now_ms);
    message_router_connection(world->router, true, world->now_ms);
}

static void end(struct world *world)
{
    message_router_free(world->router);
    for (unsigned i = 0; i < CHIPS; i++)
        meter_free(world->received[i].meter);
}

static bool say(struct world *world, const char *below, const char *payload, bool retained)
{
    char topic[200];
    (void)snprintf(topic, sizeof topic, "em-attic/%s", below);
    const struct message message = {
        .topic = topic,
        .payload = payload,
        .length = strlen(payload),
        .retained = retained,
        .wall_ms = WALL_START_MS + world->now_ms,
        .boot_ms = world->now_ms,
    };
    return message_router_message(world->router, &message);
}

static void wait_ms(struct world *world, int64_t ms)
{
    for (int64_t end_ms = world->now_ms + ms; world->now_ms < end_ms;) {
        world->now_ms += 250 < end_ms - world->now_ms ? 250 : end_ms - world->now_ms;
        message_router_tick(world->router, world->now_ms);
    }
}

static void say_number(struct world *world, const char *object, char chip, double value,
                       int decimals)
{
    char below[80], payload[40];
    if (chip != 0)
        (void)snprintf(below, sizeof below, "sensor/%s_%c/state", object, chip);
    else
        (void)snprintf(below, sizeof below, "sensor/%s/state", object);
    (void)snprintf(payload, sizeof payload, "%.*f", decimals, value);
    assert_true(say(world, below, payload, false));
}

static void say_registers(struct world *world, char chip, int64_t v, int64_t i, int64_t p,
                          int64_t cf)
{
    say_number(world, "voltage", chip, (double)v, 0);
    say_number(world, "current", chip, (double)i, 0);
    say_number(world, "power", chip, (double)p, 0);
    say_number(world, "cf", chip, (double)cf, 0);
    say_number(world, "frequency", chip, 49.975, 3);
}

/* ------------------------------------------------------------------ names, payloads, rules */

static void test_objects(void **state)
{
    (void)state;
    static const struct {
        const char *object;
        bool known;
        enum esphome_quantity quantity;
        const char *suffix;
    } table[] = {
        {"voltage_a", true, ESPHOME_VOLTAGE, "a"},
        {"cf_heater", true, ESPHOME_COUNTER, "heater"},
        {"frequency", true, ESPHOME_FREQUENCY, ""},
        {"energy_b", true, ESPHOME_ENERGY, "b"},
        {"powerful_a", false, 0, ""},
        {"wifi_signal", false, 0, ""},
        {"", false, 0, ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        enum esphome_quantity quantity;
        const char *suffix;
        size_t length;
        bool known = esphome_object_read(table[i].object, strlen(table[i].object), &quantity,
                                         &suffix, &length);
        assert_int_equal(known, table[i].known);
        if (!known)
            continue;
        assert_int_equal(quantity, table[i].quantity);
        assert_int_equal(length, strlen(table[i].suffix));
        assert_memory_equal(suffix, table[i].suffix, length);
    }
}

static void test_payloads(void **state)
{
    (void)state;
    double value = 0;
    assert_int_equal(esphome_value(ESPHOME_COUNTER, "16777215", 8, &value), ESPHOME_GOOD);
    assert_true(value == 16777215.0);
    assert_int_equal(esphome_value(ESPHOME_POWER, "-430", 4, &value), ESPHOME_GOOD);
    assert_int_equal(esphome_value(ESPHOME_VOLTAGE, "-1", 2, &value), ESPHOME_BAD);
    assert_int_equal(esphome_value(ESPHOME_VOLTAGE, "nan", 3, &value), ESPHOME_UNKNOWN);
    assert_int_equal(esphome_value(ESPHOME_VOLTAGE, "None", 4, &value), ESPHOME_UNKNOWN);
    assert_int_equal(esphome_value(ESPHOME_VOLTAGE, "", 0, &value), ESPHOME_UNKNOWN);
    assert_int_equal(esphome_value(ESPHOME_VOLTAGE, "inf", 3, &value), ESPHOME_BAD);
    assert_int_equal(esphome_value(ESPHOME_VOLTAGE, "0x10", 4, &value), ESPHOME_BAD);
}

static void test_five_messages_are_one_reading(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, false);
    for (int64_t n = 0; n < 3; n++) {
        say_registers(&world, 'a', 3400838, 37364, 1666, 2673 + n);
        world.now_ms += 20;
        say_registers(&world, 'b', 3400999, 9000, -430, 577);
        wait_ms(&world, 980);
    }
    for (unsigned i = 0; i < CHIPS; i++)
        assert_int_equal(world.received[i].readings, 3);
    const struct reading *a = &world.received[0].last, *b = &world.received[1].last;
    assert_int_equal(a->present, READING_ALL);
    assert_int_equal(a->voltage, 3400838);
    assert_int_equal(a->current, 37364);
    assert_int_equal(a->power, 1666);
    assert_int_equal(a->energy, 2675);
    assert_int_equal(a->frequency, 20010);
    assert_int_equal(a->flags, 0);
    assert_int_equal(b->power, -430);
    assert_int_equal(b->energy, 577);
    assert_int_equal(b->flags, READING_REVERSE);
    end(&world);
}

/* A lost message costs its own value at most: the others are of now, it is of a second ago. */
static void test_a_message_is_lost(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, false);
    say_registers(&world, 'a', 3400838, 37364, 1666, 2673);
    wait_ms(&world, 1000);
    say_number(&world, "voltage", 'a', 3400900, 0);
    say_number(&world, "power", 'a', 1700, 0);
    wait_ms(&world, 1000);
    const struct reading *reading = &world.received[0].last;
    assert_int_equal(world.received[0].readings, 2);
    assert_int_equal(reading->voltage, 3400900);
    assert_int_equal(reading->current, 37364);
    assert_int_equal(reading->present & READING_ENERGY, 0); /* a counter is never guessed */
    say_registers(&world, 'a', 3400838, 37364, 1666, 2674);
    assert_int_equal(world.received[0].readings, 3);
    assert_int_equal(reading->present, READING_ALL);
    end(&world);
}

static void test_retained_values_are_ignored(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, false);
    assert_true(say(&world, "status", "online", true));
    assert_true(say(&world, "sensor/voltage_a/state", "3400838", true));
    assert_true(say(&world, "sensor/cf_a/state", "99999", true));
    wait_ms(&world, 5000);
    assert_int_equal(world.received[0].readings, 0);
    assert_int_equal(world.received[0].online, 0);
    end(&world);
}

/* After an `online` comes what the module had last, perhaps of hours ago. */
static void test_old_values_after_a_reconnect(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, true);
    for (int64_t n = 0; n < 10; n++) {
        say_registers(&world, 'a', 3400838, 37364, 1666, 1000 + n);
        wait_ms(&world, 1000);
    }
    say(&world, "status", "offline", false);
    assert_int_equal(world.received[0].offline, 1);
    wait_ms(&world, 3600000);
    unsigned before = world.received[0].readings;
    say(&world, "status", "online", false);
    say_registers(&world, 'a', 3400838, 37364, 1666, 1009); /* the same again */
    wait_ms(&world, 3000);
    assert_int_equal(world.received[0].readings, before);
    say(&world, "status", "offline", false);
    wait_ms(&world, 3600000);
    say(&world, "status", "online", false);
    say_registers(&world, 'a', 3400838, 37364, 1666, 1500); /* old too, but not seen before */
    wait_ms(&world, 1000);
    for (int64_t n = 0; n < 5; n++) {
        say_registers(&world, 'a', 3400838, 37364, 1666, 9000 + n);
        wait_ms(&world, 1000);
    }
    assert_int_equal(world.received[0].readings, before + 5);
    assert_int_equal(world.received[0].imported, 9003 - 1001); /* credited one reading late */
    assert_int_equal(world.received[0].online, 2);
    end(&world);
}

/* The first values after a connect are new ones if the chip can have counted on from them. */
static void test_new_values_after_a_reconnect(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, false);
    say(&world, "status", "online", false);
    say_registers(&world, 'a', 3400838, 37364, 1666, 1000);
    assert_int_equal(world.received[0].readings, 0);
    wait_ms(&world, 1000);
    say_registers(&world, 'a', 3400838, 37364, 1666, 1010);
    wait_ms(&world, 1000);
    assert_int_equal(world.received[0].readings, 2);
    end(&world);
}

static void test_ordinary_settings(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, true);
    for (int64_t n = 0; n < 60; n++) {
        say_number(&world, "voltage", 0, 231.4, 1); /* one for both */
        say_number(&world, "frequency", 0, 50.02, 2);
        for (char chip = 'a'; chip <= 'b'; chip++) {
            world.now_ms += 10;
            say_number(&world, "current", chip, 5.123, 3);
            say_number(&world, "power", chip, chip == 'a' ? 1180.25 : -1180.25, 2);
            say_number(&world, "energy", chip, 12.0 + 0.001 * (double)n, 3);
        }
        wait_ms(&world, 4980);
    }
    for (unsigned i = 0; i < CHIPS; i++) {
        struct channel_values values;
        meter_values(world.received[i].meter, false, &values);
        assert_in_range(values.voltage_mv.value, 231350, 231450);
        assert_in_range(values.current_ma.value, 5120, 5126);
        assert_in_range(llabs(values.power_mw.value), 1180000, 1180500);
        assert_in_range(values.frequency_mhz.value, 50010, 50030);
        int64_t uwh = i == 0 ? values.energy_uwh.value : values.energy_produced_uwh.value;
        assert_in_range(uwh, 55000000, 59000000);
        assert_int_equal(world.received[i].events, 1);
        assert_non_null(strstr(world.received[i].event, "kilowatt hours"));
    }
    end(&world);
}

static void test_words(void **state)
{
    (void)state;
    struct world world = {0};
    begin(&world, false);
    wait_ms(&world, 100000);
    assert_int_equal(world.received[0].offline, 1);
    assert_non_null(strstr(world.received[0].reason, "topic prefix em-attic"));
    for (int64_t n = 0; n < 300; n++) {
        say_registers(&world, 'a', 3400838, 37364, 1666, 2673 + n);
        wait_ms(&world, 1000);
    }
    assert_int_equal(world.received[0].online, 1);
    assert_int_equal(world.received[0].offline, 1);
    assert_int_equal(world.received[1].offline, 1);
    wait_ms(&world, 20000);
    assert_int_equal(world.received[0].offline, 2);
    assert_non_null(strstr(world.received[0].reason, "supply and wires"));
    end(&world);

    world = (struct world){0};
    begin(&world, false);
    for (int64_t n = 0; n < 300; n++) {
        say_registers(&world, 'a', 3400838, 37364, 1666, 2673 + n);
        wait_ms(&world, 1000);
    }
    assert_non_null(strstr(world.received[1].reason, "CF b"));
    end(&world);
}

/* ------------------------------------------------------------------ ten hours */

struct chip {
    double watts, count_fraction;
    int64_t counter, published;
    int64_t counted,
        unseen; /* in all; of that, what a restart took along before it was published */
    bool has_state;
    int64_t restarted_s;
};

static void run_chip(struct chip *chip, const struct calibration *factors, uint64_t *dice)
{
    if (below(dice, 30) == 0)
        chip->watts = (fraction(dice) - 0.3) * 9000;
    chip->count_fraction += fabs(chip->watts) * factors->power / 419430.4;
    int64_t counts = (int64_t)chip->count_fraction;
    chip->count_fraction -= (double)counts;
    chip->counter = (chip->counter + counts) % (INT64_C(1) << 24);
    chip->counted += counts;
}

static void publish_chip(struct world *world, const struct chip *chip, char name,
                         const struct calibration *factors, uint64_t *dice)
{
    say_number(world, "voltage", name, 231.0 * factors->voltage + (double)below(dice, 900), 0);
    world->now_ms += below(dice, 15);
    say_number(world, "current", name, fabs(chip->watts) / 231.0 * factors->current, 0);
    say_number(world, "power", name, chip->watts * factors->power, 0);
    world->now_ms += below(dice, 15);
    say_number(world, "cf", name, (double)chip->published, 0);
    say_number(world, "frequency", name, 50.0, 3);
}

static void run_hours(uint64_t seed, int64_t first_counter, bool restarts)
{
    struct world world = {0};
    const struct calibration factors = calibration_default(READING_BL0942);
    uint64_t dice = seed;
    struct chip chips[CHIPS] = {{.counter = first_counter}, {.counter = first_counter + 77777}};
    int64_t counted_before[CHIPS] = {0};
    int64_t away_s = 0, reboot_s = 0;
    begin(&world, true);
    say(&world, "status", "online", true);
    for (int64_t second = 0; second < 36000; second++) {
        int64_t start_ms = world.now_ms;
        bool calm = second > 35990 || second < 20;
        for (unsigned i = 0; i < CHIPS; i++) {
            struct chip *chip = &chips[i];
            run_chip(chip, &factors, &dice);
            if (second == 3) /* the first readings only serve to begin with */
                counted_before[i] = chip->counted;
            /* A chip restarts while it is read; in a gap nobody could know what it had counted, and
             * twice within three measurements neither: that many must agree on the restart. */
            bool read = away_s == 0 && reboot_s == 0 && second - chip->restarted_s > 10;
            if (restarts && !calm && read && below(&dice, 3000) == 0) {
                chip->restarted_s = second;
                chip->unseen += (chip->counter - chip->published) & 0xFFFFFF;
                chip->counter = chip->published = 0;
            }
        }
        /* The same holds for a restart that only one or two readings could show before they end. */
        bool shown = second - chips[0].restarted_s > 10 && second - chips[1].restarted_s > 10;
        if (!calm && shown && away_s == 0 && below(&dice, 700) == 0) {
            away_s = between(&dice, 2, 400);
            if (away_s > 25)
                say(&world, "status", "offline", false);
        }
        if (!calm && shown && reboot_s == 0 && below(&dice, 2000) == 0) {
            reboot_s = between(&dice, 5, 20);
            chips[0].has_state = chips[1].has_state = false;
        }
        bool back = away_s == 1 || reboot_s == 1;
        away_s -= away_s > 0;
        reboot_s -= reboot_s > 0;
        if (back && away_s == 0 && reboot_s == 0) {
            say(&world, "status", "online", false);
            for (unsigned i = 0; i < CHIPS; i++) /* what it had last, again */
                if (chips[i].has_state)
                    publish_chip(&world, &chips[i], i == 0 ? 'a' : 'b', &factors, &dice);
            world.now_ms += 300;
        }
        if (reboot_s == 0)
            for (unsigned i = 0; i < CHIPS; i++) {
                if (away_s == 0)
                    chips[i].published = chips[i].counter;
                chips[i].has_state = true;
                if (away_s == 0)
                    publish_chip(&world, &chips[i], i == 0 ? 'a' : 'b', &factors, &dice);
            }
        wait_ms(&world, start_ms + 1000 - world.now_ms);
    }
    for (unsigned i = 0; i < CHIPS; i++) { /* one reading late */
        chips[i].watts = 0;
        chips[i].published = chips[i].counter;
        for (int n = 0; n < 4; n++) {
            publish_chip(&world, &chips[i], i == 0 ? 'a' : 'b', &factors, &dice);
            wait_ms(&world, 1000);
        }
        struct channel_values values;
        meter_values(world.received[i].meter, false, &values);
        assert_in_range(values.voltage_mv.value, 230600, 231400); /* 0.2 % */
        int64_t sum = world.received[i].imported + world.received[i].exported;
        (void)printf("chip %u: counted %lld, credited %lld, unseen before restarts %lld\n", i,
                     (long long)chips[i].counted, (long long)sum, (long long)chips[i].unseen);
        assert_true(sum <= chips[i].counted);
        assert_true(sum >= chips[i].counted - chips[i].unseen - counted_before[i]);
    }
    end(&world);
}

static void test_ten_hours(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    run_hours(seed, 5000000, true);
    run_hours(seed + 1, (INT64_C(1) << 24) - 90000, false); /* both wrap */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_five_messages_are_one_reading),
        cmocka_unit_test(test_a_message_is_lost),
        cmocka_unit_test(test_retained_values_are_ignored),
        cmocka_unit_test(test_old_values_after_a_reconnect),
        cmocka_unit_test(test_new_values_after_a_reconnect),
        cmocka_unit_test(test_ordinary_settings),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_ten_hours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
