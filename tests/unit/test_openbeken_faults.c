/* SPDX-License-Identifier: MIT */
/*
 * Everything that is known to go wrong between a module and a bridge, one row each: what is received on MQTT,
 * and what must come of it in totals, events, values and availability. The rows' numbers are those that real
 * firmware was seen to send.
 */
#include "openbeken_world.h"

#include <locale.h>

#define ONLINE                                                                                     \
    {                                                                                              \
        0, "connected", "online", false                                                            \
    }
#define OFFLINE                                                                                    \
    {                                                                                              \
        0, "connected", "offline", false                                                           \
    }
#define WAIT(ms)                                                                                   \
    {                                                                                              \
        ms, NULL, NULL, false                                                                      \
    }
#define SAY(topic, payload)                                                                        \
    {                                                                                              \
        0, topic, payload, false                                                                   \
    }
#define KEPT(topic, payload)                                                                       \
    {                                                                                              \
        0, topic, payload, true                                                                    \
    }
#define ENERGY(wh)                                                                                 \
    {                                                                                              \
        6000, "energycounter/get", wh, false                                                       \
    }
#define POWER(w) SAY("voltage/get", "230.0"), SAY("current/get", "2.000"), SAY("power/get", w)
/* A counter that is believed from its second number on, and counts from 100 to 102 Wh. */
#define BEGIN                                                                                      \
    ONLINE, POWER("450.00"), ENERGY("100.000"), ENERGY("100.500"), ENERGY("101.000"),              \
        ENERGY("101.500"), ENERGY("102.000")
#define MORE(a, b, c, d) ENERGY(a), ENERGY(b), ENERGY(c), ENERGY(d)

#define BROKER_LOST ((const char *)-1)
#define STEPS_MAX 50
#define WORDS_MAX 3

struct step {
    int64_t wait_ms; /* before it is said */
    const char *topic, *payload;
    bool retained;
};

struct row {
    const char *name;
    struct step steps[STEPS_MAX];
    int64_t least_mwh, most_mwh; /* imported and exported in the end, mWh */
    int64_t exported_mwh;        /* of that exported, at least */
    const char *said[WORDS_MAX]; /* in the log */
    const char *not_said[WORDS_MAX];
    bool offline; /* in the end */
    bool kwh;     /* the unit is to be found out, and is announced as Wh before */
};

