/* SPDX-License-Identifier: MIT */
/*
 * An hour of random play for every built-in mapping: its meter's real messages, periods and steps, with
 * loads of both directions where it shows them, values of other messages repeated after an outage,
 * old values out of a cache, a counter that shows 0 or no number for a moment, and, in the second hour,
 * counters that begin anew or fall back. The totals are what the meter showed, to the hundredth of a watt
 * hour, and within one step of what flowed, once for each life of its counter. A mapping without a
 * meter here fails.
 */
#include "bridge/config/mapping_file.h"
#include "bridge/meter/meter.h"
#include "drivers/mapping/trial.h"
#include "tests/unit/random_helper.h"

#include <math.h>

#define CIRCUITS_MAX 3
#define HOUR_S 3600
#define LOAD_W 12000
#define CALM 8 /* messages after an incident until the next one, and before the end */

enum { DRAWN, FED_BACK, DIRECTIONS };

struct circuit {
    double watts;
    double counter[DIRECTIONS];  /* the meter's, kWh */
    double shown[DIRECTIONS];    /* what its messages say, in its steps */
    double cached[DIRECTIONS];   /* what a restarted gateway says first */
    double flowed[DIRECTIONS];   /* since the first message, without what a restart took along */
    double unshown[DIRECTIONS];  /* since the last message */
    double counted[DIRECTIONS];  /* by the messages */
    bool fresh_life[DIRECTIONS]; /* until the first message after a restart */
    bool reported_reverse;       /* the direction that the messages of a late meter say */
    int stamp;
};

struct hour {
    const struct play *play;
    struct mapping *mapping;
    struct mapping_trial *trial;
    struct meter *meters[CIRCUITS_MAX];
    struct meter_result results[CIRCUITS_MAX];
    struct circuit circuits[CIRCUITS_MAX];
    uint64_t dice;
    bool restarts; /* counters may begin anew in this hour */
    int seconds, messages, calm, lives, incidents, started;
    int glitches;         /* messages in which energy is shown wrongly, or not */
    const char *nonsense; /* in place of energy; NULL: the cached value */
};

struct play {
    const char *mapping;
    int circuits;
    int period_s;        /* of messages */
    int energy_period_s; /* energy moves in them only so often */
    double step;         /* of energy, kWh */
    bool rounds;         /* to the nearest step; else down */
    bool directions;     /* power may be negative */
    bool apart;          /* each direction has its counter */
    bool drawn_only;     /* what is fed back is not counted at all */
    bool announces;      /* most restarts of its counter, by a text */
    bool turns;          /* a message is news of one channel, by turns */
    double wraps_at;     /* kWh; 0: never */
    double falls_back;   /* after a power cut, by up to so many kWh; 0: to 0 */
    void (*say)(struct hour *hour);
};

/* ---- the meters' messages ---- */

static void say(struct hour *hour, const char *topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct hour *hour, const char *topic, const char *format, ...)
{
    char payload[1000];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(payload, sizeof payload, format, arguments);
    va_end(arguments);
    if (!mapping_trial_message(hour->trial, topic, payload, strlen(payload), false))
        fail_msg("%s has no topic %s", hour->play->mapping, topic);
}

/* As JSON; in a text of its own, of which there are enough for one message. */
static const char *energy(struct hour *hour, int circuit, int direction, double unit)
{
    static char texts[2 * CIRCUITS_MAX + 1][40];
    static int next;
    const struct circuit *one = &hour->circuits[circuit];
    char *text = texts[next++ % (2 * CIRCUITS_MAX + 1)];
    int decimals = (int)lround(-log10(hour->play->step * unit));
    double kwh = hour->glitches > 0 ? one->cached[direction] : one->shown[direction];
    if (hour->glitches > 0 && hour->nonsense != NULL)
        return hour->nonsense;
    (void)snprintf(text, sizeof texts[0], "%.*f", decimals > 0 ? decimals : 0, kwh * unit);
    return text;
}

