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
        {"1700000000,10\n1700003600,11.5\n", FOREIGN_KWH, 1, 1500, 2, 0, 0, 0, 0, 0},
        {"time;total\n1700000000;10,25\n1700003600;11,5\n", FOREIGN_KWH, 1, 1250, 2, 0, 0, 0, 0, 0},
        {"time\ttotal\n1700000000\t10\n1700003600\t11\n", FOREIGN_KWH, 1, 1000, 2, 0, 0, 0, 0, 0},
        {"\xef\xbb\xbfTime, Total\r\n1700000000, 10\r\n\r\n1700003600, 11\r\n", FOREIGN_KWH, 1,
         1000, 2, 0, 0, 0, 0, 0},
        {"time,wh\n1700000000,10\n1700003600,1010\n", FOREIGN_KWH, 1, 1000, 2, 0, 0, 0, 0, 0},
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
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
