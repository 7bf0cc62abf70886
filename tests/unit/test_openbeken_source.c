/* SPDX-License-Identifier: MIT */
/*
 * drivers/openbeken/source under a clock of the test's own: what becomes a reading, who is asked, who
 * is offline, in which unit the counter comes; and the captured messages of real firmware played
 * through source and meter, with the totals and events they must lead to.
 */
#include "openbeken_world.h"

/* ---- Readings ---- */

static void test_one_second_is_one_reading(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/voltage/get", "230.3");
    wait_ms(world, 250);
    say(world, "u/s9/current/get", "6.570");
    say(world, "u/s9/power/get", "-1500.50");
    say(world, "u/s9/power_b/get", "7.00");
    wait_ms(world, 250);
    say(world, "u/s9/138/get", "49.95");
    say(world, "u/s9/138/get", "49.95"); /* a duplicate changes nothing */
    assert_int_equal(world->channels[0].readings, 0);
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].readings, 1);
    const struct reading *last = &world->channels[0].last;
    assert_int_equal(last->present, READING_ALL & ~READING_ENERGY);
    assert_int_equal(last->voltage, 230300);
    assert_int_equal(last->current, 6570);
    assert_int_equal(last->power, -1500500);
    assert_int_equal(last->frequency, 49950);
    assert_int_equal(last->boot_ms, START_MS + 500);
    assert_int_equal(last->wall_ms, WALL_MS + START_MS + 500);
    assert_int_equal(world->channels[1].readings, 1);
    assert_int_equal(world->channels[1].last.present, READING_POWER);

    /* the counter alone: the other values still hold, and it is only there when it came */
    wait_ms(world, 5000);
    say(world, "u/s9/energycounter/get", "12346.846");
    wait_ms(world, 1000);
    assert_int_equal(last->present, READING_ALL);
    assert_int_equal(last->energy, 12346846);
    assert_int_equal(last->power, -1500500);
    say(world, "u/s9/voltage/get", "231.0");
    wait_ms(world, 1000);
    assert_int_equal(last->present, READING_ALL & ~READING_ENERGY);
    assert_int_equal(world->channels[0].readings, 3);

    struct driver_statistics statistics;
    assert_true(openbeken_source_statistics(world->source, 0, &statistics));
    assert_int_equal(statistics.readings, 4);
    assert_false(openbeken_source_statistics(world->source, 2, &statistics));
    world_free(world);
}

static void test_next_second_comes_early(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/power/get", "100.00");
    wait_ms(world, 750);
    say(world, "u/s9/power/get", "200.00");
    assert_int_equal(world->channels[0].readings, 1);
    assert_int_equal(world->channels[0].last.power, 100000);
    wait_ms(world, 750);
    assert_int_equal(world->channels[0].readings, 1);
    wait_ms(world, 250);
    assert_int_equal(world->channels[0].readings, 2);
    assert_int_equal(world->channels[0].last.power, 200000);
    world_free(world);
}

static void test_topics_without_get(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/voltage", "230.3"); /* flag 50 */
    say(world, "u/s9/energycounter_b", "5.5");
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.voltage, 230300);
    assert_int_equal(world->channels[1].last.energy, 5500);
    world_free(world);
}

static void test_retained_readings_are_ignored(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say_retained(world, "u/s9/voltage/get", "230.3"); /* flag 7 was on once */
    say_retained(world, "u/s9/energycounter/get", "99.0");
    say_retained(world, "stat/u/s9/STATUS8", FULL("5.0"));
    say_retained(world, "u/s9/uptime", "5");
    wait_ms(world, 2000);
    assert_int_equal(world->channels[0].readings, 0);
    assert_int_equal(world->channels[0].edges, 0);
    world_free(world);
}

static void test_values_go_stale_one_by_one(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/voltage/get", "230.3");
    say(world, "u/s9/138/get", "50.00");
    wait_ms(world, 100000);
    say(world, "u/s9/power/get", "5.00");
    wait_ms(world, 22000); /* 122 s after the voltage */
    say(world, "u/s9/power/get", "6.00");
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.present,
                     READING_VOLTAGE | READING_FREQUENCY | READING_POWER);
    wait_ms(world, 1000);
    say(world, "u/s9/power/get", "7.00");
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.present, READING_POWER);
    assert_true(world->channels[0].online);
    world_free(world);
}

static void test_infinite_frequency_is_unknown(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/138/get", "50.00");
    say(world, "u/s9/voltage/get", "230.0");
    wait_ms(world, 2000);
    say(world, "u/s9/138/get", "inf");
    say(world, "u/s9/voltage/get", "230.0");
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.present, READING_VOLTAGE);
    struct driver_statistics statistics;
    assert_true(openbeken_source_statistics(world->source, 0, &statistics));
    assert_int_equal(statistics.frame_errors, 0);
    world_free(world);
}

/* ---- Asking ---- */