static const struct row rows[] = {
    {.name = "graceful restart: offline, 16 s later online; the counter goes on",
     .steps = {BEGIN, OFFLINE, WAIT(16000), ONLINE, SAY("uptime", "24"), POWER("450.00"),
               MORE("104.000", "104.500", "105.000", "105.500")},
     .least_mwh = 4500,
     .most_mwh = 5500,
     .not_said = {"offline", "counter was reset"}},
    {.name = "power cut: the counter falls by up to 10 Wh and goes on from there",
     .steps = {BEGIN, SAY("uptime", "5000"), WAIT(150000), OFFLINE, WAIT(5000), ONLINE,
               SAY("uptime", "12"), POWER("450.00"), MORE("95.000", "95.500", "96.000", "96.500")},
     .least_mwh = 2000,
     .most_mwh = 3500,
     .said = {"The module restarted 12 s ago"},
     .not_said = {"was reset: 102.000 to 95.000 Wh; 95"}},
    {.name = "power cut whose drop is hidden: the first number is above the last one already",
     .steps = {BEGIN, SAY("uptime", "5000"), OFFLINE, WAIT(30000), ONLINE, SAY("uptime", "12"),
               POWER("450.00"), MORE("102.400", "102.900", "103.400", "103.900")},
     .least_mwh = 2400,
     .most_mwh = 3900,
     .said = {"The module restarted"}},
    {.name = "total and today restart from different moments: only the total counts",
     .steps = {BEGIN,
               {0, "energycounter_today/get", "3.000", false},
               {0, "energycounter_last_hour/get", "900.000", false},
               MORE("102.500", "103.000", "103.500", "104.000")},
     .least_mwh = 3000,
     .most_mwh = 4000},
    {.name = "user resets the counter (EnergyCntReset)",
     .steps = {BEGIN, MORE("0.390", "0.779", "1.168", "1.558")},
     .least_mwh = 2000,
     .most_mwh = 4000,
     .said = {"The module's counter was reset"}},
    {.name = "user sets the counter higher",
     .steps = {BEGIN, MORE("5000.000", "5000.389", "5000.779", "5001.168")},
     .least_mwh = 1500,
     .most_mwh = 3500,
     .said = {"The module's counter was set higher"}},
    {.name =
         "clear_date changes, twice within seconds, up to 60 s after the reset: no news, no harm",
     .steps = {BEGIN, SAY("energycounter_clear_date/get", "2026-11-22T08:46+00:00"),
               SAY("energycounter_clear_date/get", "2026-11-22T08:46+00:00"),
               MORE("102.500", "103.000", "103.500", "104.000")},
     .least_mwh = 3000,
     .most_mwh = 4000,
     .not_said = {"meter", "event"}},
    {.name = "BL0942 power-cycled: its restart is taken for a wrap, +3269 kWh in one step",
     .steps = {BEGIN, MORE("3269117.000", "3269117.500", "3269118.000", "3269118.500")},
     .least_mwh = 2000,
     .most_mwh = 4000,
     .said = {"[0] meter 3"}},
    {.name = "chip silent while the module lives: Status 8 repeats itself, self state goes on",
     .steps = {BEGIN,
               SAY("stat/STATUS8", FULL("102.0")),
               {40000, "uptime", "200", false},
               {40000, "stat/STATUS8", FULL("102.0"), false},
               {40000, "uptime", "280", false},
               {40000, "stat/STATUS8", FULL("102.0"), false},
               {3000, "uptime", "323", false}},
     .least_mwh = 1000,
     .most_mwh = 2000,
     .said = {"online but its BL0942 is silent"},
     .offline = true},
    {.name = "frequency register 0: inf in the topic and in JSON",
     .steps = {BEGIN, SAY("138/get", "inf"),
               SAY("stat/STATUS8", STATUS("\"Power\": 450.0,\"Voltage\":230.0,\"Current\":2.0,"
                                          "\"Frequency\":inf,\"ConsumptionTotal\":102.0")),
               SAY("power/get", "451.00")},
     .least_mwh = 1000,
     .most_mwh = 2000,
     .not_said = {"no value that a meter can have"}},
    {.name = "not-a-number inside: nan or 0 Hz in JSON",
     .steps = {BEGIN,
               SAY("stat/STATUS8", STATUS("\"Power\": 450.0,\"Voltage\":230.0,\"Current\":nan,"
                                          "\"Frequency\":0.000000,\"ConsumptionTotal\":102.0")),
               SAY("power/get", "451.00")},
     .least_mwh = 1000,
     .most_mwh = 2000},
    {.name = "MQTT down for an hour: readings are lost, the counter is right",
     .steps = {BEGIN,
               {0, BROKER_LOST, "", false},
               WAIT(3600000),
               {0, BROKER_LOST, "x", false},
               KEPT("connected", "offline"),
               {12000, "connected", "online", false},
               POWER("450.00"),
               MORE("552.000", "552.500", "553.000", "553.500")},
     .least_mwh = 451000,
     .most_mwh = 453500,
     .said = {"The MQTT broker is not reachable"}},
    {.name = "clock not set: dates of zeros",
     .steps = {BEGIN, SAY("energycounter_clear_date/get", "0000-00-00T00:00+00:00"),
               SAY("datetime", "0"),
               SAY("stat/STATUS8", "{\"StatusSNS\":{\"Time\":\"0000-00-00T00:00:00\",\"ENERGY\":{"
                                   "\"Power\": 451.0,\"Voltage\":230.0,\"Current\":2.0}}}")},
     .least_mwh = 1000,
     .most_mwh = 2000},
    {.name = "zone and summer time: Time jumps an hour back",
     .steps = {BEGIN,
               SAY("stat/STATUS8", "{\"StatusSNS\":{\"Time\":\"2026-10-25T02:59:59\",\"ENERGY\":{"
                                   "\"Power\": 452.0,\"Voltage\":230.0,\"Current\":2.0}}}"),
               WAIT(1000),
               SAY("stat/STATUS8", "{\"StatusSNS\":{\"Time\":\"2026-10-25T02:00:00\",\"ENERGY\":{"
                                   "\"Power\": 453.0,\"Voltage\":230.0,\"Current\":2.0}}}")},
     .least_mwh = 1000,
     .most_mwh = 2000},
    {.name = "flag 7 was on once: the broker keeps old readings forever",
     .steps = {KEPT("energycounter/get", "9000.000"), KEPT("power/get", "7000.00"), BEGIN,
               KEPT("energycounter/get", "9000.000")},
     .least_mwh = 1000,
     .most_mwh = 2000,
     .not_said = {"meter"}},
    {.name = "flag 50: topics without /get",
     .steps = {BEGIN,
               {6000, "energycounter", "102.500", false},
               {6000, "energycounter", "103.000", false},
               {6000, "energycounter", "103.500", false},
               {0, "power", "451.00", false}},
     .least_mwh = 2500,
     .most_mwh = 3500},
    {.name = "flag 40 switched: the counter falls 1000 times in one step, and rises again",
     .kwh = true,
     .steps = {ONLINE, SAY("voltage/get", "230.0"), SAY("current/get", "20.000"),
               ENERGY("5000.000"), ENERGY("5000.389"), ENERGY("5000.974"), ENERGY("5.001"),
               ENERGY("5.002"), ENERGY("5.003"), ENERGY("5.004"), ENERGY("5005.469"),
               ENERGY("5006.248"), ENERGY("5007.027"), ENERGY("5008.000")},
     .least_mwh = 6000,
     .most_mwh = 9000,
     .said = {"in kWh from now on", "in Wh from now on"},
     .not_said = {"was reset"}},
    {.name = "flag 25 off: export shows as power 0 while current flows and the counter grows",
     .steps = {BEGIN,
               POWER("0.00"),
               SAY("power/get", "0.00"),
               ENERGY("102.500"),
               SAY("power/get", "0.00"),
               ENERGY("103.300"),
               SAY("power/get", "0.00"),
               ENERGY("104.100"),
               SAY("power/get", "0.00"),
               ENERGY("104.900"),
               SAY("power/get", "0.00"),
               ENERGY("105.700"),
               SAY("power/get", "0.00"),
               ENERGY("106.500"),
               SAY("power/get", "0.00"),
               ENERGY("107.300"),
               SAY("power/get", "0.00"),
               ENERGY("108.100"),
               SAY("power/get", "0.00"),
               ENERGY("108.900"),
               SAY("power/get", "0.00"),
               ENERGY("109.700"),
               SAY("power/get", "0.00"),
               ENERGY("110.500"),
               SAY("power/get", "0.00"),
               ENERGY("111.300"),
               SAY("power/get", "0.00"),
               ENERGY("112.100"),
               SAY("power/get", "0.00"),
               ENERGY("112.900")},
     .exported_mwh = 8000,
     .least_mwh = 10000,
     .most_mwh = 13500,
     .said = {"flag 25"}},
    {.name = "duplicate messages",
     .steps = {BEGIN,
               {0, "energycounter/get", "102.000", false},
               {0, "energycounter/get", "102.000", false},
               POWER("450.00"),
               POWER("450.00"),
               MORE("102.500", "102.500", "102.500", "102.500")},
     .least_mwh = 2000,
     .most_mwh = 2500,
     .not_said = {"meter", "event"}},
    {.name = "two modules with one client id: offline and online by turns",
     .steps = {BEGIN,
               OFFLINE,
               {3000, "connected", "online", false},
               {16000, "connected", "offline", false},
               ONLINE,
               {16000, "connected", "offline", false},
               ONLINE,
               {16000, "connected", "offline", false},
               ONLINE,
               {16000, "connected", "offline", false},
               ONLINE},
     .least_mwh = 1000,
     .most_mwh = 2000,
     .said = {"two modules have the client id u/s9"}},
    {.name = "payloads that are no numbers, or empty because somebody asks",
     .steps = {BEGIN, SAY("voltage/get", ""), SAY("energycounter/get", ""),
               SAY("energycounter/get", "12,5"), SAY("power/get", "0x10"),
               SAY("energycounter/get", "1e999"), SAY("current/get", "nan "),
               SAY("energycounter/get", "-5"), MORE("102.500", "103.000", "103.500", "104.000")},
     .least_mwh = 3000,
     .most_mwh = 4000,
     .not_said = {"meter"}},
    {.name = "client id that is the beginning of another: those topics are not its own",
     .steps = {BEGIN, SAY("sub/energycounter/get", "9000.000"), SAY("sub/power/get", "9000.00"),
               SAY("sub/connected", "offline"), WAIT(40000)},
     .least_mwh = 1000,
     .most_mwh = 2000,
     .not_said = {"offline", "meter"}},
    {.name = "first values in any order, within a second or six apart",
     .steps = {SAY("power/get", "450.00"),
               {200, "energycounter/get", "100.000", false},
               {300, "current/get", "2.000", false},
               {300, "voltage/get", "230.0", false},
               MORE("100.500", "101.000", "101.500", "102.000")},
     .least_mwh = 1000,
     .most_mwh = 2000,
     .not_said = {"event"}},
    {.name = "safe mode after five failed starts: no MQTT at all",
     .steps = {BEGIN, OFFLINE, WAIT(31000)},
     .least_mwh = 1000,
     .most_mwh = 2000,
     .said = {"is offline: it lost its supply, its Wi-Fi or the broker"},
     .offline = true},
    {.name = "TuyaMCU and HLW8112 put values into numbered channels: not read as this meter's",
     .steps = {BEGIN, SAY("1/get", "2304"), SAY("2/get", "5000"), SAY("3", "77"),
               SAY("0/get", "1")},
     .least_mwh = 1000,
     .most_mwh = 2000,
     .not_said = {"meter", "event", "publish"}},
    {.name = "flag 38 without a relay: power and current are 0, the counter stands, nothing is "
             "wrong to MQTT",
     .steps = {BEGIN, SAY("current/get", "0.000"), SAY("power/get", "0.00"),
               MORE("102.000", "102.000", "102.000", "102.000")},
     .least_mwh = 1500,
     .most_mwh = 2000,
     .not_said = {"meter", "event"}},
};

