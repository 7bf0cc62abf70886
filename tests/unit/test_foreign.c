/* SPDX-License-Identifier: MIT */
/* bridge/history/foreign_parse: what others' files of energy say, as pieces. */
#include "bridge/history/import/foreign_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct pieces {
    int64_t from_ms[64], to_ms[64], imported_uwh[64], exported_uwh[64];
    size_t count;
};

static bool take(void *context, int64_t from_ms, int64_t to_ms, int64_t imported_uwh,
                 int64_t exported_uwh)
{
    struct pieces *pieces = context;
    if (pieces->count == 64)
        return false;
    pieces->from_ms[pieces->count] = from_ms;
    pieces->to_ms[pieces->count] = to_ms;
    pieces->imported_uwh[pieces->count] = imported_uwh;
    pieces->exported_uwh[pieces->count++] = exported_uwh;
    return true;
}

static enum status parse(const char *text, const struct foreign_parse_options *options,
                         struct pieces *pieces, struct foreign_parsed *parsed, struct error *error)
{
    FILE *file = fmemopen((void *)text, strlen(text), "r");
    assert_non_null(file);
    *pieces = (struct pieces){.count = 0};
    enum status status = foreign_parse(file, options, take, pieces, parsed, error);
    (void)fclose(file);
    return status;
}

static const struct foreign_parse_options automatic = {.max_power_w = 100000};

#define T0 1700000000000LL /* of a whole minute past */