static void test_asks_after_connect_and_online(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    world->answers = "u/s9";
    say_retained(world, "u/s9/connected", "online");
    say_retained(world, "u/s9/0/get", "0"); /* flag 7: no answer to anything */
    wait_ms(world, 250);
    assert_int_equal(world->probed, 1);
    assert_int_equal(world->asked, 0); /* one answer may be a tele message that got lost */
    wait_ms(world, 500);
    assert_string_equal(world->log, "publish cmnd/u/s9/Status 8\n");
    say(world, "stat/u/s9/STATUS8", FULL("32.146976"));
    assert_int_equal(world->channels[0].readings, 1); /* at once */
    assert_int_equal(world->channels[0].last.present, READING_ALL);
    assert_int_equal(world->channels[0].last.energy, 32146);

    wait_ms(world, 60000);
    say(world, "u/s9/voltage/get", "230.0");
    say(world, "u/s9/connected", "offline");
    wait_ms(world, 16000);
    say(world, "u/s9/connected", "online");
    wait_ms(world, 1000);
    assert_int_equal(world->asked, 1);
    wait_ms(world, 1000);
    assert_int_equal(world->asked, 2);
    wait_ms(world, 60000);
    assert_int_equal(world->asked, 2);
    assert_true(world->channels[0].online);
    world_free(world);
}

static void test_who_does_not_answer_is_not_asked(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    wait_ms(world, 60000);
    assert_int_equal(world->probed, 3);
    assert_int_equal(world->asked, 0);
    answer_probe(world, "u/s9"); /* somebody else's question */
    wait_ms(world, 10000);
    assert_int_equal(world->asked, 0);
    world_free(world);
}

#define SENSOR "{\"Time\":\"x\",\"ENERGY\":{\"Power\": 1.0,\"Voltage\":230.0},\"TempUnit\":\"C\"}"

static void test_never_asks_with_flag_30(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    wait_ms(world, 250);
    assert_int_equal(world->probed, 1);
    say(world, "u/s9/0/get", "");
    say(world, "tele/u/s9/STATE", "{}"); /* what the firmware sends, in its order */
    say(world, "tele/u/s9/SENSOR", SENSOR);
    say(world, "u/s9/0/get", "0");
    assert_int_equal(world->channels[0].readings, 1); /* and there are the values */
    wait_ms(world, 10000);
    say(world, "u/s9/connected", "offline");
    say(world, "u/s9/connected", "online");
    world->answers = "u/s9";
    wait_ms(world, 60000);
    openbeken_source_connection(world->source, false, world->now_ms);
    openbeken_source_connection(world->source, true, world->now_ms);
    wait_ms(world, 10000);
    assert_int_equal(world->probed, 1);
    assert_int_equal(world->asked, 0);
    world_free(world);

    world = one_module(OPENBEKEN_WH); /* the first time it had no memory for them */
    wait_ms(world, 250);
    answer_probe(world, "u/s9");
    wait_ms(world, 500);
    assert_int_equal(world->probed, 2);
    say(world, "tele/u/s9/STATE", "{}");
    answer_probe(world, "u/s9");
    wait_ms(world, 60000);
    assert_int_equal(world->asked, 0);
    world_free(world);

    world = one_module(OPENBEKEN_WH); /* what the broker kept shows it as well */
    say_retained(world, "tele/u/s9/STATE", "{}");
    world->answers = "u/s9";
    wait_ms(world, 60000);
    assert_int_equal(world->asked, 0);
    world_free(world);
}

static void test_a_module_that_answers_itself(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    for (int i = 0; i < 50; i++) {
        say(world, "stat/u/s9/STATUS8", FULL("32.1"));
        wait_ms(world, 20);
    }
    assert_int_equal(times_logged(world, "answers its own answers"), 2); /* once per channel */
    world->answers = "u/s9";
    wait_ms(world, 60000);
    assert_int_equal(world->asked, 0);
    world_free(world);
}

static void test_thousands_are_asked_slowly(void **unused)
{
    (void)unused;
    enum { COUNT = 1000 };
    static struct openbeken_module modules[COUNT];
    static char names[COUNT][16];
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "obk%04u", i);
        modules[i] = (struct openbeken_module){.client = names[i], .used = {true}, .channels = {0}};
    }
    struct world *world = world_create(modules, COUNT);
    wait_ms(world, 250);
    assert_in_range(world->probed, 1, 100);
    wait_ms(world, 1250);
    assert_in_range(world->probed, 500, 600);
    wait_ms(world, 1250);
    assert_int_equal(world->probed, COUNT);
    answer_probe(world, "obk0777");
    wait_ms(world, 2750); /* in its turn */
    answer_probe(world, "obk0777");
    assert_int_equal(times_logged(world, "publish cmnd/obk0777/Status 8\n"), 1);
    assert_int_equal(world->asked, 1);
    world_free(world);
}

static void on_filter(void *context, const char *filter);

