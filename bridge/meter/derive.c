/* SPDX-License-Identifier: MIT */
#include "bridge/meter/derive.h"

#include "bridge/meter/tariff.h"

static void begin_period(struct derive_period *period, int64_t start_ms, int64_t end_ms,
                         int64_t imported_uwh, int64_t exported_uwh)
{
    *period = (struct derive_period){
        .start_ms = start_ms,
        .end_ms = end_ms,
        .base_imported_uwh = imported_uwh,
        .base_exported_uwh = exported_uwh,
    };
}

void derive_begin(struct derive *derive, const struct derive_calendar *calendar,
                  int64_t imported_uwh, int64_t exported_uwh, const struct derive_past *day,
                  const struct derive_past *month, int64_t highest_mw, int64_t highest_wall_ms)
{
    derive->begun = true;
    derive->imported_uwh = imported_uwh;
    derive->exported_uwh = exported_uwh;
    bool own = derive->highest_known && derive->highest_wall_ms > calendar->month_start_ms &&
               (highest_wall_ms == 0 || derive->highest_mw > highest_mw);
    if (!own) {
        derive->highest_known = highest_wall_ms > 0;
        derive->highest_mw = highest_mw;
        derive->highest_wall_ms = highest_wall_ms;
    }
    begin_period(&derive->day, calendar->day_start_ms, calendar->day_end_ms,
                 imported_uwh - day->imported_uwh, exported_uwh - day->exported_uwh);
    begin_period(&derive->month, calendar->month_start_ms, calendar->month_end_ms,
                 imported_uwh - month->imported_uwh, exported_uwh - month->exported_uwh);
    derive->day.money = day->money;
    derive->month.money = month->money;
}

/* ---- Demand ---- */

static void end_quarter(struct derive *derive)
{
    if (derive->weighed_ms < DERIVE_QUARTER_MS / 2)
        return;
    int64_t mean_mw = derive->weighed_mw_ms / derive->weighed_ms;
    if (derive->highest_known && mean_mw <= derive->highest_mw)
        return;
    derive->highest_known = true;
    derive->highest_mw = mean_mw;
    derive->highest_wall_ms = (derive->quarter + 1) * DERIVE_QUARTER_MS;
}

static void begin_quarter(struct derive *derive, int64_t quarter)
{
    derive->quarter = quarter;
    derive->weighed_mw_ms = derive->weighed_ms = 0;
}

/* The power of the last reading stands from then on; what lies in another quarter is not of this one. */
static void weigh(struct derive *derive, int64_t from_ms, int64_t to_ms)
{
    int64_t start_ms = derive->quarter * DERIVE_QUARTER_MS;
    int64_t end_ms = start_ms + DERIVE_QUARTER_MS;
    from_ms = from_ms > start_ms ? from_ms : start_ms;
    to_ms = to_ms < end_ms ? to_ms : end_ms;
    if (to_ms <= from_ms)
        return;
    derive->weighed_mw_ms += derive->power_mw * (to_ms - from_ms);
    derive->weighed_ms += to_ms - from_ms;
}

static void follow_demand(struct derive *derive, const struct derive_reading *reading)
{
    int64_t quarter = reading->wall_ms / DERIVE_QUARTER_MS;
    int64_t until_ms = reading->wall_ms;
    if (derive->power_known && until_ms > derive->power_wall_ms + reading->hold_ms)
        until_ms = derive->power_wall_ms + reading->hold_ms;
    if (derive->power_known)
        weigh(derive, derive->power_wall_ms, until_ms);
    if (quarter != derive->quarter) {
        end_quarter(derive);
        begin_quarter(derive, quarter);
        if (derive->power_known)
            weigh(derive, derive->power_wall_ms, until_ms);
    }
    derive->power_known = reading->power_known;
    derive->power_mw = reading->power_mw;
    derive->power_wall_ms = reading->wall_ms;
}

/* ---- Days and months ---- */

/* True if a new one began. */
static bool follow_period(const struct derive *derive, struct derive_period *period,
                          int64_t start_ms, int64_t end_ms)
{
    if (period->start_ms == start_ms)
        return false;
    begin_period(period, start_ms, end_ms, derive->imported_uwh, derive->exported_uwh);
    return true;
}

