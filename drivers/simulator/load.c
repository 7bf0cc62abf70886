/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/load.h"

#include "drivers/simulator/dice.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define DAY_S 86400.0
#define HOUR_S 3600.0
#define MINUTE_S 60.0

/* Each kind of chance has a stream of its own, so that appliances do not move together. */
enum stream {
    STREAM_VOLTAGE_SLOW,
    STREAM_VOLTAGE_FAST,
    STREAM_FREQUENCY,
    STREAM_BASE,
    STREAM_FRIDGE,
    STREAM_KETTLE,
    STREAM_COOKING,
    STREAM_EVENING,
    STREAM_WASHING,
    STREAM_WEATHER,
    STREAM_CLOUDS,
};

/* A place's clock: seconds since 1970 there, and what follows from them. */
struct moment {
    uint64_t seed;
    double local_s;
    double day;      /* whole days since 1970 */
    double of_day_s; /* 0..86400 */
};

/* Sum over what is switched on. */
struct mains {
    double voltage_v, nominal_v;
    double power_w, reactive_var;
};

static const char *const names[] = {
    [LOAD_CONSTANT] = "constant",
    [LOAD_IDLE] = "idle",
    [LOAD_HOUSEHOLD] = "household",
    [LOAD_SOLAR] = "solar",
};

const char *load_profile_name(enum load_profile profile)
{
    return (size_t)profile < sizeof names / sizeof names[0] ? names[profile] : NULL;
}

bool load_profile_parse(const char *name, enum load_profile *profile)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *profile = (enum load_profile)i;
            return true;
        }
    }
    return false;
}

/* ---- chance ---- */

/* 0..1, the same for the same slot every time it is asked. */
static double chance(const struct moment *moment, enum stream stream, double slot, unsigned which)
{
    uint64_t key = dice_hash(moment->seed ^ dice_hash((uint64_t)stream << 8 | which));
    return dice_unit(dice_hash(key ^ (uint64_t)(int64_t)slot));
}

/* -1..1, wandering smoothly from one chance to the next every period_s. */
static double wander(const struct moment *moment, enum stream stream, double period_s)
{
    double slot = floor(moment->local_s / period_s);
    double part = moment->local_s / period_s - slot;
    double smooth = part * part * (3 - 2 * part);
    double from = chance(moment, stream, slot, 0);
    double to = chance(moment, stream, slot + 1, 0);
    return 2 * (from + (to - from) * smooth) - 1;
}

/* 0..1: rises within edge_s after from_s, falls within edge_s before to_s (seconds of the day). */
static double plateau(double of_day_s, double from_s, double to_s, double edge_s)
{
    double inside = fmin(of_day_s - from_s, to_s - of_day_s);
    return fmax(0, fmin(1, inside / edge_s));
}

/* ---- appliances ---- */

/* A resistance takes power with the square of the voltage; electronics and motors are regulated. */
static void add_resistive(struct mains *mains, double nominal_w)
{
    double part = mains->voltage_v / mains->nominal_v;
    mains->power_w += nominal_w * part * part;
}

static void add_with_power_factor(struct mains *mains, double power_w, double power_factor)
{
    mains->power_w += power_w;
    mains->reactive_var += fabs(power_w) * tan(acos(power_factor));
}

static double heater_w(const struct mains *mains)
{
    return mains->nominal_v < 150 ? 1400 : 2000;
}

static void add_base(const struct moment *moment, struct mains *mains)
{
    double power_w = 85 + 20 * wander(moment, STREAM_BASE, 7 * MINUTE_S);
    add_with_power_factor(mains, power_w, 0.62); /* routers, stand-by, chargers */
}

static void add_fridge(const struct moment *moment, struct mains *mains)
{
    double cycle_s = 48 * MINUTE_S;
    double slot = floor(moment->local_s / cycle_s);
    double at_s = moment->local_s - slot * cycle_s;
    double runs_s = (14 + 8 * chance(moment, STREAM_FRIDGE, slot, 0)) * MINUTE_S;
    if (at_s < 3)
        add_with_power_factor(mains, 420, 0.55); /* the motor starts */
    else if (at_s < runs_s)
        add_with_power_factor(mains, 92, 0.78);
}

/* How likely a kettle is within ten minutes, by the hour. */
static double kettle_likelihood(double of_day_s)
{
    double hour = of_day_s / HOUR_S;
    if (hour < 6)
        return 0.01;
    if (hour < 9)
        return 0.30;
    return hour < 22 ? 0.10 : 0.03;
}

static void add_kettle(const struct moment *moment, struct mains *mains)
{
    double cycle_s = 10 * MINUTE_S;
    double slot = floor(moment->local_s / cycle_s);
    if (chance(moment, STREAM_KETTLE, slot, 0) >= kettle_likelihood(moment->of_day_s))
        return;
    double from_s = slot * cycle_s + 360 * chance(moment, STREAM_KETTLE, slot, 1);
    double runs_s = 100 + 120 * chance(moment, STREAM_KETTLE, slot, 2);
    if (moment->local_s >= from_s && moment->local_s < from_s + runs_s)
        add_resistive(mains, heater_w(mains));
}

