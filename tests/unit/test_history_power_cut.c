/* SPDX-License-Identifier: MIT */
/*
 * The power is cut after every single write, sync or deletion that the writer does, and of what was not
 * synced nothing, all or random sectors are left: the file opens sound each time, every transaction that was
 * acknowledged is there as a whole, no total is lower than an acknowledged one, and the stored readings add
 * up to the totals.
 *
 * The suite tries some moments at random; TEST_POWER_CUTS=0 tries every one.
 */
#include "bridge/history/database.h"
#include "history_helper.h"
#include "power_cut_vfs.h"

#define CHANNELS 2
#define TRANSACTIONS 40 /* in each of the two runs */
#define CUTS 120

/* What was acknowledged when that many operations were done. */
struct acknowledged {
    size_t ops;
    int64_t readings;
    int64_t counts[CHANNELS];
    int64_t cursor;
};

struct work {
    struct folder folder;
    struct channels channels;
    struct database *database;
    struct batch batch;
    struct queue queue;
    struct total_row totals[CHANNELS];
    struct acknowledged *steps;
    size_t step_count;
    struct acknowledged now;
    int64_t wall_ms;
    uint64_t dice;
};

static void open_database(struct work *work)
{
    struct error error = {""};
    channels_free(&work->channels);
    if (database_open(work->folder.database, NULL, &work->channels, NULL, &work->database,
                      &error) != STATUS_OK)
        fail_msg("%s", error.text);
    for (unsigned i = 0; i < CHANNELS; i++) {
        const char *name = i == 0 ? "a" : "b";
        struct known_channel *channel =
            channels_find_name(&work->channels, "house", name, READING_BL0942);
        if (channel == NULL)
            channel = channels_add(&work->channels, i + 1, "house", name, READING_BL0942);
        (void)channels_record(&work->channels, channel, &factors_one, false, CALIBRATION_CONFIGURED,
                              BEGIN_MS);
        work->totals[i].number = i + 1;
        work->totals[i].counted = channel->recorded;
    }
}

static void measure(struct work *work, unsigned channel)
{
    int64_t credited = below(&work->dice, 5);
    struct energy_state *state = &work->totals[channel].state;
    state->known = true;
    state->imported += credited;
    state->counter += credited;
    state->counter_wall_ms = work->wall_ms;
    (void)snprintf(state->boot_id, sizeof state->boot_id, "test");
    const struct queued_reading item = {
        .number = channel + 1,
        .kind = READING_BL0942,
        .imported = credited,
        .reading = {.wall_ms = work->wall_ms,
                    .present = READING_ALL,
                    .voltage = 3600000,
                    .current = below(&work->dice, 1 << 23),
                    .power = below(&work->dice, 1 << 23),
                    .energy = state->counter,
                    .frequency = 20000},
    };
    queue_put_reading(&work->queue, &item);
    work->now.readings++;
    work->now.counts[channel] = state->imported;
}

static void transact(struct work *work)
{
    struct error error = {""};
    for (int64_t seconds = between(&work->dice, 1, 60); seconds > 0; seconds--) {
        work->wall_ms += SECOND;
        for (unsigned i = 0; i < CHANNELS; i++)
            measure(work, i);
    }
    const struct queued_event event = {.wall_ms = work->wall_ms, .kind = "tick", .message = "x"};
    if (below(&work->dice, 4) == 0)
        queue_put_event(&work->queue, &event);
    queue_take(&work->queue, SIZE_MAX, &work->batch.readings, &work->batch.events);
    batch_take_calibrations(&work->batch, &work->channels);
    if (work->step_count > 0) /* with the first calibration nothing can be sent yet */
        work->now.cursor = key_make(work->wall_ms, 0);
    work->batch.outboxes[0] = (struct outbox){.id = "sink", .cursor = work->now.cursor};
    work->batch.outbox_count = 1;
    if (database_write(work->database, &work->channels, &work->batch, &error) != DATABASE_DONE)
        fail_msg("%s", error.text);
    batch_calibrations_stored(&work->batch, &work->channels);
    ring_clear(&work->batch.readings);
    events_clear(&work->batch.events);
    work->now.ops = cut_log.count;
    work->steps[work->step_count++] = work->now;
}

