/* SPDX-License-Identifier: MIT */
/* history voltage: a made-up fortnight with known answers, and the sentences that carry an event's numbers. */
#include "history_helper.h"
#include "station_helper.h"

#include "bridge/history/query/voltage.h"
#include "bridge/meter/voltage_sentence.h"

#include <math.h>

#define MINUTE (60 * SECOND)
#define UNKNOWN INT64_MIN

/* Monday, 2026-03-02 00:00 UTC */
#define MONDAY_MS (BEGIN_MS + DAY)

static void put_volts(struct station *station, int64_t from_ms, int64_t to_ms, double volts)
{
    for (int64_t wall_ms = from_ms; wall_ms < to_ms; wall_ms += 10 * SECOND) {
        const struct queued_reading item = {
            .reading = {.wall_ms = wall_ms,
                        .present = READING_ALL,
                        .voltage = (int32_t)llround(volts * factors_one.voltage),
                        .power = 31790},
            .number = station->totals[0].number,
            .kind = READING_BL0942,
        };
        queue_put_reading(&station->queue, &item);
    }
    station_commit(station);
}

static void put_event(const char *path, int64_t wall_ms, const char *kind, const char *message)
{
    char sql[400];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO event (key, kind, message) VALUES (%lld, '%s', '%s')",
                   (long long)(wall_ms << 15 | 1), kind, message);
    change(path, sql);
}

struct expected {
    int64_t start_ms, end_ms;
    int64_t share, lowest_v, highest_v;
    int64_t sags, swells, interruptions, deepest_mv, longest_ms;
    int coverage_permille;
};

struct rows {
    const struct expected *list;
    size_t count, at;
};

static void expect(bool known, int64_t value, int64_t wanted, const char *what)
{
    int64_t found = known ? value : UNKNOWN;
    if (found != wanted)
        fail_msg("%s: %lld instead of %lld", what, (long long)found, (long long)wanted);
}

static bool check_row(void *context, const struct history_voltage_row *row)
{
    struct rows *rows = context;
    assert_in_range(rows->at, 0, rows->count - 1);
    const struct expected *wanted = &rows->list[rows->at++];
    expect(true, row->start_ms, wanted->start_ms, "start");
    expect(true, row->end_ms, wanted->end_ms, "end");
    expect(row->share_known, row->share, wanted->share, "share");
    expect(row->mean_known, (row->lowest_mv + 500) / 1000, wanted->lowest_v, "lowest");
    expect(row->mean_known, (row->highest_mv + 500) / 1000, wanted->highest_v, "highest");
    expect(row->counts_known, row->sags, wanted->sags, "sags");
    expect(row->counts_known, row->swells, wanted->swells, "swells");
    expect(row->counts_known, row->interruptions, wanted->interruptions, "interruptions");
    expect(row->deepest_known, row->deepest_mv, wanted->deepest_mv, "deepest");
    expect(row->longest_known, row->longest_ms, wanted->longest_ms, "longest");
    expect(true, row->coverage_permille, wanted->coverage_permille, "coverage");
    assert_string_equal(row->channel, "a");
    return true;
}