static void test_a_module_added_while_at_work(void **unused)
{
    (void)unused;
    struct world *world = world_create(NULL, 0);
    wait_ms(world, 60000);
    const struct openbeken_module module = {
        .client = "late/one", .unit = OPENBEKEN_WH, .used = {true, true}, .channels = {2, 0}};
    openbeken_source_add(world->source, &module, world->now_ms, on_filter, world);
    assert_true(logged(world, "late/one/+/get\n") &&
                logged(world, "homeassistant/sensor/+/config\n"));
    world->log_length = 0;
    world->answers = "late/one";
    wait_ms(world, 1500);
    assert_string_equal(world->log, "publish cmnd/late/one/Status 8\n");
    say(world, "stat/late/one/STATUS8", FULL("32.146976"));
    assert_int_equal(world->channels[2].last.energy, 32146);
    wait_ms(world, 30000); /* absence is counted from when it was added */
    assert_false(logged(world, "offline"));
    struct driver_statistics statistics;
    assert_true(openbeken_source_statistics(world->source, 2, &statistics));
    assert_false(openbeken_source_statistics(world->source, 1, &statistics));
    world_free(world);
}

/* ---- Online and offline ---- */

static void test_offline_is_debounced(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/voltage/get", "230.3");
    wait_ms(world, 1000);
    assert_true(world->channels[0].online);
    say(world, "u/s9/connected", "offline"); /* a restart: back after 16 s */
    wait_ms(world, 16000);
    say(world, "u/s9/connected", "online");
    wait_ms(world, 40000);
    assert_true(world->channels[0].online);
    say(world, "u/s9/connected", "offline");
    wait_ms(world, 29000);
    assert_true(world->channels[0].online);
    wait_ms(world, 2000);
    assert_false(world->channels[0].online);
    assert_true(logged(world, "[0] offline The module u/s9 is offline"));
    say(world, "u/s9/connected", "online"); /* alone it shows no chip */
    wait_ms(world, 5000);
    assert_false(world->channels[0].online);
    say(world, "u/s9/voltage/get", "230.3");
    wait_ms(world, 1000);
    assert_true(world->channels[0].online);
    say_retained(world, "u/s9/connected", "offline"); /* as after a broker's restart */
    wait_ms(world, 31000);
    assert_false(world->channels[0].online);
    world_free(world);
}

static void test_a_module_never_heard_of(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    wait_ms(world, 40000);
    assert_true(
        logged(world, "[0] offline Nothing was received of a module with the client id u/s9"));
    assert_true(logged(world, "[1] offline Nothing was received"));
    world_free(world);
}

/* Its supply is cut: the broker says so only after 150 s, when the values have been missing longer. */
static void test_a_dead_module_is_not_called_online(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/connected", "online");
    say(world, "u/s9/voltage/get", "230.3");
    wait_ms(world, 124000);
    assert_false(world->channels[0].online);
    assert_true(
        logged(world, "[0] offline Nothing was received of the module u/s9 for two minutes"));
    assert_false(logged(world, "is online but"));
    world_free(world);
}

/* It says nothing by itself then, but answers when it is asked. */
static void test_a_quiet_module_is_asked_before_its_chip_is_blamed(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/connected", "online");
    say(world, "u/s9/voltage/get", "230.3");
    wait_ms(world, 100000);
    unsigned asked = world->asked;
    world->answers = "u/s9";
    wait_ms(world, 24000);
    assert_true(logged(world, "[0] offline The module u/s9 is online but its BL0942 is silent"));
    assert_int_equal(world->asked, asked); /* not for its values, which are old */
    unsigned probed = world->probed;
    wait_ms(world, 300000);
    assert_int_equal(world->probed, probed); /* once is enough */
    world_free(world);
}

/* What a broker kept is no sign of life. */
static void test_old_messages_are_not_the_module(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say_retained(world, "u/s9/voltage/get", "230.3");
    say_retained(world, "u/s9/build", "OpenBK7231N 1.18.0");
    wait_ms(world, 40000);
    assert_true(
        logged(world, "[0] offline Nothing was received of a module with the client id u/s9"));
    world_free(world);
}

static void test_silent_chip_is_told_apart(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/connected", "online");
    say(world, "u/s9/voltage/get", "230.3");
    say(world, "u/s9/voltage_b/get", "230.3");
    wait_ms(world, 1000);
    for (int i = 0; i < 13; i++) { /* chip a goes on, and the module tells about itself */
        wait_ms(world, 10000);
        say(world, "u/s9/voltage/get", "230.3");
    }
    assert_true(world->channels[0].online);
    assert_false(world->channels[1].online);
    assert_true(logged(world, "[1] offline The module u/s9 is online but its BL0942 is silent"));
    struct driver_statistics statistics;
    assert_true(openbeken_source_statistics(world->source, 1, &statistics));
    assert_int_equal(statistics.timeouts, 1);
    world_free(world);
}

