/* SPDX-License-Identifier: MIT */
#include "bridge/service/device_periods.h"

#include "bridge/history/cadence.h"
#include "bridge/history/query/buckets.h"
#include "bridge/meter/derive.h"
#include "bridge/service/period_journal.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <time.h>

static const int64_t believable_wall_ms = INT64_C(1704067200000); /* 2024-01-01 */
static const int64_t hold_least_ms = 10000;
static const int64_t absence_ms = 60000; /* shorter ones are not spread */

#define TRIES 4 /* to find an answer's place among the readings */

struct channel {
    struct derive derive;
    struct cadence cadence;
    int64_t wall_ms; /* of the last reading; 0: none yet */
    bool power_known;
    int64_t power_mw;
    struct period_totals totals;
};

struct device_periods {
    struct device_periods_options options;
    struct derive_calendar calendar; /* of the last reading */
    struct derive_prices prices;
    int64_t quarter; /* the prices' */
    struct channel *channels;
    struct derive sum;

    struct period_journal journal;
    size_t
        spread_at;   /* so many of its readings an answer must have, for what the history spreads */
    bool asked;      /* an answer is under way */
    bool wanted;     /* to be asked for with the next commit */
    bool again;      /* what is under way will be out of date */
    bool old_prices; /* what is under way is calculated with */
    bool cost_is_old; /* prices changed, and the past is not known at the new ones */
    int tries;
};

struct device_periods *device_periods_create(const struct device_periods_options *options)
{
    struct device_periods *periods = memory_new(1, sizeof *periods);
    periods->options = *options;
    periods->quarter = -1;
    periods->channels = memory_new(options->config->channel_count, sizeof *periods->channels);
    return periods;
}

void device_periods_free(struct device_periods *periods)
{
    if (periods == NULL)
        return;
    past_reader_cancel(periods->options.reader, periods);
    period_journal_end(&periods->journal);
    free(periods->channels);
    free(periods);
}

void device_periods_rebind(struct device_periods *periods, const struct config_device *config)
{
    periods->options.config = config;
}

/* ---- calendar and prices ---- */

static const struct tariff *tariff_on(const struct device_periods *periods, int64_t wall_ms,
                                      struct tm *local)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    if (localtime_r(&seconds, local) == NULL)
        return NULL;
    const struct tariffs *tariffs = *periods->options.tariffs;
    return tariff_at(tariffs->list, tariffs->count, local);
}

const char *device_periods_currency(const struct device_periods *periods, int64_t wall_ms)
{
    struct tm local;
    const struct tariff *tariff = tariff_on(periods, wall_ms, &local);
    const struct tariffs *tariffs = *periods->options.tariffs;
    if (tariff == NULL && tariffs->count > 0)
        tariff = &tariffs->list[0];
    return tariff == NULL ? "" : tariff->currency;
}

static struct derive_calendar calendar_of(int64_t wall_ms)
{
    return (struct derive_calendar){
        .day_start_ms = bucket_start(BUCKET_DAY, wall_ms),
        .day_end_ms = bucket_next(BUCKET_DAY, wall_ms),
        .month_start_ms = bucket_start(BUCKET_MONTH, wall_ms),
        .month_end_ms = bucket_next(BUCKET_MONTH, wall_ms),
    };
}

static void follow_prices(struct device_periods *periods, int64_t wall_ms)
{
    int64_t quarter = wall_ms / DERIVE_QUARTER_MS;
    if (quarter == periods->quarter)
        return;
    struct tm local;
    const struct tariff *tariff = tariff_on(periods, quarter * DERIVE_QUARTER_MS, &local);
    periods->quarter = quarter;
    periods->prices = (struct derive_prices){.known = false};
    if (tariff == NULL)
        return;
    struct derive_prices *prices = &periods->prices;
    tariff_prices(tariff, &local, &prices->price_micro, &prices->feed_in_micro);
    prices->known = tariff_add_market(tariff, periods->options.market, quarter,
                                      &prices->price_micro, &prices->feed_in_micro);
    prices->missing = !prices->known;
    periods->prices.standing_charge_micro = tariff->standing_charge_micro;
}

/* For channels without readings, too. */
static void follow_calendar(struct device_periods *periods, int64_t wall_ms)
{
    struct derive_calendar *calendar = &periods->calendar;
    if (wall_ms >= calendar->day_start_ms && wall_ms < calendar->day_end_ms)
        return;
    *calendar = calendar_of(wall_ms);
    follow_prices(periods, calendar->day_start_ms); /* the standing charge of the whole day */
    for (size_t i = 0; i < periods->options.config->channel_count; i++)
        derive_turn(&periods->channels[i].derive, calendar, &periods->prices);
    derive_turn(&periods->sum, calendar, &periods->prices);
    follow_prices(periods, wall_ms);
}