/* Made, filled, closed with its log folded in, opened, filled, and there is the end. */
static void write_history(struct work *work)
{
    cut_begin();
    queue_init(&work->queue, 65536);
    work->batch.totals = work->totals;
    work->batch.total_count = CHANNELS;
    work->steps = calloc(2 * TRANSACTIONS, sizeof *work->steps);
    work->wall_ms = BEGIN_MS;
    for (int run = 0; run < 2; run++) {
        open_database(work);
        for (int i = 0; i < TRANSACTIONS; i++)
            transact(work);
        database_close(work->database, run == 0);
    }
    cut_end();
}

static const struct acknowledged *acknowledged_at(const struct work *work, size_t ops)
{
    const struct acknowledged *last = NULL;
    for (size_t i = 0; i < work->step_count && work->steps[i].ops <= ops; i++)
        last = &work->steps[i];
    return last;
}

static void check_contents(const struct folder *crashed, const struct acknowledged *minimum,
                           const struct channels *channels, const char *what)
{
    if (strcmp(ask(crashed->database, "PRAGMA integrity_check"), "ok") != 0)
        fail_msg("%s: the file is damaged", what);
    int64_t readings = ask_number(crashed->database, "SELECT count(*) FROM reading");
    int64_t unequal = ask_number(
        crashed->database,
        "SELECT count(*) FROM total WHERE imported <> (SELECT coalesce(sum(imported), 0) "
        "FROM reading WHERE key & 32767 = total.channel)");
    if (unequal != 0)
        fail_msg("%s: the readings are not what the totals say", what);
    if (minimum == NULL)
        return;
    if (readings < minimum->readings)
        fail_msg("%s: %d of %d readings", what, (int)readings, (int)minimum->readings);
    if (ask_number(crashed->database, "SELECT cursor FROM sink") < minimum->cursor)
        fail_msg("%s: the cursor of the sink went back", what);
    for (unsigned i = 0; i < CHANNELS; i++)
        if (channels->list[i].state.imported < minimum->counts[i])
            fail_msg("%s: total %u is %d, %d was acknowledged", what, i,
                     (int)channels->list[i].state.imported, (int)minimum->counts[i]);
}

static void cut_after(const struct work *work, size_t ops, double survives, uint64_t *dice)
{
    char what[80];
    (void)snprintf(what, sizeof what, "cut after %zu of %zu operations, %.2f survive", ops,
                   cut_log.count, survives);
    void *state = NULL;
    (void)folder_setup(&state);
    const struct folder *crashed = state;
    cut_leave(ops, survives, dice, crashed->path);

    struct channels channels = {0};
    struct database *database = NULL;
    struct error error = {""};
    if (database_open(crashed->database, NULL, &channels, NULL, &database, &error) != STATUS_OK)
        fail_msg("%s: %s", what, error.text);
    if (database_quarantine(database)[0] != '\0')
        fail_msg("%s: the file was quarantined", what);
    check_contents(crashed, acknowledged_at(work, ops), &channels, what);
    database_close(database, false);
    channels_free(&channels);
    (void)folder_teardown(&state);
}

static void test_power_cuts(void **state)
{
    struct work work = {.dice = test_seed()};
    work.folder = *(struct folder *)*state;
    write_history(&work);

    static const double chances[] = {0, 1, 0.5};
    int64_t wanted = test_setting("TEST_POWER_CUTS", CUTS);
    size_t cuts = 0;
    if (wanted == 0) {
        for (size_t ops = 0; ops <= cut_log.count; ops++)
            for (size_t i = 0; i < 3; i++, cuts++)
                cut_after(&work, ops, chances[i], &work.dice);
    } else {
        for (; cuts < (size_t)wanted; cuts++)
            cut_after(&work, (size_t)below(&work.dice, (int64_t)cut_log.count + 1),
                      chances[cuts % 3], &work.dice);
    }
    (void)printf("figure: %zu power cuts within %zu operations of %zu transactions: all opened "
                 "clean, nothing acknowledged was lost, no total was lower\n",
                 cuts, cut_log.count, work.step_count);
    free(work.steps);
    free(work.batch.readings.items);
    free(work.batch.events.items);
    free(work.batch.calibrations);
    queue_free(&work.queue);
    channels_free(&work.channels);
    cut_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_power_cuts, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