static void full_topic(const char *topic, char *full, size_t size)
{
    if (strncmp(topic, "stat/", 5) == 0)
        (void)snprintf(full, size, "stat/u/s9/%s", topic + 5);
    else
        (void)snprintf(full, size, "u/s9/%s", topic);
}

static void play(struct world *world, const struct step *step)
{
    wait_ms(world, step->wait_ms);
    if (step->topic == BROKER_LOST) {
        openbeken_source_connection(world->source, step->payload[0] != '\0', world->now_ms);
        return;
    }
    if (step->topic == NULL)
        return;
    char topic[100];
    full_topic(step->topic, topic, sizeof topic);
    (void)say_bytes(world, topic, step->payload, strlen(step->payload), step->retained);
}

static unsigned bad(const struct world *world, const struct row *row, const char *what)
{
    print_error("%s: %s\n%s\n", row->name, what, world->log);
    return 1;
}

/* How many things are not as the row wants them. */
static unsigned judge(const struct world *world, const struct row *row)
{
    unsigned count = 0;
    char words[200];
    const struct energy_state *state = meter_state(world->channels[0].meter);
    int64_t total = state->imported + state->exported;
    (void)snprintf(words, sizeof words, "%lld mWh imported, %lld exported",
                   (long long)state->imported, (long long)state->exported);
    if (total < row->least_mwh || total > row->most_mwh || state->exported < row->exported_mwh)
        count += bad(world, row, words);
    for (size_t i = 0; i < WORDS_MAX; i++) {
        if (row->said[i] != NULL && !logged(world, row->said[i]))
            count += bad(world, row, row->said[i]);
        if (row->not_said[i] != NULL && logged(world, row->not_said[i]))
            count += bad(world, row, row->not_said[i]);
    }
    if (world->channels[0].online == row->offline)
        count += bad(world, row, "availability");
    const struct reading *last = &world->channels[0].last;
    if ((last->present & READING_VOLTAGE) != 0 && last->voltage != 230000)
        count += bad(world, row, "voltage");
    if ((last->present & READING_FREQUENCY) != 0 && last->frequency != 0 &&
        (last->frequency < 45000 || last->frequency > 65000))
        count += bad(world, row, "frequency");
    return count;
}