/* A hotplate that its thermostat switches: 20 s on, some seconds off. */
static void add_cooking(const struct moment *moment, struct mains *mains)
{
    double from_s = (17.5 + 1.5 * chance(moment, STREAM_COOKING, moment->day, 0)) * HOUR_S;
    double runs_s = (20 + 25 * chance(moment, STREAM_COOKING, moment->day, 1)) * MINUTE_S;
    double at_s = moment->of_day_s - from_s;
    if (at_s < 0 || at_s >= runs_s)
        return;
    if (at_s < 240 || fmod(at_s, 45) < 20)
        add_resistive(mains, 0.75 * heater_w(mains));
}

static void add_evening(const struct moment *moment, struct mains *mains)
{
    double on = plateau(moment->of_day_s, 17 * HOUR_S, 23.5 * HOUR_S, HOUR_S);
    double power_w = (260 + 60 * wander(moment, STREAM_EVENING, 11 * MINUTE_S)) * on;
    add_with_power_factor(mains, power_w, 0.91); /* lamps, television, computer */
}

static void add_washing_machine(const struct moment *moment, struct mains *mains)
{
    if (chance(moment, STREAM_WASHING, moment->day, 0) >= 0.4)
        return;
    double from_s = (8 + 10 * chance(moment, STREAM_WASHING, moment->day, 1)) * HOUR_S;
    double minute = (moment->of_day_s - from_s) / MINUTE_S;
    if (minute < 0 || minute >= 95)
        return;
    if (minute >= 5 && minute < 24)
        add_resistive(mains, heater_w(mains));
    if (minute >= 85)
        add_with_power_factor(mains, 520, 0.60); /* spins */
    else if (fmod(minute, 0.3) < 0.2)
        add_with_power_factor(mains, 180, 0.55); /* turns to and fro */
}

/* ---- solar ---- */

static void add_inverter(const struct moment *moment, struct mains *mains)
{
    double of_year = fmod(moment->day, 365.25) / 365.25;      /* 1 January = 0 */
    double season = -cos(2 * M_PI * (of_year + 10 / 365.25)); /* -1 at the winter solstice */
    double half_day_s = (6 + 2 * season) * HOUR_S;
    double from_noon_s = fabs(moment->of_day_s - 12.5 * HOUR_S);
    add_with_power_factor(mains, 4, 0.35); /* the inverter's own */
    if (from_noon_s >= half_day_s)
        return;
    double sun = pow(cos(M_PI / 2 * from_noon_s / half_day_s), 1.4) * (0.7 + 0.3 * season);
    double weather = 0.35 + 0.65 * chance(moment, STREAM_WEATHER, moment->day, 0);
    double cover = 0.5 + 0.5 * wander(moment, STREAM_CLOUDS, 4 * MINUTE_S);
    double clouds = 1 - (1 - weather) * cover;
    add_with_power_factor(mains, -4200 * sun * clouds, 0.99);
}

/* ---- the whole ---- */

static struct moment moment_of(const struct load_options *options, int64_t wall_ms)
{
    double local_s = (double)wall_ms / 1000 + (double)options->utc_offset_s;
    double day = floor(local_s / DAY_S);
    return (struct moment){options->seed, local_s, day, local_s - day * DAY_S};
}

static double voltage_at(const struct load_options *options, const struct moment *moment)
{
    double slow = 0.017 * wander(moment, STREAM_VOLTAGE_SLOW, 13 * MINUTE_S);
    double fast = 0.004 * wander(moment, STREAM_VOLTAGE_FAST, 20);
    return options->nominal_voltage_v * (1.0043 + slow + fast);
}

void load_at(const struct load_options *options, int64_t wall_ms, struct chip_load *load)
{
    if (options->profile == LOAD_CONSTANT) {
        *load = options->constant;
        return;
    }
    struct moment moment = moment_of(options, wall_ms);
    struct mains mains = {.voltage_v = voltage_at(options, &moment),
                          .nominal_v = options->nominal_voltage_v};
    if (options->profile == LOAD_HOUSEHOLD) {
        add_base(&moment, &mains);
        add_fridge(&moment, &mains);
        add_kettle(&moment, &mains);
        add_cooking(&moment, &mains);
        add_evening(&moment, &mains);
        add_washing_machine(&moment, &mains);
    } else if (options->profile == LOAD_SOLAR) {
        add_inverter(&moment, &mains);
    }
    *load = (struct chip_load){
        .voltage_v = mains.voltage_v,
        .current_a = hypot(mains.power_w, mains.reactive_var) / mains.voltage_v,
        .power_w = mains.power_w,
        .frequency_hz =
            options->nominal_frequency_hz + 0.05 * wander(&moment, STREAM_FREQUENCY, 31),
    };
}