/* Rows: a file, what it is, how many pieces, their energy in Wh, and the counts. */
static void test_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum foreign_format format;
        size_t pieces;
        int64_t wh;
        int64_t rows, unreadable, unsorted, glitches, resets, jumps;
    } rows[] = {
        /* counters */
        {"time,total\n1700000000,10\n1700003600,11.5\n", FOREIGN_KWH, 1, 1500, 2, 0, 0, 0, 0, 0},
        {"1700000000,1010\n1700003600,1011.5\n", FOREIGN_KWH, 1, 1500, 2, 0, 0, 0, 0, 0},
        {"time;total\n1700000000;10,25\n1700003600;11,5\n", FOREIGN_KWH, 1, 1250, 2, 0, 0, 0, 0, 0},
        {"time\ttotal\n1700000000\t10\n1700003600\t11\n", FOREIGN_KWH, 1, 1000, 2, 0, 0, 0, 0, 0},
        {"\xef\xbb\xbfTime, Total\r\n1700000000, 10\r\n\r\n1700003600, 11\r\n", FOREIGN_KWH, 1,
         1000, 2, 0, 0, 0, 0, 0},
        {"time,wh\n1700000000,190010\n1700003600,191010\n", FOREIGN_KWH, 1, 1000, 2, 0, 0, 0, 0, 0},
        {"time,total,unit\n1700000000,1,MWh\n1700003600,1.001,MWh\n", FOREIGN_KWH, 1, 1000, 2, 0, 0,
         0, 0, 0},
        {"last_changed,state\n2023-11-14T22:13:20.123456+00:00,\"10\"\n"
         "2023-11-14T23:13:20Z,unavailable\n2023-11-15T00:13:20.5Z,12\n",
         FOREIGN_KWH, 1, 2000, 2, 1, 0, 0, 0, 0},
        /* not later than the one before */
        {"time,total\n1700000000,10\n1700003600,11\n1700003600,11\n1700000000,10\n1700007200,12\n",
         FOREIGN_KWH, 2, 2000, 5, 0, 2, 0, 0, 0},
        /* began anew: 11 -> 0.5 -> 1 */
        {"time,total\n1700000000,10\n1700003600,11\n1700007200,0.5\n1700010800,1\n", FOREIGN_KWH, 3,
         2000, 4, 0, 0, 0, 1, 0},
        /* ... as the last row */
        {"time,total\n1700000000,10\n1700003600,11\n1700007200,0.5\n", FOREIGN_KWH, 2, 1500, 3, 0,
         0, 0, 1, 0},
        /* ... twice in a row */
        {"time,total\n1700000000,10\n1700003600,0.5\n1700007200,0.2\n1700010800,0.4\n", FOREIGN_KWH,
         3, 900, 4, 0, 0, 0, 2, 0},
        /* a single zero is a glitch */
        {"time,total\n1700000000,5000\n1700003600,0\n1700007200,5001\n", FOREIGN_KWH, 1, 1000, 3, 0,
         0, 1, 0, 0},
        /* so is a single tower */
        {"time,total\n1700000000,5000\n1700003600,900000\n1700007200,5001\n", FOREIGN_KWH, 1, 1000,
         3, 0, 0, 1, 0, 0},
        /* another counter: its number is no energy */
        {"time,total\n1700000000,5000\n1700003600,700000\n1700007200,700001\n", FOREIGN_KWH, 2,
         1000, 3, 0, 0, 0, 0, 1},
        /* falls to more than can have been counted since: another counter, too */
        {"time,total\n1700000000,5000\n1700003600,4000\n1700007200,4001\n", FOREIGN_KWH, 2, 1000, 3,
         0, 0, 0, 0, 1},
        /* Home Assistant */
        {"statistic_id,start_ts,sum\nsensor.a,1699999200,1\nsensor.a,1700002800,2.5\n", FOREIGN_HA,
         1, 1500, 2, 0, 0, 0, 0, 0},
        {"[{\"statistic_id\":\"a:b\",\"unit_of_measurement\":\"Wh\",\"stats\":["
         "{\"start\":\"2023-11-14T22:00:00+00:00\",\"sum\":1000},"
         "{\"start\":\"2023-11-14T23:00:00+00:00\",\"sum\":2500}]}]",
         FOREIGN_HA, 1, 1500, 2, 0, 0, 0, 0, 0},
        {"{\"result\":{\"sensor.a\":[{\"start\":1699999200000,\"sum\":1},{\"start\":1700002800000,"
         "\"sum\":null},{\"start\":1700006400000,\"sum\":3}]}}",
         FOREIGN_HA, 1, 2000, 2, 1, 0, 0, 0, 0},
        /* our own */
        {"time,device,channel,voltage_v,current_a,power_w,frequency_hz,counter,counts,"
         "counts_produced,energy_kwh,energy_produced_kwh\n"
         "2023-11-14T22:13:20+00:00,house,a,230,1,230,50,5,3,0,0.000500000,0.000250000\n"
         "2023-11-14T22:13:21+00:00,house,a,,,,,,3,0,0.000250000,0.000000000\n",
         FOREIGN_BL2MQTT, 2, 1, 2, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pieces pieces;
        struct foreign_parsed parsed;
        struct error error = {""};
        if (parse(rows[i].text, &automatic, &pieces, &parsed, &error) != STATUS_OK)
            fail_msg("row %zu: %s", i, error.text);
        int64_t uwh = 0;
        for (size_t p = 0; p < pieces.count; p++)
            uwh += pieces.imported_uwh[p] + pieces.exported_uwh[p];
        if (parsed.format != rows[i].format || pieces.count != rows[i].pieces ||
            uwh != rows[i].wh * 1000000 || parsed.rows != rows[i].rows ||
            parsed.unreadable != rows[i].unreadable || parsed.unsorted != rows[i].unsorted ||
            parsed.glitches != rows[i].glitches || parsed.resets != rows[i].resets ||
            parsed.jumps != rows[i].jumps)
            fail_msg(
                "row %zu: format %d, %zu pieces, %lld uWh, rows %lld, unreadable %lld, unsorted "
                "%lld, glitches %lld, resets %lld, jumps %lld",
                i, (int)parsed.format, pieces.count, (long long)uwh, (long long)parsed.rows,
                (long long)parsed.unreadable, (long long)parsed.unsorted,
                (long long)parsed.glitches, (long long)parsed.resets, (long long)parsed.jumps);
    }
}