static void say_tasmota(struct hour *hour)
{
    const struct circuit *one = hour->circuits;
    if (hour->play->circuits == 1)
        say(hour, "tele/m/SENSOR",
            "{\"Time\":\"2026-09-18T11:19:21\",\"ENERGY\":{\"TotalStartTime\":\"%d\",\"Total\":%s,"
            "\"Power\":%.0f,\"Voltage\":230,\"Current\":%.3f}}",
            hour->started, energy(hour, 0, DRAWN, 1), one->watts, one->watts / 230);
    else
        say(hour, "tele/m/SENSOR",
            "{\"Time\":\"2026-09-18T11:19:21\",\"ENERGY\":{\"TotalStartTime\":\"%d\",\"Total\":[%s,"
            "%s],\"Power\":[%.0f,%.0f],\"Voltage\":230}}",
            hour->started, energy(hour, 0, DRAWN, 1), energy(hour, 1, DRAWN, 1), one[0].watts,
            one[1].watts);
}

/* Two channels by turns: a message repeats what the one before said of the other. The direction of an
 * unsigned power comes one message late. */
static void say_pj1203a(struct hour *hour)
{
    struct circuit *one = hour->circuits;
    int turn = hour->messages % 2;
    one[turn].stamp = hour->messages;
    say(hour, "m",
        "{\"voltage\":231.2,\"ac_frequency\":50.01,\"power_a\":%.1f,\"power_b\":%.1f,"
        "\"energy_flow_a\":\"%s\",\"energy_flow_b\":\"%s\",\"energy_a\":%s,\"energy_b\":%s,"
        "\"energy_produced_a\":%s,\"energy_produced_b\":%s,"
        "\"timestamp_a\":\"2026-05-19T08:20:31.%06dZ\",\"timestamp_b\":\"2026-05-19T08:20:31.%"
        "06dZ\"}",
        fabs(one[0].watts), fabs(one[1].watts), one[0].reported_reverse ? "producing" : "consuming",
        one[1].reported_reverse ? "producing" : "consuming", energy(hour, 0, DRAWN, 1),
        energy(hour, 1, DRAWN, 1), energy(hour, 0, FED_BACK, 1), energy(hour, 1, FED_BACK, 1),
        one[0].stamp, one[1].stamp);
    one[turn].reported_reverse = one[turn].watts < 0;
}

static void say_clamps(struct hour *hour)
{
    const struct circuit *one = hour->circuits;
    say(hour, "m",
        "{\"voltage\":231.2,\"ac_frequency\":50.01,\"power_a\":%.1f,\"power_b\":%.1f,\"energy_a\":%"
        "s,"
        "\"energy_b\":%s,\"energy_produced_a\":%s,\"energy_produced_b\":%s}",
        one[0].watts, one[1].watts, energy(hour, 0, DRAWN, 1), energy(hour, 1, DRAWN, 1),
        energy(hour, 0, FED_BACK, 1), energy(hour, 1, FED_BACK, 1));
}

static void say_clamp(struct hour *hour)
{
    const struct circuit *one = hour->circuits;
    say(hour, "m",
        "{\"current\":%.2f,\"energy\":%s,\"linkquality\":120,\"power\":%.0f,\"voltage\":229.4}",
        fabs(one->watts) / 230, energy(hour, 0, DRAWN, 1), one->watts);
}

/* A value a message, a second or two between them at times: then they are not one reading. */
static void say_shelly(struct hour *hour)
{
    for (int i = 0; i < hour->play->circuits; i++) {
        char topic[100];
        const struct circuit *one = &hour->circuits[i];
        const struct {
            const char *topic;
            double value;
            int direction;
        } values[] = {
            {"voltage", 231.26, -1},
            {"power", one->watts, -1},
            {"total", 0, DRAWN},
            {"total_returned", 0, FED_BACK},
        };
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            (void)snprintf(topic, sizeof topic, "m/emeter/%d/%s", i, values[v].topic);
            if (values[v].direction < 0)
                say(hour, topic, "%.2f", values[v].value);
            else
                say(hour, topic, "%s", energy(hour, i, values[v].direction, 1000));
            if (below(&hour->dice, 4) == 0)
                mapping_trial_wait(hour->trial, between(&hour->dice, 1, 25) * 100);
        }
    }
}