static void test_every_row(void **unused)
{
    (void)unused;
    unsigned count = 0;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const struct openbeken_module module = {.client = "u/s9",
                                                .unit = rows[r].kwh ? OPENBEKEN_UNIT_UNKNOWN
                                                                    : OPENBEKEN_WH,
                                                .used = {true}};
        struct world *world = world_create(&module, 1);
        add_meter(&world->channels[0]);
        if (rows[r].kwh)
            say(world, "homeassistant/sensor/x_sensor_3/config",
                "{\"dev\":{\"ids\":[\"x\"],\"name\":\"x\"},\"~\":\"u/"
                "s9\",\"uniq_id\":\"x_sensor_3\","
                "\"stat_t\":\"~/energycounter/get\",\"unit_of_meas\":\"Wh\"}");
        for (size_t i = 0; i < STEPS_MAX; i++)
            play(world, &rows[r].steps[i]);
        wait_ms(world, 2000);
        count += judge(world, &rows[r]);
        world_free(world);
    }
    assert_int_equal(count, 0);
}

/* The row about the bridge's own locale: what strtod() would make of a point. */
static void test_locale_of_the_bridge(void **unused)
{
    (void)unused;
    static const char *const locales[] = {"de_DE.UTF-8", "pl_PL.UTF-8", "fr_FR.UTF-8", "C.UTF-8"};
    for (size_t l = 0; l < sizeof locales / sizeof locales[0]; l++) {
        (void)setlocale(LC_ALL, locales[l]); /* those that this machine has */
        struct world *world = one_module(OPENBEKEN_WH);
        say(world, "u/s9/voltage/get", "230.3");
        say(world, "stat/u/s9/STATUS8", FULL("32.146976"));
        wait_ms(world, 2000);
        assert_int_equal(world->channels[0].last.power, 1500500);
        assert_int_equal(world->channels[0].last.energy, 32146);
        world_free(world);
    }
    (void)setlocale(LC_ALL, "C");
}

