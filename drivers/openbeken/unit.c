/* SPDX-License-Identifier: MIT */
#include "drivers/openbeken/unit.h"

static const int64_t least_total_mwh = 2000; /* below it a total says nothing */
static const int64_t kwh_step_mwh = 1000;    /* three decimals of a kWh */
static const int64_t slack_mwh = 3000;
static const int64_t unknown_load_mw = 30000000;
static const unsigned suspects_needed = 3;

int64_t openbeken_mwh(int64_t raw, enum openbeken_unit unit)
{
    return unit == OPENBEKEN_KWH ? raw * 1000 : raw;
}

static bool about(int64_t a, int64_t b)
{
    return a <= 3 * b && b <= 3 * a;
}

enum openbeken_unit openbeken_unit_of_total(int64_t raw, int64_t total_mwh)
{
    if (total_mwh < least_total_mwh || raw <= 0)
        return OPENBEKEN_UNIT_UNKNOWN;
    if (about(raw, total_mwh))
        return OPENBEKEN_WH;
    return about(raw * 1000, total_mwh) ? OPENBEKEN_KWH : OPENBEKEN_UNIT_UNKNOWN;
}

static bool looks_scaled(const struct openbeken_counter *counter, enum openbeken_unit unit,
                         int64_t raw, int64_t boot_ms, int64_t load_mw)
{
    enum openbeken_unit other = unit == OPENBEKEN_KWH ? OPENBEKEN_WH : OPENBEKEN_KWH;
    int64_t mwh = openbeken_mwh(raw, unit);
    int64_t other_mwh = openbeken_mwh(raw, other);
    bool far_off = mwh < counter->mwh / 100 || mwh / 100 > counter->mwh;
    if (!far_off || raw == 0 || counter->mwh < least_total_mwh)
        return false;
    double hours = (double)(boot_ms - counter->boot_ms) / 3.6e6;
    double load = (double)(load_mw < 0 ? unknown_load_mw : load_mw);
    double most = (double)(counter->mwh + slack_mwh) + 1.5 * load * hours;
    return other_mwh >= counter->mwh - kwh_step_mwh && (double)other_mwh <= most;
}

enum openbeken_step openbeken_unit_follow(struct openbeken_counter *counter,
                                          enum openbeken_unit unit, int64_t raw, int64_t boot_ms,
                                          int64_t load_mw)
{
    if (!counter->known || !looks_scaled(counter, unit, raw, boot_ms, load_mw)) {
        counter->suspects = 0;
        return OPENBEKEN_STEP_PLAIN;
    }
    if (++counter->suspects < suspects_needed)
        return OPENBEKEN_STEP_SUSPECT;
    counter->suspects = 0;
    return OPENBEKEN_STEP_CHANGED;
}
