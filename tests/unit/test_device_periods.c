/* SPDX-License-Identifier: MIT */
/* bridge/service/device_periods: today, month and costs of a device at work are what the history says, to the last
 * digit: over a year in four zones, over restarts, also at midnight, gaps, changed tariffs and prices that follow a
 * market; and the loop never asks. */
#include "history_helper.h"

#include "bridge/history/import/interval_store.h"
#include "bridge/history/query/cost.h"
#include "bridge/service/device_periods.h"
#include "drivers/base/memory.h"
#include "random_helper.h"

#include <pthread.h>

#define CHANNELS 2
#define HALF_HOUR (1800 * SECOND)

/* ---- who asks ---- */

static pthread_t loop_thread;
static int asked_on_loop, asked_elsewhere;

enum status __real_history_query_open(const char *path, struct history_query **query,
                                      struct error *error);
enum status __wrap_history_query_open(const char *path, struct history_query **query,
                                      struct error *error);
enum status __wrap_history_query_open(const char *path, struct history_query **query,
                                      struct error *error)
{
    if (pthread_equal(pthread_self(), loop_thread))
        asked_on_loop++;
    else
        __atomic_add_fetch(&asked_elsewhere, 1, __ATOMIC_SEQ_CST);
    return __real_history_query_open(path, query, error);
}

/* ---- a device ---- */

struct world {
    const struct folder *folder;
    uv_loop_t loop;
    struct past_reader *reader;
    struct tariffs *tariffs;
    struct intervals market;
    struct config_channel channels[CHANNELS];
    struct config_device config;
    struct history *history;
    struct circuit circuits[CHANNELS];
    struct device_periods *periods;
    uint64_t dice;
    int changes;
    int64_t commit_ms;
};

static void on_changed(void *context, bool first)
{
    (void)first;
    ((struct world *)context)->changes++;
}

static void totals(const struct circuit *circuit, int64_t *imported_uwh, int64_t *exported_uwh)
{
    energy_totals_uwh(&circuit->state, &factors_one, READING_BL0942, imported_uwh, exported_uwh);
}

static void begin(struct world *world, int64_t wall_ms)
{
    static const char *const names[CHANNELS] = {"a", "b"};
    world->history = open_history(world->folder->database, 0);
    const struct device_periods_options options = {
        .config = &world->config,
        .kind = READING_BL0942,
        .reader = world->reader,
        .tariffs = &world->tariffs,
        .market = &world->market,
        .changed = on_changed,
        .context = world,
    };
    world->periods = device_periods_create(&options);
    for (size_t i = 0; i < CHANNELS; i++) {
        int64_t imported_uwh, exported_uwh;
        world->circuits[i] = add_circuit(world->history, "house", names[i]);
        world->circuits[i].wall_ms = wall_ms;
        totals(&world->circuits[i], &imported_uwh, &exported_uwh);
        device_periods_seed(world->periods, i, imported_uwh, exported_uwh);
    }
    start(world->history);
}

static void end(struct world *world)
{
    history_close(world->history, 5000);
    device_periods_free(world->periods);
}

static void read_channel(struct world *world, size_t i, int64_t wall_ms)
{
    struct channel_values values = {.power_mw = {true, 1000000}};
    struct circuit *circuit = &world->circuits[i];
    circuit->wall_ms = wall_ms - SECOND; /* put() adds it */
    put(world->history, circuit, between(&world->dice, 0, 90000),
        i == 1 ? between(&world->dice, 0, 900) : 0);
    values.energy_uwh.known = values.energy_produced_uwh.known = true;
    totals(circuit, &values.energy_uwh.value, &values.energy_produced_uwh.value);
    device_periods_reading(world->periods, i, wall_ms, &values);
}

static void turn(struct world *world)
{
    int64_t commit_ms = health_of(world->history).last_commit_boot_ms;
    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    if (commit_ms != world->commit_ms)
        device_periods_committed(world->periods);
    world->commit_ms = commit_ms;
}

/* Until all is on the disk and nothing is asked for any more. */
static void settle(struct world *world)
{
    int quiet = 0, changes = world->changes;
    uint64_t rows = health_of(world->history).committed_rows;
    int64_t deadline_ms = clock_boot_ms() + 60000;
    while (quiet < 3) {
        if (clock_boot_ms() > deadline_ms)
            fail_msg("the past is not known");
        turn(world);
        if (health_of(world->history).queued == 0) /* with the next commit, whoever's it is */
            device_periods_committed(world->periods);
        if (device_periods_busy(world->periods) || health_of(world->history).queued > 0 ||
            changes != world->changes || rows != health_of(world->history).committed_rows)
            quiet = 0;
        else
            quiet++;
        changes = world->changes;
        rows = health_of(world->history).committed_rows;
        sleep_ms(2);
    }
}