/* ---- asking for the past ---- */

static size_t channel_count(const struct device_periods *periods)
{
    return periods->options.config->channel_count;
}

static void begin_journal(struct device_periods *periods)
{
    size_t count = channel_count(periods);
    struct period_totals *begun memory_auto = memory_new(count, sizeof(struct period_totals));
    for (size_t i = 0; i < count; i++)
        begun[i] = periods->channels[i].totals;
    period_journal_begin(&periods->journal, begun, count);
    periods->spread_at = 0;
}

static void on_past(void *context, enum status status, const struct history_past_question *question,
                    const struct history_past *pasts);

static void ask(struct device_periods *periods)
{
    const struct config_device *config = periods->options.config;
    const char **names memory_auto = memory_new(config->channel_count, sizeof *names);
    for (size_t i = 0; i < config->channel_count; i++)
        names[i] = config->channels[i].name;
    const struct history_past_question question = {
        .device = config->id,
        .kind = periods->options.kind,
        .calendar = periods->calendar,
        .now_ms = clock_wall_ms(),
    };
    periods->wanted = false;
    periods->asked = true;
    past_reader_ask(periods->options.reader, &question, *periods->options.tariffs, names,
                    config->channel_count, on_past, periods);
}

static void ask_now(struct device_periods *periods)
{
    periods->again = periods->again || periods->asked;
    if (periods->asked || periods->calendar.day_end_ms == 0) /* the first reading asks */
        return;
    if (!periods->journal.on)
        begin_journal(periods);
    ask(periods);
}

/* When all that was measured up to now is on the disk. */
static void ask_later(struct device_periods *periods)
{
    periods->again = periods->again || periods->asked;
    if (periods->asked)
        return;
    begin_journal(periods);
    periods->wanted = true;
}

void device_periods_committed(struct device_periods *periods)
{
    if (periods->wanted)
        ask(periods);
}

bool device_periods_busy(const struct device_periods *periods)
{
    return periods->asked || periods->wanted;
}

/* ---- the answer ---- */

static void begin_with(const struct device_periods *periods, struct derive *derive,
                       const struct history_past_question *question,
                       const struct history_past *past, const struct period_totals *totals)
{
    derive_begin(derive, &question->calendar, totals->imported_uwh, totals->exported_uwh,
                 &past->day, &past->month, past->highest_mw, past->highest_wall_ms);
    derive->priced = periods->prices.known || periods->prices.missing;
}

static void count(struct device_periods *periods, struct derive *derive, int64_t wall_ms,
                  const struct period_totals *totals)
{
    const struct derive_calendar *now = &periods->calendar;
    bool today = wall_ms >= now->day_start_ms && wall_ms < now->day_end_ms;
    const struct derive_calendar calendar = today ? *now : calendar_of(wall_ms);
    const struct derive_reading reading = {
        .wall_ms = wall_ms,
        .imported_uwh = totals->imported_uwh,
        .exported_uwh = totals->exported_uwh,
    };
    follow_prices(periods, wall_ms);
    derive_count(derive, &reading, &calendar, &periods->prices);
}

static void add(struct period_totals *sum, const struct period_totals *more, int sign)
{
    sum->imported_uwh += sign * more->imported_uwh;
    sum->exported_uwh += sign * more->exported_uwh;
}

/* place: so many readings are in the answer. */
static void take_past(struct device_periods *periods, const struct history_past_question *question,
                      const struct history_past *pasts, size_t place)
{
    size_t number = channel_count(periods);
    struct period_totals *totals memory_auto = memory_new(number, sizeof(struct period_totals));
    struct period_totals sum = {0, 0};
    const struct period_journal *journal = &periods->journal;
    for (size_t i = 0; i < number; i++) {
        totals[i] = pasts[i].stored
                        ? (struct period_totals){pasts[i].imported_uwh, pasts[i].exported_uwh}
                        : journal->begun[i];
        add(&sum, &totals[i], 1);
        begin_with(periods, &periods->channels[i].derive, question, &pasts[i], &totals[i]);
    }
    begin_with(periods, &periods->sum, question, &pasts[number], &sum);
    for (size_t i = place; i < journal->count; i++) {
        const struct period_entry *entry = &journal->entries[i];
        add(&sum, &totals[entry->channel], -1);
        totals[entry->channel] = entry->totals;
        add(&sum, &totals[entry->channel], 1);
        count(periods, &periods->channels[entry->channel].derive, entry->wall_ms, &entry->totals);
        count(periods, &periods->sum, entry->wall_ms, &sum);
    }
    periods->cost_is_old = false;
}