static void say_shelly_em1(struct hour *hour)
{
    for (int i = 0; i < hour->play->circuits; i++) {
        char topic[100];
        (void)snprintf(topic, sizeof topic, "m/status/em1:%d", i);
        if (below(&hour->dice, 3) > 0) /* on a change */
            say(hour, topic,
                "{\"id\":%d,\"current\":3.7,\"voltage\":242.8,\"act_power\":%.1f,\"freq\":50.0}", i,
                hour->circuits[i].watts);
        (void)snprintf(topic, sizeof topic, "m/status/em1data:%d", i);
        say(hour, topic, "{\"id\":%d,\"total_act_energy\":%s,\"total_act_ret_energy\":%s}", i,
            energy(hour, i, DRAWN, 1000), energy(hour, i, FED_BACK, 1000));
    }
}

static void say_shelly_em(struct hour *hour)
{
    const struct circuit *one = hour->circuits;
    if (below(&hour->dice, 3) > 0)
        say(hour, "m/status/em:0",
            "{\"id\":0,\"a_act_power\":%.1f,\"b_act_power\":%.1f,\"c_act_power\":%.1f}",
            one[0].watts, one[1].watts, one[2].watts);
    say(hour, "m/status/emdata:0",
        "{\"id\":0,\"a_total_act_energy\":%s,\"a_total_act_ret_energy\":%s,\"b_total_act_energy\":%"
        "s,"
        "\"b_total_act_ret_energy\":%s,\"c_total_act_energy\":%s,\"c_total_act_ret_energy\":%s}",
        energy(hour, 0, DRAWN, 1000), energy(hour, 0, FED_BACK, 1000), energy(hour, 1, DRAWN, 1000),
        energy(hour, 1, FED_BACK, 1000), energy(hour, 2, DRAWN, 1000),
        energy(hour, 2, FED_BACK, 1000));
}

static void say_esphome(struct hour *hour)
{
    say(hour, "m/sensor/voltage/state", "230.1");
    for (int i = 0; i < hour->play->circuits; i++) {
        char topic[100], suffix[3] = "";
        if (hour->play->circuits > 1)
            (void)snprintf(suffix, sizeof suffix, "_%c", 'a' + i);
        (void)snprintf(topic, sizeof topic, "m/sensor/power%s/state", suffix);
        say(hour, topic, "%.2f", hour->circuits[i].watts);
        (void)snprintf(topic, sizeof topic, "m/sensor/energy%s/state", suffix);
        say(hour, topic, "%s", energy(hour, i, DRAWN, 1));
    }
}