static void test_a_second_chip_that_never_was(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    for (int i = 0; i < 13; i++) {
        say(world, "u/s9/voltage/get", "230.3");
        wait_ms(world, 10000);
    }
    assert_true(
        logged(world, "[1] offline The module u/s9 is online but sends nothing of a second"));
    assert_true(world->channels[0].online);
    world_free(world);
}

/* SENSOR and Status 8 repeat the last values forever. */
static void test_repeated_json_is_no_sign_of_life(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    for (int i = 0; i < 60; i++) {
        say(world, "tele/u/s9/SENSOR", FULL("33.9"));
        wait_ms(world, 3000);
    }
    assert_int_equal(world->channels[0].readings, 1);
    assert_false(world->channels[0].online);
    assert_true(logged(world, "[0] offline The module u/s9 is online but its BL0942 is silent"));
    say(world, "tele/u/s9/SENSOR", FULL("34.0")); /* it moves again */
    assert_true(world->channels[0].online);
    world_free(world);
}

static void test_all_zeros_mean_no_packet(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "stat/u/s9/STATUS8",
        STATUS("\"Power\": 0.000000,\"Voltage\":0.000000,\"Current\":0.000000,"
               "\"Frequency\":0.000000,\"ConsumptionTotal\":12.5"));
    wait_ms(world, 2000);
    assert_int_equal(world->channels[0].readings, 0);
    world_free(world);
}

static void test_broker_away(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/voltage/get", "230.3");
    wait_ms(world, 1000);
    openbeken_source_connection(world->source, false, world->now_ms);
    wait_ms(world, 200000);
    assert_true(logged(world, "[0] offline The MQTT broker is not reachable"));
    openbeken_source_connection(world->source, true, world->now_ms);
    say_retained(world, "u/s9/connected", "offline");
    wait_ms(world, 12000);
    say(world, "u/s9/connected", "online");
    wait_ms(world, 2000);
    say(world, "stat/u/s9/STATUS8", FULL("40.0"));
    assert_true(world->channels[0].online);
    world_free(world);
}

static void test_two_modules_with_one_client_id(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    for (int i = 0; i < 6; i++) {
        say(world, "u/s9/connected", "offline");
        say(world, "u/s9/connected", "online");
        wait_ms(world, 16000);
    }
    assert_int_equal(times_logged(world, "two modules have the client id u/s9"), 2);
    world_free(world);
}

static void test_restart_is_told(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    say(world, "u/s9/uptime", "204");
    wait_ms(world, 60000);
    say(world, "u/s9/uptime", "264");
    assert_false(logged(world, "event"));
    wait_ms(world, 40000);
    say(world, "u/s9/uptime", "24");
    assert_int_equal(times_logged(world, "The module restarted 24 s ago"), 2);
    wait_ms(world, 40000);
    say(world, "u/s9/uptime", "24"); /* and again, with the same number */
    assert_int_equal(times_logged(world, "The module restarted 24 s ago"), 4);
    world_free(world);
}

/* ---- The counter's unit ---- */

#define TOTAL_CONFIG(unit)                                                                         \
    "{\"dev\":{\"ids\":[\"OBK_S9\"],\"name\":\"s9\"},\"~\":\"u/"                                   \
    "s9\",\"uniq_id\":\"OBK_S9_sensor_3\","                                                        \
    "\"stat_t\":\"~/energycounter/get\",\"unit_of_meas\":\"" unit "\"}"
#define TOTAL_TOPIC "homeassistant/sensor/OBK_S9_sensor_3/config"

static void test_unit_from_announcement(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_UNIT_UNKNOWN);
    say(world, "u/s9/energycounter/get", "5.001");
    wait_ms(world, 2000);
    assert_int_equal(world->channels[0].energies, 0); /* waits */
    say_retained(world, TOTAL_TOPIC, TOTAL_CONFIG("kWh"));
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.energy, 5001000);
    assert_false(logged(world, "event"));
    world_free(world);
}

static void test_unit_is_wh_when_nothing_tells(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_UNIT_UNKNOWN);
    say(world, "u/s9/energycounter/get", "5.001");
    wait_ms(world, 11000);
    assert_int_equal(world->channels[0].energies, 0);
    say(world, "u/s9/energycounter/get", "5.195");
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.energy, 5195);
    world_free(world);
}

static void test_unit_as_configured(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_KWH);
    say_retained(world, TOTAL_TOPIC, TOTAL_CONFIG("Wh"));
    say(world, "u/s9/energycounter/get", "5.001");
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.energy, 5001000);
    world_free(world);
}

static void test_unit_from_json_beats_an_old_announcement(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_UNIT_UNKNOWN);
    say_retained(world, TOTAL_TOPIC, TOTAL_CONFIG("Wh"));
    say(world, "u/s9/energycounter/get", "5.001");
    say(world, "stat/u/s9/STATUS8", FULL("5001.974"));
    say(world, "u/s9/energycounter/get", "5.002");
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.energy, 5002000);
    assert_true(logged(world, "in kWh from now on"));
    world_free(world);
}