/* A reading of before midnight must not come on top of the day after. */
static bool fits(const struct device_periods *periods, const struct history_past_question *question,
                 size_t place)
{
    if (question->calendar.day_start_ms != periods->calendar.day_start_ms)
        return false;
    for (size_t i = place; i < periods->journal.count; i++)
        if (periods->journal.entries[i].wall_ms < question->calendar.day_start_ms)
            return false;
    return true;
}

static bool find(const struct device_periods *periods, const struct history_past *pasts,
                 size_t *place)
{
    size_t number = channel_count(periods);
    struct history_past *known memory_auto = memory_new(number, sizeof *known);
    for (size_t i = 0; i < number; i++) {
        known[i] = pasts[i];
        if (known[i].stored)
            continue;
        known[i].imported_uwh = periods->journal.begun[i].imported_uwh;
        known[i].exported_uwh = periods->journal.begun[i].exported_uwh;
    }
    return period_journal_find(&periods->journal, known, place);
}

static bool unknown(const struct device_periods *periods)
{
    return !periods->sum.begun || periods->cost_is_old;
}

/* Of a new channel that was read the file may have nothing yet: then its readings are not in the answer. */
static bool is_stored(const struct device_periods *periods, size_t number,
                      const struct history_past *past)
{
    return past->stored || periods->channels[number].wall_ms == 0;
}

/* What cannot be placed exactly is shown until the answer after the next commit replaces it. */
static void on_past(void *context, enum status status, const struct history_past_question *question,
                    const struct history_past *pasts)
{
    struct device_periods *periods = context;
    size_t place = 0;
    periods->asked = false;
    bool same_day =
        status == STATUS_OK && question->calendar.day_start_ms == periods->calendar.day_start_ms;
    bool found = find(periods, pasts, &place) && fits(periods, question, place);
    bool good = status == STATUS_OK && found && place >= periods->spread_at;
    for (size_t i = 0; i < channel_count(periods); i++)
        good = good && !pasts[i].ahead && is_stored(periods, i, &pasts[i]);
    bool first = unknown(periods);
    if (good || (same_day && (first || periods->tries >= TRIES)))
        take_past(periods, question, pasts, found ? place : 0);
    bool again = periods->again || (!good && periods->tries < TRIES);
    periods->tries = good || !again ? 0 : periods->tries + 1;
    periods->cost_is_old = periods->cost_is_old || periods->old_prices;
    bool at_once = periods->old_prices;
    periods->again = periods->old_prices = false;
    period_journal_end(&periods->journal);
    if (at_once)
        ask_now(periods);
    else if (again)
        ask_later(periods);
    periods->options.changed(periods->options.context, first && !unknown(periods));
}

/* ---- readings ---- */

static int64_t hold_ms(const struct device_periods *periods)
{
    int64_t interval_ms = periods->options.config->interval_ms * 5 / 2;
    return interval_ms > hold_least_ms ? interval_ms : hold_least_ms;
}

static void accept_reading(const struct device_periods *periods, struct derive *derive,
                           int64_t wall_ms, const struct channel *from)
{
    const struct derive_reading reading = {
        .wall_ms = wall_ms,
        .power_known = from->power_known,
        .power_mw = from->power_mw,
        .imported_uwh = from->totals.imported_uwh,
        .exported_uwh = from->totals.exported_uwh,
        .hold_ms = hold_ms(periods),
    };
    derive_accept(derive, &reading, &periods->calendar, &periods->prices);
}

static void add_up(const struct device_periods *periods, struct channel *sum)
{
    *sum = (struct channel){.power_known = true};
    for (size_t i = 0; i < channel_count(periods); i++) {
        const struct channel *channel = &periods->channels[i];
        sum->power_known = sum->power_known && channel->power_known;
        sum->power_mw += channel->power_mw;
        add(&sum->totals, &channel->totals, 1);
    }
}

void device_periods_seed(struct device_periods *periods, size_t channel, int64_t imported_uwh,
                         int64_t exported_uwh)
{
    periods->channels[channel].totals = (struct period_totals){imported_uwh, exported_uwh};
}

/* The totals may have moved by a rounding, or by channels that come and go: that is no energy of today. */
static void take_derive(struct derive *derive, const struct derive *before,
                        const struct period_totals *totals)
{
    *derive = *before;
    derive_shift(derive, totals->imported_uwh - before->imported_uwh,
                 totals->exported_uwh - before->exported_uwh);
}