/* Home Assistant's rows are of the hour that begins, their sum is that of its end. */
static void test_times(void **state)
{
    (void)state;
    struct pieces pieces;
    struct foreign_parsed parsed;
    assert_int_equal(
        parse("start,sum\n1699999200,1\n1700002800,2\n", &automatic, &pieces, &parsed, NULL),
        STATUS_OK);
    assert_int_equal(pieces.from_ms[0], 1700002800000);
    assert_int_equal(pieces.to_ms[0], 1700006400000);
    assert_int_equal(parsed.first_ms, 1700002800000);
    assert_int_equal(parsed.last_ms, 1700006400000);
    assert_int_equal(parse("time,total\n1700000000.5,1\n1700000060000,1.001\n", &automatic, &pieces,
                           &parsed, NULL),
                     STATUS_OK);
    assert_int_equal(pieces.from_ms[0], T0 + 500);
    assert_int_equal(pieces.to_ms[0], T0 + 60000);
}

static void test_sources(void **state)
{
    (void)state;
    static const char two[] = "statistic_id,start,sum\na,1700002800,1\nb,1700002800,5\n"
                              "a,1700006400,2\nb,1700006400,7\n";
    struct foreign_parse_options options = automatic;
    struct pieces pieces;
    struct foreign_parsed parsed;
    struct error error = {""};
    assert_int_equal(parse(two, &options, &pieces, &parsed, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "--source: a, b."));
    options.source = "b";
    assert_int_equal(parse(two, &options, &pieces, &parsed, &error), STATUS_OK);
    assert_int_equal(pieces.imported_uwh[0], 2000000000);
    assert_int_equal(parsed.others, 2);
    options.source = "c";
    assert_int_equal(parse(two, &options, &pieces, &parsed, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "a, b"));
}

/* What each interval consumed, numbers and dates as offices write them; Wh in all, and of the first piece
 * its length in minutes. */
static void test_intervals_and_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool intervals;
        size_t pieces;
        int64_t wh, minutes;
    } rows[] = {
        {"date,kWh\n2025-07-20 00:00,1.5\n2025-07-20 01:00,0.5\n2025-07-20 02:00,2\n"
         "2025-07-20 03:00,1\n2025-07-20 04:00,1.25\n",
         true, 5, 6250, 60},
        {"Zeitpunkt;Verbrauch (kWh)\n20.07.2025 00:00;0,5\n20.07.2025 00:15;0,25\n", true, 2, 750,
         15},
        {"Datum;Uhrzeit;Z\xc3\xa4hlerstand [kWh]\n20.07.2025;00:00;998,5\n20.07.2025;00:15;999,5\n"
         "20.07.2025;00:30;1.000,5\n20.07.2025;00:45;1.001,5\n",
         false, 3, 3000, 15},
        {"date,value\n\"20.07.2025 00:00\",\"275,69\"\n\"20.07.2025 01:00\",\"276,69\"\n", false, 1,
         1000, 60},
        {"time,total\n7/20/2025 12:00 AM,\"1,000.5\"\n7/20/2025 1:00 PM,\"1,001.5\"\n", false, 1,
         1000, 780},
        {"time;total\n20/07/2025 00:00;1'000.50\n20/07/2025 01:00;1'001.50\n", false, 1, 1000, 60},
        {"time;total\n20/07/2025 00:00;1 000,50\n20/07/2025 01:00;1\xc2\xa0"
         "001,50 kWh\n",
         false, 1, 1000, 60},
        {"start,end,energy\n2025-07-20 00:00,2025-07-20 00:30,1\n2025-07-20 02:00,2025-07-20 "
         "02:30,1\n",
         true, 2, 2000, 30},
        /* a hole is no interval */
        {"day,consumption\n20250720,1\n20250721,1\n20250725,1\n20250726,1\n", true, 4, 4000, 1440},
        {"month,usage\n", true, 0, 0, 0},
        /* a day of 25 hours: two o'clock twice */
        {"time,consumption\n2025-10-26 01:00,1\n2025-10-26 02:00,1\n2025-10-26 02:00,1\n"
         "2025-10-26 03:00,1\n",
         true, 4, 4000, 60},
        {"time,total\n202507200000,1\n202507200015,2\n", false, 1, 1000, 15},
        {"# made by a meter\ntime,total\n2025/07/20 00:00,1\n2025/07/20 00:15,2\n", false, 1, 1000,
         15},
    };
    (void)setenv("TZ", "Europe/Berlin", 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pieces pieces;
        struct foreign_parsed parsed;
        struct error error = {""};
        enum status status = parse(rows[i].text, &automatic, &pieces, &parsed, &error);
        if (rows[i].pieces == 0) {
            assert_int_equal(status, STATUS_USAGE);
            continue;
        }
        if (status != STATUS_OK)
            fail_msg("row %zu: %s", i, error.text);
        int64_t uwh = 0;
        for (size_t p = 0; p < pieces.count; p++)
            uwh += pieces.imported_uwh[p];
        if (parsed.intervals != rows[i].intervals || pieces.count != rows[i].pieces ||
            uwh != rows[i].wh * 1000000 ||
            pieces.to_ms[0] - pieces.from_ms[0] != rows[i].minutes * 60000)
            fail_msg("row %zu: intervals %d, %zu pieces, %lld uWh, the first of %lld ms", i,
                     (int)parsed.intervals, pieces.count, (long long)uwh,
                     (long long)(pieces.to_ms[0] - pieces.from_ms[0]));
    }
    (void)setenv("TZ", "UTC", 1);
}