/* What a total in Wh has proven, no announcement changes; but the module is asked again. */
static void test_proof_outranks_an_announcement(void **unused)
{
    (void)unused;
    static const struct {
        const char *total, *first, *second, *third; /* Status 8 in Wh, then the topic */
        const char *announcement;
        int64_t mwh; /* of the third */
        bool retained, foreign;
    } table[] = {
        {"12001.000", "12.002", "12.003", "12.004", TOTAL_CONFIG("Wh"), 12004000, false, false},
        {"12001.000", "12.002", "12.003", "12.004", TOTAL_CONFIG("Wh"), 12004000, true, false},
        {"12001.000", "12002.0", "12003.0", "12004.0", TOTAL_CONFIG("kWh"), 12004000, false, false},
        {"2500.000", "2.501", "2.502", "2.503", TOTAL_CONFIG("Wh"), 2503000, false, false},
        {"12001.000", "12002.0", "12003.0", "12004.0", TOTAL_CONFIG("MWh"), 12004000, false, true},
        {"12001.000", "12.002", "12.003", "12.004", TOTAL_CONFIG("kWh"), 12004000, false, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct world *world = one_module(OPENBEKEN_UNIT_UNKNOWN);
        world->answers = "u/s9";
        char status[300];
        (void)snprintf(status, sizeof status, FULL("%s"), table[i].total);
        say(world, "stat/u/s9/STATUS8", status);
        say(world, "u/s9/energycounter/get", table[i].first);
        wait_ms(world, 3000);
        say(world, "u/s9/energycounter/get", table[i].second);
        wait_ms(world, 3000);
        world->asked = 0;
        (void)say_bytes(world, TOTAL_TOPIC, table[i].announcement, strlen(table[i].announcement),
                        table[i].retained);
        say(world, "u/s9/energycounter/get", table[i].third);
        wait_ms(world, 3000);
        assert_int_equal(world->channels[0].last.energy, table[i].mwh);
        assert_false(logged(world, "from now on"));
        bool agrees = strstr(table[i].announcement, "kWh") != NULL && table[i].first[2] == '.';
        if (!table[i].foreign)
            assert_int_equal(world->asked > 0, !agrees);
        assert_int_equal(times_logged(world, "[0] event 10"), table[i].foreign);
        world_free(world);
    }
}

/* A configured unit stays, but what proves it wrong is reported, once. */
static void test_a_wrong_configured_unit_is_reported(void **unused)
{
    (void)unused;
    for (int wrong = 0; wrong < 2; wrong++) {
        struct world *world = one_module(wrong ? OPENBEKEN_WH : OPENBEKEN_KWH);
        for (int n = 0; n < 3; n++) {
            say(world, "u/s9/energycounter/get", n == 0 ? "12.001" : "12.002");
            say(world, "stat/u/s9/STATUS8", n == 0 ? FULL("12001.000") : FULL("12002.5"));
            wait_ms(world, 5000);
        }
        assert_int_equal(times_logged(world, "[0] event"), wrong);
        assert_int_equal(logged(world, "Correct energy_unit"), wrong);
        world_free(world);
    }
}

/* Without JSON, as in a module with flag 30 off whose answers do not arrive. */
static void test_unit_changes_while_it_runs(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_UNIT_UNKNOWN);
    say(world, TOTAL_TOPIC, TOTAL_CONFIG("Wh"));
    static const struct {
        const char *payload;
        int64_t mwh; /* -1: held back */
    } table[] = {
        {"5000.389", 5000389}, {"5000.974", 5000974}, {"5.001", -1},    {"5.002", -1},
        {"5.003", 5003000},    {"5.003", 5003000},    {"5012.469", -1}, {"5013.248", -1},
        {"5014.027", 5014027}, {"1.363", 1363},       {"3.896", 3896},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        unsigned before = world->channels[0].energies;
        say(world, "u/s9/voltage/get", "230.0");
        say(world, "u/s9/current/get", "20.000");
        say(world, "u/s9/energycounter/get", table[i].payload);
        wait_ms(world, 6000);
        assert_int_equal(world->channels[0].energies, before + (table[i].mwh >= 0));
        if (table[i].mwh >= 0)
            assert_int_equal(world->channels[0].last.energy, table[i].mwh);
    }
    assert_int_equal(times_logged(world, "[0] event"), 2);
    world_free(world);
}

/* A reset that looks like kWh, at idle: the module says what it is. */
static void test_reset_that_looks_like_kwh(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_UNIT_UNKNOWN);
    world->answers = "u/s9";
    say(world, TOTAL_TOPIC, TOTAL_CONFIG("Wh"));
    say(world, "u/s9/energycounter/get", "389.000");
    wait_ms(world, 60000);
    world->asked = 0;
    say(world, "u/s9/energycounter/get", "0.390");
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].energies, 1);
    assert_true(world->asked >= 1);
    say(world, "stat/u/s9/STATUS8", FULL("0.390"));
    say(world, "u/s9/energycounter/get", "0.584");
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.energy, 584);
    assert_false(logged(world, "in kWh"));
    world_free(world);
}