struct sum {
    int64_t imported_uwh, exported_uwh, cost_micro;
};

static bool add_row(void *context, const struct history_cost_row *row)
{
    struct sum *sum = context;
    sum->imported_uwh += row->imported_uwh;
    sum->exported_uwh += row->exported_uwh;
    sum->cost_micro += row->cost_micro;
    return true;
}

static void check_span(const struct world *world, const char *channel, int64_t from_ms,
                       int64_t wall_ms, const struct amount *shown)
{
    struct sum sum = {0};
    struct history_query *query = NULL;
    const struct history_cost_question question = {
        .device = "house",
        .channel = channel,
        .from_ms = from_ms,
        .to_ms = bucket_next(BUCKET_DAY, wall_ms),
        .now_ms = wall_ms,
        .bucket = BUCKET_MONTH,
        .tariffs = world->tariffs->list,
        .tariff_count = world->tariffs->count,
    };
    assert_int_equal(__real_history_query_open(world->folder->database, &query, NULL), STATUS_OK);
    assert_int_equal(history_query_cost(query, &question, add_row, &sum, NULL), STATUS_OK);
    history_query_close(query);
    assert_true(shown[0].known && shown[1].known && shown[2].known);
    if (shown[0].value != sum.imported_uwh || shown[1].value != sum.exported_uwh ||
        shown[2].value != sum.cost_micro)
        fail_msg("%s at %lld since %lld: imported %lld not %lld, exported %lld not %lld, cost %lld "
                 "not %lld",
                 channel == NULL ? "sum" : channel, (long long)wall_ms, (long long)from_ms,
                 (long long)shown[0].value, (long long)sum.imported_uwh, (long long)shown[1].value,
                 (long long)sum.exported_uwh, (long long)shown[2].value, (long long)sum.cost_micro);
}

static void check_values(const struct world *world, const char *channel, int64_t wall_ms,
                         const struct derived_values *values)
{
    const struct amount day[] = {values->energy_today_uwh, values->produced_today_uwh,
                                 values->cost_today_micro};
    const struct amount month[] = {values->energy_month_uwh, values->produced_month_uwh,
                                   values->cost_month_micro};
    check_span(world, channel, bucket_start(BUCKET_DAY, wall_ms), wall_ms, day);
    check_span(world, channel, bucket_start(BUCKET_MONTH, wall_ms), wall_ms, month);
}

static void check(const struct world *world, int64_t wall_ms)
{
    struct channel_values values[CHANNELS] = {{.power_mw = {false, 0}}};
    struct device_state state = {.channels = values};
    device_periods_fill(world->periods, values, &state);
    check_values(world, "a", wall_ms, &values[0].derived);
    check_values(world, "b", wall_ms, &values[1].derived);
    check_values(world, NULL, wall_ms, &state.derived);
}

static struct tariffs *make_tariffs(int64_t price_micro)
{
    struct tariffs *tariffs = tariffs_new(2);
    for (size_t i = 0; i < 2; i++) {
        struct tariff *tariff = &tariffs->list[i];
        memcpy(tariff->currency, "EUR", 4);
        tariff->valid_from = i == 0 ? 0 : 20250310;
        tariff->price_micro = price_micro + (int64_t)i * 7;
        tariff->feed_in_micro = 80001;
        tariff->standing_charge_micro = 412345;
        tariff->dynamic = tariff->dynamic_feed_in = i == 1;
        tariff->factor_micro = 1190000;
        tariff->window_count = 1;
        tariff->windows = memory_new(1, sizeof *tariff->windows);
        tariff->windows[0] = (struct tariff_window){.from_minute = 22 * 60,
                                                    .to_minute = 105,
                                                    .days = 0x7f,
                                                    .months = 0xfff,
                                                    .price_micro = 123457,
                                                    .feed_in_micro = TARIFF_ABSENT};
    }
    return tariffs;
}

/* In the history and in memory, as the service has them: negative ones, too. Without a gap, as the history spreads energy
 * over absences. */