static void spend(struct derive_period *period, const struct derive_reading *reading,
                  const struct derive *derive, const struct derive_prices *prices)
{
    int64_t imported_uwh = reading->imported_uwh - derive->imported_uwh;
    int64_t exported_uwh = reading->exported_uwh - derive->exported_uwh;
    struct derive_money *money = &period->money;
    money->drawn = wide_add(money->drawn, wide_multiply(imported_uwh, prices->price_micro));
    money->fed = wide_add(money->fed, wide_multiply(exported_uwh, prices->feed_in_micro));
}

void derive_accept(struct derive *derive, const struct derive_reading *reading,
                   const struct derive_calendar *calendar, const struct derive_prices *prices)
{
    follow_demand(derive, reading);
    derive_count(derive, reading, calendar, prices);
}

void derive_turn(struct derive *derive, const struct derive_calendar *calendar,
                 const struct derive_prices *prices)
{
    if (!derive->begun)
        return;
    bool new_day =
        follow_period(derive, &derive->day, calendar->day_start_ms, calendar->day_end_ms);
    if (follow_period(derive, &derive->month, calendar->month_start_ms, calendar->month_end_ms))
        derive->highest_known = false;
    if (!new_day || !(prices->known || prices->missing))
        return;
    derive->day.money.standing_micro += prices->standing_charge_micro;
    derive->month.money.standing_micro += prices->standing_charge_micro;
}

void derive_count(struct derive *derive, const struct derive_reading *reading,
                  const struct derive_calendar *calendar, const struct derive_prices *prices)
{
    if (!derive->begun)
        return;
    derive_turn(derive, calendar, prices);
    derive->priced = prices->known || prices->missing;
    if (prices->missing) {
        int64_t moved_uwh = reading->imported_uwh - derive->imported_uwh + reading->exported_uwh -
                            derive->exported_uwh;
        derive->day.money.missing_uwh += moved_uwh;
        derive->month.money.missing_uwh += moved_uwh;
    }
    if (prices->known) {
        spend(&derive->day, reading, derive, prices);
        spend(&derive->month, reading, derive, prices);
    }
    derive->imported_uwh = reading->imported_uwh;
    derive->exported_uwh = reading->exported_uwh;
}

void derive_shift(struct derive *derive, int64_t imported_uwh, int64_t exported_uwh)
{
    struct derive_period *periods[] = {&derive->day, &derive->month};
    for (size_t i = 0; i < 2; i++) {
        periods[i]->base_imported_uwh += imported_uwh;
        periods[i]->base_exported_uwh += exported_uwh;
    }
    derive->imported_uwh += imported_uwh;
    derive->exported_uwh += exported_uwh;
}

static struct amount amount_of(bool known, int64_t value)
{
    return (struct amount){.known = known, .value = known ? value : 0};
}

static int64_t cost_of(const struct derive_period *period)
{
    const struct derive_money *money = &period->money;
    return tariff_money(money->drawn) + money->standing_micro - tariff_money(money->fed);
}

void derive_values(const struct derive *derive, struct derived_values *values)
{
    const struct derive_period *day = &derive->day, *month = &derive->month;
    bool known = derive->begun;
    bool demand_known = known && derive->weighed_ms > 0;
    *values = (struct derived_values){
        .energy_today_uwh = amount_of(known, derive->imported_uwh - day->base_imported_uwh),
        .energy_month_uwh = amount_of(known, derive->imported_uwh - month->base_imported_uwh),
        .produced_today_uwh = amount_of(known, derive->exported_uwh - day->base_exported_uwh),
        .produced_month_uwh = amount_of(known, derive->exported_uwh - month->base_exported_uwh),
        .cost_today_micro =
            amount_of(known && derive->priced && day->money.missing_uwh == 0, cost_of(day)),
        .cost_month_micro =
            amount_of(known && derive->priced && month->money.missing_uwh == 0, cost_of(month)),
        .demand_mw =
            amount_of(demand_known, demand_known ? derive->weighed_mw_ms / derive->weighed_ms : 0),
        .demand_max_mw = amount_of(known && derive->highest_known, derive->highest_mw),
        .demand_max_wall_ms = known && derive->highest_known ? derive->highest_wall_ms : 0,
    };
}