static void test_counter_from_json_until_the_topic_comes(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_UNIT_UNKNOWN);
    say(world, "stat/u/s9/STATUS8", FULL("32146.976"));
    assert_int_equal(world->channels[0].last.energy, 32146976);
    say(world, "u/s9/energycounter/get", "32147.001");
    say(world, "stat/u/s9/STATUS8", FULL("32147.5"));
    wait_ms(world, 1000);
    assert_int_equal(world->channels[0].last.energy, 32147001);
    world_free(world);
}

/* ---- Routing and hostile messages ---- */

static void test_longest_client_wins(void **unused)
{
    (void)unused;
    const struct openbeken_module modules[] = {
        {.client = "u/s9", .unit = OPENBEKEN_WH, .used = {true}, .channels = {0}},
        {.client = "u/s9/sub", .unit = OPENBEKEN_WH, .used = {true}, .channels = {1}},
        {.client = "u/s9/power", .unit = OPENBEKEN_WH, .used = {true}, .channels = {2}},
        {.client = "tele/x", .unit = OPENBEKEN_WH, .used = {true}, .channels = {3}},
    };
    struct world *world = world_create(modules, 4);
    say(world, "u/s9/sub/power/get", "1.00");
    say(world, "u/s9/power/get", "2.00"); /* of u/s9: "get" is no value of u/s9/power */
    say(world, "u/s9/power/power", "3.00");
    say(world, "tele/x/power", "4.00");
    assert_false(say_bytes(world, "u/power/get", "1", 1, false));
    assert_false(say_bytes(world, "u/s91/power/get", "1", 1, false));
    assert_false(say_bytes(world, "x/u/s9/power/get", "1", 1, false));
    wait_ms(world, 1000);
    assert_int_equal(world->channels[1].last.power, 1000);
    assert_int_equal(world->channels[0].last.power, 2000);
    assert_int_equal(world->channels[2].last.power, 3000);
    assert_int_equal(world->channels[3].last.power, 4000);
    world_free(world);
}