static void make_market(struct world *world, int64_t from_ms, int64_t to_ms)
{
    for (int64_t quarter = from_ms / DERIVE_QUARTER_MS; quarter < to_ms / DERIVE_QUARTER_MS;
         quarter++) {
        const struct interval interval = {.quarter = quarter,
                                          .value_micro = between(&world->dice, 0, 900000) - 200000};
        (void)intervals_put(&world->market, &interval);
    }
    assert_int_equal(
        interval_store_put(world->folder->database, INTERVAL_PRICE, &world->market, NULL),
        STATUS_OK);
}

static void change_tariffs(struct world *world)
{
    struct tariffs *before = world->tariffs;
    world->tariffs = make_tariffs(200000 + between(&world->dice, 0, 100000));
    tariffs_release(before);
    device_periods_reprice(world->periods);
}

static void restart(struct world *world, int64_t wall_ms)
{
    end(world);
    begin(world, wall_ms);
}

/* The last reading of a day, a restart, and the first one of the next day. */
static int64_t restart_at_midnight(struct world *world, int64_t wall_ms)
{
    int64_t midnight_ms = bucket_next(BUCKET_DAY, wall_ms);
    for (size_t channel = 0; channel < CHANNELS; channel++)
        read_channel(world, channel, midnight_ms - 1 - (int64_t)channel);
    restart(world, midnight_ms);
    read_channel(world, 0, midnight_ms);
    return midnight_ms + 60000;
}

/* A device is read around the clock's changes and the ends of months, with what may happen meanwhile. */
static void play(struct world *world, const char *zone)
{
    static const int64_t days[] = {
        1733011200000, 1740700800000, 1741305600000, 1743206400000,
        1743811200000, 1757116800000, 1759536000000, 1761350400000,
    };
    use_zone(zone);
    begin(world, days[0]); /* for its file */
    end(world);
    make_market(world, days[0], days[sizeof days / sizeof days[0] - 1] + 20 * DAY);
    begin(world, days[0]);
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        int64_t wall_ms = days[i] + between(&world->dice, 0, 100000);
        for (int reading = 0; reading < 45; reading++) {
            int64_t event = between(&world->dice, 0, 39);
            wall_ms += between(&world->dice, SECOND, HALF_HOUR);
            if (event == 0)
                wall_ms += between(&world->dice, 0, 20 * HOUR);
            for (size_t channel = 0; channel < CHANNELS; channel++)
                if (channel == 0 || event % 5 != 1)
                    read_channel(world, channel, wall_ms + (int64_t)channel * 100);
            if (event == 2)
                restart(world, wall_ms);
            else if (event == 5)
                wall_ms = restart_at_midnight(world, wall_ms);
            else if (event == 3)
                change_tariffs(world);
            else if (event == 4)
                device_periods_forget(world->periods);
            turn(world);
            if (event > 5 && reading < 44)
                continue;
            if (event == 2 || event == 5) /* nothing is known before the first reading */
                read_channel(world, 0, wall_ms += 60100);
            settle(world);
            check(world, wall_ms);
        }
    }
    end(world);
}

static void play_zone(void **state, const char *zone)
{
    static char id[] = "house", a[] = "a", b[] = "b";
    char *const names[CHANNELS] = {a, b};
    struct world *world = memory_new(1, sizeof *world);
    world->folder = *state;
    for (size_t i = 0; i < CHANNELS; i++)
        world->channels[i].name = names[i];
    world->config = (struct config_device){
        .id = id, .interval_ms = 1000, .channels = world->channels, .channel_count = CHANNELS};
    world->dice = test_seed();
    world->tariffs = make_tariffs(312345);
    loop_thread = pthread_self();
    asked_on_loop = asked_elsewhere = 0;
    assert_int_equal(uv_loop_init(&world->loop), 0);
    world->reader = past_reader_create(&world->loop, world->folder->database);
    play(world, zone);
    past_reader_close(world->reader);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    tariffs_release(world->tariffs);
    intervals_free(&world->market);
    free(world);
    assert_int_equal(asked_on_loop, 0);
    assert_true(asked_elsewhere > 20);
}

static void test_berlin(void **state)
{
    play_zone(state, "Europe/Berlin");
}

static void test_santiago(void **state)
{
    play_zone(state, "America/Santiago");
}

static void test_lord_howe(void **state)
{
    play_zone(state, "Australia/Lord_Howe");
}

static void test_kathmandu(void **state)
{
    play_zone(state, "Asia/Kathmandu");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_berlin, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_santiago, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_lord_howe, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_kathmandu, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