void device_periods_take_over(struct device_periods *after, const struct device_periods *before,
                              const size_t *old_of)
{
    struct period_totals sum = {0, 0};
    if (!before->sum.begun)
        return;
    after->calendar = before->calendar;
    after->prices = before->prices;
    after->quarter = before->quarter;
    after->cost_is_old = before->cost_is_old;
    for (size_t i = 0; i < channel_count(after); i++) {
        struct channel *channel = &after->channels[i];
        const struct period_totals totals = channel->totals;
        add(&sum, &totals, 1);
        if (old_of[i] == SIZE_MAX)
            continue;
        *channel = before->channels[old_of[i]];
        channel->totals = totals;
        take_derive(&channel->derive, &before->channels[old_of[i]].derive, &totals);
    }
    take_derive(&after->sum, &before->sum, &sum);
    ask_later(after);
}

/* Whether the history spreads the energy of this reading over the time before it (the estimates). */
static bool ends_gap(struct channel *channel, int64_t wall_ms, const struct period_totals *totals)
{
    int64_t passed_ms = wall_ms - channel->wall_ms;
    bool first = channel->wall_ms == 0;
    int64_t usual_ms = 2 * cadence_reach_ms(&channel->cadence);
    if (!first && passed_ms > 0)
        cadence_note(&channel->cadence, passed_ms);
    channel->wall_ms = wall_ms;
    bool counted = totals->imported_uwh != channel->totals.imported_uwh ||
                   totals->exported_uwh != channel->totals.exported_uwh;
    return counted && (first || (passed_ms >= absence_ms && passed_ms >= usual_ms));
}

void device_periods_reading(struct device_periods *periods, size_t number, int64_t wall_ms,
                            const struct channel_values *values)
{
    if (wall_ms < believable_wall_ms || !values->energy_uwh.known)
        return;
    struct channel *channel = &periods->channels[number];
    const struct period_entry entry = {
        .wall_ms = wall_ms,
        .channel = number,
        .totals = {values->energy_uwh.value, values->energy_produced_uwh.value},
    };
    follow_prices(periods, wall_ms);
    follow_calendar(periods, wall_ms);
    bool spread = ends_gap(channel, wall_ms, &entry.totals);
    if (!periods->sum.begun && !periods->asked && !periods->wanted)
        ask_now(periods);
    if (spread && !periods->wanted)
        ask_later(periods);
    channel->power_known = values->power_mw.known;
    channel->power_mw = values->power_mw.value;
    channel->totals = entry.totals;
    period_journal_note(&periods->journal, &entry);
    if (spread)
        periods->spread_at = periods->journal.count;
    accept_reading(periods, &channel->derive, wall_ms, channel);
    struct channel sum;
    add_up(periods, &sum);
    accept_reading(periods, &periods->sum, wall_ms, &sum);
}

void device_periods_shift(struct device_periods *periods, size_t number, int64_t imported_uwh,
                          int64_t exported_uwh)
{
    struct channel *channel = &periods->channels[number];
    const struct period_totals more = {imported_uwh, exported_uwh};
    add(&channel->totals, &more, 1);
    derive_shift(&channel->derive, imported_uwh, exported_uwh);
    derive_shift(&periods->sum, imported_uwh, exported_uwh);
    period_journal_shift(&periods->journal, number, imported_uwh, exported_uwh);
    if (periods->asked || periods->wanted) /* nobody knows on which side of it the answer is */
        ask_later(periods);
}

void device_periods_forget(struct device_periods *periods)
{
    for (size_t i = 0; i < channel_count(periods); i++)
        periods->channels[i].derive.begun = periods->channels[i].derive.highest_known = false;
    periods->sum.begun = periods->sum.highest_known = false;
    ask_now(periods);
}

void device_periods_reprice(struct device_periods *periods)
{
    periods->quarter = -1;
    periods->cost_is_old = true;
    periods->old_prices = periods->asked;
    if (periods->sum.begun)
        ask_now(periods);
}

static void fill(const struct device_periods *periods, const struct derive *derive,
                 struct derived_values *values)
{
    derive_values(derive, values);
    values->cost_today_micro.known = values->cost_today_micro.known && !periods->cost_is_old;
    values->cost_month_micro.known = values->cost_month_micro.known && !periods->cost_is_old;
}

void device_periods_fill(const struct device_periods *periods, struct channel_values *channels,
                         struct device_state *state)
{
    size_t number = channel_count(periods);
    for (size_t i = 0; i < number; i++)
        fill(periods, &periods->channels[i].derive, &channels[i].derived);
    fill(periods, number > 1 ? &periods->sum : &periods->channels[0].derive, &state->derived);
    state->day_start_wall_ms = periods->calendar.day_start_ms;
    state->month_start_wall_ms = periods->calendar.month_start_ms;
}