static const struct play plays[] = {
    {.mapping = "tasmota",
     .circuits = 1,
     .period_s = 10,
     .energy_period_s = 10,
     .step = 0.001,
     .announces = true,
     .falls_back = 2,
     .say = say_tasmota},
    {.mapping = "tasmota-dual",
     .circuits = 2,
     .period_s = 10,
     .energy_period_s = 10,
     .step = 0.001,
     .announces = true,
     .falls_back = 2,
     .say = say_tasmota},
    {.mapping = "zigbee2mqtt-pj1203a",
     .turns = true,
     .circuits = 2,
     .period_s = 5,
     .energy_period_s = 120,
     .step = 0.01,
     .directions = true,
     .apart = true,
     .say = say_pj1203a},
    {.mapping = "zigbee2mqtt-ts0601-clamp-dual",
     .circuits = 2,
     .period_s = 10,
     .energy_period_s = 120,
     .step = 0.01,
     .directions = true,
     .apart = true,
     .say = say_clamps},
    {.mapping = "zigbee2mqtt-ts0601-clamp",
     .circuits = 1,
     .period_s = 10,
     .energy_period_s = 120,
     .step = 0.01,
     .directions = true,
     .drawn_only = true,
     .say = say_clamp},
    {.mapping = "shelly-em",
     .circuits = 2,
     .period_s = 30,
     .energy_period_s = 30,
     .step = 0.001,
     .directions = true,
     .apart = true,
     .say = say_shelly},
    {.mapping = "shelly-3em",
     .circuits = 3,
     .period_s = 30,
     .energy_period_s = 30,
     .step = 0.001,
     .directions = true,
     .apart = true,
     .say = say_shelly},
    {.mapping = "shelly-pro-em",
     .circuits = 2,
     .period_s = 60,
     .energy_period_s = 60,
     .step = 0.00001,
     .directions = true,
     .apart = true,
     .say = say_shelly_em1},
    {.mapping = "shelly-pro-3em",
     .circuits = 3,
     .period_s = 60,
     .energy_period_s = 60,
     .step = 0.00001,
     .directions = true,
     .apart = true,
     .say = say_shelly_em},
    {.mapping = "esphome",
     .circuits = 1,
     .period_s = 10,
     .energy_period_s = 10,
     .step = 0.001,
     .rounds = true,
     .directions = true,
     .wraps_at = 3137.403,
     .say = say_esphome},
    {.mapping = "esphome-dual",
     .circuits = 2,
     .period_s = 10,
     .energy_period_s = 10,
     .step = 0.001,
     .rounds = true,
     .directions = true,
     .wraps_at = 3137.403,
     .say = say_esphome},
};

/* ---- what happens ---- */

static double in_steps(const struct play *play, double kwh)
{
    return (play->rounds ? round(kwh / play->step) : floor(kwh / play->step + 1e-6)) * play->step;
}

static void flow(struct hour *hour, struct circuit *one, int seconds)
{
    const struct play *play = hour->play;
    if (below(&hour->dice, 20) == 0)
        one->watts = (fraction(&hour->dice) - (play->directions ? 0.4 : 0)) * LOAD_W;
    double kwh = fabs(one->watts) * seconds / 3.6e6;
    bool reverse = one->watts < 0;
    if (reverse && play->drawn_only)
        return;
    int counter = reverse && play->apart ? FED_BACK : DRAWN;
    one->counter[counter] += kwh;
    one->unshown[counter] += kwh;
}

static void begin_anew(struct hour *hour, const double *by)
{
    for (int i = 0; i < hour->play->circuits; i++) {
        struct circuit *one = &hour->circuits[i];
        for (int d = 0; d < DIRECTIONS; d++) {
            if (one->shown[d] == 0) /* a fall that shows nowhere */
                continue;
            one->counter[d] = by == NULL ? 0 : fmax(0, one->counter[d] - by[d]);
            one->unshown[d] = 0;
            one->fresh_life[d] = true;
        }
    }
    hour->lives++;
}

static void wrap(struct hour *hour)
{
    for (int i = 0; i < hour->play->circuits && hour->play->wraps_at > 0; i++) {
        struct circuit *one = &hour->circuits[i];
        if (one->counter[DRAWN] < hour->play->wraps_at)
            continue;
        one->counter[DRAWN] -= hour->play->wraps_at;
        one->unshown[DRAWN] = 0;
        one->fresh_life[DRAWN] = true;
        hour->lives++;
        hour->calm = CALM;
        hour->glitches = 0;
    }
}

/* A counter that shows less than its next messages may add, or is about to wrap, is left alone: whether it
 * fell or stumbled, nobody can know. */
static double near_zero(const struct play *play)
{
    return LOAD_W * (4.0 * play->period_s + play->energy_period_s) / 3.6e6;
}

static bool is_far(const struct hour *hour)
{
    double near = near_zero(hour->play);
    double end = hour->play->wraps_at > 0 ? hour->play->wraps_at - near : INFINITY;
    for (int i = 0; i < hour->play->circuits; i++)
        for (int d = 0; d < DIRECTIONS; d++)
            if ((hour->circuits[i].shown[d] > 0 && hour->circuits[i].shown[d] < near) ||
                hour->circuits[i].counter[d] > end)
                return false;
    return true;
}