/* OpenBeken has one calibration for both chips of a twin; here each channel is corrected by itself. */
static void test_channels_of_a_twin_are_corrected_apart(void **unused)
{
    (void)unused;
    struct world *world = one_module(OPENBEKEN_WH);
    struct meter *meters[2];
    for (size_t i = 0; i < 2; i++) {
        const struct meter_options options = {
            .kind = READING_OPENBEKEN,
            .calibration = {.voltage = 1000, .current = 1000, .power = i == 0 ? 1000 : 2000},
            .mains_frequency_hz = 50,
            .mains_voltage_v = 230,
            .max_current_a = 80,
            .boot_id = "boot",
        };
        meters[i] = world->channels[i].meter = meter_create(&options, NULL);
    }
    for (int n = 0; n < 6; n++) {
        char wh[16];
        (void)snprintf(wh, sizeof wh, "%d.000", 100 + n);
        say(world, "u/s9/power/get", "400.00");
        say(world, "u/s9/energycounter/get", wh);
        say(world, "u/s9/power_b/get", "400.00");
        say(world, "u/s9/energycounter_b/get", wh);
        wait_ms(world, 9000);
    }
    struct channel_values values[2];
    for (size_t i = 0; i < 2; i++)
        meter_values(meters[i], false, &values[i]);
    assert_int_equal(values[0].power_mw.value, 400000);
    assert_int_equal(values[1].power_mw.value, 200000); /* 2000 halves */
    assert_true(values[0].energy_uwh.value >= 3000000);
    assert_int_equal(values[0].energy_uwh.value, 2 * values[1].energy_uwh.value);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_locale_of_the_bridge),
        cmocka_unit_test(test_channels_of_a_twin_are_corrected_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
