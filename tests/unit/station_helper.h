/* SPDX-License-Identifier: MIT */
/* What the tests of rollups share: the writer without its thread and its waiting, with two channels. Included
 * after history_helper.h by one test file each. */
#ifndef TESTS_UNIT_STATION_HELPER_H
#define TESTS_UNIT_STATION_HELPER_H

#include "bridge/history/database.h"
#include "bridge/history/retention.h"

#define CHANNELS 2

/* What the writer's thread does, without its waiting. */
struct station {
    const char *path;
    struct database *database;
    struct channels channels;
    struct queue queue;
    struct batch batch;
    struct total_row totals[CHANNELS];
    int64_t absent_ms; /* so long nobody read before the next reading */
};

HELPER void station_open(struct station *station, const char *path)
{
    struct error error = {""};
    *station = (struct station){.path = path};
    queue_init(&station->queue, 65536);
    if (database_open(path, NULL, &station->channels, NULL, &station->database, &error) !=
        STATUS_OK)
        fail_msg("%s", error.text);
    for (unsigned i = 0; i < CHANNELS; i++) {
        const char *name = i == 0 ? "a" : "b";
        struct known_channel *channel =
            channels_find_name(&station->channels, "house", name, READING_BL0942);
        if (channel == NULL)
            channel = channels_add(&station->channels, i + 1, "house", name, READING_BL0942);
        if (channel->recorded.id == 0)
            (void)channels_record(&station->channels, channel, &factors_one, false,
                                  CALIBRATION_CONFIGURED, BEGIN_MS - 1000 * DAY);
        station->totals[i].number = channel->number;
        station->totals[i].state = channel->state;
    }
}

HELPER void station_close(struct station *station)
{
    database_close(station->database, true);
    channels_free(&station->channels);
    queue_free(&station->queue);
    free(station->batch.readings.items);
    free(station->batch.events.items);
    free(station->batch.calibrations);
}

HELPER void station_commit(struct station *station)
{
    struct error error = {""};
    struct batch *batch = &station->batch;
    queue_take(&station->queue, SIZE_MAX, &batch->readings, &batch->events);
    batch_take_calibrations(batch, &station->channels);
    batch->totals = station->totals;
    batch->total_count = CHANNELS;
    for (unsigned i = 0; i < CHANNELS; i++)
        station->totals[i].counted = station->channels.list[i].recorded;
    if (database_write(station->database, &station->channels, batch, &error) != DATABASE_DONE)
        fail_msg("%s", error.text);
    batch_calibrations_stored(batch, &station->channels);
    ring_clear(&batch->readings);
}

/* As the meter does: what was counted until now becomes energy with the factors it was counted with. */
HELPER void station_calibrate(struct station *station, unsigned index,
                              const struct calibration *factors, bool invert, int64_t wall_ms)
{
    struct known_channel *channel = &station->channels.list[index];
    station_commit(station);
    if (calibration_equal(factors, &channel->recorded.factors))
        return; /* then nothing is folded */
    energy_fold(&station->totals[index].state, &channel->recorded.factors, READING_BL0942);
    (void)channels_record(&station->channels, channel, factors, invert, CALIBRATION_CONFIGURED,
                          wall_ms);
    station_commit(station);
}

struct limits {
    int64_t before_ms[RETENTION_LEVELS];
};

/* A step of maintenance, with these limits if there are any. */
HELPER bool maintain(struct station *station, const struct limits *limits, bool *more)
{
    struct retention retention = {.active = limits != NULL};
    if (limits != NULL)
        memcpy(retention.before_ms, limits->before_ms, sizeof retention.before_ms);
    return retention_step(&retention, database_rows(station->database), 0, more) == SQLITE_OK;
}

HELPER bool may_delete(struct station *station, int64_t now_ms, int64_t keep_ms)
{
    struct retention retention;
    const int64_t keep[] = {HOUR, 0, keep_ms};
    retention_init(&retention, keep, -HOUR);
    retention_begin(&retention, database_rows(station->database), now_ms, 0, CLOCK_SYNCHRONISED);
    return retention.active;
}

HELPER void station_put(struct station *station, unsigned index, int64_t wall_ms, int64_t power,
                        int64_t imported, int64_t exported)
{
    const struct queued_reading item = {
        .reading = {.wall_ms = wall_ms,
                    .present = power % 7 == 0 ? READING_ALL & ~READING_POWER : READING_ALL,
                    .voltage = 3653159 + power % 1000,
                    .current = power * 3,
                    .power = power,
                    .energy = 5,
                    .frequency = 20000 + power % 5},
        .imported = imported,
        .exported = exported,
        .number = station->totals[index].number,
        .kind = READING_BL0942,
        .counted_since_ms = station->absent_ms > 0 ? wall_ms - station->absent_ms : 0,
    };
    station->absent_ms = 0;
    queue_put_reading(&station->queue, &item);
    struct energy_state *state = &station->totals[index].state;
    state->known = true;
    state->imported += imported;
    state->exported += exported;
    state->counter_wall_ms = wall_ms;
}

HELPER void catch_up(struct station *station)
{
    bool more = true;
    while (more)
        assert_true(maintain(station, NULL, &more));
}

#endif