static void restart(struct hour *hour)
{
    const struct play *play = hour->play;
    hour->calm += play->energy_period_s / play->period_s; /* it shows only then */
    if (play->falls_back > 0 && below(&hour->dice, 2) == 0) {
        const double by[DIRECTIONS] = {near_zero(play) + fraction(&hour->dice) * play->falls_back,
                                       0};
        begin_anew(hour, by);
        return;
    }
    hour->started += play->announces && below(&hour->dice, 2) == 0;
    begin_anew(hour, NULL);
}

static void wait(struct hour *hour, int seconds)
{
    mapping_trial_wait(hour->trial, seconds * 1000);
    hour->seconds += seconds;
    for (int i = 0; i < hour->play->circuits; i++)
        flow(hour, &hour->circuits[i], seconds);
    wrap(hour);
}

/* Shows for one or two messages what is no counter: 0, an old value out of a cache, or no number. */
static void glitch(struct hour *hour)
{
    static const char *const nonsense[] = {"null", "\"\"", "\"nan\"", "0", "[]", "{}", "true"};
    bool plain = strncmp(hour->play->mapping, "shelly-em", 9) == 0 ||
                 strncmp(hour->play->mapping, "shelly-3em", 10) == 0 || hour->play->rounds;
    hour->nonsense = NULL;
    if (below(&hour->dice, 2) == 0)
        hour->nonsense = plain ? below(&hour->dice, 2) == 0 ? "nan" : "0"
                               : nonsense[below(&hour->dice, sizeof nonsense / sizeof nonsense[0])];
    hour->glitches = (int)between(&hour->dice, 1, 2);
}

static void incident(struct hour *hour)
{
    if (!is_far(hour))
        return;
    hour->calm = CALM;
    hour->incidents++;
    switch (below(&hour->dice, hour->restarts ? 4 : 2)) {
    case 0: /* the network is away: then the last message once more */
        wait(hour, (int)between(&hour->dice, 1, 10) * hour->play->period_s);
        hour->play->say(hour);
        break;
    case 1:
        glitch(hour);
        break;
    default:
        restart(hour);
        break;
    }
}

/* The meter looks at its counters: what it says from now on. */
static void look(struct hour *hour)
{
    for (int i = 0; i < hour->play->circuits; i++) {
        struct circuit *one = &hour->circuits[i];
        if (hour->play->turns && hour->messages > 0 && i != hour->messages % 2)
            continue;
        for (int d = 0; d < DIRECTIONS; d++) {
            double now = in_steps(hour->play, one->counter[d]);
            if (!one->fresh_life[d]) {
                one->counted[d] += now - one->shown[d];
                one->flowed[d] += one->unshown[d];
            }
            one->unshown[d] = 0;
            one->cached[d] = one->fresh_life[d] ? now : one->shown[d];
            one->shown[d] = now;
            one->fresh_life[d] = false;
        }
    }
}

static void message(struct hour *hour)
{
    bool honest = hour->glitches == 0;
    if (honest && hour->messages % (hour->play->energy_period_s / hour->play->period_s) < 2)
        look(hour);
    hour->play->say(hour);
    hour->messages++;
    hour->glitches -= hour->glitches > 0;
}

/* ---- what the bridge makes of it ---- */

static void on_reading(void *context, const char *channel, const struct reading *reading)
{
    struct hour *hour = context;
    int i = channel[0] - 'a';
    assert_true(i >= 0 && i < hour->play->circuits);
    meter_accept(hour->meters[i], reading, &hour->results[i]);
}

static void on_remark(void *context, const char *channel, const char *text)
{
    (void)context, (void)channel, (void)text;
}

static struct meter *new_meter(void)
{
    const struct meter_options options = {
        .kind = READING_METERED,
        .calibration = calibration_default(READING_METERED),
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
        .whole = true,
        .boot_id = "boot",
    };
    return meter_create(&options, NULL);
}

