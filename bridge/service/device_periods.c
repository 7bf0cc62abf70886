/* SPDX-License-Identifier: MIT */
#include "bridge/service/device_periods.h"

#include "bridge/history/query/buckets.h"
#include "bridge/history/query/cost.h"
#include "bridge/meter/derive.h"
#include "drivers/base/memory.h"

#include <time.h>

static const int64_t believable_wall_ms = INT64_C(1704067200000); /* 2024-01-01 */
static const int64_t hold_least_ms = 10000;

struct channel {
    struct derive derive;
    bool power_known;
    int64_t power_mw;
    int64_t imported_uwh, exported_uwh;
};

struct device_periods {
    struct device_periods_options options;
    struct derive_calendar calendar; /* of the last reading */
    struct derive_prices prices;
    int64_t quarter; /* the prices' */
    struct channel *channels;
    struct derive sum;
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
    return tariff_at(periods->options.tariffs, periods->options.tariff_count, local);
}

const char *device_periods_currency(const struct device_periods *periods, int64_t wall_ms)
{
    struct tm local;
    const struct tariff *tariff = tariff_on(periods, wall_ms, &local);
    if (tariff == NULL && periods->options.tariff_count > 0)
        tariff = &periods->options.tariffs[0];
    return tariff == NULL ? "" : tariff->currency;
}