/* UTF-16 of both kinds, with and without its mark. */
static void test_encodings(void **state)
{
    (void)state;
    static const char text[] = "time;total\n1700000000;10,5\n1700003600;11,5\n";
    for (unsigned variant = 0; variant < 4; variant++) {
        bool big = (variant & 1) != 0, marked = (variant & 2) != 0;
        char bytes[2 * sizeof text + 2];
        size_t length = 0;
        if (marked) {
            bytes[length++] = (char)(big ? 0xFE : 0xFF);
            bytes[length++] = (char)(big ? 0xFF : 0xFE);
        }
        for (const char *c = text; *c != '\0'; c++) {
            bytes[length++] = big ? 0 : *c;
            bytes[length++] = big ? *c : 0;
        }
        FILE *file = fmemopen(bytes, length, "r");
        struct pieces pieces = {.count = 0};
        struct foreign_parsed parsed;
        struct error error = {""};
        if (foreign_parse(file, &automatic, take, &pieces, &parsed, &error) != STATUS_OK)
            fail_msg("%s", error.text);
        (void)fclose(file);
        assert_int_equal(pieces.count, 1);
        assert_int_equal(pieces.imported_uwh[0], 1000000000);
    }
}

/* What can be read in two ways, and what cannot be read, is refused with its line; the option decides. */
static void test_doubts(void **state)
{
    (void)state;
    struct foreign_parse_options dmy = automatic, point = automatic, interval = automatic,
                                 total = automatic, watt_hours = automatic;
    dmy.date_order = FOREIGN_DATES_DMY;
    point.decimal = '.';
    watt_hours.watt_hours = true;
    interval.kind = FOREIGN_KIND_INTERVAL;
    total.kind = FOREIGN_KIND_TOTAL;
    static const char falls[] = "time,kwh\n1700000000,5\n1700003600,6\n1700007200,5.5\n"
                                "1700010800,6\n1700014400,7\n1700018000,8\n1700021600,7.5\n"
                                "1700025200,8\n1700028800,9\n1700032400,9.5\n1700036000,9.7\n"
                                "1700039600,9.9\n1700043200,10\n1700046800,11\n";
    const struct {
        const char *text, *words;
        const struct foreign_parse_options *options; /* with which it is taken; NULL: never */
        int64_t wh;
    } rows[] = {
        {"time,total\n05/06/2025,1\n06/06/2025,2\n", "Line 2: \"05/06/2025\"", &dmy, 1000},
        {"time;total\n2025-06-05;1.234\n2025-06-06;2.234\n", "Line 2: \"1.234\"", &point, 1000},
        {falls, "first in line 4", &interval, 112100},
        {falls, "--values total", &total, 6000 + 5500 + 7500 - 6000},
        /* a column that says neither, and too few values to decide */
        {"date,kWh\n20250720,5\n20250721,7\n20250722,6\n", "first in line 4", &interval, 18000},
        {"date,kWh\n20250720,5\n20250721,7\n20250722,9\n", "from line 2 on", &interval, 21000},
        {"date,kWh\n20250720,5.5\n20250721,5.5\n20250722,5.5\n", "--values", &interval, 16500},
        {"date,kWh\n20250720,5.5\n20250721,5.5\n20250722,5.5\n", "from line 2 on", &total, 0},
        {"date,kWh\n\n20250720,5\n20250721,7\n", "from line 3 on", &total, 2000},
        /* only rising: a cold morning, the days of a week, the months towards summer, a new counter */
        {"time,kWh\n1700000000,0.1\n1700003600,0.2\n1700007200,0.5\n1700010800,0.9\n"
         "1700014400,1.2\n1700018000,1.9\n1700021600,2.5\n1700025200,3.1\n1700028800,3.2\n"
         "1700032400,3.3\n",
         "from line 2 on", &interval, 16900},
        {"date,kWh\n20250720,5.1\n20250721,5.2\n20250722,5.3\n20250723,5.4\n20250724,5.5\n"
         "20250725,5.6\n20250726,5.7\n20250727,5.8\n20250728,5.9\n",
         "from line 2 on", &interval, 49500},
        {"month,kWh\n20250101,310\n20250201,312\n20250301,315\n20250401,317\n20250501,320\n"
         "20250601,322\n20250701,325\n20250801,330\n20250901,331\n20251001,332\n",
         "from line 2 on", &interval, 3214000},
        {"time,kWh\n1700000000,0\n1700003600,0.4\n1700007200,0.9\n1700010800,1\n"
         "1700014400,1.5\n1700018000,1.6\n1700021600,2\n1700025200,3\n1700028800,4\n"
         "1700032400,4.5\n",
         "from line 2 on", &total, 4500},
        /* another unit than was thought */
        {"time,consumption\n1700000000,240\n1700000900,250\n1700001800,260\n",
         "Line 2: 240 kWh within 15 minutes", &watt_hours, 750},
        {"start,end,usage\n1700000000,1700000900,3\n1700000900,1700001800,250\n", "Line 3: 250 kWh",
         &watt_hours, 253},
        {"time,total\n1700000000,250000\n1700000900,250250\n1700001800,250500\n"
         "1700002700,250750\n1700003600,251000\n",
         "In 4 of 5 rows", &watt_hours, 1000},
        {"date,kWh\n45858,5\n45859,7\n45860,6\n", "Line 2: \"45858\"", NULL, 0},
        {"time,total\n2025-06-05,1\n2025-06-06,abc\n", "Line 3: \"abc\"", NULL, 0},
        {"time,total\n2025-06-05,1\n31.31.2025,2\n", "Line 3: \"31.31.2025\"", NULL, 0},
        {"time;total\n2025-06-05;998,5\n2025-06-06;1.00,5\n", "Line 3: \"1.00,5\"", NULL, 0},
        {"time,total\n13/06/2025,1\n06/13/2025,2\n", "day first", NULL, 0},
        {"time,consumption\n2025-06-06,1\n2025-06-05,2\n", "Line 3", NULL, 0},
        {"time,consumption\n2025-06-06,1\n", "one interval only", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pieces pieces;
        struct foreign_parsed parsed;
        struct error error = {""};
        assert_int_equal(parse(rows[i].text, &automatic, &pieces, &parsed, &error), STATUS_USAGE);
        if (strstr(error.text, rows[i].words) == NULL)
            fail_msg("row %zu: %s", i, error.text);
        if (rows[i].options == NULL)
            continue;
        error.text[0] = '\0';
        if (parse(rows[i].text, rows[i].options, &pieces, &parsed, &error) != STATUS_OK)
            fail_msg("row %zu: %s", i, error.text);
        int64_t uwh = 0;
        for (size_t p = 0; p < pieces.count; p++)
            uwh += pieces.imported_uwh[p];
        if (rows[i].options != &total)
            assert_int_equal(uwh, rows[i].wh * 1000000);
    }
}

/* Values of a column that says neither, and what they show of themselves. */
static void test_counters_are_recognised(void **state)
{
    (void)state;
    static const struct {
        int64_t first_wh, step_wh, minutes;
        unsigned rows;
        bool known;
    } files[] = {
        {1010000, 1500, 60, 3, true},            /* 1010 kWh in an hour are none */
        {12345600, 2000, 60 * 24, 4, true},      /* nor are 12 MWh in a day */
        {0, 20, 15, 140, false},                 /* may be a morning's, or a counter's first */
        {0, 20, 15, 150, true},                  /* more than a day and a half */
        {5000, 100, 60 * 24, 20, false},         /* days */
        {5000, 100, 60 * 24, 23, true},          /* three weeks of them */
        {310000, 2000, 60 * 24 * 30, 12, false}, /* months of a year */
        {310000, 2000, 60 * 24 * 30, 16, true},
        {3100000, 20000, 60 * 24 * 365, 16, false}, /* years */
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char text[8192] = "time,kWh\n";
        size_t length = strlen(text);
        for (unsigned row = 0; row < files[i].rows; row++)
            length += (size_t)snprintf(text + length, sizeof text - length, "%lld,%.3f\n",
                                       (long long)(T0 / 1000 + row * 60 * files[i].minutes),
                                       (double)(files[i].first_wh + row * files[i].step_wh) / 1000);
        struct pieces pieces;
        struct foreign_parsed parsed;
        struct error error = {""};
        struct foreign_parse_options total = automatic;
        enum status status = parse(text, &automatic, &pieces, &parsed, &error);
        bool room = files[i].rows <= 64; /* of the pieces here */
        if (files[i].known && status == STATUS_OK)
            assert_false(parsed.intervals);
        if (files[i].known && room)
            assert_int_equal(status, STATUS_OK);
        if (files[i].known && !room)
            assert_non_null(strstr(error.text, "more time than"));
        if (!files[i].known && strstr(error.text, "from line 2 on") == NULL)
            fail_msg("file %zu: %s", i, error.text);
        total.kind = FOREIGN_KIND_TOTAL;
        if (room)
            assert_int_equal(parse(text, &total, &pieces, &parsed, &error), STATUS_OK);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const files[] = {
        "\n",
        "hello\n",
        "a,b\nc,d\n",
        "{\"x\":1}",
        "[]",
        "[1,2",
        "{",
        "time\n1\n",
        "time,total\nx,y\n",
        "now,5\n",
        "-5,1\n",
        "time,total\n",
        "[[[[",
        "1700000000\n",
        "99999999999999999,1\n",
        "\"",
        "\"time,\"total",
        ";;;;\n",
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct pieces pieces;
        struct foreign_parsed parsed;
        struct error error = {""};
        if (parse(files[i], &automatic, &pieces, &parsed, &error) != STATUS_USAGE ||
            error.text[0] == '\0')
            fail_msg("file %zu: %s", i, error.text);
    }
    char *line = malloc(100001);
    memset(line, 'x', 100000);
    line[100000] = '\0';
    struct pieces pieces;
    struct foreign_parsed parsed;
    struct error error = {""};
    assert_int_equal(parse(line, &automatic, &pieces, &parsed, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "65536"));
    free(line);
}

int main(void)
{
    (void)setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_intervals_and_spellings),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_doubts),
        cmocka_unit_test(test_counters_are_recognised),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