static double judge(struct hour *hour)
{
    double worst = 0;
    const struct play *play = hour->play;
    for (int i = 0; i < play->circuits; i++) {
        const struct circuit *one = &hour->circuits[i];
        const struct channel_values *values = &hour->results[i].values;
        double total[DIRECTIONS] = {(double)values->energy_uwh.value / 1e9,
                                    (double)values->energy_produced_uwh.value / 1e9};
        if (!play->apart) /* by the sign of the power at that moment: only the sum is exact */
            total[DRAWN] += total[FED_BACK], total[FED_BACK] = 0;
        for (int d = 0; d < DIRECTIONS; d++) {
            double by_messages = total[d] - one->counted[d], by_truth = total[d] - one->flowed[d];
            if (fabs(by_messages) > 1.5e-5 * hour->lives)
                fail_msg("%s, channel %c: total %.5f kWh where the messages say %.5f",
                         play->mapping, 'a' + i, total[d], one->counted[d]);
            if (fabs(by_truth) > play->step * hour->lives + 1e-5)
                fail_msg("%s, channel %c: total %.5f kWh where %.5f flowed", play->mapping, 'a' + i,
                         total[d], one->flowed[d]);
            if (fabs(by_truth) / play->step > worst)
                worst = fabs(by_truth) / play->step;
        }
    }
    return worst;
}

static void play_hour(const struct play *play, uint64_t seed, bool restarts)
{
    struct hour hour = {.play = play, .dice = seed, .restarts = restarts, .lives = 1, .calm = CALM};
    const struct mapping_trial_sink sink = {&hour, on_reading, on_remark};
    assert_int_equal(mapping_load(play->mapping, &hour.mapping, NULL), STATUS_OK);
    assert_int_equal(hour.mapping->channel_count, play->circuits);
    assert_true(hour.mapping->resolution == play->step);
    hour.trial = mapping_trial_create(hour.mapping, "m", &sink);
    for (int i = 0; i < play->circuits; i++) {
        struct circuit *one = &hour.circuits[i];
        hour.meters[i] = new_meter();
        for (int d = 0; d < DIRECTIONS; d++) {
            one->counter[d] = fraction(&hour.dice) * 200;
            one->fresh_life[d] = true;
        }
        if (play->wraps_at > 0 && restarts)
            one->counter[DRAWN] = play->wraps_at - fraction(&hour.dice);
        one->watts = 100;
    }
    message(&hour);
    while (hour.seconds < HOUR_S) {
        wait(&hour, play->period_s);
        bool ends = hour.seconds > HOUR_S - play->energy_period_s - CALM * play->period_s;
        if (--hour.calm < 0 && !ends && below(&hour.dice, 12) == 0)
            incident(&hour);
        message(&hour);
    }
    mapping_trial_wait(hour.trial, hour.mapping->group_ms + 1000);
    double worst = judge(&hour);
    (void)printf("%-30s %5d messages, %2d incidents, %d lives of the counter: off by %.2f steps\n",
                 play->mapping, hour.messages, hour.incidents, hour.lives, worst);
    mapping_trial_free(hour.trial);
    mapping_free(hour.mapping);
    for (int i = 0; i < play->circuits; i++)
        meter_free(hour.meters[i]);
}

static const struct play *play_of(const char *mapping)
{
    for (size_t i = 0; i < sizeof plays / sizeof plays[0]; i++)
        if (strcmp(plays[i].mapping, mapping) == 0)
            return &plays[i];
    fail_msg("%s has no meter in this test: add it to plays[]", mapping);
    return NULL;
}

static void test_hours(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    int64_t rounds = test_setting("TEST_ROUNDS", 5);
    for (size_t i = 0; mapping_builtin(i) != NULL; i++)
        for (int64_t round = 0; round < rounds; round++)
            for (int restarts = 0; restarts < 2; restarts++)
                play_hour(play_of(mapping_builtin(i)), seed + (uint64_t)round, restarts == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hours)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