static void check(const char *path, int64_t from_ms, int64_t to_ms, enum history_bucket bucket,
                  const struct expected *list, size_t count)
{
    struct error error = {""};
    struct rows rows = {.list = list, .count = count};
    const struct history_voltage_question question = {
        .device = "house",
        .channel = "a",
        .from_ms = from_ms,
        .to_ms = to_ms,
        .bucket = bucket,
        .nominal_mv = 230000,
    };
    if (history_voltage(path, &question, check_row, &rows, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    assert_int_equal(rows.at, count);
}

/* One day of 144 means: 100 of 230 V, 30 of 200 V, 13 of 254 V, and one that averages 230 V out of 200 and 260. */
static void test_known_answers(void **state)
{
    const struct folder *folder = *state;
    const char *path = folder->database;
    use_zone("UTC");
    struct station station;
    station_open(&station, path);
    int64_t at_ms = MONDAY_MS;
    put_volts(&station, at_ms, at_ms + 1000 * MINUTE, 230);
    put_volts(&station, at_ms + 1000 * MINUTE, at_ms + 1300 * MINUTE, 200);
    put_volts(&station, at_ms + 1300 * MINUTE, at_ms + 1430 * MINUTE, 254);
    put_volts(&station, at_ms + 1430 * MINUTE, at_ms + 1435 * MINUTE, 200);
    put_volts(&station, at_ms + 1435 * MINUTE, at_ms + 1440 * MINUTE, 260);
    /* On Wednesday four minutes: too little for a mean. */
    put_volts(&station, at_ms + 2 * DAY, at_ms + 2 * DAY + 4 * MINUTE, 210);
    /* What ends the minute before. */
    put_volts(&station, at_ms + 14 * DAY, at_ms + 14 * DAY + MINUTE, 230);
    catch_up(&station);
    station_close(&station);
    put_event(path, at_ms + HOUR, "voltage_sag",
              "A voltage sag down to 195.2 V (84.8 %), 12.4 s long.");
    put_event(
        path, at_ms + 2 * HOUR, "voltage_sag",
        "A voltage sag down to 180.0 V (78.2 %), 1.0 s long until the readings stopped. (3 more "
        "events of this kind before it were left out.)");
    put_event(path, at_ms + 3 * HOUR, "voltage_swell",
              "A voltage swell up to 261.0 V (113.4 %), 60.0 s long.");
    put_event(path, at_ms + DAY + HOUR, "voltage_interruption",
              "A voltage interruption down to 1.5 V (0.6 %), 3.0 s long.");
    put_event(path, at_ms + DAY + HOUR + 1, "offline", "A voltage sag of prose.");

    const struct expected days[] = {
        {at_ms, at_ms + DAY, 7014, 200, 254, 5, 1, 0, 180000, 60000, 1000},
        {at_ms + DAY, at_ms + 2 * DAY, UNKNOWN, UNKNOWN, UNKNOWN, 0, 0, 1, 1500, 3000, 0},
        {at_ms + 2 * DAY, at_ms + 3 * DAY, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
         UNKNOWN, UNKNOWN, 0},
    };
    check(path, at_ms, at_ms + 3 * DAY, BUCKET_DAY, days, 3);
    /* A day is too little of a week for its share, and the second week knows nothing. */
    const struct expected weeks[] = {
        {at_ms, at_ms + 7 * DAY, UNKNOWN, 200, 254, 5, 1, 1, 1500, 60000, 142},
        {at_ms + 7 * DAY, at_ms + 14 * DAY, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
         UNKNOWN, UNKNOWN, 0},
    };
    check(path, at_ms, at_ms + 14 * DAY, BUCKET_WEEK, weeks, 2);
    /* A week that is cut to 20:03: 120 whole means, 100 of them within. */
    const struct expected cut[] = {
        {at_ms, at_ms + 1203 * MINUTE, 8333, 200, 230, 5, 1, 0, 180000, 60000, 1000}};
    check(path, at_ms, at_ms + 1203 * MINUTE, BUCKET_WEEK, cut, 1);
}

static void test_weeks_begin_on_monday(void **state)
{
    (void)state;
    static const struct {
        const char *zone, *within, *start, *next;
    } weeks[] = {
        {"Europe/Berlin", "2026-01-01T12:00", "2025-12-29T00:00", "2026-01-05T00:00"},
        {"Europe/Berlin", "2026-03-29T23:59", "2026-03-23T00:00", "2026-03-30T00:00"},
        {"Europe/Berlin", "2026-10-26T00:00", "2026-10-26T00:00", "2026-11-02T00:00"},
        {"Asia/Kathmandu", "2026-02-28T10:00", "2026-02-23T00:00", "2026-03-02T00:00"},
        {"UTC", "1970-01-06T10:00", "1970-01-05T00:00", "1970-01-12T00:00"},
    };
    for (size_t i = 0; i < sizeof weeks / sizeof weeks[0]; i++) {
        use_zone(weeks[i].zone);
        assert_int_equal(bucket_start(BUCKET_WEEK, at(weeks[i].within)), at(weeks[i].start));
        assert_int_equal(bucket_next(BUCKET_WEEK, at(weeks[i].within)), at(weeks[i].next));
    }
}

static void test_sentences_are_read_as_written(void **state)
{
    (void)state;
    static const enum voltage_event kinds[] = {VOLTAGE_SAG, VOLTAGE_SWELL, VOLTAGE_INTERRUPTION};
    for (size_t i = 0; i < 6; i++) {
        const struct voltage_change change = {.ended = kinds[i / 2],
                                              .extreme_mv = 100200 + (int64_t)i * 1000,
                                              .duration_ms = (int64_t)i * 86400000 + 300,
                                              .cut = i % 2 == 1};
        struct voltage_change found;
        int64_t left_out;
        char buffer[200];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        voltage_sentence_append(&text, &change, 230000);
        assert_true(voltage_sentence_read(buffer, &found, &left_out));
        assert_int_equal(found.ended, change.ended);
        assert_int_equal(found.extreme_mv, change.extreme_mv);
        assert_int_equal(found.duration_ms, change.duration_ms);
        assert_int_equal(found.cut, change.cut);
        assert_int_equal(left_out, 0);
        for (size_t length = strlen(buffer);
             length-- > 0;) { /* a part of it is none, or the same */
            buffer[length] = '\0';
            if (voltage_sentence_read(buffer, &found, &left_out))
                assert_int_equal(found.duration_ms, change.duration_ms);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_known_answers),
        cmocka_unit_test(test_weeks_begin_on_monday),
        cmocka_unit_test(test_sentences_are_read_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