static void test_hostile_messages(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_UNIT_UNKNOWN);
    static char large[65536];
    memset(large, '9', sizeof large);
    static const char *const bad[] = {"1e999", "0x10", "1,5", "NaN", "--1", "1.5\n", "{}", "true"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        say(world, "u/s9/voltage/get", bad[i]);
    assert_true(say_bytes(world, "u/s9/power/get", "1\0", 3, false));
    assert_true(say_bytes(world, "u/s9/energycounter/get", large, sizeof large, false));
    assert_true(say_bytes(world, "u/s9/connected", large, sizeof large, false));
    assert_true(say_bytes(world, "u/s9/voltage/get", "", 0, false)); /* somebody asks */
    memset(large, '{', sizeof large);
    assert_true(say_bytes(world, "tele/u/s9/SENSOR", large, sizeof large, false));
    assert_false(say_bytes(world, TOTAL_TOPIC, large, sizeof large, false));
    assert_false(say_bytes(world, TOTAL_TOPIC, large, 4000, false));
    memset(large, 'a', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_false(say_bytes(world, large, "1", 1, false));
    wait_ms(world, 2000);
    assert_int_equal(world->channels[0].readings, 0);
    struct driver_statistics statistics;
    assert_true(openbeken_source_statistics(world->source, 0, &statistics));
    assert_int_equal(statistics.frame_errors, 12);
    assert_int_equal(times_logged(world, "10 messages below u/s9 within a minute"), 2);
    world_free(world);
}

static void on_filter(void *context, const char *filter)
{
    note(context, "%s\n", filter);
}

static void test_filters(void **unused)
{
    (void)unused;
    static const char few[] = "obk1/+\nobk1/+/get\ntele/obk1/+\nstat/obk1/STATUS8\n"
                              "u/s9/+\nu/s9/+/get\ntele/u/s9/+\nstat/u/s9/STATUS8\n"
                              "homeassistant/sensor/+/config\n";
    const struct openbeken_module two[] = {
        {.client = "u/s9", .used = {true}, .channels = {0}},
        {.client = "obk1", .used = {true}, .channels = {1}},
    };
    struct world *world = world_create(two, 2);
    openbeken_source_filters(world->source, on_filter, world);
    assert_string_equal(world->log, few);
    world_free(world);

    struct openbeken_module many[12];
    char names[12][16];
    for (unsigned i = 0; i < 12; i++) {
        (void)snprintf(names[i], sizeof names[i], i < 10 ? "m/x/n%u" : "top%u", i);
        many[i] = (struct openbeken_module){.client = names[i], .used = {true}, .channels = {0}};
    }
    world = world_create(many, 12);
    openbeken_source_filters(world->source, on_filter, world);
    assert_true(logged(world, "m/x/+/+\nm/x/+/+/get\ntele/m/x/+/+\nstat/m/x/+/STATUS8\n"));
    assert_false(logged(world, "n1"));
    assert_true(logged(world, "top10/+\n"));
    assert_true(logged(world, "top11/+\n"));
    world_free(world);

    world = world_create(NULL, 0);
    openbeken_source_filters(world->source, on_filter, world);
    wait_ms(world, 2000);
    assert_int_equal(world->log_length, 0);
    world_free(world);
}

/* ---- The captures ---- */

/* "2026-11-22T08:42:25+0000 q0 r0 topic payload"; the retain flag is as published, and these were received
 * live, so none is a retained message. False if it is no message. */
static bool play_line(struct world *world, char *line, int64_t *second)
{
    int hour, minute, whole;
    if (sscanf(line, "2026-11-22T%2d:%2d:%2d", &hour, &minute, &whole) != 3 || line[25] != 'q')
        return false;
    char *topic = line + 31, *payload = strchr(topic, ' ');
    line[strcspn(line, "\n")] = '\0';
    if (payload == NULL)
        return false;
    *payload++ = '\0';
    int64_t now = hour * 3600 + minute * 60 + whole;
    if (*second > 0 && now > *second)
        wait_ms(world, 1000 * (now - *second));
    *second = now;
    (void)say_bytes(world, topic, payload, strlen(payload), false);
    return true;
}

static void broker_comes_and_goes(struct world *world, const char *comment, bool *broker)
{
    bool before = *broker;
    *broker = (before && strstr(comment, "BROKER STOP") == NULL) ||
              strstr(comment, "BROKER STARTED") != NULL;
    if (*broker != before)
        openbeken_source_connection(world->source, *broker, world->now_ms);
}

/* The lines from the one that contains `from` up to the one that contains `to`. */
static unsigned play(struct world *world, const char *from, const char *to)
{
    FILE *file = fopen(SOURCE_DIR "/tests/unit/data/openbeken_capture.txt", "r");
    assert_non_null(file);
    static char line[8192];
    bool playing = false;
    int64_t second = 0;
    unsigned count = 0;
    bool broker = true;
    while (fgets(line, sizeof line, file) != NULL) {
        bool comment = line[0] == '#';
        if (comment && playing && strstr(line, to) != NULL)
            break;
        playing = playing || (comment && strstr(line, from) != NULL);
        if (playing && comment)
            broker_comes_and_goes(world, line, &broker);
        if (playing && !comment && broker)
            count += play_line(world, line, &second);
    }
    (void)fclose(file);
    wait_ms(world, 2000);
    return count;
}

static void assert_totals(const struct world *world, unsigned channel, int64_t imported_mwh,
                          int64_t exported_mwh)
{
    const struct energy_state *state = meter_state(world->channels[channel].meter);
    if (state->imported != imported_mwh || state->exported != exported_mwh)
        fail_msg("channel %u: %lld imported (wanted %lld), %lld exported (wanted %lld)\n%s",
                 channel, (long long)state->imported, (long long)imported_mwh,
                 (long long)state->exported, (long long)exported_mwh, world->log);
}

static struct world *capture_world(const char *client, bool twin)
{
    const struct openbeken_module module = {
        .client = client, .used = {true, twin}, .channels = {0, 1}};
    struct world *world = world_create(&module, 1);
    add_meter(&world->channels[0]);
    add_meter(&world->channels[1]);
    return world;
}

/*
 * From 1.558 Wh, the first reading after the unit was waited for, to 40.524. Then the counter was set to
 * 12345.678 and cleared, and what it showed when
 * three messages agreed, 3.896, was counted since; from there to 107.546, the last but one, over bad
 * checksums (92 s without a message), a restart, a kill (3.4 Wh lost unseen) and 25 s without a broker.
 */
static void test_capture_of_a_single_module(void **unused)
{
    (void)unused;
    struct world *world = capture_world("obk_mini1", false);
    assert_true(play(world, "SCENARIO 1:", "SCENARIO 2") > 300);
    assert_totals(world, 0, (40524 - 1558) + 3896 + (107546 - 3896), 0);
    assert_int_equal(times_logged(world, "] meter 1"), 1);
    assert_true(logged(world, "The module's counter was reset: 40.524 to 3.896 Wh; 3.896 Wh were"));
    assert_int_equal(times_logged(world, "] event"), 3);
    assert_int_equal(times_logged(world, "so Wh is assumed"), 1);
    assert_int_equal(times_logged(world, "The module restarted 24 s ago"), 2);
    assert_int_equal(times_logged(world, "] meter 5"), 1); /* downtime_counted: the bad checksums */
    assert_int_equal(times_logged(world, "] meter"), 2);
    assert_int_equal(world->channels[0].edges, 1); /* no restart was long enough to be an outage */
    assert_int_equal(world->asked, 0);             /* nobody answers probes in it, but they came: */
    assert_in_range(world->probed, 6, 18);         /* connect, four times online, broker */
    world_free(world);
}

/*
 * Chip a: from 4.286 Wh (JSON) to 152.552, the last but one, through kWh, retained and /get-less topics
 * and a restart. Chip b: 1.948 to 14.807 consumed; then its clamp is turned: its power shows as 0 and,
 * with flag 25, as -430 W, so it produces to 17.729; it is set to 5000 (5000.389 is the first
 * reading after that) and goes on to kWh and back, to 5021.041, the last but one, before it falls silent.
 */
static void test_capture_of_a_twin_module(void **unused)
{
    (void)unused;
    struct world *world = capture_world("utilities/sensor9", true);
    assert_true(play(world, "SCENARIO 2:", "SECTION 3") > 400);
    assert_totals(world, 0, 152552 - 4286, 0);
    assert_totals(world, 1, 14807 - 1948, (17729 - 14807) + (5021041 - 5000389));
    assert_int_equal(times_logged(world, "in kWh from now on"), 2);
    assert_int_equal(times_logged(world, "in Wh from now on"), 2);
    assert_int_equal(times_logged(world, "[1] meter 3: The module's counter was set higher"), 1);
    assert_int_equal(times_logged(world, "] meter"), 1);
    assert_int_equal(times_logged(world, "The module restarted 25 s ago"), 2);
    assert_int_equal(times_logged(world, "] event"), 6);
    assert_true(logged(world, "[1] offline The module utilities/sensor9 is online but its BL0942"));
    assert_int_equal(world->channels[0].edges, 1);
    assert_int_equal(world->channels[1].edges, 2);
    assert_int_equal(world->asked, 0); /* it has flag 30 */
    world_free(world);
}

/* The firmware's own reconnect after five failed publishes: neither a restart nor an outage. */
static void test_capture_of_a_reconnect(void **unused)
{
    (void)unused;
    struct world *world = capture_world("obk_mini1", false);
    assert_true(play(world, "SECTION 3", "no such line") > 20);
    assert_totals(world, 0, 6429 - 5844, 0); /* those before waited for their unit */
    assert_int_equal(times_logged(world, "event"), 1);
    assert_int_equal(times_logged(world, "so Wh is assumed"), 1);
    assert_int_equal(world->channels[0].edges, 1);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_second_is_one_reading),
        cmocka_unit_test(test_next_second_comes_early),
        cmocka_unit_test(test_topics_without_get),
        cmocka_unit_test(test_retained_readings_are_ignored),
        cmocka_unit_test(test_values_go_stale_one_by_one),
        cmocka_unit_test(test_infinite_frequency_is_unknown),
        cmocka_unit_test(test_asks_after_connect_and_online),
        cmocka_unit_test(test_who_does_not_answer_is_not_asked),
        cmocka_unit_test(test_never_asks_with_flag_30),
        cmocka_unit_test(test_a_module_added_while_at_work),
        cmocka_unit_test(test_a_module_that_answers_itself),
        cmocka_unit_test(test_thousands_are_asked_slowly),
        cmocka_unit_test(test_offline_is_debounced),
        cmocka_unit_test(test_a_module_never_heard_of),
        cmocka_unit_test(test_a_dead_module_is_not_called_online),
        cmocka_unit_test(test_a_quiet_module_is_asked_before_its_chip_is_blamed),
        cmocka_unit_test(test_old_messages_are_not_the_module),
        cmocka_unit_test(test_silent_chip_is_told_apart),
        cmocka_unit_test(test_a_second_chip_that_never_was),
        cmocka_unit_test(test_repeated_json_is_no_sign_of_life),
        cmocka_unit_test(test_all_zeros_mean_no_packet),
        cmocka_unit_test(test_broker_away),
        cmocka_unit_test(test_two_modules_with_one_client_id),
        cmocka_unit_test(test_restart_is_told),
        cmocka_unit_test(test_unit_from_announcement),
        cmocka_unit_test(test_unit_is_wh_when_nothing_tells),
        cmocka_unit_test(test_unit_as_configured),
        cmocka_unit_test(test_unit_from_json_beats_an_old_announcement),
        cmocka_unit_test(test_proof_outranks_an_announcement),
        cmocka_unit_test(test_a_wrong_configured_unit_is_reported),
        cmocka_unit_test(test_unit_changes_while_it_runs),
        cmocka_unit_test(test_reset_that_looks_like_kwh),
        cmocka_unit_test(test_counter_from_json_until_the_topic_comes),
        cmocka_unit_test(test_longest_client_wins),
        cmocka_unit_test(test_hostile_messages),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_capture_of_a_single_module),
        cmocka_unit_test(test_capture_of_a_twin_module),
        cmocka_unit_test(test_capture_of_a_reconnect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