static void follow_calendar(struct device_periods *periods, int64_t wall_ms)
{
    struct derive_calendar *calendar = &periods->calendar;
    if (wall_ms >= calendar->day_start_ms && wall_ms < calendar->day_end_ms)
        return;
    *calendar = (struct derive_calendar){
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
    periods->prices = (struct derive_prices){.known = tariff != NULL};
    if (tariff == NULL)
        return;
    tariff_prices(tariff, &local, &periods->prices.price_micro, &periods->prices.feed_in_micro);
    periods->prices.standing_charge_micro = tariff->standing_charge_micro;
}

/* ---- the past ---- */

static bool add_row(void *context, const struct history_cost_row *row)
{
    struct derive_past *past = context;
    past->imported_uwh += row->imported_uwh;
    past->exported_uwh += row->exported_uwh;
    past->cost_micro += row->cost_micro;
    return true;
}

struct highest {
    int64_t now_ms, power_mw, wall_ms;
};

static bool compare_row(void *context, const struct history_energy_row *row)
{
    struct highest *highest = context;
    bool counts =
        row->power_known && row->coverage_permille >= 500 && row->end_ms <= highest->now_ms;
    if (counts && (highest->wall_ms == 0 || row->power_mean_mw > highest->power_mw)) {
        highest->power_mw = row->power_mean_mw;
        highest->wall_ms = row->end_ms;
    }
    return true;
}

/* A channel without a past answers nothing, and that is what it has. */
static void ask(const struct device_periods *periods, struct history_query *query,
                const char *channel, int64_t from_ms, int64_t now_ms, struct derive_past *past)
{
    const struct history_cost_question question = {
        .device = periods->options.config->id,
        .channel = channel,
        .from_ms = from_ms,
        .to_ms = now_ms,
        .now_ms = now_ms,
        .bucket = BUCKET_MONTH,
        .tariffs = periods->options.tariffs,
        .tariff_count = periods->options.tariff_count,
    };
    *past = (struct derive_past){0};
    if (from_ms < now_ms)
        (void)history_query_cost(query, &question, add_row, past, NULL);
}

/* channel NULL: the sum. The totals are those before the reading at now_ms. */
static void begin(const struct device_periods *periods, struct derive *derive, const char *channel,
                  int64_t now_ms, int64_t imported_uwh, int64_t exported_uwh)
{
    struct derive_past day = {0}, month = {0};
    struct highest highest = {.now_ms = now_ms};
    struct history_query *query = NULL;
    const struct derive_calendar *calendar = &periods->calendar;
    if (history_query_open(periods->options.history_path, &query, NULL) == STATUS_OK) {
        ask(periods, query, channel, calendar->day_start_ms, now_ms, &day);
        ask(periods, query, channel, calendar->month_start_ms, now_ms, &month);
        if (calendar->month_start_ms < now_ms)
            (void)history_query_energy(query, periods->options.config->id, channel,
                                       calendar->month_start_ms, now_ms, BUCKET_QUARTER,
                                       compare_row, &highest, NULL);
        history_query_close(query);
    }
    derive_begin(derive, calendar, imported_uwh, exported_uwh, &day, &month, highest.power_mw,
                 highest.wall_ms);
    derive->priced = periods->prices.known;
}

/* ---- readings ---- */

static int64_t hold_ms(const struct device_periods *periods)
{
    int64_t interval_ms = periods->options.config->interval_ms * 5 / 2;
    return interval_ms > hold_least_ms ? interval_ms : hold_least_ms;
}

static void accept(const struct device_periods *periods, struct derive *derive, int64_t wall_ms,
                   const struct channel *from)
{
    const struct derive_reading reading = {
        .wall_ms = wall_ms,
        .power_known = from->power_known,
        .power_mw = from->power_mw,
        .imported_uwh = from->imported_uwh,
        .exported_uwh = from->exported_uwh,
        .hold_ms = hold_ms(periods),
    };
    derive_accept(derive, &reading, &periods->calendar, &periods->prices);
}

static void add_up(const struct device_periods *periods, struct channel *sum)
{
    *sum = (struct channel){.power_known = true};
    for (size_t i = 0; i < periods->options.config->channel_count; i++) {
        const struct channel *channel = &periods->channels[i];
        sum->power_known = sum->power_known && channel->power_known;
        sum->power_mw += channel->power_mw;
        sum->imported_uwh += channel->imported_uwh;
        sum->exported_uwh += channel->exported_uwh;
    }
}

void device_periods_seed(struct device_periods *periods, size_t channel, int64_t imported_uwh,
                         int64_t exported_uwh)
{
    periods->channels[channel].imported_uwh = imported_uwh;
    periods->channels[channel].exported_uwh = exported_uwh;
}

/* The history has everything up to the reading that is coming, which is why both begin before it. */
static void begin_all(struct device_periods *periods, size_t number, int64_t wall_ms)
{
    const struct config_device *config = periods->options.config;
    struct channel *channel = &periods->channels[number];
    if (!channel->derive.begun)
        begin(periods, &channel->derive, config->channels[number].name, wall_ms,
              channel->imported_uwh, channel->exported_uwh);
    if (config->channel_count < 2 || periods->sum.begun)
        return;
    struct channel sum;
    add_up(periods, &sum);
    begin(periods, &periods->sum, NULL, wall_ms, sum.imported_uwh, sum.exported_uwh);
}

void device_periods_reading(struct device_periods *periods, size_t number, int64_t wall_ms,
                            const struct channel_values *values)
{
    if (wall_ms < believable_wall_ms || !values->energy_uwh.known)
        return;
    struct channel *channel = &periods->channels[number];
    follow_calendar(periods, wall_ms);
    follow_prices(periods, wall_ms);
    begin_all(periods, number, wall_ms);
    channel->power_known = values->power_mw.known;
    channel->power_mw = values->power_mw.value;
    channel->imported_uwh = values->energy_uwh.value;
    channel->exported_uwh = values->energy_produced_uwh.value;
    accept(periods, &channel->derive, wall_ms, channel);
    if (periods->options.config->channel_count < 2)
        return;
    struct channel sum;
    add_up(periods, &sum);
    accept(periods, &periods->sum, wall_ms, &sum);
}

void device_periods_shift(struct device_periods *periods, size_t number, int64_t imported_uwh,
                          int64_t exported_uwh)
{
    struct channel *channel = &periods->channels[number];
    channel->imported_uwh += imported_uwh;
    channel->exported_uwh += exported_uwh;
    derive_shift(&channel->derive, imported_uwh, exported_uwh);
    derive_shift(&periods->sum, imported_uwh, exported_uwh);
}

void device_periods_forget(struct device_periods *periods)
{
    for (size_t i = 0; i < periods->options.config->channel_count; i++)
        periods->channels[i].derive.begun = false;
    periods->sum.begun = false;
}

void device_periods_fill(const struct device_periods *periods, struct channel_values *channels,
                         struct device_state *state)
{
    size_t count = periods->options.config->channel_count;
    for (size_t i = 0; i < count; i++)
        derive_values(&periods->channels[i].derive, &channels[i].derived);
    derive_values(count > 1 ? &periods->sum : &periods->channels[0].derive, &state->derived);
    state->day_start_wall_ms = periods->calendar.day_start_ms;
    state->month_start_wall_ms = periods->calendar.month_start_ms;
}
