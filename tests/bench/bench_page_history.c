/* SPDX-License-Identifier: MIT */
/*
 * Writes the history of a made-up household into FOLDER/history.db, for looking at the page and for its
 * figures: 400 days up to now, the last two with a reading a second, channel a the house, b the sun. The
 * meter was unplugged for some hours yesterday.
 *
 *     bench_page_history FOLDER
 */
#include "bridge/history/database.h"
#include "bridge/history/store/rows.h"
#include "drivers/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS 2
#define DAY_S 86400
#define DAYS 400
#define DENSE_DAYS 2
#define SPARSE_S 300
#define COMMIT_READINGS 2000

static const struct calibration factors = {15883.3, 128118.9, 317.9};

struct load {
    uint64_t random;
    double switched_w;
    int64_t until_s; /* of what is switched on */
    double counts;
    int64_t counter;
};

static double uniform(struct load *load)
{
    load->random = load->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(load->random >> 11) / 9007199254740992.0;
}

/* 0 at night, 1 in the evening. */
static double presence(double hour)
{
    return exp(-pow((hour - 19.0) / 3.0, 2)) + 0.6 * exp(-pow((hour - 7.0) / 1.2, 2)) + 0.15;
}

static double house_w(struct load *load, int64_t second)
{
    double hour = fmod((double)second / 3600.0, 24.0);
    if (second >= load->until_s && uniform(load) < 0.002 * presence(hour)) {
        load->switched_w = 400.0 + uniform(load) * 2600.0;
        load->until_s = second + 120 + (int64_t)(uniform(load) * 2400.0);
    }
    double fridge = second % 2700 < 900 ? 90.0 : 0.0;
    double base = 140.0 + 260.0 * presence(hour) + fridge;
    return base * (1.0 + 0.02 * uniform(load)) + (second < load->until_s ? load->switched_w : 0);
}

static double sun_w(struct load *load, int64_t second)
{
    double hour = fmod((double)second / 3600.0, 24.0);
    double day = fmod((double)second / DAY_S, 365.25);
    double season = 0.55 + 0.45 * cos((day - 172.0) / 365.25 * 6.2832);
    double height = cos((hour - 12.5) / (4.0 + 4.0 * season) * 1.5708);
    if (fabs(hour - 12.5) > 4.0 + 4.0 * season || height <= 0)
        return 0;
    double clouds = 0.35 + 0.65 * pow(sin((double)(second / DAY_S) * 1.7), 2);
    return -5200.0 * season * height * clouds * (1.0 - 0.05 * uniform(load));
}

static struct queued_reading measure(struct load *load, unsigned number, int64_t wall_ms,
                                     double seconds)
{
    int64_t second = wall_ms / 1000;
    double watts = number == 1 ? house_w(load, second) : sun_w(load, second);
    double volts = 231.0 + 3.0 * sin((double)second / 3000.0) + 0.2 * uniform(load);
    load->counts += fabs(watts) * seconds * factors.power / 419430.4;
    int64_t credited = (int64_t)load->counts;
    load->counts -= (double)credited;
    load->counter = (load->counter + credited) & 0xffffff;
    return (struct queued_reading){
        .reading = {.wall_ms = wall_ms + number * 20,
                    .present = READING_ALL,
                    .voltage = (int64_t)(volts * factors.voltage),
                    .current = (int64_t)(fabs(watts) / volts * 1.05 * factors.current),
                    .power = (int64_t)(watts * factors.power),
                    .energy = load->counter,
                    .frequency = 20000 + (int64_t)(uniform(load) * 8.0) - 4},
        .imported = watts >= 0 ? credited : 0,
        .exported = watts < 0 ? credited : 0,
        .number = number,
        .kind = READING_BL0942,
    };
}

struct writing {
    struct database *database;
    struct channels channels;
    struct load loads[CHANNELS];
    struct total_row totals[CHANNELS];
    struct batch batch;
    struct queue queue;
    size_t waiting;
};

static void commit(struct writing *writing)
{
    struct error error = {""};
    queue_take(&writing->queue, SIZE_MAX, &writing->batch.readings, &writing->batch.events);
    if (database_write(writing->database, &writing->channels, &writing->batch, &error) !=
        DATABASE_DONE) {
        (void)fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    ring_clear(&writing->batch.readings);
    writing->waiting = 0;
}

static void put(struct writing *writing, int64_t wall_ms, double seconds)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct queued_reading item = measure(&writing->loads[i], i + 1, wall_ms, seconds);
        struct total_row *total = &writing->totals[i];
        queue_put_reading(&writing->queue, &item);
        total->number = i + 1;
        total->counted = writing->channels.list[i].recorded;
        total->state.known = true;
        total->state.imported += item.imported;
        total->state.exported += item.exported;
        total->state.counter = writing->loads[i].counter;
        total->state.counter_wall_ms = item.reading.wall_ms;
        total->state.counter_boot_ms = 0;
        (void)snprintf(total->state.boot_id, sizeof total->state.boot_id, "made-up");
        writing->waiting++;
    }
    if (writing->waiting >= COMMIT_READINGS)
        commit(writing);
}

static void write_history(struct writing *writing, int64_t now_ms)
{
    int64_t dense_ms = now_ms - DENSE_DAYS * DAY_S * 1000LL;
    for (int64_t at_ms = now_ms - DAYS * DAY_S * 1000LL; at_ms < dense_ms; at_ms += SPARSE_S * 1000)
        put(writing, at_ms, SPARSE_S);
    for (int64_t at_ms = dense_ms; at_ms < now_ms; at_ms += 1000) {
        int64_t ago_s = (now_ms - at_ms) / 1000;
        if (ago_s < 20 * 3600 && ago_s > 18 * 3600)
            continue;
        put(writing, at_ms, 1);
    }
    commit(writing);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "Usage: bench_page_history FOLDER\n");
        return 2;
    }
    char path[400];
    (void)snprintf(path, sizeof path, "%s/history.db", argv[1]);
    struct writing *writing = calloc(1, sizeof *writing);
    if (writing == NULL)
        return 1;
    struct error error = {""};
    int64_t now_ms = clock_wall_ms() / 1000 * 1000;
    if (database_open(path, NULL, &writing->channels, NULL, &writing->database, &error) !=
        STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        free(writing);
        return 1;
    }
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct known_channel *channel =
            channels_add(&writing->channels, i + 1, "house", i == 0 ? "a" : "b", READING_BL0942);
        (void)channels_record(&writing->channels, channel, &factors, false, CALIBRATION_CONFIGURED,
                              now_ms - DAYS * DAY_S * 1000LL);
        writing->loads[i] = (struct load){.random = i + 1};
    }
    writing->batch = (struct batch){.totals = writing->totals, .total_count = CHANNELS};
    queue_init(&writing->queue, 65536);
    write_history(writing, now_ms);
    database_close(writing->database, true);
    channels_free(&writing->channels);
    queue_free(&writing->queue);
    free(writing->batch.readings.items);
    free(writing->batch.events.items);
    free(writing);
    return 0;
}
